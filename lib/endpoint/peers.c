#include "endpoint/peers.h"

#include "base/atomics.h"
#include "base/liveness.h"
#include "endpoint/bells.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "endpoint/timer.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/over.h"
#include "ring/doorbell.h"
#include "shm/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

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

enum { UNSEEN = -1 }; /* in endpoint.known: a holder that cannot be watched */

/* Does it say that pidfd_open(2) is not for us here: a sandbox, an old kernel?  Then the lock alone can tell of a
 * death. */
static bool is_unwatchable(int os_error)
{
    return os_error == EPERM || os_error == EACCES || os_error == ENOSYS;
}

/* Its owner died, and if it is missed, everybody is told.  Two finders may record it; the first is the root cause. */
static void found_dead(endpoint *e, unsigned number)
{
    char who[96];
    if (!membership_of(e->mesh, number)->missed)
        return;
    membership_bury(e->mesh, number);
    mesh_who(e->mesh, number, who, sizeof who);
    endpoint_found(e, MPP_S_DIED, false, "%s died before its stream ended", who);
}

/* The slot of participant `at` (producers before consumers) in one of our lanes. */
static unsigned number_of(const endpoint *e, unsigned lane_position, unsigned at)
{
    return layout_slot_in_lane(&e->mesh->l, e->lanes[lane_position], at);
}

/* Learn who holds a slot, and watch that process.  Our own role's too: there may be nobody of the other yet. */
static void look_at(endpoint *e, unsigned lane_position, unsigned at)
{
    unsigned number = number_of(e, lane_position, at);
    pid_t *known = &e->known[lane_position * e->n_all + at];
    for (;;) {
        pid_t holder;
        const uint32_t state = membership_state(e->mesh, number, &holder);
        if (holder == *known && holder != 0)
            return;
        *known = 0;
        if (state == LAYOUT_DEAD) /* also one whose finder died before it could say so */
            found_dead(e, number);
        if (holder == 0 || holder == getpid())
            return;
        const int refused = holder < 0 ? EPERM : watch(e, holder) < 0 ? errno : 0;
        if (is_unwatchable(refused) && endpoint_timer_set(e, UNSEEN_MS)) {
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

void endpoint_look_at_peers(endpoint *e, uint32_t peers)
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

void endpoint_watch_tied(endpoint *e)
{
    pid_t pid = e->mesh->watch_pid;
    if (!pid)
        return;
    const int refused = watch(e, pid) < 0 ? errno : 0;
    e->tied_unseen = is_unwatchable(refused) && endpoint_timer_set(e, UNSEEN_MS);
    if (refused && refused != ESRCH && !e->tied_unseen)
        endpoint_cannot(e, refused, "cannot watch process %d (--pid)", (int)pid);
    else if (refused == ESRCH || mesh_watch_gone(e->mesh))
        process_gone(e, pid);
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
        endpoint_timer_set(e, UNSEEN_MS);
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
        } else if (what == OF_TIMER && endpoint_timer_due(e)) {
            look_at_unseen(e);
            endpoint_pay(e);
        } else if (what != OF_SOCKET && what <= INT32_MAX) { /* else a buffer's own descriptor */
            process_gone(e, (pid_t)what);
        }
    }
    endpoint_notice(e);
}
