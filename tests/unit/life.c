/* The life of a stream through the public API: registered, asked for, run, cancelled, ended, asked for again. */
#include "mesh/mesh.h"
#include "rig.h"
#include "shm/layout.h"

/* How a run stands on the channel to consumer j. */
static unsigned state_of(const rig *r, unsigned stream, unsigned j)
{
    const layout *l = &r->mesh->l;
    return (unsigned)layout_end_of(l, mesh_channel(r->mesh, stream % l->lanes, 0, j), stream)->word & 0xff;
}

static bool all_stand_at(const rig *r, unsigned state)
{
    for (unsigned j = 0; j < r->consumers; j++)
        if (state_of(r, 0, j) != state)
            return false;
    return true;
}

static void open_plain(rig *r, unsigned consumers, unsigned runs)
{
    mpp_mesh_options o = rig_options(NULL, 0, consumers);
    rig_open(r, &o, runs, false);
}

static void put_numbers(rig *r, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char text[16];
        rig_put(r, 0, text, (size_t)snprintf(text, sizeof text, "%u", i));
    }
}

/* What consumer j of n gets of the numbers below `to` dealt in turns. */
static bool got_numbers(const rig *r, unsigned j, unsigned n, unsigned to)
{
    bytes expected = {0};
    for (unsigned i = j; i < to; i += n) {
        char text[16];
        bytes_add(&expected, text, (size_t)snprintf(text, sizeof text, "%u\n", i));
    }
    bool same = bytes_equal(&expected, &r->got[j][0]);
    bytes_free(&expected);
    return same;
}

/* ---- asked for -------------------------------------------------------------------------------------- */

static void test_lazy(void)
{
    rig r;
    open_plain(&r, 2, 1);
    mpp_outcome outcome = mpp_service(r.p);
    ok(outcome == MPP_OK && r.starts[0] == 0, "a source that nobody asked for is not started");
    ok(mpp_try_produce(r.p, 0, "x", 1) == MPP_CLOSED, "and nothing can be produced into its stream");
    mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, 1);
    int woken = mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + 20000000);
    ok(woken == 0, "its producer sleeps");
    rig_close(&r);
}

static void test_asked_by_all(void)
{
    rig r;
    open_plain(&r, 3, 1);
    mpp_start(r.c[1], 0);
    mpp_service(r.p);
    ok(r.starts[0] == 1 && all_stand_at(&r, LAYOUT_RUNNING), "the first START starts the source");
    mpp_start(r.c[0], 0);
    mpp_service(r.p);
    put_numbers(&r, 0, 100);
    mpp_start(r.c[2], 0);
    mpp_service(r.p);
    put_numbers(&r, 100, 1000);
    bool closed = rig_finish(&r, 0);
    ok(r.starts[0] == 1 && r.stops[0] == 0, "later ones find it running");
    ok(closed && got_numbers(&r, 0, 3, 1000) && got_numbers(&r, 1, 3, 1000) && got_numbers(&r, 2, 3, 1000),
       "who asks late gets everything all the same");
    ok(all_stand_at(&r, LAYOUT_ENDED) && mpp_service(r.p) == MPP_CLOSED,
       "the run has ended, and the producer has no other to give");
    rig_close(&r);
}

static void test_eager(void)
{
    rig r;
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    rig_open(&r, &o, 1, true);
    mpp_begin(r.p, 0);
    mpp_service(r.p);
    put_numbers(&r, 0, 1000);
    mpp_end(r.p, 0);
    ok(r.starts[0] == 1 && mpp_service(r.p) == MPP_CLOSED, "an eager source runs unasked");
    mpp_producer_detach(&r.p);
    r.c[0] = harness_consumer(r.mesh, 0);
    bool asked = mpp_start(r.c[0], 0) == MPP_OK;
    bool closed = rig_await(&r, 0, 0) == MPP_CLOSED;
    ok(asked && closed && got_numbers(&r, 0, 1, 1000), "a consumer that comes when it is over finds all of it");
    rig_close(&r);
}

