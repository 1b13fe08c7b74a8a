#include "mesh/over.h"

#include "base/atomics.h"
#include "base/liveness.h"
#include "mesh/cause.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "run/word.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>

bool mesh_watch_gone(const mpp_mesh *m)
{
    if (!m->watch_pid || m->elsewhere)
        return false;
    const uint64_t start = liveness_start_time(m->watch_pid);
    if (start == 0)
        return errno == ESRCH; /* else we cannot look, and that is no death */
    const uint64_t apart = start > m->watch_start ? start - m->watch_start : m->watch_start - start;
    return apart > 1 || liveness_state(m->watch_pid) == 'Z'; /* in another time namespace it may be a tick off */
}

bool mesh_tied_gone(const char *id)
{
    layout_header h;
    segment *s;
    if (segment_open_to_read(id, &s, NULL) < 0)
        return false;
    const ssize_t n = segment_read(s, 0, &h, sizeof h);
    segment_close(&s);
    if (n < (ssize_t)sizeof h || load_acquire(&h.magic) != LAYOUT_MAGIC || h.version != LAYOUT_VERSION || /* [M2] */
        h.keep)
        return false;
    const mpp_mesh m = {.watch_pid = h.watch_pid,
                        .watch_start = h.watch_start,
                        .elsewhere = liveness_elsewhere("pid", h.pid_namespace)};
    return mesh_watch_gone(&m);
}

bool mesh_sealed(const mpp_mesh *m)
{
    return load_acquire(&m->header->sealed); /* [J2] pairs with [J1] */
}

/* Nobody can come for this consumer's end any more when every producer of the lane left it unasked. */
static bool lane_unasked(const mpp_mesh *m, unsigned lane, unsigned consumer)
{
    for (unsigned i = 0; i < m->l.producers; i++) {
        layout_channel *c = mesh_channel(m, lane, i, consumer);
        for (unsigned s = lane; s < m->l.streams; s += m->l.lanes)
            if (run_word_load(layout_end_of(&m->l, c, s)).state != LAYOUT_UNASKED) /* [E2] */
                return false;
    }
    return true;
}

bool mesh_owed(const mpp_mesh *m, unsigned lane, unsigned consumer)
{
    for (unsigned i = 0; i < m->l.producers; i++) {
        layout_channel *c = mesh_channel(m, lane, i, consumer);
        for (unsigned s = lane; s < m->l.streams; s += m->l.lanes) {
            const run_word word = run_word_load(layout_end_of(&m->l, c, s)); /* [E2] */
            if (word.run > load_relaxed(layout_request_at(&m->l, m->base, consumer, s)) &&
                (word.state == LAYOUT_RUNNING || word.state == LAYOUT_ENDED))
                return true;
        }
    }
    return false;
}

/* Will nobody come for this slot (again)? */
static bool slot_used(const mpp_mesh *m, unsigned number)
{
    const uint32_t state = load_acquire(&mesh_slot(m, number)->state); /* [L2] */
    const layout_place place = layout_place_of(&m->l, number);
    if (place.role == 'p')
        return state != LAYOUT_FREE;
    if (state == LAYOUT_FREE)
        return lane_unasked(m, place.lane, place.index);
    return state != LAYOUT_DONE || mesh_cause_word(m) != 0 || !mesh_owed(m, place.lane, place.index);
}

bool mesh_complete(const mpp_mesh *m)
{
    for (unsigned i = 0; i < m->l.slots; i++)
        if (!slot_used(m, i))
            return false;
    return true;
}

/* Does nothing more come from this slot?  A producer's last run may go on when every consumer has finished it, but
 * where its buffer overwrites: there consumers come and go, and it alone decides. */
static bool slot_over(const mpp_mesh *m, unsigned number)
{
    const layout_slot *s = mesh_slot(m, number);
    const uint32_t state = load_acquire(&s->state); /* [L2] */
    switch (membership_of(m, number)->end) {
    case END_OWES_NOTHING:
        return state != LAYOUT_LIVE || !load_relaxed(&s->owes);
    case END_HAS_LEFT:
        return state != LAYOUT_LIVE && state != LAYOUT_FREE;
    case END_IS_OWED_NOTHING:
        return state != LAYOUT_LIVE && slot_used(m, number);
    case END_IS_ABSENT:
        break;
    }
    pid_t holder;
    return state == LAYOUT_LIVE ? membership_state(m, number, &holder) != LAYOUT_LIVE : slot_used(m, number);
}

bool mesh_finished(const mpp_mesh *m)
{
    for (unsigned i = 0; i < m->l.slots; i++)
        if (!slot_over(m, i))
            return false;
    return true;
}

bool mesh_find_deserted(mpp_mesh *m)
{
    for (unsigned i = 0; i < m->l.slots; i++) {
        pid_t holder;
        const uint32_t state = membership_state(m, i, &holder);
        if (state == LAYOUT_LIVE)
            return false;
        if (state == LAYOUT_DEAD)
            membership_bury(m, i);
    }
    return true;
}

const char *mesh_garbage(const mpp_mesh *m)
{
    bool dead = false;
    for (unsigned i = 0; i < m->l.slots; i++) {
        pid_t holder;
        const uint32_t state = membership_state(m, i, &holder);
        if (state == LAYOUT_LIVE)
            return NULL;
        dead |= state == LAYOUT_DEAD && membership_of(m, i)->missed;
    }
    if (mesh_watch_gone(m))
        return "the process that it was tied to (--pid) is gone";
    if (dead)
        return "a participant died, and nobody is left";
    if (mesh_cause_word(m))
        return "it failed, and nobody is left";
    if (load_relaxed(&m->header->closed) || mesh_complete(m))
        return "it is finished";
    return NULL;
}
