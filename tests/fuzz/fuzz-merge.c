/* fuzz-merge - the k-way merge, of producers that give any records in any batches, against the obvious way
 *
 * Shows that sorted producers come out as a sort of all of them, stable or not, that the first record out of order of
 * one that is not is an error that names it, that what is no record is an error, and that every batch is given back.
 * There are no producers: the merge asks through mpp_next() and mpp_release(), which the linker wraps (-Wl,--wrap), so
 * that they are ours here. */
#include "place.h"

#include "consume/merge.h"
#include "mpp-look.h"

mpp_outcome __wrap_mpp_next(mpp_consumer *c, unsigned stream, int producer, mpp_batch *batch);
void __wrap_mpp_release(mpp_consumer *c, mpp_batch *batch);

enum { PRODUCERS = 3, RECORDS = 64, STREAMS = 6 };

/* ---- the producers ----------------------------------------------------------------------------------- */

typedef struct source {
    unsigned char *data;
    size_t n, at;
    food cuts; /* how long its batches are */
    bool held, late;
    size_t records; /* whole ones that are in order, all from the beginning */
    bool bad;       /* what follows them is not one of these */
} source;

static source sources[PRODUCERS];
static mpp_mesh *mesh;

void __wrap_mpp_release(mpp_consumer *c, mpp_batch *batch)
{
    (void)c;
    must(sources[batch->producer].held, "a batch of producer %u is given back that is not out", batch->producer);
    sources[batch->producer].held = false;
    memset((void *)(uintptr_t)batch->data, 0x55, batch->len); /* nobody may look at it any more */
    batch->data = NULL;
}

/* As many whole records as the cuts say; behind the last whole one, what is left. */
static size_t batch_size(const source *s, const mpp_format *f, unsigned most)
{
    size_t n = 0, len;
    while (most-- &&
           mpp_record_next(f, mpp_mesh_max_record(mesh), s->data + s->at + n, s->n - s->at - n, &len) == MPP_OK)
        n += len;
    return n ? n : s->n - s->at;
}

mpp_outcome __wrap_mpp_next(mpp_consumer *c, unsigned stream, int producer, mpp_batch *batch)
{
    source *s = &sources[producer];
    (void)c;
    must(!s->held, "producer %d is asked while its batch is out", producer);
    s->late = !s->late && food_below(&s->cuts, 3) == 0;
    if (s->late)
        return MPP_WOULD_BLOCK;
    if (s->at == s->n)
        return MPP_CLOSED;
    const size_t n = batch_size(s, &mpp_mesh_stream(mesh, stream)->format, 1 + food_below(&s->cuts, 4));
    *batch = (mpp_batch){.data = s->data + s->at, .len = n, .producer = (unsigned)producer, .stream = stream};
    s->held = true;
    s->at += n;
    return MPP_OK;
}

/* ---- the obvious way --------------------------------------------------------------------------------- */

typedef struct record {
    const unsigned char *p;
    size_t n;
    unsigned producer;
} record;

static bool stable;

static int ordered(unsigned stream, const unsigned char *a, size_t a_n, const unsigned char *b, size_t b_n)
{
    return stable ? mpp_record_compare(mesh, stream, a, a_n, b, b_n) : mpp_record_order(mesh, stream, a, a_n, b, b_n);
}

static void collect(source *s, unsigned producer, unsigned stream, const unsigned char *copy, record *all,
                    size_t *count)
{
    size_t at = 0, len;
    const mpp_format *f = &mpp_mesh_stream(mesh, stream)->format;
    const record *last = NULL;
    for (; at < s->n; at += len) {
        if (mpp_record_next(f, mpp_mesh_max_record(mesh), copy + at, s->n - at, &len) != MPP_OK)
            break;
        if (*count == (size_t)(producer + 1) * RECORDS) { /* enough: it ends here */
            s->n = at;
            return;
        }
        if (last && ordered(stream, last->p, last->n, copy + at, len) > 0)
            break;
        all[*count] = (record){copy + at, len, producer};
        last = &all[(*count)++];
        s->records++;
    }
    s->bad = at < s->n;
}