static int refuse(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)arg;
    (void)stream;
    (void)run;
    *err = (mpp_error){.status = MPP_S_ERROR, .text = "no such file"};
    return -1;
}

static void test_source_that_cannot_start(void)
{
    rig r;
    open_plain(&r, 1, 1);
    mpp_register(r.p, 0, &(mpp_source){.start = refuse});
    mpp_start(r.c[0], 0);
    mpp_outcome outcome = mpp_service(r.p);
    mpp_error cause;
    bool known = mpp_mesh_cause(r.mesh, &cause);
    ok(outcome == MPP_GONE && known && cause.status == MPP_S_FAILED && strstr(cause.text, "no such file"),
       "a source that cannot start fails the mesh with its own text: %s", cause.text);
    ok(rig_take(&r, 0, 0, 1) == MPP_GONE, "which its consumer is told");
    rig_close(&r);
}

/* ---- unasked ---------------------------------------------------------------------------------------- */

static void test_nobody_asks(void)
{
    rig r;
    open_plain(&r, 2, 1);
    mpp_consumer_detach(&r.c[0]);
    ok(mpp_service(r.p) == MPP_OK, "one of two consumers leaves without asking: the stream waits for the other");
    mpp_consumer_detach(&r.c[1]);
    ok(mpp_service(r.p) == MPP_CLOSED && r.starts[0] == 0, "both have left without asking: it is over, never started");
    rig_close(&r);
}

static void test_producer_leaves_unasked(void)
{
    rig r;
    mpp_error err;
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    rig_open(&r, &o, 1, true);
    mpp_producer_detach(&r.p);
    ok(state_of(&r, 0, 0) == LAYOUT_UNASKED, "a stream that was never asked for is marked so when its producer leaves");
    int attached = mpp_consumer_attach(r.mesh, &(mpp_attach_options){.index = 0}, &r.c[0], &err);
    ok(attached < 0 && err.status == MPP_S_NO_MESH, "a consumer that comes then is told that the mesh is over: %s",
       err.text);
    rig_close(&r);
}

static void test_one_of_two_producers_leaves_unasked(void)
{
    rig r;
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    o.producers = 2;
    rig_open(&r, &o, 1, true);
    mpp_producer *other = harness_producer(r.mesh, 1, 1);
    mpp_producer_detach(&r.p);
    r.c[0] = harness_consumer(r.mesh, 0);
    mpp_start(r.c[0], 0);
    mpp_outcome outcome = rig_await(&r, 0, 0);
    ok(outcome == MPP_GONE && strstr(harness_cause(r.mesh), "producer 0"),
       "a consumer that asks a producer that has left is told who that was: %s", harness_cause(r.mesh));
    mpp_producer_detach(&other);
    rig_close(&r);
}

/* ---- cancel ----------------------------------------------------------------------------------------- */

static void test_one_cancels(void)
{
    rig r;
    open_plain(&r, 3, 1);
    rig_ask(&r, 0);
    put_numbers(&r, 0, 30);
    mpp_flush(r.p);
    rig_turn(&r);
    ok(got_numbers(&r, 2, 3, 30), "three consumers read along");
    mpp_cancel(r.c[2], 0);
    mpp_service(r.p);
    put_numbers(&r, 30, 20000);
    bool closed = rig_finish(&r, 0);
    mpp_totals totals;
    mpp_producer_totals(r.p, 0, &totals);
    ok(closed && got_numbers(&r, 0, 3, 20000) && got_numbers(&r, 1, 3, 20000),
       "when one of three has enough, the others get exactly what they would have got");
    ok(got_numbers(&r, 2, 3, 30) && totals.dropped == (20000 - 30) / 3,
       "what was meant for it is dropped: %llu records", (unsigned long long)totals.dropped);
    ok(r.stops[0] == 0 && state_of(&r, 0, 2) == LAYOUT_CANCELLED && state_of(&r, 0, 0) == LAYOUT_ENDED,
       "its channel says cancelled, the others' ended, and nobody stopped the source");
    rig_close(&r);
}

