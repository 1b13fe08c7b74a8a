/* bounded-out.c - a producer's side of a stream that is bounded: records into the frames of channels */
#include "kinds/bounded-out.h"

#include "channel/outlet.h"
#include "endpoint/fail.h"
#include "endpoint/patience.h"
#include "kinds/partition.h"
#include "mesh/mesh.h"
#include "producer/life.h"
#include "producer/producer.h"
#include "record/key.h"
#include "record/scan.h"
#include "ring/ring.h"
#include "run/registry.h"
#include "shm/layout.h"

#include <errno.h>
#include <string.h>

enum { FEED_FRAME = 64 << 10 }; /* frames of partitioned records: many of them share a cache */

static bool wants(const producer_stream *s, int target, unsigned j)
{
    return (target == PARTITION_ALL || target == (int)j) && !registry_has_enough(&s->registry, j);
}

/* The n bytes into the frames of all targets, or of none. */
static mpp_outcome put_records(mpp_producer *p, producer_stream *s, int target, const unsigned char *data, size_t n,
                               uint64_t records, size_t limit)
{
    unsigned first = target == PARTITION_ALL ? 0 : (unsigned)target;
    unsigned last = target == PARTITION_ALL ? s->registry.consumers - 1 : first;
    for (unsigned j = first; j <= last; j++)
        if (s->outlets[j].reserved && wants(s, target, j)) /* the open frame is the caller's */
            return producer_refuse(EINVAL);
    for (unsigned j = first; target == PARTITION_ALL && j <= last; j++)
        if (wants(s, target, j) && !outlet_room(&s->outlets[j], &p->end, s->stream, n, limit))
            return producer_no_room(p);
    for (unsigned j = first; j <= last; j++) {
        outlet *o = &s->outlets[j];
        if (!wants(s, target, j)) {
            s->dropped += records;
            continue;
        }
        unsigned char *room = outlet_room(o, &p->end, s->stream, n, limit);
        if (!room)
            return producer_no_room(p);
        memcpy(room, data, n);
        outlet_add(o, n, records);
        outlet_let(o, limit);
    }
    endpoint_moved(&p->end);
    return MPP_OK;
}

/* A record longer than a frame goes out in parts, each published at once; *used grows with each. */
static mpp_outcome put_long(mpp_producer *p, producer_stream *s, const unsigned char *data, size_t n, size_t *used)
{
    while (s->long_left) {
        size_t part = s->long_left < producer_frame_max(p) ? (size_t)s->long_left : producer_frame_max(p);
        if (part > n - *used)
            part = n - *used;
        if (part == 0)
            return MPP_OK;
        bool last = part == s->long_left;
        int target = s->kept.bounded.long_target;
        for (unsigned j = 0; j < s->registry.consumers; j++)
            if (wants(s, target, j))
                outlet_publish(&s->outlets[j], &p->end);
        mpp_outcome outcome = put_records(p, s, target, data + *used, part, last, producer_frame_max(p));
        if (outcome != MPP_OK)
            return outcome;
        for (unsigned j = 0; j < s->registry.consumers; j++)
            if (wants(s, target, j)) {
                if (last)
                    outlet_publish(&s->outlets[j], &p->end);
                else
                    outlet_publish_part(&s->outlets[j], &p->end);
            }
        *used += part;
        s->long_left -= part;
    }
    return MPP_OK;
}

/* One whole record that fits a frame. */
static mpp_outcome put_short(mpp_producer *p, producer_stream *s, int target, const unsigned char *record, size_t len,
                             size_t *used)
{
    size_t limit = producer_frame_max(p);
    if (len < FEED_FRAME && limit > FEED_FRAME)
        limit = FEED_FRAME;
    mpp_outcome outcome = put_records(p, s, target, record, len, 1, limit);
    if (outcome == MPP_OK)
        *used += len;
    return outcome;
}

