/* bounded-in.h - a consumer's side of a bounded stream, as buffer/buffer.h has it */
#ifndef BOUNDED_IN_H
#define BOUNDED_IN_H

#include "buffer/buffer.h"
#include "consumer/consumer.h"

bool bounded_start(mpp_consumer *c, consumer_stream *s);
bool bounded_over(mpp_consumer *c, const consumer_stream *s);
bool bounded_skip(mpp_consumer *c, consumer_stream *s);
void bounded_cancel(mpp_consumer *c, consumer_stream *s);
share_state bounded_peek(mpp_consumer *c, consumer_stream *s, unsigned producer);
share_state bounded_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch);
void bounded_release(mpp_consumer *c, consumer_stream *s, unsigned producer);

#endif
