#include "endpoint.h"

#include "atomics.h"
#include "clock.h"
#include "doorbell.h"
#include "error.h"
#include "liveness.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *role_name(char role)
{
    return role == 'p' ? "producer" : "consumer";
}

static char other(char role)
{
    return role == 'p' ? 'c' : 'p';
}

static unsigned slot_number(const endpoint *e, unsigned lane_position)
{
    return layout_slot_number(&e->mesh->l, e->lanes[lane_position], e->role, e->index);
}

unsigned endpoint_lane_position(const endpoint *e, unsigned stream)
{
    unsigned at = 0;
    while (at < e->n_lanes && e->lanes[at] != stream % e->mesh->l.lanes)
        at++;
    return at;
}

layout_slot *endpoint_slot(const endpoint *e, unsigned lane_position)
{
    return mesh_slot(e->mesh, slot_number(e, lane_position));
}

layout_slot *endpoint_peer(const endpoint *e, unsigned lane, unsigned peer)
{
    return mesh_endpoint_slot(e->mesh, lane, other(e->role), peer);
}

/* ---- failing ------------------------------------------------------------------------------------ */

/* The mesh's cause, if it is the first; a spectator's failure is its own. */
static bool record(endpoint *e, const layout_cause *cause)
{
    if (!e->spectator)
        return mesh_cause_set(e->mesh, slot_number(e, 0), cause, e->sockets[0]);
    if (mesh_cause_word(e->mesh) != 0 || e->failed)
        return false;
    e->failed = true;
    e->own = *cause;
    return true;
}

__attribute__((format(printf, 3, 0))) static layout_cause cause_of(mpp_status others, bool final, const char *fmt,
                                                                   va_list ap)
{
    layout_cause cause = {.status = (uint32_t)others, .final = final};
    vsnprintf(cause.text, sizeof cause.text, fmt, ap);
    return cause;
}

bool endpoint_fail(endpoint *e, mpp_status others, bool final, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const layout_cause cause = cause_of(others, final, fmt, ap);
    va_end(ap);
    return record(e, &cause);
}

bool endpoint_report(endpoint *e, const mpp_error *err)
{
    const bool as_it_is = err->status == MPP_S_TIMEOUT || err->status == MPP_S_DIED || err->status == MPP_S_CORRUPT;
    return endpoint_fail(e, as_it_is ? err->status : MPP_S_FAILED, err->final, "%s %u (pid %d): %.400s",
                         role_name(e->role), e->index, (int)getpid(), err->text);
}

bool endpoint_found(endpoint *e, mpp_status others, bool final, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const layout_cause cause = cause_of(others, final, fmt, ap);
    va_end(ap);
    return mesh_cause_set(e->mesh, slot_number(e, 0), &cause, e->sockets[0]);
}

bool endpoint_cannot(endpoint *e, int os_error, const char *fmt, ...)
{
    layout_cause cause = {.status = MPP_S_FAILED, .os_error = os_error};
    char what[256];
    mpp_error why;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    error_set(&why, MPP_S_ERROR, os_error, "%s", what);
    snprintf(cause.text, sizeof cause.text, "%s %u (pid %d): %.400s", role_name(e->role), e->index, (int)getpid(),
             why.text);
    if (e->settle)
        e->settle(e);
    const bool first = record(e, &cause);
    e->failed = true;
    return first;
}

void endpoint_corrupt(endpoint *e, unsigned lane, unsigned peer, const char *what)
{
    unsigned producer = e->role == 'p' ? e->index : peer, consumer = e->role == 'p' ? peer : e->index;
    endpoint_fail(e, MPP_S_CORRUPT, false, "mesh '%s' is corrupt: lane %u, channel %u->%u: %s", e->mesh->id, lane,
                  producer, consumer, what);
}

/* ---- watching peers ----------------------------------------------------------------------------- */

static bool watched(const endpoint *e, pid_t pid)
{
    for (unsigned i = 0; i < e->n_watches; i++)
        if (e->watches[i].pid == pid)
            return true;
    return false;
}

