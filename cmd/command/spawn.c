#include "command/spawn.h"

#include "command/status.h"
#include "common/io.h"
#include "common/signals.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What parent and child need while a command is started. */
typedef struct start {
    char *const *argv;
    char **env;
    command_pipe which;
    int input;    /* as command.input ... */
    int output;   /* ... and output */
    int ours;     /* our end of the pipe, -1: there is none ... */
    int theirs;   /* ... and theirs */
    int report;   /* takes the errno of what failed before exec; closed by exec */
    pid_t parent; /* us */
    guard guard;
    void (*orphaned)(void *arg);
    void *arg;
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
    else if (given >= 0 && s->output >= 0)
        given = give(s->output, STDOUT_FILENO);
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

static _Noreturn void run_child(const start *s)
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

static size_t count_words(const char *const words[])
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
    const char **all = malloc((count_words(ours) + count_words(added) + 1) * sizeof *all);
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
        run_child(s);
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
    if (guard_start(&s->guard, held, s->orphaned, s->arg) < 0)
        return -1;
    pid_t pid = launch(s, report);
    int saved = errno;
    if (pid < 0)
        guard_end(&s->guard);
    errno = saved;
    return pid;
}

static void close_end(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* 0, or -1 with errno. */
static int make_pipe(start *s)
{
    int ends[2];
    s->ours = s->theirs = -1;
    if (s->which == COMMAND_ALONE)
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    s->ours = s->which == COMMAND_READ ? ends[0] : ends[1];
    s->theirs = s->which == COMMAND_READ ? ends[1] : ends[0];
    io_enlarge(s->ours);
    fcntl(s->ours, F_SETFL, O_NONBLOCK); /* each end of a new pipe is a description of its own */
    return 0;
}

static int spawn(command *c, start *s, const char *text, int name_len, mpp_error *err)
{
    int report;
    if (make_pipe(s) < 0)
        return io_error(err, errno, "cannot start '%s'", s->argv[0]);
    pid_t pid = launch_guarded(s, s->which == COMMAND_WRITE ? s->ours : -1, &report);
    int saved = errno;
    close_end(s->theirs);
    if (pid < 0) {
        close_end(s->ours);
        return io_error(err, saved, "cannot start '%s'", s->argv[0]);
    }
    *c = (command){.input = c->input,
                   .output = c->output,
                   .elsewhere = c->output >= 0,
                   .orphaned = c->orphaned,
                   .arg = c->arg,
                   .fd = s->ours,
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
    start s = {.argv = argv,
               .env = environment(env),
               .which = which,
               .input = c->input,
               .output = c->output,
               .orphaned = c->orphaned,
               .arg = c->arg};
    if (!s.env)
        return io_error(err, ENOMEM, "cannot start '%s'", argv[0]);
    int spawned = spawn(c, &s, text, name_len, err);
    free(s.env);
    return spawned;
}

/* For messages: the words with spaces between, on one line. */
static void describe(char text[COMMAND_TEXT_MAX], char *const words[])
{
    text_line line = {.at = text, .size = COMMAND_TEXT_MAX};
    text[0] = '\0';
    for (; *words; words++)
        text_add(&line, "%s%s", line.used ? " " : "", *words);
    if (line.cut)
        memcpy(text + COMMAND_TEXT_MAX - sizeof "...", "...", sizeof "...");
    text_disarm(text, ' ');
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
