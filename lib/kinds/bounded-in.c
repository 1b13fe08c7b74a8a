/* bounded-in.c - a consumer's side of a stream that is bounded: records out of the frames of channels */
#include "kinds/bounded-in.h"

#include "base/atomics.h"
#include "buffer/buffer.h"
#include "channel/frame.h"
#include "channel/inlet.h"
#include "consumer/consumer.h"
#include "endpoint/bells.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "record/record.h"
#include "ring/doorbell.h"
#include "ring/ring.h"
#include "run/control.h"
#include "run/over.h"
#include "shm/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- control ----------------------------------------------------------------------------------------- */

/* A message, for which nobody is woken yet. */
static void post(mpp_consumer *c, consumer_stream *s, unsigned producer, uint32_t type)
{
    const inlet *i = &s->inlets[producer];
    if (!control_send(&c->end.mesh->l, i->ring.shared, type, layout_physical(s->stream, producer), s->run))
        endpoint_corrupt(&c->end, i->lane, producer, "the control ring is full");
}

static void wake(mpp_consumer *c, const consumer_stream *s, unsigned producer)
{
    const inlet *i = &s->inlets[producer];
    layout_slot *slot = endpoint_peer(&c->end, i->lane, producer);
    add_release(&slot->mail, 1); /* [C3] pairs with [C4]: the messages before the count of them */
    doorbell_fence();            /* [D2] */
    if (doorbell_wake(slot, 0))
        endpoint_ring(&c->end, i->lane, producer);
}

/* Has run s->run been left behind by this producer (as far as its next run may begin)?  Fails the mesh where no number
 * says so. */
static bool check_left_behind(mpp_consumer *c, const consumer_stream *s, unsigned producer)
{
    const inlet *i = &s->inlets[producer];
    const inlet_end end = inlet_end_of(i, &c->end, s->stream);
    const bool unread = s->active && !s->cancelled && !s->shares[producer].over;
    const run_over over = run_over_for_consumer(end.word, s->run, unread);
    if (over == OVER_CORRUPT)
        endpoint_corrupt(&c->end, i->lane, producer, "the number of a run");
    return over == OVER_IT_IS;
}

/* Has the run before been left behind by all? */
bool bounded_over(mpp_consumer *c, const consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!check_left_behind(c, s, i))
            return false;
    return true;
}

/* Ask each producer for the next run, by START, behind which comes `then`, unless that is 0.  false: the run before is
 * not over yet. */
static bool ask(mpp_consumer *c, consumer_stream *s, uint32_t then)
{
    if (!bounded_over(c, s))
        return false;
    s->run++;
    store_relaxed(layout_request_at(&c->end.mesh->l, c->end.mesh->base, c->end.index, s->stream), s->run);
    for (unsigned i = 0; i < c->end.n_peers; i++) {
        s->shares[i].over = false;
        s->shares[i].kept.bounded = (struct share_bounded){.ours_until = s->inlets[i].ring.head};
        post(c, s, i, LAYOUT_START);
        if (then)
            post(c, s, i, then);
        wake(c, s, i);
    }
    return true;
}

bool bounded_start(mpp_consumer *c, consumer_stream *s)
{
    return ask(c, s, 0);
}

void bounded_cancel(mpp_consumer *c, consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!s->shares[i].over) {
            post(c, s, i, LAYOUT_CANCEL);
            wake(c, s, i);
        }
}

bool bounded_skip(mpp_consumer *c, consumer_stream *s)
{
    return ask(c, s, LAYOUT_CANCEL);
}

/* What producer i has given consumer j of a run.  The END that the producer has stored for us, consumer 0, comes behind
 * all that [E1], and we have seen it [E2]. */
static bool gave_none(const mpp_mesh *m, const consumer_stream *s, unsigned i, unsigned j)
{
    layout_channel *channel = mesh_channel(m, s->declared->info.lane, i, j);
    const layout_end *end = layout_end_of(&m->l, channel, s->stream);
    const run_word word = run_word_load(end);
    if (word.run < s->run) /* it had enough before the run began */
        return true;
    const uint64_t until = load_relaxed(word.state == LAYOUT_RUNNING ? &channel->write : &end->end);
    return word.run == s->run && until == load_relaxed(&end->begin);
}