static int watch(endpoint *e, pid_t pid)
{
    if (watched(e, pid))
        return 0;
    endpoint_watch *w = realloc(e->watches, (e->n_watches + 1) * sizeof *w);
    if (!w)
        return -1;
    e->watches = w;
    int fd = liveness_watch(pid);
    if (fd < 0)
        return -1;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)pid};
    if (epoll_ctl(e->events, EPOLL_CTL_ADD, fd, &event) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    e->watches[e->n_watches++] = (endpoint_watch){pid, fd};
    return 0;
}

static void unwatch(endpoint *e, pid_t pid)
{
    for (unsigned i = 0; i < e->n_watches; i++)
        if (e->watches[i].pid == pid) {
            /* Not by the close alone: a child that was forked and goes on holds the description. */
            epoll_ctl(e->events, EPOLL_CTL_DEL, e->watches[i].fd, NULL);
            close(e->watches[i].fd);
            e->watches[i] = e->watches[--e->n_watches];
            return;
        }
}

/* A slot that is LIVE and held by nobody.  What its owner published before is there for everybody to read: the lock
 * went after its last store.  Two finders may record it; the first is the root cause. */
static void found_dead(endpoint *e, unsigned number)
{
    uint32_t live = LAYOUT_LIVE;
    char who[96];
    if (mesh_spectates(e->mesh, number)) /* and another may hold it again by now */
        return;
    cas(&mesh_slot(e->mesh, number)->state, &live, LAYOUT_DEAD); /* [L1]; lost: somebody else found it */
    mesh_who(e->mesh, number, who, sizeof who);
    endpoint_found(e, MPP_S_DIED, false, "%s died before its stream ended", who);
}

/* The slot of participant `at` (producers before consumers) in one of our lanes. */
static unsigned number_of(const endpoint *e, unsigned lane_position, unsigned at)
{
    return e->lanes[lane_position] * e->n_all + at;
}

/* Learn who holds a slot, and watch that process.  Our own role's too: there may be nobody of the other yet. */
static void look_at(endpoint *e, unsigned lane_position, unsigned at)
{
    unsigned number = number_of(e, lane_position, at);
    layout_slot *s = mesh_slot(e->mesh, number);
    pid_t *known = &e->known[lane_position * e->n_all + at];
    for (;;) {
        uint32_t state = load_acquire(&s->state); /* [L2] pairs with [L1] */
        if (state == LAYOUT_DEAD && mesh_cause_word(e->mesh) == 0)
            found_dead(e, number); /* its finder died before it could say so */
        if (state == LAYOUT_DONE || state == LAYOUT_DEAD || (state == LAYOUT_FREE && !load_relaxed(&s->pid))) {
            *known = 0;
            return;
        }
        pid_t holder = segment_holder(e->mesh->segment, LAYOUT_LOCK_SLOTS + number);
        if (holder == *known && holder != 0)
            return;
        *known = 0;
        if (holder == 0) {
            if (load_acquire(&s->state) == LAYOUT_LIVE) /* [L2] again: it may have left in between */
                found_dead(e, number);
            return;
        }
        if (holder < 0 || holder == getpid())
            return;
        if (watch(e, holder) < 0 && errno != ESRCH) {
            char who[96];
            const int os_error = errno;
            mesh_who(e->mesh, number, who, sizeof who);
            endpoint_cannot(e, os_error, "cannot watch %s", who);
            return;
        }
        /* The pid may have been reused before we opened it: the lock must still name it.  Round again. */
        *known = holder;
    }
}

void endpoint_look(endpoint *e, uint32_t peers)
{
    e->peers_seen = peers;
    for (unsigned lane = 0; lane < e->n_lanes; lane++)
        for (unsigned at = 0; at < e->n_all; at++) {
            pid_t known = e->known[lane * e->n_all + at];
            layout_slot *s = mesh_slot(e->mesh, number_of(e, lane, at));
            if (!known || load_acquire(&s->state) != LAYOUT_LIVE || load_relaxed(&s->pid) != known) /* [L2] */
                look_at(e, lane, at);
        }
}

static bool has_left(const endpoint *e, unsigned number)
{
    return load_acquire(&mesh_slot(e->mesh, number)->state) == LAYOUT_DONE; /* [L2] */
}

