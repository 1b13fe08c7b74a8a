/* Several producers, held by one thread together with their consumer: whose batch comes when, what is counted, and
 * numbers that wrap. */
#include "base/atomics.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "mpp-look.h"

#include <pthread.h>

enum { PRODUCERS = 4, RING = 64 << 10, FRAME_MAX = RING / 4 - 8 };

typedef struct gather {
    mpp_mesh *mesh;
    mpp_producer *p[PRODUCERS];
    mpp_consumer *c;
} gather;

/* All have attached, and every stream is asked for. */
static void gather_open(gather *g, mpp_mesh *m)
{
    g->mesh = m;
    g->c = harness_consumer(m, 0);
    for (unsigned i = 0; i < PRODUCERS; i++)
        g->p[i] = harness_producer(m, (int)i, 1);
    mpp_start(g->c, 0);
    for (unsigned i = 0; i < PRODUCERS; i++)
        mpp_service(g->p[i]);
}

static mpp_mesh *gather_mesh(void)
{
    return harness_mesh(&(mpp_mesh_options){.producers = PRODUCERS, .consumers = 1, .ring_size = RING});
}

static void gather_close(gather *g)
{
    mpp_consumer_detach(&g->c);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        mpp_service(g->p[i]);
        mpp_producer_detach(&g->p[i]);
    }
    mpp_mesh_close(&g->mesh);
}

static void put(gather *g, unsigned i, const char *record)
{
    mpp_try_produce(g->p[i], 0, record, strlen(record));
    mpp_flush(g->p[i]);
}

static bool is(const mpp_batch *b, unsigned producer, const char *text)
{
    return b->producer == producer && b->len == strlen(text) && memcmp(b->data, text, b->len) == 0;
}

/* ---- one producer's batches ------------------------------------------------------------------------- */

static void test_each_holds_one(void)
{
    gather g;
    mpp_batch b[PRODUCERS], none;
    bool good = true;
    gather_open(&g, gather_mesh());
    for (unsigned i = 0; i < PRODUCERS; i++) {
        put(&g, i, "first");
        put(&g, i, "second");
    }
    for (unsigned i = PRODUCERS; i-- > 0;)
        good &= mpp_next(g.c, 0, (int)i, &b[i]) == MPP_OK && is(&b[i], i, "first\n");
    ok(good, "a batch of each producer can be held");
    ok(mpp_next(g.c, 0, 2, &none) == MPP_WOULD_BLOCK && mpp_next(g.c, 0, MPP_PRODUCER_ANY, &none) == MPP_WOULD_BLOCK,
       "but only one of each");
    mpp_release(g.c, &b[2]);
    ok(mpp_next(g.c, 0, MPP_PRODUCER_ANY, &b[2]) == MPP_OK && is(&b[2], 2, "second\n"),
       "when one is released, that producer's next one comes");
    for (unsigned i = 0; i < PRODUCERS; i++)
        mpp_release(g.c, &b[i]);
    for (unsigned i = 0; i < PRODUCERS; i++)
        mpp_end(g.p[i], 0);
    good = mpp_next(g.c, 0, 2, &none) == MPP_CLOSED && mpp_next(g.c, 0, 1, &b[1]) == MPP_OK;
    ok(good, "one producer's share is over when its records are, whatever others still have");
    mpp_release(g.c, &b[1]);
    gather_close(&g);
}

