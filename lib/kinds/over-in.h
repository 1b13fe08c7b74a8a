/* over-in.h - a consumer's side of a ring, of latest and of a mailbox, as buffer/buffer.h has it
 *
 * A reader copies a value into private memory, where the caller has it.
 */
#ifndef OVER_IN_H
#define OVER_IN_H

#include "buffer/buffer.h"
#include "consumer/consumer.h"

bool over_start(mpp_consumer *c, consumer_stream *s);
share_state over_peek(mpp_consumer *c, consumer_stream *s, unsigned producer);
share_state over_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch);
void over_await(mpp_consumer *c, consumer_stream *s);
void over_leave(mpp_consumer *c, consumer_stream *s);

#endif
