/* sandbox.h - where scenarios run: a directory, a /dev/shm and an environment of one's own, for one process or several
 *
 * Who runs a scenario inherits what becomes an orphan, so it knows when no process is left; its children are all that
 * it ever signals.  Seeds and counts come from the environment: MPP_SEED, and what each program says. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "records.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static inline int64_t sandbox_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* A number from the environment. */
static inline unsigned sandbox_number(const char *name, unsigned otherwise)
{
    const char *given = getenv(name);
    return given && *given ? (unsigned)strtoul(given, NULL, 10) : otherwise;
}

static inline void sandbox_seed(void)
{
    tap.random = sandbox_number("MPP_SEED", (unsigned)time(NULL));
    diag("replay with MPP_SEED=%u", (unsigned)tap.random);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static inline bytes sandbox_read(const char *name)
{
    bytes b = {0};
    unsigned char chunk[65536];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, chunk, sizeof chunk)) > 0;)
        bytes_add(&b, chunk, (size_t)n);
    if (fd >= 0)
        close(fd);
    return b;
}

static inline void sandbox_file(const char *name, const void *data, size_t n, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        bail_out("cannot write %s", name);
    close(fd);
}

/* ---- a place ----------------------------------------------------------------------------------------- */

static inline void sandbox_script(const char *name, const char *text)
{
    sandbox_file(name, text, strlen(text), 0755);
}

/* The tools that were built along with us come first. */
static inline void sandbox_path(void)
{
    char self[512], path[2048];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    for (unsigned up = 0; up < 3; up++) /* tests/fault/NAME */
        if (strrchr(self, '/'))
            *strrchr(self, '/') = 0;
    snprintf(path, sizeof path, "%s:%s", self, getenv("PATH"));
    setenv("PATH", path, 1);
}

/* After harness_begin(): the working directory, with the inputs; sockets go into a directory below. */
static inline void sandbox_begin(void)
{
    static char sockets[sizeof harness.directory + 2];
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (chdir(harness.directory) < 0 || mkdir("s", 0700) < 0)
        bail_out("%s: %s", harness.directory, strerror(errno));
    snprintf(sockets, sizeof sockets, "%s/s", harness.directory);
    setenv("TMPDIR", sockets, 1);
    sandbox_path();
    setenv("LC_ALL", "C", 1);
    if (HARNESS_SANITIZED) /* the leak checker is a tracer, too, and there can be only one */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    records_make();
    for (unsigned i = 0; i < PRODUCERS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "in.%u", i);
        sandbox_file(name, records_of[i], records_at[i][RECORDS], 0644);
    }
    sandbox_script("give", "#!/bin/sh\nexec cat in.$MPP_INDEX\n");
    sandbox_script("take", "#!/bin/sh\nexec cat >out.$MPP_INDEX\n");
}

/* Remove the files whose names begin so. */
static inline void sandbox_empty(const char *directory, const char *prefix)
{
    DIR *d = opendir(directory);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

static inline void sandbox_end(void)
{
    rmdir("s");
    sandbox_empty(".", "");
    if (chdir("/") < 0 || rmdir(harness.directory) < 0)
        bail_out("%s is left: %s", harness.directory, strerror(errno));
}

/* ---- several at once --------------------------------------------------------------------------------------- */

/* What processes that work together share. */
static inline void *sandbox_shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        bail_out("no memory");
    return p;
}

/* Run work(arg) in n processes, each with a /dev/shm and a directory of its own.  How many of them did not end well. */
static inline unsigned sandbox_workers(unsigned n, unsigned seconds, void (*work)(void *arg), void *arg)
{
    pid_t workers[64];
    unsigned bad = 0;
    fflush(stdout);
    watchdog(seconds + 10, "the workers");
    for (unsigned i = 0; i < n; i++) {
        workers[i] = fork();
        if (workers[i] < 0)
            bail_out("fork: %s", strerror(errno));
        if (workers[i] > 0)
            continue;
        harness_begin(seconds);
        sandbox_begin();
        work(arg);
        sandbox_end();
        fflush(stdout);
        _exit(0);
    }
    for (unsigned i = 0; i < n; i++)
        bad += harness_reap(workers[i]) != 0;
    return bad;
}

#endif
