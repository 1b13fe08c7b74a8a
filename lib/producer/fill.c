/* fill.c - read(2) into a stream: straight into the ring where there is one, else through a buffer */
#include "base/error.h"
#include "channel/outlet.h"
#include "endpoint/patience.h"
#include "producer/input.h"
#include "producer/life.h"
#include "producer/operation.h"
#include "producer/producer.h"
#include "producer/way.h"
#include "record/splitter.h"
#include "ring/ring.h"
#include "shm/layout.h"

#include <errno.h>
#include <unistd.h>

enum { FILL_LEAST = 4 << 10 }; /* less room than this in the open frame: begin another */

static ssize_t read_some(int fd, void *to, size_t n)
{
    ssize_t got;
    do
        got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* That is no limit that was run into. */
static void nothing_now(mpp_producer *p, mpp_error *err)
{
    error_set(err, MPP_S_ERROR, 0, "there is nothing to be read now");
    if (err)
        err->os_error = EAGAIN;
    mpp_flush(p);
}

static mpp_outcome read_failed(mpp_producer *p, mpp_error *err)
{
    int why = errno;
    if (why == EFAULT) /* the kernel met the end of a truncated segment before we did */
        error_set(err, MPP_S_CORRUPT, 0, "the mesh's segment was truncated under us");
    else if (why != EAGAIN)
        error_set(err, MPP_S_ERROR, why, "cannot read");
    else
        nothing_now(p, err);
    return producer_refuse(why);
}

/* One consumer: the input goes straight into its ring. */
static mpp_outcome fill_in_place(mpp_producer *p, producer_stream *s, int fd, size_t limit, size_t *n, mpp_error *err)
{
    outlet *o = &s->outlets[0];
    size_t max = producer_frame_max(p);
    if (o->reserved)
        return input_lent(s, err);
    if (o->stream == (int)s->stream && o->len + o->extra + FILL_LEAST > max) {
        if (o->len)
            outlet_publish(o, &p->end);
        if (o->extra + FILL_LEAST > max)
            outlet_publish_part(o, &p->end);
    }
    unsigned char *room = outlet_room(o, &p->end, s->stream, FILL_LEAST, max);
    if (!room)
        return producer_no_room(p);
    uint64_t space = ring_space(&o->ring, 0) - sizeof(layout_frame) - 16 - o->len - o->extra;
    size_t want = max - o->len - o->extra;
    want = want < space ? want : (size_t)space & ~(size_t)7;
    want = limit && limit < want ? limit : want;
    ssize_t got = read_some(fd, room, want);
    if (got < 0)
        return read_failed(p, err);
    endpoint_moved(&p->end);
    uint64_t records = s->split.records, start = s->offset - s->split.in_record;
    size_t end;
    bool good = splitter_scan(&s->split, room, (size_t)got, &end);
    outlet_filled(o, (size_t)got, end, s->split.records - records);
    s->records = s->split.records;
    s->bytes += (size_t)got;
    start = end ? s->offset + end : start;
    s->offset += (size_t)got;
    *n = (size_t)got;
    if (!good)
        return input_too_long(p, s, start, err);
    if (o->len >= max / 2)
        outlet_publish(o, &p->end);
    return MPP_OK;
}

/* Several consumers: the input is read into a buffer and partitioned from there. */
static mpp_outcome fill_buffered(mpp_producer *p, producer_stream *s, int fd, size_t limit, size_t *n, mpp_error *err)
{
    mpp_outcome outcome = s->have > s->at ? input_feed(p, s, err) : producer_ensure_run(p, s);
    if (outcome != MPP_OK)
        return outcome;
    input_compact(s);
    if (s->have == s->size && !input_grow(s)) {
        error_set(err, MPP_S_ERROR, ENOMEM, "a buffer for a record of more than %zu bytes", s->size);
        return MPP_ERROR;
    }
    size_t want = s->size - s->have;
    want = limit && limit < want ? limit : want;
    ssize_t got = read_some(fd, s->input + s->have, want);
    if (got < 0)
        return read_failed(p, err);
    s->have += (size_t)got;
    *n = (size_t)got;
    outcome = got ? input_feed(p, s, err) : MPP_OK;
    return outcome == MPP_WOULD_BLOCK ? MPP_OK : outcome; /* it was read; the next call goes on */
}

/* Is it the input's turn? */
static mpp_outcome turn(mpp_producer *p, producer_stream *s, mpp_error *err)
{
    mpp_outcome outcome = producer_ensure_run(p, s);
    if (outcome == MPP_OK && operations_hold_up(p, s))
        return producer_no_room(p);
    if (outcome == MPP_OK)
        outcome = way_take(p, s, WAY_FILL);
    if (outcome == MPP_ERROR)
        way_tell_between(s, err);
    return outcome;
}

static mpp_outcome fill_unserved(const mpp_producer *p, unsigned stream, mpp_error *err)
{
    producer_unserved(p, stream, err);
    return producer_refuse(EINVAL);
}

mpp_outcome mpp_fill(mpp_producer *p, unsigned stream, int fd, size_t limit, size_t *n, mpp_error *err)
{
    producer_stream *s = producer_stream_of(p, stream);
    *n = 0;
    if (!s)
        return fill_unserved(p, stream, err);
    mpp_outcome outcome = turn(p, s, err);
    if (outcome != MPP_OK)
        return outcome;
    outcome = (producer_in_place(p, s) ? fill_in_place : fill_buffered)(p, s, fd, limit, n, err);
    s->filling = input_unfinished(s);
    return outcome;
}

static mpp_outcome cut_off(const producer_stream *s, uint64_t bytes, mpp_error *err)
{
    const mpp_format *f = &s->declared->info.format;
    error_set(err, MPP_S_ERROR, 0, "the input ends inside a record: %llu byte%s left of %s", (unsigned long long)bytes,
              bytes == 1 ? " is" : "s are",
              f->kind == MPP_FIXED ? "a record of fixed size" : "a record with a length prefix");
    return MPP_ERROR;
}

static mpp_outcome end_in_place(mpp_producer *p, producer_stream *s, mpp_error *err)
{
    outlet *o = &s->outlets[0];
    if (s->split.in_record == 0)
        return MPP_OK;
    if (o->reserved)
        return input_lent(s, err);
    if (s->split.format.kind != MPP_DELIMITED) {
        const uint64_t left = s->split.in_record;
        if (o->stream == (int)s->stream && o->extra == left) { /* none of it is under way: it is forgotten */
            outlet_forget_rest(o);
            s->split.in_record = s->split.length = 0;
        }
        return cut_off(s, left, err);
    }
    unsigned char *room = outlet_room(o, &p->end, s->stream, 1, producer_frame_max(p));
    if (!room)
        return producer_no_room(p);
    *room = s->split.format.delimiter;
    outlet_filled(o, 1, 1, s->split.count);
    s->split.records += s->split.count;
    s->records = s->split.records;
    s->bytes++;
    s->split.in_record = 0;
    return MPP_OK;
}

static mpp_outcome end_buffered(mpp_producer *p, producer_stream *s, mpp_error *err)
{
    mpp_outcome outcome = s->have > s->at ? input_feed(p, s, err) : MPP_OK;
    if (outcome != MPP_OK || s->have == s->at)
        return outcome;
    if (s->split.format.kind != MPP_DELIMITED) {
        uint64_t left = s->have - s->at;
        s->at = s->have;
        return cut_off(s, left, err);
    }
    input_compact(s);
    if (s->have == s->size && !input_grow(s)) {
        error_set(err, MPP_S_ERROR, ENOMEM, "a buffer for the last record");
        return MPP_ERROR;
    }
    s->input[s->have++] = s->split.format.delimiter;
    return input_feed(p, s, err);
}

mpp_outcome mpp_fill_end(mpp_producer *p, unsigned stream, mpp_error *err)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return fill_unserved(p, stream, err);
    mpp_outcome outcome = turn(p, s, err);
    if (outcome != MPP_OK)
        return outcome;
    outcome = (producer_in_place(p, s) ? end_in_place : end_buffered)(p, s, err);
    if (outcome == MPP_OK) {
        s->offset = 0;
        s->have = s->at = 0;
    }
    s->filling = input_unfinished(s);
    return outcome;
}
