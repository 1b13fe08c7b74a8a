/* ends.h - the ends of a mesh and of its stream, each brought about for real, and what is known of each
 *
 * A mesh of these scenarios has four producers and four consumers.  Slots are told by a letter for each index: F nobody
 * ever came, D it came and left, L it is there, X it was killed. */
#ifndef ENDS_H
#define ENDS_H

#include "base/atomics.h"
#include "door.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <sys/prctl.h>

enum { SIDE = 4 };

typedef struct end end;

typedef struct scenario {
    const end *end;
    mpp_mesh *held; /* opened before the end */
    char id[MPP_NAME_MAX + 1];
    mpp_producer *p[SIDE];
    mpp_consumer *c[SIDE];
    pid_t tied;
} scenario;

struct end {
    const char *name;
    void (*make)(scenario *s);
    const char *p, *c; /* slots */
    mpp_status cause;  /* what everybody is told; MPP_S_DONE: nothing failed */
    const char *state; /* in a snapshot; NULL: there is no mesh of that name */
    mpp_buffer_kind buffer;
    bool closed, final, keep, tied;
    bool unnoticed; /* nobody has found the cause yet */
    bool owes;      /* a producer has runs left, and all consumers had enough of the first */
    bool asked;     /* a stream is under way */
    bool again;     /* a fresh mesh has taken the name */
};

/* ---- coming and going -------------------------------------------------------------------------- */

static inline void join(scenario *s, char role, int index, unsigned runs)
{
    if (role == 'p')
        s->p[index] = harness_producer(s->held, index, runs);
    else
        s->c[index] = harness_consumer(s->held, index);
}

static inline void leave(scenario *s, char role, int index)
{
    if (role == 'p' && s->p[index])
        mpp_service(s->p[index]);
    if (role == 'p')
        mpp_producer_detach(&s->p[index]);
    else
        mpp_consumer_detach(&s->c[index]);
}

static inline void come_and_go(scenario *s, char role, int index)
{
    join(s, role, index, 1);
    if (role == 'p') { /* who was asked gives nothing */
        mpp_service(s->p[index]);
        mpp_end(s->p[index], 0);
    }
    leave(s, role, index);
}

static inline int live_until_killed(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    if (d->role == 'p')
        harness_producer(m, d->index, 1);
    else
        harness_consumer(m, d->index);
    say(d, 'l');
    pause();
    return 1;
}

static inline void killed(const scenario *s, char role, int index)
{
    door d = door_open(s->held, role, index);
    const pid_t pid = harness_fork(live_until_killed, &d);
    if (hear(&d) != 'l')
        bail_out("%s: nobody to be killed", s->end->name);
    kill(pid, SIGKILL);
    harness_reap(pid);
    door_close(&d);
}

/* Two sides of one each: 0 came and left, 1 is there. */
static inline void first_pair_leaves(scenario *s)
{
    come_and_go(s, 'p', 0);
    come_and_go(s, 'c', 0);
    join(s, 'p', 1, 1);
    join(s, 'c', 1, 1);
}

/* Until a cause is there. */
static inline void until_failed(scenario *s, mpp_producer *p, mpp_consumer *c)
{
    mpp_error cause;
    mpp_batch b;
    for (unsigned tries = 0; tries < 100 && !mpp_mesh_cause(s->held, &cause); tries++) {
        if (p)
            mpp_service(p);
        if (c)
            mpp_next(c, 0, MPP_PRODUCER_ANY, &b);
        mpp_wait(p, c, MPP_COMPUTING, NULL, 0, mpp_now() + 100000000);
    }
}

static inline void fails(mpp_producer *p, bool final)
{
    mpp_producer_fail(p, &(mpp_error){.status = MPP_S_ERROR, .final = final, .text = "sort: exit status 2"});
}

/* ---- the ends ---------------------------------------------------------------------------------- */

static inline void fresh(scenario *s)
{
    (void)s;
}

