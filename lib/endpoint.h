/* endpoint.h - a participant's hold on its slots: claiming, doorbells, watching peers, leaving
 *
 * One handle holds one participant's ends of one or more lanes.  The life of a slot, and what a death leaves:
 *
 *   claim    take the lock on each lane's slot         died here: slot FREE, lock gone: nothing happened
 *            bind the sockets, store bell and pid (a hint)
 *            peers++ [P1], ring every peer             died here: peers watch the lock's holder, see it go, slot FREE:
 *            state = LIVE [L1]                         nothing happened
 *            ring everybody who waits for everybody
 *   live     work                                      died here: peers find LIVE and no lock: DEAD, and the cause
 *   leave    state = DONE [L1]                         died here: as if it had left
 *            the last consumer: closed = 1 [K1]        died here: the next one who leaves does it, else --gc
 *            unlink the sockets, peers++, ring         died here: who sees the lock's holder go counts it
 *            nobody left: unlink the mesh              died here: --gc
 *            unlock
 *
 * A reader of nothing but buffers that overwrite is a spectator: what becomes of it is nobody else's concern.  Its
 * failure is its own and never the mesh's cause, its death is nobody's news (its slot stays LIVE, and the lock tells), and
 * its place can be taken again, for readers come and go.
 *
 * A slot that was DONE or DEAD is not looked at by peers whom we ring before it is LIVE: they are rung once more.
 *
 * The ring comes before LIVE so that there is no moment at which a slot is LIVE and its peers do not know whom to
 * watch.  A peer that attaches at the same time either gets the ring or finds the lock when it looks, because it binds
 * its socket before it looks, and we lock before we ring.
 *
 * A bell that cannot be rung is owed: the endpoint tries again every OWED_MS, and fails when a peer that lives cannot be
 * reached for OWED_MOST_MS.  A holder that cannot be watched (another PID namespace, a sandbox that refuses pidfd_open(2)) is
 * looked at every UNSEEN_MS: its lock tells.  Only then does an idle endpoint wake, by a timer among its descriptors.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "atomics.h"
#include "mesh.h"

enum { OWED_MS = 10, OWED_MOST_MS = 1000, UNSEEN_MS = 100, UNSEEN = -1 };

typedef struct endpoint_watch {
    pid_t pid;
    int fd;
} endpoint_watch;

typedef struct endpoint endpoint;

struct endpoint {
    mpp_mesh *mesh;
    void (*settle)(endpoint *e); /* publishes what was accepted, before we record a failure of ours; NULL: nothing */
    bool spectator;              /* see above */
    bool again;                  /* one of our slots was another's before */
    bool failed;                 /* a spectator, or by a call of ours: we go no further */
    char role;                   /* 'p' or 'c' */
    unsigned index;
    unsigned *streams, n_streams; /* that this process serves, in the order it named them */
    unsigned *lanes, n_lanes;     /* that they travel in */
    unsigned n_peers;             /* of the other role, in each lane */
    int *sockets;                 /* one for each lane */
    bool bound;                   /* in the mesh's directory */
    int bell;                     /* the second bell: a pipe; -1: none */
    uint64_t bell_inode;          /* which pipe it is */
    int timer;                    /* a timerfd, made when it is needed first; -1: none */
    int events;                   /* epoll: sockets, the bell, the timer and pidfds */
    mesh_debts owed;              /* bells that could not be rung ... */
    int64_t owed_since_ns;        /* ... for so long */
    unsigned n_all;               /* participants of both roles, in each lane */
    pid_t *known;                 /* per lane and participant: the process we watch as its holder, 0: none, UNSEEN */
    bool tied_unseen;             /* the process that the mesh is tied to cannot be watched */
    endpoint_watch *watches;
    unsigned n_watches;
    uint32_t peers_seen;
    bool barrier; /* waiting for every participant */
    int64_t since_ns, attach_timeout_ns;
    int64_t timeout_ns, waited_ns; /* for data or space, while nobody was stopped; 0 again when something moves */
    bool spoken_to;                /* what woke us from the last wait was what the caller waits for, not the mesh */
    mpp_activity said;             /* in the last wait, ... */
    unsigned said_peer;            /* ... of whom, ... */
    uint64_t progress;             /* ... with so many bytes behind us, ... */
    int64_t said_since_ns;         /* ... and since when: a wait that goes on is one wait */
    bool held;                     /* somebody was stopped when we last looked */
    layout_cause own;              /* why a spectator failed */
};