/* Who merges waits for one producer, and must not be woken, again and again, by what others have. */
static void test_waiting_for_one(void)
{
    gather g;
    mpp_batch b;
    gather_open(&g, gather_mesh());
    for (unsigned i = 0; i < PRODUCERS; i++)
        if (i != 2)
            put(&g, i, "ready");
    mpp_wait(NULL, g.c, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    bool empty = mpp_next(g.c, 0, 2, &b) == MPP_WOULD_BLOCK;
    int woken = mpp_wait(NULL, g.c, MPP_COMPUTING, NULL, 0, mpp_now() + 20000000);
    ok(empty && woken == 0, "who waits for one producer sleeps although others are ready");
    put(&g, 2, "at last");
    empty = mpp_next(g.c, 0, 3, &b) == MPP_OK;
    mpp_release(g.c, &b);
    ok(empty && mpp_next(g.c, 0, 3, &b) == MPP_WOULD_BLOCK, "another's batch may be taken meanwhile");
    put(&g, 3, "too");
    woken = mpp_wait(NULL, g.c, MPP_COMPUTING, NULL, 0, 0);
    ok(woken == 1 && mpp_next(g.c, 0, 3, &b) == MPP_OK && is(&b, 3, "too\n"), "and wakes when that one is ready");
    mpp_release(g.c, &b);
    mpp_cancel(g.c, 0);
    gather_close(&g);
}

static void test_fair(void)
{
    gather g;
    mpp_batch b;
    unsigned turns[PRODUCERS] = {0}, most = 0, least = UINT32_MAX;
    gather_open(&g, gather_mesh());
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < PRODUCERS; i++)
            for (unsigned k = 0; k < (i == 0 ? 5 : 1); k++)
                put(&g, i, "x");
        for (unsigned k = 0; k < PRODUCERS; k++)
            if (mpp_next(g.c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK) {
                turns[b.producer]++;
                mpp_release(g.c, &b);
            }
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        most = turns[i] > most ? turns[i] : most;
        least = turns[i] < least ? turns[i] : least;
    }
    ok(most == 1000 && least == 1000, "every producer that has something gets its turn (%u to %u of 1000)", least,
       most);
    mpp_cancel(g.c, 0);
    gather_close(&g);
}

/* ---- one participant in several handles ------------------------------------------------------------- */

