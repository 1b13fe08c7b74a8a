/* Buffers that overwrite, and who comes and goes: ends, failures and deaths as the others see them; when the mesh goes;
 * and streams of several kinds in one process.
 *
 * What was published comes first, always; a reader's misfortune is its own. */
#include "door.h"
#include "mpp-look.h"
#include "readers.h"

#include <pthread.h>
#include <sys/prctl.h>

static const mpp_buffer_kind kinds[] = {MPP_RING, MPP_LATEST, MPP_MAILBOX};
enum { N_KINDS = 3, MS = 1000000, UNREAD = 20 };

static void leave_all(mpp_mesh **m, author *a, reader *r)
{
    if (a)
        mpp_producer_detach(&a->p);
    if (r)
        mpp_consumer_detach(&r->c);
    mpp_mesh_remove(mpp_mesh_id(*m), NULL);
    mpp_mesh_close(m);
}

/* ---- a producer's end ------------------------------------------------------------------------------- */

enum { ENDS, FAILS, LEAVES, DIES, WAYS };
static const char *const ways[WAYS] = {"ends", "fails", "leaves before its end", "dies"};

static void finish(author *a, unsigned way)
{
    switch (way) {
    case ENDS:
        mpp_end(a->p, 0);
        break;
    case FAILS:
        mpp_producer_fail(a->p, &(mpp_error){.status = MPP_S_ERROR, .text = "the sensor is on fire"});
        break;
    case LEAVES:
        mpp_producer_detach(&a->p);
        break;
    default:
        raise(SIGKILL);
    }
}

/* A producer in a process of its own: it writes when it is let, and finishes in that way. */
static int produce(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    author a = author_of(m, 0);
    say(d, 'a');
    stay(d);
    author_write_some(&a, UNREAD);
    finish(&a, (unsigned)d->state);
    mpp_producer_detach(&a.p);
    mpp_mesh_close(&m);
    return 0;
}

static bool cause_is(const mpp_mesh *m, unsigned way)
{
    static const char *const texts[WAYS] = {"", "the sensor is on fire", "left before its stream 's' ended", "died"};
    mpp_error cause;
    if (way == ENDS)
        return !mpp_mesh_cause(m, &cause);
    return mpp_mesh_cause(m, &cause) && strstr(cause.text, texts[way]) && strstr(cause.text, "producer 0") &&
           cause.status == (way == DIES ? MPP_S_DIED : MPP_S_FAILED);
}

static bool has_all(mpp_buffer_kind kind, const reader *r)
{
    return r->wrong == 0 && r->next[0] == UNREAD && (kind != MPP_RING || r->got[0] + r->missed[0] == UNREAD);
}

/* Two readers: one is there before, and sleeps; one comes when it is over. */
static void test_end(mpp_buffer_kind kind, unsigned way)
{
    const char *text = mpp_buffer_text(kind);
    harness.step = ways[way];
    mpp_mesh *m = readers_mesh(kind, 1, 2), *second = harness_open(mpp_mesh_id(m));
    door d = door_open(m, 'p', 0);
    d.state = (int)way;
    reader r = reader_of(m, 0);
    pid_t pid = harness_fork(produce, &d);
    hear(&d);
    close(d.in[1]);
    const mpp_outcome outcome = reader_read(&r), again = reader_take(&r, 1);
    ok(outcome == (way == ENDS ? MPP_CLOSED : MPP_GONE) && again == outcome && has_all(kind, &r) && cause_is(m, way),
       "%s: when its producer %s a reader has what was published, and then learns it: %s", text, ways[way],
       harness_cause(m));
    harness_reap(pid);
    if (kind == MPP_MAILBOX) { /* whose value is taken */
        leave_all(&m, NULL, &r);
    } else {
        reader late = reader_of(second, 1);
        const mpp_outcome then = reader_read(&late);
        ok(then == outcome && has_all(kind, &late) && cause_is(second, way), "%s: so does one who comes afterwards: %s",
           text, harness_cause(second));
        leave_all(&m, NULL, &r);
        mpp_consumer_detach(&late.c);
    }
    mpp_mesh_close(&second);
    d.in[1] = -1;
    door_close(&d);
}

