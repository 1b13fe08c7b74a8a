#include "command/guard.h"

#include "common/io.h"
#include "common/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum word { WORD_GROUP = 'g', WORD_RELEASE = 'r', WORD_END = 'e' } word;

typedef struct message {
    word word;
    pid_t group;
} message;

enum { FD_WORDS = 0, FD_PIPE = 1, ENDING_MAX = 16 };

static ssize_t next_message(message *m)
{
    ssize_t n;
    while ((n = read(FD_WORDS, m, sizeof *m)) < 0 && errno == EINTR)
        ;
    return n;
}

/* Holds nothing open but what it is for; no signal but KILL and STOP reaches it.  Async-signal-safe calls only: a
 * thread of ours may have held any lock when we forked. */
static _Noreturn void watch_over(int words, int pipe, void (*orphaned)(void *arg), void *arg)
{
    message m;
    pid_t group = 0;
    setpgid(0, 0);
    prctl(PR_SET_NAME, "mpp-guard");
    prctl(PR_SET_PDEATHSIG, 0);
    int keep = fcntl(pipe, F_DUPFD, 3); /* -1 stays -1: nothing to hold */
    if (words != FD_WORDS && io_dup(words, FD_WORDS, 0) < 0)
        _exit(1);
    if (keep < 0 || io_dup(keep, FD_PIPE, 0) < 0)
        close(FD_PIPE);
    close(STDERR_FILENO);
    closefrom(3);
    while (next_message(&m) == sizeof m) {
        if (m.word == WORD_GROUP)
            group = m.group;
        else if (m.word == WORD_RELEASE)
            close(FD_PIPE);
        else
            _exit(0);
    }
    if (group)
        kill(-group, SIGKILL);
    if (orphaned)
        orphaned(arg);
    _exit(0);
}

/* ---- our side ------------------------------------------------------------------------------------ */

/* Those that were told to end.  Nobody waits for them; who has ended is reaped when the next one is started or ends.
 * One that is stopped may stay, and where there are too many of these the oldest is forgotten: init reaps it after
 * us. */
static pid_t ending[ENDING_MAX];
static unsigned n_ending;

static void reap_ending(void)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n_ending; i++)
        if (signals_reap(ending[i], NULL) == 0)
            ending[kept++] = ending[i];
    n_ending = kept;
}

static void remember_ending(pid_t pid)
{
    if (n_ending == ENDING_MAX)
        memmove(ending, ending + 1, --n_ending * sizeof *ending);
    ending[n_ending++] = pid;
}

int guard_start(guard *g, int pipe, void (*orphaned)(void *arg), void *arg)
{
    int ends[2];
    reap_ending();
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* our handlers are not for it */
    pid_t pid = fork();
    if (pid == 0)
        watch_over(ends[0], pipe, orphaned, arg);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        errno = saved;
        return -1;
    }
    *g = (guard){pid, ends[1]};
    return 0;
}

static int send_word(const guard *g, word what, pid_t group)
{
    message m = {what, group};
    ssize_t n = 0;
    while (g->pid && (n = write(g->words, &m, sizeof m)) < 0 && errno == EINTR)
        ;
    return n < 0 ? -1 : 0;
}

int guard_me(const guard *g)
{
    return send_word(g, WORD_GROUP, getpid());
}

/* One that somebody has stopped must hear, too. */
static void wake_and_send(const guard *g, word what)
{
    send_word(g, what, 0);
    if (g->pid)
        kill(g->pid, SIGCONT);
}

void guard_release(const guard *g)
{
    wake_and_send(g, WORD_RELEASE);
}

void guard_end(guard *g)
{
    if (!g->pid)
        return;
    wake_and_send(g, WORD_END);
    close(g->words);
    remember_ending(g->pid);
    reap_ending();
    g->pid = 0;
}
