/* mpp-look.h - for those who look on at meshes, and those who tidy up
 *
 * Nothing here takes part: a snapshot is read, and disturbs nobody. */
#ifndef MPP_LOOK_H
#define MPP_LOOK_H

#include "mpp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- all meshes ---------------------------------------------------------------------------------- */

/* Ids of every mesh of this user, sorted; to be freed one by one and as a whole.  The number, or -1 with errno. */
int mpp_mesh_list(char ***ids);

/* Abort who is still there, and remove the mesh.  One that is already gone is success. */
int mpp_mesh_remove(const char *id, mpp_error *err);
/* The same of an open mesh, and not of another one that has its name by now; also in a child that was forked since. */
int mpp_mesh_discard(const mpp_mesh *mesh, mpp_error *err);

/* Remove every mesh of this user that nobody can use any more (see mpp-create(1), --gc).
 * each, when not NULL, is told of every mesh removed.  The number removed, or -1 with *err. */
int mpp_mesh_gc(void (*each)(void *arg, const char *id, const char *why), void *arg, mpp_error *err);

/* Remove those that were tied to a process (mpp_mesh_options.pid) that is gone, and that nobody is in any more, but for
 * those that are to be kept.  What cannot be looked at stays. */
void mpp_mesh_free_tied(void);

/* ---- a mesh that lives as long as a command ------------------------------------------------------ */

/* Was it made for a command (mpp_mesh_options.scope)?  Then a participant need not tell of the others' failures. */
bool mpp_mesh_scoped(const mpp_mesh *mesh);

/* From now on nobody attaches any more.  Who comes is refused with MPP_S_NO_MESH; who waits in mpp_wait() for one that
 * never came fails with MPP_S_TIMEOUT at once; those who are attached go on.  false: somebody could not be told; call
 * it again in a moment. */
bool mpp_mesh_seal(mpp_mesh *mesh);

/* Sleep until all who are attached to a sealed mesh have left or died; who died and was not seen to by anybody becomes
 * the mesh's cause.  Then what those who were killed have left of a mesh that was removed is removed, too.  For a
 * thread of its own, as nothing interrupts it, and of a process that is no participant.  0, or -1 with *err. */
int mpp_mesh_await_left(mpp_mesh *mesh, mpp_error *err);

/* Then: was somebody missed?  true, with *err (MPP_S_TIMEOUT): who came was refused; or nobody ever attached; or a
 * consumer never came and records for it lie unread; or a producer of a stream that overwrites never came. */
bool mpp_mesh_missed(const mpp_mesh *mesh, mpp_error *err);

/* ---- looking on --------------------------------------------------------------------------------- */

/* Counters.  Those of a participant that serves several lanes stand in each of them. */
typedef struct mpp_endpoint_counters {
#define ENDPOINT_COUNTER(name, kind, unit, prose) uint64_t name;
#include "counters.def"
} mpp_endpoint_counters;

typedef struct mpp_counters {
#define COUNTER(name, kind, unit, side, prose) uint64_t name;
#include "counters.def"
} mpp_counters;

typedef struct mpp_share_counters {
#define SHARE_COUNTER(name, kind, unit, prose) uint64_t name;
#include "counters.def"
} mpp_share_counters;

/* How a mesh stands; a participant's place in it; a producer's share of a stream.  Each has its word: "live". */
typedef enum mpp_mesh_state {
    MPP_MESH_NEW = 0, /* nobody has attached yet */
    MPP_MESH_LIVE,
    MPP_MESH_CLOSED, /* every consumer has finished */
    MPP_MESH_FAILED,
    MPP_MESH_REMOVED,
} mpp_mesh_state;
typedef enum mpp_place_state {
    MPP_PLACE_FREE = 0,
    MPP_PLACE_LIVE,
    MPP_PLACE_DONE,
    MPP_PLACE_DEAD,
    MPP_PLACE_CORRUPT,
} mpp_place_state;
typedef enum mpp_share_state {
    MPP_SHARE_NONE = 0, /* not begun */
    MPP_SHARE_RUNNING,
    MPP_SHARE_ENDED,
    MPP_SHARE_FAILED,
    MPP_SHARE_CORRUPT,
} mpp_share_state;
const char *mpp_mesh_state_text(mpp_mesh_state state);
const char *mpp_place_text(mpp_place_state state);
const char *mpp_share_text(mpp_share_state state);