/* Nobody has written anything. */
static void test_nothing(mpp_buffer_kind kind)
{
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    reader r = reader_of(m, 0);
    author a = author_of(m, 0);
    const mpp_outcome before = reader_take(&r, 1);
    mpp_producer_detach(&a.p);
    ok(before == MPP_WOULD_BLOCK && reader_read(&r) == MPP_CLOSED && r.got[0] == 0,
       "%s: a producer that leaves and never began is an end of nothing", mpp_buffer_text(kind));
    mpp_consumer_detach(&r.c);
    ok(mesh_went(&m), "%s: and the mesh goes", mpp_buffer_text(kind));
}

/* ---- a reader's misfortune -------------------------------------------------------------------------- */

static void test_reader_fails(mpp_buffer_kind kind)
{
    const char *text = mpp_buffer_text(kind);
    mpp_mesh *m = readers_mesh(kind, 1, 2), *own = harness_open(mpp_mesh_id(m));
    mpp_error cause;
    author a = author_of(m, 0);
    reader r = reader_of(m, 0), failing = reader_of(own, 1);
    author_write_some(&a, 1);
    const bool first = mpp_consumer_fail(failing.c, &(mpp_error){.status = MPP_S_ERROR, .text = "no space left"});
    ok(first && reader_take(&failing, 1) == MPP_GONE && mpp_consumer_cause(failing.c, &cause) &&
           strstr(cause.text, "no space"),
       "%s: a reader that fails is over, with its own cause: %s", text, cause.text);
    author_write_some(&a, 1);
    ok(mpp_service(a.p) == MPP_OK && !mpp_mesh_cause(m, &cause) && reader_take(&r, UINT32_MAX) == MPP_WOULD_BLOCK &&
           r.wrong == 0 && r.next[0] == 2,
       "%s: nobody else is", text);
    mpp_consumer_detach(&failing.c);
    failing = reader_of(own, 1);
    ok(reader_take(&failing, UINT32_MAX) == MPP_WOULD_BLOCK && failing.wrong == 0, "%s: it can come again", text);
    mpp_consumer_detach(&failing.c);
    mpp_mesh_close(&own);
    mpp_end(a.p, 0);
    mpp_producer_detach(&a.p);
    mpp_consumer_detach(&r.c);
    ok(mesh_went(&m), "%s: and the mesh goes", text);
}

typedef struct failing {
    pthread_t thread;
    mpp_mesh *mesh;
    reader r;
    bool well;
} failing;

static void *fail_alone(void *arg)
{
    failing *f = arg;
    mpp_error cause;
    f->well = mpp_consumer_fail(f->r.c, &(mpp_error){.status = MPP_S_ERROR, .text = "no space left"}) &&
              reader_take(&f->r, 1) == MPP_GONE && mpp_consumer_cause(f->r.c, &cause) &&
              strstr(cause.text, "no space") && !mpp_mesh_cause(f->mesh, &cause);
    return NULL;
}

/* On one handle of the mesh: ThreadSanitizer is who looks. */
static void test_readers_fail_in_threads(void)
{
    failing f[2];
    mpp_mesh *m = readers_mesh(MPP_LATEST, 1, 2);
    author a = author_of(m, 0);
    for (int i = 0; i < 2; i++)
        f[i] = (failing){.mesh = m, .r = reader_of(m, i)};
    for (int i = 0; i < 2; i++)
        if (pthread_create(&f[i].thread, NULL, fail_alone, &f[i]) != 0)
            bail_out("no thread");
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(f[i].thread, NULL);
        mpp_consumer_detach(&f[i].r.c);
    }
    ok(f[0].well && f[1].well && mpp_service(a.p) == MPP_OK, "readers in two threads fail at once, each alone");
    leave_all(&m, &a, NULL);
}

static int read_until_killed(void *arg)
{
    const door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    reader r = reader_of(m, d->index);
    for (bool said = false;; said = true) {
        mpp_outcome outcome = reader_take(&r, 1 + (unsigned)d->state);
        if (!said)
            say(d, 'r');
        if (r.wrong || outcome == MPP_GONE || outcome == MPP_CLOSED)
            return 1;
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(NULL, r.c, MPP_COMPUTING, NULL, 0, 0);
    }
}

