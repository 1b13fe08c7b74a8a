/* Sources that call back, and sources and buffers that fail without saying how. */
#include "pending.h"
#include "producer/producer.h"

static struct {
    rig r;
    int (*start)(mpp_error *err);
    void (*stop)(void);
    mpp_outcome said;
    int number;
} it;

static int start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)run;
    ((rig *)arg)->starts[stream]++;
    return it.start ? it.start(err) : 0;
}

static void stop(void *arg, unsigned stream, unsigned run)
{
    (void)run;
    ((rig *)arg)->stops[stream]++;
    if (it.stop)
        it.stop();
}

static void open_it(unsigned runs, mpp_buffer_kind kind, int (*on_start)(mpp_error *err), void (*on_stop)(void))
{
    const mpp_stream_options streams[] = {{.name = "a", .format = {MPP_DELIMITED, '\n', 0}, .buffer = kind},
                                          {.name = "b", .format = {MPP_DELIMITED, '\n', 0}, .buffer = kind}};
    mpp_mesh_options o = rig_options(streams, 2, 1);
    it.start = on_start;
    it.stop = on_stop;
    it.said = MPP_OK;
    rig_open(&it.r, &o, runs, false);
    for (unsigned s = 0; s < 2; s++)
        mpp_register(it.r.p, s, &(mpp_source){start, stop, &it.r});
}

/* ---- failing ------------------------------------------------------------------------------------------ */

static int fail_silently(mpp_error *err)
{
    (void)err;
    return -1;
}
static int fail_with_text(mpp_error *err)
{
    strcpy(err->text, "only a text");
    return -1;
}
static int fail_done(mpp_error *err)
{
    *err = (mpp_error){.status = MPP_S_DONE, .text = "all is well"};
    return -1;
}
static int fail_wildly(mpp_error *err)
{
    memset(err, 0x7e, sizeof *err);
    err->final = false;
    return -1;
}
static int fail_badly(mpp_error *err)
{
    *err = (mpp_error){.status = MPP_S_TIMEOUT, .text = "two\nlines"};
    return -1;
}

static void test_failing(int (*how)(mpp_error *err), mpp_buffer_kind kind, mpp_status status, const char *text)
{
    mpp_error cause = {0};
    open_it(1, kind, NULL, NULL);
    mpp_start(it.r.c[0], 0);
    if (kind == MPP_BOUNDED)
        mpp_service(it.r.p); /* else both would begin */
    mpp_try_produce(it.r.p, 0, "published", 9);
    it.start = how;
    mpp_start(it.r.c[0], 1);
    mpp_outcome outcome = mpp_service(it.r.p);
    const bool known = mpp_mesh_cause(it.r.mesh, &cause);
    ok(outcome == MPP_GONE && known && cause.status == status && !cause.final && strstr(cause.text, text) &&
           strstr(cause.text, "producer 0"),
       "a source that fails (%s): %s", mpp_buffer_text(kind), cause.text);
    outcome = rig_await(&it.r, 0, 0);
    ok(outcome == MPP_GONE && it.r.got[0][0].n == 10, "what was published before comes (%zu bytes)", it.r.got[0][0].n);
    rig_close(&it.r);
}

static void test_reported(const mpp_error *err, const char *text)
{
    mpp_error cause = {0};
    for (unsigned producer = 0; producer < 2; producer++) {
        open_it(1, MPP_BOUNDED, NULL, NULL);
        rig_ask(&it.r, 0);
        const bool first = producer ? mpp_producer_fail(it.r.p, err) : mpp_consumer_fail(it.r.c[0], err);
        ok(first && mpp_mesh_cause(it.r.mesh, &cause) && cause.status == MPP_S_FAILED && strstr(cause.text, text),
           "a failure that is reported without a word is one: %s", cause.text);
        rig_close(&it.r);
    }
}

/* ---- operations --------------------------------------------------------------------------------------- */

