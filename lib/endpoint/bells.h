/* bells.h - the two bells of an endpoint, and those that it rings and owes
 *
 * A bell that cannot be rung is owed: the endpoint tries again every OWED_MS, and fails when a peer that lives cannot
 * be reached for OWED_MOST_MS.  Only then does an idle endpoint wake, by a timer among its descriptors.
 */
#ifndef ENDPOINT_BELLS_H
#define ENDPOINT_BELLS_H

#include "endpoint/endpoint.h"

/* Make the sockets, where the mesh's directory is to be seen, and the pipe.  0, or -1 with *err. */
int endpoint_bells_make(endpoint *e, mpp_error *err);
/* Remove the sockets' names. */
void endpoint_bells_unlink(const endpoint *e);
/* Before the claim: can bells reach us here at all?  (Nobody has to be told of who never could have come.)  0, or
 * -1 with *err. */
int endpoint_check_reach(mpp_mesh *m, mpp_error *err);

/* Ring a peer that doorbell_wake() said to ring. */
void endpoint_ring(endpoint *e, unsigned lane, unsigned peer);
/* Tell everybody in our lanes that somebody came or left, whether they sleep or not; and the whole mesh when somebody
 * there waits for everybody. */
void endpoint_announce(endpoint *e);

/* Bells are owed, and no timer could be had that would remind us: a sleep ends within OWED_MS, and endpoint_pay()
 * follows. */
static inline bool endpoint_unreminded(const endpoint *e)
{
    return e->owed.n && e->timer < 0;
}
/* Ring those again whose bell is owed. */
void endpoint_pay(endpoint *e);

#endif
