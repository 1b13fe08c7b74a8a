/* bounded-out.h - a producer's side of a bounded stream, as buffer/buffer.h has it */
#ifndef BOUNDED_OUT_H
#define BOUNDED_OUT_H

#include "producer/producer.h"

void bounded_begin(mpp_producer *p, producer_stream *s);
void bounded_end(mpp_producer *p, producer_stream *s, unsigned state);
mpp_outcome bounded_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used);

#endif
