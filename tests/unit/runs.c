/* Runs of a stream, one after the other, each cancelled at a random point or read to its end: nothing of one ever turns
 * up in another, and nobody waits for ever.  First in one thread, step by random step; then between threads that
 * sleep. */
#include "mpp-look.h"
#include "rig.h"

#include <pthread.h>

enum { MANY_RUNS = 1000, RUNS = 300 };

/* ---- step by step ----------------------------------------------------------------------------------- */

enum { TOTALS = 8 };

/* One stream: what each consumer is in the middle of, and what it should find there: records "run number", dealt in
 * turns. */
typedef struct flow {
    struct model *model;
    unsigned stream;
    unsigned run, sent; /* the producer's, as its source was told */
    bool running;
    unsigned totals[TOTALS]; /* records of the last runs that ended well */
    unsigned asked[RIG_CONSUMERS], have[RIG_CONSUMERS];
    bool reading[RIG_CONSUMERS];
} flow;

typedef struct model {
    rig r;
    flow flows[2];
    unsigned wrong, short_runs, whole_runs, cancelled, empty_runs;
    bool alone; /* each stream has a lane to itself */
} model;

static int flow_start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    flow *f = arg;
    (void)err;
    f->model->wrong += f->running || run <= f->run || stream != f->stream;
    f->run = run;
    f->sent = 0;
    f->running = true;
    return 0;
}

static void flow_stop(void *arg, unsigned stream, unsigned run)
{
    flow *f = arg;
    f->model->wrong += !f->running || run != f->run || stream != f->stream;
    f->running = false;
}

static void flow_end(flow *f)
{
    f->totals[f->run % TOTALS] = f->sent;
    f->running = false;
    mpp_end(f->model->r.p, f->stream);
}

/* As many records as go, at most n. */
static void flow_produce(flow *f, unsigned n)
{
    char text[64];
    for (; n && f->running; n--) {
        size_t len = (size_t)snprintf(text, sizeof text, "%u %u %c", f->run, f->sent, 'a' + (char)f->stream);
        if (mpp_try_produce(f->model->r.p, f->stream, text, len) != MPP_OK)
            return;
        f->sent++;
    }
}

static void flow_check(flow *f, unsigned j, const mpp_batch *b)
{
    const char *at = (const char *)b->data, *end = at + b->len;
    while (at < end) {
        char *rest;
        unsigned long run = strtoul(at, &rest, 10), number = strtoul(rest, &rest, 10);
        f->model->wrong += run != f->asked[j] || number != f->have[j] * f->model->r.consumers + j ||
                           rest[1] != 'a' + (char)f->stream || rest[2] != '\n';
        f->have[j]++;
        at = rest + 3;
    }
}

static void flow_closed(flow *f, unsigned j)
{
    unsigned total = f->totals[f->asked[j] % TOTALS], consumers = f->model->r.consumers;
    f->model->short_runs += f->have[j] != (total + consumers - 1 - j) / consumers;
    f->model->whole_runs++;
    f->reading[j] = false;
    const bool empty = mpp_run_empty(f->model->r.c[j], f->stream);
    f->model->wrong += empty && (total || j);
    f->model->empty_runs += empty;
}

static void flow_read(flow *f, unsigned j)
{
    mpp_batch b;
    mpp_outcome outcome = mpp_next(f->model->r.c[j], f->stream, MPP_PRODUCER_ANY, &b);
    if (outcome == MPP_OK) {
        flow_check(f, j, &b);
        mpp_release(f->model->r.c[j], &b);
    } else if (outcome == MPP_CLOSED) {
        flow_closed(f, j);
    }
}

static void flow_ask(flow *f, unsigned j)
{
    if (f->reading[j] || mpp_start(f->model->r.c[j], f->stream) != MPP_OK)
        return;
    f->asked[j]++;
    f->have[j] = 0;
    f->reading[j] = true;
}

static void flow_cancel(flow *f, unsigned j)
{
    mpp_cancel(f->model->r.c[j], f->stream);
    f->model->cancelled += f->reading[j];
    f->reading[j] = false;
}

static unsigned flow_latest(const flow *f)
{
    unsigned n = 0;
    for (unsigned j = 0; j < f->model->r.consumers; j++)
        n = f->asked[j] > n ? f->asked[j] : n;
    return n;
}

static unsigned flow_earliest(const flow *f)
{
    unsigned n = UINT32_MAX;
    for (unsigned j = 0; j < f->model->r.consumers; j++)
        n = f->asked[j] < n ? f->asked[j] : n;
    return n;
}

static bool flow_reads(const flow *f)
{
    for (unsigned j = 0; j < f->model->r.consumers; j++)
        if (f->reading[j])
            return true;
    return false;
}

/* Another process would go on where this one left: its runs' numbers are in the mesh. */
static void model_replace(model *m, unsigned j)
{
    for (unsigned s = 0; s < m->r.streams; s++) {
        m->cancelled += m->flows[s].reading[j];
        m->flows[s].reading[j] = false;
    }
    mpp_consumer_detach(&m->r.c[j]);
    m->r.c[j] = harness_consumer(m->r.mesh, (int)j);
}

