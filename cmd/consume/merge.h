/* merge.h - the k-way merge of one stream's producers, each sorted by the stream's key (--merge)
 *
 * A binary heap of one cursor for each producer (Knuth, TAOCP 3, 5.4.1: a selection tree); records stay where they are
 * until they are handed on.  The least record is known only when every producer has shown its next one or has ended. */
#ifndef CMD_CONSUME_MERGE_H
#define CMD_CONSUME_MERGE_H

#include "mpp.h"

typedef struct merge merge;

/* Records whose keys are equal: their bytes decide, as sort -m has it, or, stable, the index of their producer and then
 * their order there, as sort -s -m has it.  NULL: no memory. */
merge *merge_create(const mpp_mesh *mesh, unsigned stream, bool stable);
/* Releases the batches that it holds. */
void merge_destroy(merge **m, mpp_consumer *c);

/* The least record of all, valid until the next call.
 * MPP_OK; MPP_WOULD_BLOCK: a producer has not shown its next one; MPP_CLOSED: all have ended; MPP_GONE: so have those
 * that will still give any, and the mesh has failed; MPP_ERROR with *err: a producer is not sorted, or what it sent is
 * not a record. */
mpp_outcome merge_next(merge *m, mpp_consumer *c, const unsigned char **record, size_t *len, unsigned *producer,
                       mpp_error *err);

#endif
