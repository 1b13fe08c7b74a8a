/* service.c - what consumers ask for, and the end of a run; nothing else reads their messages */
#include "producer/service.h"

#include "base/atomics.h"
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "endpoint/peers.h"
#include "producer/input.h"
#include "producer/life.h"
#include "producer/operation.h"
#include "producer/pending.h"
#include "producer/producer.h"
#include "run/control.h"
#include "run/over.h"
#include "run/registry.h"
#include "shm/layout.h"

#include <errno.h>

uint32_t producer_mail(const mpp_producer *p)
{
    uint32_t mail = 0;
    for (unsigned lane = 0; lane < p->end.n_lanes; lane++)
        mail += load_acquire(&endpoint_slot(&p->end, lane)->mail); /* [C4] pairs with [C3] */
    return mail;
}

/* Consumer j has enough of the run: what was meant for it is dropped from here on. */
static void consumer_has_enough(mpp_producer *p, producer_stream *s, unsigned j)
{
    registry *r = &s->registry;
    unsigned run = r->cancelled[j];
    if (run < r->run || (run == r->run && !r->running))
        return; /* it had ended already: the consumer drains */
    outlet_discard(&s->outlets[j], s->stream);
    outlet_end(&s->outlets[j], &p->end, s->stream, run, LAYOUT_CANCELLED);
}

static bool take_message(mpp_producer *p, unsigned lane_position, unsigned j, const layout_control *m)
{
    unsigned logical = m->stream_id >> 16;
    producer_stream *s = producer_stream_of(p, logical);
    if ((m->stream_id & 0xffff) != p->end.index || logical >= p->end.mesh->l.streams)
        return false;
    if (!s || endpoint_lane_position(&p->end, logical) != lane_position) /* a lane mate that we do not serve */
        return layout_lane_of(&p->end.mesh->l, logical) == p->end.lanes[lane_position];
    if (!s->buffer->asked) /* it needs none */
        return false;
    if (!registry_message(&s->registry, j, m->type, m->run))
        return false;
    if (m->type == LAYOUT_CANCEL)
        consumer_has_enough(p, s, j);
    else if (s->registry.runs && m->run > s->registry.runs) /* no runs left: say so, it will not come */
        outlet_end(&s->outlets[j], &p->end, s->stream, m->run, LAYOUT_UNASKED);
    return true;
}

static void take_messages(mpp_producer *p)
{
    uint32_t mail = producer_mail(p);
    if (mail == p->mail_seen)
        return;
    p->mail_seen = mail;
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet *o = &p->outlets[i];
        layout_control message;
        int got;
        while ((got = control_take(&p->end.mesh->l, o->ring.shared, &message)) == 1)
            if (!take_message(p, o->lane_position, o->consumer, &message)) {
                got = -1;
                break;
            }
        if (got < 0)
            endpoint_corrupt(&p->end, o->lane, o->consumer, "a control message");
    }
}

/* Consumers that left for good without asking will not take what is meant for them.  What one sent before it left is
 * there when it is seen to have left. */
static void look_at_consumers(mpp_producer *p)
{
    if (p->peers_seen == p->end.peers_seen)
        return;
    p->peers_seen = p->end.peers_seen;
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet *o = &p->outlets[i];
        if (load_acquire(&endpoint_peer(&p->end, o->lane, o->consumer)->state) != LAYOUT_DONE) /* [L2] */
            continue;
        take_messages(p);
        for (unsigned k = 0; k < p->n_streams; k++)
            if (p->streams[k].outlets == o - o->consumer && p->streams[k].buffer->asked &&
                registry_left(&p->streams[k].registry, o->consumer))
                consumer_has_enough(p, &p->streams[k], o->consumer);
    }
}

/* true: every consumer has ended or cancelled the run before.  Else what to wait for is noted. */
static bool await_drained(mpp_producer *p, producer_stream *s)
{
    registry *r = &s->registry;
    bool all = true;
    for (unsigned j = 0; j < r->consumers; j++) {
        outlet *o = &s->outlets[j];
        const run_rest rest = run_rest_of_consumer(r, j);
        const uint64_t end = load_relaxed(&layout_end_of(&p->end.mesh->l, o->ring.shared, s->stream)->end); /* ours */
        if (rest == REST_NONE ||
            (rest == REST_READ && (int64_t)(load_acquire(&o->ring.shared->read) - end) >= 0)) /* [S2] */
            continue;
        all = false;
        if (rest == REST_READ)
            outlet_await_end(o, end);
    }
    return all;
}

static void stop(mpp_producer *p, producer_stream *s)
{
    s->registry.running = false;
    producer_forget_input(s);
    operations_close(p, s, MPP_CLOSED);
    if (!s->source.stop)
        return;
    p->calling = true;
    s->source.stop(s->source.arg, s->stream, s->registry.run);
    p->calling = false;
}

static void move_stream(mpp_producer *p, producer_stream *s)
{
    registry *r = &s->registry;
    if (r->running && registry_unwanted(r, r->run))
        stop(p, s); /* and what is pending with it: nobody is there to get it */
    operations_advance(p, s);
    if (!s->buffer->asked) { /* a caller without a source begins with its first record */
        if (r->run == 0 && s->registered && !p->over)
            producer_begin(p, s);
        return;
    }
    while (!r->running && !registry_finished(r) && registry_unwanted(r, r->run + 1))
        r->run++; /* asked and cancelled by all before it began */
    if (!p->over && registry_wanted(r) && await_drained(p, s))
        producer_begin(p, s);
}

static void stop_all(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].registry.running)
            stop(p, &p->streams[i]);
}

mpp_outcome mpp_service(mpp_producer *p)
{
    if (p->calling) /* a run is not begun inside the end of another */
        return producer_refuse(EINVAL);
    if (endpoint_notice(&p->end))
        return MPP_GONE;
    take_messages(p);
    look_at_consumers(p);
    bool finished = true;
    for (unsigned i = 0; i < p->n_streams; i++) {
        move_stream(p, &p->streams[i]);
        finished &= registry_finished(&p->streams[i].registry);
    }
    if (endpoint_notice(&p->end))
        return MPP_GONE;
    p->closed = load_acquire(&p->end.mesh->header->closed); /* [K2] pairs with [K1] */
    if (p->over || p->closed) {
        stop_all(p);
        return MPP_CLOSED;
    }
    return finished ? MPP_CLOSED : MPP_OK;
}

mpp_outcome mpp_end(mpp_producer *p, unsigned stream)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return producer_refuse(EINVAL);
    if (!s->registry.running)
        return MPP_OK;
    if (s->filling) {
        const mpp_outcome rest = input_rest(p, s);
        if (rest == MPP_ERROR || rest == MPP_WOULD_BLOCK)
            return rest;
    }
    producer_end_run(p, s, LAYOUT_ENDED);
    producer_forget_input(s);
    if (registry_finished(&s->registry)) {
        bool owes = false;
        for (unsigned i = 0; i < p->n_streams; i++)
            owes |= !registry_finished(&p->streams[i].registry);
        for (unsigned i = 0; !owes && i < p->end.n_lanes; i++)
            store_relaxed(&endpoint_slot(&p->end, i)->owes, 0);
    }
    return MPP_OK;
}
