/* operation.h - mpp_produce_async(): what is accepted now, and through later */
#ifndef PRODUCER_OPERATION_H
#define PRODUCER_OPERATION_H

#include "producer/producer.h"

/* Move on what is pending; true: all of it is through. */
bool operations_advance(mpp_producer *p, producer_stream *s);
/* Moves on what was accepted before, which goes before; true: something is still pending. */
static inline bool operations_hold_up(mpp_producer *p, producer_stream *s)
{
    return s->pending && !operations_advance(p, s);
}

#endif
