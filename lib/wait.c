/* wait.c - the one loop in which anybody sleeps; see doorbell.h for its order */
#include "consumer.h"
#include "producer.h"

#include "atomics.h"
#include "clock.h"
#include "doorbell.h"
#include "liveness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t mpp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

const char *mpp_activity_text(unsigned activity)
{
    static const char *const texts[] = {
        [MPP_COMPUTING] = "working",
        [MPP_WAITING_START] = "waiting for START",
        [MPP_WAITING_SPACE] = "waiting for space",
        [MPP_WAITING_DATA] = "waiting for data",
        [MPP_READING_INPUT] = "reading its input",
        [MPP_WRITING_OUTPUT] = "writing its output",
        [MPP_WAITING_COMMAND] = "waiting for its command",
        [MPP_ENDING] = "ending",
        [MPP_WAITING_PEERS] = "waiting for everybody to attach",
    };
    return activity < sizeof texts / sizeof *texts ? texts[activity] : "unknown";
}

/* ---- arming ------------------------------------------------------------------------------------- */

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

/* Publish what we are about to wait for, and since when.  A bell that was not for us, a death elsewhere, a slice of a
 * time-out: a wait from which nothing came goes on, and is told from its beginning. */
static void say(endpoint *e, mpp_activity activity, unsigned lane, unsigned peer, uint64_t progress, int fd)
{
    if (e->spoken_to || e->said != activity || e->said_peer != peer || e->progress != progress)
        e->said_since_ns = clock_shared();
    e->spoken_to = false;
    e->said = activity;
    e->said_peer = peer;
    e->progress = progress;
    for (unsigned i = 0; i < e->n_lanes; i++)
        store_relaxed(&endpoint_slot(e, i)->fd,
                      activity == MPP_READING_INPUT || activity == MPP_WRITING_OUTPUT ? fd : -1);
    endpoint_publish(e, activity, lane, peer, e->said_since_ns);
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
        say(&p->end, MPP_WAITING_SPACE, o->lane, o->consumer + 1, progress, -1);
    else
        say(&p->end, activity == MPP_COMPUTING && producer_waits_start(p) ? MPP_WAITING_START : activity, 0, 0,
            progress, fd);
    arm_slots(&p->end, o ? LAYOUT_WANTS_SPACE : 0);
}

static void arm_consumer(mpp_consumer *c, mpp_activity activity, int fd)
{
    unsigned lane = 0;
    uint64_t progress = c->taken;
    consumer_arm(c);
    bool hungry = consumer_hungry(c);
    int awaited = hungry ? consumer_awaited(c, &lane) : -1;
    for (unsigned i = 0; i < c->n_inlets; i++) {
        progress += c->inlets[i].ring.read;
        inlet_await(&c->inlets[i], consumer_awaits(c, &c->inlets[i]));
    }
    say(&c->end, hungry && activity == MPP_COMPUTING ? MPP_WAITING_DATA : activity, lane, (unsigned)(awaited + 1),
        progress, fd);
    arm_slots(&c->end, hungry ? LAYOUT_WANTS_DATA : 0);
    consumer_await(c);
}

static bool arm(mpp_producer *p, mpp_consumer *c, mpp_activity activity, int fd)
{
    if (p)
        arm_producer(p, activity, fd);
    if (c)
        arm_consumer(c, activity, fd);
    return !(p && producer_ready(p)) && !(c && consumer_ready(c));
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
    if ((p && endpoint_gone(&p->end)) || (c && endpoint_gone(&c->end)))
        return MPP_GONE;
    bool all = (!p || endpoint_everybody(&p->end)) && (!c || endpoint_everybody(&c->end));
    return all ? MPP_OK : MPP_WOULD_BLOCK;
}

void mpp_disarm(mpp_producer *p, mpp_consumer *c)
{
    if (p)
        endpoint_heard(&p->end);
    if (c)
        endpoint_heard(&c->end);
    if (p) /* what else woke the caller we do not know */
        p->end.spoken_to = true;
    if (c)
        c->end.spoken_to = true;
    disarm(p, c);
}

/* ---- time-outs ---------------------------------------------------------------------------------- */

static bool never_came(const endpoint *e, unsigned lane, unsigned peer)
{
    layout_slot *s = endpoint_peer(e, lane, peer);
    return load_acquire(&s->state) == LAYOUT_FREE; /* [L2] */
}

static bool producer_waits_for(mpp_producer *p, unsigned *peer)
{
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet *o = &p->outlets[i];
        if ((o->need || o->end_wanted || p->nobody_asked) && never_came(&p->end, o->lane, o->consumer)) {
            *peer = o->consumer;
            return true;
        }
    }
    return false;
}

typedef struct crowd {
    bool somebody, everybody_never;
} crowd;

static crowd consumers_seen(const endpoint *e)
{
    crowd seen = {false, true};
    for (unsigned lane = 0; lane < e->n_lanes; lane++)
        for (unsigned j = 0; j < e->n_peers; j++) {
            uint32_t state = load_acquire(&endpoint_peer(e, e->lanes[lane], j)->state); /* [L2] */
            seen.somebody |= state == LAYOUT_LIVE;
            seen.everybody_never &= state == LAYOUT_FREE;
        }
    return seen;
}

