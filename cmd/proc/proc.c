#include "proc/proc.h"

#include "common/fs.h"
#include "common/text.h"
#include "proc/glance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* The file /proc/PID/WHAT, with a NUL behind it.  false: it cannot be read. */
static bool slurp_freely(pid_t pid, const char *what, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n;
    while ((n = read(fd, buffer, size - 1)) < 0 && errno == EINTR)
        ;
    close(fd);
    if (n <= 0)
        return false;
    buffer[n] = 0;
    return true;
}

/* The same of one that the process may hold up. */
static bool slurp(pid_t pid, const char *what, char *buffer, size_t size)
{
    if (!glance_begin(pid))
        return false;
    const bool read = slurp_freely(pid, what, buffer, size);
    glance_end();
    return read;
}

static int64_t age_of(uint64_t started_ticks)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    const int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec - (int64_t)started_ticks * tick;
}

/* A name may hold anything. */
static void set_name(proc *p, const char *name, int n)
{
    snprintf(p->name, sizeof p->name, "%.*s", n, name);
    text_disarm(p->name, '?');
}

/* What can be known of a process that holds up who asks for more.  false: it is not that, but gone, or not shown. */
static bool look_at_held(pid_t pid, proc *p)
{
    char text[256];
    int parent = 0;
    if (glance_begin(pid)) {
        glance_end();
        return false;
    }
    const char *line = slurp_freely(pid, "status", text, sizeof text) ? strstr(text, "\nPPid:") : NULL;
    if (!line || sscanf(line, "\nPPid: %d", &parent) != 1)
        return false;
    *p = (proc){.pid = pid, .parent = parent, .state = 'D', .execs = true, .age_ns = INT64_MAX / 2};
    set_name(p, text + strcspn(text, "\t") + 1, (int)strcspn(text + strcspn(text, "\t") + 1, "\n"));
    return true;
}

bool proc_read(pid_t pid, proc *p)
{
    char text[1024];
    unsigned long user = 0, system = 0;
    unsigned long long started = 0;
    int parent = 0;
    if (pid <= 0)
        return false;
    if (!slurp(pid, "stat", text, sizeof text))
        return look_at_held(pid, p);
    char *name = strchr(text, '('), *end = strrchr(text, ')'); /* the name may hold anything */
    if (!name || !end || end < name)
        return false;
    *p = (proc){.pid = pid};
    set_name(p, name + 1, (int)(end - name - 1));
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
    return proc_read(getpid(), &self);
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
    case SYS_openat:
    case SYS_close:
    case SYS_statx:
    case SYS_newfstatat:
    case SYS_fstat:
#ifdef SYS_open
    case SYS_open:
    case SYS_stat:
#endif
        return PROC_FILES;
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
        /* Who opens a FIFO waits for who opens its other end. */
        const proc_wait_kind kind = strstr(channel, "partner") ? PROC_UNKNOWN : kind_of_call(call);
        return (proc_wait){kind, (int)argument[0]};
    }
    /* Not ours to look into.  Where it sleeps may be told all the same; a filter's descriptors are 0 and 1. */
    if (strstr(channel, "pipe") && strstr(channel, "read"))
        return (proc_wait){PROC_READS, 0};
    if (strstr(channel, "pipe") && strstr(channel, "write"))
        return (proc_wait){PROC_WRITES, 1};
    return (proc_wait){strcmp(channel, "do_wait") == 0 ? PROC_CHILD : PROC_UNKNOWN, -1};
}

bool proc_where(pid_t pid, char *where, size_t size)
{
    *where = 0;
    return slurp(pid, "wchan", where, size) && strcmp(where, "0") != 0;
}

enum { THREADS_MAX = 64 }; /* of a process that are looked at */

pid_t proc_thread_at_file(pid_t pid)
{
    char path[64];
    unsigned seen = 0;
    pid_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = opendir(path);
    /* cppcheck-suppress readdirCalled ; a stream of our own */
    for (struct dirent *entry; d && !found && seen < THREADS_MAX && (entry = readdir(d)); seen++) {
        const pid_t thread = (pid_t)atoi(entry->d_name);
        const proc_wait w = thread > 0 && thread != pid ? proc_waits(thread) : (proc_wait){PROC_UNKNOWN, -1};
        if (w.kind == PROC_READS || w.kind == PROC_WRITES || w.kind == PROC_FILES)
            found = thread;
    }
    if (d)
        closedir(d);
    return found;
}

