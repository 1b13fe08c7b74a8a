/* partition.h - which consumer a record goes to */
#ifndef PARTITION_H
#define PARTITION_H

#include "producer/producer.h"

/* To which consumer the record goes; -1: to all.  PARTITION_BLOCKED: `any`, and nobody has room.  PARTITION_FAILED: no
 * memory to join its key. */
enum { PARTITION_ALL = -1, PARTITION_BLOCKED = -2, PARTITION_FAILED = -3 };
int partition_target(mpp_producer *p, producer_stream *s, const unsigned char *record, size_t len);
/* Where a key goes. */
unsigned partition_hash(const producer_stream *s, const unsigned char *bytes, size_t n);
/* The record went to its target. */
static inline void partition_sent(producer_stream *s, size_t len)
{
    struct producer_bounded *b = &s->kept.bounded;
    b->favour -= b->favour < len ? b->favour : len;
}

#endif
