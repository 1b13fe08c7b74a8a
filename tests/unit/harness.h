/* harness.h - what several tests of the library need: a place of their own, meshes, processes, a watchdog
 *
 *     harness_begin(60);                   /dev/shm and the socket directory are ours alone; 60 s, then it fails
 *     mpp_mesh *m = harness_mesh(&o);      what cannot fail in a sane world ends the program with a message
 *     ok(harness_left() == 0, "...");      no segment, socket or directory is left
 *     harness_end();
 *
 * Where this user may not mount, /dev/shm is shared with others, and only directories are counted. */
#ifndef HARNESS_H
#define HARNESS_H

#include "mpp.h"
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HARNESS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HARNESS_SANITIZED 1
#endif
#ifndef HARNESS_SANITIZED
#define HARNESS_SANITIZED 0
#endif

/* How often, when a sanitizer makes everything that much slower. */
#define SCALED(n, divisor) (HARNESS_SANITIZED ? (n) / (divisor) : (n))

static struct {
    char directory[48];
    bool private_shm;
    pid_t owner;
    const char *step; /* what the watchdog says was going on */
    int64_t since;    /* the watchdog looks on, */
    unsigned seconds; /* and for so long, where nobody else keeps the machine busy */
} harness;

__attribute__((format(printf, 1, 2), noreturn)) static inline void bail_out(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("Bail out! ", stdout);
    vprintf(format, ap);
    putchar('\n');
    fflush(stdout);
    va_end(ap);
    _exit(1);
}

/* ---- the watchdog ---------------------------------------------------------------------------------- */

/* How many there were to run for each processor in the last minute; at least 1. */
static inline double harness_load(void)
{
    struct sysinfo machine;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    double load = sysinfo(&machine) == 0 ? (double)machine.loads[0] / 65536 / (double)processors : 1;
    return load > 1 ? load : 1;
}

/* Seconds that are left, when it goes on as in the last minute. */
static inline int64_t harness_patience(void)
{
    return (int64_t)(harness.seconds * harness_load()) - (mpp_now() - harness.since) / 1000000000;
}

