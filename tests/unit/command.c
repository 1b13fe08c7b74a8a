/* Commands: how they are started, stopped and judged, and that they do not outlive us. */
#include "tap.h"

#include "command/spawn.h"
#include "command/status.h"
#include "common/io.h"
#include "common/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

static const ok_list only_zero = OK_DEFAULT;

/* Where a signal comes at once: a shell that is about to fork would keep SIGINT, or not be seen to stop. */
static char *const sleep_long[] = {"sleep", "60", NULL};

/* A SIGCHLD of an earlier test's command may come at any time: poll(2) is not restarted after a handler. */
static bool readable(int fd, int ms)
{
    int64_t deadline = mpp_now() + ms * INT64_C(1000000);
    for (;;) {
        int n = poll(&(struct pollfd){fd, POLLIN, 0}, 1, ms);
        if (n >= 0 || errno != EINTR)
            return n == 1;
        int64_t left = deadline - mpp_now();
        ms = left > 0 ? (int)(left / 1000000) : 0;
    }
}

/* Until SIGCHLD, or for ms. */
static void listen_for(int ms)
{
    readable(signals_fd(), ms);
    signals_caught();
}

/* Until it has ended. */
static bool await(command *c)
{
    int64_t deadline = mpp_now() + PATIENCE_MS * INT64_C(1000000);
    while (!command_reap(c) && mpp_now() < deadline)
        listen_for(PATIENCE_MS);
    return command_reap(c);
}

static const char *status_text(const command *c)
{
    static char text[MPP_TEXT_MAX];
    return command_status_text(c, text, sizeof text);
}

/* One test: wait for its end and see its status. */
static void ends_with(command *c, int status, const char *what)
{
    bool ended = await(c);
    ok(ended && command_exit_status(c) == status, "%s: %s", what, status_text(c));
}

