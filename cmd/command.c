#include "command.h"

#include "io.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127, STATUS_SIGNAL = 128 };

/* What parent and child need while a command is started. */
typedef struct start {
    char *const *argv;
    const char *const *env;
    command_pipe which;
    int input;    /* as command.input */
    int theirs;   /* their end of the pipe */
    int report;   /* takes the errno of what failed before exec; closed by exec */
    pid_t parent; /* us */
    guard guard;
    sigset_t mask; /* ours, which is the one that we were started with */
} start;

/* ---- in the child ------------------------------------------------------------------------------- */

static int give(int fd, int as)
{
    return fd == as ? fcntl(fd, F_SETFD, 0) : io_dup(fd, as, 0);
}

static int give_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : give(fd, STDIN_FILENO);
}

static int give_input(int input)
{
    if (input == COMMAND_STDIN_OURS)
        return 0;
    return input == COMMAND_STDIN_NULL ? give_null() : give(input, STDIN_FILENO);
}

static int give_descriptors(const start *s)
{
    int given = s->which == COMMAND_WRITE ? give(s->theirs, STDIN_FILENO) : give_input(s->input);
    if (given >= 0 && s->which == COMMAND_READ)
        given = give(s->theirs, STDOUT_FILENO);
    io_inherit(STDIN_FILENO);
    io_inherit(STDOUT_FILENO);
    return given;
}

/* The kernel kills it when we die; but not when we are dead already. */
static int die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -1;
    if (getppid() != parent)
        raise(SIGKILL);
    return 0;
}

static _Noreturn void child(const start *s)
{
    signals_restore();
    if (setpgid(0, 0) == 0 && die_with(s->parent) == 0 && give_descriptors(s) >= 0 && guard_me(&s->guard) == 0) {
        for (const char *const *e = s->env; e && *e; e++)
            putenv((char *)*e);
        sigprocmask(SIG_SETMASK, &s->mask, NULL);
        execvp(s->argv[0], s->argv);
    }
    int failure = errno;
    while (write(s->report, &failure, sizeof failure) < 0 && errno == EINTR)
        ;
    _exit(STATUS_NOT_FOUND);
}

/* ---- starting ----------------------------------------------------------------------------------- */

/* Signals are held back until the group is known to signals.c, so that none of them misses it, and until the
 * child has left our handlers behind. */
static pid_t fork_child(start *s)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &s->mask);
    s->parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child(s);
    if (pid > 0) {
        setpgid(pid, pid); /* here too: whoever is first */
        if (signals_add(pid) < 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            pid = -1;
        }
    }
    int saved = errno;
    sigprocmask(SIG_SETMASK, &s->mask, NULL);
    errno = saved;
    return pid;
}

static void wait_for(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
}

/* 0 when exec succeeded, else the errno of what failed. */
static int read_report(int fd)
{
    int failure = 0;
    ssize_t n;
    while ((n = read(fd, &failure, sizeof failure)) < 0 && errno == EINTR)
        ;
    return n == sizeof failure ? failure : 0;
}

static void discard(pid_t pid)
{
    kill(-pid, SIGKILL);
    wait_for(pid, NULL);
    signals_remove(pid);
}

/* Fork and exec.  The pid, or -1 with *err. */
static pid_t launch(start *s, const int report[2], mpp_error *err)
{
    pid_t pid = fork_child(s);
    int failure = errno;
    close(report[1]);
    if (pid < 0)
        return io_error(err, failure, "cannot start '%s'", s->argv[0]);
    failure = read_report(report[0]);
    if (failure == 0)
        return pid;
    discard(pid);
    io_error(err, failure, "cannot run '%s'", s->argv[0]);
    if (err)
        err->status = (mpp_status)(failure == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
    return -1;
}

static pid_t launch_with_report(start *s, mpp_error *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return io_error(err, errno, "cannot start '%s'", s->argv[0]);
    s->report = report[1];
    pid_t pid = launch(s, report, err);
    close(report[0]);
    return pid;
}

/* The command runs: watch it.  Takes over pid and fd. */
static int adopt(command *c, const start *s, pid_t pid, int fd, const char *text, mpp_error *err)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
    if (pidfd < 0) {
        io_error(err, errno, "cannot watch '%s'", text);
        discard(pid);
        close(fd);
        return -1;
    }
    *c = (command){.input = c->input, .fd = fd, .pidfd = pidfd, .pid = pid, .guard = s->guard, .which = s->which};
    memcpy(c->text, text, sizeof c->text);
    return 0;
}

static int spawn(command *c, char *const argv[], command_pipe which, const char *const env[], const char *text,
                 mpp_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return io_error(err, errno, "cannot start '%s'", argv[0]);
    int ours = which == COMMAND_READ ? ends[0] : ends[1];
    int theirs = which == COMMAND_READ ? ends[1] : ends[0];
    io_enlarge(ours);
    fcntl(ours, F_SETFL, O_NONBLOCK); /* each end of a new pipe is a description of its own */
    start s = {.argv = argv, .env = env, .which = which, .input = c->input, .theirs = theirs};
    pid_t pid = -1;
    if (guard_start(&s.guard, which == COMMAND_WRITE ? ours : -1) < 0)
        io_error(err, errno, "cannot start '%s'", argv[0]);
    else
        pid = launch_with_report(&s, err);
    close(theirs);
    if (pid > 0 && adopt(c, &s, pid, ours, text, err) == 0)
        return 0;
    if (pid < 0)
        close(ours);
    guard_end(&s.guard);
    return -1;
}

