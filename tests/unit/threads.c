/* Several endpoints of one mesh in threads of one process: what mpp.h allows, and what ThreadSanitizer is to look at.
 *
 *     make check SAN=thread TESTS=unit/threads
 *
 * Producers and consumers are threads, each with an endpoint of its own, half of them through one handle of the mesh
 * and half through a handle that they open; another thread takes snapshots all the while.  MPP_SEED=n repeats the
 * sizes. */
#include "harness.h"
#include "mpp-look.h"

#include <limits.h>
#include <pthread.h>

enum { PRODUCERS = 3, CONSUMERS = 3, RUNS = 3, MESHES = 20, RECORDS = 3000, RING = 64 << 10, LONGEST = 20000 };

typedef enum ending { IN_FULL, CANCELLED, FAILED, ENDINGS } ending;

/* One mesh and those who share it. */
static struct shared {
    mpp_mesh *mesh;
    char id[MPP_NAME_MAX + 1];
    ending ending;
    _Atomic bool over;
    _Atomic unsigned begun, wrong, looked;
    _Atomic uint64_t gave, took;
} all;

typedef struct worker {
    pthread_t thread;
    unsigned index;
    uint64_t random;
} worker;

static uint64_t draw(worker *w, uint64_t below)
{
    w->random = w->random * 6364136223846793005 + 1442695040888963407;
    return (w->random >> 33) % below;
}

/* The handle that all share, or one of its own. */
static mpp_mesh *handle(unsigned index)
{
    return index % 2 ? harness_open(all.id) : all.mesh;
}

static void handle_close(mpp_mesh *m)
{
    if (m != all.mesh)
        mpp_mesh_close(&m);
}

/* ---- producers --------------------------------------------------------------------------------------- */

static int start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)stream;
    (void)err;
    *(unsigned *)arg = run;
    all.begun++;
    return 0;
}

static void stop(void *arg, unsigned stream, unsigned run)
{
    (void)stream;
    (void)run;
    *(unsigned *)arg = 0;
}

/* "PRODUCER NUMBER xxx": numbers grow. */
static size_t make_record(worker *w, char *record, unsigned number)
{
    const size_t n = (size_t)snprintf(record, LONGEST, "%u %u ", w->index, number);
    const size_t more = draw(w, 50) ? draw(w, 100) : draw(w, LONGEST - 100);
    memset(record + n, 'x', more);
    return n + more;
}

/* The next record of the run, as far as there is room.  false: that is all for now. */
static bool give(mpp_producer *p, worker *w, char *record, size_t *n, unsigned *number)
{
    if (*n == 0)
        *n = make_record(w, record, (*number)++);
    if (mpp_try_produce(p, 0, record, *n) != MPP_OK)
        return false;
    *n = 0;
    all.gave++;
    return true;
}

static void fail(mpp_producer *p, unsigned number)
{
    if (all.ending == FAILED && number == RECORDS / 2 && mpp_producer_index(p) == 0)
        mpp_producer_fail(p, &(mpp_error){.status = MPP_S_ERROR, .text = "as it should"});
}

static void *be_producer(void *arg)
{
    static _Thread_local char record[LONGEST + 1];
    worker *w = arg;
    mpp_mesh *m = handle(w->index);
    mpp_producer *p = harness_producer(m, (int)w->index, RUNS);
    unsigned run = 0, number = 0;
    size_t n = 0;
    mpp_register(p, 0, &(mpp_source){start, stop, &run});
    for (mpp_outcome outcome = MPP_OK; outcome == MPP_OK;) {
        outcome = mpp_service(p);
        while (run && (n > 0 || number < RECORDS) && give(p, w, record, &n, &number))
            fail(p, number);
        if (run == 0 || (number == RECORDS && n == 0)) {
            mpp_end(p, 0);
            run = number = 0;
            n = 0;
        }
        if (outcome == MPP_OK)
            mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
    }
    mpp_producer_detach(&p);
    handle_close(m);
    return NULL;
}

/* ---- consumers --------------------------------------------------------------------------------------- */

/* Each producer's numbers grow, and nothing is behind its record but its own bytes. */
static void check(const mpp_batch *b, unsigned last[PRODUCERS])
{
    for (size_t at = 0; at < b->len;) {
        const char *line = (const char *)b->data + at, *end = memchr(line, '\n', b->len - at);
        unsigned producer, number;
        char text[32];
        snprintf(text, sizeof text, "%.30s", end ? line : "");
        if (!end || sscanf(text, "%u %u ", &producer, &number) != 2 || producer != b->producer ||
            number + 1 <= last[producer]) {
            all.wrong++;
            return;
        }
        last[producer] = number + 1;
        at += (size_t)(end - line) + 1;
        all.took++;
    }
}

