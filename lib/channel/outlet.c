#include "channel/outlet.h"

#include "base/atomics.h"
#include "base/clock.h"
#include "base/error.h"
#include "endpoint/bells.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "mesh/mesh.h"
#include "ring/doorbell.h"
#include "ring/ring.h"
#include "run/word.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>
#include <string.h>

int outlet_open(outlet *o, endpoint *e, unsigned lane_position, unsigned consumer, mpp_error *err)
{
    const layout *l = &e->mesh->l;
    unsigned lane = e->lanes[lane_position];
    *o = (outlet){.lane = lane, .lane_position = lane_position, .consumer = consumer, .stream = -1};
    if (!ring_writer_open(&o->ring, mesh_channel(e->mesh, lane, e->index, consumer), NULL, l->ring_size))
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: lane %u, channel %u->%u: positions", e->mesh->id,
                         lane, e->index, consumer);
    return 0;
}

void outlet_close(outlet *o)
{
    segment_unmap_twice(o->ring.bytes, o->ring.size);
    o->ring.bytes = NULL;
}

static bool map_channel(outlet *o, endpoint *e)
{
    const layout *l = &e->mesh->l;
    uint64_t at = layout_ring_offset(l, layout_channel_number(l, o->lane, e->index, o->consumer));
    o->ring.bytes = segment_map_twice(e->mesh->segment, at, l->ring_size);
    if (!o->ring.bytes)
        endpoint_cannot(e, errno, "cannot map the ring to consumer %u", o->consumer);
    return o->ring.bytes != NULL;
}

/* Close the open frame with `payload` bytes and publish it. */
static void publish(outlet *o, endpoint *e, uint32_t payload, bool continued)
{
    *(layout_frame *)ring_tail(&o->ring) = (layout_frame){
        .stream_id = layout_physical((unsigned)o->stream, e->index),
        .len = payload | (continued ? LAYOUT_CONTINUED : 0),
    };
    o->ring.tail += layout_frame_size(payload);
    ring_publish(&o->ring, o->ring.tail);
    o->due += layout_frame_size(payload);
    o->room = 0;
    o->uncounted.frames++;
    o->uncounted.bytes += payload;
    o->uncounted.records += o->records;
    o->records = 0;
}

void outlet_bell(outlet *o, endpoint *e)
{
    if (!o->due)
        return;
    layout_channel *c = o->ring.shared;
    uint64_t fill = o->ring.write - load_relaxed(&c->read);
    o->due = 0;
    count_add(&c->frames, o->uncounted.frames);
    count_add(&c->bytes, o->uncounted.bytes);
    count_add(&c->records, o->uncounted.records);
    memset(&o->uncounted, 0, sizeof o->uncounted);
    if (fill <= o->ring.size && fill > load_relaxed(&c->high_water))
        store_relaxed(&c->high_water, fill);
    const uint64_t now = (uint64_t)clock_shared();
    store_relaxed(&c->last_publish, now);
    if (!load_relaxed(&c->first_publish))
        store_relaxed(&c->first_publish, now);
    doorbell_fence(); /* [D2]: after [W1] */
    if (doorbell_wake(endpoint_peer(e, o->lane, o->consumer), LAYOUT_WANTS_DATA)) {
        endpoint_ring(e, o->lane, o->consumer);
        count_add(&c->rung, 1);
    }
}

static void bell_when_due(outlet *o, endpoint *e)
{
    if (o->due >= o->ring.size / 4)
        outlet_bell(o, e);
}

void outlet_publish_now(outlet *o, endpoint *e)
{
    /* Both frames are addressed from where this one begins.  ring_tail() may name the same bytes in the other half of
     * the double map after the publish, and memmove() would not see that source and target overlap. */
    unsigned char *frame = ring_tail(&o->ring), *next = frame + layout_frame_size(o->len);
    publish(o, e, o->len, false);
    if (o->extra)
        memmove(next + sizeof(layout_frame), frame + sizeof(layout_frame) + o->len, o->extra);
    else
        o->stream = -1;
    o->len = 0;
    bell_when_due(o, e);
}

void outlet_publish(outlet *o, endpoint *e)
{
    if (o->stream >= 0 && o->len)
        outlet_publish_now(o, e);
    else if (!o->extra && !o->reserved)
        o->stream = -1;
}

