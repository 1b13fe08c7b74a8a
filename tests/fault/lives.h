/* lives.h - the phases of a participant that is to be killed, what we do meanwhile, and how each must end */
#ifndef LIVES_H
#define LIVES_H

#include "stepper.h"
#include "world.h"

typedef struct victim {
    mpp_mesh *mesh;
    mpp_producer *p;
    mpp_consumer *c;
    mpp_batch batch;
    int input; /* a pipe that holds the records */
} victim;

/* ---- who of us is there ------------------------------------------------------------------------------ */

static void we_consume(world *w)
{
    world_make(w, 'p', 1, 1);
    world_consumers(w, true);
}

static void we_consume_two_streams(world *w)
{
    world_make(w, 'p', 2, 1);
    world_consumers(w, true);
}

static void we_are_two(world *w)
{
    world_make(w, 'p', 1, 2);
    world_consumers(w, true);
}

static void nobody_consumes(world *w)
{
    world_make(w, 'p', 1, 1);
}

static void we_produce(world *w)
{
    world_make(w, 'c', 1, 1);
    world_producer(w);
}

static void we_produce_two_streams(world *w)
{
    world_make(w, 'c', 2, 1);
    world_producer(w);
}

static void nobody_produces(world *w)
{
    world_make(w, 'c', 1, 1);
}

/* We are the producer and the second consumer, which has asked. */
static void we_are_the_others(world *w)
{
    world_make(w, 'c', 1, 2);
    world_producer(w);
    world_consumers(w, true);
}

/* ---- a producer's life ------------------------------------------------------------------------------- */

static void attach_producer(victim *v)
{
    v->p = harness_producer(v->mesh, 0, 1);
    for (unsigned s = 0; s < mpp_mesh_streams(v->mesh); s++)
        mpp_register(v->p, s, &(mpp_source){NULL, NULL, NULL});
}

static void take_start(victim *v)
{
    if (mpp_service(v->p) != MPP_OK)
        _exit(90);
}

static void producer_idle(victim *v)
{
    attach_producer(v);
}

static void producer_warm(victim *v)
{
    attach_producer(v);
    take_start(v);
    if (!world_produce(v->p, 0, WORLD_WARM))
        _exit(91);
}

static void publish(victim *v)
{
    if (!world_produce(v->p, WORLD_WARM, WORLD_RECORDS))
        _exit(92);
    mpp_flush(v->p);
}

/* Records from a pipe, most of them cut somewhere. */
static void producer_with_input(victim *v)
{
    bytes all = world_expected(0, 1);
    int ends[2];
    size_t at = 0;
    producer_warm(v);
    for (unsigned i = 0; i < WORLD_WARM; i++)
        at += world_lengths[i] + 1;
    if (pipe2(ends, O_CLOEXEC) < 0 || write(ends[1], all.data + at, all.n - at - 1) != (ssize_t)(all.n - at - 1))
        _exit(93);
    close(ends[1]);
    v->input = ends[0];
}

static void fill(victim *v)
{
    size_t n = 1;
    mpp_error err;
    while (n > 0) {
        if (mpp_fill(v->p, 0, v->input, 3000, &n, &err) != MPP_OK)
            _exit(94);
        mpp_flush(v->p);
    }
    mpp_fill_end(v->p, 0, &err);
    mpp_flush(v->p);
}

/* No space is left for what comes next. */
static void producer_full(victim *v)
{
    producer_warm(v);
    if (world_produce(v->p, WORLD_WARM, WORLD_RECORDS))
        _exit(97);
}

static void wait_for_nothing(victim *v)
{
    mpp_wait(v->p, v->c, MPP_COMPUTING, NULL, 0, 1);
}

/* The last record is not published yet. */
static void producer_done(victim *v)
{
    producer_warm(v);
    mpp_flush(v->p);
    stepper_mark();
    if (!world_produce(v->p, WORLD_WARM, WORLD_RECORDS))
        _exit(99);
}

static void end_streams(victim *v)
{
    for (unsigned s = 0; s < mpp_mesh_streams(v->mesh); s++)
        mpp_end(v->p, s);
    mpp_service(v->p);
    wait_for_nothing(v);
}

static void producer_ended(victim *v)
{
    producer_done(v);
    end_streams(v);
}

static void leave(victim *v)
{
    mpp_producer_detach(&v->p);
    mpp_consumer_detach(&v->c);
    mpp_mesh_close(&v->mesh);
}

static void fail_and_leave(victim *v)
{
    mpp_producer_fail(v->p, &(mpp_error){.status = MPP_S_ERROR, .text = "it failed"});
    leave(v);
}

static void producer_again(victim *v)
{
    v->p = harness_producer(v->mesh, 0, 2);
    mpp_register(v->p, 0, &(mpp_source){NULL, NULL, NULL});
    take_start(v);
    if (!world_produce(v->p, 0, WORLD_WARM))
        _exit(95);
    mpp_end(v->p, 0);
}

static void second_run(victim *v)
{
    take_start(v);
    publish(v);
    end_streams(v);
}

/* ---- a consumer's life ------------------------------------------------------------------------------- */

static void attach_consumer(victim *v)
{
    v->c = harness_consumer(v->mesh, 0);
}

static void ask(victim *v)
{
    for (unsigned s = 0; s < mpp_mesh_streams(v->mesh); s++)
        if (mpp_start(v->c, s) != MPP_OK)
            _exit(96);
}

static void consume(victim *v)
{
    while (mpp_next(v->c, 0, MPP_PRODUCER_ANY, &v->batch) == MPP_OK)
        mpp_release(v->c, &v->batch);
    wait_for_nothing(v);
}