/* For messages: the words with spaces between, on one line. */
static void describe(char text[COMMAND_TEXT_MAX], char *const words[])
{
    size_t n = 0;
    text[0] = '\0';
    for (; *words && n < COMMAND_TEXT_MAX; words++)
        n += (size_t)snprintf(text + n, COMMAND_TEXT_MAX - n, "%s%s", n ? " " : "", *words);
    if (n >= COMMAND_TEXT_MAX)
        memcpy(text + COMMAND_TEXT_MAX - sizeof "...", "...", sizeof "...");
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

int command_spawn(command *c, char *const argv[], command_pipe which, const char *const env[], mpp_error *err)
{
    char text[COMMAND_TEXT_MAX];
    describe(text, argv);
    return spawn(c, argv, which, env, text, err);
}

int command_shell(command *c, const char *shell_command, command_pipe which, const char *const env[], mpp_error *err)
{
    char text[COMMAND_TEXT_MAX];
    char *words[] = {(char *)shell_command, NULL};
    describe(text, words);
    char *argv[] = {"sh", "-c", "--", (char *)shell_command, NULL};
    return spawn(c, argv, which, env, text, err);
}

/* ---- its end ------------------------------------------------------------------------------------ */

static void ended(command *c, int status)
{
    c->status = status;
    c->ended = true;
    c->kill_at = 0;
    signals_remove(c->pid);
    c->pid = 0;
    close(c->pidfd);
    c->pidfd = -1;
}

/* It has ended, or is about to.  The guard goes first: while the command is not reaped its group's number is its own. */
static void reap(command *c)
{
    int status = MPP_S_ERROR << 8; /* what stands when somebody else has reaped it: a failure */
    siginfo_t info;
    while (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    guard_end(&c->guard);
    wait_for(c->pid, &status);
    ended(c, status);
}

bool command_reap(command *c)
{
    if (c->pid == 0)
        return true;
    siginfo_t info = {0};
    int known;
    while ((known = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT)) < 0 && errno == EINTR)
        ;
    if (known == 0 && info.si_pid == 0)
        return false;
    reap(c);
    return true;
}

void command_close_pipe(command *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        guard_release(&c->guard);
    }
    c->fd = -1;
}

void command_stop(command *c)
{
    if (c->which == COMMAND_READ)
        command_close_pipe(c); /* first: what gets SIGTERM and finds its output closed knows that we have enough */
    if (!command_reap(c) && !c->stopped) {
        c->stopped = true;
        c->kill_at = mpp_now() + COMMAND_GRACE_MS * INT64_C(1000000);
        kill(-c->pid, SIGTERM);
        kill(-c->pid, SIGCONT);
    }
}

int64_t command_kill_at(const command *c)
{
    return c->kill_at;
}

void command_kill(command *c)
{
    if (command_reap(c))
        return;
    c->stopped = true;
    c->kill_at = 0;
    kill(-c->pid, SIGKILL);
}

void command_close(command *c)
{
    command_kill(c);
    if (c->pid)
        reap(c);
    command_close_pipe(c);
}

/* ---- how it ended ------------------------------------------------------------------------------- */

int command_exit_status(const command *c)
{
    if (!c->ended)
        return -1;
    return WIFSIGNALED(c->status) ? STATUS_SIGNAL + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

int command_failure(const command *c)
{
    int status = command_exit_status(c);
    return status > 0 ? status : MPP_S_ERROR;
}

const char *command_status_text(const command *c, char *buf, size_t size)
{
    if (!c->ended)
        snprintf(buf, size, "'%s' is running", c->text);
    else if (WIFSIGNALED(c->status))
        snprintf(buf, size, "'%s' was killed by signal %d (%s)", c->text, WTERMSIG(c->status),
                 strsignal(WTERMSIG(c->status)));
    else
        snprintf(buf, size, "'%s' exited with status %d", c->text, WEXITSTATUS(c->status));
    return buf;
}

bool command_ok(const command *c, const ok_list *list)
{
    return c->ended && (c->stopped || list->ok[command_exit_status(c)]);
}

int ok_parse(ok_list *list, const char *text)
{
    ok_list parsed = {{false}};
    for (const char *p = text;; p++) {
        char *after;
        if (*p < '0' || *p > '9')
            return -1;
        unsigned long status = strtoul(p, &after, 10);
        if (status > 255)
            return -1;
        parsed.ok[status] = true;
        p = after;
        if (*p == '\0')
            break;
        if (*p != ',')
            return -1;
    }
    *list = parsed;
    return 0;
}
