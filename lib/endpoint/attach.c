#include "endpoint/attach.h"

#include "base/atomics.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/names.h"
#include "endpoint/barrier.h"
#include "endpoint/bells.h"
#include "endpoint/claim.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "endpoint/patience.h"
#include "endpoint/peers.h"
#include "endpoint/say.h"
#include "mesh/bells.h"
#include "mesh/cause.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/over.h"
#include "mesh/sockets.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void slots_take(endpoint *e, const mpp_attach_options *o)
{
    for (unsigned i = 0; i < e->n_lanes; i++) {
        layout_slot *s = endpoint_slot(e, i);
        size_t n = o->label ? strnlen(o->label, sizeof s->label - 1) : 0;
        memset(s->label, 0, sizeof s->label);
        if (n)
            memcpy(s->label, o->label, n);
        store_relaxed(&s->owes, e->role == 'p' && o->runs != 1);
        store_relaxed(&s->armed, 0);
        store_relaxed(&s->command, 0);
        store_relaxed(&s->share, 0);
        store_relaxed(&s->fd, -1);
        store_relaxed(&s->bell_inode, e->bell_inode);
        store_relaxed(&s->bell, e->bell + 1);
        store_relaxed(&s->left, 0);
        if (!load_relaxed(&s->attached))
            store_relaxed(&s->attached, (uint64_t)clock_shared());
        store_relaxed(&s->pid, (int32_t)getpid());
    }
}

static void slots_state(endpoint *e, uint32_t state)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        store_release(&endpoint_slot(e, i)->state, state); /* [L1] pairs with [L2] */
}

static void descriptors_close(endpoint *e)
{
    for (unsigned i = 0; e->sockets && i < e->n_lanes; i++) {
        if (e->sockets[i] >= 0)
            close(e->sockets[i]);
        e->sockets[i] = -1;
    }
    while (e->n_watches)
        close(e->watches[--e->n_watches].fd);
    int *const others[] = {&e->bell, &e->timer, &e->events};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        if (*others[i] >= 0)
            close(*others[i]);
        *others[i] = -1;
    }
}

static void endpoint_free(endpoint *e)
{
    descriptors_close(e);
    free(e->watches);
    free(e->sockets);
    free(e->known);
    free(e->lanes);
    free(e->streams);
    free(e->owed.bits);
    *e = (endpoint){.bell = -1, .timer = -1, .events = -1};
}

static bool served(const endpoint *e, unsigned n, unsigned stream)
{
    for (unsigned i = 0; i < n; i++)
        if (e->streams[i] == stream)
            return true;
    return false;
}

static int streams_take(endpoint *e, const mpp_attach_options *o, mpp_error *err)
{
    const mpp_mesh *m = e->mesh;
    e->n_streams = o->streams ? o->n_streams : m->l.streams;
    if (e->n_streams == 0)
        return error_set(err, MPP_S_USAGE, 0, "no stream of mesh '%s' was named", m->id);
    e->streams = calloc(e->n_streams, sizeof *e->streams);
    e->lanes = calloc(e->n_streams, sizeof *e->lanes);
    if (!e->streams || !e->lanes)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach to mesh '%s'", m->id);
    for (unsigned i = 0; i < e->n_streams; i++) {
        unsigned stream = o->streams ? o->streams[i] : i;
        if (stream >= m->l.streams)
            return error_set(err, MPP_S_USAGE, 0, "mesh '%s' has no stream number %u", m->id, stream);
        if (served(e, i, stream))
            return error_set(err, MPP_S_USAGE, 0, "stream '%s' of mesh '%s' was named twice",
                             m->streams[stream].info.name, m->id);
        e->streams[i] = stream;
        if (endpoint_lane_position(e, stream) == e->n_lanes)
            e->lanes[e->n_lanes++] = layout_lane_of(&m->l, stream);
    }
    e->alone = true;
    for (unsigned i = 0; i < e->n_lanes; i++)
        e->alone &= !membership_of(m, layout_slot_number(&m->l, e->lanes[i], e->role, 0))->missed;
    return 0;
}

static int endpoint_init(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err)
{
    *e = (endpoint){.mesh = m,
                    .role = role,
                    .n_peers = role == 'p' ? m->l.consumers : m->l.producers,
                    .n_all = m->l.producers + m->l.consumers,
                    .bell = -1,
                    .timer = -1,
                    .events = -1,
                    .spoken_to = true};
    endpoint_be_patient(e, o->attach_timeout_ms, o->timeout_ms);
    if (streams_take(e, o, err) < 0)
        return -1;
    e->sockets = calloc(e->n_lanes, sizeof *e->sockets);
    e->known = calloc((size_t)e->n_lanes * e->n_all, sizeof *e->known);
    e->owed.bits = calloc(MESH_DEBTS_WORDS(m->l.slots), sizeof *e->owed.bits);
    for (unsigned i = 0; e->sockets && i < e->n_lanes; i++)
        e->sockets[i] = -1;
    if (!e->sockets || !e->known || !e->owed.bits)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach to mesh '%s'", m->id);
    /* Before the claim: who fails after it closes this, and so has a descriptor to ring the others from. */
    e->events = epoll_create1(EPOLL_CLOEXEC);
    if (e->events < 0)
        return error_set(err, MPP_S_ERROR, errno, "cannot make an epoll descriptor");
    return 0;
}

