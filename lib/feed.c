/* feed.c - how records get into channels: one by one, in pieces of input, and by reserve and commit */
#include "atomics.h"
#include "error.h"
#include "producer.h"
#include "record.h"
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FEED_FRAME = 64 << 10 }; /* frames of partitioned records: many of them share a cache */

size_t mpp_frame_max(const mpp_producer *p)
{
    return producer_frame_max(p);
}

mpp_outcome producer_state(mpp_producer *p, producer_stream *s)
{
    if (endpoint_gone(&p->end))
        return MPP_GONE;
    if (s->registry.running)
        return MPP_OK;
    if (!s->buffer->overwrites || s->registry.run > 0)
        return MPP_CLOSED;
    producer_begin(p, s); /* nobody needs to ask */
    if (endpoint_gone(&p->end))
        return MPP_GONE;
    return s->registry.running ? MPP_OK : MPP_CLOSED; /* its source may have ended it */
}

/* ---- records to their targets ------------------------------------------------------------------- */

static bool wants(const producer_stream *s, int target, unsigned j)
{
    return (target == PARTITION_ALL || target == (int)j) && !registry_has_enough(&s->registry, j);
}

mpp_outcome producer_other_way(mpp_producer *p, producer_stream *s, producer_way way)
{
    if (s->filling && way != WAY_FILL) {
        const mpp_outcome rest = fill_rest(p, s);
        if (rest != MPP_OK)
            return rest;
    }
    if (s->long_left && s->way != way)
        return producer_refuse(EINVAL);
    s->way = way;
    return MPP_OK;
}

void producer_between(const producer_stream *s, mpp_error *err)
{
    error_set(err, MPP_S_USAGE, 0, "stream '%s' has a record that is not whole yet: %s finishes it",
              s->declared->info.name,
              s->way == WAY_FILL ? "mpp_fill() or mpp_fill_end()" : "the call that has a part of it under way");
}

/* The n bytes into the frames of all targets, or of none. */
static mpp_outcome put(mpp_producer *p, producer_stream *s, int target, const unsigned char *data, size_t n,
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
    p->end.waited_ns = 0;
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
        int target = s->long_target;
        for (unsigned j = 0; j < s->registry.consumers; j++)
            if (wants(s, target, j))
                outlet_publish(&s->outlets[j], &p->end);
        mpp_outcome outcome = put(p, s, target, data + *used, part, last, producer_frame_max(p));
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
    mpp_outcome outcome = put(p, s, target, record, len, 1, limit);
    if (outcome == MPP_OK)
        *used += len;
    return outcome;
}

/* Is there room for all of a long record, in all channels that it goes to?  Notes what to wait for where there is
 * not. */
static bool room_for_all(mpp_producer *p, producer_stream *s, int target, size_t len)
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
            o->need = need;
    }
    return room;
}

/* The beginning of one that does not; MPP_OK as soon as a part of it is under way, put_long() goes on. */
static mpp_outcome begin_long(mpp_producer *p, producer_stream *s, int target, const unsigned char *record, size_t len,
                              size_t *used)
{
    size_t sent = 0;
    s->long_left = s->long_whole = len;
    s->long_target = target;
    mpp_outcome outcome = put_long(p, s, record, len, &sent);
    *used += sent;
    if (sent > 0)
        return MPP_OK;
    s->long_left = 0;
    return outcome;
}

/* The record is in a frame, or on its way. */
static void count_sent(producer_stream *s, size_t len)
{
    partition_sent(s, len);
    s->records++;
    s->bytes += len;
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
    else if (p->no_wait && !room_for_all(p, s, target, len))
        outcome = producer_no_room(p);
    else
        outcome = begin_long(p, s, target, record, len, used);
    if (outcome != MPP_OK) {
        s->no_key = no_key; /* it comes again */
        return outcome;
    }
    count_sent(s, len);
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
        return partition_turn(p, s);
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
            count_sent(s, len);
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
    mpp_outcome outcome = producer_state(p, s);
    if (outcome == MPP_OK)
        outcome = put_long(p, s, bytes, n, used);
    if (outcome == MPP_OK)
        outcome = (comes_in_lots(s) ? feed_lots : feed_each)(p, s, bytes, n, used);
    return outcome;
}

