/* timed - run one job of a benchmark, and say what it cost
 *
 *   timed SECONDS REPORT COMMAND
 *
 * Runs `sh -c COMMAND` and writes a line to the file REPORT: seconds from start to end, seconds of CPU as user and as
 * system, the largest resident set of any of its processes in KiB.  Exits with COMMAND's status, 128 and the signal's
 * number when one ended it, or 124 when it took longer than SECONDS.
 *
 * All that the command starts becomes our child when its parent dies, however it detached itself.  So nothing outlives
 * the job, its CPU time is complete, and what has to be killed is found by who its parent is, not by its name. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMED_OUT = 124, REST_MS = 2000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "timed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static pid_t start(const char *command, const sigset_t *mask)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    sigprocmask(SIG_SETMASK, mask, NULL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Reap who has died; false: nobody is left.  *status becomes the shell's when it is among them. */
static bool reap(pid_t shell, int *status)
{
    int s;
    pid_t pid;
    while ((pid = waitpid(-1, &s, WNOHANG)) > 0)
        if (pid == shell)
            *status = exit_status(s);
    return pid == 0;
}

/* Until the shell has ended, or nobody is left when shell is 0.  0: so it is, else the signal that told us to stop, or
 * SIGALRM when it took too long. */
static int wait_for(pid_t shell, double deadline, const sigset_t *signals, int *status)
{
    for (;;) {
        if (!reap(shell, status) || (shell && *status >= 0))
            return 0;
        double left = deadline - now();
        if (left <= 0)
            return SIGALRM;
        struct timespec t = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        int sig = sigtimedwait(signals, NULL, &t);
        if (sig > 0 && sig != SIGCHLD)
            return sig;
    }
}

static void kill_children(void)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(name, "re");
    if (!f)
        die(name);
    int pid;
    while (fscanf(f, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    fclose(f);
}

/* The children of those that we kill become ours, until there are none. */
static void kill_all(const sigset_t *signals)
{
    int ignored;
    while (reap(0, &ignored)) {
        kill_children();
        sigtimedwait(signals, NULL, &(struct timespec){.tv_nsec = 10 * 1000 * 1000});
    }
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void report(const char *name, double wall)
{
    struct rusage r;
    FILE *f = fopen(name, "we");
    if (!f)
        die(name);
    getrusage(RUSAGE_CHILDREN, &r);
    fprintf(f, "%.6f %.6f %.6f %ld\n", wall, seconds(r.ru_utime), seconds(r.ru_stime), r.ru_maxrss);
    if (fclose(f) != 0)
        die(name);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("timed: use timed SECONDS REPORT COMMAND\n", stderr);
        return 2;
    }
    sigset_t signals, mask;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &mask);
    signal(SIGINT, SIG_DFL); /* a shell that has us in its background would have it ignored */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        die("prctl");

    int status = -1;
    double begin = now();
    pid_t shell = start(argv[3], &mask);
    int stopped = wait_for(shell, begin + strtod(argv[1], NULL), &signals, &status);
    double wall = now() - begin;
    /* Who is on its way out may go on for a moment. */
    if (!stopped)
        stopped = wait_for(0, now() + REST_MS / 1e3, &signals, &(int){-1}) == 0 ? 0 : -1;
    if (stopped) {
        kill_all(&signals);
        if (stopped == -1) {
            fputs("timed: the command has ended, but not all that it started\n", stderr);
            return 1;
        }
        return stopped == SIGALRM ? TIMED_OUT : 128 + stopped;
    }
    report(argv[2], wall);
    return status;
}
