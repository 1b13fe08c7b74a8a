/* over-in.c - a consumer's side of a stream whose buffer overwrites */
#include "kinds/over-in.h"

#include "base/atomics.h"
#include "buffer/buffer.h"
#include "consumer/consumer.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "kinds/over-out.h"
#include "mesh/cause.h"
#include "mesh/mesh.h"
#include "record/record.h"
#include "ring/mailbox.h"
#include "ring/tape.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>

static const layout_share *share_of(const mpp_consumer *c, const consumer_stream *s, unsigned producer)
{
    return layout_share_of(mesh_buffer(c->end.mesh, s->stream), producer);
}

static bool newest(const consumer_stream *s)
{
    return s->declared->info.buffer == MPP_LATEST;
}

bool over_start(mpp_consumer *c, consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++) {
        consumer_share *h = &s->shares[i];
        layout_channel *channel = mesh_channel(c->end.mesh, s->stream, i, c->end.index);
        store_relaxed(&channel->got, 0); /* of another reader, perhaps, or of an earlier look */
        store_relaxed(&channel->missed, 0);
        h->over = false;
        h->kept.tape =
            (tape_reader){.shared = share_of(c, s, i), .bytes = h->kept.tape.bytes, .size = c->end.mesh->l.ring_size};
    }
    s->over.box = over_mailbox(c->end.mesh, s->stream, s->over.box.boxes, 0);
    return true;
}

static bool has_unread(const consumer_stream *s, unsigned producer)
{
    return s->declared->info.buffer == MPP_MAILBOX ? mailbox_full(&s->over.box, producer)
                                                   : tape_unread(&s->shares[producer].kept.tape, newest(s));
}

/* Can it be?  A producer that failed has said why before it leaves. */
static bool state_valid(const mpp_consumer *c, uint32_t state, uint32_t slot)
{
    if (state == LAYOUT_FAILED)
        return slot != LAYOUT_DONE || mesh_cause_word(c->end.mesh) != 0;
    return state == LAYOUT_NONE || state == LAYOUT_RUNNING || state == LAYOUT_ENDED;
}

share_state over_peek(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    consumer_share *h = &s->shares[producer];
    if (h->over)
        return SHARE_OVER;
    const uint32_t slot = load_acquire(&endpoint_peer(&c->end, s->stream, producer)->state); /* [L2], before [E2] */
    const uint32_t state =
        load_acquire(&share_of(c, s, producer)->state); /* [E2]: and before the look at what is there */
    if (has_unread(s, producer))
        return SHARE_READY;
    if (state == LAYOUT_RUNNING && slot == LAYOUT_DONE) {
        endpoint_found(&c->end, MPP_S_FAILED, false, "producer %u left before its stream '%s' ended", producer,
                       s->declared->info.name);
        return SHARE_FAILED;
    }
    if (!state_valid(c, state, slot)) {
        endpoint_corrupt(&c->end, s->stream, producer, "a stream's state");
        return SHARE_FAILED;
    }
    const bool unused = state == LAYOUT_NONE && slot == LAYOUT_DONE; /* it never began, which is no failure by itself */
    h->over = state == LAYOUT_ENDED || (unused && mesh_cause_word(c->end.mesh) == 0);
    return h->over ? SHARE_OVER : SHARE_EMPTY; /* of a failure the cause tells, which follows it */
}

/* Room for a value, and the map of where it comes from.  false: there is none, and that is recorded. */
static bool make_room(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    const mpp_mesh *m = c->end.mesh;
    consumer_share *h = &s->shares[producer];
    const unsigned char **bytes =
        mesh_boxes(m, s->stream) ? (const unsigned char **)&s->over.box.boxes : &h->kept.tape.bytes;
    s->over.area_size = mesh_area_size(m, s->stream);
    if (!*bytes)
        *bytes = over_map(m, s->stream, producer);
    if (!h->held && (h->held = malloc(layout_quarter(m->l.ring_size))))
        h->size = layout_quarter(m->l.ring_size);
    if (!*bytes || !h->held)
        endpoint_cannot(&c->end, errno, "cannot map the buffer of stream '%s'", s->declared->info.name);
    return *bytes && h->held;
}

static tape_outcome copy_value(consumer_stream *s, unsigned producer, layout_value *value, uint64_t *missed)
{
    consumer_share *h = &s->shares[producer];
    if (s->declared->info.buffer != MPP_MAILBOX)
        return tape_read(&h->kept.tape, newest(s), h->held, value, missed);
    *missed = 0;
    switch (mailbox_take(&s->over.box, producer, h->held, value)) {
    case MAILBOX_VALUE:
        return TAPE_VALUE;
    case MAILBOX_CORRUPT:
        return TAPE_CORRUPT;
    case MAILBOX_AGAIN:
        return TAPE_AGAIN;
    case MAILBOX_NOTHING:
        break;
    }
    return TAPE_NOTHING;
}

static share_state hand_out_value(mpp_consumer *c, consumer_stream *s, unsigned producer, const layout_value *value,
                                  uint64_t missed, mpp_batch *batch)
{
    consumer_share *h = &s->shares[producer];
    layout_channel *channel = mesh_channel(c->end.mesh, s->stream, producer, c->end.index);
    *batch =
        (mpp_batch){.data = h->held, .len = value->len, .producer = producer, .stream = s->stream, .missed = missed};
    h->out = OUT_HELD;
    s->last = producer;
    c->taken++;
    count_add(&channel->got, value->records);
    count_add(&channel->missed, missed);
    return SHARE_READY;
}

share_state over_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    layout_value value;
    uint64_t missed;
    share_state state = s->shares[producer].out ? SHARE_EMPTY : over_peek(c, s, producer);
    if (state != SHARE_READY)
        return state;
    if (!make_room(c, s, producer))
        return SHARE_FAILED;
    switch (copy_value(s, producer, &value, &missed)) {
    case TAPE_VALUE:
        if (!record_whole(&s->declared->info.format, s->shares[producer].held, value.len)) {
            endpoint_corrupt(&c->end, s->stream, producer, "a value that does not end where a record does");
            return SHARE_FAILED;
        }
        return hand_out_value(c, s, producer, &value, missed, batch);
    case TAPE_CORRUPT:
        endpoint_corrupt(&c->end, s->stream, producer, "a value in its buffer");
        return SHARE_FAILED;
    case TAPE_NOTHING:
    case TAPE_AGAIN:
        break;
    }
    return SHARE_EMPTY;
}

void over_await(mpp_consumer *c, consumer_stream *s)
{
    /* When we are armed, not before: a writer that takes it back looks for us next, and must find us.  An exchange, so
     * that who takes back what another has set behind us sees all that we stored, too. */
    exchange(&mesh_buffer(c->end.mesh, s->stream)->awaited, 1); /* before [D1] */
}

void over_leave(mpp_consumer *c, consumer_stream *s)
{
    segment_unmap_twice(s->over.box.boxes, s->over.area_size);
    for (unsigned i = 0; i < c->n_peers; i++)
        segment_unmap_twice((unsigned char *)s->shares[i].kept.tape.bytes, s->over.area_size);
}