/* A producer's share of a stream whose buffer overwrites. */
typedef struct mpp_share {
    unsigned stream, producer;
    mpp_share_state state;
    mpp_share_counters counters;
} mpp_share;

typedef struct mpp_participant {
    char role; /* 'p' or 'c' */
    unsigned index, lane;
    bool spectator; /* it reads a stream whose buffer overwrites: that it died is nobody else's concern */
    mpp_place_state state;
    pid_t pid; /* of a live one as we see it; 0: in another PID namespace */
    char label[32];
    const char *activity; /* NULL unless live */
    unsigned doing;       /* the same as an mpp_activity */
    int channel;          /* the index of a peer whose space or data it waits for, or -1 */
    int64_t since_ns;     /* by the clock of taken_ns; 0: unknown */
    pid_t command;        /* the process behind it, 0: none */
    int fd;               /* its descriptor that it waits for to read its input or write its output, or -1 */
    mpp_endpoint_counters counters;
} mpp_participant;

typedef struct mpp_channel {
    unsigned lane, producer, consumer;
    uint64_t fill;   /* bytes published and not released */
    bool wanted;     /* its producer sleeps for space here */
    bool awaited;    /* its consumer sleeps for data of this producer, or last did, ... */
    bool needed;     /* ... and nobody else's would do */
    int head;        /* the stream whose bytes are the next to be read; -1: none, or it cannot be said */
    int asked;       /* another stream, that its consumer has asked for and has not had all of; -1: none */
    uint64_t behind; /* records that its consumer has yet to read or to miss; UINT64_MAX: no ring, and not latest */
    mpp_counters counters;
} mpp_channel;

/* A copy of a mesh's state at about one moment.  Owned by the caller.  It is read(2) from the segment, which is opened
 * for reading and never mapped: nothing that happens to a segment meanwhile can harm the reader. */
typedef struct mpp_snapshot {
    char id[MPP_NAME_MAX + 1];
    char uuid[37];
    mpp_mesh_state state;
    const char *garbage; /* why --gc would remove it, or NULL */
    int64_t taken_ns;    /* CLOCK_MONOTONIC of the initial time namespace, as all moments here */
    int64_t created_ns;  /* CLOCK_REALTIME */
    uint64_t segment_size, ring_size, max_record;
    unsigned producers, consumers, lanes, n_streams;
    pid_t watch_pid;
    bool keep;
    mpp_error cause; /* status MPP_S_DONE: none */
    int cause_by;    /* in participants: who failed; -1: nobody, or it was found by another */
    mpp_stream_info *streams;
    mpp_participant *participants; /* by lane, producers before consumers */
    unsigned n_participants;
    mpp_channel *channels; /* those with traffic, or that somebody waits for; sorted by lane, producer, consumer */
    unsigned n_channels;
    mpp_share *shares; /* of all streams whose buffer overwrites, by stream and producer */
    unsigned n_shares;
    mpp_mesh *mesh; /* for mpp_mesh_stream() and its like, mpp_mesh_where(), mpp_mesh_cause(); not to be attached to */
} mpp_snapshot;

/* 0, or -1 with *err: MPP_S_NO_MESH, MPP_S_CORRUPT, MPP_S_ERROR. */
int mpp_snapshot_take(const char *id, mpp_snapshot **s, mpp_error *err);
void mpp_snapshot_free(mpp_snapshot **s);

/* The most frequent key among the records that are unread on a channel, as far as a sample of them can be read while
 * others go on.  false: none was read, or the stream's partition does not look at a key. */
typedef struct mpp_hot_key {
    char key[64];         /* its first bytes; may hold anything but NUL */
    unsigned times, seen; /* of so many records looked at */
} mpp_hot_key;
bool mpp_snapshot_hot_key(const mpp_snapshot *s, const mpp_channel *c, mpp_hot_key *hot);

#ifdef __cplusplus
}
#endif
#endif
