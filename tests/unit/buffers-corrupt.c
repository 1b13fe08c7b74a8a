/* Buffers that overwrite, and words in them that nobody stored who follows the protocol: a reader that meets one says
 * that the mesh is corrupt and is over, alone; a producer says so to everybody; a mesh whose description cannot be is
 * not opened.  Nobody crashes, and nobody waits for what cannot come.
 *
 * MPP_SEED=n replays the random part. */
#include "base/atomics.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "producer/producer.h"
#include "readers.h"
#include "ring/mailbox.h"
#include "shm/layout.h"

enum { SESSIONS = 1000, MS = 1000000 };

typedef struct victim {
    mpp_mesh *m, *own; /* the reader's */
    author a;
    reader r, other;
    layout_buffer *buffer;
    layout_share *share;
    unsigned char *area; /* the producer's tape, or the boxes */
} victim;

static victim victim_of(mpp_buffer_kind kind)
{
    victim v = {.m = readers_mesh(kind, 1, 2)};
    v.own = harness_open(mpp_mesh_id(v.m));
    v.a = author_of(v.m, 0);
    v.r = reader_of(v.own, 0);
    v.other = reader_of(v.m, 1);
    author_write_some(&v.a, 1);
    reader_take(&v.r, UINT32_MAX);
    v.buffer = mesh_buffer(v.m, 0);
    v.share = layout_share_of(v.buffer, 0);
    v.area = producer_stream_of(v.a.p, 0)->kept.over.area;
    return v;
}

static void victim_close(victim *v)
{
    mpp_producer_detach(&v->a.p);
    mpp_consumer_detach(&v->r.c);
    mpp_consumer_detach(&v->other.c);
    mpp_mesh_close(&v->own);
    mpp_mesh_remove(mpp_mesh_id(v->m), NULL);
    mpp_mesh_close(&v->m);
}

/* It sleeps in between, but not for ever. */
static mpp_outcome read_on(victim *v)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < 5 && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = reader_take(&v->r, 1000);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(NULL, v->r.c, MPP_COMPUTING, NULL, 0, mpp_now() + MS);
    }
    return outcome;
}

/* ---- what a reader meets ---------------------------------------------------------------------------- */

static layout_value *next_value(victim *v)
{
    if (v->r.mailbox)
        return (layout_value *)(void *)(v->area + (load_relaxed(&v->buffer->slot) >> 1 & 511) *
                                                      layout_quarter(v->m->l.ring_size));
    return (layout_value *)(void *)(v->area + load_relaxed(&v->share->newest) - 1);
}

static void len_most(victim *v)
{
    author_write_some(&v->a, 1);
    next_value(v)->len = UINT32_MAX;
}
static void len_over_the_box(victim *v)
{
    author_write_some(&v->a, 1);
    next_value(v)->len = (16 << 10) - 15;
}
static void half_a_record(victim *v)
{
    author_write_some(&v->a, 1);
    next_value(v)->len--;
}
static void more_than_a_record(victim *v)
{
    author_write(&v->a, 17);
    next_value(v)->len++;
}
static void number_goes_back(victim *v)
{
    author_write_some(&v->a, 1);
    next_value(v)->number = 0;
}
static void write_far_away(victim *v)
{
    store_release(&v->share->write, UINT64_C(1) << 62);
    store_release(&v->share->newest, (UINT64_C(1) << 62) + 1);
}
static void newest_given_up(victim *v)
{
    author_write_some(&v->a, 1);
    store_release(&v->share->oldest, load_relaxed(&v->share->write));
}
static void state_77(victim *v)
{
    store_release(&v->share->state, 77);
}
static void state_cancelled(victim *v)
{
    store_release(&v->share->state, LAYOUT_CANCELLED);
}
static void failed_without_a_cause(victim *v)
{
    mpp_end(v->a.p, 0);
    mpp_producer_detach(&v->a.p);
    store_release(&v->share->state, LAYOUT_FAILED);
}
static void box_of_nobody(victim *v)
{
    author_write_some(&v->a, 1);
    store_release(&v->buffer->slot, load_relaxed(&v->buffer->slot) | 511 << 1);
}
static void two_records(victim *v)
{
    author_write_some(&v->a, 1);
    next_value(v)->records = 2;
}

typedef struct attack {
    const char *what;
    void (*attack)(victim *v);
    mpp_buffer_kind kind;
    const char *named; /* in the cause */
} attack;

static const attack attacks[] = {
    {"a value of 2^32 - 1 bytes", len_most, MPP_RING, "a value in its buffer"},
    {"a value of 2^32 - 1 bytes", len_most, MPP_LATEST, "a value in its buffer"},
    {"a value of 2^32 - 1 bytes", len_most, MPP_MAILBOX, "a value in its buffer"},
    {"a value a byte too long", len_over_the_box, MPP_RING, "a value in its buffer"},
    {"a value a byte too long", len_over_the_box, MPP_MAILBOX, "a value in its buffer"},
    {"a value that is not a record", half_a_record, MPP_RING, "does not end where a record does"},
    {"a value that is not a record", half_a_record, MPP_LATEST, "does not end where a record does"},
    {"a value that is not a record", half_a_record, MPP_MAILBOX, "does not end where a record does"},
    {"a value that is a record and a byte", more_than_a_record, MPP_RING, "does not end where a record does"},
    {"a value with an earlier number", number_goes_back, MPP_RING, "a value in its buffer"},
    {"a value with an earlier number", number_goes_back, MPP_LATEST, "a value in its buffer"},
    {"positions far away", write_far_away, MPP_RING, "a value in its buffer"},
    {"positions far away", write_far_away, MPP_LATEST, "a value in its buffer"},
    {"a newest value that was given up", newest_given_up, MPP_LATEST, "a value in its buffer"},
    {"a slot that names no box", box_of_nobody, MPP_MAILBOX, "a value in its buffer"},
    {"a value of two records", two_records, MPP_MAILBOX, "a value in its buffer"},
    {"a stream in no state", state_77, MPP_RING, "a stream's state"},
    {"a stream in no state", state_77, MPP_MAILBOX, "a stream's state"},
    {"a stream that cannot be cancelled", state_cancelled, MPP_LATEST, "a stream's state"},
    {"a failure of which nobody knows", failed_without_a_cause, MPP_RING, "a stream's state"},
};