static void model_wait(model *m)
{
    for (unsigned j = 0; j < m->r.consumers; j++)
        mpp_wait(NULL, m->r.c[j], MPP_COMPUTING, NULL, 0, 1);
    mpp_wait(m->r.p, NULL, MPP_COMPUTING, NULL, 0, 1);
}

/* One step of a random participant. */
static void model_step(model *m)
{
    unsigned j = (unsigned)tap_random(m->r.consumers);
    flow *f = &m->flows[tap_random(m->r.streams)];
    switch (tap_random(12)) {
    case 0:
    case 1:
    case 2:
        mpp_service(m->r.p);
        break;
    case 3:
    case 4:
        flow_produce(f, (unsigned)tap_random(tap_random(8) ? 30 : 10000));
        break;
    case 5:
        if (f->running && tap_random(3) == 0)
            flow_end(f);
        break;
    case 6:
        if (tap_random(3) == 0)
            flow_cancel(f, j);
        break;
    case 7:
        if (tap_random(30) == 0)
            model_replace(m, j);
        else
            model_wait(m);
        break;
    case 8:
        flow_ask(f, j);
        break;
    default:
        if (f->reading[j])
            flow_read(f, j);
    }
}

static unsigned model_earliest(const model *m)
{
    unsigned n = flow_earliest(&m->flows[0]);
    for (unsigned s = 1; s < m->r.streams; s++)
        n = flow_earliest(&m->flows[s]) < n ? flow_earliest(&m->flows[s]) : n;
    return n;
}

/* Everybody gives up what it has and asks until all are in one new run. */
static bool model_meet(model *m, flow *f)
{
    unsigned run = flow_latest(f) + 1;
    for (unsigned tries = 0; tries < 100 * RIG_PATIENCE; tries++) {
        for (unsigned j = 0; j < m->r.consumers; j++) {
            if (f->asked[j] < run)
                flow_cancel(f, j);
            flow_ask(f, j);
        }
        mpp_service(m->r.p);
        if (f->running && f->run == run && flow_earliest(f) == run)
            return true;
    }
    return false;
}

static bool model_whole_runs(model *m, unsigned records)
{
    bool reading = true;
    for (unsigned tries = 0; tries < 1000 * RIG_PATIENCE && reading; tries++) {
        reading = false;
        for (unsigned s = 0; s < m->r.streams; s++) {
            flow *f = &m->flows[s];
            flow_produce(f, records - f->sent);
            if (f->running && f->sent == records)
                flow_end(f);
            for (unsigned j = 0; j < m->r.consumers; j++)
                if (f->reading[j])
                    flow_read(f, j);
            reading |= flow_reads(f);
        }
        model_wait(m);
    }
    return !reading;
}

static void model_open(model *m, unsigned consumers, unsigned streams, unsigned lanes)
{
    static const mpp_stream_options two[] = {
        {.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
        {.name = "b", .format = {MPP_DELIMITED, '\n', 0}},
    };
    mpp_mesh_options o = rig_options(two, streams, consumers);
    *m = (model){0};
    o.lanes = lanes;
    m->alone = lanes == streams;
    rig_open(&m->r, &o, 0, false);
    for (unsigned s = 0; s < streams; s++) {
        m->flows[s] = (flow){.model = m, .stream = s};
        mpp_register(m->r.p, s, &(mpp_source){flow_start, flow_stop, &m->flows[s]});
    }
}

static void test_many_runs(unsigned consumers, unsigned streams, unsigned lanes, unsigned runs)
{
    static model m;
    harness.step = "many runs";
    model_open(&m, consumers, streams, lanes);
    for (unsigned steps = 0; model_earliest(&m) < runs && steps < 10000 * runs && !m.wrong; steps++)
        model_step(&m);
    diag("%u consumers, %u streams in %u lanes: %u runs cancelled, %u ended; cause: %s", consumers, streams, lanes,
         m.cancelled, m.whole_runs, harness_cause(m.r.mesh));
    ok((m.empty_runs > 0 || !m.alone) && m.wrong == 0,
       "consumer 0 is told of %u runs that nobody got a record in, and of no other", m.empty_runs);
    ok(model_earliest(&m) >= runs && m.wrong == 0,
       "%u consumers, %u streams in %u lanes: %u runs cancelled at random points, and no record of another run",
       consumers, streams, lanes, runs);
    ok(m.short_runs == 0, "whoever was not the one to cancel got the whole run");
    bool met = true;
    for (unsigned s = 0; s < streams; s++)
        met &= model_meet(&m, &m.flows[s]);
    unsigned whole = m.whole_runs;
    ok(met && model_whole_runs(&m, 50000) && m.wrong == 0 && m.short_runs == 0 &&
           m.whole_runs == whole + consumers * streams,
       "then one whole run of each is exact");
    rig_close(&m.r);
}

/* ---- the same between threads, each of which sleeps until it is rung -------------------------------- */

enum { CROWD = 2 };

typedef struct thread {
    pthread_t id;
    mpp_mesh *mesh;
    unsigned index, runs, wrong;
    uint64_t state; /* of its random numbers */
    unsigned run, sent;
    bool running;
} thread;

static unsigned draw(thread *t, unsigned below)
{
    t->state = t->state * 6364136223846793005 + 1442695040888963407;
    return (unsigned)(t->state >> 33) % below;
}

static int thread_start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    thread *t = arg;
    (void)stream;
    (void)err;
    t->wrong += run != t->run + 1 && !t->running && run <= t->run;
    t->run = run;
    t->sent = 0;
    t->running = true;
    return 0;
}

