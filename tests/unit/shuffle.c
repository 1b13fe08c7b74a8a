/* Several consumers, several streams: who gets which record, and what streams in one lane owe each other. */
#include "mesh/mesh.h"
#include "ways.h"

#include <xxhash.h>

/* ---- partitions: three consumers in the same thread ------------------------------------------------- */

static unsigned by_hash(const char *body, size_t n, unsigned i)
{
    (void)i;
    const char *tab = memchr(body, '\t', n);
    return (unsigned)(XXH3_64bits(body, tab ? (size_t)(tab - body) : n) % RIG_CONSUMERS);
}

static unsigned by_range(const char *body, size_t n, unsigned i)
{
    (void)i;
    const char *tab = memchr(body, '\t', n);
    char text[64] = {0};
    memcpy(text, body, tab ? (size_t)(tab - body) : n);
    return strcmp(text, "k3") < 0 ? 0 : strcmp(text, "k60") < 0 ? 1 : 2;
}

static unsigned by_turns(const char *body, size_t n, unsigned i)
{
    (void)body;
    (void)n;
    return i % RIG_CONSUMERS;
}

static unsigned to_all(const char *body, size_t n, unsigned i)
{
    (void)body;
    (void)n;
    (void)i;
    return RIG_CONSUMERS;
}

static const struct {
    const char *name, *key, *partition;
    unsigned (*target)(const char *body, size_t n, unsigned i); /* RIG_CONSUMERS: everybody */
} partitions[] = {
    {"hash", "1", NULL, by_hash},
    {"range", "1", "range:k3,k60", by_range},
    {"round robin", NULL, NULL, by_turns},
    {"broadcast", NULL, "broadcast", to_all},
};
enum { N_PARTITIONS = sizeof partitions / sizeof *partitions };

/* "k17\t..." with a value longer than a frame at times. */
static input keyed_input(size_t total)
{
    static char record[MAX_RECORD];
    input in = {.format = formats[0].format};
    while (in.framed.n < total) {
        size_t value = tap_random(50) ? tap_random(60) : tap_random(2 * FRAME_MAX);
        int n = snprintf(record, 64, "k%u\t", (unsigned)tap_random(100));
        memset(record + n, 'a' + (int)tap_random(26), value);
        input_add(&in, record, (size_t)n + value);
    }
    return in;
}

static void expect(bytes expected[RIG_CONSUMERS], const input *in, unsigned partition)
{
    for (unsigned i = 0; i < in->n; i++) {
        size_t n;
        const unsigned char *body = body_of(in, i, &n);
        unsigned target = partitions[partition].target((const char *)body, n, i);
        for (unsigned j = 0; j < RIG_CONSUMERS; j++)
            if (target == j || target == RIG_CONSUMERS)
                bytes_add(&expected[j], in->framed.data + in->at[i], in->at[i + 1] - in->at[i]);
    }
}