/* Readers are killed at random moments; the writer writes, and wakes whoever sleeps. */
static void test_readers_killed(mpp_buffer_kind kind)
{
    const unsigned rounds = SCALED(60, 6);
    unsigned wrong = 0;
    mpp_error cause;
    harness.step = "readers that are killed";
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    author a = author_of(m, 0);
    for (unsigned i = 0; i < rounds; i++) {
        door d = door_open(m, 'c', i % 2 ? 0 : MPP_INDEX_ANY);
        pid_t pid = harness_fork(read_until_killed, &d);
        wrong += hear(&d) != 'r';
        const int64_t until = mpp_now() + (int64_t)tap_random(3 * MS);
        do
            author_write_some(&a, 1 + (unsigned)tap_random(5));
        while (mpp_now() < until);
        kill(pid, SIGKILL);
        author_write_some(&a, 3);
        wrong += harness_reap(pid) != 128 + SIGKILL;
        author_write_some(&a, 3);
        mpp_wait(a.p, NULL, MPP_COMPUTING, NULL, 0, 1);
        wrong += mpp_service(a.p) != MPP_OK || mpp_mesh_cause(m, &cause);
        door_close(&d);
    }
    ok(wrong == 0,
       "%s: %u readers are killed one after the other: the writer does not notice, their place is taken again",
       mpp_buffer_text(kind), rounds);
    reader r = reader_of(m, 0);
    mpp_end(a.p, 0);
    ok(reader_read(&r) == MPP_CLOSED && r.wrong == 0 && author_counters(m, 0).produced == a.written,
       "%s: the next one reads to the end", mpp_buffer_text(kind));
    mpp_producer_detach(&a.p);
    mpp_consumer_detach(&r.c);
    ok(mesh_went(&m), "%s: and the mesh goes", mpp_buffer_text(kind));
}

/* ---- when the mesh goes ----------------------------------------------------------------------------- */

static bool is_there(const mpp_mesh *m)
{
    mpp_error err;
    return harness_try_open(mpp_mesh_id(m), &err) == MPP_S_DONE;
}

static void test_life(mpp_buffer_kind kind)
{
    const char *text = mpp_buffer_text(kind);
    mpp_mesh *m = readers_mesh(kind, 2, 1);
    reader r = reader_of(m, 0);
    mpp_consumer_detach(&r.c);
    ok(is_there(m), "%s: a reader that came too early and left leaves the mesh", text);
    author a = author_of(m, 0);
    author_write_some(&a, 1);
    mpp_end(a.p, 0);
    mpp_producer_detach(&a.p);
    r = reader_of(m, 0);
    reader_take(&r, UINT32_MAX);
    mpp_consumer_detach(&r.c);
    ok(is_there(m) && r.got[0] == 1, "%s: it stays while a producer has yet to come", text);
    a = author_of(m, 1);
    r = reader_of(m, 0);
    mpp_end(a.p, 0);
    mpp_producer_detach(&a.p);
    ok(is_there(m) && mpp_mesh_gc(NULL, NULL, NULL) == 0 && is_there(m), "%s: and while there is a reader", text);
    mpp_consumer_detach(&r.c);
    ok(mesh_went(&m), "%s: and goes with the last of them", text);
}

static void test_nobody_read(mpp_buffer_kind kind)
{
    const char *text = mpp_buffer_text(kind);
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    author a = author_of(m, 0);
    author_write_some(&a, 1);
    mpp_end(a.p, 0);
    mpp_producer_detach(&a.p);
    ok(is_there(m) && mpp_mesh_gc(NULL, NULL, NULL) == 0, "%s: what nobody has read waits for a reader", text);
    reader r = reader_of(m, 0);
    ok(reader_read(&r) == MPP_CLOSED && r.got[0] == 1, "%s: who finds it", text);
    mpp_consumer_detach(&r.c);
    ok(mesh_went(&m), "%s: and then the mesh goes", text);
}

