#include "all.h"

#include "cli.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const pid_t *pids, unsigned n, int sig)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] > 0)
            kill(pids[i], sig);
}

/* One worker less; remember how the first one failed, and end the rest then. */
static void ended(pid_t *pids, unsigned n, pid_t pid, int how, int *status)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] == pid)
            pids[i] = 0;
    int code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    if (code == 0 || *status != 0)
        return;
    *status = code;
    if (code != MPP_S_FAILED && code != MPP_S_DIED) /* one that learned of a failure is no reason to interrupt others */
        tell(pids, n, SIGTERM);
}

/* Workers end by themselves when their mesh does; here we only wait, woken by SIGCHLD or by what we are told. */
static void supervise(pid_t *pids, unsigned n, int *status)
{
    int how, sent = 0;
    for (;;) {
        pid_t pid = waitpid(-1, &how, 0);
        if (pid > 0)
            ended(pids, n, pid, how, status);
        else if (errno != EINTR)
            return;
        int sig = signals_caught();
        if (sig && !sent) {
            tell(pids, n, sig);
            sent = sig;
        }
    }
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

int all_fork(unsigned n, int *status)
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
    supervise(pids, n, status);
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
