/* Operations that are pending: they complete in order as there is room, nothing overtakes them, cancelled ones never
 * appear, and whatever ends them is told.  Then the same on a buffer whose push takes several steps, waits, and fails.
 *
 * MPP_SEED=n replays which ones are cancelled. */
#include "buffer/buffer.h"
#include "pending.h"
#include "producer/producer.h"
#include "producer/push.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { MS = 1000000 };

/* ---- in order --------------------------------------------------------------------------------------- */

/* Those that are through are the first ones. */
static bool first_ones(pending *x)
{
    unsigned i = 0;
    while (i < x->accepted && mpp_poll(x->rig.p, &x->op[i], NULL) == MPP_OK)
        i++;
    while (i < x->accepted && x->op[i].outcome == MPP_WOULD_BLOCK)
        i++;
    return i == x->accepted;
}

static void test_order(void)
{
    unsigned disorder = 0, steps = 0;
    pending *x = pending_open(1, 0);
    pending_add_many(x, 0, PENDING_MOST);
    const unsigned at_once = pending_count(x, MPP_OK);
    ok(x->wrong == 0 && at_once >= 8 && at_once <= 12, "1,000 operations are accepted; there is room for %u", at_once);
    for (; x->n_came < PENDING_MOST && steps < 20 * PENDING_MOST; steps++) {
        pending_take(x, 0, 1);
        mpp_wait(x->rig.p, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
        disorder += !first_ones(x);
    }
    ok(disorder == 0 && pending_in_order(x) && pending_count(x, MPP_OK) == PENDING_MOST && x->n_came == PENDING_MOST,
       "all complete in order as a reader drains them one by one");
    ok(rig_finish(&x->rig, 0), "and the stream ends");
    pending_close(x);
}

/* Whatever produces into the stream waits for them. */
static void test_nothing_overtakes(void)
{
    int fds[2];
    size_t used = 7, n = 7;
    void *room;
    mpp_error err;
    pending *x = pending_open(2, 0);
    mpp_producer *p = x->rig.p;
    pending_add_many(x, 0, 50);
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 || write(fds[1], "\1\0\0\0x", 5) != 5)
        bail_out("no pipe");
    ok(mpp_try_produce(p, 0, "x", 1) == MPP_WOULD_BLOCK, "while one is pending mpp_try_produce() waits");
    ok(mpp_feed(p, 0, "\1\0\0\0x", 5, &used) == MPP_WOULD_BLOCK && used == 0, "mpp_feed(), too");
    ok(mpp_fill(p, 0, fds[0], 0, &n, &err) == MPP_WOULD_BLOCK && n == 0 && mpp_fill_end(p, 0, &err) == MPP_WOULD_BLOCK,
       "mpp_fill() and mpp_fill_end(), too");
    ok(mpp_reserve(p, 0, 0, 5, &room) == MPP_WOULD_BLOCK, "and mpp_reserve()");
    ok(mpp_try_produce(p, 1, x->record[0], PENDING_LEN) == MPP_OK, "other streams do not");
    pending_drain(x, 0);
    const bool through = pending_count(x, MPP_OK) == 50 && pending_in_order(x);
    ok(through && mpp_fill(p, 0, fds[0], 0, &n, &err) == MPP_OK && n == 5,
       "when they are through it goes on, and nothing of it was taken before");
    close(fds[0]);
    close(fds[1]);
    pending_close(x);
}