static const mpp_stream_options two[] = {
    {.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
    {.name = "b", .format = {MPP_DELIMITED, '\n', 0}},
};

static mpp_producer *producer_of(mpp_mesh *m, unsigned stream)
{
    mpp_error err;
    mpp_producer *p = NULL;
    mpp_attach_options o = {.index = 0, .streams = &stream, .n_streams = 1, .runs = 1};
    if (mpp_producer_attach(m, &o, &p, &err) < 0)
        bail_out("%s", err.text);
    return p;
}

static mpp_consumer *consumer_of(mpp_mesh *m, unsigned stream)
{
    mpp_error err;
    mpp_consumer *c = NULL;
    mpp_attach_options o = {.index = 0, .streams = &stream, .n_streams = 1};
    if (mpp_consumer_attach(m, &o, &c, &err) < 0)
        bail_out("%s", err.text);
    return c;
}

static void test_a_handle_for_each_stream(void)
{
    mpp_producer *p[2];
    mpp_consumer *c[2];
    mpp_batch b;
    mpp_error err;
    bool good = true;
    mpp_mesh *m = harness_mesh(
        &(mpp_mesh_options){.producers = 1, .consumers = 1, .ring_size = RING, .streams = two, .n_streams = 2});
    for (unsigned s = 0; s < 2; s++) {
        p[s] = producer_of(m, s);
        c[s] = consumer_of(m, s);
    }
    mpp_producer *third = NULL;
    ok(mpp_producer_attach(m, &(mpp_attach_options){.index = 0}, &third, &err) < 0 && err.status == MPP_S_USAGE,
       "streams of one participant can be served by two handles, each once: %s", err.text);
    for (unsigned s = 0; s < 2; s++) {
        mpp_start(c[s], s);
        mpp_service(p[s]);
        mpp_try_produce(p[s], s, two[s].name, 1);
        mpp_end(p[s], s);
    }
    for (unsigned s = 0; s < 2; s++) {
        good &= mpp_next(c[s], s, MPP_PRODUCER_ANY, &b) == MPP_OK && b.data[0] == *two[s].name;
        mpp_release(c[s], &b);
        good &= mpp_next(c[s], s, MPP_PRODUCER_ANY, &b) == MPP_CLOSED;
    }
    ok(good, "and each gets its own");
    for (unsigned s = 0; s < 2; s++) {
        mpp_consumer_detach(&c[s]);
        mpp_producer_detach(&p[s]);
    }
    ok(harness_try_open(mpp_mesh_id(m), &err) == MPP_S_NO_MESH, "the mesh goes with the last of them");
    mpp_mesh_close(&m);
}

/* ---- counting --------------------------------------------------------------------------------------- */

static void feed_file(gather *g, unsigned i, const char *data)
{
    int fds[2];
    size_t n;
    mpp_error err;
    if (pipe(fds) < 0 || write(fds[1], data, strlen(data)) < 0)
        bail_out("pipe: %s", strerror(errno));
    close(fds[1]);
    while (mpp_fill(g->p[i], 0, fds[0], 0, &n, &err) == MPP_OK && n > 0)
        ;
    mpp_fill_end(g->p[i], 0, &err);
    close(fds[0]);
}

static void test_counts(void)
{
    gather g;
    mpp_batch b;
    mpp_totals t[PRODUCERS];
    mpp_snapshot *s = NULL;
    gather_open(&g, gather_mesh());
    mpp_producer_count(g.p[1], true);
    feed_file(&g, 0, "one\ntwo\nthree");
    feed_file(&g, 1, "one\ntwo\nthree");
    for (unsigned k = 0; k < 10; k++)
        mpp_try_produce(g.p[2], 0, "four", 4);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        mpp_producer_totals(g.p[i], 0, &t[i]);
        mpp_end(g.p[i], 0);
    }
    ok(t[0].records == UINT64_MAX && t[0].bytes == 14, "lines that are read in place are not counted, their bytes are");
    ok(t[1].records == 3 && t[1].bytes == 14, "but when it is asked for");
    ok(t[3].bytes == 0 && t[2].bytes == 50, "bytes are counted with their framing");
    while (mpp_next(g.c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK)
        mpp_release(g.c, &b);
    ok(mpp_snapshot_take(mpp_mesh_id(g.mesh), &s, NULL) == 0 && s->n_channels == 3,
       "a snapshot shows the channels in use");
    if (s) {
        const mpp_counters *c = &s->channels[1].counters;
        ok(s->channels[1].producer == 1 && c->bytes == 14 && c->records == 3 && c->frames >= 1 && c->high_water >= 14 &&
               c->high_water <= RING && s->channels[2].counters.records == 10,
           "and what went through them (%llu bytes, %llu records, %llu frames, at most %llu unread)",
           (unsigned long long)c->bytes, (unsigned long long)c->records, (unsigned long long)c->frames,
           (unsigned long long)c->high_water);
        ok(s->state == MPP_MESH_LIVE && s->n_participants == PRODUCERS + 1 && s->participants[0].role == 'p' &&
               s->participants[PRODUCERS].role == 'c' && s->participants[2].pid == getpid() && s->garbage == NULL,
           "and who is there");
    }
    mpp_snapshot_free(&s);
    gather_close(&g);
}

/* ---- numbers that wrap ------------------------------------------------------------------------------ */

/* Read until there is nothing; what the last call said.  *got grows by what was read. */
static mpp_outcome drain(gather *g, uint64_t *got)
{
    mpp_batch b;
    mpp_outcome outcome;
    while ((outcome = mpp_next(g->c, 0, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
        *got += b.len;
        mpp_release(g->c, &b);
    }
    return outcome;
}

/* One record, reading and sleeping while there is no room. */
static mpp_outcome insist(gather *g, unsigned i, size_t len, uint64_t *got)
{
    static char record[3 * FRAME_MAX];
    mpp_outcome outcome;
    while ((outcome = mpp_try_produce(g->p[i], 0, record, len)) == MPP_WOULD_BLOCK)
        if (drain(g, got) == MPP_WOULD_BLOCK)
            mpp_wait(g->p[i], g->c, MPP_COMPUTING, NULL, 0, 0);
    return outcome;
}

/* Frames, runs' beginnings and ends, and wanted positions on both sides of 2^63 and 2^64. */
static void test_positions_wrap(uint64_t start)
{
    gather g = {0};
    uint64_t sent = 0, got = 0;
    mpp_mesh *m = gather_mesh();
    harness.step = "positions that wrap";
    for (unsigned i = 0; i < PRODUCERS; i++) {
        store_relaxed(&mesh_channel(m, 0, i, 0)->write, start);
        store_relaxed(&mesh_channel(m, 0, i, 0)->read, start);
    }
    gather_open(&g, m);
    mpp_outcome outcome = MPP_OK;
    for (unsigned n = 0; n < 400 && outcome == MPP_OK; n++) {
        size_t len = tap_random(tap_random(4) ? 5000 : 3 * FRAME_MAX);
        outcome = insist(&g, n % PRODUCERS, len, &got);
        sent += len + 1;
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        mpp_end(g.p[i], 0);
    outcome = drain(&g, &got);
    ok(outcome == MPP_CLOSED && got == sent, "from position %#llx on, %llu bytes in and %llu out: %s",
       (unsigned long long)start, (unsigned long long)sent, (unsigned long long)got, harness_cause(m));
    gather_close(&g);
}

/* The 32-bit counters that tell of mail and of peers. */
static void test_counters_wrap(uint32_t before)
{
    mpp_mesh *m = gather_mesh();
    mpp_batch b;
    gather g = {.mesh = m};
    store_relaxed(&m->header->peers, before);
    for (unsigned i = 0; i < m->l.slots; i++)
        store_relaxed(&mesh_slot(m, i)->mail, before);
    g.c = harness_consumer(m, 0);
    mpp_start(g.c, 0);
    unsigned running = 0;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        g.p[i] = harness_producer(m, (int)i, 1);
        mpp_service(g.p[i]);
        running += mpp_try_produce(g.p[i], 0, "x", 1) == MPP_OK;
        mpp_end(g.p[i], 0);
    }
    unsigned got = 0;
    while (mpp_next(g.c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK) {
        got++;
        mpp_release(g.c, &b);
    }
    ok(running == PRODUCERS && got == PRODUCERS,
       "with counters of mail and peers at %#x, %u of %d producers hear that they are asked", before, running,
       PRODUCERS);
    gather_close(&g);
}

/* ---- threads ---------------------------------------------------------------------------------------- */

static void *come_and_go(void *arg)
{
    unsigned *failed = arg;
    for (unsigned i = 0; i < SCALED(200, 5); i++) {
        mpp_mesh *m = NULL;
        mpp_consumer *c = NULL;
        mpp_error err;
        if (mpp_mesh_open("crowded", &m, &err) < 0) {
            ++*failed;
            break;
        }
        if (mpp_consumer_attach(m, &(mpp_attach_options){.index = MPP_INDEX_ANY}, &c, &err) == 0)
            mpp_consumer_detach(&c);
        else
            *failed += err.status != MPP_S_USAGE; /* all taken */
        mpp_mesh_close(&m);
    }
    return NULL;
}

static void test_threads_come_and_go(void)
{
    pthread_t threads[PRODUCERS];
    unsigned failed[PRODUCERS] = {0}, sum = 0;
    harness.step = "threads that open, attach, detach and close";
    mpp_mesh *m =
        harness_mesh(&(mpp_mesh_options){.producers = 1, .consumers = 256, .ring_size = RING, .name = "crowded"});
    mpp_producer *p = harness_producer(m, 0, 0);
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_create(&threads[i], NULL, come_and_go, &failed[i]);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        sum += failed[i];
    }
    ok(sum == 0 && mpp_service(p) != MPP_GONE, "threads may open, attach, detach and close one mesh at once: %s",
       harness_cause(m));
    mpp_producer_detach(&p);
    mpp_mesh_remove("crowded", NULL);
    mpp_mesh_close(&m);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    harness.step = "several producers";
    test_each_holds_one();
    test_waiting_for_one();
    test_fair();
    test_a_handle_for_each_stream();
    test_counts();
    test_positions_wrap((UINT64_C(1) << 63) - RING);
    test_positions_wrap(UINT64_MAX - 2 * RING + 1);
    test_positions_wrap(UINT64_MAX - 7);
    test_positions_wrap((UINT64_C(1) << 32) - 8);
    harness.step = "counters that wrap";
    test_counters_wrap(UINT32_MAX);
    test_counters_wrap(UINT32_MAX - 1);
    test_counters_wrap(UINT32_MAX - 2);
    test_threads_come_and_go();
    harness_end();
    return done_testing();
}
