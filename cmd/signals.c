#include "signals.h"

#include "io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Written by the handlers. */
static volatile sig_atomic_t first_caught;

/* Written by the program, read by the handlers. */
static int event = -1;
static _Atomic pid_t groups[SIGNALS_GROUPS_MAX];
static char truncated[128]; /* what SIGBUS says */

typedef struct rule {
    int sig;
    void (*handler)(int sig, siginfo_t *info, void *context); /* NULL: `fixed` */
    void (*fixed)(int sig);
    struct sigaction before; /* as we were started */
} rule;

static void end(int sig, siginfo_t *info, void *context);
static void suspend(int sig, siginfo_t *info, void *context);
static void resume(int sig, siginfo_t *info, void *context);
static void bus(int sig, siginfo_t *info, void *context);

/* SIGCHLD: if ignored, the kernel would reap our commands and forget how they ended. */
static rule rules[] = {
    {.sig = SIGINT, .handler = end},  {.sig = SIGTERM, .handler = end},     {.sig = SIGHUP, .handler = end},
    {.sig = SIGQUIT, .handler = end}, {.sig = SIGTSTP, .handler = suspend}, {.sig = SIGCONT, .handler = resume},
    {.sig = SIGBUS, .handler = bus},  {.sig = SIGPIPE, .fixed = SIG_IGN},   {.sig = SIGCHLD, .fixed = SIG_DFL},
};

enum { N_RULES = sizeof rules / sizeof *rules };

/* ---- handlers: async-signal-safe calls only ------------------------------------------------------ */

static void notify(void)
{
    ssize_t n = write(event, &(uint64_t){1}, sizeof(uint64_t));
    (void)n; /* full: it is readable already */
}

static void end(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    int saved = errno;
    if (!first_caught)
        first_caught = sig;
    notify();
    errno = saved;
}

static void set_default(int sig)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigaction(sig, &dfl, NULL);
}

static void unblock(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* We stop by the default action and not by SIGSTOP: it does nothing when nobody is there to continue us (an
 * orphaned process group), and then the commands, which it did stop, must go on too. */
static void suspend(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    int saved = errno;
    struct sigaction ours;
    sigaction(sig, NULL, &ours);
    signals_forward(sig);
    set_default(sig);
    raise(sig);
    unblock(sig); /* here we stop */
    sigaction(sig, &ours, NULL);
    signals_forward(SIGCONT);
    errno = saved;
}

static void resume(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    int saved = errno;
    signals_forward(sig);
    errno = saved;
}

/* A command's stdin closes when we end: SIGTERM comes first, so that it is not taken for the end of the data. */
static void bus(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code != BUS_ADRERR)
        signals_die(sig);
    signals_forward(SIGTERM);
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&room, 1, 0) == 1) { /* nobody would hear us if we waited here */
        ssize_t n = write(STDERR_FILENO, truncated, strlen(truncated));
        (void)n;
    }
    _exit(MPP_S_CORRUPT);
}

/* ---- installing --------------------------------------------------------------------------------- */

static void install(rule *r)
{
    sigaction(r->sig, NULL, &r->before);
    if (r->handler && r->sig != SIGBUS && r->before.sa_handler == SIG_IGN)
        return;
    struct sigaction action = {.sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    if (r->handler) {
        action.sa_sigaction = r->handler;
        action.sa_flags |= SA_SIGINFO;
    } else {
        action.sa_handler = r->fixed;
    }
    sigaction(r->sig, &action, NULL);
}

static int open_event(mpp_error *err)
{
    event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return event < 0 ? io_error(err, errno, "cannot watch for signals") : 0;
}

int signals_init(const char *tool, mpp_error *err)
{
    if (open_event(err) < 0)
        return -1;
    snprintf(truncated, sizeof truncated, "%s: the mesh's segment was truncated under us\n", tool);
    for (unsigned i = 0; i < N_RULES; i++)
        install(&rules[i]);
    return 0;
}

int signals_forked(mpp_error *err)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++)
        groups[i] = 0;
    close(event);
    if (open_event(err) < 0)
        return -1;
    if (first_caught)
        notify(); /* after the fork, but in the parent's event: not to be lost */
    return 0;
}

void signals_restore(void)
{
    if (event < 0)
        return; /* nothing was installed */
    for (unsigned i = 0; i < N_RULES; i++)
        sigaction(rules[i].sig, &rules[i].before, NULL);
}

/* ---- for the event loop ------------------------------------------------------------------------- */

int signals_fd(void)
{
    return event;
}

int signals_caught(void)
{
    uint64_t n;
    while (read(event, &n, sizeof n) < 0 && errno == EINTR)
        ;
    return first_caught;
}

int signals_noted(void)
{
    return first_caught;
}

void signals_forward(int sig)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++) {
        pid_t group = groups[i];
        if (group)
            kill(-group, sig);
    }
}

void signals_die(int sig)
{
    set_default(sig);
    raise(sig);
    unblock(sig);
    _exit(128 + sig);
}

int signals_add(pid_t group)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++) {
        if (groups[i] == 0) {
            groups[i] = group;
            return 0;
        }
    }
    errno = ENOSPC;
    return -1;
}

void signals_remove(pid_t group)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++)
        if (groups[i] == group)
            groups[i] = 0;
}
