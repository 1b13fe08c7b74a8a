/* world.h - who is left when somebody was killed: a rig's endpoints in this process, and what they are promised
 *
 * The victim is producer 0 or consumer 0 of a small mesh, all others are ours.  The producer's records are the same
 * each time.  What it had published when it died is read off the rings, so that we know to the byte what must be
 * delivered. */
#ifndef WORLD_H
#define WORLD_H

#include "base/atomics.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "rig.h"
#include "shm/layout.h"
#include "shm/segment.h"

enum { WORLD_WARM = 10, WORLD_RECORDS = WORLD_WARM + 9, WORLD_LONGEST = 20000 };
#define WORLD_PATIENCE INT64_C(5000000000)

/* The first of them fill most of a ring: what follows wraps.  One is longer than a frame. */
static const unsigned world_lengths[WORLD_RECORDS] = {5000, 5000, 5000, 5000, 5000,  5000, 5000, 5000, 5000, 5000,
                                                      4,    0,    17,   300,  20000, 3,    0,    9000, 1};

typedef struct world {
    rig rig;
    char role; /* of the victim */
    pid_t victim;
    unsigned run;                    /* that its stream is in at last */
    bool asleep;                     /* we have armed */
    bool ended;                      /* our producer has ended its stream */
    const char *wrong;               /* what was not as promised, or NULL */
    mpp_outcome said[RIG_CONSUMERS]; /* each of our consumers' last word; of our producer in [0] */
    /* of each channel of producer 0: */
    unsigned char *ring[RIG_CONSUMERS];
    uint64_t walked[RIG_CONSUMERS];    /* frames up to here are counted in ... */
    uint64_t published[RIG_CONSUMERS]; /* ... bytes of records */
    /* when the victim died: */
    bool live, done, over[RIG_CONSUMERS];
    mpp_error cause;
} world;

static inline void world_wrong(world *w, const char *what)
{
    if (!w->wrong)
        w->wrong = what;
}

static inline const char *world_record(unsigned i, size_t *len)
{
    static char text[WORLD_RECORDS][WORLD_LONGEST];
    *len = world_lengths[i];
    if (*len > 0 && !text[i][0])
        memset(text[i], 'a' + (int)i, *len);
    return text[i];
}

/* What consumer j of n gets of all records. */
static inline bytes world_expected(unsigned j, unsigned n)
{
    bytes all = {0};
    for (unsigned i = j; i < WORLD_RECORDS; i += n) {
        size_t len;
        const char *record = world_record(i, &len);
        bytes_add(&all, record, len);
        bytes_add(&all, "\n", 1);
    }
    return all;
}

/* ---- before ------------------------------------------------------------------------------------------ */

static inline void world_make(world *w, char role, unsigned streams, unsigned consumers)
{
    static const mpp_stream_options two[] = {{.name = "a", .format = {.delimiter = '\n'}, .separator = '\t'},
                                             {.name = "b", .format = {.delimiter = '\n'}, .separator = '\t'}};
    mpp_mesh_options o = rig_options(two, streams, consumers);
    *w = (world){.rig = {.mesh = harness_mesh(&o), .streams = streams, .consumers = consumers}, .role = role, .run = 1};
    const layout *l = &w->rig.mesh->l;
    for (unsigned j = 0; j < consumers; j++) {
        uint64_t at = layout_ring_offset(l, layout_channel_number(l, 0, 0, j));
        w->ring[j] = segment_map_twice(w->rig.mesh->segment, at, l->ring_size);
        if (!w->ring[j])
            bail_out("cannot map a ring: %s", strerror(errno));
    }
}

static inline void world_producer(world *w)
{
    w->rig.p = harness_producer(w->rig.mesh, 0, 1);
    for (unsigned s = 0; s < w->rig.streams; s++)
        mpp_register(w->rig.p, s, &(mpp_source){rig_start, rig_stop, &w->rig});
}

static inline void world_consumers(world *w, bool ask)
{
    for (unsigned j = w->role == 'c'; j < w->rig.consumers; j++) {
        w->rig.c[j] = harness_consumer(w->rig.mesh, (int)j);
        for (unsigned s = 0; ask && s < w->rig.streams; s++)
            mpp_start(w->rig.c[j], s);
    }
}