/* Asked, and records are on their way. */
static inline void working(scenario *s)
{
    first_pair_leaves(s);
    mpp_start(s->c[1], 0);
    mpp_service(s->p[1]);
    mpp_try_produce(s->p[1], 0, "record", 6);
    mpp_flush(s->p[1]);
}

/* Every consumer has finished; a producer is still there, and two never came. */
static inline void closed(scenario *s)
{
    come_and_go(s, 'p', 0);
    join(s, 'p', 1, 1);
    for (int j = 0; j < SIDE; j++)
        come_and_go(s, 'c', j);
}

static inline void closed_and_left(scenario *s)
{
    closed(s);
    leave(s, 'p', 1);
}

static inline void failed(scenario *s)
{
    working(s);
    fails(s->p[1], false);
}

static inline void failed_and_left(scenario *s)
{
    failed(s);
    leave(s, 'p', 1);
    leave(s, 'c', 1);
}

static inline void interrupted(scenario *s)
{
    working(s);
    fails(s->p[1], true);
}

static inline void died_unnoticed(scenario *s)
{
    come_and_go(s, 'c', 0);
    join(s, 'p', 1, 1);
    join(s, 'c', 1, 1);
    killed(s, 'p', 0);
}

static inline void died(scenario *s)
{
    died_unnoticed(s);
    until_failed(s, s->p[1], NULL);
}

static inline void consumer_died(scenario *s)
{
    come_and_go(s, 'p', 0);
    join(s, 'p', 1, 1);
    join(s, 'c', 1, 1);
    killed(s, 'c', 0);
    until_failed(s, NULL, s->c[1]);
}

static inline void died_and_left(scenario *s)
{
    killed(s, 'p', 0);
}

static inline void timed_out(scenario *s)
{
    mpp_error err;
    come_and_go(s, 'p', 0);
    if (mpp_producer_attach(s->held, &(mpp_attach_options){.index = 1, .runs = 1, .attach_timeout_ms = 2}, &s->p[1],
                            &err) < 0)
        bail_out("cannot attach: %s", err.text);
    until_failed(s, s->p[1], NULL);
}

/* A producer's position that cannot be, which its consumer finds. */
static inline void corrupt(scenario *s)
{
    mpp_batch b;
    first_pair_leaves(s);
    mpp_start(s->c[1], 0);
    store_release(&mesh_channel(s->held, 0, 1, 1)->write, UINT64_MAX - 2);
    mpp_next(s->c[1], 0, 1, &b);
}

static inline void removed(scenario *s)
{
    first_pair_leaves(s);
    mpp_mesh_remove(s->id, NULL);
}

static inline void made_again(scenario *s)
{
    removed(s);
    mpp_mesh *m =
        harness_mesh(&(mpp_mesh_options){.producers = SIDE, .consumers = SIDE, .ring_size = 64 << 10, .name = s->id});
    mpp_mesh_close(&m);
}

static inline void tie_ends(scenario *s)
{
    kill(s->tied, SIGKILL);
    harness_reap(s->tied);
    s->tied = 0;
}

static inline void tied_and_left(scenario *s)
{
    come_and_go(s, 'p', 0);
    come_and_go(s, 'c', 0);
    tie_ends(s);
}

static inline void tied(scenario *s)
{
    first_pair_leaves(s);
    tie_ends(s);
    until_failed(s, s->p[1], NULL);
}

static inline void collected(scenario *s)
{
    failed_and_left(s);
    mpp_mesh_gc(NULL, NULL, NULL);
}

static inline void unlinked(scenario *s)
{
    char path[SEGMENT_PATH_MAX];
    first_pair_leaves(s);
    if (!segment_path(s->id, path) || unlink(path) < 0)
        bail_out("cannot unlink mesh '%s': %s", s->id, strerror(errno));
}

