#include "common/signals.h"

#include "common/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAME_MS = 100 }; /* what comes so soon is the same signal once more, from a terminal and from who passes it on */

/* Written by the handlers. */
static volatile sig_atomic_t first_caught;
static _Atomic int64_t last_ns; /* when it was counted last */
static _Atomic unsigned times, children, continues;
static atomic_bool continued;

/* Written by the program, read by the handlers. */
static int event = -1;
static _Atomic pid_t groups[SIGNALS_GROUPS_MAX];
static char truncated[128];  /* what SIGBUS says */
static sigset_t mask_before; /* as we were started */

typedef struct rule {
    int sig;
    void (*handler)(int sig, siginfo_t *info, void *context); /* NULL: `fixed` */
    void (*fixed)(int sig);
    struct sigaction before; /* as we were started */
} rule;

static void note_end(int sig, siginfo_t *info, void *context);
static void suspend(int sig, siginfo_t *info, void *context);
static void resume(int sig, siginfo_t *info, void *context);
static void note_child(int sig, siginfo_t *info, void *context);
static void end_by_bus(int sig, siginfo_t *info, void *context);

/* SIGCHLD: if ignored, the kernel would reap our commands and forget how they ended. */
static rule rules[] = {
    {.sig = SIGINT, .handler = note_end},    {.sig = SIGTERM, .handler = note_end},
    {.sig = SIGHUP, .handler = note_end},    {.sig = SIGQUIT, .handler = note_end},
    {.sig = SIGALRM, .handler = note_end},   {.sig = SIGXCPU, .handler = note_end},
    {.sig = SIGUSR1, .handler = note_end},   {.sig = SIGUSR2, .handler = note_end},
    {.sig = SIGCHLD, .handler = note_child}, {.sig = SIGTSTP, .handler = suspend},
    {.sig = SIGCONT, .handler = resume},     {.sig = SIGBUS, .handler = end_by_bus},
    {.sig = SIGPIPE, .fixed = SIG_IGN},      {.sig = SIGXFSZ, .fixed = SIG_IGN},
};

enum { N_RULES = sizeof rules / sizeof *rules };

/* ---- handlers: async-signal-safe calls only ------------------------------------------------------ */

static void note_end(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    int saved = errno;
    int64_t now = mpp_now();
    if (!first_caught)
        first_caught = sig;
    if (times == 0 || now - last_ns > SAME_MS * INT64_C(1000000)) {
        last_ns = now;
        times++;
    }
    io_notify(event);
    errno = saved;
}

/* It has ended, or is stopped. */
static void note_child(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    int saved = errno;
    children++;
    io_notify(event);
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
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void signals_stop(int sig)
{
    struct sigaction ours;
    sigset_t only, before;
    sigaction(sig, NULL, &ours);
    set_default(sig);
    raise(sig);
    sigemptyset(&only);
    sigaddset(&only, sig);
    pthread_sigmask(SIG_UNBLOCK, &only, &before); /* here we stop, and go on */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(sig, &ours, NULL);
}

/* We stop by the default action and not by SIGSTOP: it does nothing when nobody is there to continue us (an
 * orphaned process group), and then the commands, which it did stop, must go on too. */
static void suspend(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    int saved = errno;
    signals_forward(sig);
    signals_stop(sig);
    signals_forward(SIGCONT);
    errno = saved;
}

static void resume(int sig, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    int saved = errno;
    signals_forward(sig);
    continues++;
    continued = true;
    io_notify(event);
    errno = saved;
}

/* A command's stdin closes when we end: SIGTERM comes first, so that it is not taken for the end of the data. */
static void end_by_bus(int sig, siginfo_t *info, void *context)
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

/* Whoever ignores one of these wants it to end or stop nobody. */
static bool may_be_ignored(const rule *r)
{
    return r->handler == note_end || r->handler == suspend;
}

static void install(rule *r)
{
    sigaction(r->sig, NULL, &r->before);
    if (may_be_ignored(r) && r->before.sa_handler == SIG_IGN)
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

/* Who started us may have blocked what we must hear. */
static void open_ears(void)
{
    sigset_t heard;
    sigemptyset(&heard);
    for (unsigned i = 0; i < N_RULES; i++)
        sigaddset(&heard, rules[i].sig);
    sigaddset(&heard, SIGTTIN);
    sigaddset(&heard, SIGTTOU);
    pthread_sigmask(SIG_UNBLOCK, &heard, &mask_before);
}

int signals_init(const char *tool, mpp_error *err)
{
    if (open_event(err) < 0)
        return -1;
    snprintf(truncated, sizeof truncated, "%s: the mesh's segment was truncated under us\n", tool);
    for (unsigned i = 0; i < N_RULES; i++)
        install(&rules[i]);
    open_ears();
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
        io_notify(event); /* after the fork, but in the parent's event: not to be lost */
    return 0;
}

void signals_restore(const sigset_t *mask)
{
    for (unsigned i = 0; event >= 0 && i < N_RULES; i++)
        sigaction(rules[i].sig, &rules[i].before, NULL);
    pthread_sigmask(SIG_SETMASK, event < 0 ? mask : &mask_before, NULL);
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

unsigned signals_times(void)
{
    return times;
}

unsigned signals_children(void)
{
    return children;
}

bool signals_continued(void)
{
    return atomic_exchange(&continued, false);
}

bool signals_stop_job(int sig)
{
    unsigned before = continues;
    kill(0, sig); /* here we stop */
    return continues != before;
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

bool signals_room(void)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++)
        if (groups[i] == 0)
            return true;
    return false;
}

void signals_add(pid_t group)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++) {
        if (groups[i] == 0) {
            groups[i] = group;
            return;
        }
    }
}

void signals_remove(pid_t group)
{
    for (unsigned i = 0; i < SIGNALS_GROUPS_MAX; i++)
        if (groups[i] == group)
            groups[i] = 0;
}

pid_t signals_reap(pid_t child, int *status)
{
    pid_t reaped;
    while ((reaped = waitpid(child, status, WNOHANG)) < 0 && errno == EINTR)
        ;
    return reaped;
}