/* ---- what a descriptor is ----------------------------------------------------------------------- */

/* The mount that a descriptor's file is in, by its number in the process's namespace; -1: unknown. */
static int mount_of(pid_t pid, int fd)
{
    char what[32], text[512];
    int id = -1;
    snprintf(what, sizeof what, "fdinfo/%d", fd);
    const char *line = slurp_freely(pid, what, text, sizeof text) ? strstr(text, "mnt_id:") : NULL;
    return line && sscanf(line, "mnt_id: %d", &id) == 1 ? id : -1;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)): type and mount point. */
static bool mount_in(char *line, int id, char *type, size_t size, char *point)
{
    int number = -1;
    char *end = strstr(line, " - ");
    if (!end || sscanf(line, "%d %*d %*s %*s %127s", &number, point) != 2 || number != id)
        return false;
    snprintf(type, size, "%.*s", (int)strcspn(end + 3, " \n"), end + 3);
    return true;
}

/* Sets t->mount.  A mount that is not in the process's namespace, or not any more, may be anything. */
static void find_mount(pid_t pid, int fd, proc_target *t)
{
    char path[64], type[64] = "", point[128] = "", *line = NULL;
    size_t size = 0;
    const int id = mount_of(pid, fd);
    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
    FILE *mounts = id < 0 ? NULL : fopen(path, "re");
    while (mounts && getline(&line, &size, mounts) > 0 && !mount_in(line, id, type, sizeof type, point))
        ;
    if (mounts)
        fclose(mounts);
    free(line);
    if (!*type)
        snprintf(t->mount, sizeof t->mount, "of a mount that is not to be seen");
    else if (!fs_is_local_type(type))
        snprintf(t->mount, sizeof t->mount, "%s at %.*s", type, (int)(sizeof t->mount - 1 - strlen(type) - 4), point);
}

/* A file with a path.  It is asked only where that is sure to wait for nobody, and even so for what is known. */
static void find_kind(pid_t pid, int fd, const char *link, proc_target *t)
{
    struct statx st;
    t->kind = PROC_FILE;
    find_mount(pid, fd, t);
    if (*t->mount || !glance_begin(pid))
        return;
    const int failed = statx(AT_FDCWD, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &st);
    glance_end();
    if (failed)
        return;
    if (S_ISFIFO(st.stx_mode)) {
        t->kind = PROC_PIPE;
        t->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
        t->ino = st.stx_ino;
    } else if (S_ISCHR(st.stx_mode) && (text_starts(t->path, "/dev/pts/") || text_starts(t->path, "/dev/tty"))) {
        t->kind = PROC_TERMINAL;
    }
}

/* Of a path that is too long its end is kept, where its name is. */
static void set_path(proc_target *t, const char *path, size_t n)
{
    const size_t cut = n < sizeof t->path ? 0 : n + 1 - sizeof t->path;
    memcpy(t->path, path + cut, n - cut + 1);
    if (cut)
        memcpy(t->path, "...", 3);
}

ssize_t proc_link(pid_t pid, int directory, const char *link, char *path, size_t size)
{
    if (!glance_begin(pid))
        return -1;
    const ssize_t n = readlinkat(directory, link, path, size - 1);
    glance_end();
    path[n > 0 ? n : 0] = 0;
    return n;
}

proc_target proc_target_of(pid_t pid, int fd)
{
    proc_target t = {.kind = PROC_NOTHING};
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)pid, fd);
    const ssize_t n = fd < 0 ? -1 : proc_link(pid, AT_FDCWD, link, path, sizeof path);
    if (n < 0)
        return t;
    set_path(&t, path, (size_t)n);
    t.kind = PROC_FILE;
    if (text_starts(path, "pipe:[")) {
        t.kind = PROC_PIPE;
        t.ino = strtoull(path + strlen("pipe:["), NULL, 10);
    } else if (text_starts(path, "socket:")) {
        t.kind = PROC_SOCKET;
    } else if (*path == '/') {
        find_kind(pid, fd, link, &t);
    }
    return t;
}

/* ---- more about one ----------------------------------------------------------------------------- */

pid_t proc_tracer(pid_t pid)
{
    char text[2048];
    int tracer = 0;
    const char *line = slurp_freely(pid, "status", text, sizeof text) ? strstr(text, "\nTracerPid:") : NULL;
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
    const bool there = proc_read(pid, &p);
    return (proc_work){read_bytes, read_bytes + written + (there ? p.ticks : 0), there && p.state == 'R'};
}