static void test_partition(unsigned partition, const struct way *way)
{
    rig r;
    bytes expected[RIG_CONSUMERS] = {0};
    input in = keyed_input(1 << 20);
    expect(expected, &in, partition);
    mpp_stream_options stream = stream_of(&in.format);
    stream.key = partitions[partition].key;
    stream.partition = partitions[partition].partition;
    mpp_mesh_options o = rig_options(&stream, 1, RIG_CONSUMERS);
    rig_open(&r, &o, 1, false);
    bool good = rig_ask(&r, 0) && way->in(&r, 0, &in) && rig_finish(&r, 0) && !r.torn;
    for (unsigned j = 0; j < RIG_CONSUMERS; j++) {
        good &= bytes_equal(&r.got[j][0], &expected[j]);
        bytes_free(&expected[j]);
    }
    ok(good && r.starts[0] == 1, "%s by %s: each of three consumers gets what is its own, in order",
       partitions[partition].name, way->name);
    input_free(&in);
    rig_close(&r);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of some buffers, sorted. */
static bytes sorted_lines(const bytes *parts, unsigned n_parts)
{
    bytes all = {0}, sorted = {0}, pointers = {0};
    for (unsigned i = 0; i < n_parts; i++)
        bytes_add(&all, parts[i].data, parts[i].n);
    bytes_add(&all, "", 1);
    for (char *line = strtok((char *)all.data, "\n"); line; line = strtok(NULL, "\n"))
        bytes_add(&pointers, &line, sizeof line);
    char **lines = (char **)(void *)pointers.data;
    size_t n = pointers.n / sizeof *lines;
    if (n)
        qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        bytes_add(&sorted, lines[i], strlen(lines[i]) + 1);
    bytes_free(&pointers);
    bytes_free(&all);
    return sorted;
}

/* `any`: what all get together is what was written; one that asks late gets nothing before it asks. */
static void test_any(bool all_ask)
{
    rig r;
    input in = keyed_input(1 << 20);
    mpp_stream_options stream = stream_of(&in.format);
    stream.partition = "any";
    mpp_mesh_options o = rig_options(&stream, 1, RIG_CONSUMERS);
    rig_open(&r, &o, 1, false);
    bool good = true;
    for (unsigned j = 0; j < (all_ask ? RIG_CONSUMERS : 2); j++)
        good &= mpp_start(r.c[j], 0) == MPP_OK;
    good &= mpp_service(r.p) == MPP_OK && by_feed(&r, 0, &in);
    good &= all_ask || (mpp_start(r.c[2], 0) == MPP_OK && mpp_service(r.p) == MPP_OK);
    good &= rig_finish(&r, 0) && !r.torn;
    bytes out[RIG_CONSUMERS] = {r.got[0][0], r.got[1][0], r.got[2][0]};
    bytes left = sorted_lines(&in.framed, 1), right = sorted_lines(out, RIG_CONSUMERS);
    ok(good && bytes_equal(&left, &right) && (all_ask || r.got[2][0].n == 0),
       all_ask ? "any: three consumers get everything, once" : "any: a consumer that has not asked gets nothing");
    bytes_free(&left);
    bytes_free(&right);
    input_free(&in);
    rig_close(&r);
}

static void test_any_sleeps(void)
{
    rig r;
    mpp_stream_options stream = stream_of(&formats[0].format);
    stream.partition = "any";
    mpp_mesh_options o = rig_options(&stream, 1, 2);
    rig_open(&r, &o, 1, false);
    mpp_start(r.c[0], 0);
    mpp_service(r.p);
    while (mpp_try_produce(r.p, 0, noise, 1000) == MPP_OK)
        ;
    mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    mpp_outcome outcome = mpp_try_produce(r.p, 0, noise, 1000);
    int woken = mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + 50000000);
    ok(outcome == MPP_WOULD_BLOCK && woken == 0,
       "any: with one ring full and the other not asked for, the producer sleeps");
    rig_close(&r);
}

static void test_partitions(void)
{
    harness.step = "partitions";
    for (unsigned partition = 0; partition < N_PARTITIONS; partition++)
        for (unsigned w = 0; w < N_WAYS; w++)
            if (ways[w].long_records)
                test_partition(partition, &ways[w]);
    test_any(true);
    test_any(false);
    test_any_sleeps();
}

/* Five streams, each of another format, and what is to go through them. */
typedef struct five {
    rig r;
    input in[RIG_STREAMS];
    unsigned done[RIG_STREAMS]; /* records, where they go one by one */
    int fds[RIG_STREAMS];       /* where they are read from a file; -1: at its end */
    bool good;
} five;