static void process_gone(endpoint *e, pid_t pid)
{
    bool left = false;
    unwatch(e, pid);
    for (unsigned i = 0; i < e->n_lanes * e->n_all; i++)
        if (e->known[i] == pid) {
            e->known[i] = 0;
            look_at(e, i / e->n_all, i % e->n_all);
            left |= has_left(e, number_of(e, i / e->n_all, i % e->n_all));
        }
    /* It died before it could say that it left.  Whoever watched it finds that, so nobody needs to be rung. */
    if (left && load_acquire(&e->mesh->header->peers) == e->peers_seen) /* [P2] */
        add_release(&e->mesh->header->peers, 1);                        /* [P1] pairs with [P2] */
    if (pid == e->mesh->watch_pid && mesh_watch_gone(e->mesh))
        endpoint_found(e, MPP_S_DIED, true, "process %d, which mesh '%s' was tied to (--pid), is gone", (int)pid,
                       e->mesh->id);
}

void endpoint_heard(endpoint *e)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        count_add(&endpoint_slot(e, i)->doorbells, doorbell_drain(e->sockets[i]));
    struct epoll_event events[16];
    int n = epoll_wait(e->events, events, 16, 0);
    for (int i = 0; i < n; i++)
        if (events[i].data.u64 && events[i].data.u64 <= INT32_MAX) /* else a buffer's own descriptor */
            process_gone(e, (pid_t)events[i].data.u64);
    endpoint_gone(e);
}

/* ---- doorbells ---------------------------------------------------------------------------------- */

void endpoint_ring(const endpoint *e, unsigned lane, unsigned peer)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    if (doorbell_path(path, e->mesh->socket_dir, other(e->role), peer, lane, e->mesh->l.lanes))
        doorbell_ring(e->sockets[0], path);
}

bool endpoint_everybody(endpoint *e)
{
    if (!e->barrier) {
        e->barrier = true;
        add_release(&e->mesh->header->barrier, 1); /* [B1] */
        full_fence(); /* either we see who comes, or who comes sees us wait: pairs with the one in announce() */
    }
    for (unsigned i = 0; i < e->mesh->l.slots; i++) {
        layout_slot *s = mesh_slot(e->mesh, i);
        if (load_acquire(&s->state) == LAYOUT_FREE && !load_relaxed(&s->pid)) /* [L2] */
            return false;
    }
    e->barrier = false;
    return true;
}

/* Tell everybody in our lanes that somebody came or left, whether they sleep or not; and the whole mesh when somebody
 * there waits for everybody. */
static void announce(endpoint *e)
{
    add_release(&e->mesh->header->peers, 1); /* [P1] pairs with [P2] */
    full_fence();
    if (load_relaxed(&e->mesh->header->barrier)) { /* [B2] pairs with [B1] */
        mesh_ring_all(e->mesh, e->sockets[0]);
        return;
    }
    for (unsigned lane = 0; lane < e->n_lanes; lane++)
        mesh_ring_lane(e->mesh, e->lanes[lane], e->sockets[0]);
}

void endpoint_publish(const endpoint *e, mpp_activity activity, unsigned lane, unsigned waits_for, int64_t since_ns)
{
    for (unsigned i = 0; i < e->n_lanes; i++) {
        layout_slot *s = endpoint_slot(e, i);
        store_relaxed(&s->activity, (uint32_t)activity);
        store_relaxed(&s->waits_for, e->lanes[i] == lane ? waits_for : 0);
        store_relaxed(&s->since_ns, (uint64_t)since_ns);
    }
}

void endpoint_slept(const endpoint *e, uint64_t ns)
{
    for (unsigned i = 0; i < e->n_lanes; i++) {
        layout_slot *s = endpoint_slot(e, i);
        switch (e->said) {
        case MPP_WAITING_START:
        case MPP_WAITING_PEERS:
            count_add(&s->start_ns, ns);
            break;
        case MPP_WAITING_SPACE:
        case MPP_WAITING_DATA:
            count_add(&s->channel_ns, ns);
            break;
        case MPP_READING_INPUT:
            count_add(&s->input_ns, ns);
            break;
        case MPP_WRITING_OUTPUT:
            count_add(&s->output_ns, ns);
            break;
        case MPP_WAITING_COMMAND:
            count_add(&s->command_ns, ns);
            break;
        case MPP_COMPUTING:
        case MPP_ENDING:
            break;
        }
    }
}