/* What fd gives until its end. */
static const char *read_all(int fd)
{
    static char text[256];
    size_t n = 0;
    while (n < sizeof text - 1 && readable(fd, PATIENCE_MS)) {
        ssize_t k = read(fd, text + n, sizeof text - 1 - n);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    text[n] = '\0';
    return text;
}

/* Start a shell command, wait for its end, and close it. */
static command run(const char *text)
{
    command c = COMMAND_INIT;
    mpp_error err;
    if (command_shell(&c, text, COMMAND_READ, NULL, &err) < 0)
        diag("%s", err.text);
    else if (!await(&c))
        diag("%s does not end", text);
    command_close(&c);
    return c;
}

static void test_pipes(void)
{
    command c = COMMAND_INIT;
    mpp_error err;
    char *echo[] = {"sh", "-c", "echo $MPP_TEST; cat", NULL};
    c.input = COMMAND_STDIN_NULL;
    ok(command_spawn(&c, echo, COMMAND_READ, (const char *[]){"MPP_TEST=here", NULL}, &err) == 0, "a command starts");
    ok(getpgid(c.pid) == c.pid && c.pid != getpgrp(), "in a process group of its own");
    ok(fcntl(c.fd, F_GETFL) & O_NONBLOCK && fcntl(c.fd, F_GETFD) & FD_CLOEXEC, "our end does not block");
    ok(strcmp(read_all(c.fd), "here\n") == 0, "its environment is ours and more, its stdin was empty");
    ends_with(&c, 0, "it ends well");
    ok(command_ok(&c, &only_zero), "and we see it so");
    command_close(&c);
    command w = COMMAND_INIT;
    command_shell(&w, "read x; test \"$x\" = word", COMMAND_WRITE, NULL, &err);
    ok(write(w.fd, "word\n", 5) == 5, "we write another's stdin");
    ends_with(&w, 0, "which has read it");
    command_close(&w);
}

static void test_status(void)
{
    command c = run("exit 3");
    ok(strcmp(status_text(&c), "'exit 3' exited with status 3") == 0, "%s", status_text(&c));
    ok(command_exit_status(&c) == 3 && !command_ok(&c, &only_zero), "that is a failure");
    ok_list list = OK_DEFAULT;
    ok(ok_parse(&list, "1,3") == 0 && command_ok(&c, &list), "unless it is said to be success");
    c = run("kill -9 $$");
    ok(strcmp(status_text(&c), "'kill -9 $$' was killed by signal 9 (Killed)") == 0, "%s", status_text(&c));
    ok(command_exit_status(&c) == 137, "its status is the shell's");
    c = run("exit 4 # a command line that goes on\nfor long\n, far longer than any message of ours can take, so that"
            " only what it begins with can be shown");
    ok(strstr(status_text(&c), "goes on for long , far") && strstr(status_text(&c), "...' exited with status 4"),
       "a long command is cut: %s", status_text(&c));
    char longest[COMMAND_TEXT_MAX + 1];
    snprintf(longest, sizeof longest, "exit 4 %0*d", COMMAND_TEXT_MAX - 1 - 7, 0);
    longest[5 + 2] = '#';
    c = run(longest);
    ok(strlen(longest) == COMMAND_TEXT_MAX - 1 && !strstr(status_text(&c), "..."), "one that just fits is not: %s",
       status_text(&c));
    strcat(longest, "0");
    c = run(longest);
    ok(strstr(status_text(&c), "...'"), "one of a character more is: %s", status_text(&c));
}

static void test_ok_lists(void)
{
    static const char *const wrong[] = {"", ",", "1,", "256", "-1", "0 1", "a", "99999999999999999999"};
    ok_list list = OK_DEFAULT;
    ok(ok_parse(&list, "0,1,141") == 0 && list.ok[0] && list.ok[1] && list.ok[141] && !list.ok[2],
       "a list of statuses");
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(ok_parse(&list, wrong[i]) < 0 && list.ok[141], "'%s' is none", wrong[i]);
}

/* Not even a zombie. */
static bool no_child_is_left(void)
{
    while (waitpid(-1, NULL, 0) > 0)
        ; /* guards, for which nobody waits */
    return errno == ECHILD;
}

static void cannot_run(const char *name, int status, const char *text)
{
    command c = COMMAND_INIT;
    mpp_error err = {0};
    ok_list list = OK_DEFAULT;
    char *argv[] = {(char *)name, NULL};
    ok(command_spawn(&c, argv, COMMAND_READ, NULL, &err) == 0 && strcmp(read_all(c.fd), "") == 0, "%s is tried", name);
    ok(await(&c) && command_exit_status(&c) == status && command_failure(&c) == status, "status %d", status);
    ok(strcmp(status_text(&c), text) == 0, "%s", status_text(&c));
    ok(ok_parse(&list, "0,126,127") == 0 && !command_ok(&c, &list), "that is never well");
    command_close(&c);
    ok(c.fd == -1 && c.pid == 0 && no_child_is_left(), "nothing of it is left");
}

static void test_not_run(void)
{
    cannot_run("mpp-no-such-command", 127, "cannot run 'mpp-no-such-command': No such file or directory");
    cannot_run("seq 3 | sort", 127,
               "cannot run 'seq 3 | sort': No such file or directory (a shell line needs a shell: sh -c 'LINE')");
    cannot_run("/etc/passwd", 126, "cannot run '/etc/passwd': Permission denied");
    int before = dup(STDIN_FILENO);
    for (int i = 0; i < 3; i++)
        cannot_run("/", 126, "cannot run '/': Permission denied");
    int after = dup(STDIN_FILENO);
    ok(after == before + 1, "no descriptor is lost");
    close(before);
    close(after);
}

static void test_stop(void)
{
    command c = COMMAND_INIT;
    command_shell(&c, "sleep 60 & sleep 60", COMMAND_READ, NULL, NULL);
    int end = dup(c.fd);
    command_stop(&c);
    ok(c.fd == -1, "stopping a command closes the pipe that we read");
    ok(c.deadline > mpp_now(), "it has a while to end");
    ends_with(&c, 128 + SIGTERM, "it ends");
    ok(command_ok(&c, &only_zero) && command_deadline(&c) == 0, "as we wanted it to");
    ok(readable(end, PATIENCE_MS) && read(end, &(char){0}, 1) == 0, "and all of its group does");
    close(end);
    command_close(&c);
}

static void test_stop_late(void)
{
    command c = COMMAND_INIT;
    command_shell(&c, "exit 3", COMMAND_READ, NULL, NULL);
    siginfo_t info;
    ok(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT) == 0 && command_due(&c), "we hear of its end");
    command_stop(&c);
    ok(!command_ok(&c, &only_zero), "a command that had failed before it was stopped has failed");
    command_close(&c);
}

static void test_stop_suspended(void)
{
    command c = COMMAND_INIT;
    command_shell(&c, "kill -STOP $$", COMMAND_READ, NULL, NULL);
    siginfo_t info;
    waitid(P_PID, (id_t)c.pid, &info, WSTOPPED);
    command_stop(&c);
    ends_with(&c, 128 + SIGTERM, "a suspended command ends too");
    command_close(&c);
}

static void test_kill(void)
{
    command c = COMMAND_INIT;
    char text[64];
    int ready[2];
    if (pipe(ready) < 0)
        return;
    snprintf(text, sizeof text, "trap '' TERM; echo >&%d; cat; sleep 60", ready[1]);
    command_shell(&c, text, COMMAND_WRITE, NULL, NULL);
    ok(readable(ready[0], PATIENCE_MS), "a command ignores SIGTERM");
    close(ready[0]);
    close(ready[1]);
    command_stop(&c);
    ok(c.fd >= 0, "the stdin of a command that we stop stays open");
    command_kill(&c);
    ends_with(&c, 128 + SIGKILL, "it can be killed");
    ok(command_ok(&c, &only_zero), "that was our doing");
    command_close(&c);
    command_shell(&c, "sleep 60", COMMAND_READ, NULL, NULL);
    command_close(&c);
    ok(command_exit_status(&c) == 128 + SIGKILL && c.fd == -1 && c.pid == 0, "closing ends what still runs");
    command_close(&c);
    ok(command_exit_status(&c) == 128 + SIGKILL, "closing twice does nothing");
}

