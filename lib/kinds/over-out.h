/* over-out.h - a producer's side of a ring, of latest and of a mailbox, as buffer/buffer.h has it
 *
 * A value is published when the push returns; then, behind a fence, the writer looks whether a reader may be asleep
 * (layout_buffer.awaited) and rings those that are.
 */
#ifndef OVER_OUT_H
#define OVER_OUT_H

#include "producer/producer.h"
#include "ring/mailbox.h"

/* Map what a producer of the stream writes into, twice in a row; NULL with errno. */
unsigned char *over_map(const mpp_mesh *m, unsigned stream, unsigned producer);
/* The mailbox of the stream, as that producer fills it, in the boxes that are mapped. */
mailbox over_mailbox(const mpp_mesh *m, unsigned stream, unsigned char *bytes, unsigned producer);

int over_open(mpp_producer *p, producer_stream *s, mpp_error *err);
void over_close(producer_stream *s);
void over_begin(mpp_producer *p, producer_stream *s);
void over_end(mpp_producer *p, producer_stream *s, unsigned state);
mpp_outcome over_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used);
void over_refused(producer_stream *s);

#endif
