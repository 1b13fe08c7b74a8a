#include "command/command.h"

#include "command/terminal.h"
#include "common/cli.h"
#include "common/io.h"
#include "common/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127, STATUS_SIGNAL = 128 };

/* What parent and child need while a command is started. */
typedef struct start {
    char *const *argv;
    char **env;
    command_pipe which;
    int input;    /* as command.input */
    int theirs;   /* their end of the pipe */
    int report;   /* takes the errno of what failed before exec; closed by exec */
    pid_t parent; /* us */
    guard guard;
    sigset_t mask; /* ours */
} start;

/* ---- in the child ------------------------------------------------------------------------------- */

/* Async-signal-safe calls only, until exec: a thread of ours may have held any lock when we forked. */

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
    if (setpgid(0, 0) == 0 && die_with(s->parent) == 0 && give_descriptors(s) >= 0 && guard_me(&s->guard) == 0) {
        signals_restore(&s->mask);
        execvpe(s->argv[0], s->argv, s->env);
    }
    int failure = errno;
    while (write(s->report, &failure, sizeof failure) < 0 && errno == EINTR)
        ;
    _exit(STATUS_NOT_FOUND);
}

/* ---- starting ----------------------------------------------------------------------------------- */

static size_t count(const char *const words[])
{
    size_t n = 0;
    while (words && words[n])
        n++;
    return n;
}

static bool sets(const char *const added[], const char *variable)
{
    size_t name = strcspn(variable, "=") + 1;
    for (; added && *added; added++)
        if (strncmp(*added, variable, name) == 0)
            return true;
    return false;
}

/* Ours with what is added, in an array that is the caller's; NULL: no memory. */
static char **environment(const char *const added[])
{
    const char *const *ours = (const char *const *)environ;
    const char **all = malloc((count(ours) + count(added) + 1) * sizeof *all);
    size_t n = 0;
    for (; all && ours && *ours; ours++)
        if (!sets(added, *ours))
            all[n++] = *ours;
    for (; all && added && *added; added++)
        all[n++] = *added;
    if (all)
        all[n] = NULL;
    return (char **)all;
}

/* Signals are held back until the group is known to signals.c, so that none of them misses it, and until the
 * child has left our handlers behind. */
static pid_t fork_child(start *s)
{
    sigset_t all;
    if (!signals_room()) {
        errno = EAGAIN;
        return -1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &s->mask);
    s->parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        child(s);
    int saved = errno;
    if (pid > 0) {
        setpgid(pid, pid); /* here too: whoever is first */
        signals_add(pid);
    }
    pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
    errno = saved;
    return pid;
}

/* The pid, or -1 with errno.  *report: where to hear why it could not be executed. */
static pid_t launch(start *s, int *report)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    s->report = ends[1];
    pid_t pid = fork_child(s);
    int saved = errno;
    close(ends[1]);
    *report = ends[0];
    if (pid < 0)
        close(ends[0]);
    errno = saved;
    return pid;
}

/* As launch(), with a guard. */
static pid_t launch_guarded(start *s, int held, int *report)
{
    if (guard_start(&s->guard, held) < 0)
        return -1;
    pid_t pid = launch(s, report);
    int saved = errno;
    if (pid < 0)
        guard_end(&s->guard);
    errno = saved;
    return pid;
}

static int spawn(command *c, start *s, const char *text, int name_len, mpp_error *err)
{
    int ends[2], report;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return io_error(err, errno, "cannot start '%s'", s->argv[0]);
    int ours = s->which == COMMAND_READ ? ends[0] : ends[1];
    s->theirs = s->which == COMMAND_READ ? ends[1] : ends[0];
    io_enlarge(ours);
    fcntl(ours, F_SETFL, O_NONBLOCK); /* each end of a new pipe is a description of its own */
    pid_t pid = launch_guarded(s, s->which == COMMAND_WRITE ? ours : -1, &report);
    int saved = errno;
    close(s->theirs);
    if (pid < 0) {
        close(ours);
        return io_error(err, saved, "cannot start '%s'", s->argv[0]);
    }
    *c = (command){.input = c->input,
                   .fd = ours,
                   .pid = pid,
                   .guard = s->guard,
                   .report = report,
                   .which = s->which,
                   .looked = signals_children() - 1, /* it may have ended already */
                   .name_len = name_len};
    memcpy(c->text, text, sizeof c->text);
    return 0;
}

