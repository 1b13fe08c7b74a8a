/* wait.c - the one loop in which anybody sleeps; see ring/doorbell.h for its order */
#include "consumer/wait.h"
#include "base/atomics.h"
#include "base/clock.h"
#include "channel/inlet.h"
#include "channel/outlet.h"
#include "consumer/consumer.h"
#include "endpoint/barrier.h"
#include "endpoint/bells.h"
#include "endpoint/endpoint.h"
#include "endpoint/patience.h"
#include "endpoint/peers.h"
#include "endpoint/say.h"
#include "endpoint/timer.h"
#include "producer/producer.h"
#include "producer/wait.h"
#include "ring/doorbell.h"
#include "shm/layout.h"
#include "wait/timeout.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* ---- arming ------------------------------------------------------------------------------------------ */

static void arm_slots(const endpoint *e, uint32_t wants)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        doorbell_arm(endpoint_slot(e, i), wants);
}

static void disarm_slots(const endpoint *e)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        doorbell_disarm(endpoint_slot(e, i));
}

static void arm_producer(mpp_producer *p, mpp_activity activity, int fd)
{
    uint64_t progress = 0;
    producer_arm(p);
    outlet *o = producer_blocked(p);
    for (unsigned i = 0; i < p->n_outlets; i++)
        progress += p->outlets[i].ring.write;
    for (unsigned i = 0; i < p->n_streams; i++)
        progress += p->streams[i].records;
    if (o)
        endpoint_say(&p->end, MPP_WAITING_SPACE, o->lane, o->consumer + 1, progress, -1);
    else
        endpoint_say(&p->end, activity == MPP_COMPUTING && producer_waits_start(p) ? MPP_WAITING_START : activity, 0, 0,
                     progress, fd);
    arm_slots(&p->end, o ? LAYOUT_WANTS_SPACE : 0);
}

static void arm_consumer(mpp_consumer *c, mpp_activity activity, int fd)
{
    unsigned lane = 0;
    uint64_t progress = c->taken;
    consumer_give_back(c);
    bool hungry = consumer_hungry(c);
    int awaited = hungry ? consumer_awaited(c, &lane) : -1;
    for (unsigned i = 0; i < c->n_inlets; i++) {
        progress += c->inlets[i].ring.read;
        inlet_await(&c->inlets[i], consumer_awaits(c, &c->inlets[i]));
    }
    endpoint_say(&c->end, hungry && activity == MPP_COMPUTING ? MPP_WAITING_DATA : activity, lane,
                 (unsigned)(awaited + 1), progress, fd);
    arm_slots(&c->end, hungry ? LAYOUT_WANTS_DATA : 0);
    consumer_await(c);
}

static bool arm(mpp_producer *p, mpp_consumer *c, mpp_activity activity, int fd)
{
    if (p)
        arm_producer(p, activity, fd);
    if (c)
        arm_consumer(c, activity, fd);
    return !(p && producer_recheck(p)) && !(c && consumer_recheck(c));
}

static bool unreminded(const mpp_producer *p, const mpp_consumer *c)
{
    return (p && endpoint_unreminded(&p->end)) || (c && endpoint_unreminded(&c->end));
}

bool mpp_arm(mpp_producer *p, mpp_consumer *c, mpp_activity activity)
{
    return arm(p, c, activity, -1) && !unreminded(p, c);
}

static void disarm(mpp_producer *p, mpp_consumer *c)
{
    if (p) {
        disarm_slots(&p->end);
        producer_disarm(p);
        endpoint_publish(&p->end, MPP_COMPUTING, 0, 0, clock_shared());
    }
    if (c) {
        disarm_slots(&c->end);
        consumer_disarm(c);
        endpoint_publish(&c->end, MPP_COMPUTING, 0, 0, clock_shared());
    }
}

mpp_outcome mpp_barrier(mpp_producer *p, mpp_consumer *c)
{
    if ((p && endpoint_notice(&p->end)) || (c && endpoint_notice(&c->end)))
        return MPP_GONE;
    bool all = (!p || endpoint_await_all(&p->end)) && (!c || endpoint_await_all(&c->end));
    return all ? MPP_OK : MPP_WOULD_BLOCK;
}

void mpp_disarm(mpp_producer *p, mpp_consumer *c)
{
    if (p)
        endpoint_heard(&p->end);
    if (c)
        endpoint_heard(&c->end);
    if (p) /* what else woke the caller we do not know */
        endpoint_spoken_to(&p->end, true);
    if (c)
        endpoint_spoken_to(&c->end, true);
    disarm(p, c);
}

/* ---- sleeping ---------------------------------------------------------------------------------------- */