/* Also with the rings full: a cancel needs no room, and gives room to nobody but the others. */
static void test_last_cancels(bool full)
{
    rig r;
    unsigned i = 0;
    static const char block[1000];
    open_plain(&r, 3, 1);
    rig_ask(&r, 0);
    do
        i++;
    while (mpp_try_produce(r.p, 0, block, sizeof block - 1) == MPP_OK && full);
    for (unsigned j = 0; j < 3; j++) {
        ok(r.stops[0] == 0, "%u of three consumers have cancelled%s: the source goes on", j,
           full ? ", rings full" : "");
        mpp_cancel(r.c[j], 0);
        mpp_cancel(r.c[j], 0);
        mpp_service(r.p);
        mpp_service(r.p);
    }
    ok(r.stops[0] == 1, "the last one stops it, once");
    ok(mpp_try_produce(r.p, 0, "x", 1) == MPP_CLOSED && all_stand_at(&r, LAYOUT_CANCELLED) &&
           mpp_service(r.p) == MPP_CLOSED,
       "the run is over, and was the only one");
    ok(rig_take(&r, 0, 0, 1) == MPP_CLOSED && strcmp(harness_cause(r.mesh), "none") == 0,
       "for who cancelled as well, and that is no failure");
    rig_close(&r);
}

static void test_cancel_before_the_start(void)
{
    rig r;
    open_plain(&r, 1, 1);
    mpp_start(r.c[0], 0);
    mpp_cancel(r.c[0], 0);
    ok(mpp_service(r.p) == MPP_CLOSED && r.starts[0] == 0 && r.stops[0] == 0,
       "asked and cancelled before the producer heard of either: nothing is started or stopped");
    rig_close(&r);
}

static void test_comes_and_goes(void)
{
    rig r;
    open_plain(&r, 3, 1);
    mpp_start(r.c[0], 0);
    mpp_consumer_detach(&r.c[0]);
    mpp_service(r.p);
    ok(r.starts[0] == 0, "a consumer asks and leaves at once: nothing is started for it");
    mpp_start(r.c[1], 0);
    mpp_start(r.c[2], 0);
    mpp_service(r.p);
    put_numbers(&r, 0, 1000);
    mpp_end(r.p, 0);
    bool closed = rig_await(&r, 1, 0) == MPP_CLOSED && rig_await(&r, 2, 0) == MPP_CLOSED;
    ok(closed && got_numbers(&r, 1, 3, 1000) && got_numbers(&r, 2, 3, 1000), "the others get what is theirs");
    rig_close(&r);
}

static void test_detach_cancels(void)
{
    rig r;
    open_plain(&r, 1, 1);
    rig_ask(&r, 0);
    put_numbers(&r, 0, 10);
    mpp_consumer_detach(&r.c[0]);
    ok(mpp_service(r.p) == MPP_CLOSED && r.stops[0] == 1, "the last consumer leaves: the source is stopped");
    rig_close(&r);
}

