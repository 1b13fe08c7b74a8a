/* peers.h - who is there beside us, and who died
 *
 * A holder that cannot be watched (another PID namespace, a sandbox that refuses pidfd_open(2)) is looked at every
 * UNSEEN_MS: its lock tells.  Only then does an idle endpoint wake, by the timer.
 */
#ifndef ENDPOINT_PEERS_H
#define ENDPOINT_PEERS_H

#include "base/atomics.h"
#include "endpoint/endpoint.h"
#include "mesh/mesh.h"

/* Look at who came or left since the last time. */
void endpoint_look_at_peers(endpoint *e, uint32_t peers);
/* Notice who came or died since the last call.  true: the mesh is over by a failure. */
static inline bool endpoint_notice(endpoint *e)
{
    const uint32_t peers = load_acquire(&e->mesh->header->peers); /* [P2] pairs with [P1] */
    if (peers != e->peers_seen)
        endpoint_look_at_peers(e, peers);
    return load_acquire(&e->mesh->header->cause) != 0 || e->failed; /* [F2] pairs with [F1] */
}
/* After the descriptor was readable: drain the doorbells, look at who died. */
void endpoint_heard(endpoint *e);
/* Watch the process that the mesh is tied to (--pid), if there is one. */
void endpoint_watch_tied(endpoint *e);

#endif
