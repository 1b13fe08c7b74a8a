#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The file /proc/PID/WHAT, with a NUL behind it.  false: it cannot be read. */
static bool slurp(pid_t pid, const char *what, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buffer, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    buffer[n] = 0;
    return true;
}

static int64_t age_of(uint64_t started_ticks)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    const int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec - (int64_t)started_ticks * tick;
}

bool proc_look(pid_t pid, proc *p)
{
    char text[1024];
    unsigned long user = 0, system = 0;
    unsigned long long started = 0;
    int parent = 0;
    if (pid <= 0 || !slurp(pid, "stat", text, sizeof text))
        return false;
    char *name = strchr(text, '('), *end = strrchr(text, ')'); /* the name may hold anything */
    if (!name || !end || end < name)
        return false;
    *p = (proc){.pid = pid};
    snprintf(p->name, sizeof p->name, "%.*s", (int)(end - name - 1), name + 1);
    for (char *c = p->name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    /* proc(5): state, ppid, then 9 fields, utime, stime, 6 fields, starttime */
    if (sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu", &p->state,
               &parent, &user, &system, &started) != 5)
        return false;
    p->parent = parent;
    p->ticks = user + system;
    p->age_ns = age_of(started);
    return true;
}

bool proc_readable(void)
{
    proc self;
    return proc_look(getpid(), &self);
}

/* ---- what it waits for -------------------------------------------------------------------------- */

/* System calls that wait for the descriptor in their first argument. */
static proc_wait_kind kind_of_call(long call)
{
    switch (call) {
    case SYS_read:
    case SYS_readv:
    case SYS_pread64:
    case SYS_recvfrom:
    case SYS_recvmsg:
        return PROC_READS;
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_fsync:
        return PROC_WRITES;
    case SYS_wait4:
    case SYS_waitid:
        return PROC_CHILD;
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
        return PROC_SLEEPS;
    default:
        return PROC_UNKNOWN;
    }
}

/* splice(2) and its like wait for either of two: that the reader of the one is asleep in a pipe's read tells which. */
static proc_wait of_two(long call, const unsigned long long *argument, const char *channel)
{
    const bool first_reads = call != SYS_sendfile;
    const int in = (int)argument[first_reads ? 0 : 1];
    const int out = (int)argument[call == SYS_splice || call == SYS_copy_file_range ? 2 : first_reads ? 1 : 0];
    return strstr(channel, "write") ? (proc_wait){PROC_WRITES, out} : (proc_wait){PROC_READS, in};
}

proc_wait proc_waits(pid_t pid)
{
    char text[256], channel[64] = "";
    long call;
    unsigned long long argument[3];
    slurp(pid, "wchan", channel, sizeof channel);
    if (slurp(pid, "syscall", text, sizeof text) &&
        sscanf(text, "%ld %llx %llx %llx", &call, &argument[0], &argument[1], &argument[2]) == 4) {
        if (call == SYS_splice || call == SYS_tee || call == SYS_sendfile || call == SYS_copy_file_range)
            return of_two(call, argument, channel);
        return (proc_wait){kind_of_call(call), (int)argument[0]};
    }
    /* Not ours to look into.  Where it sleeps may be told all the same; a filter's descriptors are 0 and 1. */
    if (strstr(channel, "pipe") && strstr(channel, "read"))
        return (proc_wait){PROC_READS, 0};
    if (strstr(channel, "pipe") && strstr(channel, "write"))
        return (proc_wait){PROC_WRITES, 1};
    return (proc_wait){strcmp(channel, "do_wait") == 0 ? PROC_CHILD : PROC_UNKNOWN, -1};
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

proc_target proc_target_of(pid_t pid, int fd)
{
    proc_target t = {.kind = PROC_NOTHING};
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    const ssize_t n = readlink(path, t.path, sizeof t.path - 1);
    if (fd < 0 || n < 0)
        return t;
    t.path[n] = 0;
    if (stat(path, &st) < 0)
        return t;
    t.dev = st.st_dev;
    t.ino = st.st_ino;
    if (S_ISFIFO(st.st_mode))
        t.kind = PROC_PIPE;
    else if (S_ISSOCK(st.st_mode))
        t.kind = PROC_SOCKET;
    else if (S_ISCHR(st.st_mode) && (starts(t.path, "/dev/pts/") || starts(t.path, "/dev/tty")))
        t.kind = PROC_TERMINAL;
    else
        t.kind = PROC_FILE;
    return t;
}

pid_t proc_tracer(pid_t pid)
{
    char text[2048];
    int tracer = 0;
    const char *line = slurp(pid, "status", text, sizeof text) ? strstr(text, "\nTracerPid:") : NULL;
    if (line)
        sscanf(line, "\nTracerPid: %d", &tracer);
    return tracer;
}

proc_work proc_has_done(pid_t pid)
{
    char text[512];
    proc p;
    unsigned long long read_bytes = 0, written = 0;
    if (slurp(pid, "io", text, sizeof text))
        sscanf(text, "rchar: %llu wchar: %llu", &read_bytes, &written);
    const bool there = proc_look(pid, &p);
    return (proc_work){read_bytes, read_bytes + written + (there ? p.ticks : 0), there && p.state == 'R'};
}

/* ---- everybody ---------------------------------------------------------------------------------- */

static bool add(void **array, unsigned *n, size_t size, const void *element)
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

/* A link that may be a pipe: an anonymous one, or a file somewhere. */
static bool may_be_pipe(const char *target, ssize_t n)
{
    return n > 5 && (starts(target, "pipe:") || (target[0] == '/' && !starts(target, "/dev/")));
}

static void take_ends(proc_table *t, pid_t pid)
{
    char path[64], target[8];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (!d)
        return;
    /* cppcheck-suppress readdirCalled ; a stream of our own */
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st, link;
        const ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        if (!may_be_pipe(target, n) || fstatat(dirfd(d), entry->d_name, &st, 0) < 0 || !S_ISFIFO(st.st_mode) ||
            fstatat(dirfd(d), entry->d_name, &link, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        /* The link's permissions are those that the descriptor was opened with. */
        const proc_end end = {st.st_dev, st.st_ino, pid, link.st_mode & S_IRUSR, link.st_mode & S_IWUSR};
        add((void **)&t->ends, &t->n_ends, sizeof end, &end);
    }
    closedir(d);
}

static int by_pipe(const void *a, const void *b)
{
    const proc_end *p = a, *q = b;
    if (p->dev != q->dev)
        return p->dev < q->dev ? -1 : 1;
    if (p->ino != q->ino)
        return p->ino < q->ino ? -1 : 1;
    return (p->pid > q->pid) - (p->pid < q->pid);
}

bool proc_table_take(proc_table *t)
{
    *t = (proc_table){0};
    DIR *d = opendir("/proc");
    if (!d)
        return false;
    /* cppcheck-suppress readdirCalled ; a stream of our own */
    for (struct dirent *entry; (entry = readdir(d));) {
        proc p;
        if (!isdigit((unsigned char)entry->d_name[0]) || !proc_look((pid_t)atoi(entry->d_name), &p))
            continue;
        add((void **)&t->all, &t->n_all, sizeof p, &p);
        take_ends(t, p.pid);
    }
    closedir(d);
    if (t->n_ends)
        qsort(t->ends, t->n_ends, sizeof *t->ends, by_pipe);
    return true;
}

void proc_table_free(proc_table *t)
{
    free(t->all);
    free(t->ends);
    *t = (proc_table){0};
}

const proc_end *proc_table_ends(const proc_table *t, const proc_target *pipe, unsigned *n)
{
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