static inline void harness_barked(int number)
{
    static const char text[] = "not ok - the watchdog: it hangs in: ";
    const int64_t patience = harness_patience();
    (void)number;
    if (patience > 0) {
        alarm((unsigned)patience);
        return;
    }
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
        write(STDOUT_FILENO, harness.step, strlen(harness.step)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

/* From here on it may take so long, ten times that under a sanitizer, and longer where the machine is busy.
 * Children of a fork have no watchdog, but a parent that has. */
static inline void watchdog(unsigned seconds, const char *step)
{
    harness.step = step;
    harness.since = mpp_now();
    harness.seconds = HARNESS_SANITIZED ? 10 * seconds : seconds;
    signal(SIGALRM, harness_barked);
    alarm(harness.seconds);
}

/* ---- a place of our own ---------------------------------------------------------------------------- */

static inline bool harness_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

static inline bool harness_unshare(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    harness_write("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    bool mapped = harness_write("/proc/self/gid_map", map);
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    return harness_write("/proc/self/uid_map", map) && mapped;
}

/* Where the suite wants it (scripts/world), else where addresses of sockets are short. */
static inline void harness_directory(const char *prefix)
{
    const char *world = getenv("MPP_WORLD");
    snprintf(harness.directory, sizeof harness.directory, "%s/%s-XXXXXX", world ? world : "/tmp", prefix);
}

static inline void harness_begin(unsigned seconds)
{
    harness.owner = getpid();
    harness.private_shm = harness_unshare() && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
                          mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
    harness_directory("mppu");
    if (!mkdtemp(harness.directory))
        bail_out("mkdtemp: %s", strerror(errno));
    setenv("TMPDIR", harness.directory, 1);
    unsetenv("XDG_RUNTIME_DIR");
    watchdog(seconds, "setting up");
}

static inline unsigned harness_entries(const char *directory, const char *prefix, bool tell)
{
    unsigned n = 0;
    DIR *d = opendir(directory);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strncmp(e->d_name, prefix, strlen(prefix)))
            continue;
        if (tell)
            diag("left: %s/%s", directory, e->d_name);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

/* How many segments and socket directories there are; named when `tell`. */
static inline unsigned harness_count(bool tell)
{
    unsigned n = harness_entries(harness.directory, "", tell);
    return harness.private_shm ? n + harness_entries("/dev/shm", "mpp_", tell) : n;
}

static inline unsigned harness_left(void)
{
    return harness_count(true);
}

static inline void harness_end(void)
{
    alarm(0);
    ok(harness_left() == 0, "nothing is left in /dev/shm nor in the directory for sockets");
    rmdir(harness.directory);
}

/* ---- meshes and endpoints -------------------------------------------------------------------------- */

static inline mpp_mesh *harness_mesh(const mpp_mesh_options *o)
{
    mpp_mesh *m = NULL;
    mpp_error err;
    if (mpp_mesh_create(o, &m, &err) < 0)
        bail_out("cannot make a mesh: %s", err.text);
    return m;
}

/* 1 x 1, one stream of lines, the smallest ring. */
static inline mpp_mesh_options harness_smallest(void)
{
    return (mpp_mesh_options){.producers = 1, .consumers = 1, .ring_size = 64 << 10};
}

/* What opening it says; *err is filled in by either outcome. */
static inline mpp_status harness_try_open(const char *id, mpp_error *err)
{
    mpp_mesh *m = NULL;
    *err = (mpp_error){.status = MPP_S_DONE};
    if (mpp_mesh_open(id, &m, err) == 0)
        mpp_mesh_close(&m);
    return err->status;
}

static inline mpp_mesh *harness_open(const char *id)
{
    mpp_mesh *m = NULL;
    mpp_error err;
    if (mpp_mesh_open(id, &m, &err) < 0)
        bail_out("cannot open a mesh: %s", err.text);
    return m;
}

static inline mpp_producer *harness_producer(mpp_mesh *m, int index, unsigned runs)
{
    mpp_producer *p = NULL;
    mpp_error err;
    if (mpp_producer_attach(m, &(mpp_attach_options){.index = index, .runs = runs}, &p, &err) < 0)
        bail_out("cannot attach producer %d: %s", index, err.text);
    return p;
}

static inline mpp_consumer *harness_consumer(mpp_mesh *m, int index)
{
    mpp_consumer *c = NULL;
    mpp_error err;
    if (mpp_consumer_attach(m, &(mpp_attach_options){.index = index}, &c, &err) < 0)
        bail_out("cannot attach consumer %d: %s", index, err.text);
    return c;
}

/* The mesh's cause, or "none". */
static inline const char *harness_cause(const mpp_mesh *m)
{
    static mpp_error cause;
    return mpp_mesh_cause(m, &cause) ? cause.text : "none";
}

/* ---- processes ------------------------------------------------------------------------------------- */

/* Run f(arg) in a child, which ends with what it returns (no exit handlers: those are the parent's). */
static inline pid_t harness_fork(int (*f)(void *arg), void *arg)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        bail_out("fork: %s", strerror(errno));
    if (pid == 0) {
        int status = f(arg);
        fflush(stdout);
        _exit(status);
    }
    return pid;
}

/* Its exit status, or 128 + the signal's number. */
static inline int harness_reap(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            bail_out("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What is promised within so long, on this machine at this moment: where others keep it busy all that processes do
 * takes longer, and this may as much longer as a chain of processes, which is done in 4 ms where nobody does. */
static inline int64_t harness_late(int64_t promised)
{
    int64_t took[9], swap;
    for (unsigned n = 0; n < 9; n++) {
        const int64_t begin = mpp_now();
        if (system("sleep 0 | cat | cat") != 0)
            bail_out("no chain of processes");
        took[n] = mpp_now() - begin;
        for (unsigned i = n; i > 0 && took[i] < took[i - 1]; i--) {
            swap = took[i];
            took[i] = took[i - 1];
            took[i - 1] = swap;
        }
    }
    return took[4] > 4000000 ? (int64_t)((double)promised * (double)took[4] / 4e6) : promised;
}

/* ---- bytes that grow ------------------------------------------------------------------------------- */

/* Producer 0 and consumer 0 attach, ask for nothing, and leave. */
static inline void harness_come_and_go(mpp_mesh *m)
{
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_consumer_detach(&c);
    mpp_service(p);
    mpp_producer_detach(&p);
}

typedef struct bytes {
    unsigned char *data;
    size_t n, room;
} bytes;

static inline void bytes_add(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->data = realloc(b->data, b->room);
        if (!b->data)
            bail_out("no memory");
    }
    if (n > 0)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline bool bytes_equal(const bytes *a, const bytes *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->data, b->data, a->n) == 0);
}

static inline void bytes_free(bytes *b)
{
    free(b->data);
    *b = (bytes){0};
}

#endif
