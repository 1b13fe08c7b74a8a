#include "channel/inlet.h"

#include "base/atomics.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/frame.h"
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

int inlet_open(inlet *i, endpoint *e, unsigned lane_position, unsigned producer, mpp_error *err)
{
    unsigned lane = e->lanes[lane_position];
    *i = (inlet){.lane = lane, .lane_position = lane_position, .producer = producer};
    if (!ring_reader_open(&i->ring, mesh_channel(e->mesh, lane, producer, e->index), NULL, e->mesh->l.ring_size))
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: lane %u, channel %u->%u: positions", e->mesh->id,
                         lane, producer, e->index);
    return 0;
}

void inlet_close(inlet *i)
{
    segment_unmap_twice(i->ring.bytes, i->ring.size);
    i->ring.bytes = NULL;
}

static bool map_channel(inlet *i, endpoint *e)
{
    const layout *l = &e->mesh->l;
    uint64_t at = layout_ring_offset(l, layout_channel_number(l, i->lane, i->producer, e->index));
    i->ring.bytes = segment_map_twice(e->mesh->segment, at, l->ring_size);
    if (!i->ring.bytes)
        endpoint_cannot(e, errno, "cannot map the ring from producer %u", i->producer);
    return i->ring.bytes != NULL;
}

static int corrupt(const inlet *i, endpoint *e, const char *what)
{
    endpoint_corrupt(e, i->lane, i->producer, what);
    return -1;
}

void inlet_await(inlet *i, unsigned how)
{
    if (load_relaxed(&i->ring.shared->awaited) != how)
        store_relaxed(&i->ring.shared->awaited, how);
}

int inlet_head(inlet *i, endpoint *e, inlet_frame *f)
{
    uint64_t unread = ring_unread(&i->ring);
    if (unread == 0)
        return 0;
    if (unread == RING_CORRUPT)
        return corrupt(i, e, "the producer's position");
    if (!i->ring.bytes && !map_channel(i, e))
        return -1;
    if (unread < sizeof(layout_frame))
        return corrupt(i, e, "a frame shorter than its header");
    const layout_frame header = frame_load(ring_head(&i->ring));
    f->stream = header.stream_id >> 16;
    f->len = header.len & ~LAYOUT_CONTINUED;
    f->continued = header.len & LAYOUT_CONTINUED;
    f->size = layout_frame_size(f->len);
    f->position = i->ring.head;
    f->data = ring_head(&i->ring) + sizeof header;
    if (f->size > unread)
        return corrupt(i, e, "a frame's length");
    if ((header.stream_id & 0xffff) != i->producer || f->stream >= e->mesh->l.streams ||
        layout_lane_of(&e->mesh->l, f->stream) != i->lane)
        return corrupt(i, e, "a frame's stream id");
    return 1;
}

void inlet_release(inlet *i, endpoint *e)
{
    layout_channel *c = i->ring.shared;
    if (i->ring.read == i->ring.head)
        return;
    ring_release(&i->ring);
    store_relaxed(&c->last_release, (uint64_t)clock_shared());
    doorbell_fence(); /* [D2]: after [S1] */
    uint64_t want = load_relaxed(&c->want);
    if (want == LAYOUT_NEVER || (int64_t)(i->ring.read - want) < 0)
        return;
    if (doorbell_wake(endpoint_peer(e, i->lane, i->producer), LAYOUT_WANTS_SPACE)) {
        endpoint_ring(e, i->lane, i->producer);
        count_add(&c->rung_back, 1);
    }
}

inlet_end inlet_end_of(const inlet *i, const endpoint *e, unsigned stream)
{
    const layout_end *end = layout_end_of(&e->mesh->l, i->ring.shared, stream);
    for (unsigned tries = 8;; tries--) { /* a peer that goes on changing it is caught by inlet_end_check() */
        const uint64_t word =
            load_acquire(&end->word); /* [E2] pairs with [E1]: positions, and frames, are there before it */
        const inlet_end copy = {
            .word = run_word_unpack(word), .begin = load_acquire(&end->begin), .end = load_acquire(&end->end)};
        if (load_relaxed(&end->word) == word ||
            tries == 0) /* else the next run began meanwhile: its positions, its word */
            return copy;
    }
}

bool inlet_end_check(inlet *i, endpoint *e, const inlet_end *end, unsigned asked)
{
    const run_word w = end->word;
    const bool ended = w.state == LAYOUT_ENDED || w.state == LAYOUT_CANCELLED || w.state == LAYOUT_FAILED;
    if (ring_refresh(&i->ring) == RING_CORRUPT)
        return corrupt(i, e, "the producer's position") == 0;
    if (w.state > LAYOUT_UNASKED || (w.state == LAYOUT_NONE && w.run) || w.run > asked + 1)
        return corrupt(i, e, "a stream's state") == 0;
    if (w.run && (int64_t)(i->ring.write - end->begin) < 0) /* [E2] came first: write covers them */
        return corrupt(i, e, "the beginning of a run") == 0;
    if (ended && (int64_t)(i->ring.write - end->end) < 0)
        return corrupt(i, e, "the end of a run") == 0;
    return true;
}
