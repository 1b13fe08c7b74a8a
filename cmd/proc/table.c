#include "proc/table.h"

#include "common/text.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ASKED_MAX = 256 };

/* Processor time: nothing here sleeps, and on a busy machine as much is seen as on an idle one. */
static int64_t time_spent(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static bool add_element(void **array, unsigned *n, size_t size, const void *element)
{
    if ((*n & (*n - 1)) == 0) { /* full at every power of two */
        void *more = realloc(*array, (*n ? 2 * (size_t)*n : 1) * size);
        if (!more)
            return false;
        *array = more;
    }
    memcpy((char *)*array + *n * size, element, size);
    ++*n;
    return true;
}

/* ---- descriptors -------------------------------------------------------------------------------- */

/* The link's permissions are those that the descriptor was opened with. */
static void add_end(proc_table *t, int directory, const char *link, const proc_end *of)
{
    struct stat st;
    proc_end end = *of;
    if (fstatat(directory, link, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    end.reads = st.st_mode & S_IRUSR;
    end.writes = st.st_mode & S_IWUSR;
    add_element((void **)&t->ends, &t->n_ends, sizeof end, &end);
}

/* What pipes may not have for a path: it is not worth to look closer. */
static bool is_no_pipe(const char *path)
{
    return *path != '/' || (text_starts(path, "/dev/") && !text_starts(path, "/dev/shm/")) ||
           text_starts(path, "/memfd:");
}

static void set_name(char *name, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, size, "%.*s", (int)size - 1, slash ? slash + 1 : path);
}

static void take_descriptor(proc_table *t, int directory, const char *link, pid_t pid)
{
    char path[PATH_MAX];
    if (proc_link(pid, directory, link, path, sizeof path) < 0)
        return;
    if (text_starts(path, "pipe:[")) {
        add_end(t, directory, link,
                &(proc_end){.ino = strtoull(path + strlen("pipe:["), NULL, 10), .pid = pid, .fd = atoi(link)});
    } else if (!is_no_pipe(path)) {
        proc_named named = {.pid = pid, .fd = atoi(link)};
        set_name(named.name, sizeof named.name, path);
        add_element((void **)&t->named, &t->n_named, sizeof named, &named);
    }
}

/* A process, and where the descriptors begin that were not looked at yet. */
typedef struct rest {
    pid_t pid;
    off_t at;
} rest;

/* What a directory of descriptors has in the next `size` bytes of entries.  false: that was all. */
static bool take_some(proc_table *t, int directory, rest *r, size_t size)
{
    enum { LONGEST = 32 }; /* an entry with a descriptor's number for a name */
    _Alignas(struct dirent64) char entries[4096];
    const ssize_t n = getdents64(directory, entries, size);
    for (ssize_t at = 0; at < n;) {
        const struct dirent64 *entry = (const void *)(entries + at);
        if (isdigit((unsigned char)entry->d_name[0]))
            take_descriptor(t, directory, entry->d_name, r->pid);
        r->at = entry->d_off;
        at += entry->d_reclen;
    }
    return n > (ssize_t)size - LONGEST;
}

static int open_descriptors(const rest *r)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)r->pid);
    const int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0)
        lseek(directory, r->at, SEEK_SET);
    return directory;
}

/* About the first twenty: who is part of a pipeline holds its pipes there.  false: that was all. */
static bool take_first(proc_table *t, rest *r)
{
    const int directory = open_descriptors(r);
    const bool more = directory >= 0 && take_some(t, directory, r, 512);
    if (directory >= 0)
        close(directory);
    return more;
}

/* false: not all of them, for there are too many or the time is over. */
static bool take_rest(proc_table *t, rest *r, int64_t until)
{
    const int directory = open_descriptors(r);
    bool more = directory >= 0;
    for (unsigned n = 0; more && n < PROC_DESCRIPTORS_MAX && time_spent() < until; n += 4096 / 24)
        more = take_some(t, directory, r, 4096);
    if (directory >= 0)
        close(directory);
    return !more;
}