/* true: there is room for all of a long record, in all channels that it goes to.  Else what to wait for is
 * noted. */
static bool await_room_for_all(mpp_producer *p, producer_stream *s, int target, size_t len)
{
    const uint64_t most = producer_frame_max(p), parts = len / most;
    const uint64_t need = parts * layout_frame_size(most) + layout_frame_size(len % most) + OUTLET_SPLIT;
    bool room = need <= p->end.mesh->l.ring_size;
    for (unsigned j = 0; room && j < s->registry.consumers; j++) {
        outlet *o = &s->outlets[j];
        if (!wants(s, target, j))
            continue;
        outlet_publish(o, &p->end);
        const uint64_t space = ring_space(&o->ring, need);
        if (space == RING_CORRUPT)
            endpoint_corrupt(&p->end, o->lane, o->consumer, "the consumer's position");
        room = space != RING_CORRUPT && space >= need;
        if (!room)
            outlet_need(o, need);
    }
    return room;
}

/* The beginning of one that does not; MPP_OK as soon as a part of it is under way, put_long() goes on. */
static mpp_outcome begin_long(mpp_producer *p, producer_stream *s, int target, const unsigned char *record, size_t len,
                              size_t *used)
{
    size_t sent = 0;
    s->long_left = s->long_whole = len;
    s->kept.bounded.long_target = target;
    mpp_outcome outcome = put_long(p, s, record, len, &sent);
    *used += sent;
    if (sent > 0)
        return MPP_OK;
    s->long_left = 0;
    return outcome;
}

static mpp_outcome put_record(mpp_producer *p, producer_stream *s, const unsigned char *record, size_t len,
                              size_t *used)
{
    const uint64_t no_key = s->no_key;
    int target = s->registry.consumers == 1 ? 0 : partition_target(p, s, record, len);
    mpp_outcome outcome;
    if (target == PARTITION_BLOCKED)
        outcome = producer_no_room(p);
    else if (target == PARTITION_FAILED)
        outcome = producer_refuse(ENOMEM);
    else if (len <= producer_frame_max(p))
        outcome = put_short(p, s, target, record, len, used);
    else if (p->no_wait && !await_room_for_all(p, s, target, len))
        outcome = producer_no_room(p);
    else
        outcome = begin_long(p, s, target, record, len, used);
    if (outcome != MPP_OK) {
        s->no_key = no_key; /* it comes again */
        return outcome;
    }
    partition_sent(s, len);
    producer_sent(s, len);
    return s->long_left ? producer_no_room(p) : MPP_OK;
}

/* One by one, whatever the format and partition. */
static mpp_outcome feed_each(mpp_producer *p, producer_stream *s, const unsigned char *bytes, size_t n, size_t *used)
{
    mpp_outcome outcome = MPP_OK;
    while (outcome == MPP_OK && *used < n) {
        size_t len;
        outcome = mpp_record_next(&s->declared->info.format, p->end.mesh->max_record, bytes + *used, n - *used, &len);
        if (outcome == MPP_WOULD_BLOCK)
            return MPP_OK;
        if (outcome == MPP_ERROR)
            return producer_refuse(EMSGSIZE);
        outcome = put_record(p, s, bytes + *used, len, used);
    }
    return outcome;
}

/* Lines, or the like, of which nothing but one field or their number decides where they go: many are looked at
 * together, and most of them are appended to frames that are open already. */
static bool comes_in_lots(const producer_stream *s)
{
    const mesh_stream *d = s->declared;
    return d->info.format.kind == MPP_DELIMITED &&
           (s->registry.consumers == 1 || d->info.partition == MPP_ROUND_ROBIN ||
            (d->info.partition == MPP_HASH && d->key.n <= 1));
}

