#include "guard.h"

#include "io.h"

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

enum { FD_WORDS = 0, FD_PIPE = 1 };

static ssize_t next(message *m)
{
    ssize_t n;
    while ((n = read(FD_WORDS, m, sizeof *m)) < 0 && errno == EINTR)
        ;
    return n;
}

/* Holds nothing open but what it is for; no signal but KILL and STOP reaches it. */
static _Noreturn void watch_over(int words, int pipe)
{
    sigset_t all;
    message m;
    pid_t group = 0;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
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
    while (next(&m) == sizeof m) {
        if (m.word == WORD_GROUP)
            group = m.group;
        else if (m.word == WORD_RELEASE)
            close(FD_PIPE);
        else
            _exit(0);
    }
    if (group)
        kill(-group, SIGKILL);
    _exit(0);
}

static void close_both(const int ends[2])
{
    int saved = errno;
    close(ends[0]);
    close(ends[1]);
    errno = saved;
}

/* The guard has let go of everything that it inherited: nobody's pipe stays open because of it. */
static void wait_for_end(int fd)
{
    char byte;
    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        ;
}

int guard_start(guard *g, int pipe)
{
    int ends[2], ready[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    if (pipe2(ready, O_CLOEXEC) < 0) {
        close_both(ends);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0)
        watch_over(ends[0], pipe);
    int saved = errno;
    close(ends[0]);
    close(ready[1]);
    if (pid > 0)
        wait_for_end(ready[0]);
    close(ready[0]);
    if (pid < 0) {
        close(ends[1]);
        errno = saved;
        return -1;
    }
    *g = (guard){pid, ends[1]};
    return 0;
}

static int say(const guard *g, word what, pid_t group)
{
    message m = {what, group};
    ssize_t n = 0;
    while (g->pid && (n = write(g->words, &m, sizeof m)) < 0 && errno == EINTR)
        ;
    return n < 0 ? -1 : 0;
}

int guard_me(const guard *g)
{
    return say(g, WORD_GROUP, getpid());
}

void guard_release(const guard *g)
{
    say(g, WORD_RELEASE, 0);
}

void guard_end(guard *g)
{
    if (!g->pid)
        return;
    say(g, WORD_END, 0);
    close(g->words);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g->pid = 0;
}
