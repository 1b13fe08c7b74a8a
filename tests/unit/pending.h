/* pending.h - many operations pending on a bounded stream, and a consumer who checks what comes of them
 *
 * Records are values (values.h) in the format u32le, of a size of which a ring of 64K holds about ten. */
#ifndef PENDING_H
#define PENDING_H

#include "rig.h"
#include "values.h"

enum { PENDING_MOST = 1000, PENDING_LEN = 6000 };

typedef struct pending {
    rig rig;
    mpp_operation op[PENDING_MOST];
    unsigned char *record[PENDING_MOST];
    unsigned accepted;
    uint64_t came[PENDING_MOST + 100]; /* numbers, in the order in which they came */
    unsigned n_came, wrong;
} pending;

static const mpp_stream_options pending_streams[] = {{.name = "a", .format = {MPP_U32LE, 0, 0}},
                                                     {.name = "b", .format = {MPP_U32LE, 0, 0}},
                                                     {.name = "c", .format = {MPP_U32LE, 0, 0}}};

/* So many streams in so many lanes (0: each its own), all asked for. */
static inline pending *pending_open(unsigned streams, unsigned lanes)
{
    pending *x = calloc(1, sizeof *x);
    mpp_mesh_options o = rig_options(pending_streams, streams, 1);
    o.lanes = lanes;
    if (!x)
        bail_out("no memory");
    rig_open(&x->rig, &o, 1, false);
    for (unsigned s = 0; s < streams; s++)
        rig_ask(&x->rig, s);
    return x;
}

static inline void pending_close(pending *x)
{
    rig_close(&x->rig);
    for (unsigned i = 0; i < x->accepted; i++)
        free(x->record[i]);
    free(x);
}

/* The next operation: value number `accepted`, of n bytes. */
static inline mpp_outcome pending_add(pending *x, unsigned stream, size_t n)
{
    const unsigned i = x->accepted;
    x->record[i] = malloc(n);
    if (!x->record[i])
        bail_out("no memory");
    value_make(x->record[i], n, i);
    const mpp_outcome outcome = mpp_produce_async(x->rig.p, stream, x->record[i], n, &x->op[i]);
    if (outcome == MPP_OK)
        x->accepted++;
    else
        free(x->record[i]);
    return outcome;
}

static inline void pending_add_many(pending *x, unsigned stream, unsigned times)
{
    while (times--)
        x->wrong += pending_add(x, stream, PENDING_LEN) != MPP_OK;
}

static inline void pending_check(pending *x, const mpp_batch *b)
{
    size_t len = 0;
    for (size_t at = 0; at < b->len; at += len) {
        uint64_t number = 0;
        if (mpp_record_next(&pending_streams[0].format, UINT32_MAX, b->data + at, b->len - at, &len) != MPP_OK ||
            !value_whole(b->data + at + 4, len - 4, &number) || x->n_came == PENDING_MOST) {
            x->wrong++;
            return;
        }
        x->came[x->n_came++] = number;
    }
}

/* Take at most `batches`; what the last call said. */
static inline mpp_outcome pending_take(pending *x, unsigned stream, unsigned batches)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_OK;
    while (batches-- && (outcome = mpp_next(x->rig.c[0], stream, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
        pending_check(x, &b);
        mpp_release(x->rig.c[0], &b);
    }
    return outcome;
}

/* So many of them stand so. */
static inline unsigned pending_count(pending *x, mpp_outcome outcome)
{
    unsigned n = 0;
    for (unsigned i = 0; i < x->accepted; i++)
        n += mpp_poll(x->rig.p, &x->op[i], NULL) == outcome;
    return n;
}

/* Both sides go on until nothing moves any more. */
static inline void pending_drain(pending *x, unsigned stream)
{
    for (unsigned idle = 0; idle < 3; idle++) {
        const unsigned before = x->n_came;
        mpp_wait(x->rig.p, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
        mpp_service(x->rig.p);
        pending_take(x, stream, 2);
        if (x->n_came != before)
            idle = 0;
    }
}

/* Did exactly those come that went through, in order? */
static inline bool pending_in_order(const pending *x)
{
    unsigned at = 0;
    for (unsigned i = 0; i < x->accepted; i++)
        if (x->op[i].outcome == MPP_OK && (at == x->n_came || x->came[at++] != i))
            return false;
    return at == x->n_came && x->wrong == 0;
}

#endif
