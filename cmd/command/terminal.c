#include "command/terminal.h"

#include "common/signals.h"
#include "proc/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static pid_t has_it; /* the group that we have lent it to; 0: none */

static int open_terminal(void)
{
    return open("/dev/tty", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Of our messages, and of giving the terminal to ourselves, nothing shall stop us while it is lent. */
static void bear_ttou(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    pthread_sigmask(how, &set, NULL);
}

static terminal_answer lend(int tty, pid_t group)
{
    bear_ttou(SIG_BLOCK);
    has_it = group;
    tcsetpgrp(tty, group);
    kill(-group, SIGCONT);
    return TERMINAL_LENT;
}

/* Is it a command of ours, or of another one of our job, that has the terminal? */
static bool lent_by_job(pid_t holder)
{
    proc leader;
    return has_it || (proc_read(holder, &leader) && leader.parent > 0 && getpgid(leader.parent) == getpgrp());
}

static terminal_answer answer(int tty, pid_t group, int sig)
{
    pid_t holder = tcgetpgrp(tty);
    if (holder == getpgrp() || holder == group)
        return lend(tty, group);
    if (lent_by_job(holder))
        return TERMINAL_LATER;
    return signals_stop_job(sig) ? TERMINAL_LATER : TERMINAL_REFUSED;
}

bool terminal_has(pid_t group)
{
    return group && has_it == group;
}

void terminal_take_back(pid_t group, bool ended)
{
    if (!terminal_has(group))
        return;
    int tty = open_terminal();
    if (tty >= 0 && tcgetpgrp(tty) == group)
        tcsetpgrp(tty, getpgrp());
    if (tty >= 0)
        close(tty);
    has_it = 0;
    bear_ttou(SIG_UNBLOCK);
    if (ended)
        kill(0, SIGCONT);
}

terminal_answer terminal_ask(pid_t group, int sig)
{
    terminal_take_back(group, false); /* stopped although it has it: it gets it anew */
    int tty = open_terminal();
    if (tty < 0)
        return TERMINAL_LATER; /* there is none: somebody has stopped it by hand, and will continue it */
    terminal_answer a = answer(tty, group, sig);
    close(tty);
    return a;
}
