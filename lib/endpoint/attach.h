/* attach.h - how a participant comes and leaves
 *
 * The life of a slot, and what a death leaves:
 *
 *   claim    take the lock on each lane's slot         died here: slot FREE, lock gone: nothing happened
 *            bind the sockets, store bell and pid (a hint)
 *            peers++ [P1], ring every peer             died here: peers watch the lock's holder, see it go, slot FREE:
 *            state = LIVE [L1]                         nothing happened
 *            ring everybody who waits for everybody
 *   live     work                                      died here: peers find LIVE and no lock: DEAD, and the cause
 *   leave    state = DONE [L1]                         died here: as if it had left
 *            unlink the sockets                        died here: as if it had left
 *            all is over: closed = 1 [K1], ring        died here: the next one who leaves does it, else --gc
 *            peers++, ring                             died here: who sees the lock's holder go counts it
 *            nobody left: unlink the mesh              died here: --gc
 *            unlock
 *
 * A slot that was DONE or DEAD is not looked at by peers whom we ring before it is LIVE: they are rung once more.
 *
 * The ring comes before LIVE so that there is no moment at which a slot is LIVE and its peers do not know whom to
 * watch.  A peer that attaches at the same time either gets the ring or finds the lock when it looks, because it binds
 * its socket before it looks, and we lock before we ring.
 */
#ifndef ENDPOINT_ATTACH_H
#define ENDPOINT_ATTACH_H

#include "endpoint/endpoint.h"

/* 0, or -1 with *err as mpp_producer_attach() says. */
int endpoint_attach(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err);
/* In the order shown above. */
void endpoint_leave(endpoint *e);

#endif
