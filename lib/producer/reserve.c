/* reserve.c - a frame that the caller fills where it lies */
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "endpoint/patience.h"
#include "producer/life.h"
#include "producer/operation.h"
#include "producer/producer.h"
#include "producer/way.h"
#include "run/registry.h"

#include <errno.h>

mpp_outcome mpp_reserve(mpp_producer *p, unsigned stream, unsigned consumer, size_t len, void **data)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s || !s->buffer->reservable || consumer >= s->registry.consumers)
        return producer_refuse(EINVAL);
    if (len > producer_frame_max(p))
        return producer_refuse(EMSGSIZE);
    if (!s->registry.running || registry_has_enough(&s->registry, consumer))
        return producer_ensure_run(p, s) == MPP_GONE ? MPP_GONE : MPP_CLOSED;
    if (operations_hold_up(p, s))
        return producer_no_room(p);
    const mpp_outcome outcome = way_take(p, s, WAY_RESERVE);
    outlet *o = &s->outlets[consumer];
    if (outcome != MPP_OK || o->reserved)
        return outcome != MPP_OK ? outcome : producer_refuse(EINVAL);
    if (o->len)
        outlet_publish(o, &p->end);
    *data = outlet_begin_frame(o, stream, len);
    if (!*data)
        *data = outlet_room(o, &p->end, stream, len, producer_frame_max(p));
    if (!*data)
        return producer_no_room(p);
    outlet_lend(o, stream, len);
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
    if (!outlet_take_back(o)) { /* cancelled since */
        s->dropped += records;
        return MPP_OK;
    }
    if (len == 0) {
        outlet_discard(o, stream);
        return MPP_OK;
    }
    endpoint_moved(&p->end);
    outlet_add(o, len, records);
    s->records += records;
    s->bytes += len;
    outlet_publish_now(o, &p->end);
    return MPP_OK;
}
