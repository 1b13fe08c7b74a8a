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
#include <sys/timerfd.h>
#include <unistd.h>

/* What the epoll descriptor says of ours; of a pidfd it says the pid. */
static const uint64_t OF_SOCKET = 0, OF_BELL = UINT64_MAX, OF_TIMER = UINT64_MAX - 1;

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

/* ---- the timer ---------------------------------------------------------------------------------- */

/* Be woken in ms, or when it is set to already if that is sooner.  false: there is none to be had. */
static bool timer_set(endpoint *e, long ms)
{
    struct itimerspec t = {0};
    if (e->timer < 0) {
        e->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = OF_TIMER};
        if (e->timer >= 0 && epoll_ctl(e->events, EPOLL_CTL_ADD, e->timer, &event) < 0) {
            close(e->timer);
            e->timer = -1;
        }
    }
    if (e->timer < 0)
        return false;
    if (timerfd_gettime(e->timer, &t) == 0 && (t.it_value.tv_sec || t.it_value.tv_nsec) && t.it_value.tv_sec == 0 &&
        t.it_value.tv_nsec <= ms * 1000000)
        return true;
    t.it_value = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return timerfd_settime(e->timer, 0, &t, NULL) == 0;
}

static bool timer_due(const endpoint *e)
{
    uint64_t times;
    ssize_t n;
    while ((n = read(e->timer, &times, sizeof times)) < 0 && errno == EINTR)
        ;
    return n > 0;
}

/* There are new debts. */
static void owes(endpoint *e)
{
    e->owed_since_ns = mpp_now();
    timer_set(e, OWED_MS);
}

/* ---- failing ------------------------------------------------------------------------------------ */

static bool cause_set(endpoint *e, unsigned number, const layout_cause *cause)
{
    const unsigned before = e->owed.n;
    const bool first = mesh_cause_set(e->mesh, number, cause, e->sockets[0], &e->owed);
    if (e->owed.n > before)
        owes(e);
    return first;
}