mpp_outcome mpp_feed(mpp_producer *p, unsigned stream, const void *data, size_t n, size_t *used)
{
    producer_stream *s = producer_stream_of(p, stream);
    *used = 0;
    if (!s)
        return producer_refuse(EINVAL);
    if (producer_pending(p, s))
        return producer_no_room(p);
    const mpp_outcome outcome = producer_turn(p, s, WAY_FEED);
    return outcome == MPP_OK ? s->buffer->push(p, s, data, n, used) : outcome;
}

/* Straight into the open frame, where nothing but turns decides whose that is. */
static bool produce_in_place(mpp_producer *p, producer_stream *s, const mpp_format *f, const void *record, size_t len)
{
    const size_t head = record_head(f), whole = head + len + record_tail(f);
    if (s->long_left || s->filling || (s->registry.consumers > 1 && s->declared->info.partition != MPP_ROUND_ROBIN))
        return false;
    outlet *o = &s->outlets[s->registry.consumers > 1 ? partition_turn(p, s) : 0];
    /* What is pending found no room there, and left o->room at 0.  Where a buffer overwrites, no outlet has a
     * stream. */
    if (o->stream != (int)s->stream || whole > o->room || producer_state(p, s) != MPP_OK)
        return false;
    unsigned char *to = ring_tail(&o->ring) + sizeof(layout_frame) + o->len;
    memcpy(to + head, record, len);
    record_frame(f, to, len);
    outlet_add(o, whole, 1);
    o->room -= (uint32_t)whole;
    count_sent(s, whole);
    return true;
}

static bool framed_grow(mpp_producer *p, size_t whole)
{
    if (whole <= p->framed_size)
        return true;
    unsigned char *bigger = realloc(p->framed, whole);
    if (!bigger)
        return false;
    p->framed = bigger;
    p->framed_size = whole;
    return true;
}

mpp_outcome producer_push(mpp_producer *p, producer_stream *s, const void *record, size_t len)
{
    const mpp_format *f = &s->declared->info.format;
    const unsigned char *framed = record;
    size_t whole = record_head(f) + len + record_tail(f), used = 0;
    /* A source that is started here may produce by itself: not while p->framed holds our record. */
    if (!s->registry.running) {
        const mpp_outcome outcome = producer_state(p, s);
        if (outcome != MPP_OK)
            return outcome;
    }
    if (whole > len) {
        if (!framed_grow(p, whole))
            return MPP_ERROR;
        memcpy(p->framed + record_head(f), record, len);
        record_frame(f, p->framed, len);
        framed = p->framed;
    }
    /* A long record of which a part is under way is offered again until it is through: go on where it stopped. */
    if (s->long_left && s->long_whole != whole)
        return producer_refuse(EINVAL);
    size_t sent = s->long_left ? whole - (size_t)s->long_left : 0;
    return s->buffer->push(p, s, framed + sent, whole - sent, &used);
}

mpp_outcome mpp_try_produce(mpp_producer *p, unsigned stream, const void *record, size_t len)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return producer_refuse(EINVAL);
    const mpp_stream_info *info = &s->declared->info;
    errno = record_check(&info->format, info->max_record, record, len);
    if (errno)
        return MPP_ERROR;
    if (produce_in_place(p, s, &info->format, record, len))
        return MPP_OK;
    if (producer_pending(p, s))
        return producer_no_room(p);
    const mpp_outcome outcome = producer_turn(p, s, WAY_RECORD);
    return outcome == MPP_OK ? producer_push(p, s, record, len) : outcome;
}