/* Parts of a record longer than the ring have gone to all when one of them has enough. */
static void test_cancel_inside_a_long_record(bool broadcast)
{
    rig r;
    enum { LONG = 3 * RIG_RING };
    char *record = malloc(LONG);
    mpp_stream_options stream = {
        .name = "0", .format = {MPP_DELIMITED, '\n', 0}, .partition = broadcast ? "broadcast" : "round-robin"};
    mpp_mesh_options o = rig_options(&stream, 1, 2);
    memset(record, 'x', LONG);
    rig_open(&r, &o, 2, false);
    rig_ask(&r, 0);
    mpp_outcome begun = mpp_try_produce(r.p, 0, record, LONG);
    mpp_cancel(r.c[0], 0);
    mpp_service(r.p);
    mpp_outcome outcome = rig_put(&r, 0, record, LONG);
    rig_put(&r, 0, "short", 5);
    mpp_end(r.p, 0);
    bool closed = rig_await(&r, 1, 0) == MPP_CLOSED;
    size_t n = broadcast ? LONG + 7 : 6;
    ok(begun == MPP_WOULD_BLOCK && outcome == MPP_OK && closed && r.got[1][0].n == n && r.got[0][0].n == 0,
       "%s: one cancels inside a record longer than the ring: the other gets its own (%zu bytes), it nothing",
       broadcast ? "broadcast" : "round robin", r.got[1][0].n);
    bool asked = false;
    for (unsigned tries = 0; tries < RIG_PATIENCE && !asked; tries++) {
        rig_turn(&r);
        asked = rig_ask(&r, 0);
    }
    rig_put(&r, 0, "again", 5);
    rig_put(&r, 0, "again", 5);
    ok(asked && rig_finish(&r, 0) && r.got[0][0].n == (broadcast ? 12 : 6) && r.torn == 0,
       "and of the next run both get everything, and nothing of the record that was given up");
    free(record);
    rig_close(&r);
}

/* ---- the ends --------------------------------------------------------------------------------------- */

static void test_failure_comes_after_the_data(bool full)
{
    rig r;
    unsigned n = 0;
    mpp_error cause = {.status = MPP_S_ERROR, .text = "zcat: exit status 1"};
    open_plain(&r, 1, 1);
    rig_ask(&r, 0);
    while (mpp_try_produce(r.p, 0, "0123456789", 10) == MPP_OK && (full || n < 10))
        n++;
    if (!full)
        n++;
    bool ours = mpp_producer_fail(r.p, &cause);
    mpp_outcome outcome = rig_await(&r, 0, 0);
    mpp_mesh_cause(r.mesh, &cause);
    ok(ours && outcome == MPP_GONE && r.got[0][0].n == 11 * (size_t)n,
       "a failure comes after the %u records before it%s", n, full ? ", also when the ring is full" : "");
    ok(cause.status == MPP_S_FAILED && strstr(cause.text, "producer 0") && strstr(cause.text, "zcat: exit status 1"),
       "and says who failed and how: %s", cause.text);
    ok(state_of(&r, 0, 0) == LAYOUT_FAILED && mpp_service(r.p) == MPP_GONE, "the run has failed on its channel");
    rig_close(&r);
}

static void test_first_failure_stays(void)
{
    rig r;
    mpp_error first = {.status = MPP_S_ERROR, .text = "disk full"}, second = {.status = MPP_S_ERROR, .text = "pipe"};
    open_plain(&r, 2, 1);
    rig_ask(&r, 0);
    bool ours = mpp_consumer_fail(r.c[1], &first);
    bool theirs = mpp_producer_fail(r.p, &second) || mpp_consumer_fail(r.c[0], &second);
    ok(ours && !theirs && strstr(harness_cause(r.mesh), "consumer 1") && strstr(harness_cause(r.mesh), "disk full"),
       "the first failure is the root cause and stays it: %s", harness_cause(r.mesh));
    ok(mpp_try_produce(r.p, 0, "x", 1) == MPP_GONE && rig_take(&r, 0, 0, 1) == MPP_GONE, "and everybody is told");
    rig_close(&r);
}

static void test_leaving_is_not_ending(void)
{
    rig r;
    open_plain(&r, 1, 1);
    rig_ask(&r, 0);
    put_numbers(&r, 0, 10);
    mpp_producer_detach(&r.p);
    ok(rig_await(&r, 0, 0) == MPP_GONE && got_numbers(&r, 0, 1, 10) && strstr(harness_cause(r.mesh), "left before"),
       "a producer that leaves before it ended its stream has failed: %s", harness_cause(r.mesh));
    rig_close(&r);
}