void outlet_publish_part(outlet *o, endpoint *e)
{
    publish(o, e, o->len + o->extra, true);
    o->len = o->extra = 0;
    o->stream = -1;
    bell_when_due(o, e);
}

void outlet_discard(outlet *o, unsigned stream)
{
    if (o->stream != (int)stream)
        return;
    o->stream = -1;
    o->len = o->extra = o->room = 0;
    o->records = 0;
    o->reserved = false;
}

unsigned char *outlet_room(outlet *o, endpoint *e, unsigned stream, size_t n, size_t limit)
{
    o->room = 0; /* who asks may leave an unfinished record behind */
    if (o->stream >= 0 && o->stream != (int)stream) {
        outlet_publish(o, e);
        if (o->extra)
            outlet_publish_part(o, e); /* a lane mate's unfinished record: its reader puts it together */
    }
    if (o->len && o->len + o->extra + n > limit)
        outlet_publish(o, e);
    uint64_t need = layout_frame_size((uint64_t)o->len + o->extra + n) + OUTLET_SPLIT;
    uint64_t space = ring_space(&o->ring, need);
    if (space == RING_CORRUPT) {
        endpoint_corrupt(e, o->lane, o->consumer, "the consumer's position");
        return NULL;
    }
    if (space < need) {
        outlet_publish(o, e);
        o->need = layout_frame_size((uint64_t)o->extra + n) + OUTLET_SPLIT;
        return NULL;
    }
    if (!o->ring.bytes && !map_channel(o, e))
        return NULL;
    o->stream = (int)stream;
    return ring_tail(&o->ring) + sizeof(layout_frame) + o->len + o->extra;
}

void outlet_let(outlet *o, size_t limit)
{
    const uint64_t space = ring_space(&o->ring, 0), used = layout_frame_size(o->len) + OUTLET_SPLIT;
    const uint64_t room = space > used ? space - used : 0;
    o->room = (uint32_t)(o->extra || o->len > limit ? 0 : room < limit - o->len ? room : limit - o->len);
}

/* ---- how runs stand ----------------------------------------------------------------------------- */

void outlet_begin(outlet *o, endpoint *e, unsigned stream, unsigned run)
{
    layout_end *end = layout_end_of(&e->mesh->l, o->ring.shared, stream);
    store_release(&end->begin, o->ring.write); /* [E1] who sees the position sees that write covers it */
    run_word_store(end, run, LAYOUT_RUNNING);  /* [E1] pairs with [E2]: begin before it */
    o->due++;                                  /* a consumer that wants data wants to know this too */
}

void outlet_end(outlet *o, endpoint *e, unsigned stream, unsigned run, unsigned state)
{
    layout_end *end = layout_end_of(&e->mesh->l, o->ring.shared, stream);
    if (o->stream == (int)stream)
        outlet_publish(o, e);
    outlet_discard(o, stream);
    if (run_word_load(end).run != run)
        store_release(&end->begin, o->ring.write);
    store_release(&end->end, o->ring.write);
    run_word_store(end, run, state); /* [E1] pairs with [E2]: frames and end before it */
    o->due++;
}

/* ---- waiting for space -------------------------------------------------------------------------- */

void outlet_want(outlet *o)
{
    if (!o->need && !o->end_wanted)
        return;
    /* Half a ring, or what is needed when that is more: one wake-up for many frames.  The consumer reaches this
     * position at the latest when it has drained what is published, since need is at most a quarter. */
    uint64_t room = o->need > o->ring.size / 2 ? o->need : o->ring.size / 2;
    uint64_t at = o->need ? o->ring.write + room - o->ring.size : o->end;
    store_relaxed(&o->ring.shared->want, at);
}

bool outlet_satisfied(const outlet *o)
{
    if (!o->need && !o->end_wanted)
        return false;
    uint64_t at = load_relaxed(&o->ring.shared->want), read = load_acquire(&o->ring.shared->read); /* [S2] */
    return (int64_t)(read - at) >= 0;
}

void outlet_unwant(outlet *o)
{
    if (!o->need && !o->end_wanted)
        return;
    store_relaxed(&o->ring.shared->want, LAYOUT_NEVER);
    o->need = 0;
    o->end_wanted = false;
}