static inline void directory_gone(scenario *s)
{
    char path[LAYOUT_SOCKET_PATH_MAX + 16];
    first_pair_leaves(s);
    snprintf(path, sizeof path, "%s/p1.sock", s->held->socket_dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/c1.sock", s->held->socket_dir);
    unlink(path);
    if (rmdir(s->held->socket_dir) < 0)
        bail_out("cannot remove '%s': %s", s->held->socket_dir, strerror(errno));
}

/* Consumer j reads what there is, and leaves. */
static inline void reads(scenario *s, int j)
{
    mpp_batch b;
    mpp_start(s->c[j], 0);
    while (mpp_next(s->c[j], 0, MPP_PRODUCER_ANY, &b) == MPP_OK)
        mpp_release(s->c[j], &b);
    leave(s, 'c', j);
}

/* Every producer has produced, and the first consumer has read what was its own. */
static inline void ended(scenario *s)
{
    for (int i = 0; i < SIDE; i++)
        join(s, 'p', i, 1);
    join(s, 'c', 0, 1);
    mpp_start(s->c[0], 0);
    for (int i = 0; i < SIDE; i++) {
        mpp_service(s->p[i]);
        for (int n = 0; n < SIDE; n++)
            mpp_try_produce(s->p[i], 0, "record", 6);
        mpp_end(s->p[i], 0);
        leave(s, 'p', i);
    }
    reads(s, 0);
}

static inline void unasked(scenario *s)
{
    for (int i = 0; i < SIDE; i++)
        come_and_go(s, 'p', i);
}

/* A producer that has runs left, when all consumers had their first. */
static inline void between_runs(scenario *s)
{
    join(s, 'p', 1, 2);
    for (int j = 0; j < SIDE; j++) {
        join(s, 'c', j, 1);
        mpp_start(s->c[j], 0);
        mpp_cancel(s->c[j], 0);
        leave(s, 'c', j);
    }
    mpp_service(s->p[1]);
}

static inline void failed_between_runs(scenario *s)
{
    between_runs(s);
    fails(s->p[1], false);
}

static inline void read_and_over(scenario *s)
{
    ended(s);
    for (int j = 1; j < SIDE; j++) {
        join(s, 'c', j, 1);
        reads(s, j);
    }
}

static inline void reader_died(scenario *s)
{
    join(s, 'p', 1, 1);
    join(s, 'c', 1, 1);
    killed(s, 'c', 0);
    mpp_try_produce(s->p[1], 0, "record", 6);
    mpp_flush(s->p[1]);
}

static const end ends[] = {
    {"fresh", fresh, "FFFF", "FFFF", MPP_S_DONE, "new", .buffer = MPP_BOUNDED},
    {"working", working, "DLFF", "DLFF", MPP_S_DONE, "live", .asked = true},
    {"closed", closed, "DLFF", "DDDD", MPP_S_DONE, "closed", .closed = true},
    {"closed, all left", closed_and_left, "DDFF", "DDDD", MPP_S_DONE, "closed", .closed = true},
    {"closed, all left, --keep", closed_and_left, "DDFF", "DDDD", MPP_S_DONE, "closed", .closed = true, .keep = true},
    {"failed", failed, "DLFF", "DLFF", MPP_S_FAILED, "failed", .buffer = MPP_BOUNDED},
    {"failed, all left", failed_and_left, "DDFF", "DDFF", MPP_S_FAILED, "failed", .buffer = MPP_BOUNDED},
    {"failed, all left, --keep", failed_and_left, "DDFF", "DDFF", MPP_S_FAILED, "failed", .keep = true},
    {"interrupted", interrupted, "DLFF", "DLFF", MPP_S_FAILED, "failed", .final = true},
    {"a producer died", died, "XLFF", "DLFF", MPP_S_DIED, "failed", .buffer = MPP_BOUNDED},
    {"a producer died, unnoticed", died_unnoticed, "XLFF", "DLFF", MPP_S_DIED, "live", .unnoticed = true},
    {"a producer died, nobody left", died_and_left, "XFFF", "FFFF", MPP_S_DIED, "live", .unnoticed = true},
    {"a consumer died", consumer_died, "DLFF", "XLFF", MPP_S_DIED, "failed", .buffer = MPP_BOUNDED},
    {"timed out", timed_out, "DLFF", "FFFF", MPP_S_TIMEOUT, "failed", .buffer = MPP_BOUNDED},
    {"corrupt", corrupt, "DLFF", "DLFF", MPP_S_CORRUPT, "failed", .buffer = MPP_BOUNDED},
    {"removed", removed, "DLFF", "DLFF", MPP_S_NO_MESH, NULL, .final = true},
    {"removed and made again", made_again, "DLFF", "DLFF", MPP_S_NO_MESH, "new", .final = true, .again = true},
    {"--pid gone, never used", tie_ends, "FFFF", "FFFF", MPP_S_DIED, "new", .tied = true, .unnoticed = true},
    {"--pid gone, all left", tied_and_left, "DFFF", "DFFF", MPP_S_DIED, "live", .tied = true, .unnoticed = true},
    {"--pid gone, all left, --keep", tied_and_left, "DFFF", "DFFF", MPP_S_DIED, "live", .tied = true, .unnoticed = true,
     .keep = true},
    {"--pid gone", tied, "DLFF", "DLFF", MPP_S_DIED, "failed", .tied = true, .final = true},
    {"failed and collected", collected, "DDFF", "DDFF", MPP_S_FAILED, NULL, .buffer = MPP_BOUNDED},
    {"unlinked by hand", unlinked, "DLFF", "DLFF", MPP_S_DONE, NULL, .buffer = MPP_BOUNDED},
    {"directory removed by hand", directory_gone, "DLFF", "DLFF", MPP_S_DONE, "live", .buffer = MPP_BOUNDED},
    {"ended, consumers never came", ended, "DDDD", "DFFF", MPP_S_DONE, "live", .buffer = MPP_BOUNDED},
    {"unasked", unasked, "DDDD", "FFFF", MPP_S_DONE, NULL, .closed = true},
    {"read and over", read_and_over, "DDDD", "DDDD", MPP_S_DONE, NULL, .closed = true},
    {"between runs", between_runs, "FLFF", "DDDD", MPP_S_DONE, "live", .owes = true},
    {"failed between runs", failed_between_runs, "FLFF", "DDDD", MPP_S_FAILED, "failed", .owes = true},
    {"overwriting: fresh", fresh, "FFFF", "FFFF", MPP_S_DONE, "new", .buffer = MPP_RING},
    {"overwriting: a reader died", reader_died, "FLFF", "XLFF", MPP_S_DONE, "live", .buffer = MPP_RING, .asked = true},
    {"overwriting: ended, readers never came", ended, "DDDD", "DFFF", MPP_S_DONE, "live", .buffer = MPP_RING},
    {"overwriting: read and over", read_and_over, "DDDD", "DDDD", MPP_S_DONE, NULL, .buffer = MPP_RING, .closed = true},
    {"overwriting: failed", failed, "DLFF", "DLFF", MPP_S_FAILED, "failed", .buffer = MPP_RING},
};
enum { ENDS = sizeof ends / sizeof *ends };

/* ---- the scenario --------------------------------------------------------------------------------- */

static inline int stay_until_killed(void *arg)
{
    (void)arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pause();
    return 0;
}

static inline void scenario_open(scenario *s, const end *e)
{
    const mpp_stream_options stream = {
        .name = "0", .format = {.delimiter = '\n'}, .separator = '\t', .buffer = e->buffer};
    *s = (scenario){.end = e, .id = "ends"};
    s->tied = e->tied ? harness_fork(stay_until_killed, NULL) : 0;
    s->held = harness_mesh(&(mpp_mesh_options){.producers = SIDE,
                                               .consumers = SIDE,
                                               .streams = &stream,
                                               .n_streams = 1,
                                               .ring_size = 64 << 10,
                                               .name = s->id,
                                               .pid = s->tied,
                                               .keep = e->keep});
}

#endif
