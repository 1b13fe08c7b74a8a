/* pending.h - the operations that a stream has accepted, in order */
#ifndef PRODUCER_PENDING_H
#define PRODUCER_PENDING_H

#include "producer/producer.h"

/* The first one is complete, with that outcome. */
void operations_pop(mpp_producer *p, producer_stream *s, mpp_outcome outcome);
/* None of them will ever be. */
void operations_close(mpp_producer *p, producer_stream *s, mpp_outcome outcome);

#endif