static mpp_outcome fail_the_operation(mpp_producer *p, struct producer_stream *s, mpp_operation *op, mpp_error *err)
{
    (void)p;
    (void)s;
    (void)op;
    (void)err;
    return MPP_ERROR;
}

static void test_operation(void)
{
    mpp_error err = {0}, cause = {0};
    pending *x = pending_open(1, 0);
    producer_stream *s = producer_stream_of(x->rig.p, 0);
    buffer table = *s->buffer;
    table.advance = fail_the_operation;
    s->buffer = &table;
    pending_add(x, 0, PENDING_LEN);
    const mpp_outcome outcome = mpp_poll(x->rig.p, &x->op[0], &err);
    ok(outcome == MPP_ERROR && err.status == MPP_S_ERROR && !err.final && strstr(err.text, "stream 'a'") &&
           mpp_mesh_cause(x->rig.mesh, &cause) && cause.status == MPP_S_FAILED && strstr(cause.text, err.text),
       "an operation that fails without a word is told of: %s", cause.text);
    pending_close(x);
}

/* ---- calling back ------------------------------------------------------------------------------------- */

static int end_at_once(mpp_error *err)
{
    (void)err;
    it.said = mpp_end(it.r.p, 0);
    return 0;
}
static int produce_and_end(mpp_error *err)
{
    it.said = mpp_try_produce(it.r.p, 0, "from start", 10);
    return end_at_once(err);
}
static int report(mpp_error *err)
{
    (void)err;
    mpp_producer_fail(it.r.p, &(mpp_error){.status = MPP_S_ERROR, .text = "reported"});
    return 0;
}
static int report_and_fail(mpp_error *err)
{
    return report(err) - 1;
}
static void serve(void)
{
    it.said = mpp_service(it.r.p);
    it.number = errno;
}
static int serve_at_start(mpp_error *err)
{
    (void)err;
    serve();
    return 0;
}
static int begin_the_other(mpp_error *err)
{
    (void)err;
    it.start = NULL;
    it.said = mpp_begin(it.r.p, 1);
    return 0;
}
static void end_and_produce(void)
{
    it.said = mpp_end(it.r.p, 0);
    it.number = (int)mpp_try_produce(it.r.p, 0, "too late", 8);
}
static void fail_at_stop(void)
{
    mpp_producer_fail(it.r.p, &(mpp_error){.status = MPP_S_ERROR, .text = "at stop"});
}

static void test_ending(const char *what, int (*how)(mpp_error *err), size_t n)
{
    open_it(2, MPP_BOUNDED, how, NULL);
    for (unsigned run = 1; run <= 2; run++) {
        mpp_start(it.r.c[0], 0);
        mpp_service(it.r.p);
        const mpp_outcome outcome = rig_await(&it.r, 0, 0);
        ok(outcome == MPP_CLOSED && it.r.got[0][0].n == run * n && it.r.starts[0] == run && it.r.stops[0] == 0,
           "a source %s: run %u has ended, with %zu bytes", what, run, it.r.got[0][0].n);
    }
    rig_close(&it.r);
}

static void test_reporting(int (*how)(mpp_error *err))
{
    open_it(1, MPP_BOUNDED, how, NULL);
    mpp_start(it.r.c[0], 0);
    ok(mpp_service(it.r.p) == MPP_GONE && strstr(harness_cause(it.r.mesh), "reported"),
       "a source reports its failure itself: %s", harness_cause(it.r.mesh));
    rig_close(&it.r);
}