bool mpp_run_empty(const mpp_consumer *c, unsigned stream)
{
    const consumer_stream *s = consumer_stream_of(c, stream);
    if (!s || !s->active || s->cancelled || s->declared->info.buffer != MPP_BOUNDED || c->end.index != 0)
        return false;
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!s->shares[i].over)
            return false;
    for (unsigned i = 0; i < c->end.n_peers; i++)
        for (unsigned j = 0; j < c->end.mesh->l.consumers; j++)
            if (!gave_none(c->end.mesh, s, i, j))
                return false;
    return true;
}

/* ---- data -------------------------------------------------------------------------------------------- */

enum { HELD_KEEP = 1 << 20 }; /* bytes that a share keeps for the next record that comes in parts */

/* What is to be done with a frame of this stream at the head of a channel? */
typedef enum fate { FATE_OURS, FATE_STALE, FATE_LATER } fate;

static fate fate_of(const mpp_consumer *c, const consumer_stream *s, const inlet *i, const inlet_frame *f)
{
    consumer_share *h = &s->shares[i->producer];
    if ((int64_t)(f->position - h->kept.bounded.ours_until) < 0 && !s->cancelled)
        return FATE_OURS;
    inlet_end end = inlet_end_of(i, &c->end, s->stream);
    if (end.word.run < s->run) /* the run that we asked for has not begun: this is of one that is over */
        return FATE_STALE;
    if ((int64_t)(f->position - end.begin) < 0)
        return FATE_STALE;
    if (end.word.run > s->run) /* of a run that we have not asked for yet */
        return FATE_LATER;
    if (!s->active || s->cancelled)
        return FATE_STALE;
    /* [E2] came after [W2]: whatever was published up to there was so before a later run could begin. */
    h->kept.bounded.ours_until = i->ring.write;
    return FATE_OURS;
}

/* What is no whole record is never handed out, whoever put it there. */
static bool check_whole(mpp_consumer *c, const consumer_stream *s, const inlet *i, const unsigned char *p, size_t n)
{
    if (record_whole(&s->declared->info.format, p, n))
        return true;
    endpoint_corrupt(&c->end, i->lane, i->producer, "a frame that does not end where a record does");
    return false;
}

static bool hold(mpp_consumer *c, const consumer_stream *s, const inlet *i, const inlet_frame *f)
{
    consumer_share *h = &s->shares[i->producer];
    uint64_t limit = c->end.mesh->max_record + 2 * c->end.mesh->l.ring_size;
    if (h->kept.bounded.have + f->len > limit) {
        endpoint_corrupt(&c->end, i->lane, i->producer, "a record longer than the mesh's max_record");
        return false;
    }
    if (h->kept.bounded.have + f->len > h->size || !h->held) {
        size_t size = (h->kept.bounded.have + f->len) * 2 + 64;
        unsigned char *bigger = realloc(h->held, size);
        if (!bigger) {
            endpoint_cannot(&c->end, ENOMEM, "a record of %zu bytes or more", h->kept.bounded.have + f->len);
            return false;
        }
        h->held = bigger;
        h->size = size;
    }
    memcpy(h->held + h->kept.bounded.have, f->data, f->len);
    if (!f->continued && !check_whole(c, s, i, h->held, h->kept.bounded.have + f->len))
        return false;
    h->kept.bounded.have += f->len;
    h->kept.bounded.whole = !f->continued;
    return true;
}

/* Whether the run is over on this channel; fails the mesh where nothing will ever come of it. */
static share_state end_of_run(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    inlet *i = &s->inlets[producer];
    uint32_t state = load_acquire(&endpoint_peer(&c->end, i->lane, producer)->state); /* [L2], before [E2] */
    inlet_end end = inlet_end_of(i, &c->end, s->stream);
    if (!inlet_end_check(i, &c->end, &end, s->run))
        return SHARE_FAILED;
    if (end.word.run > s->run)
        return SHARE_OVER;
    if (end.word.run == s->run && (end.word.state == LAYOUT_ENDED || end.word.state == LAYOUT_CANCELLED))
        return (int64_t)(i->ring.head - end.end) >= 0 ? SHARE_OVER : SHARE_EMPTY;
    bool left = state == LAYOUT_DONE && (end.word.run < s->run || end.word.state == LAYOUT_RUNNING);
    if ((end.word.run == s->run && end.word.state == LAYOUT_UNASKED) || left) {
        endpoint_fail(&c->end, MPP_S_FAILED, false,
                      s->run == 1 ? "producer %u left before anyone asked for run %u of stream '%s'"
                                  : "producer %u has no run %u of stream '%s' to give (see mpp-produce --runs)",
                      producer, s->run, s->declared->info.name);
        return SHARE_FAILED;
    }
    return SHARE_EMPTY;
}

