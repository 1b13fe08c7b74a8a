/* Buffers through the public API, in one thread: what each kind gives to readers who are there, come late, come again
 * or fail; how a producer's end looks to them; what is refused; and when the mesh goes.
 *
 * MPP_SEED=n replays the lengths of the values. */
#include "mpp-look.h"
#include "readers.h"

static const mpp_buffer_kind kinds[] = {MPP_RING, MPP_LATEST, MPP_MAILBOX};
enum { N_KINDS = 3, MAX_64K = (16 << 10) - 16 }; /* what a value may hold in the smallest ring */

/* ---- how a mesh is made ----------------------------------------------------------------------------- */

static bool refused(const mpp_mesh_options *o, const char *why)
{
    mpp_mesh *m = NULL;
    mpp_error err = {0};
    const bool no = mpp_mesh_create(o, &m, &err) < 0 && err.status == MPP_S_USAGE && strstr(err.text, why);
    if (!no)
        diag("created, or refused otherwise: %s", err.text);
    mpp_mesh_close(&m);
    return no;
}

static bool stream_refused(mpp_stream_options s, unsigned lanes, const char *why)
{
    s.name = "s";
    const mpp_mesh_options o = {
        .producers = 1, .consumers = 2, .streams = &s, .n_streams = 1, .ring_size = RIG_RING, .lanes = lanes};
    return refused(&o, why);
}

static void test_refused(mpp_buffer_kind kind)
{
    const mpp_format lines = {MPP_DELIMITED, '\n', 0};
    const char *text = mpp_buffer_text(kind);
    ok(stream_refused((mpp_stream_options){.format = lines, .key = "1", .separator = '\t', .buffer = kind}, 0,
                      "no key"),
       "%s: a key is refused", text);
    ok(stream_refused((mpp_stream_options){.format = lines, .partition = "round-robin", .buffer = kind}, 0,
                      "no partition"),
       "%s: so is a partition", text);
    ok(stream_refused((mpp_stream_options){.format = lines, .buffer = kind}, 1, "--lanes"), "%s: so are lanes", text);
    ok(stream_refused((mpp_stream_options){.format = {MPP_FIXED, 0, MAX_64K + 1}, .buffer = kind}, 0,
                      "at most 16368 bytes"),
       "%s: so are records of fixed size that no value can hold", text);
}