/* When to look at time-outs next; 0: never. */
static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static int64_t producer_deadline(mpp_producer *p)
{
    unsigned peer;
    endpoint *e = &p->end;
    if (!e->attach_timeout_ns)
        return 0;
    if (e->barrier)
        return e->since_ns + e->attach_timeout_ns;
    if (producer_waits_for(p, &peer))
        return e->since_ns + e->attach_timeout_ns;
    if (!producer_waits_start(p))
        return 0;
    crowd seen = consumers_seen(e);
    if (seen.somebody || (p->runs == 0 && !seen.everybody_never)) {
        p->idle_since_ns = 0;
        return 0;
    }
    if (seen.everybody_never)
        return e->since_ns + e->attach_timeout_ns;
    if (!p->idle_since_ns)
        p->idle_since_ns = mpp_now();
    return p->idle_since_ns + e->attach_timeout_ns;
}

/* Also one that has not asked yet, for whatever reason, waits for who shall give. */
static bool consumer_waits_for(const mpp_consumer *c, const inlet *i)
{
    bool asked = false;
    for (unsigned k = 0; k < c->n_streams; k++)
        asked |= c->streams[k].active;
    return (!asked || consumer_awaits(c, i)) && never_came(&c->end, i->lane, i->producer);
}

static int64_t consumer_deadline(mpp_consumer *c)
{
    endpoint *e = &c->end;
    int64_t deadline = 0;
    if (e->barrier)
        return e->attach_timeout_ns ? e->since_ns + e->attach_timeout_ns : 0;
    for (unsigned i = 0; e->attach_timeout_ns && i < c->n_inlets; i++)
        if (consumer_waits_for(c, &c->inlets[i]))
            deadline = e->since_ns + e->attach_timeout_ns;
    return deadline;
}

static void barrier_timed_out(endpoint *e)
{
    unsigned i = 0, both = e->mesh->l.producers + e->mesh->l.consumers;
    while (i + 1 < e->mesh->l.slots && load_acquire(&mesh_slot(e->mesh, i)->state) != LAYOUT_FREE) /* [L2] */
        i++;
    bool producer = i % both < e->mesh->l.producers;
    endpoint_fail(e, MPP_S_TIMEOUT, false,
                  "%s %u never attached, and %s %u has waited %.1f s for everybody (--barrier); start it, or raise "
                  "--attach-timeout (0: wait for ever)",
                  producer ? "producer" : "consumer", producer ? i % both : i % both - e->mesh->l.producers,
                  e->role == 'p' ? "producer" : "consumer", e->index, (double)e->attach_timeout_ns / 1e9);
}

static bool stopped(int32_t pid)
{
    char state = pid ? liveness_state((pid_t)pid) : 0;
    return state == 'T' || state == 't';
}

/* Is any participant of our lanes, or its command, stopped or traced?  Nobody is late then, nor is who waits for
 * one. */
static bool anybody_stopped(const endpoint *e)
{
    for (unsigned lane = 0; lane < e->n_lanes; lane++)
        for (unsigned at = 0; at < e->n_all; at++) {
            layout_slot *s = mesh_slot(e->mesh, e->lanes[lane] * e->n_all + at);
            if (load_acquire(&s->state) == LAYOUT_LIVE && /* [L2] */
                (stopped(load_relaxed(&s->pid)) || stopped(load_relaxed(&s->command))))
                return true;
        }
    return false;
}

/* --timeout is waited for in slices, and one counts only when nobody was stopped at its beginning or end.  So a stop
 * that ends just before the time is up is seen, and so is our own, of which we know nothing: a slice counts once,
 * however late we wake from it. */
static int64_t slice(const endpoint *e)
{
    return e->timeout_ns / 16 + 1000000;
}

/* We slept for `slept` in want of data or space; whole: nothing woke us.  Is the time up? */
static bool patience_over(endpoint *e, int64_t slept, bool whole)
{
    bool held = whole ? anybody_stopped(e) : e->held;
    if (!held && !e->held)
        e->waited_ns += slept < slice(e) ? slept : slice(e);
    e->held = held;
    return e->waited_ns >= e->timeout_ns;
}

static void producer_starved(mpp_producer *p, int64_t now)
{
    endpoint *e = &p->end;
    outlet *o = producer_blocked(p);
    char who[96];
    if (!o)
        return;
    unsigned number = layout_slot_number(&e->mesh->l, o->lane, 'c', o->consumer);
    layout_slot *s = mesh_slot(e->mesh, number);
    mesh_who(e->mesh, number, who, sizeof who);
    endpoint_fail(e, MPP_S_TIMEOUT, false, "%s took nothing for %.1f s (--timeout); it has been %s for %.1f s", who,
                  (double)e->timeout_ns / 1e9, mpp_activity_text(load_relaxed(&s->activity)),
                  (double)(now - (int64_t)load_relaxed(&s->since_ns)) / 1e9);
}

