/* rig.h - a mesh whose producer 0 and consumers are all held by one thread, which tends whichever can go on
 *
 * Nothing here waits without a deadline: whoever cannot go on gets another try when all others had theirs, and when
 * nobody moves any more, the test fails instead of hanging. */
#ifndef RIG_H
#define RIG_H

#include "harness.h"
#include "mpp-look.h"

enum { RIG_CONSUMERS = 3, RIG_STREAMS = 5, RIG_RING = 64 << 10, RIG_PATIENCE = 200 };

typedef struct rig {
    mpp_mesh *mesh;
    mpp_producer *p;
    mpp_consumer *c[RIG_CONSUMERS];
    unsigned consumers, streams;
    unsigned starts[RIG_STREAMS], stops[RIG_STREAMS]; /* calls of each stream's source */
    bytes got[RIG_CONSUMERS][RIG_STREAMS];
    unsigned torn; /* batches that were not whole records */
} rig;

static unsigned rig_leftovers; /* meshes that did not go with their last participant */

static inline int rig_start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)run;
    (void)err;
    ((rig *)arg)->starts[stream]++;
    return 0;
}

static inline void rig_stop(void *arg, unsigned stream, unsigned run)
{
    (void)run;
    ((rig *)arg)->stops[stream]++;
}

/* Producer 0 of a mesh of one, and all its consumers (none when `alone`). */
static inline void rig_open(rig *r, const mpp_mesh_options *o, unsigned runs, bool alone)
{
    *r = (rig){.mesh = harness_mesh(o)};
    r->streams = mpp_mesh_streams(r->mesh);
    r->p = harness_producer(r->mesh, 0, runs);
    for (unsigned s = 0; s < r->streams; s++)
        mpp_register(r->p, s, &(mpp_source){rig_start, rig_stop, r});
    r->consumers = mpp_mesh_consumers(r->mesh);
    for (unsigned j = 0; !alone && j < r->consumers; j++)
        r->c[j] = harness_consumer(r->mesh, (int)j);
}

/* Everybody leaves; then the mesh must be gone, or something was not over that should be. */
static inline void rig_close(rig *r)
{
    char id[MPP_NAME_MAX + 1];
    snprintf(id, sizeof id, "%s", mpp_mesh_id(r->mesh));
    for (unsigned j = 0; j < r->consumers; j++)
        mpp_consumer_detach(&r->c[j]);
    if (r->p)
        mpp_service(r->p);
    mpp_producer_detach(&r->p);
    mpp_mesh_close(&r->mesh);
    for (unsigned j = 0; j < RIG_CONSUMERS; j++)
        for (unsigned s = 0; s < RIG_STREAMS; s++)
            bytes_free(&r->got[j][s]);
    mpp_mesh *still;
    if (mpp_mesh_open(id, &still, NULL) == 0) {
        diag("mesh %s is still there, its cause: %s", id, harness_cause(still));
        mpp_mesh_close(&still);
        mpp_mesh_remove(id, NULL);
        rig_leftovers++;
    }
}

/* One stream, one producer, so many consumers, the smallest ring. */
static inline mpp_mesh_options rig_options(const mpp_stream_options *streams, unsigned n, unsigned consumers)
{
    return (mpp_mesh_options){
        .producers = 1, .consumers = consumers, .streams = streams, .n_streams = n, .ring_size = RIG_RING};
}

static inline bool rig_whole_records(const rig *r, unsigned stream, const unsigned char *p, size_t n)
{
    size_t at = 0, len;
    while (at < n &&
           mpp_record_next(&mpp_mesh_stream(r->mesh, stream)->format, UINT64_MAX / 2, p + at, n - at, &len) == MPP_OK)
        at += len;
    return n > 0 && at == n;
}

/* Take at most `batches` that are there for consumer j; what the last call said. */
static inline mpp_outcome rig_take(rig *r, unsigned j, unsigned stream, unsigned batches)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_OK;
    while (batches-- && (outcome = mpp_next(r->c[j], stream, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
        bytes_add(&r->got[j][stream], b.data, b.len);
        r->torn += !rig_whole_records(r, stream, b.data, b.len);
        mpp_release(r->c[j], &b);
    }
    return outcome;
}

/* Everybody does what can be done without another record: control, data, deferred news. */
static inline void rig_turn(rig *r)
{
    if (r->p)
        mpp_service(r->p);
    for (unsigned j = 0; j < r->consumers; j++)
        for (unsigned s = 0; r->c[j] && s < r->streams; s++)
            rig_take(r, j, s, UINT32_MAX);
    for (unsigned j = 0; j < r->consumers; j++)
        if (r->c[j])
            mpp_wait(NULL, r->c[j], MPP_COMPUTING, NULL, 0, 1);
    if (r->p)
        mpp_wait(r->p, NULL, MPP_COMPUTING, NULL, 0, 1);
}

/* Every consumer asks for the next run of the stream, and the producer hears of it. */
static inline bool rig_ask(rig *r, unsigned stream)
{
    bool asked = true;
    for (unsigned j = 0; j < r->consumers; j++)
        asked &= mpp_start(r->c[j], stream) == MPP_OK;
    return mpp_service(r->p) == MPP_OK && asked;
}

/* One record, however many tries it takes; MPP_WOULD_BLOCK: nobody moves any more. */
static inline mpp_outcome rig_put(rig *r, unsigned stream, const void *record, size_t len)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < RIG_PATIENCE && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = mpp_try_produce(r->p, stream, record, len);
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
    }
    return outcome;
}

/* Until consumer j's stream says something other than MPP_WOULD_BLOCK. */
static inline mpp_outcome rig_await(rig *r, unsigned j, unsigned stream)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < RIG_PATIENCE && outcome == MPP_WOULD_BLOCK; tries++) {
        rig_turn(r);
        outcome = rig_take(r, j, stream, UINT32_MAX);
    }
    return outcome;
}

/* End the stream; has it ended for every consumer by then? */
static inline bool rig_finish(rig *r, unsigned stream)
{
    bool closed = true;
    mpp_end(r->p, stream);
    for (unsigned j = 0; j < r->consumers; j++)
        closed &= rig_await(r, j, stream) == MPP_CLOSED;
    return closed;
}

#endif