static void five_open(five *f, unsigned lanes, unsigned consumers)
{
    static const char *const names[RIG_STREAMS] = {"a", "b", "c", "d", "e"};
    mpp_stream_options streams[RIG_STREAMS];
    *f = (five){.good = true};
    for (unsigned s = 0; s < RIG_STREAMS; s++) {
        f->in[s] = input_random(&formats[s].format, 200000, MAX_RECORD);
        f->fds[s] = file_of(f->in[s].framed.data, f->in[s].framed.n);
        streams[s] = (mpp_stream_options){.name = names[s], .format = f->in[s].format, .partition = "broadcast"};
    }
    mpp_mesh_options o = rig_options(streams, RIG_STREAMS, consumers);
    o.lanes = lanes;
    rig_open(&f->r, &o, 1, false);
    for (unsigned s = 0; s < RIG_STREAMS; s++)
        f->good &= rig_ask(&f->r, s);
}

/* Has everything come out of all of them? */
static bool five_close(five *f)
{
    for (unsigned s = 0; s < RIG_STREAMS; s++) {
        f->good &= rig_finish(&f->r, s);
        for (unsigned j = 0; j < f->r.consumers; j++)
            f->good &= bytes_equal(&f->r.got[j][s], &f->in[s].framed);
        input_free(&f->in[s]);
        if (f->fds[s] >= 0)
            close(f->fds[s]);
    }
    f->good &= f->r.torn == 0;
    rig_close(&f->r);
    return f->good;
}

static void test_lanes(unsigned lanes)
{
    five f;
    five_open(&f, lanes, 1);
    for (unsigned left = RIG_STREAMS; left > 0 && f.good;) {
        unsigned s = (unsigned)tap_random(RIG_STREAMS);
        size_t n;
        if (f.done[s] == f.in[s].n)
            continue;
        const unsigned char *body = body_of(&f.in[s], f.done[s]++, &n);
        f.good &= rig_put(&f.r, s, body, n) == MPP_OK;
        left -= f.done[s] == f.in[s].n;
    }
    ok(five_close(&f), "five streams in %u lanes are each read whole and in order", lanes);
}

/* One read(2) of a stream's file; false: there was no room. */
static bool five_fill(five *f, unsigned s)
{
    size_t n;
    mpp_error err;
    size_t limit = 1 + (size_t)tap_random(tap_random(3) ? 200 : 20000);
    mpp_outcome outcome = mpp_fill(f->r.p, s, f->fds[s], limit, &n, &err);
    f->good &= outcome == MPP_OK || outcome == MPP_WOULD_BLOCK;
    if (outcome == MPP_OK && n == 0) {
        f->good &= fill_end(&f->r, s, &err) == MPP_OK;
        close(f->fds[s]);
        f->fds[s] = -1;
    }
    return outcome != MPP_WOULD_BLOCK;
}

/* A few bytes of each at a time, in any order: records begun in one frame go on behind those of others. */
static void test_files_in_a_lane(unsigned consumers)
{
    five f;
    five_open(&f, 1, consumers);
    for (unsigned left = RIG_STREAMS, stuck = 0; left > 0 && f.good && stuck < RIG_PATIENCE;) {
        unsigned s = (unsigned)tap_random(RIG_STREAMS);
        if (f.fds[s] < 0)
            continue;
        bool moved = five_fill(&f, s);
        stuck = moved ? 0 : stuck + 1;
        if (!moved)
            rig_turn(&f.r);
        left -= f.fds[s] < 0;
    }
    ok(five_close(&f), "five files read in turns into one lane for %u consumers come out whole and in order",
       consumers);
}

/* ---- shared lanes: what one stream's reader must not have to wait for ------------------------------- */

