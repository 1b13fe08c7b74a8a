#include "overwriting.h"

#include "atomics.h"
#include "doorbell.h"
#include "error.h"
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MOST = 64 << 10 }; /* a ring's values hold many records, up to so many bytes */

static unsigned char *area_map(const mpp_mesh *m, unsigned stream, unsigned producer)
{
    return segment_map_twice(m->segment, mesh_area_offset(m, stream, producer), mesh_area_size(m, stream));
}

static mailbox mailbox_of(const mpp_mesh *m, unsigned stream, unsigned char *bytes, unsigned producer)
{
    return (mailbox){.shared = mesh_buffer(m, stream),
                     .boxes = bytes,
                     .box_size = layout_quarter(m->l.ring_size),
                     .producers = m->l.producers,
                     .producer = producer,
                     .box = producer};
}

/* ---- the producer's side ------------------------------------------------------------------------ */

int overwriting_open(mpp_producer *p, producer_stream *s, mpp_error *err)
{
    const mpp_mesh *m = p->end.mesh;
    unsigned char *bytes = area_map(m, s->stream, p->end.index);
    s->share = layout_share_of(mesh_buffer(m, s->stream), p->end.index);
    if (!bytes)
        return error_set(err, MPP_S_ERROR, errno, "producer %u cannot map the buffer of stream '%s'", p->end.index,
                         s->declared->info.name);
    s->area = bytes;
    s->area_size = mesh_area_size(m, s->stream);
    if (mesh_boxes(m, s->stream))
        s->box = mailbox_of(m, s->stream, bytes, p->end.index);
    else
        tape_writer_open(&s->tape, s->share, bytes, m->l.ring_size);
    return 0;
}

void overwriting_close(producer_stream *s)
{
    segment_unmap_twice(s->area, s->area_size);
    s->area = NULL;
}

/* Wake the readers that sleep. */
static void bell(mpp_producer *p, const producer_stream *s)
{
    endpoint *e = &p->end;
    _Atomic uint32_t *awaited = &mesh_buffer(e->mesh, s->stream)->awaited;
    doorbell_fence(); /* [D2]: after [W1], [X1], [E1] */
    if (!load_relaxed(awaited))
        return;
    exchange(awaited, 0);
    for (unsigned j = 0; j < e->n_peers; j++)
        if (doorbell_wake(endpoint_peer(e, s->stream, j), LAYOUT_WANTS_DATA)) {
            endpoint_ring(e, s->stream, j);
            count_add(&mesh_channel(e->mesh, s->stream, e->index, j)->rung, 1);
        }
}

void overwriting_begin(mpp_producer *p, producer_stream *s)
{
    (void)p;
    store_release(&s->share->state, LAYOUT_RUNNING); /* [E1] */
}

void overwriting_end(mpp_producer *p, producer_stream *s, unsigned state)
{
    store_release(&s->share->state, state); /* [E1] pairs with [E2]: the last value before it */
    bell(p, s);
}

static void put(mpp_producer *p, producer_stream *s, const void *data, size_t n, unsigned records)
{
    uint64_t overwritten;
    const bool good = mesh_boxes(p->end.mesh, s->stream) ? mailbox_put(&s->box, data, n, &overwritten)
                                                         : tape_write(&s->tape, data, n, records, &overwritten);
    if (!good)
        endpoint_corrupt(&p->end, s->stream, 0, "the buffer that producers overwrite");
    s->records += records;
    s->bytes += n;
    count_add(&s->share->produced, records);
    count_add(&s->share->produced_bytes, n);
    count_add(&s->share->overwritten, overwritten);
}

/* Whole records that make one value: as many as there are for a ring, else one.  Their bytes; 0: there is none. */
static size_t value_at(const producer_stream *s, const unsigned char *bytes, size_t n, unsigned *records,
                       mpp_outcome *outcome)
{
    const mpp_stream_info *info = &s->declared->info;
    const size_t most = info->buffer != MPP_RING ? 0 : info->max_record < VALUE_MOST ? info->max_record : VALUE_MOST;
    size_t len = 0, one;
    *records = 0;
    while ((*outcome = mpp_record_next(&info->format, info->max_record, bytes + len, n - len, &one)) == MPP_OK) {
        if (*records && len + one > most)
            break;
        len += one;
        ++*records;
    }
    return len;
}

mpp_outcome overwriting_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used)
{
    const unsigned char *bytes = data;
    unsigned records;
    mpp_outcome outcome = producer_state(p, s);
    if (outcome != MPP_OK)
        return outcome;
    while (*used < n) {
        const size_t len = value_at(s, bytes + *used, n - *used, &records, &outcome);
        if (records == 0)
            break;
        put(p, s, bytes + *used, len, records);
        *used += len;
    }
    bell(p, s);
    return outcome == MPP_ERROR ? producer_refuse(EMSGSIZE) : MPP_OK;
}

/* ---- the consumer's side ------------------------------------------------------------------------ */