static void test_no_run_left(void)
{
    rig r;
    open_plain(&r, 1, 2);
    for (unsigned run = 1; run <= 2; run++) {
        rig_ask(&r, 0);
        put_numbers(&r, 0, run);
        ok(rig_finish(&r, 0) && r.starts[0] == run, "run %u of two is served", run);
    }
    bool asked = mpp_start(r.c[0], 0) == MPP_OK;
    mpp_service(r.p);
    mpp_outcome outcome = rig_await(&r, 0, 0);
    ok(asked && outcome == MPP_GONE && strstr(harness_cause(r.mesh), "no run 3"), "a third fails with the reason: %s",
       harness_cause(r.mesh));
    rig_close(&r);
}

/* ---- asking again ----------------------------------------------------------------------------------- */

static void test_end_before_the_next_run(void)
{
    rig r;
    open_plain(&r, 2, 0);
    rig_ask(&r, 0);
    put_numbers(&r, 0, 2);
    mpp_end(r.p, 0);
    for (unsigned j = 0; j < 2; j++) {
        rig_take(&r, j, 0, 1);
        mpp_wait(NULL, r.c[j], MPP_COMPUTING, NULL, 0, 1);
    }
    bool closed = rig_take(&r, 0, 0, 1) == MPP_CLOSED;
    bool again = mpp_start(r.c[0], 0) == MPP_OK;
    mpp_service(r.p);
    mpp_try_produce(r.p, 0, "2", 1);
    mpp_try_produce(r.p, 0, "3", 1);
    mpp_flush(r.p);
    ok(closed && again && r.starts[0] == 2 && rig_take(&r, 1, 0, 1) == MPP_CLOSED,
       "a consumer sees its run's end although the next one's records follow it");
    rig_close(&r);
}

static void test_ahead_of_the_others(void)
{
    rig r;
    open_plain(&r, 2, 0);
    bool good = true;
    for (unsigned run = 1; run <= 10; run++) {
        good &= mpp_start(r.c[0], 0) == MPP_OK;
        mpp_cancel(r.c[0], 0);
        good &= mpp_service(r.p) == MPP_OK;
    }
    ok(good && r.starts[0] == 0, "one consumer may ask and cancel again and again before the other asks: %s",
       harness_cause(r.mesh));
    rig_close(&r);
}

/* Two messages for each stream are all that a control ring takes. */
static void test_cancels_after_the_end(void)
{
    rig r;
    open_plain(&r, 1, 0);
    unsigned again = 0;
    for (unsigned run = 1; run <= 10; run++) {
        again += rig_ask(&r, 0);
        put_numbers(&r, 0, 1);
        mpp_end(r.p, 0);
        for (unsigned i = 0; i < 3; i++) {
            mpp_cancel(r.c[0], 0);
            again += mpp_start(r.c[0], 0) == MPP_OK;
        }
        mpp_cancel(r.c[0], 0);
        mpp_service(r.p);
    }
    ok(again >= 10 && mpp_service(r.p) == MPP_OK, "cancelling what has ended, and asking again, as fast as one can: %s",
       harness_cause(r.mesh));
    rig_close(&r);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    harness.step = "single lives";
    test_lazy();
    test_asked_by_all();
    test_eager();
    test_source_that_cannot_start();
    test_nobody_asks();
    test_producer_leaves_unasked();
    test_one_of_two_producers_leaves_unasked();
    test_one_cancels();
    test_last_cancels(false);
    test_last_cancels(true);
    test_cancel_before_the_start();
    test_comes_and_goes();
    test_detach_cancels();
    test_cancel_inside_a_long_record(false);
    test_cancel_inside_a_long_record(true);
    test_failure_comes_after_the_data(false);
    test_failure_comes_after_the_data(true);
    test_first_failure_stays();
    test_leaving_is_not_ending();
    test_no_run_left();
    test_end_before_the_next_run();
    test_ahead_of_the_others();
    test_cancels_after_the_end();
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