static void test_described(mpp_buffer_kind kind)
{
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    const mpp_stream_info *s = mpp_mesh_stream(m, 0);
    ok(s->buffer == kind && s->max_record == MAX_64K - 4 && s->key == NULL,
       "a stream of kind %s says so, and its limit", mpp_buffer_text(kind));
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

static void test_unknown(void)
{
    ok(stream_refused((mpp_stream_options){.format = readers_format, .buffer = (mpp_buffer_kind)4}, 0,
                      "no kind of buffer 4"),
       "a kind that there is not is refused");
    ok(strcmp(mpp_buffer_text((mpp_buffer_kind)4), "unknown") == 0, "and has no name");
}

static void test_overwriter_refused(void)
{
    mpp_mesh *m = readers_mesh(MPP_BOUNDED, 1, 1);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_overwriter *w = (mpp_overwriter *)&w;
    mpp_error err;
    ok(mpp_overwriter_open(p, 0, &w, &err) < 0 && w == NULL && err.status == MPP_S_USAGE && strstr(err.text, "bounded"),
       "a bounded stream has no overwriter: %s", err.text);
    mpp_producer_detach(&p);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

/* ---- what readers get ------------------------------------------------------------------------------- */

/* Everybody leaves, in this order; did the mesh go with the last of them? */
static bool all_leave(mpp_mesh **m, author *a, reader *r)
{
    mpp_end(a->p, 0);
    mpp_producer_detach(&a->p);
    mpp_consumer_detach(&r->c);
    return mesh_went(m);
}

static void test_keeps_up(mpp_buffer_kind kind)
{
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    author a = author_of(m, 0);
    reader r = reader_of(m, 0);
    bool empty = reader_take(&r, 1) == MPP_WOULD_BLOCK;
    for (unsigned i = 0; i < 2000; i++) {
        author_write_some(&a, 1);
        reader_take(&r, UINT32_MAX);
    }
    ok(empty && r.wrong == 0 && r.got[0] == 2000 && r.missed[0] == 0, "%s: who keeps up gets all of it, unasked",
       mpp_buffer_text(kind));
    mpp_end(a.p, 0);
    ok(reader_take(&r, 1) == MPP_CLOSED && mpp_service(a.p) == MPP_CLOSED, "%s: and its end", mpp_buffer_text(kind));
    ok(all_leave(&m, &a, &r), "%s: then the mesh goes", mpp_buffer_text(kind));
}

/* What a reader finds who comes after 3,000 values. */
static bool found_late(mpp_buffer_kind kind, const reader *r)
{
    if (r->wrong || r->next[0] != 3000)
        return false;
    if (kind == MPP_RING)
        return r->got[0] + r->missed[0] == 3000 && r->got[0] > 30 && r->missed[0] > 0;
    return r->got[0] == 1 && (kind == MPP_MAILBOX || r->missed[0] == 2999);
}

static void test_late(mpp_buffer_kind kind)
{
    const char *text = mpp_buffer_text(kind);
    mpp_mesh *m = readers_mesh(kind, 1, 3);
    author a = author_of(m, 0);
    author_write_some(&a, 3000);
    reader r = reader_of(m, 1);
    reader_take(&r, UINT32_MAX);
    ok(found_late(kind, &r), "%s: who comes late gets what is there (%llu), and is told of the rest", text,
       (unsigned long long)r.got[0]);
    reader again = reader_of(m, 0);
    reader_take(&again, UINT32_MAX);
    ok(kind == MPP_MAILBOX ? again.got[0] == 0 : found_late(kind, &again), "%s: %s", text,
       kind == MPP_MAILBOX ? "a second one nothing" : "so does a second one");
    mpp_consumer_detach(&again.c);
    author_write_some(&a, 1);
    again = reader_of(m, 0);
    reader_take(&r, UINT32_MAX);
    reader_take(&again, UINT32_MAX);
    ok(r.wrong == 0 && r.next[0] == 3001 && again.wrong == 0 &&
           (kind == MPP_MAILBOX ? again.got[0] == 0 : again.got[0] + again.missed[0] == 3001),
       "%s: one that comes again begins anew", text);
    mpp_consumer_detach(&again.c);
    reader any[2] = {reader_of(m, MPP_INDEX_ANY), reader_of(m, MPP_INDEX_ANY)};
    ok(mpp_consumer_index(any[0].c) == 2 && mpp_consumer_index(any[1].c) == 0,
       "%s: who names no index gets one that was never used, or else one that nobody holds", text);
    for (unsigned i = 0; i < 2; i++)
        mpp_consumer_detach(&any[i].c);
    ok(all_leave(&m, &a, &r), "%s: the mesh goes when all have left", text);
}

static void test_index_taken(void)
{
    mpp_mesh *m = readers_mesh(MPP_RING, 1, 1);
    mpp_consumer *c = NULL;
    mpp_error err;
    author a = author_of(m, 0);
    reader r = reader_of(m, 0);
    ok(mpp_consumer_attach(m, &(mpp_attach_options){.index = 0}, &c, &err) < 0 && err.status == MPP_S_USAGE &&
           mpp_consumer_attach(m, &(mpp_attach_options){.index = MPP_INDEX_ANY}, &c, &err) < 0 &&
           err.status == MPP_S_USAGE,
       "an index is one reader's at a time");
    ok(all_leave(&m, &a, &r), "and then nobody's");
}

static void test_started_again(mpp_buffer_kind kind)
{
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    author a = author_of(m, 0);
    author_write_some(&a, 10);
    reader r = reader_of(m, 0);
    reader_take(&r, UINT32_MAX);
    mpp_cancel(r.c, 0);
    ok(reader_take(&r, 1) == MPP_CLOSED, "%s: who has enough gets no more", mpp_buffer_text(kind));
    author_write_some(&a, 1);
    const uint64_t before = r.got[0];
    memset(r.next, 0, sizeof r.next);
    bool started = mpp_start(r.c, 0) == MPP_OK;
    reader_take(&r, UINT32_MAX);
    ok(started && r.wrong == 0 && r.next[0] == 11 && r.got[0] - before == (kind == MPP_RING ? 11 : 1),
       "%s: and when it starts again what there is", mpp_buffer_text(kind));
    ok(all_leave(&m, &a, &r), "%s: and the mesh goes", mpp_buffer_text(kind));
}

static void test_several_producers(mpp_buffer_kind kind)
{
    const char *text = mpp_buffer_text(kind);
    mpp_mesh *m = readers_mesh(kind, READER_PRODUCERS, 2);
    author a[READER_PRODUCERS];
    unsigned missing = 0;
    for (unsigned i = 0; i < READER_PRODUCERS; i++)
        a[i] = author_of(m, (int)i);
    reader r[2] = {reader_of(m, 0), reader_of(m, 1)};
    for (unsigned n = 0; n < 5000; n++) {
        author_write_some(&a[tap_random(READER_PRODUCERS)], 1);
        if (tap_random(20) == 0)
            reader_take(&r[tap_random(2)], 1 + (unsigned)tap_random(50));
    }
    uint64_t written = 0, got = 0, overwritten = 0;
    for (unsigned i = 0; i < READER_PRODUCERS; i++) {
        mpp_end(a[i].p, 0);
        written += a[i].written;
    }
    const bool closed = reader_take(&r[0], UINT32_MAX) == MPP_CLOSED && reader_take(&r[1], UINT32_MAX) == MPP_CLOSED;
    for (unsigned i = 0; i < READER_PRODUCERS; i++) {
        const mpp_share_counters c = author_counters(m, i);
        missing += c.produced != a[i].written;
        overwritten += c.overwritten;
        for (unsigned j = 0; j < 2; j++) {
            got += r[j].got[i];
            missing += kind != MPP_MAILBOX && r[j].got[i] + r[j].missed[i] != a[i].written;
        }
    }
    ok(closed && r[0].wrong + r[1].wrong == 0 && missing == 0, "%s: what %u producers write is told apart and adds up",
       text, READER_PRODUCERS);
    if (kind == MPP_MAILBOX)
        ok(got + overwritten == written, "%s: taken + overwritten = written", text);
    for (unsigned i = 1; i < READER_PRODUCERS; i++)
        mpp_producer_detach(&a[i].p);
    mpp_consumer_detach(&r[1].c);
    ok(all_leave(&m, &a[0], &r[0]), "%s: and the mesh goes with the last", text);
}

/* The producer that is named, and no other. */
static void test_one_of_them(void)
{
    mpp_mesh *m = readers_mesh(MPP_RING, 2, 1);
    author a[2] = {author_of(m, 0), author_of(m, 1)};
    reader r = reader_of(m, 0);
    mpp_batch b;
    author_write_some(&a[0], 3);
    const mpp_outcome nothing = mpp_next(r.c, 0, 1, &b);
    const bool waits = mpp_arm(NULL, r.c, MPP_COMPUTING);
    mpp_disarm(NULL, r.c);
    const mpp_outcome still = mpp_next(r.c, 0, 1, &b);
    author_write_some(&a[1], 1);
    ok(nothing == MPP_WOULD_BLOCK && waits && still == MPP_WOULD_BLOCK && mpp_next(r.c, 0, 1, &b) == MPP_OK &&
           b.producer == 1,
       "who asks for one producer's waits for that one");
    mpp_batch other;
    ok(mpp_next(r.c, 0, 1, &other) == MPP_WOULD_BLOCK && mpp_next(r.c, 0, 0, &other) == MPP_OK && other.producer == 0,
       "one batch of each may be held");
    mpp_release(r.c, &b);
    mpp_release(r.c, &other);
    for (unsigned i = 0; i < 2; i++)
        mpp_end(a[i].p, 0);
    mpp_producer_detach(&a[1].p);
    ok(all_leave(&m, &a[0], &r), "and the mesh goes");
}

/* ---- records of all formats and lengths ------------------------------------------------------------- */

static const mpp_format formats[] = {
    {MPP_DELIMITED, '\n', 0}, {MPP_DELIMITED, 0, 0}, {MPP_FIXED, 0, 100}, {MPP_U32LE, 0, 0}, {MPP_U32BE, 0, 0}};

static mpp_mesh *mesh_of_format(mpp_buffer_kind kind, mpp_format f)
{
    const mpp_stream_options s = {.name = "s", .format = f, .buffer = kind};
    const mpp_mesh_options o = rig_options(&s, 1, 1);
    return harness_mesh(&o);
}

static size_t framing(const mpp_format *f)
{
    return f->kind == MPP_DELIMITED ? 1 : f->kind == MPP_FIXED ? 0 : 4;
}

/* Does the reader have exactly this record next? */
static bool comes_as(mpp_consumer *c, const mpp_format *f, const unsigned char *record, size_t n)
{
    mpp_batch b;
    if (mpp_next(c, 0, MPP_PRODUCER_ANY, &b) != MPP_OK)
        return false;
    const unsigned char *body = b.data + (f->kind >= MPP_U32LE ? 4 : 0);
    const bool same = b.len == n + framing(f) && memcmp(body, record, n) == 0;
    mpp_release(c, &b);
    return same && mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK;
}

/* Each way to produce, for a record that may be, or may not. */
static bool goes_through(mpp_producer *p, mpp_overwriter *w, mpp_consumer *c, const mpp_format *f,
                         const unsigned char *record, size_t n)
{
    mpp_operation op;
    mpp_produce(w, record, n);
    bool well = comes_as(c, f, record, n);
    well &= mpp_try_produce(p, 0, record, n) == MPP_OK && comes_as(c, f, record, n);
    well &= mpp_produce_async(p, 0, record, n, &op) == MPP_OK && mpp_poll(p, &op, NULL) == MPP_OK;
    return well && comes_as(c, f, record, n) && mpp_operation_cancel(p, &op) == MPP_OK;
}

static bool does_not(mpp_producer *p, mpp_overwriter *w, mpp_consumer *c, const unsigned char *record, size_t n,
                     int why)
{
    mpp_operation op;
    mpp_batch b;
    mpp_produce(w, record, n);
    bool well = mpp_try_produce(p, 0, record, n) == MPP_ERROR && errno == why;
    well &= mpp_produce_async(p, 0, record, n, &op) == MPP_ERROR && errno == why;
    return well && mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK;
}

static void test_format(mpp_buffer_kind kind, const mpp_format *f)
{
    static unsigned char record[RIG_RING];
    mpp_overwriter *w;
    unsigned wrong = 0, refusals = 0;
    mpp_mesh *m = mesh_of_format(kind, *f);
    const size_t most = (size_t)mpp_mesh_stream(m, 0)->max_record;
    const size_t lengths[] = {0, 1, 7, 100, 4096, most - 1, most, most + 1, sizeof record};
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_start(c, 0);
    mpp_overwriter_open(p, 0, &w, NULL);
    memset(record, 'x', sizeof record);
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const size_t n = lengths[i];
        const bool fits = f->kind == MPP_FIXED ? n == f->size : n <= most;
        wrong += fits ? !goes_through(p, w, c, f, record, n)
                      : !does_not(p, w, c, record, n, f->kind == MPP_FIXED ? EINVAL : EMSGSIZE);
        refusals += !fits;
    }
    if (f->kind == MPP_DELIMITED) {
        record[3] = f->delimiter;
        wrong += !does_not(p, w, c, record, 7, EINVAL);
        refusals++;
    }
    ok(wrong == 0 && author_counters(m, 0).refused == refusals && most == MAX_64K - framing(f),
       "%s: records of format %d from 0 to %zu bytes, by each way to produce; others are refused and counted",
       mpp_buffer_text(kind), (int)f->kind, most);
    mpp_end(p, 0);
    mpp_produce(w, record, 1);
    wrong = mpp_try_produce(p, 0, record, f->kind == MPP_FIXED ? f->size : 1) != MPP_CLOSED;
    ok(wrong == 0 && author_counters(m, 0).refused == refusals + 1, "%s: after the end all are", mpp_buffer_text(kind));
    mpp_producer_detach(&p);
    mpp_consumer_detach(&c);
    mesh_went(&m);
}

/* Many records at once: a ring has them in values of many, the others one by one. */
static void test_fed(mpp_buffer_kind kind)
{
    bytes in = {0}, out = {0};
    mpp_batch b;
    size_t used;
    uint64_t missed = 0;
    unsigned values = 0;
    void *data;
    for (unsigned i = 0; i < 1000; i++) {
        char line[16];
        bytes_add(&in, line, (size_t)snprintf(line, sizeof line, "%u\n", i));
    }
    bytes_add(&in, "half", 4);
    mpp_mesh *m = mesh_of_format(kind, formats[0]);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_start(c, 0);
    const mpp_outcome outcome = mpp_feed(p, 0, in.data, in.n, &used);
    for (; mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK; values++) {
        bytes_add(&out, b.data, b.len);
        missed += b.missed;
        mpp_release(c, &b);
    }
    in.n -= 4;
    ok(outcome == MPP_OK && used == in.n &&
           (kind == MPP_RING ? values < 10 && bytes_equal(&in, &out) : values == 1 && out.n == 4) &&
           missed == (kind == MPP_LATEST ? 999 : 0),
       "%s: whole records that are fed go, the rest stays", mpp_buffer_text(kind));
    errno = 0;
    ok(mpp_reserve(p, 0, 0, 10, &data) == MPP_ERROR && errno == EINVAL, "%s: there is nothing to reserve",
       mpp_buffer_text(kind));
    mpp_end(p, 0);
    mpp_producer_detach(&p);
    mpp_consumer_detach(&c);
    mesh_went(&m);
    bytes_free(&in);
    bytes_free(&out);
}

/* By read(2), with a last line that has no end. */
static void test_filled(mpp_buffer_kind kind)
{
    int fds[2];
    size_t n;
    mpp_error err;
    mpp_mesh *m = mesh_of_format(kind, formats[0]);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_start(c, 0);
    if (pipe(fds) < 0 || write(fds[1], "one\ntwo\nthree", 13) != 13)
        bail_out("no pipe");
    close(fds[1]);
    const mpp_outcome filled = mpp_fill(p, 0, fds[0], 0, &n, &err);
    const mpp_outcome over = mpp_fill(p, 0, fds[0], 0, &n, &err);
    const mpp_outcome ended = mpp_fill_end(p, 0, &err);
    mpp_batch b;
    bytes out = {0}, expected = {0};
    while (mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK) {
        bytes_add(&out, b.data, b.len);
        mpp_release(c, &b);
    }
    bytes_add(&expected, kind == MPP_RING ? "one\ntwo\nthree\n" : "three\n", kind == MPP_RING ? 14 : 6);
    ok(filled == MPP_OK && over == MPP_OK && n == 0 && ended == MPP_OK && bytes_equal(&out, &expected),
       "%s: what is read from a file goes, its last line gets an end", mpp_buffer_text(kind));
    close(fds[0]);
    bytes_free(&out);
    bytes_free(&expected);
    mpp_end(p, 0);
    mpp_producer_detach(&p);
    mpp_consumer_detach(&c);
    mesh_went(&m);
}

static int cannot_start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)arg;
    (void)stream;
    (void)run;
    *err = (mpp_error){.status = MPP_S_ERROR, .text = "no such file"};
    return -1;
}

