/* What a caller owes: a call that does not fit what came before it, or names what there is not, is refused with
 * MPP_ERROR and EINVAL, and nothing is done: what was produced otherwise comes, whole and in order. */
#include "ways.h"

#include <limits.h>

static bool refused(mpp_outcome outcome)
{
    return outcome == MPP_ERROR && errno == EINVAL;
}

static const mpp_stream_options lines[] = {{.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
                                           {.name = "b", .format = {MPP_DELIMITED, '\n', 0}}};

/* ---- inside a record that mpp_fill() has read in part ------------------------------------------------- */

static int ends[2];

static void open_pipe(void)
{
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        bail_out("pipe: %s", strerror(errno));
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

static mpp_outcome fill_with(rig *r, unsigned stream, const void *data, size_t n)
{
    size_t got;
    mpp_error err = {0};
    if (write(ends[1], data, n) != (ssize_t)n)
        bail_out("write: %s", strerror(errno));
    return mpp_fill(r->p, stream, ends[0], 0, &got, &err);
}

static unsigned all_refused(rig *r, unsigned stream)
{
    size_t used = 7;
    void *room;
    mpp_operation op = {.user = r};
    mpp_error why = {0};
    unsigned n = refused(mpp_try_produce(r->p, stream, "x", 1));
    n += refused(mpp_try_produce(r->p, stream, "", 0));
    n += refused(mpp_feed(r->p, stream, "x\n", 2, &used)) && used == 0;
    n += refused(mpp_reserve(r->p, stream, 0, 2, &room));
    n += refused(mpp_commit(r->p, stream, 0, 2, 1));
    n += refused(mpp_give_up(r->p, stream));
    n += refused(mpp_no_wait(r->p, true));
    n += refused(mpp_produce_async(r->p, stream, "x", 1, &op)) && op.user == r;
    errno = 0;
    n += refused(mpp_poll(r->p, &op, &why)) && why.status == MPP_S_USAGE && strstr(why.text, "mpp_fill_end()");
    n += refused(mpp_poll(r->p, &op, NULL)) && mpp_operation_cancel(r->p, &op) == MPP_ERROR;
    n += refused(mpp_end(r->p, stream));
    return n;
}

enum { REFUSALS = 11 };

/* in_place: one consumer; else through a buffer, because of a second one or of mpp_no_wait(). */
static void test_inside(unsigned consumers, bool no_wait, unsigned lanes)
{
    rig r;
    mpp_error err;
    mpp_mesh_options o = rig_options(lines, 2, consumers);
    o.lanes = lanes;
    rig_open(&r, &o, 1, false);
    mpp_no_wait(r.p, no_wait);
    rig_ask(&r, 0);
    rig_ask(&r, 1);
    open_pipe();
    const bool filled = fill_with(&r, 0, "one\ntw", 6) == MPP_OK;
    const unsigned inside = all_refused(&r, 0);
    const bool other = mpp_try_produce(r.p, 1, "other", 5) == MPP_OK;
    mpp_flush(r.p);
    const unsigned again = all_refused(&r, 0);
    const bool went_on = fill_with(&r, 0, "o\nthr", 5) == MPP_OK && all_refused(&r, 0) == REFUSALS;
    const bool ended = fill_end(&r, 0, &err) == MPP_OK;
    ok(filled && inside == REFUSALS && again == REFUSALS && other && went_on && ended,
       "%s, %u consumers: nothing else comes into a record that mpp_fill() has read in part (%u, %u), into another "
       "stream it does",
       lanes == 1 ? "one lane" : "own lanes", consumers, inside, again);
    const bool after = mpp_try_produce(r.p, 0, "four", 4) == MPP_OK && mpp_give_up(r.p, 0) == MPP_OK;
    const bool closed = rig_finish(&r, 0) && rig_finish(&r, 1);
    size_t n = 0;
    for (unsigned j = 0; j < consumers; j++)
        n += r.got[j][0].n;
    ok(after && closed && r.torn == 0 && n == strlen("one\ntwo\nthr\nfour\n") &&
           (consumers > 1 || memcmp(r.got[0][0].data, "one\ntwo\nthr\nfour\n", n) == 0),
       "behind it all is as before, and what came is whole: %s", harness_cause(r.mesh));
    close_pipe();
    rig_close(&r);
}

static void put_blocks(rig *r, unsigned stream)
{
    static char block[10000];
    memset(block, 'x', sizeof block);
    while (mpp_try_produce(r->p, stream, block, sizeof block) == MPP_OK)
        ;
}

/* What it has read and found no room for goes first, and is not lost by an end. */
static void test_no_room(void)
{
    rig r;
    mpp_operation op;
    mpp_error err;
    size_t used = 0, n;
    mpp_mesh_options o = rig_options(lines, 1, 2);
    static char record[20000];
    memset(record, 'y', sizeof record);
    record[sizeof record - 1] = '\n';
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    put_blocks(&r, 0);
    open_pipe();
    mpp_outcome outcome = MPP_OK;
    int fd = file_of(record, sizeof record);
    const mpp_outcome filled = mpp_fill(r.p, 0, fd, 0, &n, &err);
    close(fd);
    outcome = mpp_try_produce(r.p, 0, "after", 5);
    const bool blocks = outcome == MPP_WOULD_BLOCK && mpp_feed(r.p, 0, "f\n", 2, &used) == MPP_WOULD_BLOCK &&
                        mpp_end(r.p, 0) == MPP_WOULD_BLOCK && refused(mpp_give_up(r.p, 0)) &&
                        refused(mpp_produce_async(r.p, 0, "x", 1, &op));
    const size_t before = r.got[0][0].n + r.got[1][0].n;
    const mpp_outcome after = rig_put(&r, 0, "after", 5);
    const bool closed = rig_finish(&r, 0);
    const bytes *got = r.got[0][0].n && r.got[0][0].data[r.got[0][0].n - 2] == 'r' ? &r.got[0][0] : &r.got[1][0];
    const bytes *other = got == &r.got[0][0] ? &r.got[1][0] : &r.got[0][0];
    ok(filled == MPP_OK && n == sizeof record && blocks && before == 0 && after == MPP_OK && closed && r.torn == 0 &&
           got->n > 6 && memcmp(got->data + got->n - 6, "after\n", 6) == 0 && other->n > sizeof record &&
           memcmp(other->data + other->n - sizeof record, record, sizeof record) == 0,
       "what mpp_fill() has read and found no room for goes before all else, also before the end");
    close_pipe();
    rig_close(&r);
}

/* A record that fits no frame goes out in parts, by one call alone. */
static void test_long_record(const char *by, unsigned which)
{
    enum { LONG = 3 * RIG_RING };
    rig r;
    size_t n, used = 0, at = 0;
    mpp_error err = {0};
    mpp_mesh_options o = rig_options(lines, 1, 1);
    char *record = malloc(LONG);
    memset(record, 'z', LONG);
    record[LONG - 1] = '\n';
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    open_pipe();
    if (which)
        mpp_feed(r.p, 0, record, LONG, &at);
    else
        mpp_try_produce(r.p, 0, record, LONG - 1);
    mpp_operation op;
    if (write(ends[1], "tail\n", 5) != 5)
        bail_out("write: %s", strerror(errno));
    const bool fill = refused(mpp_fill(r.p, 0, ends[0], 0, &n, &err)) && n == 0 && strstr(err.text, "not whole yet");
    const bool others =
        refused(mpp_produce_async(r.p, 0, record, LONG - 1, &op)) &&
        refused(mpp_reserve(r.p, 0, 0, 5, &(void *){NULL})) && refused(mpp_no_wait(r.p, true)) &&
        mpp_give_up(r.p, 0) == MPP_WOULD_BLOCK &&
        refused(which ? mpp_try_produce(r.p, 0, record, LONG - 1) : mpp_feed(r.p, 0, record, LONG, &used));
    for (unsigned tries = 0; which && at < LONG && tries < RIG_PATIENCE; tries++, at += used) {
        rig_turn(&r);
        mpp_feed(r.p, 0, record + at, LONG - at, &used);
    }
    const bool through = which || rig_put(&r, 0, record, LONG - 1) == MPP_OK;
    const bool then = mpp_fill(r.p, 0, ends[0], 0, &n, &err) == MPP_OK && n == 5;
    const bool closed = rig_finish(&r, 0);
    ok(fill && others && through && then && closed && r.torn == 0 && r.got[0][0].n == LONG + 5 &&
           memcmp(r.got[0][0].data, record, LONG) == 0,
       "a long record that %s has under way is finished by it alone", by);
    close_pipe();
    free(record);
    rig_close(&r);
}

/* An input that ends inside a record of fixed size: what came before it stays, and what follows is whole. */
static void test_cut_off(unsigned consumers)
{
    rig r;
    mpp_error err;
    const mpp_stream_options fixed = {.name = "fixed", .format = {MPP_FIXED, 0, 4}};
    mpp_mesh_options o = rig_options(&fixed, 1, consumers);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    open_pipe();
    const bool filled = fill_with(&r, 0, "onexto", 6) == MPP_OK && refused(mpp_end(r.p, 0));
    const bool cut = mpp_fill_end(r.p, 0, &err) == MPP_ERROR && strstr(err.text, "inside a record");
    const bool after = mpp_try_produce(r.p, 0, "twox", 4) == MPP_OK, closed = rig_finish(&r, 0);
    ok(filled && cut && after && closed && r.torn == 0 && r.got[0][0].n + r.got[1][0].n == 8,
       "%u consumers: an input that is cut off: the stream goes on behind it: %s", consumers, err.text);
    close_pipe();
    rig_close(&r);
}

/* ---- reserve and commit ------------------------------------------------------------------------------- */

static void test_reserved(unsigned lanes)
{
    rig r;
    void *room = NULL, *again = NULL;
    size_t used = 7, n = 7;
    mpp_error err = {0};
    mpp_mesh_options o = rig_options(lines, 2, 1);
    o.lanes = lanes;
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    rig_ask(&r, 1);
    ok(refused(mpp_commit(r.p, 0, 0, 0, 0)) && refused(mpp_commit(r.p, 0, 0, 4, 1)),
       "a commit without a reserve is refused");
    mpp_try_produce(r.p, 0, "before", 6);
    bool good = mpp_reserve(r.p, 0, 0, 4, &room) == MPP_OK;
    memcpy(room, "abc\n", 4);
    good &= refused(mpp_reserve(r.p, 0, 0, 4, &again)) && refused(mpp_commit(r.p, 0, 0, 5, 1)) &&
            refused(mpp_commit(r.p, 1, 0, 4, 1));
    ok(good, "so is a second reserve before the commit, and a commit of more, or of another stream's");
    for (unsigned s = 0; s < (lanes == 1 ? 2u : 1u); s++) {
        open_pipe();
        if (write(ends[1], "f\n", 2) != 2)
            bail_out("write: %s", strerror(errno));
        ok(refused(mpp_try_produce(r.p, s, "x", 1)) && refused(mpp_feed(r.p, s, "x\n", 2, &used)) && used == 0 &&
               refused(mpp_fill(r.p, s, ends[0], 0, &n, &err)) && n == 0 && strstr(err.text, "committed") &&
               refused(mpp_reserve(r.p, s, 0, 4, &again)),
           "between the two nothing else is produced%s", s ? " in the lane" : "");
        close_pipe();
    }
    ok(mpp_commit(r.p, 0, 0, 4, 1) == MPP_OK && refused(mpp_commit(r.p, 0, 0, 4, 1)),
       "one commit is good, a second not");
    ok(mpp_reserve(r.p, 0, 0, 100, &room) == MPP_OK && mpp_commit(r.p, 0, 0, 0, 0) == MPP_OK &&
           mpp_try_produce(r.p, 0, "after", 5) == MPP_OK,
       "room of which nothing is used is given back");
    const bool closed = rig_finish(&r, 0) && rig_finish(&r, 1);
    ok(closed && r.torn == 0 && r.got[0][0].n == 17 && memcmp(r.got[0][0].data, "before\nabc\nafter\n", 17) == 0,
       "and what was good comes: %s", harness_cause(r.mesh));
    rig_close(&r);
}

/* A commit that comes when the next run has begun is of the run before. */
static void test_late_commit(void)
{
    rig r;
    void *room;
    mpp_mesh_options o = rig_options(lines, 1, 1);
    rig_open(&r, &o, 2, false);
    rig_ask(&r, 0);
    mpp_reserve(r.p, 0, 0, 8, &room);
    memcpy(room, "too late", 8);
    mpp_cancel(r.c[0], 0);
    mpp_service(r.p);
    const bool again = rig_ask(&r, 0) && mpp_try_produce(r.p, 0, "of run 2", 8) == MPP_OK;
    const mpp_outcome outcome = mpp_commit(r.p, 0, 0, 8, 1);
    const bool closed = rig_finish(&r, 0);
    ok(again && outcome == MPP_OK && closed && r.torn == 0 && r.got[0][0].n == 9,
       "what was reserved for a run that was cancelled does not come in the next one");
    rig_close(&r);
}

/* ---- what there is not -------------------------------------------------------------------------------- */

static void test_streams(unsigned stream)
{
    rig r;
    size_t used, n;
    mpp_error err = {0}, why = {0};
    mpp_operation op;
    mpp_overwriter *w;
    mpp_totals totals = {.records = 7};
    mpp_batch b;
    mpp_mesh_options o = rig_options(lines, 2, 1);
    o.lanes = 1;
    const mpp_attach_options attach = {.index = 0, .streams = &(unsigned){0}, .n_streams = 1, .runs = 1};
    r = (rig){.mesh = harness_mesh(&o), .consumers = 1, .streams = 1};
    if (mpp_producer_attach(r.mesh, &attach, &r.p, NULL) < 0 || mpp_consumer_attach(r.mesh, &attach, &r.c[0], NULL) < 0)
        bail_out("cannot attach");
    rig_ask(&r, 0);
    open_pipe();
    ok(refused(mpp_register(r.p, stream, &(mpp_source){0})) && refused(mpp_begin(r.p, stream)) &&
           refused(mpp_try_produce(r.p, stream, "x", 1)) && refused(mpp_feed(r.p, stream, "x\n", 2, &used)) &&
           refused(mpp_fill(r.p, stream, ends[0], 0, &n, &err)) && err.status == MPP_S_USAGE &&
           refused(mpp_fill_end(r.p, stream, &err)) && refused(mpp_reserve(r.p, stream, 0, 1, &(void *){NULL})) &&
           refused(mpp_commit(r.p, stream, 0, 1, 1)) && refused(mpp_give_up(r.p, stream)) &&
           refused(mpp_end(r.p, stream)) && mpp_overwriter_open(r.p, stream, &w, &why) < 0 && w == NULL &&
           why.status == MPP_S_USAGE && mpp_producer_agree(r.p, stream, 1, 1) < 0,
       "stream %u, which this producer does not serve, is refused by each call: %s", stream, err.text);
    mpp_producer_totals(r.p, stream, &totals);
    why = (mpp_error){0};
    ok(refused(mpp_produce_async(r.p, stream, "x", 1, &op)) && refused(mpp_poll(r.p, &op, &why)) &&
           why.status == MPP_S_USAGE && totals.records == 0,
       "also for an operation: %s", why.text);
    ok(refused(mpp_start(r.c[0], stream)) && refused(mpp_next(r.c[0], stream, MPP_PRODUCER_ANY, &b)) &&
           refused(mpp_cancel(r.c[0], stream)),
       "and by a consumer's");
    ok(refused(mpp_reserve(r.p, 0, 1, 1, &(void *){NULL})) && refused(mpp_commit(r.p, 0, 1, 1, 1)) &&
           refused(mpp_next(r.c[0], 0, 1, &b)) && refused(mpp_next(r.c[0], 0, -2, &b)),
       "so is a participant that there is not");
    ok(rig_put(&r, 0, "good", 4) == MPP_OK && rig_finish(&r, 0) && r.got[0][0].n == 5, "what is good comes: %s",
       harness_cause(r.mesh));
    close_pipe();
    rig_close(&r);
}

/* ---- operations --------------------------------------------------------------------------------------- */

static void test_refused_operations(const mpp_stream_options *stream, const char *record, size_t len, int number,
                                    const char *text)
{
    rig r;
    mpp_error err = {0};
    mpp_operation op;
    mpp_mesh_options o = rig_options(stream, 1, 1);
    o.max_record = 100;
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    const mpp_outcome outcome = mpp_produce_async(r.p, 0, record, len, &op);
    const int e = errno;
    errno = 0;
    const mpp_outcome polled = mpp_poll(r.p, &op, &err);
    ok(outcome == MPP_ERROR && e == number && polled == MPP_ERROR && errno == number && err.status == MPP_S_ERROR &&
           strstr(err.text, text) && strstr(err.text, stream->name),
       "an operation that is not accepted says why: %s", err.text);
    ok(mpp_poll(r.p, &op, NULL) == MPP_ERROR && mpp_operation_cancel(r.p, &op) == MPP_ERROR && rig_finish(&r, 0) &&
           strcmp(harness_cause(r.mesh), "none") == 0,
       "and nothing else fails for it");
    rig_close(&r);
}

static void test_foreign_operations(void)
{
    rig r, other;
    mpp_error err = {0};
    mpp_operation first, last, unknown = {.outcome = MPP_WOULD_BLOCK, .stream = 0}, elsewhere = unknown;
    static char big[60 << 10];
    mpp_mesh_options o = rig_options(lines, 1, 1);
    o.ring_size = 64 << 10;
    elsewhere.stream = 5;
    memset(big, 'b', sizeof big);
    rig_open(&r, &o, 1, false);
    rig_open(&other, &o, 1, false);
    rig_ask(&r, 0);
    rig_ask(&other, 0);
    ok(refused(mpp_poll(r.p, &unknown, &err)) && err.status == MPP_S_USAGE && refused(mpp_poll(r.p, &elsewhere, NULL)),
       "an operation that nobody gave is not polled: %s", err.text);
    mpp_produce_async(r.p, 0, big, sizeof big, &first);
    mpp_produce_async(r.p, 0, big, sizeof big, &last);
    ok(mpp_poll(r.p, &last, NULL) == MPP_WOULD_BLOCK && refused(mpp_produce_async(r.p, 0, "x", 1, &last)) &&
           mpp_poll(r.p, &last, NULL) == MPP_WOULD_BLOCK,
       "one that is pending is not given again");
    ok(refused(mpp_operation_cancel(r.p, &unknown)) && refused(mpp_operation_cancel(r.p, &elsewhere)) &&
           refused(mpp_operation_cancel(other.p, &last)) && refused(mpp_poll(other.p, &last, NULL)),
       "nor taken back by a producer that does not have it");
    for (unsigned turn = 0; turn < RIG_PATIENCE && mpp_poll(r.p, &last, NULL) == MPP_WOULD_BLOCK; turn++)
        rig_turn(&r);
    ok(mpp_poll(r.p, &last, NULL) == MPP_OK && rig_finish(&r, 0) && r.got[0][0].n == 2 * (sizeof big + 1) &&
           rig_finish(&other, 0),
       "what was given comes");
    rig_close(&r);
    rig_close(&other);
}

/* ---- what is served ------------------------------------------------------------------------------------ */

static void test_served_twice(void)
{
    mpp_producer *p;
    mpp_consumer *c;
    mpp_error err = {0};
    const unsigned twice[] = {1, 0, 1};
    mpp_mesh_options o = rig_options(lines, 2, 1);
    mpp_attach_options a = {.index = MPP_INDEX_ANY, .streams = twice, .n_streams = 3, .runs = 1};
    mpp_mesh *m = harness_mesh(&o);
    ok(mpp_producer_attach(m, &a, &p, &err) < 0 && err.status == MPP_S_USAGE && strstr(err.text, "'b'") &&
           mpp_consumer_attach(m, &a, &c, &err) < 0 && err.status == MPP_S_USAGE,
       "a stream is served once: %s", err.text);
    ok(mpp_mesh_remove(mpp_mesh_id(m), &err) == 0, "and nobody has attached");
    mpp_mesh_close(&m);
}

/* ---- a source that sleeps ------------------------------------------------------------------------------- */

static int waited, number;

static int wait_inside(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    rig *r = arg;
    (void)stream, (void)run, (void)err;
    errno = 0;
    waited = mpp_wait(r->p, NULL, MPP_COMPUTING, NULL, 0, 0);
    number = errno;
    return 0;
}

static void test_wait_inside(void)
{
    rig r;
    mpp_mesh_options o = rig_options(lines, 1, 1);
    const mpp_source source = {.start = wait_inside, .arg = &r};
    rig_open(&r, &o, 1, false);
    mpp_register(r.p, 0, &source);
    rig_ask(&r, 0);
    ok(waited == -1 && number == EINVAL, "a source does not sleep");
    ok(rig_put(&r, 0, "good", 4) == MPP_OK && rig_finish(&r, 0) && r.got[0][0].n == 5, "what it gives comes: %s",
       harness_cause(r.mesh));
    rig_close(&r);
}

/* ---- consumers ---------------------------------------------------------------------------------------- */

static void test_release(void)
{
    rig r;
    mpp_batch b, copy;
    mpp_mesh_options o = rig_options(lines, 1, 1);
    rig_open(&r, &o, 1, false);
    ok(mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &b) == MPP_CLOSED, "of a stream that was not asked for nothing comes");
    rig_ask(&r, 0);
    ok(mpp_start(r.c[0], 0) == MPP_WOULD_BLOCK, "asking again for a run that is not over has to wait");
    mpp_try_produce(r.p, 0, "one", 3);
    mpp_flush(r.p);
    mpp_next(r.c[0], 0, 0, &b);
    copy = b;
    ok(mpp_release(r.c[0], &b) == MPP_OK && refused(mpp_release(r.c[0], &b)) && refused(mpp_release(r.c[0], &copy)),
       "a batch is released once");
    copy = (mpp_batch){.data = copy.data, .stream = 0, .producer = 1};
    bool good = refused(mpp_release(r.c[0], &copy));
    copy.producer = 0;
    copy.stream = 1;
    ok(good && refused(mpp_release(r.c[0], &copy)), "and none that nobody can have handed out");
    ok(rig_put(&r, 0, "two", 3) == MPP_OK && rig_finish(&r, 0) && r.got[0][0].n == 4, "the next one comes");
    rig_close(&r);
}

int main(void)
{
    static const mpp_stream_options fixed = {.name = "sized", .format = {MPP_FIXED, 0, 4}};
    static char huge[101];
    harness_begin(60);
    harness.step = "what a caller owes";
    memset(huge, 'h', sizeof huge);
    for (unsigned lanes = 0; lanes < 2; lanes++) {
        test_inside(1, false, lanes);
        test_inside(1, true, lanes);
        test_inside(2, false, lanes);
        test_reserved(lanes);
    }
    test_no_room();
    test_long_record("mpp_try_produce()", 0);
    test_long_record("mpp_feed()", 1);
    test_cut_off(1);
    test_cut_off(2);
    test_late_commit();
    test_streams(1);
    test_streams(2);
    test_streams(UINT_MAX);
    test_refused_operations(&lines[0], "a\nb", 3, EINVAL, "inside it");
    test_refused_operations(&lines[0], huge, sizeof huge, EMSGSIZE, "100");
    test_refused_operations(&fixed, "abc", 3, EINVAL, "3 bytes");
    test_foreign_operations();
    test_served_twice();
    test_wait_inside();
    test_release();
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
