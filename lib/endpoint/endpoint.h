/* endpoint.h - a participant's hold on its slots
 *
 * One handle holds one participant's ends of one or more lanes.  How it comes and leaves is attach.h's; what it does in
 * between has a file for each subject: bells, peers, barrier, fail, say, patience.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "mesh/bells.h"
#include "shm/layout.h"

typedef struct endpoint_watch {
    pid_t pid;
    int fd;
} endpoint_watch;

typedef struct endpoint_patience {
    int64_t since_ns, attach_ns;   /* those who have not come are waited for since then, for so long; 0: for ever */
    int64_t timeout_ns, waited_ns; /* for data or space, while nobody was stopped; 0 again when something moves */
    bool held;                     /* somebody was stopped when we last looked */
    int64_t again_ns; /* the mesh is sealed, and somebody was still coming: when to look again; 0: at once */
} endpoint_patience;

typedef struct endpoint endpoint;

struct endpoint {
    mpp_mesh *mesh;
    void (*settle)(endpoint *e); /* publishes what was accepted, before we record a failure of ours; NULL: nothing */
    bool alone;                  /* nobody misses it in any of its lanes (mesh/membership.h): it fails alone */
    bool again;                  /* one of our slots was another's before */
    bool failed;                 /* alone, or by a call of ours: we go no further */
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
    pid_t *known;     /* per lane and participant: the process we watch as its holder, 0: none, -1: it is unseen */
    bool tied_unseen; /* the process that the mesh is tied to cannot be watched */
    endpoint_watch *watches;
    unsigned n_watches;
    uint32_t peers_seen;
    bool barrier; /* waiting for every participant */
    endpoint_patience patience;
    bool spoken_to;        /* what woke us from the last wait was what the caller waits for, not the mesh */
    mpp_activity said;     /* in the last wait, ... */
    unsigned said_peer;    /* ... of whom, ... */
    uint64_t progress;     /* ... with so many bytes behind us, ... */
    int64_t said_since_ns; /* ... and since when: a wait that goes on is one wait */
    layout_cause own;      /* why it failed alone */
};

/* The position of a stream's lane among ours. */
unsigned endpoint_lane_position(const endpoint *e, unsigned stream);

/* The number of our slot in a lane, and of a peer's. */
unsigned endpoint_slot_number(const endpoint *e, unsigned lane_position);
unsigned endpoint_peer_number(const endpoint *e, unsigned lane, unsigned peer);
layout_slot *endpoint_slot(const endpoint *e, unsigned lane_position);
layout_slot *endpoint_peer(const endpoint *e, unsigned lane, unsigned peer);

#endif