static void producer_timed_out(mpp_producer *p)
{
    unsigned peer = 0;
    endpoint *e = &p->end;
    if (e->barrier) {
        barrier_timed_out(e);
        return;
    }
    bool waits = producer_waits_for(p, &peer);
    if (waits || consumers_seen(e).everybody_never)
        endpoint_fail(
            e, MPP_S_TIMEOUT, false,
            waits ? "consumer %u never attached, and producer %u has waited %.1f s for space in its ring; start "
                    "it, or raise --attach-timeout (0: wait for ever)"
                  : "consumer %u never attached, and producer %u has waited %.1f s to be asked; start it, or "
                    "raise --attach-timeout (0: wait for ever)",
            peer, e->index, (double)e->attach_timeout_ns / 1e9);
    else if (!producer_ready(p)) /* not when somebody asks at this very moment */
        producer_unasked(p);
}

static void consumer_starved(mpp_consumer *c, int64_t now)
{
    endpoint *e = &c->end;
    char who[96];
    unsigned lane = 0;
    int producer = consumer_awaited(c, &lane);
    if (producer < 0)
        return;
    unsigned number = layout_slot_number(&e->mesh->l, lane, 'p', (unsigned)producer);
    layout_slot *s = mesh_slot(e->mesh, number);
    mesh_who(e->mesh, number, who, sizeof who);
    endpoint_fail(e, MPP_S_TIMEOUT, false, "no record came from %s for %.1f s (--timeout); it has been %s for %.1f s",
                  who, (double)e->timeout_ns / 1e9, mpp_activity_text(load_relaxed(&s->activity)),
                  (double)(now - (int64_t)load_relaxed(&s->since_ns)) / 1e9);
}

static void consumer_timed_out(mpp_consumer *c)
{
    endpoint *e = &c->end;
    if (e->barrier) {
        barrier_timed_out(e);
        return;
    }
    for (unsigned i = 0; i < c->n_inlets; i++)
        if (consumer_waits_for(c, &c->inlets[i])) {
            endpoint_fail(e, MPP_S_TIMEOUT, false,
                          "producer %u never attached (consumer %u has waited %.1f s); start it, or raise "
                          "--attach-timeout (0: wait for ever)",
                          c->inlets[i].producer, e->index, (double)e->attach_timeout_ns / 1e9);
            return;
        }
}

static void clocks_restart(mpp_producer *p, mpp_consumer *c, int64_t now)
{
    if (p)
        p->end.since_ns = now, p->idle_since_ns = 0;
    if (c)
        c->end.since_ns = now;
}

/* We slept past the deadline by more than scheduling explains: we were stopped, and so, perhaps, were all.  Everybody
 * gets the time again. */
static bool woke_late(mpp_producer *p, mpp_consumer *c, int64_t deadline, int64_t now)
{
    if (now - deadline < INT64_C(500000000))
        return false;
    clocks_restart(p, c, now);
    return true;
}

static void timed_out(mpp_producer *p, mpp_consumer *c, int64_t due)
{
    int64_t now = mpp_now();
    if (woke_late(p, c, due, now))
        return;
    int64_t of_producer = p ? producer_deadline(p) : 0, of_consumer = c ? consumer_deadline(c) : 0;
    if (of_producer && now >= of_producer)
        producer_timed_out(p);
    if (of_consumer && now >= of_consumer)
        consumer_timed_out(c);
}

void mpp_continued(mpp_producer *p, mpp_consumer *c)
{
    clocks_restart(p, c, mpp_now());
}

/* ---- sleeping ----------------------------------------------------------------------------------- */

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
    int64_t ours = earlier(p ? producer_deadline(p) : 0, c ? consumer_deadline(c) : 0);
    bool space = p && p->end.timeout_ns && producer_blocked(p);
    bool data = c && c->end.timeout_ns && consumer_hungry(c) && !c->end.barrier;
    int64_t slices = earlier(space ? before + slice(&p->end) : 0, data ? before + slice(&c->end) : 0);
    int64_t reminder = unreminded(p, c) ? before + OWED_MS * INT64_C(1000000) : 0;
    int woken = sleep_until(set, n, earlier(earlier(deadline, ours), earlier(slices, reminder)));
    int e = errno;
    int64_t now = mpp_now();
    account(p, c, now - before);
    if (woken < 0 && ours) /* a signal, perhaps that we go on after a stop: the time was not ours */
        woke_late(p, c, ours, now);
    if (woken == 0 && ours && now >= ours)
        timed_out(p, c, ours > before ? ours : before);
    if (space && patience_over(&p->end, now - before, woken == 0))
        producer_starved(p, clock_shared());
    if (data && patience_over(&c->end, now - before, woken == 0))
        consumer_starved(c, clock_shared());
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
                p->end.spoken_to |= spoken_to;
            if (c)
                c->end.spoken_to |= spoken_to;
        }
    }
    int e = errno;
    disarm(p, c);
    if (set != few)
        free(set);
    errno = e;
    return result;
}
