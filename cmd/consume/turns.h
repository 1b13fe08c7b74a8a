/* turns.h - one record of each producer in turn (--in-turn): blocks that were dealt out in turn, back in order */
#ifndef CMD_CONSUME_TURNS_H
#define CMD_CONSUME_TURNS_H

#include "mpp.h"

typedef struct turns turns;

/* NULL: no memory. */
turns *turns_create(const mpp_mesh *mesh, unsigned stream);
/* Releases the batches that it holds. */
void turns_destroy(turns **t, mpp_consumer *c);

/* The next record, valid until the next call.
 * MPP_OK; MPP_WOULD_BLOCK: whose turn it is has not shown it; MPP_CLOSED: all have ended; MPP_GONE: whose turn it is
 * will give no more, and the mesh has failed; MPP_ERROR with *err: somebody has a record left when whose turn it is has
 * ended, or what it sent is no record. */
mpp_outcome turns_next(turns *t, mpp_consumer *c, const unsigned char **record, size_t *len, unsigned *producer,
                       mpp_error *err);

#endif