static void test_keep(mpp_buffer_kind kind)
{
    mpp_error err;
    const mpp_stream_options s = {.name = "s", .format = readers_format, .buffer = kind};
    mpp_mesh *m = harness_mesh(&(mpp_mesh_options){
        .producers = 1, .consumers = 1, .streams = &s, .n_streams = 1, .ring_size = RIG_RING, .keep = true});
    author a = author_of(m, 0);
    reader r = reader_of(m, 0);
    mpp_end(a.p, 0);
    mpp_producer_detach(&a.p);
    mpp_consumer_detach(&r.c);
    mpp_consumer *c = NULL;
    const bool kept = is_there(m);
    const bool over = mpp_consumer_attach(m, &(mpp_attach_options){.index = 0}, &c, &err) < 0;
    ok(kept && over && err.status == MPP_S_NO_MESH && mpp_mesh_gc(NULL, NULL, NULL) == 1,
       "%s: one that is kept is over, and stays for --gc", mpp_buffer_text(kind));
    mesh_went(&m);
}

static int attach_and_die(void *arg)
{
    const door *d = arg;
    mpp_mesh *m = harness_open(d->id);
    if (d->role == 'p')
        author_of(m, d->index);
    else
        reader_of(m, d->index);
    raise(SIGKILL);
    return 1;
}

static void let_one_die(mpp_mesh *m, char role)
{
    door d = door_open(m, role, 0);
    harness_reap(harness_fork(attach_and_die, &d));
    door_close(&d);
}

static void test_gc(mpp_buffer_kind kind)
{
    const char *text = mpp_buffer_text(kind);
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    let_one_die(m, 'c');
    ok(mpp_mesh_gc(NULL, NULL, NULL) == 0 && is_there(m), "%s: a dead reader alone does not make a mesh garbage", text);
    author a = author_of(m, 0);
    author_write_some(&a, 1);
    let_one_die(m, 'c');
    ok(mpp_mesh_gc(NULL, NULL, NULL) == 0 && mpp_service(a.p) == MPP_OK, "%s: nor with a producer that lives", text);
    mpp_end(a.p, 0);
    mpp_producer_detach(&a.p);
    ok(!is_there(m) || mpp_mesh_gc(NULL, NULL, NULL) == 1, "%s: with one that has ended it does", text);
    mesh_went(&m);
    m = readers_mesh(kind, 1, 1);
    let_one_die(m, 'p');
    ok(mpp_mesh_gc(NULL, NULL, NULL) == 1 && !is_there(m), "%s: and so does a dead producer", text);
    mesh_went(&m);
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

/* Nobody needs to ask, so nobody is waited for. */
static void test_attach_timeout(mpp_buffer_kind kind)
{
    mpp_producer *p;
    mpp_error err;
    mpp_mesh *m = readers_mesh(kind, 1, 1);
    if (mpp_producer_attach(m, &(mpp_attach_options){.index = 0, .runs = 1, .attach_timeout_ms = 5}, &p, &err) < 0)
        bail_out("%s", err.text);
    const int64_t until = mpp_now() + 50 * MS;
    while (mpp_service(p) == MPP_OK && mpp_now() < until)
        mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, until);
    ok(mpp_service(p) == MPP_OK && strcmp(harness_cause(m), "none") == 0,
       "%s: a producer that has nothing to write yet does not wait for a reader: %s", mpp_buffer_text(kind),
       harness_cause(m));
    author a = {.p = p};
    leave_all(&m, &a, NULL);
}

/* ---- several kinds ---------------------------------------------------------------------------------- */

enum { BOUNDED, RING, LATEST, MAILBOX, ALL_KINDS };
static const mpp_stream_options mixed[] = {{.name = "bounded", .format = {MPP_U32LE, 0, 0}},
                                           {.name = "ring", .format = {MPP_U32LE, 0, 0}, .buffer = MPP_RING},
                                           {.name = "latest", .format = {MPP_U32LE, 0, 0}, .buffer = MPP_LATEST},
                                           {.name = "mailbox", .format = {MPP_U32LE, 0, 0}, .buffer = MPP_MAILBOX}};

typedef struct all_kinds {
    mpp_producer *p;
    mpp_consumer *c;
    uint64_t sent, blocked, missed, last[ALL_KINDS];
    unsigned wrong, closed;
} all_kinds;