static void thread_stop(void *arg, unsigned stream, unsigned run)
{
    thread *t = arg;
    (void)stream;
    t->wrong += run != t->run || !t->running;
    t->running = false;
}

/* Runs of "run" lines, until the mesh is removed. */
static void *produce_runs(void *arg)
{
    thread *t = arg;
    mpp_producer *p = harness_producer(t->mesh, (int)t->index, 0);
    mpp_register(p, 0, &(mpp_source){thread_start, thread_stop, t});
    while (mpp_service(p) == MPP_OK) {
        char line[16];
        unsigned records = draw(t, draw(t, 4) ? 100 : 20000);
        mpp_outcome outcome = MPP_OK;
        while (t->running && t->sent < records && outcome == MPP_OK) {
            outcome = mpp_try_produce(p, 0, line, (size_t)snprintf(line, sizeof line, "%u", t->run));
            t->sent += outcome == MPP_OK;
        }
        if (t->running && outcome == MPP_OK) {
            t->running = false;
            mpp_end(p, 0);
        } else {
            mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
        }
    }
    mpp_producer_detach(&p);
    return NULL;
}

static void read_run(thread *t, mpp_consumer *c, unsigned run, unsigned batches)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_OK;
    while (batches > 0 && outcome != MPP_CLOSED) {
        outcome = mpp_next(c, 0, MPP_PRODUCER_ANY, &b);
        if (outcome == MPP_WOULD_BLOCK) {
            mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
            continue;
        }
        if (outcome == MPP_OK) {
            for (const char *at = (const char *)b.data, *end = at + b.len; at < end;
                 at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1)
                t->wrong += strtoul(at, NULL, 10) != run;
            mpp_release(c, &b);
            batches--;
        }
        if (outcome == MPP_GONE) {
            t->wrong++;
            return;
        }
    }
    if (outcome != MPP_CLOSED)
        mpp_cancel(c, 0);
}

static void *consume_runs(void *arg)
{
    thread *t = arg;
    mpp_consumer *c = harness_consumer(t->mesh, (int)t->index);
    for (unsigned run = 1; run <= t->runs && t->wrong == 0; run++) {
        mpp_outcome outcome;
        while ((outcome = mpp_start(c, 0)) == MPP_WOULD_BLOCK)
            mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
        t->wrong += outcome != MPP_OK;
        read_run(t, c, run, draw(t, 2) ? UINT32_MAX : draw(t, 10));
    }
    mpp_consumer_detach(&c);
    return NULL;
}

static void test_threads(unsigned producers, unsigned consumers)
{
    thread p[CROWD], c[CROWD];
    unsigned wrong = 0;
    harness.step = "runs between threads";
    mpp_mesh *m =
        harness_mesh(&(mpp_mesh_options){.producers = producers, .consumers = consumers, .ring_size = RIG_RING});
    for (unsigned i = 0; i < producers; i++) {
        p[i] = (thread){.mesh = m, .index = i, .state = tap_random(UINT64_MAX)};
        pthread_create(&p[i].id, NULL, produce_runs, &p[i]);
    }
    for (unsigned j = 0; j < consumers; j++) {
        c[j] = (thread){.mesh = m, .index = j, .state = tap_random(UINT64_MAX), .runs = SCALED(RUNS, 3)};
        pthread_create(&c[j].id, NULL, consume_runs, &c[j]);
    }
    for (unsigned j = 0; j < consumers; j++) {
        pthread_join(c[j].id, NULL);
        wrong += c[j].wrong;
    }
    if (wrong)
        diag("cause: %s", harness_cause(m));
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    for (unsigned i = 0; i < producers; i++) {
        pthread_join(p[i].id, NULL);
        wrong += p[i].wrong;
    }
    mpp_mesh_close(&m);
    ok(wrong == 0, "%u runs, half of them cancelled, between %u producers and %u consumers in threads of their own",
       SCALED(RUNS, 3), producers, consumers);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    test_many_runs(1, 1, 1, SCALED(MANY_RUNS, 5));
    test_many_runs(2, 1, 1, SCALED(RUNS, 3));
    test_many_runs(3, 1, 1, SCALED(RUNS, 3));
    test_many_runs(1, 2, 1, SCALED(RUNS, 3));
    test_many_runs(3, 2, 1, SCALED(RUNS, 3));
    test_many_runs(2, 2, 2, SCALED(RUNS, 3));
    test_threads(1, 1);
    test_threads(CROWD, 1);
    test_threads(1, CROWD);
    test_threads(CROWD, CROWD);
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
