/* way.h - records come in several ways, and what one has begun no other can finish */
#ifndef PRODUCER_WAY_H
#define PRODUCER_WAY_H

#include "producer/producer.h"

/* May a record come in this way now, into a stream on which nothing is pending?  MPP_OK; MPP_ERROR with errno
 * EINVAL: one that came in another way is not whole yet; MPP_WOULD_BLOCK, MPP_CLOSED, MPP_GONE: of what mpp_fill has
 * read, which goes before. */
mpp_outcome way_other(mpp_producer *p, producer_stream *s, producer_way way);
static inline mpp_outcome way_take(mpp_producer *p, producer_stream *s, producer_way way)
{
    if (s->filling || s->long_left)
        return way_other(p, s, way);
    s->way = way;
    return MPP_OK;
}
/* What to say of a record that is not whole yet. */
void way_tell_between(const producer_stream *s, mpp_error *err);

#endif
