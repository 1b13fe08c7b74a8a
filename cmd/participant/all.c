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

/* In memory that all share; NULL: each tells for itself, and nobody draws for all. */
static struct told {
    atomic_flag of_mesh; /* one of all has told of the mesh's failure */
    progress_share shares[MPP_PARTICIPANTS_MAX];
} * told;

static void share_told(void)
{
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED)
        told = NULL;
    for (unsigned i = 0; told && i < MPP_PARTICIPANTS_MAX; i++)
        atomic_init(&told->shares[i].total, PROGRESS_NOT_BEGUN);
}

bool all_tell(void)
{
    return !told || !atomic_flag_test_and_set(&told->of_mesh);
}

progress_share *all_share(unsigned i)
{
    return told ? &told->shares[i] : NULL;
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
static void supervise(pid_t *pids, unsigned n, progress *drawn, int *status, all_known *known, void *arg)
{
    unsigned heard = 0;
    while (true) {
        int sig = signals_caught(); /* before we look: what comes later wakes us */
        if (heard != signals_times())
            signal_all(pids, n, sig);
        heard = signals_times();
        for (unsigned i = 0; i < n; i++) {
            int how;
            if (pids[i] > 0 && signals_reap(pids[i], &how) == pids[i])
                worker_ended(pids, n, i, how, status, known, arg);
        }
        if (!any_left(pids, n))
            return;
        if (told)
            progress_update_all(drawn, told->shares, n);
        const int64_t next = progress_next(drawn), left = (next - mpp_now()) / 1000000 + 1;
        poll(&(struct pollfd){.fd = signals_fd(), .events = POLLIN}, 1, !next ? -1 : left > 0 ? (int)left : 0);
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

int all_fork(unsigned n, const char *who, int *status, all_known *known, void *arg)
{
    progress drawn = PROGRESS_INIT;
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
    if (who && told)
        progress_start(&drawn, who, -1);
    supervise(pids, n, &drawn, status, known, arg);
    if (told)
        progress_end_all(&drawn, told->shares, n);
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