/* Pass what is stale, put together what comes in parts, until there is something to hand out or nothing to do. */
static share_state find_ready(mpp_consumer *c, consumer_stream *s, unsigned producer, inlet_frame *f)
{
    inlet *i = &s->inlets[producer];
    consumer_share *h = &s->shares[producer];
    if (h->over || h->kept.bounded.whole)
        return h->over ? SHARE_OVER : SHARE_READY;
    while (!i->out) {
        int got = inlet_head(i, &c->end, f);
        if (got < 0)
            return SHARE_FAILED;
        if (got == 0)
            break;
        consumer_stream *owner = f->stream == s->stream ? s : consumer_stream_of(c, f->stream);
        fate what = owner ? fate_of(c, owner, i, f) : FATE_LATER;
        if (what == FATE_STALE) {
            inlet_pass(i, &c->end, f->size);
            continue;
        }
        if (owner != s || what != FATE_OURS)
            break; /* a lane mate's frame, or a later run's: only the end word can have news for us */
        if (!f->continued && h->kept.bounded.have == 0)
            return check_whole(c, s, i, f->data, f->len) ? SHARE_READY : SHARE_FAILED;
        if (!hold(c, s, i, f))
            return SHARE_FAILED;
        inlet_pass(i, &c->end, f->size);
        if (h->kept.bounded.whole)
            return SHARE_READY;
    }
    share_state state = i->out ? SHARE_EMPTY : end_of_run(c, s, producer);
    h->over = state == SHARE_OVER;
    return state;
}

static void hand_out_frame(consumer_stream *s, unsigned producer, const inlet_frame *f, mpp_batch *batch)
{
    consumer_share *h = &s->shares[producer];
    *batch = (mpp_batch){.data = h->kept.bounded.whole ? h->held : f->data,
                         .len = h->kept.bounded.whole ? h->kept.bounded.have : f->len,
                         .producer = producer,
                         .stream = s->stream};
    h->out = h->kept.bounded.whole ? OUT_HELD : OUT_IN_PLACE;
    if (!h->kept.bounded.whole)
        inlet_lend(&s->inlets[producer], f->size);
    s->last = producer;
}

/* The common case, on what was published when we last looked: a whole frame of this stream, of the run that was
 * asked. */
static bool take_quickly(consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    inlet *i = &s->inlets[producer];
    consumer_share *h = &s->shares[producer];
    const uint64_t unread = i->ring.write - i->ring.head;
    if (unread < sizeof(layout_frame) || (int64_t)(i->ring.head - h->kept.bounded.ours_until) >= 0 || i->out ||
        h->out || h->kept.bounded.have || h->kept.bounded.whole)
        return false;
    const layout_frame header = frame_load(ring_head(&i->ring));
    const uint64_t size = layout_frame_size(header.len);
    if (header.stream_id != layout_physical(s->stream, producer) || size > unread) /* a record that goes on is longer */
        return false;
    if (!record_whole(&s->declared->info.format, ring_head(&i->ring) + sizeof header, header.len))
        return false; /* look() says what it is */
    *batch = (mpp_batch){
        .data = ring_head(&i->ring) + sizeof header, .len = header.len, .producer = producer, .stream = s->stream};
    h->out = OUT_IN_PLACE;
    inlet_lend(i, size);
    s->last = producer;
    return true;
}

share_state bounded_peek(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    inlet_frame frame;
    return find_ready(c, s, producer, &frame);
}

share_state bounded_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    inlet_frame frame;
    if (take_quickly(s, producer, batch))
        return SHARE_READY;
    if (s->shares[producer].out)
        return SHARE_EMPTY;
    share_state state = find_ready(c, s, producer, &frame);
    if (state == SHARE_READY)
        hand_out_frame(s, producer, &frame, batch);
    return state;
}

void bounded_release(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    consumer_share *h = &s->shares[producer];
    if (h->out == OUT_IN_PLACE) {
        inlet_take_back(&s->inlets[producer], &c->end);
        return;
    }
    h->kept.bounded.have = 0;
    h->kept.bounded.whole = false;
    if (h->size > HELD_KEEP) { /* one huge record does not keep its memory */
        free(h->held);
        h->held = NULL;
        h->size = 0;
    }
}
