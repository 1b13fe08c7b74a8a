/* bells.h - ringing those who may sleep in a mesh, and whom a bell is owed */
#ifndef MESH_BELLS_H
#define MESH_BELLS_H

#include "ring/doorbell.h"

/* Slots whose bell could not be rung, a bit each. */
typedef struct mesh_debts {
    uint64_t *bits; /* MESH_DEBTS_WORDS(slots) of them */
    unsigned n;
} mesh_debts;
#define MESH_DEBTS_WORDS(slots) ((slots) / 64 + 1)

/* true: it was not owed before. */
static inline bool mesh_owe(mesh_debts *owed, unsigned number)
{
    const uint64_t bit = UINT64_C(1) << number % 64;
    const bool anew = !(owed->bits[number / 64] & bit);
    owed->n += anew;
    owed->bits[number / 64] |= bit;
    return anew;
}

/* Ring slot `number` from a datagram socket: by its socket, else by its pipe.  DOORBELL_RUNG, also where nobody
 * lives who could be asleep. */
doorbell_outcome mesh_ring(const mpp_mesh *m, unsigned number, int from);
/* Ring every endpoint of a lane that may be there, ourselves included.  Who could not be rung is added to *owed
 * (NULL: nobody will try again). */
void mesh_ring_lane(const mpp_mesh *m, unsigned lane, int from, mesh_debts *owed);
/* The same for all lanes; from -1: a socket is made for it, if there is a descriptor to be had. */
void mesh_ring_all(const mpp_mesh *m, int from, mesh_debts *owed);

#endif