/* ---- everybody ---------------------------------------------------------------------------------- */

static int by_pipe(const void *a, const void *b)
{
    const proc_end *p = a, *q = b;
    if (p->dev != q->dev)
        return p->dev < q->dev ? -1 : 1;
    if (p->ino != q->ino)
        return p->ino < q->ino ? -1 : 1;
    return (p->pid > q->pid) - (p->pid < q->pid);
}

static void sort(proc_table *t)
{
    if (t->n_ends)
        qsort(t->ends, t->n_ends, sizeof *t->ends, by_pipe);
}

bool proc_table_take(proc_table *t)
{
    *t = (proc_table){0};
    const int64_t until = time_spent() + PROC_TABLE_NS;
    rest *rests = NULL;
    unsigned n_rests = 0;
    DIR *d = opendir("/proc");
    if (!d)
        return false;
    /* cppcheck-suppress readdirCalled ; a stream of our own */
    for (struct dirent *entry; (entry = readdir(d));) {
        proc p;
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        rest r = {.pid = (pid_t)atoi(entry->d_name)};
        if (time_spent() >= until) {
            t->unseen++;
        } else if (proc_read(r.pid, &p)) {
            add_element((void **)&t->all, &t->n_all, sizeof p, &p);
            t->unseen += p.execs;
            if (!p.execs && take_first(t, &r))
                add_element((void **)&rests, &n_rests, sizeof r, &r);
        }
    }
    closedir(d);
    for (unsigned i = 0; i < n_rests; i++)
        t->unseen += !take_rest(t, &rests[i], until);
    free(rests);
    sort(t);
    return true;
}

void proc_table_free(proc_table *t)
{
    free(t->all);
    free(t->ends);
    free(t->named);
    *t = (proc_table){0};
}

/* ---- looking for a pipe ------------------------------------------------------------------------- */

static void ask_named(proc_table *t, proc_named *named)
{
    char link[64];
    const proc_target pipe = proc_target_of(named->pid, named->fd);
    named->asked = true;
    snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)named->pid, named->fd);
    if (pipe.kind == PROC_PIPE)
        add_end(t, AT_FDCWD, link, &(proc_end){.dev = pipe.dev, .ino = pipe.ino, .pid = named->pid, .fd = named->fd});
}

/* Ask all that have the name, or all of the process where there is no name. */
static void ask_holders(proc_table *t, const char *name, pid_t pid)
{
    const unsigned before = t->n_ends;
    unsigned asked = 0;
    for (unsigned i = 0; i < t->n_named && asked < ASKED_MAX; i++) {
        proc_named *n = &t->named[i];
        if (!n->asked && (name ? strcmp(n->name, name) == 0 : n->pid == pid)) {
            ask_named(t, n);
            asked++;
        }
    }
    if (t->n_ends > before)
        sort(t);
}

const proc_end *proc_table_ends(proc_table *t, const proc_target *pipe, unsigned *n)
{
    char name[sizeof t->named->name];
    set_name(name, sizeof name, pipe->path);
    if (pipe->dev)
        ask_holders(t, name, 0);
    unsigned low = 0, high = t->n_ends;
    *n = 0;
    if (high == 0)
        return NULL;
    while (low < high) {
        const unsigned middle = low + (high - low) / 2;
        const proc_end *e = &t->ends[middle];
        if (e->dev < pipe->dev || (e->dev == pipe->dev && e->ino < pipe->ino))
            low = middle + 1;
        else
            high = middle;
    }
    while (low + *n < t->n_ends && t->ends[low + *n].dev == pipe->dev && t->ends[low + *n].ino == pipe->ino)
        ++*n;
    return t->ends + low;
}

unsigned proc_table_of(proc_table *t, pid_t pid, proc_end *ends, unsigned most)
{
    unsigned n = 0;
    ask_holders(t, NULL, pid);
    for (unsigned i = 0; i < t->n_ends && n < most; i++)
        if (t->ends[i].pid == pid)
            ends[n++] = t->ends[i];
    return n;
}
