#include "mesh/membership.h"

#include "base/atomics.h"
#include "mesh/mesh.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

const membership *membership_of(const mpp_mesh *m, unsigned number)
{
    static const membership producer = {.missed = true, .end = END_OWES_NOTHING},
                            writer = {.missed = true, .end = END_HAS_LEFT},
                            consumer = {.missed = true, .end = END_IS_OWED_NOTHING},
                            spectator = {.returns = true, .end = END_IS_ABSENT};
    const layout_place place = layout_place_of(&m->l, number);
    if (mesh_overwrites(m, place.lane))
        return place.role == 'p' ? &writer : &spectator;
    return place.role == 'p' ? &producer : &consumer;
}

/* Of a mesh that is only looked at, the copy is older than the lock. */
static uint32_t state_now(const mpp_mesh *m, unsigned number)
{
    layout_slot now;
    if (!m->copied)
        return load_acquire(&mesh_slot(m, number)->state); /* [L2] */
    const ssize_t n = segment_read(m->segment, m->l.slots_at + number * sizeof now, &now, sizeof now);
    return n < (ssize_t)sizeof now ? LAYOUT_DONE : load_relaxed(&now.state);
}

uint32_t membership_state(const mpp_mesh *m, unsigned number, pid_t *holder)
{
    const layout_slot *s = mesh_slot(m, number);
    const uint32_t state = load_acquire(&s->state); /* [L2] pairs with [L1] */
    const bool claimed = state == LAYOUT_FREE && load_relaxed(&s->pid);
    *holder = 0;
    if (state != LAYOUT_LIVE && !claimed)
        return state;
    *holder = segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number);
    if (*holder != 0 || state == LAYOUT_FREE)
        return state;
    const uint32_t now = state_now(m, number); /* it may have left in between ... */
    if (now != LAYOUT_LIVE)
        return now;
    if (m->copied) /* ... or another has come */
        *holder = segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number);
    return *holder != 0 ? LAYOUT_LIVE : LAYOUT_DEAD;
}

void membership_bury(const mpp_mesh *m, unsigned number)
{
    uint32_t live = LAYOUT_LIVE;
    if (membership_of(m, number)->missed)
        cas(&mesh_slot(m, number)->state, &live, LAYOUT_DEAD); /* [L1]; lost: somebody else has said so */
}
