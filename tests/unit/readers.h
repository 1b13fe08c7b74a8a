/* readers.h - readers of buffers that overwrite, who check each value and keep account; and what writes such values
 *
 * Records are values (values.h) in the format u32le, numbered per producer from 0 in the order in which they were
 * produced. */
#ifndef READERS_H
#define READERS_H

#include "mpp-look.h"
#include "rig.h"
#include "values.h"

enum { READER_PRODUCERS = 4 };

typedef struct reader {
    mpp_consumer *c;
    uint64_t got[READER_PRODUCERS], missed[READER_PRODUCERS], next[READER_PRODUCERS];
    bool mailbox;   /* whose gaps nobody counts */
    unsigned wrong; /* torn, out of order, or a gap that is not what was missed */
} reader;

static const mpp_format readers_format = {MPP_U32LE, 0, 0};

/* One stream of that kind; P x C, the smallest ring. */
static inline mpp_mesh *readers_mesh(mpp_buffer_kind kind, unsigned producers, unsigned consumers)
{
    const mpp_stream_options s = {.name = "s", .format = readers_format, .buffer = kind};
    return harness_mesh(&(mpp_mesh_options){
        .producers = producers, .consumers = consumers, .streams = &s, .n_streams = 1, .ring_size = RIG_RING});
}

static inline reader reader_of(mpp_mesh *m, int index)
{
    reader r = {.c = harness_consumer(m, index), .mailbox = mpp_mesh_stream(m, 0)->buffer == MPP_MAILBOX};
    if (mpp_start(r.c, 0) != MPP_OK)
        bail_out("a reader cannot begin: %s", harness_cause(m));
    return r;
}

static inline void reader_check(reader *r, const mpp_batch *b)
{
    size_t len = 0;
    const unsigned p = b->producer;
    uint64_t missed = b->missed;
    for (size_t at = 0; at < b->len; at += len) {
        uint64_t number = 0;
        if (mpp_record_next(&readers_format, UINT32_MAX, b->data + at, b->len - at, &len) != MPP_OK) {
            r->wrong++;
            return;
        }
        const bool whole = value_whole(b->data + at + 4, len - 4, &number);
        r->wrong += !whole || (r->mailbox ? number < r->next[p] : number != r->next[p] + missed);
        r->next[p] = number + 1;
        r->got[p]++;
        missed = 0;
    }
    r->missed[p] += b->missed;
    r->wrong += b->len == 0;
}

/* Take at most `batches`; what the last call said. */
static inline mpp_outcome reader_take(reader *r, unsigned batches)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_OK;
    while (batches-- && (outcome = mpp_next(r->c, 0, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
        reader_check(r, &b);
        mpp_release(r->c, &b);
    }
    return outcome;
}

/* Until it says that it is over, sleeping in between. */
static inline mpp_outcome reader_read(reader *r)
{
    mpp_outcome outcome;
    while ((outcome = reader_take(r, UINT32_MAX)) == MPP_WOULD_BLOCK)
        mpp_wait(NULL, r->c, MPP_COMPUTING, NULL, 0, 0);
    return outcome;
}

typedef struct author {
    mpp_producer *p;
    mpp_overwriter *w;
    uint64_t written;
} author;

static inline author author_of(mpp_mesh *m, int index)
{
    mpp_error err;
    author a = {.p = harness_producer(m, index, 1)};
    if (mpp_overwriter_open(a.p, 0, &a.w, &err) < 0)
        bail_out("no overwriter: %s", err.text);
    return a;
}

/* A value of n bytes, at most 16K. */
static inline void author_write(author *a, size_t n)
{
    static unsigned char value[16 << 10];
    value_make(value, n, a->written++);
    mpp_produce(a->w, value, n);
}

static inline void author_write_some(author *a, unsigned times)
{
    while (times--)
        author_write(a, VALUE_LEAST + tap_random(tap_random(8) ? 200 : 10000));
}

/* What the snapshot says of producer i's share of stream 0. */
static inline mpp_share_counters author_counters(const mpp_mesh *m, unsigned i)
{
    mpp_snapshot *s;
    mpp_error err;
    if (mpp_snapshot_take(mpp_mesh_id(m), &s, &err) < 0)
        bail_out("no snapshot: %s", err.text);
    const mpp_share_counters c = s->shares[i].counters;
    mpp_snapshot_free(&s);
    return c;
}

/* Is the mesh gone?  What is left of it goes now. */
static inline bool mesh_is_gone(const char *id)
{
    mpp_error err;
    const bool gone = harness_try_open(id, &err) == MPP_S_NO_MESH;
    if (!gone)
        mpp_mesh_remove(id, NULL);
    return gone;
}

/* Close it, and see whether it went with its last participant. */
static inline bool mesh_went(mpp_mesh **m)
{
    char id[MPP_NAME_MAX + 1];
    snprintf(id, sizeof id, "%s", mpp_mesh_id(*m));
    mpp_mesh_close(m);
    return mesh_is_gone(id);
}

#endif
