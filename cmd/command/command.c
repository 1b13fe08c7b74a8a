#include "command/command.h"

#include "command/terminal.h"
#include "common/cli.h"
#include "common/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

bool command_over(const command *c)
{
    siginfo_t info = {0};
    int known;
    if (c->pid == 0)
        return true;
    while ((known = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT)) < 0 && errno == EINTR)
        ;
    return known < 0 || info.si_pid != 0;
}

static void collect(command *c)
{
    c->status = MPP_S_ERROR << 8; /* what stands when somebody else has reaped it: a failure */
    let_go(c);
    signals_reap(c->pid, &c->status);
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
    if (c->pid && command_over(c))
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

void command_end(command *c)
{
    c->stopped |= !command_over(c);
    if (c->pid)
        begin_end(c);
}

int64_t command_deadline(const command *c)
{
    return changed(c) ? 1 : c->deadline; /* long past */
}

void command_kill(command *c)
{
    if (command_over(c))
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

/* ---- the terminal ------------------------------------------------------------------------------- */

/* What it was stopped by since this was asked last; 0: it was not. */
static int stopped_by(const command *c)
{
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)c->pid, &info, WSTOPPED | WNOHANG) < 0 && errno == EINTR)
        ;
    return info.si_pid == c->pid ? info.si_status : 0;
}

/* Ctrl-Z at the terminal that we have lent is for all of the job. */
static void suspend_job(const command *c, int sig)
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
        suspend_job(c, sig);
    if (command_over(c))
        terminal_take_back(c->pid, true);
    else if (overdue(c))
        press(c);
}
