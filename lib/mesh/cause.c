#include "mesh/cause.h"

#include "base/atomics.h"
#include "base/error.h"
#include "base/names.h"
#include "mesh/bells.h"
#include "mesh/mesh.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint32_t mesh_cause_word(const mpp_mesh *m)
{
    return load_acquire(&m->header->cause); /* [F2] pairs with [F1] */
}

layout_cause mesh_cause_death(const mpp_mesh *m, unsigned number)
{
    layout_cause cause = {.status = MPP_S_DIED};
    char who[96];
    mesh_who(m, number, who, sizeof who);
    snprintf(cause.text, sizeof cause.text, "%s died before its stream ended", who);
    return cause;
}

bool mesh_cause_set(mpp_mesh *m, unsigned number, const layout_cause *cause, int from, mesh_debts *owed)
{
    if (mesh_cause_word(m) != 0)
        return false;
    mesh_slot(m, number)->cause = *cause;
    /* [F1] pairs with [F2]: the cause is whole before anybody is sent to read it, and everything that was published
     * before is seen by who sees the cause.  A recorder that dies before this has recorded nothing. */
    uint32_t none = 0;
    bool first = cas(&m->header->cause, &none, number + 1);
    mesh_ring_all(m, from, owed);
    return first;
}

static const layout_cause *cause_of(const mpp_mesh *m)
{
    uint32_t word = mesh_cause_word(m);
    return word == 0 || word > m->l.slots ? NULL : &mesh_slot(m, word - 1)->cause;
}

bool mesh_cause_final(const mpp_mesh *m)
{
    const layout_cause *c = cause_of(m);
    return mesh_cause_word(m) == LAYOUT_REMOVED || (c && c->final);
}

void mesh_cause_copy(const layout_cause *c, bool ours, mpp_error *cause)
{
    const uint32_t status = c->status;
    memset(cause, 0, sizeof *cause);
    cause->status = status >= MPP_S_ERROR && status <= MPP_S_CORRUPT ? (mpp_status)status : MPP_S_FAILED;
    cause->os_error = c->os_error;
    if (cause->status == MPP_S_FAILED && c->os_error && ours)
        cause->status = MPP_S_ERROR; /* it was a call of ours that failed */
    cause->final = c->final != 0;
    memcpy(cause->text, c->text, sizeof c->text - 1);
    names_clean(cause->text);
}

bool mpp_mesh_cause(const mpp_mesh *m, mpp_error *cause)
{
    const uint32_t word = mesh_cause_word(m);
    if (word == 0)
        return false;
    if (word == LAYOUT_REMOVED) {
        error_set(cause, MPP_S_NO_MESH, 0, "mesh '%s' was removed (mpp-create --remove, or the end of its mpp-create)",
                  m->id);
        cause->final = true;
        return true;
    }
    const layout_cause *c = cause_of(m);
    if (!c) {
        error_set(cause, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its cause names slot %u", m->id, word - 1);
        return true;
    }
    mesh_cause_copy(c, segment_holder(m->segment, LAYOUT_LOCK_SLOTS + word - 1) == getpid(), cause);
    if (!cause->text[0]) /* whoever sets a cause has written why */
        error_set(cause, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its cause, slot %u, says nothing", m->id, word - 1);
    return true;
}
