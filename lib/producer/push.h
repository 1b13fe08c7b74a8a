/* push.h - one record, with its framing, to the buffer of its stream */
#ifndef PRODUCER_PUSH_H
#define PRODUCER_PUSH_H

#include "producer/producer.h"

/* One record, past what is pending. */
mpp_outcome producer_push(mpp_producer *p, producer_stream *s, const void *record, size_t len);
/* Room for a record of so many bytes with its framing; false: there is no memory. */
bool push_reserve(mpp_producer *p, size_t whole);
/* The next record goes nowhere. */
void producer_give_up(mpp_producer *p, producer_stream *s);

#endif
