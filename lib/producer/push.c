#include "producer/push.h"

#include "base/atomics.h"
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "endpoint/endpoint.h"
#include "producer/life.h"
#include "producer/producer.h"
#include "record/record.h"
#include "run/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool push_reserve(mpp_producer *p, size_t whole)
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
        const mpp_outcome outcome = producer_ensure_run(p, s);
        if (outcome != MPP_OK)
            return outcome;
    }
    if (whole > len) {
        if (!push_reserve(p, whole))
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

/* Nobody waits for room any more; but where others share the lane, it may be theirs. */
static void forget_need(const mpp_producer *p, const producer_stream *s)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (&p->streams[i] != s && p->streams[i].outlets == s->outlets)
            return;
    for (unsigned j = 0; j < s->registry.consumers; j++)
        outlet_forget_need(&s->outlets[j]);
}

void producer_give_up(mpp_producer *p, producer_stream *s)
{
    forget_need(p, s);
    p->nobody_asked = false;
    s->turn += s->declared->info.block == 0; /* a block is what was sent of it */
    s->given_up++;
    count_add(&endpoint_slot(&p->end, endpoint_lane_position(&p->end, s->stream))->given_up, 1);
}