static void produce_each(all_kinds *x, uint64_t turn)
{
    static unsigned char value[1024];
    for (unsigned s = 0; s < ALL_KINDS; s++) {
        const size_t n = VALUE_LEAST + tap_random(1000);
        value_make(value, n, s == BOUNDED ? x->sent : turn);
        const mpp_outcome outcome = mpp_try_produce(x->p, s, value, n);
        x->wrong += outcome != MPP_OK && (s != BOUNDED || outcome != MPP_WOULD_BLOCK);
        x->sent += s == BOUNDED && outcome == MPP_OK;
        x->blocked += outcome == MPP_WOULD_BLOCK;
    }
}

static void check_batch(all_kinds *x, unsigned s, const mpp_batch *b)
{
    uint64_t number = 0;
    for (size_t at = 0, len; at < b->len; at += len) {
        if (mpp_record_next(&readers_format, 1024, b->data + at, b->len - at, &len) != MPP_OK) {
            x->wrong++;
            return;
        }
        x->wrong += !value_whole(b->data + at + 4, len - 4, &number) ||
                    (s == BOUNDED ? number != x->last[s] : number < x->last[s]);
        x->last[s] = number + 1;
    }
    x->missed += s == RING ? b->missed : 0;
}

static void consume_some(all_kinds *x, unsigned s, unsigned batches)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    while (batches-- && (outcome = mpp_next(x->c, s, 0, &b)) == MPP_OK) {
        check_batch(x, s, &b);
        mpp_release(x->c, &b);
    }
    x->closed |= outcome == MPP_CLOSED ? 1U << s : 0;
    x->wrong += outcome == MPP_GONE;
}

/* One of each kind between one producer and one consumer in one thread: bounded loses nothing and may wait, the others
 * never wait. */
static void test_mixed(void)
{
    enum { TURNS = 20000 };
    const mpp_mesh_options o = rig_options(mixed, ALL_KINDS, 1);
    mpp_mesh *m = harness_mesh(&o);
    all_kinds x = {.p = harness_producer(m, 0, 1), .c = harness_consumer(m, 0)};
    for (unsigned s = 0; s < ALL_KINDS; s++)
        x.wrong += mpp_start(x.c, s) != MPP_OK;
    x.wrong += mpp_service(x.p) != MPP_OK;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        produce_each(&x, turn);
        if (tap_random(100) == 0)
            consume_some(&x, (unsigned)tap_random(ALL_KINDS), 100);
        mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, 1);
    }
    for (unsigned s = 0; s < ALL_KINDS; s++) {
        mpp_end(x.p, s);
        consume_some(&x, s, UINT32_MAX);
    }
    ok(x.wrong == 0 && x.last[BOUNDED] == x.sent && x.blocked > 0 && x.missed > 0 &&
           x.closed == (1U << ALL_KINDS) - 1 && x.last[RING] == TURNS && x.last[LATEST] == TURNS,
       "four kinds side by side in one thread: bounded was full %llu times, the ring dropped %llu, each is in order",
       (unsigned long long)x.blocked, (unsigned long long)x.missed);
    mpp_producer_detach(&x.p);
    mpp_consumer_detach(&x.c);
    ok(mesh_went(&m), "and the mesh goes");
}

/* Who reads a bounded stream, too, is no spectator: the others rely on it. */
static void test_mixed_death(void)
{
    mpp_error cause = {0};
    const mpp_mesh_options o = rig_options(mixed, ALL_KINDS, 2);
    mpp_mesh *m = harness_mesh(&o);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_service(p);
    let_one_die(m, 'c');
    while (mpp_service(p) == MPP_OK)
        mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
    ok(mpp_mesh_cause(m, &cause) && cause.status == MPP_S_DIED, "a consumer of all kinds that dies is missed: %s",
       cause.text);
    mpp_producer_detach(&p);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    for (unsigned i = 0; i < N_KINDS; i++) {
        for (unsigned way = 0; way < WAYS; way++)
            test_end(kinds[i], way);
        harness.step = mpp_buffer_text(kinds[i]);
        test_nothing(kinds[i]);
        test_reader_fails(kinds[i]);
        test_life(kinds[i]);
        test_nobody_read(kinds[i]);
        test_keep(kinds[i]);
        test_gc(kinds[i]);
        test_attach_timeout(kinds[i]);
        test_readers_killed(kinds[i]);
    }
    test_readers_fail_in_threads();
    harness.step = "several kinds";
    test_mixed();
    test_mixed_death();
    harness_end();
    return done_testing();
}
