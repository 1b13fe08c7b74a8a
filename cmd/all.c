#include "all.h"

#include "cli.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const pid_t *pids, unsigned n, int sig)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] > 0)
            kill(pids[i], sig);
}

/* The status of one that was told of another's failure. */
static bool learned(int code)
{
    return code == MPP_S_FAILED || code == MPP_S_DIED;
}

/* Worker i is no more; remember how the first one failed, rather one that failed by itself. */
static void ended(pid_t *pids, unsigned n, unsigned i, int how, int *status, all_known *known, void *arg)
{
    pid_t pid = pids[i];
    pids[i] = 0;
    int code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    if (code == 0 || (*status != 0 && !(learned(*status) && !learned(code))))
        return;
    *status = code;
    if (WIFSIGNALED(how) && !signals_caught())
        cli_warn("process %d was killed by signal %d (%s)", (int)pid, WTERMSIG(how), strsignal(WTERMSIG(how)));
    if (!known(arg, i, WIFSIGNALED(how)))
        tell(pids, n, SIGTERM); /* it never got as far as the mesh, so the others would not learn of it */
}

/* A descriptor for each that tells of its end.  Without one we cannot work: those that have none are ended, and waited
 * for here. */
static void watch(struct pollfd *set, pid_t *pids, unsigned n, int *status)
{
    for (unsigned i = 0; i < n; i++) {
        set[i] = (struct pollfd){.fd = pids[i] > 0 ? (int)syscall(SYS_pidfd_open, pids[i], 0) : -1, .events = POLLIN};
        if (pids[i] <= 0 || set[i].fd >= 0)
            continue;
        cli_warn("cannot watch process %u of %u: %s (see ulimit -n)", i + 1, n, strerror(errno));
        *status = MPP_S_ERROR;
        tell(pids, n, SIGTERM);
        waitpid(pids[i], NULL, 0);
        pids[i] = 0;
    }
}

static bool any_left(const pid_t *pids, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] > 0)
            return true;
    return false;
}

/* Workers end by themselves when their mesh does; here we only wait, for one of them to end or to be told something.
 * Other children, of a program that became us by exec, are none of our business. */
static void supervise(pid_t *pids, unsigned n, int *status, all_known *known, void *arg)
{
    struct pollfd *set = calloc(n + 1, sizeof *set);
    bool told = false;
    if (!set)
        return;
    watch(set, pids, n, status);
    while (any_left(pids, n)) {
        set[n] = (struct pollfd){.fd = told ? -1 : signals_fd(), .events = POLLIN};
        poll(set, n + 1, -1);
        if (signals_caught() && !told) {
            tell(pids, n, signals_caught());
            told = true;
        }
        for (unsigned i = 0; i < n; i++) {
            int how;
            if (pids[i] <= 0 || waitpid(pids[i], &how, WNOHANG) != pids[i])
                continue;
            close(set[i].fd);
            set[i].fd = -1;
            ended(pids, n, i, how, status, known, arg);
        }
    }
    free(set);
}

static void become_worker(pid_t parent)
{
    mpp_error err;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        raise(SIGTERM);
    if (signals_forked(&err) < 0)
        cli_die(&err);
}

int all_fork(unsigned n, int *status, all_known *known, void *arg)
{
    pid_t parent = getpid(), *pids = calloc(n, sizeof *pids);
    *status = 0;
    if (!pids) {
        cli_warn("no memory for %u processes", n);
        exit(MPP_S_ERROR);
    }
    for (unsigned i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            free(pids);
            become_worker(parent);
            return (int)i;
        }
        if (pids[i] < 0) {
            cli_warn("cannot start process %u of %u: %s", i + 1, n, "out of processes or memory (see ulimit -u)");
            *status = MPP_S_ERROR;
            tell(pids, n, SIGTERM);
            break;
        }
    }
    supervise(pids, n, status, known, arg);
    free(pids);
    return -1;
}

void all_environment(const char *mesh, unsigned index, unsigned count)
{
    char number[12];
    setenv("MPP_MESH", mesh, 1);
    snprintf(number, sizeof number, "%u", index);
    setenv("MPP_INDEX", number, 1);
    snprintf(number, sizeof number, "%u", count);
    setenv("MPP_COUNT", number, 1);
}
