/* seal.c - the end of a mesh that was made for a command
 *
 * Who claims a slot looks at `sealed` after it has locked the slot; who seals locks each slot after it has sealed.  So
 * of the two, by the kernel's order of that lock, either the claim is over before we have the lock, and it is one of
 * those that we wait for; or the lock was ours first, and the claim sees [J1]. */
#include "base/atomics.h"
#include "base/error.h"
#include "mesh/bells.h"
#include "mesh/cause.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/sockets.h"
#include "mpp-look.h"
#include "shm/layout.h"
#include "shm/lock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

bool mpp_mesh_scoped(const mpp_mesh *m)
{
    return m->scope;
}

bool mpp_mesh_seal(mpp_mesh *m)
{
    mesh_debts owed = {.bits = calloc(MESH_DEBTS_WORDS(m->l.slots), sizeof *owed.bits)};
    store_release(&m->header->sealed, 1); /* [J1] pairs with [J2] */
    if (owed.bits)
        mesh_ring_all(m, -1, &owed); /* who waits for one that never comes looks again */
    const bool told = owed.bits && !owed.n;
    free(owed.bits);
    return told;
}

/* Its lock is ours: nobody is in it, or who was has died. */
static void look_at_left(mpp_mesh *m, unsigned number)
{
    if (load_acquire(&mesh_slot(m, number)->state) != LAYOUT_LIVE || !membership_of(m, number)->missed) /* [L2] */
        return;
    const layout_cause cause = mesh_cause_death(m, number);
    membership_bury(m, number);
    mesh_cause_set(m, number, &cause, -1, NULL);
}

int mpp_mesh_await_left(mpp_mesh *m, mpp_error *err)
{
    for (unsigned i = 0; i < m->l.slots; i++) {
        if (segment_await_lock(m->segment, LAYOUT_LOCK_SLOTS + i) < 0)
            return error_set(err, MPP_S_ERROR, errno, "cannot wait for those in mesh '%s'", m->id);
        look_at_left(m, i);
        segment_unlock(m->segment, LAYOUT_LOCK_SLOTS + i);
    }
    mesh_sockets_tidy(m); /* who was killed on the way out may have left its socket, or the directory */
    return 0;
}

/* ---- who was missed ------------------------------------------------------------------------------ */

static bool never_came(const mpp_mesh *m, unsigned number)
{
    return load_acquire(&mesh_slot(m, number)->state) == LAYOUT_FREE; /* [L2] */
}

static bool nobody_came(const mpp_mesh *m)
{
    unsigned i = 0;
    while (i < m->l.slots && never_came(m, i))
        i++;
    return i == m->l.slots;
}

/* Bytes of records that were published for a consumer. */
static uint64_t bytes_for(const mpp_mesh *m, unsigned lane, unsigned consumer)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < m->l.producers; i++)
        bytes += load_relaxed(&mesh_channel(m, lane, i, consumer)->bytes);
    return bytes;
}

static bool missed(const mpp_mesh *m, unsigned number, mpp_error *err)
{
    const layout_place at = layout_place_of(&m->l, number);
    if (!never_came(m, number) || mesh_overwrites(m, at.lane) != (at.role == 'p'))
        return false;
    const uint64_t bytes = at.role == 'c' ? bytes_for(m, at.lane, at.index) : 0;
    if (at.role == 'p')
        error_set(err, MPP_S_TIMEOUT, 0, "producer %u never came", at.index);
    else if (bytes)
        error_set(err, MPP_S_TIMEOUT, 0, "consumer %u never came: records for it lie unread (%" PRIu64 " bytes)",
                  at.index, bytes);
    return at.role == 'p' || bytes;
}

bool mpp_mesh_missed(const mpp_mesh *m, mpp_error *err)
{
    const unsigned late = load_acquire(&m->header->late); /* [J4] pairs with [J3] */
    if (late) {
        error_set(
            err, MPP_S_TIMEOUT, 0,
            "%u process%s came when the command had ended, and %s refused: the command has to wait for what it starts",
            late, late == 1 ? "" : "es", late == 1 ? "was" : "were");
        return true;
    }
    if (nobody_came(m)) {
        error_set(
            err, MPP_S_TIMEOUT, 0,
            "nobody attached to the mesh: the command has to use it, as $MPP_MESH, and to wait for what it starts");
        return true;
    }
    for (unsigned i = 0; i < m->l.slots; i++)
        if (missed(m, i, err))
            return true;
    return false;
}
