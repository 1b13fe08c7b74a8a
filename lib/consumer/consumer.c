#include "consumer/consumer.h"

#include "base/error.h"
#include "buffer/buffer.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "endpoint/patience.h"
#include "endpoint/peers.h"
#include "endpoint/say.h"
#include "mesh/cause.h"

#include <errno.h>
#include <stdlib.h>

unsigned mpp_consumer_index(const mpp_consumer *c)
{
    return c->end.index;
}

int mpp_consumer_fd(const mpp_consumer *c)
{
    return c->end.events;
}

consumer_stream *consumer_stream_of(const mpp_consumer *c, unsigned stream)
{
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].stream == stream)
            return &c->streams[i];
    return NULL;
}

/* What the caller owes is not so: nothing is done. */
static mpp_outcome refuse(void)
{
    errno = EINVAL;
    return MPP_ERROR;
}

mpp_outcome mpp_start(mpp_consumer *c, unsigned stream)
{
    consumer_stream *s = consumer_stream_of(c, stream);
    if (!s)
        return refuse();
    /* Also in a mesh that has failed: what was published for us is ours to have. */
    bool gone = endpoint_notice(&c->end);
    if (gone && mesh_cause_final(c->end.mesh))
        return MPP_GONE;
    if (!s->buffer->start(c, s)) {
        s->hungry = HUNGRY_START;
        return gone || endpoint_notice(&c->end) ? MPP_GONE : MPP_WOULD_BLOCK;
    }
    s->active = true;
    s->cancelled = false;
    return MPP_OK;
}

mpp_outcome mpp_cancel(mpp_consumer *c, unsigned stream)
{
    consumer_stream *s = consumer_stream_of(c, stream);
    if (!s)
        return refuse();
    if (!s->active || s->cancelled)
        return MPP_OK;
    s->cancelled = true;
    if (s->buffer->cancel)
        s->buffer->cancel(c, s);
    return MPP_OK;
}

mpp_outcome mpp_skip(mpp_consumer *c, unsigned stream)
{
    consumer_stream *s = consumer_stream_of(c, stream);
    if (!s || (s->active && !s->cancelled))
        return refuse();
    if (!s->buffer->skip)
        return MPP_OK;
    if (!s->buffer->skip(c, s))
        return endpoint_notice(&c->end) ? MPP_GONE : MPP_WOULD_BLOCK;
    s->active = s->cancelled = true;
    return MPP_OK;
}

static mpp_outcome take_any(mpp_consumer *c, consumer_stream *s, mpp_batch *batch)
{
    unsigned over = 0;
    unsigned producer = s->last;
    for (unsigned n = 0; n < c->end.n_peers; n++) {
        producer = producer + 1 < c->end.n_peers ? producer + 1 : 0;
        share_state state = s->buffer->take(c, s, producer, batch);
        if (state == SHARE_READY)
            return MPP_OK;
        over += state == SHARE_OVER;
    }
    return over == c->end.n_peers ? MPP_CLOSED : MPP_WOULD_BLOCK;
}

mpp_outcome mpp_next(mpp_consumer *c, unsigned stream, int producer, mpp_batch *batch)
{
    static const mpp_outcome outcomes[] = {
        [SHARE_EMPTY] = MPP_WOULD_BLOCK, [SHARE_READY] = MPP_OK, [SHARE_OVER] = MPP_CLOSED, [SHARE_FAILED] = MPP_GONE};
    consumer_stream *s = consumer_stream_of(c, stream);
    if (!s || (producer != MPP_PRODUCER_ANY && (producer < 0 || (unsigned)producer >= c->end.n_peers)))
        return refuse();
    if (!s->active || s->cancelled)
        return !s->active && endpoint_notice(&c->end) ? MPP_GONE : MPP_CLOSED;
    bool gone = endpoint_notice(&c->end); /* before looking: what was published before the cause is found then */
    if (gone && (c->end.failed || mesh_cause_final(c->end.mesh)))
        return MPP_GONE; /* we cannot, or it was called off: nobody waits for what is left */
    mpp_outcome outcome = producer == MPP_PRODUCER_ANY ? take_any(c, s, batch)
                                                       : outcomes[s->buffer->take(c, s, (unsigned)producer, batch)];
    if (outcome == MPP_WOULD_BLOCK) {
        if (gone)
            return MPP_GONE;
        s->hungry = producer == MPP_PRODUCER_ANY ? HUNGRY_ANY : HUNGRY_SOME;
        if (producer != MPP_PRODUCER_ANY)
            s->shares[producer].hungry = true;
    } else if (outcome == MPP_OK) {
        endpoint_moved(&c->end);
    }
    return outcome;
}

mpp_outcome mpp_release(mpp_consumer *c, mpp_batch *batch)
{
    consumer_stream *s = consumer_stream_of(c, batch->stream);
    if (!s || !batch->data || batch->producer >= c->end.n_peers || !s->shares[batch->producer].out)
        return refuse();
    if (s->buffer->release)
        s->buffer->release(c, s, batch->producer);
    s->shares[batch->producer].out = OUT_NOT;
    batch->data = NULL;
    return MPP_OK;
}

void mpp_consumer_command(mpp_consumer *c, pid_t pid)
{
    endpoint_command(&c->end, pid);
}

bool mpp_consumer_cause(const mpp_consumer *c, mpp_error *cause)
{
    if (mpp_mesh_cause(c->end.mesh, cause))
        return true;
    if (c->end.own.status)
        mesh_cause_copy(&c->end.own, true, cause);
    return c->end.own.status != 0;
}

bool mpp_consumer_fail(mpp_consumer *c, const mpp_error *err)
{
    const mpp_error told = error_told(err, "it failed, and did not say why");
    return endpoint_report(&c->end, &told);
}