/* By its number, or by the field that the scan has found; nothing is counted yet. */
static unsigned lot_target(const mpp_producer *p, const producer_stream *s, const unsigned char *from, size_t begin,
                           const scan_record *r, bool whole)
{
    if (s->registry.consumers == 1)
        return 0;
    if (s->declared->info.partition == MPP_ROUND_ROBIN)
        return producer_turn(p, s);
    if (whole)
        return partition_hash(s, from + begin, r->end - 1 - begin);
    return partition_hash(s, r->field == SCAN_MISSING ? from : from + r->field, r->field_n);
}

/* The records of one lot.  They begin at bytes + *used, which grows. */
static mpp_outcome feed_lot(mpp_producer *p, producer_stream *s, const unsigned char *bytes, size_t n, size_t *used,
                            const scan_record *lot, unsigned count, bool whole)
{
    const unsigned char *from = bytes + *used;
    size_t begin = 0;
    for (unsigned i = 0; i < count; begin = lot[i++].end) {
        const size_t len = lot[i].end - begin;
        if (len - 1 > p->end.mesh->max_record)
            return producer_refuse(EMSGSIZE);
        outlet *o = &s->outlets[lot_target(p, s, from, begin, &lot[i], whole)];
        if (outlet_append(o, s->stream, from + begin, len, n - *used)) {
            s->no_key += !whole && lot[i].field == SCAN_MISSING;
            producer_sent(s, len);
            *used += len;
            continue;
        }
        mpp_outcome outcome = put_record(p, s, from + begin, len, used);
        if (outcome != MPP_OK)
            return outcome;
    }
    return MPP_OK;
}

static mpp_outcome feed_lots(mpp_producer *p, producer_stream *s, const unsigned char *bytes, size_t n, size_t *used)
{
    enum { LOT = 128 };
    scan_record lot[LOT];
    const mesh_stream *d = s->declared;
    const bool keyed = d->info.partition == MPP_HASH && d->key.n == 1 && s->registry.consumers > 1;
    const scan_options options = {.delimiter = d->info.format.delimiter,
                                  .separator = d->key.separator,
                                  .field = keyed ? d->key.fields[0].field : 0};
    mpp_outcome outcome = MPP_OK;
    while (outcome == MPP_OK && *used < n) {
        const size_t left = n - *used < SCAN_MAX ? n - *used : SCAN_MAX;
        const unsigned count = scan_records(&options, bytes + *used, left, lot, LOT);
        if (count == 0 && left < n - *used) /* a record longer than a scan goes */
            return feed_each(p, s, bytes, n, used);
        if (count == 0 && left <= p->end.mesh->max_record)
            return MPP_OK;
        if (count == 0)
            return producer_refuse(EMSGSIZE);
        outcome = feed_lot(p, s, bytes, n, used, lot, count, options.field == 0);
    }
    return outcome;
}

mpp_outcome bounded_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used)
{
    const unsigned char *bytes = data;
    mpp_outcome outcome = producer_ensure_run(p, s);
    if (outcome == MPP_OK)
        outcome = put_long(p, s, bytes, n, used);
    if (outcome == MPP_OK)
        outcome = (comes_in_lots(s) ? feed_lots : feed_each)(p, s, bytes, n, used);
    return outcome;
}

/* ---- how runs stand ---------------------------------------------------------------------------------- */

void bounded_begin(mpp_producer *p, producer_stream *s)
{
    s->kept.bounded.favour = 0;
    for (unsigned j = 0; j < s->registry.consumers; j++)
        if (!registry_has_enough(&s->registry, j))
            outlet_begin(&s->outlets[j], &p->end, s->stream, s->registry.run);
}

/* Consumer 0 is told last: who sees that sees what the others were given (mpp_run_empty()). */
void bounded_end(mpp_producer *p, producer_stream *s, unsigned state)
{
    for (unsigned j = s->registry.consumers; j-- > 0;)
        if (!registry_has_enough(&s->registry, j)) {
            outlet_end(&s->outlets[j], &p->end, s->stream, s->registry.run, state);
            outlet_bell(&s->outlets[j], &p->end);
        }
}