int mpp_overwriter_open(mpp_producer *p, unsigned stream, mpp_overwriter **w, mpp_error *err)
{
    producer_stream *s = producer_stream_of(p, stream);
    *w = NULL;
    if (!s) {
        producer_unserved(p, stream, err);
        return -1;
    }
    const mpp_stream_info *info = &s->declared->info;
    if (!s->buffer->overwrites)
        return error_set(err, MPP_S_USAGE, 0,
                         "stream '%s' can be full: its buffer is %s; mpp_try_produce() and mpp_produce_async() say so",
                         info->name, mpp_buffer_text(info->buffer));
    if (!framed_grow(p, record_head(&info->format) + info->max_record + record_tail(&info->format)))
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot produce into stream '%s'", info->name);
    *w = &s->overwriter;
    return 0;
}

void mpp_produce(mpp_overwriter *w, const void *record, size_t len)
{
    producer_stream *s = w->stream;
    const mpp_stream_info *info = &s->declared->info;
    if (record_check(&info->format, info->max_record, record, len) ||
        producer_push(w->producer, s, record, len) == MPP_CLOSED)
        count_add(&s->share->refused, 1);
}

/* Nobody waits for room any more; but where others share the lane, it may be theirs. */
static void forget_need(const mpp_producer *p, const producer_stream *s)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (&p->streams[i] != s && p->streams[i].outlets == s->outlets)
            return;
    for (unsigned j = 0; j < s->registry.consumers; j++)
        s->outlets[j].need = 0;
}

void producer_give_up(mpp_producer *p, producer_stream *s)
{
    forget_need(p, s);
    p->nobody_asked = false;
    partition_sent(s, 0);
    s->given_up++;
    count_add(&endpoint_slot(&p->end, endpoint_lane_position(&p->end, s->stream))->given_up, 1);
}

mpp_outcome mpp_give_up(mpp_producer *p, unsigned stream)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s || s->filling)
        return producer_refuse(EINVAL);
    if (s->long_left)
        return MPP_WOULD_BLOCK;
    producer_give_up(p, s);
    return MPP_OK;
}

mpp_outcome mpp_no_wait(mpp_producer *p, bool on)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].filling || p->streams[i].long_left)
            return producer_refuse(EINVAL);
    p->no_wait = on;
    return MPP_OK;
}

/* ---- reserve and commit ------------------------------------------------------------------------- */

mpp_outcome mpp_reserve(mpp_producer *p, unsigned stream, unsigned consumer, size_t len, void **data)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s || s->buffer->overwrites || consumer >= s->registry.consumers)
        return producer_refuse(EINVAL);
    if (len > producer_frame_max(p))
        return producer_refuse(EMSGSIZE);
    if (!s->registry.running || registry_has_enough(&s->registry, consumer))
        return producer_state(p, s) == MPP_GONE ? MPP_GONE : MPP_CLOSED;
    if (producer_pending(p, s))
        return producer_no_room(p);
    const mpp_outcome outcome = producer_turn(p, s, WAY_RESERVE);
    outlet *o = &s->outlets[consumer];
    if (outcome != MPP_OK || o->reserved)
        return outcome != MPP_OK ? outcome : producer_refuse(EINVAL);
    if (o->len)
        outlet_publish(o, &p->end);
    *data = outlet_begin_frame(o, stream, len);
    if (!*data)
        *data = outlet_room(o, &p->end, stream, len, producer_frame_max(p));
    o->reserved = *data != NULL;
    if (!*data)
        return producer_no_room(p);
    o->lent_to = stream + 1;
    o->lent = len;
    return MPP_OK;
}

mpp_outcome mpp_commit(mpp_producer *p, unsigned stream, unsigned consumer, size_t len, uint64_t records)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s || consumer >= s->registry.consumers)
        return producer_refuse(EINVAL);
    outlet *o = &s->outlets[consumer];
    if (o->lent_to != stream + 1 || len > o->lent)
        return producer_refuse(EINVAL);
    o->lent_to = 0;
    if (!o->reserved) { /* cancelled since */
        s->dropped += records;
        return MPP_OK;
    }
    o->reserved = false;
    if (len == 0) {
        outlet_drop(o, stream);
        return MPP_OK;
    }
    p->end.waited_ns = 0;
    outlet_add(o, len, records);
    s->records += records;
    s->bytes += len;
    outlet_publish_now(o, &p->end);
    return MPP_OK;
}
