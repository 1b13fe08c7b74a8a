#include "common/errand.h"

#include "io.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RUNNING = 0, DONE, ABANDONED };

struct errand {
    void (*run)(const errand *self, void *arg);
    void (*release)(void *arg);
    void *arg;
    int fd;
    _Atomic int state; /* whichever side comes first exchanges RUNNING; who comes second frees */
};

static void errand_free(errand *e)
{
    if (e->release)
        e->release(e->arg);
    close(e->fd);
    free(e);
}

static void *go(void *arg)
{
    errand *e = arg;
    e->run(e, e->arg);
    /* The descriptor is written to first: after the exchange the errand may be gone. */
    io_notify(e->fd);
    if (atomic_exchange(&e->state, DONE) == ABANDONED)
        errand_free(e);
    return NULL;
}

static int start_thread(errand *e)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    int failure = pthread_attr_init(&attributes);
    if (failure)
        return failure;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = 0;
    failure = pthread_create(&thread, &attributes, go, e);
    if (failure == EAGAIN && errno == ENOMEM) /* it says so of a stack that finds no memory, too */
        failure = ENOMEM;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure;
}

errand *errand_begin(void (*run)(const errand *self, void *arg), void (*release)(void *arg), void *arg)
{
    errand *e = malloc(sizeof *e);
    if (!e)
        return NULL;
    *e = (errand){.run = run, .release = release, .arg = arg, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const int failure = e->fd < 0 ? errno : start_thread(e);
    if (failure == 0)
        return e;
    if (e->fd >= 0)
        close(e->fd);
    free(e);
    errno = failure;
    return NULL;
}

int errand_fd(const errand *e)
{
    return e->fd;
}

bool errand_done(const errand *e)
{
    return atomic_load(&e->state) == DONE;
}

bool errand_abandoned(const errand *self)
{
    return atomic_load(&self->state) == ABANDONED;
}

void errand_end(errand **ep)
{
    errand *e = *ep;
    *ep = NULL;
    if (e && atomic_exchange(&e->state, ABANDONED) == DONE)
        errand_free(e);
}
