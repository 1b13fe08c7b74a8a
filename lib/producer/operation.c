/* operation.c - mpp_produce_async(): operations that are pending on a stream, in the order in which they were accepted
 *
 * Only the first of a stream is ever moved on, so that records go in order.  Whoever produces otherwise waits until all
 * are through. */
#include "producer/operation.h"

#include "base/error.h"
#include "buffer/buffer.h"
#include "endpoint/peers.h"
#include "producer/life.h"
#include "producer/pending.h"
#include "producer/producer.h"
#include "producer/push.h"
#include "producer/way.h"
#include "record/record.h"

#include <errno.h>

static mpp_outcome advance(mpp_producer *p, producer_stream *s, mpp_operation *op, mpp_error *err)
{
    if (s->buffer->advance)
        return s->buffer->advance(p, s, op, err);
    const mpp_outcome outcome = producer_push(p, s, op->record, op->len);
    if (outcome == MPP_ERROR)
        error_set(err, MPP_S_ERROR, errno, "cannot produce a record of %zu bytes", op->len);
    return outcome;
}

/* A record is lost, and everybody is told; what is behind it is gone. */
static void fail(mpp_producer *p, const producer_stream *s, const mpp_error *told)
{
    mpp_error otherwise;
    error_set(&otherwise, MPP_S_ERROR, 0, "an operation on stream '%s' failed", s->declared->info.name);
    p->operation_error = error_told(told, otherwise.text);
    mpp_producer_fail(p, &p->operation_error);
}

bool operations_advance(mpp_producer *p, producer_stream *s)
{
    if (s->pending && endpoint_notice(&p->end))
        operations_close(p, s, MPP_GONE); /* whatever they wait for */
    while (s->pending) {
        mpp_error err;
        err.status = MPP_S_ERROR; /* a buffer need not say more than that it failed */
        err.os_error = 0;
        err.final = false;
        err.text[0] = 0;
        const mpp_outcome outcome = advance(p, s, s->pending, &err);
        if (outcome == MPP_WOULD_BLOCK)
            return false;
        operations_pop(p, s, outcome);
        if (outcome == MPP_ERROR)
            fail(p, s, &err);
    }
    return true;
}

/* Why not, in mpp_operation.refused: by the time it is asked for, the record is the caller's again. */
enum refusal { REFUSED_NOT, REFUSED_STREAM, REFUSED_FORMAT, REFUSED_LONG, REFUSED_BETWEEN };

static enum refusal refusal_of(mpp_producer *p, producer_stream *s, const mpp_operation *op)
{
    if (!s)
        return REFUSED_STREAM;
    const mpp_stream_info *info = &s->declared->info;
    switch (record_check(&info->format, info->max_record, op->record, op->len)) {
    case 0:
        break;
    case EMSGSIZE:
        return REFUSED_LONG;
    default:
        return REFUSED_FORMAT;
    }
    const mpp_outcome outcome = way_take(p, s, WAY_OPERATION);
    return outcome == MPP_ERROR || outcome == MPP_WOULD_BLOCK ? REFUSED_BETWEEN : REFUSED_NOT;
}

static mpp_outcome refuse(enum refusal why)
{
    return producer_refuse(why == REFUSED_LONG ? EMSGSIZE : EINVAL);
}

static void tell_format(const mpp_operation *op, const mpp_stream_info *info, mpp_error *err)
{
    if (info->format.kind == MPP_FIXED)
        error_set(err, MPP_S_ERROR, 0, "not a record of stream '%s': it has %zu bytes, and those have %u", info->name,
                  op->len, info->format.size);
    else
        error_set(err, MPP_S_ERROR, 0, "not a record of stream '%s': the byte that ends those is inside it",
                  info->name);
}

static void tell_refusal(const mpp_producer *p, const mpp_operation *op, mpp_error *err)
{
    const producer_stream *s = producer_stream_of(p, op->stream);
    if (!s)
        producer_unserved(p, op->stream, err);
    else if (op->refused == REFUSED_FORMAT)
        tell_format(op, &s->declared->info, err);
    else if (op->refused == REFUSED_LONG)
        error_set(err, MPP_S_ERROR, 0, "a record of %zu bytes is longer than stream '%s' may have: %llu bytes", op->len,
                  s->declared->info.name, (unsigned long long)s->declared->info.max_record);
    else
        way_tell_between(s, err);
}

mpp_outcome mpp_produce_async(mpp_producer *p, unsigned stream, const void *record, size_t len, mpp_operation *op)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (s && s->pending && (op == s->pending || op == s->pending_last))
        return producer_refuse(EINVAL); /* it is the library's still */
    *op = (mpp_operation){.user = op->user, .record = record, .len = len, .stream = stream};
    const enum refusal why = refusal_of(p, s, op);
    op->refused = why;
    op->outcome = why ? refuse(why) : producer_ensure_run(p, s);
    if (op->outcome != MPP_OK)
        return op->outcome;
    op->outcome = MPP_WOULD_BLOCK;
    mpp_operation **end = s->pending ? &s->pending_last->next : &s->pending;
    *end = s->pending_last = op;
    operations_advance(p, s);
    return MPP_OK;
}

mpp_outcome mpp_poll(mpp_producer *p, mpp_operation *op, mpp_error *err)
{
    if (op->outcome == MPP_WOULD_BLOCK) {
        producer_stream *s = producer_stream_of(p, op->stream);
        if (!s || !s->pending) { /* it was given to another producer, or to none */
            error_set(err, MPP_S_USAGE, 0, "producer %u has no such operation pending", p->end.index);
            return producer_refuse(EINVAL);
        }
        operations_advance(p, s);
    }
    if (op->outcome != MPP_ERROR)
        return op->outcome;
    if (op->refused) {
        tell_refusal(p, op, err);
        return refuse(op->refused);
    }
    error_pass(err, &p->operation_error);
    return MPP_ERROR;
}

mpp_outcome mpp_operation_cancel(mpp_producer *p, mpp_operation *op)
{
    if (op->outcome != MPP_WOULD_BLOCK)
        return op->outcome;
    producer_stream *s = producer_stream_of(p, op->stream);
    if (!s)
        return producer_refuse(EINVAL);
    mpp_operation **at = &s->pending, *before = NULL;
    if (op == s->pending && (s->long_left || op->step))
        return MPP_WOULD_BLOCK; /* a part of it is on its way */
    while (*at && *at != op) {
        before = *at;
        at = &before->next;
    }
    if (!*at)
        return producer_refuse(EINVAL);
    *at = op->next;
    if (s->pending_last == op)
        s->pending_last = before;
    op->next = NULL;
    return op->outcome = MPP_CLOSED;
}