void endpoint_command(const endpoint *e, pid_t pid)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        store_relaxed(&endpoint_slot(e, i)->command, (int32_t)pid);
}

/* ---- claiming ----------------------------------------------------------------------------------- */

static void unlock_slots(endpoint *e, unsigned n)
{
    while (n--)
        segment_unlock(e->mesh->segment, LAYOUT_LOCK_SLOTS + slot_number(e, n));
}

static int lock_slots(endpoint *e, pid_t *holder)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        if (segment_lock(e->mesh->segment, LAYOUT_LOCK_SLOTS + slot_number(e, i), holder) < 0) {
            int saved = errno;
            unlock_slots(e, i);
            errno = saved;
            return -1;
        }
    return 0;
}

/* We hold the lock of a slot whose owner died: its place is not ours, and everybody is told. */
static int refuse_dead(endpoint *e, unsigned number, mpp_error *err)
{
    layout_cause cause = {.status = MPP_S_DIED};
    char who[96];
    mesh_who(e->mesh, number, who, sizeof who);
    snprintf(cause.text, sizeof cause.text, "%s died before its stream ended", who);
    uint32_t live = LAYOUT_LIVE;
    cas(&mesh_slot(e->mesh, number)->state, &live, LAYOUT_DEAD); /* [L1] */
    mesh_cause_set(e->mesh, number, &cause, e->sockets[0]);
    return error_set(err, MPP_S_DIED, 0, "%s; its place cannot be taken", cause.text);
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
    for (unsigned i = 0; i < e->n_lanes; i++) {
        uint32_t state = load_acquire(&endpoint_slot(e, i)->state); /* [L2]: its last owner's stores are over */
        e->again |= state != LAYOUT_FREE;
        if (mesh_spectates(e->mesh, slot_number(e, i)))
            continue;
        if (state == LAYOUT_LIVE || state == LAYOUT_DEAD)
            return refuse_dead(e, slot_number(e, i), err);
        if (state == LAYOUT_FREE ||
            (state == LAYOUT_DONE && e->role == 'c' && (producers_owe(e) || mesh_owed(e->mesh, e->lanes[i], e->index))))
            continue;
        error_set(err, MPP_S_USAGE, 0,
                  state == LAYOUT_DONE ? "%s %u of mesh '%s' is already done; each index is used once"
                                       : "%s %u of mesh '%s' cannot be taken",
                  role_name(e->role), e->index, e->mesh->id);
        return 0;
    }
    return 1;
}

static int claim_index(endpoint *e, mpp_error *err)
{
    pid_t holder = 0;
    if (lock_slots(e, &holder) < 0) {
        if (errno != EBUSY)
            return error_set(err, MPP_S_ERROR, errno, "cannot lock %s %u of mesh '%s'", role_name(e->role), e->index,
                             e->mesh->id);
        error_set(err, MPP_S_USAGE, 0, "%s %u of mesh '%s' is held by process %d; choose another --index",
                  role_name(e->role), e->index, e->mesh->id, (int)holder);
        return 0;
    }
    int ours = slots_ours(e, err);
    if (ours != 1)
        unlock_slots(e, e->n_lanes);
    return ours;
}

/* Where spectators come and go, use by one of them is none to others. */
static bool never_used(const endpoint *e)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        if (load_acquire(&endpoint_slot(e, i)->state) != LAYOUT_FREE && /* [L2] */
            (e->spectator || !mesh_spectates(e->mesh, slot_number(e, i))))
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

