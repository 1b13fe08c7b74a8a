/* fuzz-control - control rings with anything in them, and what their producer makes of that, against the obvious way
 *
 * Shows that a message is obeyed when it can be, that the first that cannot ends the mesh by name, and that sources are
 * started and stopped in turn, run by run, whatever consumers say. */
#include "live.h"

enum { CONSUMERS = 2, RUNS = 3 };

static unsigned running[2], begun[2]; /* per stream: is its source running; how often it was started */

static int on_start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)arg;
    (void)err;
    must(!running[stream], "stream %u is started while it runs", stream);
    must(run > begun[stream] && run <= RUNS, "run %u of stream %u after run %u", run, stream, begun[stream]);
    running[stream] = 1;
    begun[stream] = run;
    return 0;
}

static void on_stop(void *arg, unsigned stream, unsigned run)
{
    (void)arg;
    must(running[stream] && run == begun[stream], "run %u of stream %u is stopped, and %u runs", run, stream,
         begun[stream]);
    running[stream] = 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make();
    return 0;
}

/* ---- the obvious way: who has asked for what, and has enough of it ------------------------------------ */

typedef struct naive {
    uint32_t asked[2][CONSUMERS], enough[2][CONSUMERS];
    bool corrupt;
} naive;

static void naive_message(naive *w, unsigned consumer, const layout_control *m, unsigned lane)
{
    const unsigned stream = m->stream_id >> 16;
    const bool known = (m->stream_id & 0xffff) == 0 && stream == lane;
    uint32_t *asked = &w->asked[lane][consumer], *enough = &w->enough[lane][consumer];
    if (known && m->type == LAYOUT_START && m->run == *asked + 1 && (m->run <= begun[lane] + 1 || *enough == *asked))
        *asked = m->run;
    else if (known && m->type == LAYOUT_CANCEL && m->run == *asked && *enough != m->run)
        *enough = m->run;
    else
        w->corrupt = true;
}

/* ---- messages ---------------------------------------------------------------------------------------- */

/* A message that is nearly right, or anything. */
static layout_control message_of(food *f, const naive *w, unsigned consumer, unsigned lane)
{
    const unsigned how = food_byte(f);
    layout_control m = {.type = how & 1 ? LAYOUT_START : LAYOUT_CANCEL, .stream_id = layout_physical(lane, 0)};
    m.run = w->asked[lane][consumer] + (how & 1);
    if (how & 16)
        m.type = (uint32_t)food_word(f, m.type);
    if (how & 32)
        m.stream_id = (uint32_t)food_word(f, m.stream_id);
    if (how & 64)
        m.run = (uint32_t)food_word(f, m.run);
    return m;
}

static void send(rig *r, unsigned consumer, unsigned lane, const layout_control *m)
{
    layout_channel *c = mesh_channel(r->mesh, lane, 0, consumer);
    const uint64_t sent = load_relaxed(&c->sent);
    layout_controls_of(c)[sent % r->mesh->l.controls] = *m;
    store_release(&c->sent, sent + 1);
    add_release(&mesh_endpoint_slot(r->mesh, lane, 'p', 0)->mail, 1);
}

static void check(rig *r, const naive *w)
{
    const mpp_outcome outcome = mpp_service(r->p);
    must((outcome == MPP_GONE) == w->corrupt, "outcome %d, %s", (int)outcome, harness_cause(r->mesh));
    if (outcome == MPP_GONE)
        live_failed(r, false);
}

/* A few messages, a look at them, and so on; in between a run ends. */
static void play(rig *r, food *f)
{
    naive w = {0};
    while (f->n > 0 && !w.corrupt) {
        const unsigned what = food_byte(f), consumer = what & 1, lane = what >> 1 & 1;
        if (what & 128 && running[lane]) {
            mpp_end(r->p, lane);
            running[lane] = 0;
        } else if (what & 64) {
            layout_channel *c = mesh_channel(r->mesh, lane, 0, consumer);
            const uint64_t sent = load_relaxed(&c->sent), to = food_word(f, sent);
            store_release(&c->sent, to);
            add_release(&mesh_endpoint_slot(r->mesh, lane, 'p', 0)->mail, 1);
            if (to != sent)
                break; /* messages that nobody has written: they may be anything */
        } else {
            const layout_control m = message_of(f, &w, consumer, lane);
            send(r, consumer, lane, &m);
            naive_message(&w, consumer, &m, lane);
        }
        check(r, &w);
    }
    mpp_service(r->p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rig r;
    food f = {data, size < 400 ? size : 400};
    const mpp_format second = {MPP_FIXED, 0, 4};
    memset(running, 0, sizeof running);
    memset(begun, 0, sizeof begun);
    live_open(&r, &second, 2, CONSUMERS, RUNS);
    for (unsigned s = 0; s < 2; s++)
        mpp_register(r.p, s, &(mpp_source){on_start, on_stop, NULL});
    play(&r, &f);
    live_close(&r);
    return 0;
}