static const mpp_stream_options two_streams[] = {
    {.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
    {.name = "b", .format = {MPP_DELIMITED, '\n', 0}},
};

static void two_in_a_lane(rig *r)
{
    mpp_mesh_options o = rig_options(two_streams, 2, 1);
    o.lanes = 1;
    rig_open(r, &o, 1, false);
    rig_ask(r, 0);
    rig_ask(r, 1);
}

static void test_end_before_a_lane_mate(void)
{
    rig r;
    two_in_a_lane(&r);
    mpp_try_produce(r.p, 0, "of a", 4);
    mpp_end(r.p, 0);
    mpp_try_produce(r.p, 1, "of b", 4);
    mpp_flush(r.p);
    rig_take(&r, 0, 0, 1);
    ok(rig_take(&r, 0, 0, 1) == MPP_CLOSED, "a stream's end is seen although a lane mate's frame follows it");
    rig_finish(&r, 1);
    rig_close(&r);
}

/* Stream a's long record has been put together by the wait when b's frame is handed out. */
static void test_batch_beside_a_lane_mate(void)
{
    rig r;
    mpp_batch a, b, none;
    two_in_a_lane(&r);
    mpp_try_produce(r.p, 0, noise, 2 * FRAME_MAX);
    mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &a);
    mpp_release(r.c[0], &a);
    rig_take(&r, 0, 0, 1);
    mpp_try_produce(r.p, 0, noise, 2 * FRAME_MAX);
    mpp_try_produce(r.p, 1, "of b", 4);
    mpp_wait(r.p, r.c[0], MPP_COMPUTING, NULL, 0, 1);
    bool got_b = mpp_next(r.c[0], 1, MPP_PRODUCER_ANY, &b) == MPP_OK;
    bool got_a = mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &a) == MPP_OK;
    if (got_b)
        mpp_release(r.c[0], &b);
    if (got_a)
        mpp_release(r.c[0], &a);
    bool again = mpp_next(r.c[0], 1, MPP_PRODUCER_ANY, &none) == MPP_OK;
    ok(got_a && got_b && !again, "a batch is handed out once although a lane mate's is taken and released beside it");
    if (again)
        mpp_release(r.c[0], &none);
    rig_finish(&r, 0);
    rig_finish(&r, 1);
    rig_close(&r);
}

/* A long record of a is in our hands when its run is cancelled and the next one asked for; then b's frame is, too. */
static void test_release_after_the_next_start(void)
{
    rig r;
    mpp_batch a, b;
    mpp_mesh_options o = rig_options(two_streams, 2, 1);
    o.lanes = 1;
    rig_open(&r, &o, 2, false);
    rig_ask(&r, 0);
    rig_ask(&r, 1);
    mpp_try_produce(r.p, 0, noise, 2 * FRAME_MAX);
    bool got_a = mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &a) == MPP_OK;
    mpp_cancel(r.c[0], 0);
    mpp_service(r.p);
    bool asked = mpp_start(r.c[0], 0) == MPP_OK;
    mpp_try_produce(r.p, 1, "of b", 4);
    mpp_flush(r.p);
    mpp_wait(NULL, r.c[0], MPP_COMPUTING, NULL, 0, 1);
    uint64_t before = mesh_channel(r.mesh, 0, 0, 0)->read;
    bool got_b = mpp_next(r.c[0], 1, MPP_PRODUCER_ANY, &b) == MPP_OK;
    if (got_a)
        mpp_release(r.c[0], &a);
    mpp_wait(NULL, r.c[0], MPP_COMPUTING, NULL, 0, 1);
    uint64_t after = mesh_channel(r.mesh, 0, 0, 0)->read;
    ok(got_a && got_b && asked && before == after,
       "releasing a batch of a run that is over releases no lane mate's (read position %llu, then %llu)",
       (unsigned long long)before, (unsigned long long)after);
    if (got_b)
        mpp_release(r.c[0], &b);
    mpp_service(r.p);
    rig_finish(&r, 0);
    rig_finish(&r, 1);
    rig_close(&r);
}

static void test_shared_lanes(void)
{
    harness.step = "lanes";
    test_lanes(1);
    test_lanes(2);
    test_lanes(RIG_STREAMS);
    test_files_in_a_lane(1);
    test_files_in_a_lane(2);
    test_end_before_a_lane_mate();
    test_batch_beside_a_lane_mate();
    test_release_after_the_next_start();
}

int main(void)
{
    tap_seed();
    make_noise();
    harness_begin(60);
    test_partitions();
    test_shared_lanes();
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