static int claim(endpoint *e, int wanted, mpp_error *err)
{
    unsigned n = e->role == 'p' ? e->mesh->l.producers : e->mesh->l.consumers;
    bool closed = load_acquire(&e->mesh->header->closed); /* [K2] */
    if (wanted != MPP_INDEX_ANY) {
        if (wanted < 0 || (unsigned)wanted >= n)
            return error_set(err, MPP_S_USAGE, 0, "mesh '%s' has %u %ss: --index is 0 to %u, not %d", e->mesh->id, n,
                             role_name(e->role), n - 1, wanted);
        e->index = (unsigned)wanted;
        if (closed && !never_used(e))
            return over(e, err);
        return claim_index(e, err) == 1 ? 0 : -1;
    }
    int got = claim_first(e, n, false, err);
    if (got == 0 && e->spectator && !closed)
        got = claim_first(e, n, true, err);
    if (got != 0)
        return got == 1 ? 0 : -1;
    if (closed)
        return over(e, err);
    return error_set(err, MPP_S_USAGE, 0,
                     e->spectator ? "mesh '%s' has %u %ss and all places are held; one is free when its reader leaves "
                                    "(mpp-stat shows them)"
                                  : "mesh '%s' has %u %ss and all of them have been taken",
                     e->mesh->id, n, role_name(e->role));
}

/* ---- attaching ---------------------------------------------------------------------------------- */

static int directory_make(const mpp_mesh *m, mpp_error *err)
{
    struct stat st;
    if (mkdir(m->socket_dir, 0700) < 0 && errno != EEXIST)
        return error_set(err, MPP_S_ERROR, errno, "cannot make the directory for sockets '%s'", m->socket_dir);
    if (lstat(m->socket_dir, &st) < 0)
        return error_set(err, MPP_S_ERROR, errno, "the directory for sockets '%s'", m->socket_dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return error_set(err, MPP_S_CORRUPT, 0, "the directory for sockets '%s' is not ours alone", m->socket_dir);
    return 0;
}

static int sockets_bind(endpoint *e, mpp_error *err)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    for (unsigned i = 0; i < e->n_lanes; i++) {
        if (!doorbell_path(path, e->mesh->socket_dir, e->role, e->index, e->lanes[i], e->mesh->l.lanes))
            return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its socket paths are too long", e->mesh->id);
        e->sockets[i] = doorbell_bind(path);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
        if (e->sockets[i] < 0 || epoll_ctl(e->events, EPOLL_CTL_ADD, e->sockets[i], &event) < 0)
            return error_set(err, MPP_S_ERROR, errno, "cannot bind the doorbell '%s'", path);
    }
    return 0;
}

static void sockets_unlink(const endpoint *e)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    for (unsigned i = 0; i < e->n_lanes; i++)
        if (doorbell_path(path, e->mesh->socket_dir, e->role, e->index, e->lanes[i], e->mesh->l.lanes))
            unlink(path);
}

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

static void watch_tied(endpoint *e)
{
    pid_t pid = e->mesh->watch_pid;
    if (!pid)
        return;
    int watched_it = watch(e, pid);
    if (watched_it < 0 && errno != ESRCH)
        endpoint_cannot(e, errno, "cannot watch process %d (--pid)", (int)pid);
    else if (watched_it < 0 || mesh_watch_gone(e->mesh))
        process_gone(e, pid);
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
    if (e->events >= 0)
        close(e->events);
    e->events = -1;
}

static void endpoint_free(endpoint *e)
{
    descriptors_close(e);
    free(e->watches);
    free(e->sockets);
    free(e->known);
    free(e->lanes);
    free(e->streams);
    *e = (endpoint){.events = -1};
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
        e->streams[i] = stream;
        if (endpoint_lane_position(e, stream) == e->n_lanes)
            e->lanes[e->n_lanes++] = stream % m->l.lanes;
    }
    e->spectator = e->role == 'c';
    for (unsigned i = 0; i < e->n_lanes; i++)
        e->spectator &= mesh_overwrites(m, e->lanes[i]);
    return 0;
}