static void consumer_asked(victim *v)
{
    attach_consumer(v);
    ask(v);
}

static void consumer_warm(victim *v)
{
    consumer_asked(v);
    stepper_mark();
    consume(v);
}

static void cancel(victim *v)
{
    for (unsigned s = 0; s < mpp_mesh_streams(v->mesh); s++)
        mpp_cancel(v->c, s);
    wait_for_nothing(v);
}

static void consumer_drained(victim *v)
{
    consumer_warm(v);
    stepper_mark();
    consume(v);
}

/* ---- what we do meanwhile ---------------------------------------------------------------------------- */

static void read_along(world *w, unsigned mark)
{
    (void)mark;
    world_tend(w);
}

static void leave_it_alone(world *w, unsigned mark)
{
    (void)mark;
    world_walk(w);
}

static void ask_again(world *w, unsigned mark)
{
    (void)mark;
    w->run = 2;
    world_tend(w);
    if (mpp_start(w->rig.c[0], 0) != MPP_OK)
        world_wrong(w, "the next run cannot be asked");
}

/* At each mark some records; at the third the stream ends. */
static void write_along(world *w, unsigned mark)
{
    world_tend(w);
    if (mark < 2 && !world_produce(w->rig.p, mark == 0 ? 0 : WORLD_WARM, mark == 0 ? WORLD_WARM : WORLD_RECORDS))
        world_wrong(w, "no room for records");
    if (mark == 2) {
        mpp_end(w->rig.p, 0);
        w->ended = true;
    }
    mpp_wait(w->rig.p, NULL, MPP_COMPUTING, NULL, 0, 1);
}

static void write_until_full(world *w, unsigned mark)
{
    (void)mark;
    world_tend(w);
    while (world_produce(w->rig.p, 0, 1))
        ;
}

/* We have had all that there is, and are gone before it. */
static void leave_first(world *w, unsigned mark)
{
    world_tend(w);
    if (w->role == 'p' && mark == 0)
        return;
    mpp_consumer_detach(&w->rig.c[0]);
    if (w->rig.p)
        mpp_end(w->rig.p, 0);
    mpp_producer_detach(&w->rig.p);
}

/* ---- how it ends ------------------------------------------------------------------------------------- */

/* Anything but success is the death, or what the dead one had said. */
static void judge_producer(world *w)
{
    rig *r = &w->rig;
    world_wake(w, w->live || w->done);
    if (!w->live && !w->done) {
        world_tend(w);
        if (w->said[0] != MPP_WOULD_BLOCK || strcmp(harness_cause(r->mesh), "none") != 0)
            world_wrong(w, "one that was never there is missed");
        world_replace(w);
        return;
    }
    world_settle(w);
    for (unsigned j = 0; j < r->consumers; j++) {
        if (w->said[j] != (w->over[j] ? MPP_CLOSED : MPP_GONE))
            world_wrong(w, w->over[j] ? "a stream that had ended did not end well" : "a stream that had not ended did");
        else if (w->said[j] == MPP_GONE)
            world_check_cause(w);
        world_check_got(w, j, w->over[j]);
    }
    if (w->over[0] && !w->live && strcmp(harness_cause(r->mesh), "none") != 0)
        world_wrong(w, "one that had left well is missed");
}

/* It says that it leaves unasked, which ends whoever asks now; whether it then dies makes no difference. */
static void judge_unasked(world *w)
{
    const mpp_mesh *m = w->rig.mesh;
    const layout_end *end = layout_end_of(&m->l, mesh_channel(m, 0, 0, 0), 0);
    if ((load_acquire(&end->word) & 0xff) != LAYOUT_UNASKED) {
        judge_producer(w);
        return;
    }
    world_wake(w, true);
    world_settle(w);
    const char *cause = harness_cause(m);
    if (w->said[0] != MPP_GONE ||
        !(strstr(cause, "producer 0 left before anyone asked") || (w->live && strstr(cause, "producer 0 (pid"))))
        world_wrong(w, "the cause is not that it left");
}

static void judge_consumer(world *w)
{
    rig *r = &w->rig;
    world_wake(w, w->live || w->done);
    const bool cancelled = load_acquire(&mesh_channel(r->mesh, 0, 0, 0)->sent) > 1;
    if (!w->live && !w->done) {
        world_tend(w);
        if (w->said[0] != MPP_OK)
            world_wrong(w, "one that was never there is missed");
        world_replace(w);
        return;
    }
    world_settle(w);
    if (w->said[0] == MPP_GONE)
        world_check_cause(w);
    if (w->live && w->said[0] != MPP_GONE && !cancelled && !w->ended)
        world_wrong(w, "the producer did not learn of it");
    if (!w->live && w->said[0] != MPP_CLOSED)
        world_wrong(w, "one that had left well is missed");
}

/* It left without having asked: what is meant for it is dropped, and holds up nobody. */
static void judge_left_unasked(world *w)
{
    rig *r = &w->rig;
    size_t len;
    if (w->live) {
        judge_consumer(w);
        return;
    }
    world_wake(w, true);
    rig_turn(r);
    for (unsigned i = 0; i < 4 * WORLD_RECORDS; i++) {
        const char *record = world_record(i % WORLD_RECORDS, &len);
        if (rig_put(r, 0, record, len) != MPP_OK)
            world_wrong(w, "what one that left did not ask for holds up others");
    }
    mpp_end(r->p, 0);
    if (rig_await(r, 1, 0) != MPP_CLOSED || strcmp(harness_cause(r->mesh), "none") != 0)
        world_wrong(w, "one that had left well is missed");
}

/* Nobody was there to see it. */
static void judge_last(world *w)
{
    (void)w;
}

#endif
