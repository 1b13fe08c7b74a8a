#include "common/message.h"

#include "common/io.h"
#include "common/signals.h"
#include "mpp.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_PATIENCE INT64_C(2000000000) /* ns, of a process in all ... */
#define MESSAGE_HURRY    INT64_C(25000000)   /* ... and from the first message on that a signal finds under way ... */
#define MESSAGE_TURN     INT64_C(20000000)   /* a signal is seen so soon */
#define MESSAGE_STARVED  INT64_C(250000000)  /* ... unless it is only the machine that is slow */

typedef struct message {
    int failure; /* errno of its write, once it is done */
    size_t n;
    char text[];
} message;

/* At most one is on its way, so that they come in order. */
static struct {
    errand *errand; /* NULL: none */
    message *message;
    int64_t patience;
    bool hurried;
} out = {.patience = MESSAGE_PATIENCE};

/* ---- waiting ------------------------------------------------------------------------------------ */

static int64_t hurry(void)
{
    if (signals_noted() && !out.hurried) {
        out.hurried = true;
        out.patience = out.patience < MESSAGE_HURRY ? out.patience : MESSAGE_HURRY;
    }
    return out.patience;
}

/* Until fd is ready for events, a signal, or our patience is over. */
static bool wait_for(int fd, short events)
{
    for (;;) {
        const int64_t begin = mpp_now(), left = hurry();
        /* A signal interrupts poll(2); one that comes just before it is seen at the next turn.  (The signals'
         * descriptor says as well that a child has ended, which is the loop's to take.) */
        const int64_t turn = out.hurried || left < MESSAGE_TURN ? left : MESSAGE_TURN;
        struct pollfd set[] = {{.fd = fd, .events = events}};
        poll(set, 1, (int)((turn + 999999) / 1000000));
        out.patience -= mpp_now() - begin < left ? mpp_now() - begin : left;
        if (set[0].revents || out.patience <= 0)
            return set[0].revents != 0;
    }
}

bool message_await(const errand *e)
{
    while (!errand_done(e) && wait_for(errand_fd(e), POLLIN))
        ;
    return errand_done(e);
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void write_message(const errand *self, void *arg)
{
    message *m = arg;
    (void)self;
    m->failure = io_write_all(STDERR_FILENO, m->text, m->n) < 0 ? errno : 0;
}

static bool settle(void)
{
    if (out.errand && errand_done(out.errand))
        errand_end(&out.errand);
    return !out.errand;
}

static bool begin(const char *text, size_t n)
{
    message *m = malloc(sizeof *m + n);
    if (!m)
        return false;
    m->n = n;
    memcpy(m->text, text, n);
    out.message = m;
    out.errand = errand_begin(write_message, free, m);
    if (!out.errand)
        free(m);
    return out.errand != NULL;
}

/* Without a thread all that can be done is to look first. */
static bool write_directly(const char *text, size_t n)
{
    if (wait_for(STDERR_FILENO, POLLOUT))
        return io_write_all(STDERR_FILENO, text, n) == 0;
    errno = ETIMEDOUT;
    return false;
}

/* A thread that the machine has not come to yet is no reason to drop what there seems to be room for. */
static bool wait_longer(void)
{
    struct pollfd room = {.fd = io_type(STDERR_FILENO) == S_IFREG ? -1 : STDERR_FILENO, .events = POLLOUT};
    if (room.fd >= 0 && poll(&room, 1, 0) != 1)
        return false;
    out.patience = MESSAGE_STARVED;
    return true;
}

bool message_write(const char *text, size_t n)
{
    int failure = ETIMEDOUT;
    if (out.errand)
        message_await(out.errand);
    if (settle()) {
        if (!begin(text, n))
            return write_directly(text, n);
        if (message_await(out.errand) || (out.hurried && wait_longer() && message_await(out.errand)))
            failure = out.message->failure;
        settle();
    }
    errno = failure;
    return failure == 0;
}

void message_offer(const char *text, size_t n)
{
    if (settle())
        begin(text, n);
}
