/* overwriting.h - the buffers that overwrite: what the table has for ring, latest and mailbox
 *
 * A value is published when the push returns; then, behind a fence, the writer looks whether a reader may be asleep
 * (layout_buffer.awaited) and rings those that are.  Readers copy a value into private memory, where the caller has it.
 */
#ifndef OVERWRITING_H
#define OVERWRITING_H

#include "consumer.h"
#include "producer.h"

int overwriting_open(mpp_producer *p, producer_stream *s, mpp_error *err);
void overwriting_close(producer_stream *s);
void overwriting_begin(mpp_producer *p, producer_stream *s);
void overwriting_end(mpp_producer *p, producer_stream *s, unsigned state);
mpp_outcome overwriting_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used);

bool overwriting_start(mpp_consumer *c, consumer_stream *s);
share_state overwriting_look(mpp_consumer *c, consumer_stream *s, unsigned producer);
share_state overwriting_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch);
void overwriting_await(mpp_consumer *c, consumer_stream *s);
void overwriting_leave(mpp_consumer *c, consumer_stream *s);

#endif