/* In a process of its own: start a command, say which, and be killed. */
static _Noreturn void be_killed(int tell)
{
    command c = COMMAND_INIT;
    command_shell(&c, "exec sleep 60", COMMAND_READ, NULL, NULL);
    if (write(tell, &c.pid, sizeof c.pid) != sizeof c.pid)
        _exit(1);
    raise(SIGKILL);
    _exit(1);
}

static void test_death(void)
{
    int ends[2], status = 0;
    pid_t orphan = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = fork();
    if (pid == 0)
        be_killed(ends[1]);
    waitpid(pid, NULL, 0);
    ok(read(ends[0], &orphan, sizeof orphan) == sizeof orphan, "a process starts a command and is killed");
    ok(waitpid(orphan, &status, 0) == orphan && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
       "the command dies with it");
    close(ends[0]);
    close(ends[1]);
}

static void test_signals(void)
{
    command c = run("kill -PIPE $$");
    ok(command_exit_status(&c) == 128 + SIGPIPE, "a command does not ignore SIGPIPE as we do");
    c = run("kill -INT $$");
    ok(command_exit_status(&c) == 128 + SIGINT, "nor does it handle SIGINT");
    command_spawn(&c, sleep_long, COMMAND_READ, NULL, NULL);
    signals_forward(SIGINT);
    ends_with(&c, 128 + SIGINT, "signals are passed on to its group");
    ok(!command_ok(&c, &only_zero), "of which it dies by itself");
    command_close(&c);
    ok(signals_caught() == 0, "no signal was caught yet");
    raise(SIGTERM);
    raise(SIGHUP);
    ok(readable(signals_fd(), 0) && signals_caught() == SIGTERM, "the first signal that we catch is told");
    ok(signals_caught() == SIGTERM && signals_times() == 1, "and remembered");
}

/* In a process of its own: start a command, say which, and be suspended.  0: it was continued with us. */
static int be_suspended(int tell)
{
    command c = COMMAND_INIT;
    siginfo_t continued = {0};
    if (setpgid(0, 0) < 0 || signals_forked(NULL) < 0 || command_spawn(&c, sleep_long, COMMAND_READ, NULL, NULL) < 0 ||
        write(tell, &c.pid, sizeof c.pid) != sizeof c.pid)
        return 2;
    raise(SIGTSTP);
    waitid(P_PID, (id_t)c.pid, &continued, WCONTINUED);
    bool was = continued.si_pid == c.pid;
    command_close(&c);
    return was ? 0 : 1;
}

static char state_of(pid_t pid)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*d %*s %c", &state) != 1)
        state = '?';
    if (f)
        fclose(f);
    return state;
}

static bool await_state(pid_t pid, char state)
{
    for (int i = 0; i < PATIENCE_MS && state_of(pid) != state; i++)
        usleep(1000);
    return state_of(pid) == state;
}

static void test_suspend(void)
{
    int status = 0, ends[2];
    pid_t its_command = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        _exit(be_suspended(ends[1]));
    ok(read(ends[0], &its_command, sizeof its_command) == sizeof its_command && await_state(its_command, 'T'),
       "a command is suspended with us");
    ok(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "we are suspended");
    kill(pid, SIGCONT);
    ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "the command is continued with us");
    close(ends[0]);
    close(ends[1]);
}

/* A command reads the stdin that we have made non-blocking for ourselves. */
static void test_inherit(void)
{
    int saved = dup(STDIN_FILENO), ends[2];
    io in;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    dup2(ends[0], STDIN_FILENO);
    ok(io_open(&in, STDIN_FILENO, IO_READ) == 0 && fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, "our stdin is");
    ok(!(fcntl(ends[0], F_GETFL) & O_NONBLOCK), "that of others, which it was, is not");
    command c = COMMAND_INIT;
    command_shell(&c, "echo ready; cat", COMMAND_READ, NULL, NULL);
    char text[16];
    ok(readable(c.fd, PATIENCE_MS) && read(c.fd, text, sizeof text) == 6, "a command has it");
    ok(write(ends[1], "word\n", 5) == 5 && close(ends[1]) == 0, "something comes when it waits already");
    ok(strcmp(read_all(c.fd), "word\n") == 0, "it reads that");
    ends_with(&c, 0, "and was never told EAGAIN");
    command_close(&c);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
}

int main(void)
{
    ok(signals_init("command", NULL) == 0, "our handlers are installed");
    test_pipes();
    test_status();
    test_ok_lists();
    test_not_run();
    test_stop();
    test_stop_late();
    test_stop_suspended();
    test_kill();
    test_death();
    test_signals();
    test_suspend();
    test_inherit();
    return done_testing();
}