static void test_attack(const attack *a)
{
    mpp_error cause = {0};
    harness.step = a->what;
    victim v = victim_of(a->kind);
    a->attack(&v);
    const mpp_outcome outcome = read_on(&v);
    const bool known = mpp_consumer_cause(v.r.c, &cause);
    ok(outcome == MPP_GONE && known && cause.status == MPP_S_CORRUPT && strstr(cause.text, a->named),
       "%s: %s is corrupt: %s", mpp_buffer_text(a->kind), a->what, known ? cause.text : "no cause");
    ok(!mpp_mesh_cause(v.m, &cause) && (!v.a.p || mpp_service(v.a.p) == MPP_OK), "for who reads it, and nobody else");
    victim_close(&v);
}

/* ---- what a producer meets -------------------------------------------------------------------------- */

static void test_producer(mpp_buffer_kind kind)
{
    mpp_error cause = {0};
    victim v = victim_of(kind);
    if (kind == MPP_MAILBOX)
        store_release(&v.buffer->slot, 511 << 1);
    else
        next_value(&v)->len = UINT32_MAX;
    for (unsigned i = 0; i < 10000 && mpp_service(v.a.p) == MPP_OK; i++)
        author_write_some(&v.a, 1);
    ok(mpp_service(v.a.p) == MPP_GONE && mpp_mesh_cause(v.m, &cause) && cause.status == MPP_S_CORRUPT,
       "%s: a producer that comes to what cannot be tells everybody: %s", mpp_buffer_text(kind), cause.text);
    victim_close(&v);
}

/* ---- what describes it ------------------------------------------------------------------------------ */

typedef void forge(layout_header *h, layout_stream *s);

static void no_buffers(layout_header *h, layout_stream *s)
{
    (void)s;
    h->buffers = 0;
}
static void more_buffers(layout_header *h, layout_stream *s)
{
    (void)s;
    h->buffers = 2;
}
static void all_buffers(layout_header *h, layout_stream *s)
{
    (void)s;
    h->buffers = UINT32_MAX;
}
static void no_such_kind(layout_header *h, layout_stream *s)
{
    (void)h;
    s->buffer = MPP_MAILBOX + 1;
}
static void bounded_after_all(layout_header *h, layout_stream *s)
{
    (void)h;
    s->buffer = MPP_BOUNDED;
}
static void fixed_too_large(layout_header *h, layout_stream *s)
{
    (void)h;
    s->kind = MPP_FIXED;
    s->size = 1 << 20;
}

static void test_described(forge *f, const char *what)
{
    mpp_error err;
    victim v = victim_of(MPP_RING);
    f((layout_header *)v.m->base, (layout_stream *)(void *)((char *)v.m->base + v.m->l.streams_at));
    ok(harness_try_open(mpp_mesh_id(v.m), &err) == MPP_S_CORRUPT, "a mesh with %s is corrupt: %s", what, err.text);
    victim_close(&v);
}

/* ---- words at random -------------------------------------------------------------------------------- */

static void flip(victim *v)
{
    _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)v->buffer + tap_random(sizeof *v->buffer / 8);
    if (tap_random(2))
        word = (_Atomic uint64_t *)(void *)v->share + tap_random(5);
    if (tap_random(2))
        word = (_Atomic uint64_t *)(void *)v->area + tap_random(RIG_RING / 8);
    store_relaxed(word, tap_any_position(load_relaxed(word)));
}

static void test_random_words(void)
{
    unsigned gone = 0, sessions = SCALED(SESSIONS, 5);
    harness.step = "random words";
    for (unsigned session = 0; session < sessions; session++) {
        victim v = victim_of((mpp_buffer_kind)(MPP_RING + tap_random(3)));
        bool over = false;
        for (unsigned step = 0; step < 100 && !over; step++) {
            if (tap_random(10) == 0)
                flip(&v);
            author_write_some(&v.a, (unsigned)tap_random(4));
            over = reader_take(&v.r, 100) == MPP_GONE || mpp_service(v.a.p) == MPP_GONE;
            mpp_wait(v.a.p, v.r.c, MPP_COMPUTING, NULL, 0, 1);
        }
        gone += over;
        victim_close(&v);
    }
    ok(gone > 0, "%u sessions with random words changed under them do not crash; %u ended by it", sessions, gone);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    for (unsigned i = 0; i < sizeof attacks / sizeof *attacks; i++)
        test_attack(&attacks[i]);
    test_producer(MPP_RING);
    test_producer(MPP_LATEST);
    test_producer(MPP_MAILBOX);
    test_described(no_buffers, "fewer buffers than streams that have one");
    test_described(more_buffers, "more");
    test_described(all_buffers, "2^32 - 1");
    test_described(no_such_kind, "a buffer of no kind");
    test_described(bounded_after_all, "a buffer of another kind");
    test_described(fixed_too_large, "records that no value can hold");
    test_random_words();
    harness_end();
    return done_testing();
}