static void test_several_streams(unsigned lanes)
{
    enum { EACH = 30, STREAMS = 3 };
    pending *x = pending_open(STREAMS, lanes);
    unsigned of[STREAMS] = {0};
    for (unsigned i = 0; i < STREAMS * EACH; i++)
        x->wrong += pending_add(x, i % STREAMS, PENDING_LEN) != MPP_OK;
    for (unsigned round = 0; round < 300; round++)
        for (unsigned s = 0; s < STREAMS; s++) {
            const unsigned before = x->n_came;
            pending_take(x, s, 1);
            for (unsigned i = before; i < x->n_came; i++)
                x->wrong += x->came[i] != s + STREAMS * (uint64_t)of[s]++;
            mpp_wait(x->rig.p, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
        }
    ok(x->wrong == 0 && x->n_came == STREAMS * EACH && pending_count(x, MPP_OK) == STREAMS * EACH,
       "pending on three streams in %s: each in its own order", lanes == 1 ? "one lane" : "lanes of their own");
    pending_close(x);
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

typedef struct other {
    pthread_t thread;
    pending *x;
    mpp_mesh *mesh;
} other;

/* A consumer in a thread, and on a handle of the mesh, of its own. */
static void *drain(void *arg)
{
    other *o = arg;
    mpp_outcome outcome;
    o->x->rig.c[0] = harness_consumer(o->mesh, 0);
    mpp_start(o->x->rig.c[0], 0);
    while ((outcome = pending_take(o->x, 0, 3)) == MPP_OK || outcome == MPP_WOULD_BLOCK)
        mpp_wait(NULL, o->x->rig.c[0], MPP_COMPUTING, NULL, 0, outcome == MPP_OK ? 1 : 0);
    mpp_consumer_detach(&o->x->rig.c[0]);
    return NULL;
}

static void sleep_by_poll(mpp_producer *p)
{
    struct pollfd fd = {.fd = mpp_producer_fd(p), .events = POLLIN};
    if (mpp_arm(p, NULL, MPP_COMPUTING))
        poll(&fd, 1, -1);
    mpp_disarm(p, NULL);
}

static void test_waiting(bool by_poll)
{
    pending *x = calloc(1, sizeof *x);
    const mpp_mesh_options o = rig_options(pending_streams, 1, 1);
    harness.step = by_poll ? "poll(2)" : "mpp_wait()";
    rig_open(&x->rig, &o, 1, true);
    other reading = {.x = x, .mesh = harness_open(mpp_mesh_id(x->rig.mesh))};
    if (pthread_create(&reading.thread, NULL, drain, &reading) != 0)
        bail_out("no thread");
    while (mpp_service(x->rig.p) == MPP_OK && x->rig.starts[0] == 0)
        mpp_wait(x->rig.p, NULL, MPP_COMPUTING, NULL, 0, 0);
    pending_add_many(x, 0, PENDING_MOST);
    while (mpp_poll(x->rig.p, &x->op[PENDING_MOST - 1], NULL) == MPP_WOULD_BLOCK) {
        if (by_poll)
            sleep_by_poll(x->rig.p);
        else
            mpp_wait(x->rig.p, NULL, MPP_COMPUTING, NULL, 0, 0);
    }
    mpp_end(x->rig.p, 0);
    mpp_flush(x->rig.p);
    pthread_join(reading.thread, NULL);
    ok(pending_in_order(x) && x->n_came == PENDING_MOST, "a producer that sleeps by %s is woken until all are through",
       by_poll ? "poll(2) on its descriptor" : "mpp_wait()");
    mpp_mesh_close(&reading.mesh);
    pending_close(x);
}

/* ---- cancelled -------------------------------------------------------------------------------------- */

static void test_cancelled(const char *which, unsigned from, unsigned to, unsigned every)
{
    pending *x = pending_open(1, 0);
    unsigned cancelled = 0, refused = 0, twice = 0;
    pending_add_many(x, 0, 100);
    for (unsigned i = from; i < to; i += every) {
        const mpp_outcome was = x->op[i].outcome, is = mpp_operation_cancel(x->rig.p, &x->op[i]);
        cancelled += is == MPP_CLOSED;
        refused += is == MPP_OK && was == MPP_OK;
        twice += mpp_operation_cancel(x->rig.p, &x->op[i]) != is;
    }
    pending_add_many(x, 0, 20); /* the list has its end where it should */
    pending_drain(x, 0);
    const unsigned through = pending_count(x, MPP_OK);
    ok(twice == 0 && cancelled + refused == (to - from + every - 1) / every && through == 120 - cancelled &&
           pending_count(x, MPP_CLOSED) == cancelled && pending_in_order(x),
       "%s are cancelled: %u never appear, %u had come too far", which, cancelled, refused);
    pending_close(x);
}

static void test_cancelled_at_random(void)
{
    pending *x = pending_open(1, 0);
    unsigned cancelled = 0;
    while (x->accepted < PENDING_MOST) {
        x->wrong += pending_add(x, 0, VALUE_LEAST + tap_random(PENDING_LEN)) != MPP_OK;
        if (tap_random(3) == 0)
            cancelled += mpp_operation_cancel(x->rig.p, &x->op[tap_random(x->accepted)]) == MPP_CLOSED;
        if (tap_random(10) == 0)
            pending_take(x, 0, (unsigned)tap_random(5));
        if (tap_random(10) == 0)
            mpp_wait(x->rig.p, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
    }
    pending_drain(x, 0);
    ok(pending_in_order(x) && cancelled > 0 && pending_count(x, MPP_WOULD_BLOCK) == 0,
       "at random: those that were cancelled do not come, all others do, in order");
    pending_close(x);
}

/* A record longer than the ring: once a part of it is out, it goes through. */
static void test_under_way(void)
{
    pending *x = pending_open(1, 0);
    x->wrong += pending_add(x, 0, 200000) != MPP_OK;
    pending_add_many(x, 0, 3);
    ok(mpp_operation_cancel(x->rig.p, &x->op[0]) == MPP_WOULD_BLOCK, "one that is out in part is not cancelled");
    ok(mpp_operation_cancel(x->rig.p, &x->op[1]) == MPP_CLOSED, "one behind it is");
    pending_drain(x, 0);
    ok(pending_count(x, MPP_OK) == 3 && pending_in_order(x), "it comes whole");
    pending_close(x);
}

/* ---- closed ----------------------------------------------------------------------------------------- */

static void by_end(pending *x)
{
    mpp_end(x->rig.p, 0);
}
static void by_cancel(pending *x)
{
    mpp_cancel(x->rig.c[0], 0);
    mpp_service(x->rig.p);
}
static void by_failure_here(pending *x)
{
    mpp_producer_fail(x->rig.p, &(mpp_error){.status = MPP_S_ERROR, .text = "here"});
}
static void by_failure_there(pending *x)
{
    mpp_consumer_fail(x->rig.c[0], &(mpp_error){.status = MPP_S_ERROR, .text = "there"});
}
static void by_detach(pending *x)
{
    mpp_producer_detach(&x->rig.p);
}

static void test_closed(const char *what, void (*close_it)(pending *x), mpp_outcome outcome)
{
    pending *x = pending_open(1, 0);
    mpp_operation late = {.outcome = MPP_OK};
    unsigned ended = 0;
    pending_add_many(x, 0, 100);
    const unsigned through = pending_count(x, MPP_OK);
    close_it(x);
    for (unsigned i = through; i < 100; i++)
        ended += (x->rig.p ? mpp_poll(x->rig.p, &x->op[i], NULL) : x->op[i].outcome) == outcome;
    ok(ended == 100 - through, "%s: %u that were pending are told", what, ended);
    if (x->rig.p)
        ok(mpp_produce_async(x->rig.p, 0, "x", 1, &late) == outcome && late.outcome == outcome, "no other is accepted");
    if (close_it != by_cancel) {
        pending_take(x, 0, UINT32_MAX);
        ok(pending_in_order(x) && x->n_came == through, "what was through comes");
    } else {
        ok(x->rig.stops[0] == 1, "the source is stopped");
    }
    pending_close(x);
}

static void test_not_accepted(void)
{
    static char huge[1 << 20];
    rig r;
    mpp_operation op;
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    o.max_record = sizeof huge - 1;
    rig_open(&r, &o, 1, false);
    ok(mpp_produce_async(r.p, 0, "x", 1, &op) == MPP_CLOSED, "before a stream is asked for none is accepted");
    rig_ask(&r, 0);
    ok(mpp_produce_async(r.p, 0, "a\nb", 3, &op) == MPP_ERROR && errno == EINVAL &&
           mpp_produce_async(r.p, 0, huge, sizeof huge, &op) == MPP_ERROR && errno == EMSGSIZE,
       "nor one that is no record, or too long");
    rig_finish(&r, 0);
    rig_close(&r);
}

/* ---- a buffer that does input and output ------------------------------------------------------------ */

/* It takes SLOW_STEPS steps for each record, and a token for each step; tokens come from elsewhere, as a disk's answers
 * do.  Then the record goes as in a bounded stream, or fails. */
enum { SLOW_STEPS = 3 };

static struct slow {
    buffer table;
    int tokens; /* an eventfd that counts them down */
    const void *fails;
    unsigned begun, tried;
} slow;

static mpp_outcome slow_advance(mpp_producer *p, struct producer_stream *s, mpp_operation *op, mpp_error *err)
{
    uint64_t token;
    slow.tried++;
    for (; op->step < SLOW_STEPS; op->step++) {
        if (read(slow.tokens, &token, sizeof token) < 0)
            return MPP_WOULD_BLOCK;
        slow.begun += op->step == 0;
    }
    if (op->record != slow.fails)
        return producer_push(p, s, op->record, op->len);
    *err = (mpp_error){.status = MPP_S_ERROR, .os_error = EIO, .text = "the disk is gone"};
    return MPP_ERROR;
}

static void give_tokens(uint64_t n)
{
    if (write(slow.tokens, &n, sizeof n) != sizeof n)
        bail_out("eventfd: %s", strerror(errno));
}

static pending *slow_open(void)
{
    pending *x = pending_open(1, 0);
    producer_stream *s = producer_stream_of(x->rig.p, 0);
    slow = (struct slow){.table = *s->buffer, .tokens = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)};
    slow.table.advance = slow_advance;
    s->buffer = &slow.table;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)INT32_MAX + 1};
    if (slow.tokens < 0 || epoll_ctl(x->rig.p->end.events, EPOLL_CTL_ADD, slow.tokens, &event) < 0)
        bail_out("epoll: %s", strerror(errno));
    return x;
}