/* Records from .. to - 1 into stream 0; false: no room. */
static inline bool world_produce(mpp_producer *p, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        size_t len;
        const char *record = world_record(i, &len);
        if (mpp_try_produce(p, 0, record, len) != MPP_OK)
            return false;
        if (i % 3 == 2)
            mpp_flush(p);
    }
    return true;
}

/* ---- while it lives ---------------------------------------------------------------------------------- */

/* Count the records' bytes in the frames that were published since. */
static inline void world_walk(world *w)
{
    const layout *l = &w->rig.mesh->l;
    for (unsigned j = 0; j < w->rig.consumers; j++) {
        const uint64_t write = load_acquire(&mesh_channel(w->rig.mesh, 0, 0, j)->write);
        while (w->walked[j] < write) {
            const layout_frame *f = (const layout_frame *)(w->ring[j] + (w->walked[j] & (l->ring_size - 1)));
            w->published[j] += f->len & ~LAYOUT_CONTINUED;
            w->walked[j] += layout_frame_size(f->len & ~LAYOUT_CONTINUED);
        }
        if (w->walked[j] != write)
            world_wrong(w, "what was published is not whole frames");
    }
}

/* All that our endpoints can do now. */
static inline void world_tend(world *w)
{
    world_walk(w);
    if (w->rig.p)
        w->said[0] = mpp_service(w->rig.p);
    for (unsigned j = 0; j < w->rig.consumers; j++)
        for (unsigned s = 0; w->rig.c[j] && s < w->rig.streams; s++) {
            const mpp_outcome said = rig_take(&w->rig, j, s, UINT32_MAX);
            w->said[j] = s == 0 ? said : w->said[j];
        }
}

static inline int world_fd(const world *w)
{
    const rig *r = &w->rig;
    return r->p ? mpp_producer_fd(r->p) : r->c[0] ? mpp_consumer_fd(r->c[0]) : -1;
}

/* Our first endpoint goes to sleep, when there is nothing to do for it. */
static inline void world_sleep(world *w)
{
    for (unsigned tries = 0; !w->asleep && tries < RIG_PATIENCE && world_fd(w) >= 0; tries++) {
        world_tend(w);
        w->asleep = mpp_arm(w->rig.p, w->rig.p ? NULL : w->rig.c[0], MPP_COMPUTING);
        if (!w->asleep)
            mpp_disarm(w->rig.p, w->rig.p ? NULL : w->rig.c[0]);
    }
}

/* It is woken, if it has to be: within a time in which nothing else could have woken it. */
static inline void world_wake(world *w, bool must)
{
    struct pollfd fd = {world_fd(w), POLLIN, 0};
    if (!w->asleep)
        return;
    if (poll(&fd, 1, must ? (int)(WORLD_PATIENCE / 1000000) : 0) == 0 && must)
        world_wrong(w, "who slept is not woken");
    mpp_disarm(w->rig.p, w->rig.p ? NULL : w->rig.c[0]);
    w->asleep = false;
}

/* ---- when it is dead --------------------------------------------------------------------------------- */

/* What the dead one has left in shared memory decides what is promised. */
static inline void world_note(world *w)
{
    const mpp_mesh *m = w->rig.mesh;
    if (!m)
        return;
    for (unsigned lane = 0; lane < m->l.lanes; lane++) {
        const uint32_t state = load_acquire(&mesh_endpoint_slot(m, lane, w->role, 0)->state);
        w->live |= state == LAYOUT_LIVE;
        w->done |= state == LAYOUT_DONE;
    }
    for (unsigned j = 0; j < w->rig.consumers; j++)
        w->over[j] = load_acquire(&layout_end_of(&m->l, mesh_channel(m, 0, 0, j), 0)->word) ==
                     ((uint64_t)w->run << 8 | LAYOUT_ENDED);
    mpp_mesh_cause(m, &w->cause);
    world_walk(w);
}

static inline bool world_settled(const world *w)
{
    for (unsigned j = 0; j < w->rig.consumers; j++)
        if ((w->rig.c[j] || (j == 0 && w->rig.p)) && w->said[j] != MPP_GONE && w->said[j] != MPP_CLOSED)
            return false;
    return true;
}

