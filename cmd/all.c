#include "all.h"

#include "cli.h"
#include "signals.h"

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

/* Watch it no longer. */
static void forget(struct pollfd *set, const pid_t *pids, unsigned n, pid_t pid)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] == pid && set[i].fd >= 0) {
            close(set[i].fd);
            set[i].fd = -1;
        }
}

/* One worker less; remember how the first one failed, and end the rest then. */
static void ended(pid_t *pids, unsigned n, pid_t pid, int how, int *status, bool (*known)(void *arg), void *arg)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] == pid)
            pids[i] = 0;
    int code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    if (code == 0 || *status != 0)
        return;
    *status = code;
    if (WIFSIGNALED(how) && !signals_caught())
        cli_warn("process %d was killed by signal %d (%s)", (int)pid, WTERMSIG(how), strsignal(WTERMSIG(how)));
    else if (!WIFSIGNALED(how) && !known(arg))
        tell(pids, n, SIGTERM); /* it never got as far as the mesh, so the others would not learn of it */
}

/* Workers end by themselves when their mesh does; here we only wait, for one of them to end or to be told something. */
static void supervise(pid_t *pids, unsigned n, int *status, bool (*known)(void *arg), void *arg)
{
    struct pollfd *set = calloc(n + 1, sizeof *set);
    unsigned left = 0;
    bool told = false;
    if (!set)
        return;
    for (unsigned i = 0; i < n; i++) {
        set[i] = (struct pollfd){.fd = pids[i] > 0 ? (int)syscall(SYS_pidfd_open, pids[i], 0) : -1, .events = POLLIN};
        left += pids[i] > 0;
    }
    while (left) {
        set[n] = (struct pollfd){.fd = told ? -1 : signals_fd(), .events = POLLIN};
        poll(set, n + 1, -1);
        if (signals_caught() && !told) {
            tell(pids, n, signals_caught());
            told = true;
        }
        for (int how; left; left--) {
            pid_t pid = waitpid(-1, &how, WNOHANG);
            if (pid <= 0)
                break;
            forget(set, pids, n, pid);
            ended(pids, n, pid, how, status, known, arg);
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

int all_fork(unsigned n, int *status, bool (*known)(void *arg), void *arg)
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