static int spawn_with(command *c, char *const argv[], command_pipe which, const char *const env[], const char *text,
                      int name_len, mpp_error *err)
{
    start s = {.argv = argv, .env = environment(env), .which = which, .input = c->input};
    if (!s.env)
        return io_error(err, ENOMEM, "cannot start '%s'", argv[0]);
    int spawned = spawn(c, &s, text, name_len, err);
    free(s.env);
    return spawned;
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
    return spawn_with(c, argv, which, env, text, (int)strnlen(argv[0], COMMAND_TEXT_MAX), err);
}

int command_shell(command *c, const char *shell_command, command_pipe which, const char *const env[], mpp_error *err)
{
    char text[COMMAND_TEXT_MAX];
    char *words[] = {(char *)shell_command, NULL};
    describe(text, words);
    char *argv[] = {"sh", "-c", "--", (char *)shell_command, NULL};
    return spawn_with(c, argv, which, env, text, COMMAND_TEXT_MAX, err);
}

/* The report ends when exec has taken place; what it says is read when the command is reaped. */
bool command_begun(const command *c)
{
    struct pollfd report = {.fd = c->report, .events = POLLIN};
    int said = 0;
    return c->ended || (poll(&report, 1, 0) == 1 && ioctl(c->report, FIONREAD, &said) == 0 && said == 0);
}

/* ---- its end ------------------------------------------------------------------------------------ */

static int read_report(command *c)
{
    int failure = 0;
    ssize_t n;
    while ((n = read(c->report, &failure, sizeof failure)) < 0 && errno == EINTR)
        ;
    close(c->report);
    c->report = -1;
    return n == sizeof failure ? failure : 0;
}

/* While it is not reaped, its group's number is its own: the guard goes before. */
static void let_go(command *c)
{
    terminal_take_back(c->pid, true);
    signals_remove(c->pid);
    guard_end(&c->guard);
    c->not_run = read_report(c);
    c->deadline = 0;
    c->ended = true;
}

static bool is_over(const command *c)
{
    siginfo_t info = {0};
    int known;
    while ((known = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT)) < 0 && errno == EINTR)
        ;
    return known < 0 || info.si_pid != 0;
}

static void collect(command *c)
{
    c->status = MPP_S_ERROR << 8; /* what stands when somebody else has reaped it: a failure */
    let_go(c);
    while (waitpid(c->pid, &c->status, WNOHANG) < 0 && errno == EINTR)
        ;
    c->pid = 0;
}

/* To its group; a command that has moved to another one hears it, too.  0, or the errno of why it did not. */
static int signal_group(const command *c, int sig)
{
    kill(-c->pid, sig);
    return kill(c->pid, getpgid(c->pid) == c->pid ? 0 : sig) < 0 ? errno : 0;
}

static void set_deadline(command *c, int ms)
{
    c->deadline = mpp_now() + ms * INT64_C(1000000);
}

static void give_up(command *c)
{
    int why = signal_group(c, SIGKILL);
    cli_warn("'%s' (pid %d) could not be ended: %s; it goes on by itself", c->text, (int)c->pid,
             why ? strerror(why) : "it does not die of SIGKILL");
    c->status = MPP_S_ERROR << 8;
    let_go(c);
    c->pid = 0;
    command_close_pipe(c);
}

/* It has not obeyed, or a signal wants us to end. */
static void press(command *c)
{
    bool hurry = signals_times() != c->told;
    if (c->killed && mpp_now() >= c->deadline)
        give_up(c);
    else if (!c->killed || hurry)
        command_kill(c);
    if (hurry && c->pid)
        set_deadline(c, COMMAND_HURRY_MS);
    c->told = signals_times();
}

/* Is its time over, or is there a signal that wants us to end? */
static bool overdue(const command *c)
{
    return c->deadline && (mpp_now() >= c->deadline || signals_times() != c->told);
}

static bool changed(const command *c)
{
    return c->pid && c->looked != signals_children();
}

bool command_due(const command *c)
{
    return changed(c) || overdue(c);
}

bool command_reap(command *c)
{
    command_attend(c);
    if (c->pid && is_over(c))
        collect(c);
    return c->pid == 0;
}