/* Which of the records that are next of each producer comes first. */
static int least(unsigned stream, record *const next[PRODUCERS])
{
    int best = -1;
    for (int i = 0; i < PRODUCERS; i++)
        if (next[i] && (best < 0 || ordered(stream, next[i]->p, next[i]->n, next[best]->p, next[best]->n) < 0))
            best = i;
    return best;
}

/* ---- both -------------------------------------------------------------------------------------------- */

static mpp_outcome next(merge *m, const unsigned char **p, size_t *n, unsigned *producer, mpp_error *err)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; outcome == MPP_WOULD_BLOCK; tries++) {
        must(tries < 3 * PRODUCERS, "nobody is late for ever");
        outcome = merge_next(m, NULL, p, n, producer, err);
    }
    return outcome;
}

static void check(unsigned stream, record *all)
{
    merge *m = merge_create(mesh, stream, stable);
    record *at[PRODUCERS];
    size_t left[PRODUCERS];
    bool bad = false;
    record *r = all;
    for (unsigned i = 0; i < PRODUCERS; r += sources[i++].records) {
        at[i] = sources[i].records ? r : NULL;
        left[i] = sources[i].records;
        bad |= sources[i].bad;
    }
    for (;;) {
        const unsigned char *p;
        size_t n;
        unsigned producer;
        mpp_error err;
        const int wanted = least(stream, at);
        const mpp_outcome outcome = next(m, &p, &n, &producer, &err);
        must(outcome != MPP_CLOSED || (wanted < 0 && !bad), "it ends");
        must(outcome != MPP_ERROR || (bad && *err.text), "%s", err.text);
        if (outcome != MPP_OK)
            break;
        must(wanted >= 0 && producer == (unsigned)wanted, "a record of producer %u, not %d", producer, wanted);
        must(n == at[wanted]->n && memcmp(p, at[wanted]->p, n) == 0, "its %zu bytes", n);
        at[wanted] = --left[wanted] ? at[wanted] + 1 : NULL;
    }
    merge_destroy(&m, NULL);
    for (unsigned i = 0; i < PRODUCERS; i++)
        must(!sources[i].held, "the batch of producer %u was not given back", i);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const mpp_stream_options streams[STREAMS] = {
        {.name = "lines", .format = {MPP_DELIMITED, '\n', 0}},
        {.name = "first", .format = {MPP_DELIMITED, '\n', 0}, .key = "1", .separator = ' '},
        {.name = "numbers", .format = {MPP_DELIMITED, '\n', 0}, .key = "2nr,1", .separator = ' '},
        {.name = "human", .format = {MPP_DELIMITED, 0, 0}, .key = "1h", .separator = ' '},
        {.name = "fixed", .format = {MPP_FIXED, 0, 3}},
        {.name = "prefixed", .format = {MPP_U32LE, 0, 0}, .key = "1f", .separator = ' '},
    };
    (void)argc;
    (void)argv;
    place_make();
    mesh = harness_mesh(&(mpp_mesh_options){
        .producers = PRODUCERS, .consumers = 1, .streams = streams, .n_streams = STREAMS, .max_record = 100});
    mpp_mesh_remove(mpp_mesh_id(mesh), NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food f = {data, size};
    record all[PRODUCERS * RECORDS];
    unsigned char *copies[PRODUCERS];
    size_t count = 0;
    const unsigned choice = food_below(&f, 2 * STREAMS), stream = choice % STREAMS;
    stable = choice >= STREAMS;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        const food cuts = food_part(&f, 8), mine = food_part(&f, i + 1 < PRODUCERS ? food_byte(&f) : f.n);
        sources[i] = (source){.data = food_copy(mine), .n = mine.n, .cuts = cuts};
        copies[i] = food_copy(mine);
        collect(&sources[i], i, stream, copies[i], all, &count);
    }
    check(stream, all);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        free(sources[i].data);
        free(copies[i]);
    }
    return 0;
}