static void test_serving(void)
{
    open_it(2, MPP_BOUNDED, serve_at_start, NULL);
    mpp_start(it.r.c[0], 0);
    mpp_start(it.r.c[0], 1);
    mpp_outcome outcome = mpp_service(it.r.p);
    ok(outcome == MPP_OK && it.said == MPP_ERROR && it.number == EINVAL && it.r.starts[0] == 1 && it.r.starts[1] == 1,
       "mpp_service() is refused in start()");
    it.start = NULL;
    it.stop = serve;
    it.said = MPP_OK;
    mpp_cancel(it.r.c[0], 0);
    outcome = mpp_service(it.r.p);
    ok(outcome == MPP_OK && it.said == MPP_ERROR && it.r.stops[0] == 1 && rig_ask(&it.r, 0) && it.r.starts[0] == 2,
       "and in stop(); the next run begins when that has returned");
    ok(rig_finish(&it.r, 0) && rig_finish(&it.r, 1), "and all ends well: %s", harness_cause(it.r.mesh));
    rig_close(&it.r);
}

static void test_beginning_another(void)
{
    open_it(1, MPP_BOUNDED, begin_the_other, NULL);
    mpp_start(it.r.c[0], 0);
    mpp_service(it.r.p);
    const bool before = mpp_begin(it.r.p, 1) == MPP_OK;
    mpp_service(it.r.p);
    ok(before && it.said == MPP_OK && it.r.starts[0] == 1 && it.r.starts[1] == 1, "a source begins another's stream");
    rig_close(&it.r);
}

/* It is begun by the next mpp_service(), not before. */
static void test_begin(void)
{
    open_it(1, MPP_BOUNDED, NULL, NULL);
    mpp_begin(it.r.p, 0);
    const mpp_outcome before = mpp_try_produce(it.r.p, 0, "x", 1);
    mpp_service(it.r.p);
    ok(before == MPP_CLOSED && mpp_try_produce(it.r.p, 0, "x", 1) == MPP_OK,
       "mpp_begin(): nothing can be produced before mpp_service()");
    mpp_start(it.r.c[0], 0);
    rig_finish(&it.r, 0);
    rig_close(&it.r);
}

static void test_stopping(void (*how)(void))
{
    open_it(2, MPP_BOUNDED, NULL, how);
    it.number = 0;
    rig_ask(&it.r, 0);
    mpp_try_produce(it.r.p, 0, "x", 1);
    mpp_cancel(it.r.c[0], 0);
    const mpp_outcome outcome = mpp_service(it.r.p);
    if (how == fail_at_stop)
        ok(outcome == MPP_GONE && strstr(harness_cause(it.r.mesh), "at stop"), "a source fails when it is stopped: %s",
           harness_cause(it.r.mesh));
    else
        ok(outcome == MPP_OK && it.said == MPP_OK && it.number == MPP_CLOSED && rig_ask(&it.r, 0) &&
               rig_finish(&it.r, 0),
           "a source that ends what is stopped, or produces then, does nothing");
    rig_close(&it.r);
}

int main(void)
{
    harness_begin(60);
    harness.step = "sources that call back";
    for (unsigned k = 0; k < 2; k++) {
        const mpp_buffer_kind kind = k ? MPP_RING : MPP_BOUNDED;
        test_failing(fail_silently, kind, MPP_S_FAILED, "the source of stream 'b' could not be started");
        test_failing(fail_with_text, kind, MPP_S_FAILED, "only a text");
        test_failing(fail_done, kind, MPP_S_FAILED, "all is well");
        test_failing(fail_wildly, kind, MPP_S_FAILED, "~~~~");
        test_failing(fail_badly, kind, MPP_S_TIMEOUT, "two?lines");
    }
    test_reported(NULL, "did not say why");
    test_reported(&(mpp_error){0}, "did not say why");
    test_reported(&(mpp_error){.status = (mpp_status)77, .text = "odd"}, "odd");
    test_operation();
    test_ending("ends in start()", end_at_once, 0);
    test_ending("produces and ends in start()", produce_and_end, 11);
    test_reporting(report);
    test_reporting(report_and_fail);
    test_serving();
    test_beginning_another();
    test_begin();
    test_stopping(end_and_produce);
    test_stopping(fail_at_stop);
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