static void slow_close(pending *x)
{
    close(slow.tokens);
    pending_close(x);
}

static void test_slow_order(void)
{
    unsigned disorder = 0;
    pending *x = slow_open();
    pending_add_many(x, 0, 300);
    ok(pending_count(x, MPP_WOULD_BLOCK) == 300, "a slow buffer: nothing is through before its answers");
    for (unsigned i = 0; i < 300 * SLOW_STEPS; i++) {
        give_tokens(1);
        disorder += !first_ones(x) || pending_count(x, MPP_OK) > (i + 1) / SLOW_STEPS;
        if (i % 10 == 0)
            pending_drain(x, 0);
    }
    pending_drain(x, 0);
    ok(disorder == 0 && pending_in_order(x) && x->n_came == 300 && slow.begun == 300,
       "step by step all go in order, one after the other");
    slow_close(x);
}

static void *answer(void *arg)
{
    for (unsigned i = 0; i < 300 * SLOW_STEPS; i++) {
        give_tokens(1);
        if (i % 5 == 0)
            usleep(100); /* so that it sleeps between */
    }
    return arg;
}

/* The descriptor of the endpoint is what wakes its owner. */
static void test_slow_waiting(bool by_poll)
{
    pthread_t thread;
    harness.step = "an answer that does not wake";
    pending *x = slow_open();
    pending_add_many(x, 0, 300);
    mpp_wait(x->rig.p, NULL, MPP_COMPUTING, NULL, 0, 1);
    const unsigned tried = slow.tried;
    const int woken = mpp_wait(x->rig.p, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + 20 * MS);
    ok(woken == 0 && slow.tried - tried < 5, "while there is no answer its owner sleeps");
    if (pthread_create(&thread, NULL, answer, NULL) != 0)
        bail_out("no thread");
    while (mpp_poll(x->rig.p, &x->op[299], NULL) == MPP_WOULD_BLOCK) {
        pending_take(x, 0, UINT32_MAX);
        mpp_wait(NULL, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1); /* room is not what it waits for */
        if (by_poll)
            sleep_by_poll(x->rig.p);
        else
            mpp_wait(x->rig.p, NULL, MPP_COMPUTING, NULL, 0, 0);
    }
    pthread_join(thread, NULL);
    pending_drain(x, 0);
    ok(pending_in_order(x) && x->n_came == 300, "each answer wakes it, %s", by_poll ? "in poll(2)" : "in mpp_wait()");
    slow_close(x);
}

