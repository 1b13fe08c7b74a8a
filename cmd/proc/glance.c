#include "proc/glance.h"

#include "common/errand.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 15, SHUNNED_MAX = 8 };
#define LEFT_BEHIND UINT64_MAX

typedef struct looker {
    void (*look)(void *arg);
    void *arg;
    _Atomic pid_t thread;
    _Atomic uint64_t steps; /* odd: it asks about `pid`; LEFT_BEHIND: it is nobody's any more */
    pid_t pid;
} looker;

static _Thread_local looker *me;

/* Who holds up somebody that was left behind. */
static _Atomic pid_t shunned[SHUNNED_MAX];

static void swap_shunned(pid_t from, pid_t to)
{
    for (unsigned i = 0; i < SHUNNED_MAX; i++) {
        pid_t expected = from;
        if (atomic_compare_exchange_strong(&shunned[i], &expected, to))
            return;
    }
}

/* When there is no place for another one nobody is asked. */
static bool is_shunned(pid_t pid)
{
    bool full = true;
    for (unsigned i = 0; i < SHUNNED_MAX; i++) {
        const pid_t other = atomic_load(&shunned[i]);
        if (other == pid)
            return true;
        full &= other != 0;
    }
    return full;
}

bool glance_begin(pid_t pid)
{
    if (!me)
        return true;
    if (is_shunned(pid))
        return false;
    me->pid = pid;
    atomic_fetch_add(&me->steps, 1);
    return true;
}

void glance_end(void)
{
    if (!me)
        return;
    uint64_t steps = atomic_load(&me->steps);
    if (steps != LEFT_BEHIND && atomic_compare_exchange_strong(&me->steps, &steps, steps + 1))
        return;
    swap_shunned(me->pid, 0);
    pthread_exit(NULL);
}

static void run(const errand *self, void *arg)
{
    (void)self;
    me = arg;
    atomic_store(&me->thread, gettid());
    me->look(me->arg);
}

/* Does a thread of ours sleep in the kernel where no signal wakes it?  One that waits for a processor does not. */
static bool sleeps_deep(pid_t thread)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    while (fd >= 0 && (n = read(fd, text, sizeof text - 1)) < 0 && errno == EINTR)
        ;
    text[n > 0 ? n : 0] = 0;
    if (fd >= 0)
        close(fd);
    const char *name_end = strrchr(text, ')');
    return name_end && strncmp(name_end, ") D", 3) == 0;
}

/* true: it is through; false: it was left behind. */
static bool watch(looker *l, const errand *e)
{
    uint64_t before = 0;
    while (poll(&(struct pollfd){.fd = errand_fd(e), .events = POLLIN}, 1, TICK_MS) <= 0) {
        uint64_t steps = atomic_load(&l->steps);
        if (steps % 2 && steps == before && sleeps_deep(atomic_load(&l->thread)) &&
            atomic_compare_exchange_strong(&l->steps, &steps, LEFT_BEHIND))
            return false;
        before = steps;
    }
    return true;
}

/* false: it was held up. */
static bool try(void (*look)(void *arg), void *arg)
{
    looker *l = calloc(1, sizeof *l);
    if (l)
        *l = (looker){.look = look, .arg = arg};
    errand *e = l ? errand_begin(run, free, l) : NULL;
    if (!e) { /* no thread is to be had: better a look that may be held up than none */
        free(l);
        look(arg);
        return true;
    }
    const bool through = watch(l, e);
    if (!through)
        swap_shunned(0, l->pid);
    errand_end(&e);
    return through;
}

void glance(void (*look)(void *arg), void *arg)
{
    while (!try(look, arg))
        ;
}
