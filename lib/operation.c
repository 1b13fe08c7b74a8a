/* operation.c - mpp_produce_async(): operations that are pending on a stream, in the order in which they were accepted
 *
 * Only the first of a stream is ever moved on, so that records go in order.  Whoever produces otherwise waits until all
 * are through. */
#include "buffer.h"
#include "error.h"
#include "producer.h"
#include "record.h"

#include <errno.h>
#include <string.h>

static void pop(mpp_producer *p, producer_stream *s, mpp_outcome outcome)
{
    mpp_operation *op = s->pending;
    s->pending = op->next;
    op->next = NULL;
    op->outcome = outcome;
    p->news = true;
}

void operations_close(mpp_producer *p, producer_stream *s, mpp_outcome outcome)
{
    while (s->pending)
        pop(p, s, outcome);
}

static mpp_outcome advance(mpp_producer *p, producer_stream *s, mpp_operation *op, mpp_error *err)
{
    if (s->buffer->advance)
        return s->buffer->advance(p, s, op, err);
    mpp_outcome outcome = producer_push(p, s, op->record, op->len);
    if (outcome == MPP_ERROR)
        error_set(err, MPP_S_ERROR, errno, "cannot produce a record of %zu bytes", op->len);
    return outcome;
}

bool operations_advance(mpp_producer *p, producer_stream *s)
{
    if (s->pending && endpoint_gone(&p->end))
        operations_close(p, s, MPP_GONE); /* whatever they wait for */
    while (s->pending) {
        mpp_error err;
        mpp_outcome outcome = advance(p, s, s->pending, &err);
        if (outcome == MPP_WOULD_BLOCK)
            return false;
        pop(p, s, outcome);
        if (outcome == MPP_ERROR) {
            p->operation_error = err;
            mpp_producer_fail(p, &err); /* a record is lost, and everybody is told; what is behind it is gone */
        }
    }
    return true;
}

/* A long record that another call has under way in part goes before, and is not the library's to finish. */
static mpp_outcome acceptable(mpp_producer *p, producer_stream *s, const void *record, size_t len)
{
    const mpp_stream_info *info = &s->declared->info;
    errno = s->long_left && !s->pending ? EINVAL : record_check(&info->format, info->max_record, record, len);
    return errno ? MPP_ERROR : producer_state(p, s);
}

mpp_outcome mpp_produce_async(mpp_producer *p, unsigned stream, const void *record, size_t len, mpp_operation *op)
{
    producer_stream *s = producer_stream_of(p, stream);
    *op = (mpp_operation){.user = op->user, .record = record, .len = len, .stream = stream};
    op->outcome = acceptable(p, s, record, len);
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
    if (op->outcome == MPP_WOULD_BLOCK)
        operations_advance(p, producer_stream_of(p, op->stream));
    if (op->outcome == MPP_ERROR && err)
        *err = p->operation_error;
    return op->outcome;
}

mpp_outcome mpp_operation_cancel(mpp_producer *p, mpp_operation *op)
{
    producer_stream *s = producer_stream_of(p, op->stream);
    mpp_operation **at = &s->pending, *before = NULL;
    if (op->outcome != MPP_WOULD_BLOCK)
        return op->outcome;
    if (op == s->pending && (s->long_left || op->step))
        return MPP_WOULD_BLOCK; /* a part of it is on its way */
    while (*at != op) {
        before = *at;
        at = &before->next;
    }
    *at = op->next;
    if (s->pending_last == op)
        s->pending_last = before;
    op->next = NULL;
    return op->outcome = MPP_CLOSED;
}