/* What completes while its owner is about to sleep is news. */
static void test_slow_news(void)
{
    pending *x = slow_open();
    pending_add_many(x, 0, 1);
    mpp_wait(x->rig.p, NULL, MPP_COMPUTING, NULL, 0, 1);
    give_tokens(SLOW_STEPS);
    const bool safe = mpp_arm(x->rig.p, NULL, MPP_COMPUTING);
    mpp_disarm(x->rig.p, NULL);
    ok(!safe && x->op[0].outcome == MPP_OK, "nobody sleeps over what has just completed");
    slow_close(x);
}

static void test_slow_failure(void)
{
    mpp_error err = {0}, cause = {0};
    unsigned failed = 0, gone = 0;
    pending *x = slow_open();
    pending_add_many(x, 0, 20);
    slow.fails = x->record[7];
    give_tokens(20 * SLOW_STEPS);
    for (unsigned i = 0; i < 20; i++) {
        const mpp_outcome outcome = mpp_poll(x->rig.p, &x->op[i], &err);
        failed += outcome == MPP_ERROR;
        gone += outcome == MPP_GONE;
    }
    ok(failed == 1 && x->op[7].outcome == MPP_ERROR && strcmp(err.text, "the disk is gone") == 0 && err.os_error == EIO,
       "one that fails midway is told to its owner: %s", err.text);
    ok(gone == 12 && pending_count(x, MPP_OK) == 7, "those before it are through, those behind it are gone");
    ok(mpp_service(x->rig.p) == MPP_GONE && mpp_operation_cancel(x->rig.p, &x->op[7]) == MPP_ERROR,
       "and its owner with it");
    const mpp_outcome outcome = pending_take(x, 0, UINT32_MAX);
    ok(outcome == MPP_GONE && x->n_came == 7 && pending_in_order(x) && mpp_mesh_cause(x->rig.mesh, &cause) &&
           strstr(cause.text, "the disk is gone"),
       "readers have what was through before, and learn it: %s", cause.text);
    slow_close(x);
}

