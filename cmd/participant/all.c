#include "participant/all.h"

#include "common/cli.h"
#include "common/io.h"
#include "common/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Has one of all told of the mesh's failure?  In memory that they share; NULL: each tells for itself. */
static atomic_flag *told_of_mesh;

static void share_told(void)
{
    told_of_mesh = mmap(NULL, sizeof *told_of_mesh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told_of_mesh == MAP_FAILED)
        told_of_mesh = NULL;
}

bool all_tell(void)
{
    return !told_of_mesh || !atomic_flag_test_and_set(told_of_mesh);
}

static void signal_all(const pid_t *pids, unsigned n, int sig)
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
static void worker_ended(pid_t *pids, unsigned n, unsigned i, int how, int *status, all_known *known, void *arg)
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
        signal_all(pids, n, SIGTERM); /* it never got as far as the mesh, so the others would not learn of it */
}

static bool any_left(const pid_t *pids, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (pids[i] > 0)
            return true;
    return false;
}

/* Workers end by themselves when their mesh does; here we only wait for SIGCHLD, or to be told something, which we pass
 * on.  Other children, of a program that became us by exec, are none of our business. */
static void supervise(pid_t *pids, unsigned n, int *status, all_known *known, void *arg)
{
    unsigned told = 0;
    while (true) {
        int sig = signals_caught(); /* before we look: what comes later wakes us */
        if (told != signals_times())
            signal_all(pids, n, sig);
        told = signals_times();
        for (unsigned i = 0; i < n; i++) {
            int how;
            if (pids[i] > 0 && signals_reap(pids[i], &how) == pids[i])
                worker_ended(pids, n, i, how, status, known, arg);
        }
        if (!any_left(pids, n))
            return;
        poll(&(struct pollfd){.fd = signals_fd(), .events = POLLIN}, 1, -1);
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

int all_fork(unsigned n, int *status, all_known *known, void *arg)
{
    pid_t parent = getpid(), *pids = calloc(n, sizeof *pids);
    *status = 0;
    share_told();
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
            mpp_error err;
            io_error(&err, errno, "cannot start process %u of %u", i + 1, n);
            cli_warn("%s", err.text);
            *status = MPP_S_ERROR;
            signal_all(pids, n, SIGTERM);
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
