#include "wait/timeout.h"

#include "base/atomics.h"
#include "base/names.h"
#include "channel/inlet.h"
#include "channel/outlet.h"
#include "consumer/consumer.h"
#include "consumer/wait.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "endpoint/patience.h"
#include "mesh/mesh.h"
#include "mesh/over.h"
#include "producer/life.h"
#include "producer/producer.h"
#include "producer/wait.h"
#include "shm/layout.h"

static bool never_came(const endpoint *e, unsigned lane, unsigned peer)
{
    layout_slot *s = endpoint_peer(e, lane, peer);
    return load_acquire(&s->state) == LAYOUT_FREE; /* [L2] */
}

/* *number: of the slot of the first that it waits for, and that never came. */
static bool producer_waits_for(mpp_producer *p, unsigned *number)
{
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet *o = &p->outlets[i];
        if ((o->need || o->end_wanted || p->nobody_asked) && never_came(&p->end, o->lane, o->consumer)) {
            *number = layout_slot_number(&p->end.mesh->l, o->lane, 'c', o->consumer);
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

int64_t timeout_earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

int64_t timeout_of_producer(mpp_producer *p)
{
    unsigned number;
    endpoint *e = &p->end;
    if (endpoint_waits_for_ever(e))
        return 0;
    if (e->barrier || producer_waits_for(p, &number))
        return endpoint_too_late(e, e->patience.since_ns);
    if (!producer_waits_start(p))
        return 0;
    crowd seen = consumers_seen(e);
    if (seen.somebody || (p->runs == 0 && !seen.everybody_never && !mesh_sealed(e->mesh))) {
        p->idle_since_ns = 0;
        return 0;
    }
    if (seen.everybody_never)
        return endpoint_too_late(e, e->patience.since_ns);
    if (!p->idle_since_ns)
        p->idle_since_ns = mpp_now();
    return endpoint_too_late(e, p->idle_since_ns);
}

/* Also one that has not asked yet, for whatever reason, waits for who shall give. */
static bool consumer_waits_for(const mpp_consumer *c, const inlet *i)
{
    bool asked = false;
    for (unsigned k = 0; k < c->n_streams; k++)
        asked |= c->streams[k].active;
    return (!asked || consumer_awaits(c, i)) && never_came(&c->end, i->lane, i->producer);
}

int64_t timeout_of_consumer(mpp_consumer *c)
{
    endpoint *e = &c->end;
    bool waits = e->barrier;
    if (endpoint_waits_for_ever(e))
        return 0;
    for (unsigned i = 0; !waits && i < c->n_inlets; i++)
        waits = consumer_waits_for(c, &c->inlets[i]);
    return waits ? endpoint_too_late(e, e->patience.since_ns) : 0;
}

/* Somebody never came whom we wait for, as in " for space in its ring". */
static void never_attached(endpoint *e, unsigned number, const char *why)
{
    const layout_place place = layout_place_of(&e->mesh->l, number);
    if (endpoint_still_comes(e, number))
        return;
    if (mesh_sealed(e->mesh))
        endpoint_fail(e, MPP_S_TIMEOUT, false,
                      "%s %u never attached, and %s %u waits%s; nobody can come any more, as the command of mpp-create "
                      "has ended: it has to wait for what it starts",
                      names_role(place.role), place.index, names_role(e->role), e->index, why);
    else
        endpoint_fail(
            e, MPP_S_TIMEOUT, false,
            "%s %u never attached, and %s %u has waited %.1f s%s; start it, or raise --attach-timeout (0: wait "
            "for ever)",
            names_role(place.role), place.index, names_role(e->role), e->index, (double)e->patience.attach_ns / 1e9,
            why);
}

static void barrier_timed_out(endpoint *e)
{
    unsigned i = 0;
    while (i + 1 < e->mesh->l.slots && load_acquire(&mesh_slot(e->mesh, i)->state) != LAYOUT_FREE) /* [L2] */
        i++;
    never_attached(e, i, " for everybody (--barrier)");
}

void timeout_producer_starved(mpp_producer *p, int64_t now)
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
                  (double)e->patience.timeout_ns / 1e9, mpp_activity_text(load_relaxed(&s->activity)),
                  (double)(now - (int64_t)load_relaxed(&s->since_ns)) / 1e9);
}

static void producer_timed_out(mpp_producer *p)
{
    endpoint *e = &p->end;
    unsigned number = endpoint_peer_number(e, e->lanes[0], 0);
    if (e->barrier) {
        barrier_timed_out(e);
        return;
    }
    bool waits = producer_waits_for(p, &number);
    if (waits || consumers_seen(e).everybody_never)
        never_attached(e, number, waits ? " for space in its ring" : " to be asked");
    else if (!producer_recheck(p)) /* not when somebody asks at this very moment */
        producer_unasked(p);
}

void timeout_consumer_starved(mpp_consumer *c, int64_t now)
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
                  who, (double)e->patience.timeout_ns / 1e9, mpp_activity_text(load_relaxed(&s->activity)),
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
            never_attached(e, layout_slot_number(&e->mesh->l, c->inlets[i].lane, 'p', c->inlets[i].producer),
                           " for its records");
            return;
        }
}

static void clocks_restart(mpp_producer *p, mpp_consumer *c, int64_t now)
{
    if (p)
        endpoint_expect_again(&p->end, now), p->idle_since_ns = 0;
    if (c)
        endpoint_expect_again(&c->end, now);
}

bool timeout_woke_late(mpp_producer *p, mpp_consumer *c, int64_t deadline, int64_t now)
{
    if (now - deadline < INT64_C(500000000))
        return false;
    clocks_restart(p, c, now);
    return true;
}

void timeout_passed(mpp_producer *p, mpp_consumer *c, int64_t due)
{
    int64_t now = mpp_now();
    if (timeout_woke_late(p, c, due, now))
        return;
    int64_t of_producer = p ? timeout_of_producer(p) : 0, of_consumer = c ? timeout_of_consumer(c) : 0;
    if (of_producer && now >= of_producer)
        producer_timed_out(p);
    if (of_consumer && now >= of_consumer)
        consumer_timed_out(c);
}

void mpp_continued(mpp_producer *p, mpp_consumer *c)
{
    clocks_restart(p, c, mpp_now());
}