/* The mesh's cause, if it is the first; a spectator's failure is its own. */
static bool record(endpoint *e, const layout_cause *cause)
{
    if (!e->spectator)
        return cause_set(e, slot_number(e, 0), cause);
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
    return cause_set(e, slot_number(e, 0), &cause);
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

/* Does it say that pidfd_open(2) is not for us here: a sandbox, an old kernel?  Then the lock alone can tell of a
 * death. */
static bool is_unwatchable(int os_error)
{
    return os_error == EPERM || os_error == EACCES || os_error == ENOSYS;
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
        if (holder == getpid())
            return;
        const int refused = holder < 0 ? EPERM : watch(e, holder) < 0 ? errno : 0;
        if (is_unwatchable(refused) && timer_set(e, UNSEEN_MS)) {
            *known = UNSEEN;
            return;
        }
        if (refused && refused != ESRCH) {
            char who[96];
            mesh_who(e->mesh, number, who, sizeof who);
            endpoint_cannot(e, refused, "cannot watch %s", who);
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

/* Look again at the slots whose holder is known as `known`, and is gone or may be. */
static void look_again(endpoint *e, pid_t known)
{
    bool left = false;
    for (unsigned i = 0; i < e->n_lanes * e->n_all; i++)
        if (e->known[i] == known) {
            e->known[i] = 0;
            look_at(e, i / e->n_all, i % e->n_all);
            left |= has_left(e, number_of(e, i / e->n_all, i % e->n_all));
        }
    /* It died before it could say that it left.  Whoever watched it finds that, so nobody needs to be rung. */
    if (left && load_acquire(&e->mesh->header->peers) == e->peers_seen) /* [P2] */
        add_release(&e->mesh->header->peers, 1);                        /* [P1] pairs with [P2] */
}

static void look_at_tied(endpoint *e)
{
    if (mesh_watch_gone(e->mesh))
        endpoint_found(e, MPP_S_DIED, true, "process %d, which mesh '%s' was tied to (--pid), is gone",
                       (int)e->mesh->watch_pid, e->mesh->id);
}

static void process_gone(endpoint *e, pid_t pid)
{
    unwatch(e, pid);
    look_again(e, pid);
    if (pid == e->mesh->watch_pid)
        look_at_tied(e);
}

static void look_at_unseen(endpoint *e)
{
    bool any = e->tied_unseen;
    for (unsigned i = 0; i < e->n_lanes * e->n_all && !any; i++)
        any = e->known[i] == UNSEEN;
    if (!any)
        return;
    look_again(e, UNSEEN);
    if (e->tied_unseen) {
        look_at_tied(e);
        timer_set(e, UNSEEN_MS);
    }
}

void endpoint_heard(endpoint *e)
{
    struct epoll_event events[16];
    for (unsigned i = 0; i < e->n_lanes; i++)
        count_add(&endpoint_slot(e, i)->doorbells, doorbell_drain(e->sockets[i]));
    int n = epoll_wait(e->events, events, 16, 0);
    for (int i = 0; i < n; i++) {
        const uint64_t what = events[i].data.u64;
        if (what == OF_BELL) {
            count_add(&endpoint_slot(e, 0)->doorbells, doorbell_drain_pipe(e->bell));
        } else if (what == OF_TIMER && timer_due(e)) {
            look_at_unseen(e);
            endpoint_pay(e);
        } else if (what != OF_SOCKET && what <= INT32_MAX) { /* else a buffer's own descriptor */
            process_gone(e, (pid_t)what);
        }
    }
    endpoint_gone(e);
}

/* ---- doorbells ---------------------------------------------------------------------------------- */

void endpoint_ring(endpoint *e, unsigned lane, unsigned peer)
{
    const unsigned number = layout_slot_number(&e->mesh->l, lane, other(e->role), peer);
    if (mesh_ring(e->mesh, number, e->sockets[0]) != DOORBELL_RUNG && mesh_owe(&e->owed, number))
        owes(e);
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
        role_name(e->role), e->index, (int)getpid(), who, e->mesh->socket_dir);
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
        timer_set(e, OWED_MS);
}

/* We wait for everybody no more. */
static void barrier_over(endpoint *e)
{
    if (e->barrier)
        add_release(&e->mesh->header->barrier, UINT32_MAX); /* one less */
    e->barrier = false;
}

bool endpoint_everybody(endpoint *e)
{
    if (!e->barrier) {
        e->barrier = true;
        add_release(&e->mesh->header->barrier, 1); /* [B1] */
        full_fence(); /* either we see who comes, or who comes sees us wait: pairs with the one in endpoint_attach() */
    }
    /* Who has not come to a mesh that is closed need not come, and may never: nothing is wanted of anybody [K2]. */
    const bool closed = load_acquire(&e->mesh->header->closed);
    for (unsigned i = 0; !closed && i < e->mesh->l.slots; i++)
        if (load_acquire(&mesh_slot(e->mesh, i)->state) == LAYOUT_FREE) /* [L2]; also who may die before it is LIVE */
            return false;
    barrier_over(e);
    return true;
}

/* Tell everybody in our lanes that somebody came or left, whether they sleep or not; and the whole mesh when somebody
 * there waits for everybody. */
static void announce(endpoint *e)
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
        owes(e);
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
    cause_set(e, number, &cause);
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

static int check_index(const endpoint *e, int wanted, mpp_error *err)
{
    const unsigned n = e->role == 'p' ? e->mesh->l.producers : e->mesh->l.consumers;
    if (wanted == MPP_INDEX_ANY || (wanted >= 0 && (unsigned)wanted < n))
        return 0;
    return error_set(err, MPP_S_USAGE, 0, "mesh '%s' has %u %ss: --index is 0 to %u, not %d", e->mesh->id, n,
                     role_name(e->role), n - 1, wanted);
}

static int claim(endpoint *e, int wanted, mpp_error *err)
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

/* Before the claim: nobody has to be told of who never could have come. */
static int check_reach(mpp_mesh *m, mpp_error *err)
{
    return m->elsewhere && mesh_directory_check(m, NULL) == 0 ? unreachable(m, err) : 0;
}

static int watch_descriptor(const endpoint *e, int fd, uint64_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
    return epoll_ctl(e->events, EPOLL_CTL_ADD, fd, &event);
}

/* The sockets, where the mesh's directory is to be seen, and the pipe. */
static int bells_make(endpoint *e, mpp_error *err)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    int bound = mesh_directory_check(e->mesh, err);
    if (bound < 0)
        return -1;
    for (unsigned i = 0; i < e->n_lanes; i++) {
        if (!doorbell_path(path, e->mesh->socket_dir, e->role, e->index, e->lanes[i], e->mesh->l.lanes))
            return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its socket paths are too long", e->mesh->id);
        e->sockets[i] = doorbell_socket();
        if (e->sockets[i] < 0 || watch_descriptor(e, e->sockets[i], OF_SOCKET) < 0)
            return error_set(err, MPP_S_ERROR, errno, "cannot make the doorbell '%s'", path);
        if (bound && doorbell_bind(e->sockets[i], path) < 0) {
            if (errno != ENOENT)
                return error_set(err, MPP_S_ERROR, errno, "cannot bind the doorbell '%s'", path);
            bound = 0; /* the directory goes while we come */
        }
    }
    e->bell = doorbell_pipe(&e->bell_inode);
    if (e->bell >= 0 ? watch_descriptor(e, e->bell, OF_BELL) < 0
                     : errno != ENOENT && errno != EACCES) /* no /proc: no pipe */
        return error_set(err, MPP_S_ERROR, errno, "cannot make a doorbell");
    e->bound = bound;
    return bound || e->bell >= 0 ? 0 : unreachable(e->mesh, err);
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

static void watch_tied(endpoint *e)
{
    pid_t pid = e->mesh->watch_pid;
    if (!pid)
        return;
    const int refused = watch(e, pid) < 0 ? errno : 0;
    e->tied_unseen = is_unwatchable(refused) && timer_set(e, UNSEEN_MS);
    if (refused && refused != ESRCH && !e->tied_unseen)
        endpoint_cannot(e, refused, "cannot watch process %d (--pid)", (int)pid);
    else if (refused == ESRCH || mesh_watch_gone(e->mesh))
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

/* A time-out of more than a century is none, and deadlines do not overflow. */
static int64_t nanoseconds(int64_t ms)
{
    const int64_t century = INT64_C(100) * 366 * 24 * 3600 * 1000;
    return ms > century ? 0 : ms * 1000000;
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
                    .since_ns = mpp_now(),
                    .spoken_to = true,
                    .attach_timeout_ns = nanoseconds(o->attach_timeout_ms),
                    .timeout_ns = nanoseconds(o->timeout_ms)};
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
static int prepare(endpoint *e, const mpp_attach_options *o, mpp_error *err)
{
    if (bells_make(e, err) < 0)
        return -1;
    for (unsigned i = 0; e->role == 'p' && i < e->n_lanes; i++)
        if (lane_reserve(e, e->lanes[i], err) < 0)
            return -1;
    slots_take(e, o);
    announce(e);
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
    return error_set(
        err, MPP_S_ERROR, 0,
        "mesh '%s' is tied to process %d (--pid) of another PID namespace, whose end cannot be learnt here: "
        "make the mesh without --pid, or run this in the namespace that it was made in",
        m->id, (int)m->watch_pid);
}

int endpoint_attach(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err)
{
    mpp_error why = {0};
    if (endpoint_init(e, m, role, o, &why) < 0 || check_index(e, o->index, &why) < 0 || check_tie(m, &why) < 0 ||
        check_reach(m, &why) < 0) {
        endpoint_free(e);
        return told(m, &why, false, err);
    }
    if (claim(e, o->index, &why) < 0) {
        endpoint_free(e);
        return told(m, &why, why.status != MPP_S_DIED && why.status != MPP_S_DONE, err);
    }
    if (prepare(e, o, &why) < 0) { /* everybody learns it, and need not wait for us */
        descriptors_close(e);
        const bool first = endpoint_fail(e, why.status == MPP_S_CORRUPT ? MPP_S_CORRUPT : MPP_S_FAILED, false,
                                         "%s %u (pid %d) could not attach: %.300s", role_name(role), e->index,
                                         (int)getpid(), why.text);
        endpoint_leave(e);
        return told(m, &why, !first, err);
    }
    endpoint_publish(e, MPP_COMPUTING, 0, 0, clock_shared());
    slots_state(e, LAYOUT_LIVE);
    /* [L3] with the one in endpoint_leave(): either it sees us LIVE or we see that the mesh is over.  And with the
     * one in endpoint_everybody(): either who waits there sees us LIVE, or we see that it waits [B2]. */
    full_fence();
    if (e->again || load_relaxed(&m->header->barrier))
        announce(e);
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
    barrier_over(e);
    for (unsigned i = 0; i < e->n_lanes; i++) {
        store_relaxed(&endpoint_slot(e, i)->left, (uint64_t)now);
        store_relaxed(&endpoint_slot(e, i)->bell, 0);
    }
    slots_state(e, LAYOUT_DONE);
    sockets_unlink(e);
    full_fence(); /* [L3]: of two who leave at once, one at least sees the other's DONE */
    if (!load_acquire(&m->header->closed) && mesh_finished(m)) { /* [K2] */
        store_release(&m->header->closed, 1);                    /* [K1] pairs with [K2] */
        mesh_ring_all(m, e->sockets[0], &e->owed);
    }
    announce(e);
    bool over = load_acquire(&m->header->closed) || mesh_cause_word(m) != 0; /* [K2] */
    if (over && !m->keep && mesh_deserted(m) && (mesh_complete(m) || mesh_cause_final(m) || mesh_watch_gone(m)))
        mesh_unlink(m);
    endpoint_pay(e); /* once more: what is owed then is news that our end, or the end of our process, brings */
    mesh_directory_tidy(m, e->bound);
    unlock_slots(e, e->n_lanes);
    endpoint_free(e);
}