static const layout_share *share_of(const mpp_consumer *c, const consumer_stream *s, unsigned producer)
{
    return layout_share_of(mesh_buffer(c->end.mesh, s->stream), producer);
}

static bool newest(const consumer_stream *s)
{
    return s->declared->info.buffer == MPP_LATEST;
}

bool overwriting_start(mpp_consumer *c, consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++) {
        consumer_share *h = &s->shares[i];
        layout_channel *channel = mesh_channel(c->end.mesh, s->stream, i, c->end.index);
        store_relaxed(&channel->got, 0); /* of another reader, perhaps, or of an earlier look */
        store_relaxed(&channel->missed, 0);
        h->over = false;
        h->tape = (tape_reader){.shared = share_of(c, s, i), .bytes = h->tape.bytes, .size = c->end.mesh->l.ring_size};
    }
    s->box = mailbox_of(c->end.mesh, s->stream, s->box.boxes, 0);
    return true;
}

static bool unread(const consumer_stream *s, unsigned producer)
{
    return s->declared->info.buffer == MPP_MAILBOX ? mailbox_full(&s->box, producer)
                                                   : tape_unread(&s->shares[producer].tape, newest(s));
}

/* Can it be?  A producer that failed has said why before it leaves. */
static bool state_valid(const mpp_consumer *c, uint32_t state, uint32_t slot)
{
    if (state == LAYOUT_FAILED)
        return slot != LAYOUT_DONE || mesh_cause_word(c->end.mesh) != 0;
    return state == LAYOUT_NONE || state == LAYOUT_RUNNING || state == LAYOUT_ENDED;
}

share_state overwriting_look(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    consumer_share *h = &s->shares[producer];
    if (h->over)
        return SHARE_OVER;
    const uint32_t slot = load_acquire(&endpoint_peer(&c->end, s->stream, producer)->state); /* [L2], before [E2] */
    const uint32_t state =
        load_acquire(&share_of(c, s, producer)->state); /* [E2]: and before the look at what is there */
    if (unread(s, producer))
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
static bool prepare(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    const mpp_mesh *m = c->end.mesh;
    consumer_share *h = &s->shares[producer];
    const unsigned char **bytes = mesh_boxes(m, s->stream) ? (const unsigned char **)&s->box.boxes : &h->tape.bytes;
    s->area_size = mesh_area_size(m, s->stream);
    if (!*bytes)
        *bytes = area_map(m, s->stream, producer);
    if (!h->held && (h->held = malloc(layout_quarter(m->l.ring_size))))
        h->size = layout_quarter(m->l.ring_size);
    if (!*bytes || !h->held)
        endpoint_cannot(&c->end, errno, "cannot map the buffer of stream '%s'", s->declared->info.name);
    return *bytes && h->held;
}

static tape_outcome copy(consumer_stream *s, unsigned producer, layout_value *value, uint64_t *missed)
{
    consumer_share *h = &s->shares[producer];
    if (s->declared->info.buffer != MPP_MAILBOX)
        return tape_read(&h->tape, newest(s), h->held, value, missed);
    *missed = 0;
    switch (mailbox_take(&s->box, producer, h->held, value)) {
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

static share_state hand_out(mpp_consumer *c, consumer_stream *s, unsigned producer, const layout_value *value,
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

share_state overwriting_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    layout_value value;
    uint64_t missed;
    share_state state = s->shares[producer].out ? SHARE_EMPTY : overwriting_look(c, s, producer);
    if (state != SHARE_READY)
        return state;
    if (!prepare(c, s, producer))
        return SHARE_FAILED;
    switch (copy(s, producer, &value, &missed)) {
    case TAPE_VALUE:
        if (!record_whole(&s->declared->info.format, s->shares[producer].held, value.len)) {
            endpoint_corrupt(&c->end, s->stream, producer, "a value that does not end where a record does");
            return SHARE_FAILED;
        }
        return hand_out(c, s, producer, &value, missed, batch);
    case TAPE_CORRUPT:
        endpoint_corrupt(&c->end, s->stream, producer, "a value in its buffer");
        return SHARE_FAILED;
    case TAPE_NOTHING:
    case TAPE_AGAIN:
        break;
    }
    return SHARE_EMPTY;
}

void overwriting_await(mpp_consumer *c, consumer_stream *s)
{
    /* When we are armed, not before: a writer that takes it back looks for us next, and must find us.  An exchange, so
     * that who takes back what another has set behind us sees all that we stored, too. */
    exchange(&mesh_buffer(c->end.mesh, s->stream)->awaited, 1); /* before [D1] */
}

void overwriting_leave(mpp_consumer *c, consumer_stream *s)
{
    segment_unmap_twice(s->box.boxes, s->area_size);
    for (unsigned i = 0; i < c->n_peers; i++)
        segment_unmap_twice((unsigned char *)s->shares[i].tape.bytes, s->area_size);
}
