#include "mesh/bells.h"

#include "base/atomics.h"
#include "mesh/mesh.h"
#include "mesh/sockets.h"
#include "ring/doorbell.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

#include <unistd.h>

doorbell_outcome mesh_ring(const mpp_mesh *m, unsigned number, int from)
{
    const layout_slot *s = mesh_slot(m, number);
    char path[LAYOUT_SOCKET_PATH_MAX];
    const doorbell_outcome by_socket = mesh_socket_path(m, number, path) ? doorbell_ring(from, path) : DOORBELL_NOBODY;
    if (by_socket == DOORBELL_RUNG)
        return DOORBELL_RUNG;
    const pid_t holder = segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number);
    const int bell = load_relaxed(&s->bell) - 1;
    const doorbell_outcome by_pipe =
        holder > 0 && bell >= 0 ? doorbell_ring_pipe(holder, bell, load_relaxed(&s->bell_inode)) : DOORBELL_NOBODY;
    /* Who has left or died needs no bell, and who is not LIVE yet looks at everything before it sleeps. */
    if (by_pipe == DOORBELL_RUNG || holder == 0 || load_acquire(&s->state) != LAYOUT_LIVE) /* [L2] */
        return DOORBELL_RUNG;
    return by_socket == DOORBELL_LATER || by_pipe == DOORBELL_LATER ? DOORBELL_LATER : DOORBELL_NOBODY;
}

void mesh_ring_lane(const mpp_mesh *m, unsigned lane, int from, mesh_debts *owed)
{
    const unsigned both = m->l.producers + m->l.consumers;
    for (unsigned number = lane * both; number < (lane + 1) * both; number++) {
        const layout_slot *s = mesh_slot(m, number);
        const uint32_t state = load_acquire(&s->state); /* [L2] */
        if ((state == LAYOUT_LIVE || (state == LAYOUT_FREE && load_relaxed(&s->pid))) &&
            mesh_ring(m, number, from) != DOORBELL_RUNG && owed)
            mesh_owe(owed, number);
    }
}

void mesh_ring_all(const mpp_mesh *m, int from, mesh_debts *owed)
{
    /* What we have just stored, before we look at who may be there to miss it: as in endpoint_announce(). */
    full_fence();
    const int fd = from >= 0 ? from : doorbell_socket();
    for (unsigned lane = 0; lane < m->l.lanes; lane++)
        mesh_ring_lane(m, lane, fd, owed);
    if (fd != from && fd >= 0)
        close(fd);
}
