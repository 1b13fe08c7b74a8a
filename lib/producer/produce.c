/* produce.c - one record at a time, or whole records in pieces of memory */
#include "base/error.h"
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "producer/life.h"
#include "producer/operation.h"
#include "producer/producer.h"
#include "producer/push.h"
#include "producer/way.h"
#include "record/record.h"
#include "run/registry.h"

#include <errno.h>
#include <string.h>

mpp_outcome mpp_feed(mpp_producer *p, unsigned stream, const void *data, size_t n, size_t *used)
{
    producer_stream *s = producer_stream_of(p, stream);
    *used = 0;
    if (!s)
        return producer_refuse(EINVAL);
    if (operations_hold_up(p, s))
        return producer_no_room(p);
    const mpp_outcome outcome = way_take(p, s, WAY_FEED);
    return outcome == MPP_OK ? s->buffer->push(p, s, data, n, used) : outcome;
}

/* Straight into the open frame, where nothing but turns decides whose that is. */
static bool produce_in_place(mpp_producer *p, producer_stream *s, const mpp_format *f, const void *record, size_t len)
{
    const size_t head = record_head(f), whole = head + len + record_tail(f);
    if (s->long_left || s->filling || (s->registry.consumers > 1 && s->declared->info.partition != MPP_ROUND_ROBIN))
        return false;
    outlet *o = &s->outlets[s->registry.consumers > 1 ? producer_turn(p, s) : 0];
    /* What is pending found no room there, and left none.  Where a buffer has no channels, no outlet has a stream. */
    if (!outlet_has_place(o, s->stream, whole) || producer_ensure_run(p, s) != MPP_OK)
        return false;
    unsigned char *to = outlet_place(o, whole);
    memcpy(to + head, record, len);
    record_frame(f, to, len);
    producer_sent(s, whole);
    return true;
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
    if (operations_hold_up(p, s))
        return producer_no_room(p);
    const mpp_outcome outcome = way_take(p, s, WAY_RECORD);
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
    if (s->buffer->lossless)
        return error_set(err, MPP_S_USAGE, 0,
                         "stream '%s' can be full: its buffer is %s; mpp_try_produce() and mpp_produce_async() say so",
                         info->name, mpp_buffer_text(info->buffer));
    if (!push_reserve(p, record_head(&info->format) + info->max_record + record_tail(&info->format)))
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
        s->buffer->refused(s);
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
