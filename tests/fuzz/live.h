/* live.h - meshes under attack: one that is used as a program would, by one thread, and one that is looked at
 *
 * What must hold of the first: every call returns, a batch lies where it may and is whole records, and what cannot be
 * is the end of the mesh by name.  Positions, ends and messages are those that lib/layout.h has. */
#ifndef LIVE_H
#define LIVE_H

#include "mpp-look.h"
#include "place.h"

#include "../unit/rig.h"

#include "channel/inlet.h"
#include "consumer/consumer.h"
#include "mesh/mesh.h"
#include "producer/producer.h"
#include "shm/layout.h"
#include "shm/segment.h"

enum { LIVE_BATCHES = 10000 };

static unsigned live_batches; /* that were taken */

/* Lines in lane 0, and in what lane there is a second stream of another format. */
static inline void live_open(rig *r, const mpp_format *second, unsigned lanes, unsigned consumers, unsigned runs)
{
    const mpp_stream_options streams[] = {
        {.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
        {.name = "b", .format = *second, .key = "1", .separator = ' '},
    };
    mpp_mesh_options o = rig_options(streams, 2, consumers);
    o.lanes = lanes;
    o.max_record = 1000;
    rig_open(r, &o, runs, false);
}

/* Whatever is left of it. */
static inline void live_close(rig *r)
{
    char id[MPP_NAME_MAX + 1];
    snprintf(id, sizeof id, "%s", mpp_mesh_id(r->mesh));
    for (unsigned j = 0; j < r->consumers; j++)
        mpp_consumer_detach(&r->c[j]);
    mpp_producer_detach(&r->p);
    mpp_mesh_close(&r->mesh);
    for (unsigned j = 0; j < RIG_CONSUMERS; j++)
        for (unsigned s = 0; s < RIG_STREAMS; s++)
            bytes_free(&r->got[j][s]);
    mpp_mesh_remove(id, NULL);
}

/* The mesh has failed, and it is said how: by what is corrupt, unless `others` may be the reason too. */
static inline void live_failed(const rig *r, bool others)
{
    mpp_error cause;
    must(mpp_mesh_cause(r->mesh, &cause), "a mesh that is gone has a cause");
    must(others || cause.status == MPP_S_CORRUPT, "status %d: %s", (int)cause.status, cause.text);
    must(others || strstr(cause.text, "corrupt"), "%s", cause.text);
}

/* Where did it come from?  A frame of the ring, or a record that was put together. */
static inline void live_inside(const rig *r, unsigned j, const mpp_batch *b)
{
    const mpp_consumer *c = r->c[j];
    const consumer_stream *s = &c->streams[b->stream];
    const inlet *i = &s->inlets[b->producer];
    const consumer_share *h = &s->shares[b->producer];
    if (b->data == h->held) {
        must(b->len <= h->size, "%zu bytes of %zu", b->len, h->size);
        must(b->len <= mpp_mesh_max_record(r->mesh) + 2 * i->ring.size, "a record of %zu bytes", b->len);
        return;
    }
    must(b->data >= i->ring.bytes + sizeof(layout_frame) &&
             b->data < i->ring.bytes + i->ring.size + sizeof(layout_frame),
         "a batch begins outside of its ring");
    must(b->len <= i->ring.size - sizeof(layout_frame), "a batch of %zu bytes", b->len);
}

/* One batch, as a careful user takes it; its bytes are kept. */
static inline mpp_outcome live_take(rig *r, unsigned j, unsigned stream)
{
    mpp_batch b;
    const mpp_outcome outcome = mpp_next(r->c[j], stream, MPP_PRODUCER_ANY, &b);
    must(outcome != MPP_ERROR, "mpp_next() does not fail");
    if (outcome != MPP_OK)
        return outcome;
    must(b.stream == stream && b.producer < mpp_mesh_producers(r->mesh), "stream %u of %u", b.stream, b.producer);
    live_inside(r, j, &b);
    must(b.len == 0 || rig_whole_records(r, stream, b.data, b.len), "%zu bytes are whole records", b.len);
    must(b.len > 0 || mpp_mesh_stream(r->mesh, stream)->format.kind != MPP_FIXED, "there is no empty fixed record");
    bytes_add(&r->got[j][stream], b.data, b.len);
    live_batches++;
    mpp_release(r->c[j], &b);
    must(!b.data, "a batch that was released");
    return outcome;
}

/* All that is there now. */
static inline mpp_outcome live_drain(rig *r, unsigned j, unsigned stream)
{
    mpp_outcome outcome = MPP_OK;
    for (unsigned n = 0; outcome == MPP_OK; n++) {
        must(n < LIVE_BATCHES, "a ring holds %u batches", n);
        outcome = live_take(r, j, stream);
    }
    return outcome;
}

/* The ring of a channel, as both of its ends map it. */
static inline unsigned char *live_ring(const mpp_mesh *m, unsigned lane, unsigned producer, unsigned consumer)
{
    const uint64_t at = layout_ring_offset(&m->l, layout_channel_number(&m->l, lane, producer, consumer));
    unsigned char *ring = segment_map_twice(m->segment, at, m->l.ring_size);
    must(ring, "mmap: %s", strerror(errno));
    return ring;
}

#endif
