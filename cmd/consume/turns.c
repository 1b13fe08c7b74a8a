#include "consume/turns.h"

#include <stdio.h>
#include <stdlib.h>

/* What is held of a producer. */
typedef struct hand {
    mpp_batch batch; /* data NULL: nothing */
    size_t at;
} hand;

struct turns {
    const mpp_mesh *mesh;
    unsigned stream, n;
    unsigned turn; /* whose it is */
    hand *hands;   /* n of them */
    size_t out;    /* bytes of the record that is out; 0: none */
    bool shown;    /* one is, be it without bytes of its own */
};

turns *turns_create(const mpp_mesh *mesh, unsigned stream)
{
    turns *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    *t = (turns){.mesh = mesh, .stream = stream, .n = mpp_mesh_producers(mesh)};
    t->hands = calloc(t->n, sizeof *t->hands);
    if (!t->hands)
        turns_destroy(&t, NULL);
    return t;
}

void turns_destroy(turns **tp, mpp_consumer *c)
{
    turns *t = *tp;
    *tp = NULL;
    if (!t)
        return;
    for (unsigned i = 0; t->hands && i < t->n; i++)
        if (t->hands[i].batch.data)
            mpp_release(c, &t->hands[i].batch);
    free(t->hands);
    free(t);
}

static mpp_outcome fail(mpp_error *err, mpp_status status, const char *format, unsigned a, unsigned b)
{
    *err = (mpp_error){.status = status};
    snprintf(err->text, sizeof err->text, format, a, b);
    return MPP_ERROR;
}

static mpp_outcome see(turns *t, mpp_consumer *c, unsigned producer)
{
    hand *h = &t->hands[producer];
    if (h->batch.data)
        return MPP_OK;
    h->at = 0;
    return mpp_next(c, t->stream, (int)producer, &h->batch);
}

/* Whose turn it is has ended: then so must have all the others. */
static mpp_outcome see_end(turns *t, mpp_consumer *c, mpp_error *err)
{
    mpp_outcome all = MPP_CLOSED;
    for (unsigned i = 0; i < t->n; i++) {
        const mpp_outcome outcome = i == t->turn ? MPP_CLOSED : see(t, c, i);
        if (outcome == MPP_OK)
            return fail(err, MPP_S_ERROR,
                        "--in-turn: producer %u has ended, and producer %u has a record left: they do not take turns",
                        t->turn, i);
        if (outcome != MPP_CLOSED)
            all = outcome;
    }
    return all;
}

mpp_outcome turns_next(turns *t, mpp_consumer *c, const unsigned char **record, size_t *len, unsigned *producer,
                       mpp_error *err)
{
    hand *h = &t->hands[t->turn];
    if (t->shown) {
        h->at += t->out;
        if (h->at >= h->batch.len)
            mpp_release(c, &h->batch);
        t->shown = false;
        t->turn = (t->turn + 1) % t->n;
        h = &t->hands[t->turn];
    }
    const mpp_outcome outcome = see(t, c, t->turn);
    if (outcome == MPP_CLOSED)
        return see_end(t, c, err);
    if (outcome != MPP_OK)
        return outcome;
    t->out = 0;
    if (h->batch.len && mpp_record_next(&mpp_mesh_stream(t->mesh, t->stream)->format, mpp_mesh_max_record(t->mesh),
                                        h->batch.data + h->at, h->batch.len - h->at, &t->out) != MPP_OK)
        return fail(err, MPP_S_CORRUPT, "what producer %u sent is not a record", t->turn, 0);
    t->shown = true;
    *record = h->batch.data + h->at;
    *len = t->out;
    *producer = t->turn;
    return MPP_OK;
}
