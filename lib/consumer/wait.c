/* wait.c - what a consumer waits for */
#include "consumer/wait.h"

#include "buffer/buffer.h"
#include "channel/inlet.h"
#include "consumer/consumer.h"
#include "endpoint/barrier.h"
#include "endpoint/peers.h"
#include "mesh/cause.h"
#include "ring/doorbell.h"
#include "shm/layout.h"

#include <string.h>

void consumer_give_back(mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_inlets; i++)
        inlet_release(&c->inlets[i], &c->end);
}

void consumer_await(mpp_consumer *c)
{
    bool any = false;
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].hungry != HUNGRY_NOT && c->streams[i].buffer->await) {
            c->streams[i].buffer->await(c, &c->streams[i]);
            any = true;
        }
    if (any)
        doorbell_fence(); /* [D1] for what they stored, as doorbell_arm() has it for armed */
}

static bool any_ready(mpp_consumer *c, consumer_stream *s)
{
    bool all = true;
    for (unsigned i = 0; i < c->end.n_peers; i++) {
        share_state state = s->shares[i].out ? SHARE_EMPTY : s->buffer->peek(c, s, i);
        if (state == SHARE_READY || state == SHARE_FAILED)
            return true;
        all &= state == SHARE_OVER;
    }
    return all;
}

static bool some_ready(mpp_consumer *c, consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (s->shares[i].hungry && !s->shares[i].out && s->buffer->peek(c, s, i) != SHARE_EMPTY)
            return true;
    return false;
}

bool consumer_recheck(mpp_consumer *c)
{
    bool gone = endpoint_notice(&c->end);
    if (c->end.barrier)
        return gone || endpoint_await_all(&c->end);
    if (gone && mesh_cause_final(c->end.mesh))
        return true;
    for (unsigned i = 0; i < c->n_streams; i++) {
        consumer_stream *s = &c->streams[i];
        if (s->hungry != HUNGRY_NOT && gone)
            return true;
        if ((s->hungry == HUNGRY_ANY && any_ready(c, s)) || (s->hungry == HUNGRY_SOME && some_ready(c, s)) ||
            (s->hungry == HUNGRY_START && s->buffer->over(c, s)))
            return true;
    }
    return false;
}

bool consumer_hungry(const mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].hungry != HUNGRY_NOT)
            return true;
    return false;
}

void consumer_disarm(mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_streams; i++) {
        c->streams[i].hungry = HUNGRY_NOT;
        for (unsigned j = 0; j < c->end.n_peers; j++)
            c->streams[i].shares[j].hungry = false;
    }
}

static unsigned stream_awaits(const consumer_stream *s, unsigned producer)
{
    if (s->shares[producer].over)
        return LAYOUT_AWAITS_NOT;
    if (s->hungry == HUNGRY_START || (s->hungry == HUNGRY_SOME && s->shares[producer].hungry))
        return LAYOUT_AWAITS_THIS;
    return s->hungry == HUNGRY_ANY ? LAYOUT_AWAITS_ANY : LAYOUT_AWAITS_NOT;
}

unsigned consumer_awaits(const mpp_consumer *c, const inlet *i)
{
    unsigned how = LAYOUT_AWAITS_NOT;
    for (unsigned k = 0; k < c->n_streams && how != LAYOUT_AWAITS_THIS; k++)
        if (c->streams[k].inlets == i - i->producer) {
            const unsigned here = stream_awaits(&c->streams[k], i->producer);
            how = here > how ? here : how;
        }
    return how;
}

int consumer_awaited(const mpp_consumer *c, unsigned *lane)
{
    for (unsigned i = 0; i < c->n_inlets; i++)
        if (consumer_awaits(c, &c->inlets[i])) {
            *lane = c->inlets[i].lane;
            return (int)c->inlets[i].producer;
        }
    return -1;
}