static void test_source_that_cannot_start(mpp_buffer_kind kind)
{
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    reader r = reader_of(m, 0);
    author a = author_of(m, 0);
    mpp_register(a.p, 0, &(mpp_source){.start = cannot_start});
    author_write_some(&a, 1);
    ok(author_counters(m, 0).produced == 0 && mpp_service(a.p) == MPP_GONE && reader_take(&r, 1) == MPP_GONE &&
           strstr(harness_cause(m), "no such file"),
       "%s: nothing goes into a stream whose source could not start", mpp_buffer_text(kind));
    mpp_producer_detach(&a.p);
    mpp_consumer_detach(&r.c);
    mesh_went(&m);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    test_unknown();
    test_overwriter_refused();
    test_index_taken();
    test_one_of_them();
    for (unsigned i = 0; i < N_KINDS; i++) {
        harness.step = mpp_buffer_text(kinds[i]);
        test_refused(kinds[i]);
        test_described(kinds[i]);
        test_keeps_up(kinds[i]);
        test_late(kinds[i]);
        test_started_again(kinds[i]);
        test_several_producers(kinds[i]);
        for (unsigned f = 0; f < sizeof formats / sizeof *formats; f++)
            test_format(kinds[i], &formats[f]);
        test_fed(kinds[i]);
        test_filled(kinds[i]);
        test_source_that_cannot_start(kinds[i]);
    }
    harness_end();
    return done_testing();
}