static int endpoint_init(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err)
{
    *e = (endpoint){.mesh = m,
                    .role = role,
                    .n_peers = role == 'p' ? m->l.consumers : m->l.producers,
                    .n_all = m->l.producers + m->l.consumers,
                    .events = -1,
                    .since_ns = mpp_now(),
                    .spoken_to = true,
                    .attach_timeout_ns = o->attach_timeout_ms * 1000000,
                    .timeout_ns = o->timeout_ms * 1000000};
    if (streams_take(e, o, err) < 0)
        return -1;
    e->sockets = calloc(e->n_lanes, sizeof *e->sockets);
    e->known = calloc((size_t)e->n_lanes * e->n_all, sizeof *e->known);
    for (unsigned i = 0; e->sockets && i < e->n_lanes; i++)
        e->sockets[i] = -1;
    if (!e->sockets || !e->known)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach to mesh '%s'", m->id);
    /* Before the claim: who fails after it closes this, and so has a descriptor to ring the others from. */
    e->events = epoll_create1(EPOLL_CLOEXEC);
    if (e->events < 0)
        return error_set(err, MPP_S_ERROR, errno, "cannot make an epoll descriptor");
    return 0;
}

/* What a producer writes into: its rings of the lane, or its tape, or of a mailbox all boxes, for each may be ours one day. */
static int lane_reserve(const endpoint *e, unsigned lane, mpp_error *err)
{
    const mpp_mesh *m = e->mesh;
    if (mesh_overwrites(m, lane))
        return segment_reserve(m->segment, mesh_area_offset(m, lane, e->index), mesh_area_size(m, lane), err);
    return segment_reserve(m->segment, layout_ring_offset(&m->l, layout_channel_number(&m->l, lane, e->index, 0)),
                           m->l.consumers * m->l.ring_size, err);
}

/* Between the claim and LIVE. */
static int prepare(endpoint *e, const mpp_attach_options *o, mpp_error *err)
{
    if (directory_make(e->mesh, err) < 0 || sockets_bind(e, err) < 0)
        return -1;
    for (unsigned i = 0; e->role == 'p' && i < e->n_lanes; i++)
        if (lane_reserve(e, e->lanes[i], err) < 0)
            return -1;
    slots_take(e, o);
    announce(e);
    return 0;
}

int endpoint_attach(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err)
{
    if (endpoint_init(e, m, role, o, err) < 0 || claim(e, o->index, err) < 0) {
        endpoint_free(e);
        return -1;
    }
    mpp_error why = {0};
    if (prepare(e, o, &why) < 0) { /* everybody learns it, and need not wait for us */
        descriptors_close(e);
        endpoint_fail(e, MPP_S_FAILED, false, "%s %u (pid %d) could not attach: %.300s", role_name(role), e->index,
                      (int)getpid(), why.text);
        endpoint_leave(e);
        if (err)
            *err = why;
        return -1;
    }
    endpoint_publish(e, MPP_COMPUTING, 0, 0, clock_shared());
    slots_state(e, LAYOUT_LIVE);
    if (e->again)
        announce(e);
    full_fence(); /* [L3] with the one in endpoint_leave(): either it sees us LIVE or we see that the mesh is over */
    e->peers_seen = load_relaxed(&m->header->peers) - 1;
    endpoint_gone(e);
    watch_tied(e);
    return 0;
}

/* ---- leaving ------------------------------------------------------------------------------------ */

void endpoint_leave(endpoint *e)
{
    mpp_mesh *m = e->mesh;
    const int64_t now = clock_shared();
    endpoint_publish(e, MPP_ENDING, 0, 0, now);
    for (unsigned i = 0; i < e->n_lanes; i++)
        store_relaxed(&endpoint_slot(e, i)->left, (uint64_t)now);
    slots_state(e, LAYOUT_DONE);
    sockets_unlink(e);
    full_fence(); /* [L3]: of two who leave at once, one at least sees the other's DONE */
    if (!load_acquire(&m->header->closed) && mesh_finished(m)) { /* [K2] */
        store_release(&m->header->closed, 1);                    /* [K1] pairs with [K2] */
        mesh_ring_all(m, e->sockets[0]);
    }
    announce(e);
    bool over = load_acquire(&m->header->closed) || mesh_cause_word(m) != 0; /* [K2] */
    if (over && !m->keep && mesh_deserted(m) && (mesh_complete(m) || mesh_cause_final(m) || mesh_watch_gone(m)) &&
        !mesh_unlink(m))
        rmdir(m->socket_dir); /* it was removed under us, and our sockets were the last */
    unlock_slots(e, e->n_lanes);
    endpoint_free(e);
}