void command_close_pipe(command *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        guard_release(&c->guard);
    }
    c->fd = -1;
}

static void begin_end(command *c)
{
    c->told = signals_times();
    set_deadline(c, COMMAND_GRACE_MS);
    signal_group(c, SIGTERM);
    signal_group(c, SIGCONT);
}

void command_stop(command *c)
{
    if (c->which == COMMAND_READ)
        command_close_pipe(c); /* first: what gets SIGTERM and finds its output closed knows that we have enough */
    if (!command_reap(c) && !c->stopped) {
        c->stopped = true;
        begin_end(c);
    }
}

int64_t command_deadline(const command *c)
{
    return changed(c) ? 1 : c->deadline; /* long past */
}

void command_kill(command *c)
{
    if (c->pid == 0 || is_over(c))
        return;
    c->stopped |= !c->no_terminal;
    c->killed = true;
    c->told = signals_times();
    set_deadline(c, COMMAND_KILL_MS);
    signal_group(c, SIGKILL);
}

void command_finish(command *c)
{
    while (!command_reap(c)) {
        struct pollfd p = {.fd = signals_fd(), .events = POLLIN};
        int64_t left = (c->deadline - mpp_now()) / 1000000 + 1;
        poll(&p, 1, left < 0 ? 0 : (int)left);
        signals_caught(); /* it is heard by command_reap() */
    }
}

void command_close(command *c)
{
    command_kill(c);
    command_finish(c);
    command_close_pipe(c);
}

/* ---- the terminal --------------------------------------------------------------------------------- */

/* What it was stopped by since this was asked last; 0: it was not. */
static int stopped_by(const command *c)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)c->pid, &info, WSTOPPED | WNOHANG) < 0 && errno == EINTR)
        ;
    return info.si_pid == c->pid ? info.si_status : 0;
}

/* Ctrl-Z at the terminal that we have lent is for all of the job. */
static void suspended(const command *c, int sig)
{
    if (!terminal_has(c->pid))
        return;
    terminal_take_back(c->pid, false);
    if (sig == SIGTSTP)
        signals_stop_job(SIGTSTP);
}

static void ask_terminal(command *c, int sig)
{
    if (c->deadline || terminal_ask(c->pid, sig) != TERMINAL_REFUSED)
        return;
    c->no_terminal = true;
    begin_end(c);
}

void command_attend(command *c)
{
    if (c->pid == 0)
        return;
    c->looked = signals_children();
    int sig = stopped_by(c);
    if (sig == SIGTTIN || sig == SIGTTOU)
        ask_terminal(c, sig);
    else if (sig)
        suspended(c, sig);
    if (is_over(c))
        terminal_take_back(c->pid, true);
    else if (overdue(c))
        press(c);
}

/* ---- how it ended ------------------------------------------------------------------------------- */

int command_exit_status(const command *c)
{
    if (!c->ended)
        return -1;
    if (c->not_run)
        return c->not_run == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    return WIFSIGNALED(c->status) ? STATUS_SIGNAL + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

int command_failure(const command *c)
{
    int status = command_exit_status(c);
    return status > 0 && !c->no_terminal ? status : MPP_S_ERROR;
}

const char *command_status_text(const command *c, char *buf, size_t size)
{
    if (!c->ended)
        snprintf(buf, size, "'%s' is running", c->text);
    else if (c->not_run)
        snprintf(buf, size, "cannot run '%.*s': %s", c->name_len, c->text, strerror(c->not_run));
    else if (c->no_terminal)
        snprintf(buf, size,
                 "'%s' wants the terminal, which is not ours to lend: we are in the background, and no shell is there "
                 "to continue us in the foreground",
                 c->text);
    else if (WIFSIGNALED(c->status))
        snprintf(buf, size, "'%s' was killed by signal %d (%s)", c->text, WTERMSIG(c->status),
                 strsignal(WTERMSIG(c->status)));
    else
        snprintf(buf, size, "'%s' exited with status %d", c->text, WEXITSTATUS(c->status));
    return buf;
}

bool command_ok(const command *c, const ok_list *list)
{
    return c->ended && !c->not_run && !c->no_terminal && (c->stopped || list->ok[command_exit_status(c)]);
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
