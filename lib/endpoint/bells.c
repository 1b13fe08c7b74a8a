#include "endpoint/bells.h"

#include "base/atomics.h"
#include "base/error.h"
#include "base/names.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "endpoint/timer.h"
#include "mesh/bells.h"
#include "mesh/cause.h"
#include "mesh/mesh.h"
#include "mesh/sockets.h"
#include "ring/doorbell.h"
#include "shm/layout.h"

#include <errno.h>
#include <unistd.h>

void endpoint_ring(endpoint *e, unsigned lane, unsigned peer)
{
    const unsigned number = endpoint_peer_number(e, lane, peer);
    if (mesh_ring(e->mesh, number, e->sockets[0]) != DOORBELL_RUNG && mesh_owe(&e->owed, number))
        endpoint_owes(e);
}

/* A peer lives, and no bell of ours reaches it: it would sleep for ever. */
static void out_of_reach(endpoint *e, unsigned number)
{
    char who[96];
    mesh_who(e->mesh, number, who, sizeof who);
    endpoint_fail(
        e, MPP_S_FAILED, false,
        "%s %u (pid %d) cannot wake %s: its socket in '%s' cannot be reached (was the directory removed, or is "
        "it in another mount namespace?), and its process cannot be seen in /proc",
        names_role(e->role), e->index, (int)getpid(), who, e->mesh->socket_dir);
}

void endpoint_pay(endpoint *e)
{
    const int64_t since = e->owed_since_ns;
    for (unsigned number = 0; e->owed.n && number < e->mesh->l.slots; number++) {
        if (!(e->owed.bits[number / 64] >> number % 64 & 1))
            continue;
        const doorbell_outcome outcome = mesh_ring(e->mesh, number, e->sockets[0]);
        const bool hopeless = outcome == DOORBELL_NOBODY && mpp_now() - since > OWED_MOST_MS * INT64_C(1000000);
        if (outcome != DOORBELL_RUNG && !hopeless)
            continue;
        e->owed.bits[number / 64] &= ~(UINT64_C(1) << number % 64);
        e->owed.n--;
        if (hopeless && mesh_cause_word(e->mesh) == 0)
            out_of_reach(e, number);
    }
    if (e->owed.n)
        endpoint_timer_set(e, OWED_MS);
}

void endpoint_announce(endpoint *e)
{
    const unsigned before = e->owed.n;
    add_release(&e->mesh->header->peers, 1); /* [P1] pairs with [P2] */
    full_fence();
    if (load_relaxed(&e->mesh->header->barrier)) /* [B2] pairs with [B1] */
        mesh_ring_all(e->mesh, e->sockets[0], &e->owed);
    else
        for (unsigned lane = 0; lane < e->n_lanes; lane++)
            mesh_ring_lane(e->mesh, e->lanes[lane], e->sockets[0], &e->owed);
    if (e->owed.n > before)
        endpoint_owes(e);
}

/* A bell that its peers can reach by neither of its two ways would leave us asleep for ever. */
static int unreachable(const mpp_mesh *m, mpp_error *err)
{
    return error_set(
        err, MPP_S_ERROR, 0,
        "the directory for sockets of mesh '%s', '%s', is gone or another one here (a cleaner of temporary "
        "files, PrivateTmp, a container), and the mesh's other processes cannot be reached through /proc: "
        "share that directory, or make the mesh with TMPDIR in a shared one",
        m->id, m->socket_dir);
}

int endpoint_check_reach(mpp_mesh *m, mpp_error *err)
{
    return m->elsewhere && mesh_directory_check(m, NULL) == 0 ? unreachable(m, err) : 0;
}

int endpoint_bells_make(endpoint *e, mpp_error *err)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    int bound = mesh_directory_check(e->mesh, err);
    if (bound < 0)
        return -1;
    for (unsigned i = 0; i < e->n_lanes; i++) {
        if (!doorbell_path(path, e->mesh->socket_dir, e->role, e->index, e->lanes[i], e->mesh->l.lanes))
            return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its socket paths are too long", e->mesh->id);
        e->sockets[i] = doorbell_socket();
        if (e->sockets[i] < 0 || endpoint_watch_descriptor(e, e->sockets[i], OF_SOCKET) < 0)
            return error_set(err, MPP_S_ERROR, errno, "cannot make the doorbell '%s'", path);
        if (bound && doorbell_bind(e->sockets[i], path) < 0) {
            if (errno != ENOENT)
                return error_set(err, MPP_S_ERROR, errno, "cannot bind the doorbell '%s'", path);
            bound = 0; /* the directory goes while we come */
        }
    }
    e->bell = doorbell_pipe(&e->bell_inode);
    if (e->bell >= 0 ? endpoint_watch_descriptor(e, e->bell, OF_BELL) < 0
                     : errno != ENOENT && errno != EACCES) /* no /proc: no pipe */
        return error_set(err, MPP_S_ERROR, errno, "cannot make a doorbell");
    e->bound = bound;
    return bound || e->bell >= 0 ? 0 : unreachable(e->mesh, err);
}

void endpoint_bells_unlink(const endpoint *e)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    for (unsigned i = 0; i < e->n_lanes; i++)
        if (doorbell_path(path, e->mesh->socket_dir, e->role, e->index, e->lanes[i], e->mesh->l.lanes))
            unlink(path);
}
