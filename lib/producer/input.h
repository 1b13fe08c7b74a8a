/* input.h - what mpp_fill() has read of a stream's input and not put into frames yet */
#ifndef PRODUCER_INPUT_H
#define PRODUCER_INPUT_H

#include "producer/producer.h"

bool input_grow(producer_stream *s);
void input_compact(producer_stream *s);
/* Does it end inside a record, or lie here still? */
bool input_unfinished(const producer_stream *s);
/* As much of it as there is room for goes into frames.  MPP_OK: all; else as the buffer's push, with *err where that
 * is MPP_ERROR. */
mpp_outcome input_feed(mpp_producer *p, producer_stream *s, mpp_error *err);
/* The same of all of it.  MPP_OK: and it ends where a record does; MPP_ERROR with errno EINVAL: it does not. */
mpp_outcome input_rest(mpp_producer *p, producer_stream *s);
/* What is to be said of a record that is too long, and of room that is the caller's.  MPP_ERROR. */
mpp_outcome input_too_long(const mpp_producer *p, const producer_stream *s, uint64_t at, mpp_error *err);
mpp_outcome input_lent(const producer_stream *s, mpp_error *err);

#endif