static void test_slow_cancelled(void)
{
    pending *x = slow_open();
    pending_add_many(x, 0, 10);
    give_tokens(SLOW_STEPS + 1); /* the first is through, the second has begun */
    ok(first_ones(x) && pending_count(x, MPP_OK) == 1 && mpp_operation_cancel(x->rig.p, &x->op[1]) == MPP_WOULD_BLOCK,
       "one that has begun is not cancelled");
    ok(mpp_operation_cancel(x->rig.p, &x->op[2]) == MPP_CLOSED &&
           mpp_operation_cancel(x->rig.p, &x->op[9]) == MPP_CLOSED,
       "those that have not are");
    give_tokens(100);
    pending_drain(x, 0);
    ok(pending_count(x, MPP_OK) == 8 && pending_in_order(x) && slow.begun == 8, "and never begin");
    slow_close(x);
}

static void test_slow_closed(const char *what, void (*close_it)(pending *x), mpp_outcome outcome)
{
    unsigned ended = 0;
    pending *x = slow_open();
    pending_add_many(x, 0, 10);
    give_tokens(2 * SLOW_STEPS + 1); /* two are through, the third has begun */
    mpp_poll(x->rig.p, &x->op[9], NULL);
    mpp_flush(x->rig.p);
    close_it(x);
    for (unsigned i = 2; i < 10; i++)
        ended += (x->rig.p ? mpp_poll(x->rig.p, &x->op[i], NULL) : x->op[i].outcome) == outcome;
    pending_take(x, 0, UINT32_MAX);
    ok(ended == 8 && x->op[1].outcome == MPP_OK && (close_it == by_cancel || (x->n_came == 2 && pending_in_order(x))),
       "%s: what has begun, and what has not, is told", what);
    slow_close(x);
}

int main(void)
{
    static const struct {
        const char *what;
        void (*close_it)(pending *x);
        mpp_outcome outcome;
    } ends[] = {{"the run ends", by_end, MPP_CLOSED},
                {"the consumer has enough", by_cancel, MPP_CLOSED},
                {"the producer fails", by_failure_here, MPP_GONE},
                {"the consumer fails", by_failure_there, MPP_GONE},
                {"the producer leaves", by_detach, MPP_GONE}};
    tap_seed();
    harness_begin(60);
    test_order();
    test_nothing_overtakes();
    test_several_streams(0);
    test_several_streams(1);
    test_waiting(false);
    test_waiting(true);
    test_cancelled("all", 0, 100, 1);
    test_cancelled("the first of those pending", 12, 13, 1);
    test_cancelled("one in the middle", 50, 51, 1);
    test_cancelled("the last", 99, 100, 1);
    test_cancelled("every third", 0, 100, 3);
    test_cancelled_at_random();
    test_under_way();
    test_not_accepted();
    test_slow_order();
    test_slow_waiting(false);
    test_slow_waiting(true);
    test_slow_news();
    test_slow_failure();
    test_slow_cancelled();
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        test_closed(ends[i].what, ends[i].close_it, ends[i].outcome);
        test_slow_closed(ends[i].what, ends[i].close_it, ends[i].outcome);
    }
    harness_end();
    return done_testing();
}