/* 0, or -1 with *err as mpp_producer_attach() says. */
int endpoint_attach(endpoint *e, mpp_mesh *m, char role, const mpp_attach_options *o, mpp_error *err);
/* Runs in the order shown above. */
void endpoint_leave(endpoint *e);

/* Look at who came or left since the last time. */
void endpoint_look(endpoint *e, uint32_t peers);
/* Is the mesh over by a failure?  Also looks for peers that came or died since the last call. */
static inline bool endpoint_gone(endpoint *e)
{
    const uint32_t peers = load_acquire(&e->mesh->header->peers); /* [P2] pairs with [P1] */
    if (peers != e->peers_seen)
        endpoint_look(e, peers);
    return load_acquire(&e->mesh->header->cause) != 0 || e->failed; /* [F2] pairs with [F1] */
}
/* After the descriptor was readable: drain the doorbells, look at who died. */
void endpoint_heard(endpoint *e);

/* The position of a stream's lane among ours. */
unsigned endpoint_lane_position(const endpoint *e, unsigned stream);

layout_slot *endpoint_slot(const endpoint *e, unsigned lane_position);
layout_slot *endpoint_peer(const endpoint *e, unsigned lane, unsigned peer);
/* Ring a peer that doorbell_wake() said to ring. */
void endpoint_ring(endpoint *e, unsigned lane, unsigned peer);

/* Bells are owed, and no timer could be had that would remind us: a sleep ends within OWED_MS, and endpoint_pay()
 * follows. */
static inline bool endpoint_unreminded(const endpoint *e)
{
    return e->owed.n && e->timer < 0;
}

/* Ring those again whose bell is owed. */
void endpoint_pay(endpoint *e);

/* Is every participant there, or has it been, or is the mesh closed?  If not, we are rung when that changes. */
bool endpoint_everybody(endpoint *e);

/* Publish what we do; waits_for: the index + 1 of a peer that we wait for in that lane, or 0. */
void endpoint_publish(const endpoint *e, mpp_activity activity, unsigned lane, unsigned waits_for, int64_t since_ns);
/* We slept so long, at what we said last. */
void endpoint_slept(const endpoint *e, uint64_t ns);

/* Publish which process is behind us: our command, 0: none. */
void endpoint_command(const endpoint *e, pid_t pid);

/* A system call of ours failed: record that as the root cause, with who we are and why.  true: it is the first.  The
 * status is "failed" for others; for who holds the slot mpp_mesh_cause() says "error". */
__attribute__((format(printf, 3, 4))) bool endpoint_cannot(endpoint *e, int os_error, const char *fmt, ...);
/* Record a failure of ours as the root cause, if it is the first: true. */
__attribute__((format(printf, 4, 5))) bool endpoint_fail(endpoint *e, mpp_status others, bool final, const char *fmt,
                                                         ...);
/* The same of one that our caller tells, with who we are. */
bool endpoint_report(endpoint *e, const mpp_error *err);
/* The same for one that is not ours and that we found: also a spectator's news of it is everybody's, and what was
 * published before is still to be had. */
__attribute__((format(printf, 4, 5))) bool endpoint_found(endpoint *e, mpp_status others, bool final, const char *fmt,
                                                          ...);
/* The same for what a peer wrote and cannot be: "channel 0->1: <what>". */
void endpoint_corrupt(endpoint *e, unsigned lane, unsigned peer, const char *what);

#endif