/* Until all of ours know how it ended; never longer than our patience. */
static inline void world_settle(world *w)
{
    const int64_t end = mpp_now() + WORLD_PATIENCE;
    for (;;) {
        world_tend(w);
        if (world_settled(w))
            return;
        if (mpp_now() > end) {
            world_wrong(w, "somebody hangs");
            return;
        }
        for (unsigned j = 0; j < w->rig.consumers; j++)
            if (w->rig.c[j] && w->said[j] == MPP_WOULD_BLOCK)
                mpp_wait(NULL, w->rig.c[j], MPP_COMPUTING, NULL, 0, end);
        if (w->rig.p && w->said[0] == MPP_OK) {
            world_produce(w->rig.p, WORLD_RECORDS - 1, WORLD_RECORDS);
            mpp_wait(w->rig.p, NULL, MPP_COMPUTING, NULL, 0, end);
        }
    }
}

/* The cause is the death, unless the dead one had said another. */
static inline void world_check_cause(world *w)
{
    mpp_error cause = {0};
    char who[48];
    snprintf(who, sizeof who, "%s 0 (pid %d", w->role == 'p' ? "producer" : "consumer", (int)w->victim);
    mpp_mesh_cause(w->rig.mesh, &cause);
    const bool said = w->cause.status != MPP_S_DONE;
    if (!strstr(cause.text, who) || (said ? strcmp(cause.text, w->cause.text) != 0 : cause.status != MPP_S_DIED))
        world_wrong(w, "the cause is not the death");
}

/* Bytes of whole records in the first n. */
static inline size_t world_whole(const bytes *b, uint64_t n)
{
    while (n > 0 && b->data[n - 1] != '\n')
        n--;
    return (size_t)n;
}

/* What consumer j of ours has got: all of the records that were published whole, and not a byte more. */
static inline void world_check_got(world *w, unsigned j, bool everything)
{
    bytes all = world_expected(j, w->rig.consumers);
    if (w->published[j] > all.n) {
        world_wrong(w, "more was published than was produced");
        w->published[j] = all.n;
    }
    const bytes *got = &w->rig.got[j][0];
    const size_t n = everything ? all.n : world_whole(&all, w->published[j]);
    if (got->n != n)
        world_wrong(w, got->n < n ? "less was delivered than was published" : "more was delivered than was published");
    else if (n > 0 && memcmp(got->data, all.data, n) != 0)
        world_wrong(w, "what was delivered is not what was produced");
    if (w->rig.torn)
        world_wrong(w, "half a record was delivered");
    bytes_free(&all);
}

/* The place is free, and whoever takes it gets on as if nothing had happened. */
static inline void world_replace(world *w)
{
    rig *r = &w->rig;
    if (w->role == 'p')
        world_producer(w);
    else
        r->c[0] = harness_consumer(r->mesh, 0);
    for (unsigned j = 0; j < r->consumers && w->role == 'c'; j++)
        for (unsigned s = 0; s < r->streams; s++)
            if (j == 0 && mpp_start(r->c[j], s) != MPP_OK)
                world_wrong(w, "who takes the place cannot ask");
    rig_turn(r);
    for (unsigned i = 0; i < WORLD_RECORDS; i++) {
        size_t len;
        const char *record = world_record(i, &len);
        if (rig_put(r, 0, record, len) != MPP_OK)
            world_wrong(w, "who takes the place cannot produce");
    }
    for (unsigned s = 0; s < r->streams; s++)
        if (!rig_finish(r, s))
            world_wrong(w, "who takes the place cannot end");
    for (unsigned j = 0; j < r->consumers; j++)
        world_check_got(w, j, true);
}

/* ---- afterwards -------------------------------------------------------------------------------------- */

/* Ours leave; what the last one could not take along is collected. */
static inline void world_end(world *w)
{
    rig *r = &w->rig;
    char id[MPP_NAME_MAX + 1] = "stepped";
    mpp_error err;
    if (r->mesh)
        snprintf(id, sizeof id, "%s", mpp_mesh_id(r->mesh));
    for (unsigned j = 0; j < r->consumers; j++) {
        segment_unmap_twice(w->ring[j], r->mesh->l.ring_size);
        mpp_consumer_detach(&r->c[j]);
        bytes_free(&r->got[j][0]);
    }
    mpp_producer_detach(&r->p);
    mpp_mesh_close(&r->mesh);
    if (harness_count(false) > 0)
        mpp_mesh_gc(NULL, NULL, &err);
    if (r->streams && !w->live && !w->done) /* it was never there: the mesh is as good as new */
        mpp_mesh_remove(id, NULL);
    if (harness_count(w->wrong == NULL) > 0)
        world_wrong(w, "something is left behind");
    mpp_mesh_remove(id, NULL);
}

#endif