/* One run; false: the mesh is over. */
static bool take_run(mpp_consumer *c, worker *w)
{
    unsigned last[PRODUCERS] = {0}, batches = 0;
    const unsigned enough = all.ending == CANCELLED ? 1 + (unsigned)draw(w, 20) : UINT_MAX;
    mpp_outcome outcome;
    mpp_batch b;
    while ((outcome = mpp_start(c, 0)) == MPP_WOULD_BLOCK)
        mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
    if (outcome != MPP_OK)
        return false;
    for (;;) {
        outcome = mpp_next(c, 0, MPP_PRODUCER_ANY, &b);
        if (outcome == MPP_OK) {
            check(&b, last);
            mpp_release(c, &b);
        } else if (outcome == MPP_WOULD_BLOCK) {
            mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
        } else {
            return outcome == MPP_CLOSED;
        }
        if (++batches == enough)
            mpp_cancel(c, 0);
    }
}

static void *be_consumer(void *arg)
{
    worker *w = arg;
    mpp_mesh *m = handle(w->index);
    mpp_consumer *c = harness_consumer(m, (int)w->index);
    for (unsigned run = 0; run < RUNS && take_run(c, w); run++)
        ;
    mpp_consumer_detach(&c);
    handle_close(m);
    return NULL;
}

/* ---- who looks --------------------------------------------------------------------------------------- */

static void *look_on(void *arg)
{
    (void)arg;
    while (!all.over) {
        mpp_snapshot *s;
        if (mpp_snapshot_take(all.id, &s, NULL) == 0) {
            all.looked++;
            mpp_snapshot_free(&s);
        }
    }
    return NULL;
}

/* ---- a mesh ------------------------------------------------------------------------------------------ */

static void make_mesh(ending how)
{
    static const char *const partitions[] = {"hash", "round-robin", "any", "broadcast"};
    const mpp_stream_options stream = {.name = "0",
                                       .format = {MPP_DELIMITED, '\n', 0},
                                       .key = "2",
                                       .separator = ' ',
                                       .partition = partitions[tap_random(4)]};
    memset(&all, 0, sizeof all);
    all.ending = how;
    all.mesh = harness_mesh(&(mpp_mesh_options){
        .producers = PRODUCERS, .consumers = CONSUMERS, .streams = &stream, .n_streams = 1, .ring_size = RING});
    snprintf(all.id, sizeof all.id, "%s", mpp_mesh_id(all.mesh));
}

static void run_threads(void)
{
    worker workers[PRODUCERS + CONSUMERS + 1];
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS + 1; i++) {
        worker *w = &workers[i];
        const bool producer = i < PRODUCERS;
        *w = (worker){.index = producer ? i : i - PRODUCERS, .random = tap_random(UINT64_MAX)};
        if (pthread_create(&w->thread, NULL,
                           producer                    ? be_producer
                           : i < PRODUCERS + CONSUMERS ? be_consumer
                                                       : look_on,
                           w) != 0)
            bail_out("cannot start a thread");
    }
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS; i++)
        pthread_join(workers[i].thread, NULL);
    all.over = true;
    pthread_join(workers[PRODUCERS + CONSUMERS].thread, NULL);
}

/* Everybody has left; what came, and why it ended, is as it should be. */
static bool is_well(void)
{
    mpp_error cause;
    const bool failed = mpp_mesh_cause(all.mesh, &cause);
    const bool broadcast = mpp_mesh_stream(all.mesh, 0)->partition == MPP_BROADCAST;
    const uint64_t gave = (uint64_t)PRODUCERS * RUNS * RECORDS;
    bool good = all.wrong == 0 && failed == (all.ending == FAILED);
    if (all.ending == IN_FULL)
        good &= all.gave == gave && all.took == gave * (broadcast ? CONSUMERS : 1);
    if (all.ending == FAILED)
        good &= strstr(cause.text, "as it should") != NULL && all.took > 0;
    if (!good)
        diag("%llu records given, %llu taken, %u wrong, %u runs; cause: %s", (unsigned long long)all.gave,
             (unsigned long long)all.took, all.wrong, all.begun, harness_cause(all.mesh));
    mpp_mesh_close(&all.mesh);
    return good;
}

static void test_ending(ending how, const char *what)
{
    const unsigned meshes = SCALED(MESHES, 5);
    unsigned good = 0, looked = 0;
    harness.step = what;
    for (unsigned i = 0; i < meshes; i++) {
        make_mesh(how);
        run_threads();
        looked += all.looked;
        good += is_well();
    }
    ok(good == meshes && looked > 0, "%u meshes of %d threads each, %s, with %u looks at them", meshes,
       PRODUCERS + CONSUMERS, what, looked);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    test_ending(IN_FULL, "to the end of every run");
    test_ending(CANCELLED, "cancelled in each run");
    test_ending(FAILED, "failed by a producer");
    harness_end();
    return done_testing();
}
