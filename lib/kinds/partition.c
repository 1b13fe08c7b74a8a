/* partition.c - which consumer a record goes to */
#include "kinds/partition.h"

#include "base/atomics.h"
#include "channel/frame.h"
#include "channel/outlet.h"
#include "endpoint/endpoint.h"
#include "mesh/mesh.h"
#include "producer/producer.h"
#include "record/key-range.h"
#include "record/key.h"
#include "record/record.h"
#include "run/registry.h"
#include "shm/layout.h"

static uint64_t unread(const outlet *o)
{
    uint64_t read = load_relaxed(&o->ring.shared->read); /* a hint: what is overwritten is decided in ring_space() */
    uint64_t waiting = o->ring.tail + o->len - read;
    return waiting <= 2 * o->ring.size ? waiting : 0;
}

static bool has_room(const outlet *o, size_t len)
{
    return o->ring.size - 64 > unread(o) + len; /* 64: headers and padding */
}

static bool idle(const endpoint *e, const outlet *o)
{
    return load_relaxed(&mesh_endpoint_slot(e->mesh, o->lane, 'c', o->consumer)->armed) & LAYOUT_WANTS_DATA;
}

/* Only those that have asked get records that anybody may have. */
static bool may_get(const registry *r, unsigned consumer)
{
    return !registry_has_enough(r, consumer) && (r->asked[consumer] >= r->run || r->eager);
}

/* An idle one first, then the one with least unread, among those that have asked and have room.  The favourite keeps
 * its place for a quarter of what it has unread: single records while consumers wait for work, larger lots when all are
 * busy. */
static int least_loaded(mpp_producer *p, producer_stream *s, size_t len)
{
    const registry *r = &s->registry;
    int best = PARTITION_BLOCKED;
    uint64_t least = UINT64_MAX;
    for (unsigned n = 1; n <= r->consumers; n++) {
        unsigned j = (s->kept.bounded.favourite + n) % r->consumers; /* who had the last one comes last */
        outlet *o = &s->outlets[j];
        if (!may_get(r, j))
            continue;
        uint64_t waiting = unread(o);
        if (waiting == 0 && idle(&p->end, o)) {
            best = (int)j;
            least = 0;
            break;
        }
        if (waiting < least && has_room(o, len)) {
            best = (int)j;
            least = waiting;
        }
    }
    if (best >= 0) {
        s->kept.bounded.favourite = (unsigned)best;
        s->kept.bounded.favour = least / 4 < 16384 ? least / 4 : 16384;
    }
    return best;
}

static int any(mpp_producer *p, producer_stream *s, size_t len)
{
    size_t frame = frame_max(s->outlets[0].ring.size);
    size_t part = len < frame ? len : frame;
    if (s->kept.bounded.favour >= len && !registry_has_enough(&s->registry, s->kept.bounded.favourite) &&
        has_room(&s->outlets[s->kept.bounded.favourite], part))
        return (int)s->kept.bounded.favourite;
    int target = least_loaded(p, s, part);
    p->nobody_asked = target == PARTITION_BLOCKED;
    for (unsigned j = 0; target == PARTITION_BLOCKED && j < s->registry.consumers; j++)
        if (may_get(&s->registry, j)) { /* whoever has room first */
            outlet_publish(&s->outlets[j], &p->end);
            outlet_need(&s->outlets[j], part + 64);
            p->nobody_asked = false;
        }
    return target;
}

unsigned partition_hash(const producer_stream *s, const unsigned char *bytes, size_t n)
{
    return key_hash(bytes, n, s->registry.consumers);
}

static int by_key(mpp_producer *p, producer_stream *s, const unsigned char *record, size_t len)
{
    const mesh_stream *d = s->declared;
    const unsigned char *body, *bytes;
    size_t n;
    record_body(&d->info.format, record, len, &body, &n);
    if (d->key.n == 0) {
        bytes = body;
    } else if (!key_bytes(&d->key, body, n, &p->scratch, &bytes, &n)) {
        s->no_key++;
    }
    if (!bytes)
        return PARTITION_FAILED;
    if (d->info.partition == MPP_HASH)
        return (int)partition_hash(s, bytes, n);
    record_body(&d->info.format, record, len, &body, &n);
    return (int)key_range(&d->ranges, &d->key, body, n);
}

int partition_target(mpp_producer *p, producer_stream *s, const unsigned char *record, size_t len)
{
    switch (s->declared->info.partition) {
    case MPP_ROUND_ROBIN:
        return (int)producer_turn(p, s);
    case MPP_ANY:
        return any(p, s, len);
    case MPP_BROADCAST:
        return PARTITION_ALL;
    case MPP_HASH:
    case MPP_RANGE:
        break;
    }
    return by_key(p, s, record, len);
}