static void account(mpp_producer *p, mpp_consumer *c, int64_t slept)
{
    for (unsigned i = 0; p && i < p->n_outlets; i++)
        if (p->outlets[i].need || p->outlets[i].end_wanted) {
            count_add(&p->outlets[i].ring.shared->space_waits, 1);
            count_add(&p->outlets[i].ring.shared->space_ns, (uint64_t)slept);
        }
    for (unsigned i = 0; c && i < c->n_inlets; i++)
        if (consumer_awaits(c, &c->inlets[i])) {
            count_add(&c->inlets[i].ring.shared->data_waits, 1);
            count_add(&c->inlets[i].ring.shared->data_ns, (uint64_t)slept);
        }
    if (p)
        endpoint_slept(&p->end, (uint64_t)slept);
    if (c)
        endpoint_slept(&c->end, (uint64_t)slept);
}

static int sleep_until(struct pollfd *set, unsigned n, int64_t deadline)
{
    int64_t left = deadline ? deadline - mpp_now() : 0;
    if (left < 0)
        left = 0;
    struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    return ppoll(set, n, deadline ? &t : NULL, NULL);
}

/* Armed and nothing to do: sleep.  -1 with errno, 0: the deadline, else what woke us. */
static int sleep_armed(mpp_producer *p, mpp_consumer *c, struct pollfd *set, unsigned n, int64_t deadline)
{
    int64_t before = mpp_now();
    int64_t ours = timeout_earlier(p ? timeout_of_producer(p) : 0, c ? timeout_of_consumer(c) : 0);
    bool space = p && p->end.patience.timeout_ns && producer_blocked(p);
    bool data = c && c->end.patience.timeout_ns && consumer_hungry(c) && !c->end.barrier;
    int64_t slices =
        timeout_earlier(space ? before + endpoint_slice(&p->end) : 0, data ? before + endpoint_slice(&c->end) : 0);
    int64_t reminder = unreminded(p, c) ? before + OWED_MS * INT64_C(1000000) : 0;
    int woken =
        sleep_until(set, n, timeout_earlier(timeout_earlier(deadline, ours), timeout_earlier(slices, reminder)));
    int e = errno;
    int64_t now = mpp_now();
    account(p, c, now - before);
    if (woken < 0 && ours) /* a signal, perhaps that we go on after a stop: the time was not ours */
        timeout_woke_late(p, c, ours, now);
    if (woken == 0 && ours && now >= ours)
        timeout_passed(p, c, ours > before ? ours : before);
    if (space && endpoint_starves(&p->end, now - before, woken == 0))
        timeout_producer_starved(p, clock_shared());
    if (data && endpoint_starves(&c->end, now - before, woken == 0))
        timeout_consumer_starved(c, clock_shared());
    if (woken == 0 && !(deadline && now >= deadline))
        woken = 1; /* our own deadline: something to look at */
    if (p && endpoint_unreminded(&p->end))
        endpoint_pay(&p->end);
    if (c && endpoint_unreminded(&c->end))
        endpoint_pay(&c->end);
    if (set[0].revents && p)
        endpoint_heard(&p->end);
    if (set[1].revents && c)
        endpoint_heard(&c->end);
    errno = e;
    return woken < 0 ? -1 : woken > 0;
}

int mpp_wait(mpp_producer *p, mpp_consumer *c, mpp_activity activity, struct pollfd *fds, unsigned n_fds,
             int64_t deadline)
{
    enum { FEW = 16 };
    struct pollfd few[FEW + 2], *set = few;
    if (p && p->calling) { /* a source may not keep the others waiting */
        errno = EINVAL;
        return -1;
    }
    if (n_fds > FEW && !(set = malloc((n_fds + 2) * sizeof *set)))
        return -1;
    set[0] = (struct pollfd){.fd = p ? p->end.events : -1, .events = POLLIN};
    set[1] = (struct pollfd){.fd = c ? c->end.events : -1, .events = POLLIN};
    for (unsigned i = 0; i < n_fds; i++) {
        set[i + 2] = fds[i];
        fds[i].revents = 0;
    }
    int result = 1;
    if (arm(p, c, activity, n_fds ? fds[0].fd : -1)) {
        result = sleep_armed(p, c, set, n_fds + 2, deadline);
        for (unsigned i = 0; result > 0 && i < n_fds; i++) {
            fds[i].revents = set[i + 2].revents;
            bool spoken_to = fds[i].revents != 0;
            if (p)
                endpoint_spoken_to(&p->end, spoken_to);
            if (c)
                endpoint_spoken_to(&c->end, spoken_to);
        }
    }
    int e = errno;
    disarm(p, c);
    if (set != few)
        free(set);
    errno = e;
    return result;
}
