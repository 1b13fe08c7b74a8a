#include "consume/pump.h"

#include "common/errand.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

/* What the thread has. */
typedef struct work {
    int from; /* the pipe's end; -1: closed */
    io to;
    int failure;
    char piece[PIECE];
} work;

struct pump {
    errand *errand;
    work *work; /* the errand's */
    int fd;
};

/* A descriptor that failed stays open: who waits to hear of the failure does not wait for close(2), too. */
static void carry(const errand *self, void *arg)
{
    work *w = arg;
    ssize_t n;
    while ((n = read(w->from, w->piece, PIECE)) != 0 && !errand_abandoned(self))
        if ((n < 0 && errno != EINTR) || (n > 0 && io_write_all(w->to.fd, w->piece, (size_t)n) < 0)) {
            w->failure = errno;
            break;
        }
    if (n == 0 && io_close(&w->to) < 0)
        w->failure = errno;
    close(w->from);
    w->from = -1;
}

pump *pump_begin(int fd)
{
    int ends[2];
    pump *p = malloc(sizeof *p);
    work *w = malloc(sizeof *w);
    if (!p || !w || pipe2(ends, O_CLOEXEC) < 0) {
        free(p);
        free(w);
        return NULL;
    }
    io_enlarge(ends[1]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK); /* of the writer's end only */
    w->from = ends[0];
    w->to = (io){fd, IO_SLEEPS};
    w->failure = 0;
    *p = (pump){.errand = errand_begin(carry, free, w), .work = w, .fd = ends[1]};
    if (p->errand)
        return p;
    const int failure = errno;
    close(ends[0]);
    close(ends[1]);
    free(w);
    free(p);
    errno = failure;
    return NULL;
}

int pump_fd(const pump *p)
{
    return p->fd;
}

void pump_end(pump *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

bool pump_through(const pump *p, int *failure)
{
    if (!errand_done(p->errand))
        return false;
    *failure = p->work->failure;
    return true;
}

int pump_news(const pump *p)
{
    return errand_fd(p->errand);
}

void pump_close(pump **pp)
{
    pump *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    pump_end(p);
    errand_end(&p->errand);
    free(p);
}
