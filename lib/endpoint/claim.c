#include "endpoint/claim.h"

#include "base/atomics.h"
#include "base/error.h"
#include "base/names.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "mesh/cause.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/over.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>

void endpoint_unlock_slots(endpoint *e, unsigned n)
{
    while (n--)
        segment_unlock(e->mesh->segment, LAYOUT_LOCK_SLOTS + endpoint_slot_number(e, n));
}

static int lock_slots(endpoint *e, pid_t *holder)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        if (segment_lock(e->mesh->segment, LAYOUT_LOCK_SLOTS + endpoint_slot_number(e, i), holder) < 0) {
            int saved = errno;
            endpoint_unlock_slots(e, i);
            errno = saved;
            return -1;
        }
    return 0;
}

/* We hold the lock of a slot whose owner died: its place is not ours, and everybody is told. */
static int refuse_dead(endpoint *e, unsigned number, mpp_error *err)
{
    const layout_cause cause = mesh_cause_death(e->mesh, number);
    membership_bury(e->mesh, number);
    endpoint_cause_set(e, number, &cause);
    return error_set(err, MPP_S_DIED, 0, "%s; its place cannot be taken", cause.text);
}

/* What it was started for will not be done, and who sealed the mesh tells of that. */
static int refuse_late(endpoint *e, mpp_error *err)
{
    add_release(&e->mesh->header->late, 1); /* [J3] pairs with [J4] */
    return error_set(err, MPP_S_NO_MESH, 0, "mesh '%s' takes nobody any more: the command of mpp-create has ended",
                     e->mesh->id);
}

static bool producers_owe(const endpoint *e)
{
    for (unsigned lane = 0; lane < e->n_lanes; lane++)
        for (unsigned i = 0; i < e->n_peers; i++) {
            layout_slot *s = endpoint_peer(e, e->lanes[lane], i);
            if (load_acquire(&s->state) != LAYOUT_DONE && load_relaxed(&s->owes)) /* [L2] */
                return true;
        }
    return false;
}

/* May we have the slots, all of which we have locked?  1: yes, 0: not these, -1 with *err. */
static int slots_ours(endpoint *e, mpp_error *err)
{
    if (mesh_sealed(e->mesh)) /* [J2]: after our lock, as who seals looks at the locks after [J1] */
        return refuse_late(e, err);
    for (unsigned i = 0; i < e->n_lanes; i++) {
        uint32_t state = load_acquire(&endpoint_slot(e, i)->state); /* [L2]: its last owner's stores are over */
        e->again |= state != LAYOUT_FREE;
        if (membership_of(e->mesh, endpoint_slot_number(e, i))->returns)
            continue;
        if (state == LAYOUT_LIVE || state == LAYOUT_DEAD)
            return refuse_dead(e, endpoint_slot_number(e, i), err);
        if (state == LAYOUT_FREE ||
            (state == LAYOUT_DONE && e->role == 'c' && (producers_owe(e) || mesh_owed(e->mesh, e->lanes[i], e->index))))
            continue;
        error_set(err, MPP_S_USAGE, 0,
                  state == LAYOUT_DONE ? "%s %u of mesh '%s' is already done; each index is used once"
                                       : "%s %u of mesh '%s' cannot be taken",
                  names_role(e->role), e->index, e->mesh->id);
        return 0;
    }
    return 1;
}

static int claim_index(endpoint *e, mpp_error *err)
{
    pid_t holder = 0;
    if (lock_slots(e, &holder) < 0) {
        if (errno == EBUSY && mesh_sealed(e->mesh)) /* perhaps only by who waits for those who are left */
            return refuse_late(e, err);
        if (errno != EBUSY)
            return error_set(err, MPP_S_ERROR, errno, "cannot lock %s %u of mesh '%s'", names_role(e->role), e->index,
                             e->mesh->id);
        error_set(err, MPP_S_USAGE, 0, "%s %u of mesh '%s' is held by process %d; choose another --index",
                  names_role(e->role), e->index, e->mesh->id, (int)holder);
        return 0;
    }
    int ours = slots_ours(e, err);
    if (ours != 1)
        endpoint_unlock_slots(e, e->n_lanes);
    return ours;
}

/* Where spectators come and go, use by one of them is none to others. */
static bool never_used(const endpoint *e)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        if (load_acquire(&endpoint_slot(e, i)->state) != LAYOUT_FREE && /* [L2] */
            (e->alone || !membership_of(e->mesh, endpoint_slot_number(e, i))->returns))
            return false;
    return true;
}

/* The first index that was never used, or for a spectator that nobody holds.  1, 0: none, -1 with *err. */
static int claim_first(endpoint *e, unsigned n, bool used, mpp_error *err)
{
    for (e->index = 0; e->index < n; e->index++) {
        if (never_used(e) == used)
            continue;
        int got = claim_index(e, err);
        if (got != 0)
            return got;
    }
    return 0;
}

/* For a producer that is no failure: nothing is wanted of it. */
static int over(const endpoint *e, mpp_error *err)
{
    return error_set(err, e->role == 'p' ? MPP_S_DONE : MPP_S_NO_MESH, 0,
                     "mesh '%s' is over: every consumer has finished", e->mesh->id);
}

int endpoint_check_index(const endpoint *e, int wanted, mpp_error *err)
{
    const unsigned n = e->role == 'p' ? e->mesh->l.producers : e->mesh->l.consumers;
    if (wanted == MPP_INDEX_ANY || (wanted >= 0 && (unsigned)wanted < n))
        return 0;
    return error_set(err, MPP_S_USAGE, 0, "mesh '%s' has %u %ss: --index is 0 to %u, not %d", e->mesh->id, n,
                     names_role(e->role), n - 1, wanted);
}

int endpoint_claim(endpoint *e, int wanted, mpp_error *err)
{
    unsigned n = e->role == 'p' ? e->mesh->l.producers : e->mesh->l.consumers;
    bool closed = load_acquire(&e->mesh->header->closed); /* [K2] */
    if (wanted != MPP_INDEX_ANY) {
        e->index = (unsigned)wanted;
        if (closed && !never_used(e))
            return over(e, err);
        return claim_index(e, err) == 1 ? 0 : -1;
    }
    int got = claim_first(e, n, false, err);
    if (got == 0 && e->alone && !closed)
        got = claim_first(e, n, true, err);
    if (got != 0)
        return got == 1 ? 0 : -1;
    if (closed)
        return over(e, err);
    return error_set(err, MPP_S_USAGE, 0,
                     e->alone ? "mesh '%s' has %u %ss and all places are held; one is free when its reader leaves "
                                "(mpp-stat shows them)"
                              : "mesh '%s' has %u %ss and all of them have been taken",
                     e->mesh->id, n, names_role(e->role));
}