/* What a producer writes into: its rings of the lane, or its tape, or of a mailbox all boxes, for each may be ours
 * one day. */
static int lane_reserve(const endpoint *e, unsigned lane, mpp_error *err)
{
    const mpp_mesh *m = e->mesh;
    if (mesh_overwrites(m, lane))
        return segment_reserve(m->segment, mesh_area_offset(m, lane, e->index), mesh_area_size(m, lane), err);
    return segment_reserve(m->segment, layout_ring_offset(&m->l, layout_channel_number(&m->l, lane, e->index, 0)),
                           m->l.consumers * m->l.ring_size, err);
}

/* Between the claim and LIVE. */
static int prepare_slots(endpoint *e, const mpp_attach_options *o, mpp_error *err)
{
    if (endpoint_bells_make(e, err) < 0)
        return -1;
    for (unsigned i = 0; e->role == 'p' && i < e->n_lanes; i++)
        if (lane_reserve(e, e->lanes[i], err) < 0)
            return -1;
    slots_take(e, o);
    endpoint_announce(e);
    return 0;
}

/* Why it could not attach; who comes when the mesh has failed is told that, whatever else stands in the way. */
static int told(const mpp_mesh *m, const mpp_error *why, bool late, mpp_error *err)
{
    mpp_error cause;
    const bool failed = late && mpp_mesh_cause(m, &cause);
    if (err)
        *err = failed ? cause : *why;
    return -1;
}

static int check_tie(const mpp_mesh *m, mpp_error *err)
{
    if (!m->watch_pid || !m->elsewhere)
        return 0;
    return error_set(err, MPP_S_ERROR, 0,
                     "mesh '%s' is tied to process %d (--pid, or mpp-create -- COMMAND) of another PID namespace, "
                     "whose end cannot be "
                     "learnt here: make the mesh without that, or run this in the namespace that it was made in",
                     m->id, (int)m->watch_pid);
}

int endpoint_attach(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err)
{
    mpp_error why = {0};
    if (endpoint_init(e, m, role, o, &why) < 0 || endpoint_check_index(e, o->index, &why) < 0 ||
        check_tie(m, &why) < 0 || endpoint_check_reach(m, &why) < 0) {
        endpoint_free(e);
        return told(m, &why, false, err);
    }
    if (endpoint_claim(e, o->index, &why) < 0) {
        endpoint_free(e);
        return told(m, &why, why.status != MPP_S_DIED && why.status != MPP_S_DONE, err);
    }
    if (prepare_slots(e, o, &why) < 0) { /* everybody learns it, and need not wait for us */
        descriptors_close(e);
        const bool first = endpoint_fail(e, why.status == MPP_S_CORRUPT ? MPP_S_CORRUPT : MPP_S_FAILED, false,
                                         "%s %u (pid %d) could not attach: %.300s", names_role(role), e->index,
                                         (int)getpid(), why.text);
        endpoint_leave(e);
        return told(m, &why, !first, err);
    }
    endpoint_publish(e, MPP_COMPUTING, 0, 0, clock_shared());
    slots_state(e, LAYOUT_LIVE);
    /* [L3] with the one in endpoint_leave(): either it sees us LIVE or we see that the mesh is over.  And with the
     * one in endpoint_await_all(): either who waits there sees us LIVE, or we see that it waits [B2]. */
    full_fence();
    if (e->again || load_relaxed(&m->header->barrier))
        endpoint_announce(e);
    e->peers_seen = load_relaxed(&m->header->peers) - 1;
    endpoint_notice(e);
    endpoint_watch_tied(e);
    return 0;
}

void endpoint_leave(endpoint *e)
{
    mpp_mesh *m = e->mesh;
    const int64_t now = clock_shared();
    endpoint_publish(e, MPP_ENDING, 0, 0, now);
    endpoint_barrier_over(e);
    for (unsigned i = 0; i < e->n_lanes; i++) {
        store_relaxed(&endpoint_slot(e, i)->left, (uint64_t)now);
        store_relaxed(&endpoint_slot(e, i)->bell, 0);
    }
    slots_state(e, LAYOUT_DONE);
    endpoint_bells_unlink(e);
    full_fence(); /* [L3]: of two who leave at once, one at least sees the other's DONE */
    if (!load_acquire(&m->header->closed) && mesh_finished(m)) { /* [K2] */
        store_release(&m->header->closed, 1);                    /* [K1] pairs with [K2] */
        mesh_ring_all(m, e->sockets[0], &e->owed);
    }
    endpoint_announce(e);
    bool over = load_acquire(&m->header->closed) || mesh_cause_word(m) != 0; /* [K2] */
    if (over && !m->keep && mesh_find_deserted(m) && (mesh_complete(m) || mesh_cause_final(m) || mesh_watch_gone(m)))
        mesh_unlink(m);
    endpoint_pay(e); /* once more: what is owed then is news that our end, or the end of our process, brings */
    mesh_directory_tidy(m, e->bound);
    endpoint_unlock_slots(e, e->n_lanes);
    endpoint_free(e);
}
