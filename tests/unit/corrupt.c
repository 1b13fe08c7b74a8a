/* A hostile peer: whatever it writes into shared memory ends the mesh by name, and harms nobody. */
#include "base/atomics.h"
#include "consumer/consumer.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "producer/producer.h"
#include "rig.h"
#include "ring/ring.h"
#include "shm/layout.h"

enum { SESSIONS = 1000 };

/* Two streams in two lanes, one producer, one consumer; both streams are asked for and the first has frames. */
static const mpp_stream_options two[] = {
    {.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
    {.name = "b", .format = {MPP_DELIMITED, '\n', 0}},
};

static layout_channel *channel(const rig *r)
{
    return mesh_channel(r->mesh, 0, 0, 0);
}

static layout_end *end_word(const rig *r)
{
    return layout_end_of(&r->mesh->l, channel(r), 0);
}

static layout_frame *first_frame(const rig *r)
{
    return (layout_frame *)(void *)r->p->outlets[0].ring.bytes;
}

static void open_two(rig *r)
{
    mpp_mesh_options o = rig_options(two, 2, 1);
    o.max_record = 1000;
    rig_open(r, &o, 2, false);
    rig_ask(r, 0);
    rig_ask(r, 1);
    for (unsigned i = 0; i < 3; i++) {
        mpp_try_produce(r->p, 0, "a record of some length", 23);
        mpp_flush(r->p);
    }
}

/* The mesh is what is attacked: it may stay. */
static void close_hostile(rig *r)
{
    char id[MPP_NAME_MAX + 1];
    snprintf(id, sizeof id, "%s", mpp_mesh_id(r->mesh));
    rig_close(r);
    mpp_mesh_remove(id, NULL);
}

/* ---- what a producer may do to a consumer ----------------------------------------------------------- */

static void frame_len_max(rig *r)
{
    first_frame(r)->len = 0x7fffffff;
}
static void frame_len_of_the_ring(rig *r)
{
    first_frame(r)->len = RIG_RING;
}
static void frame_len_just_too_long(rig *r)
{
    first_frame(r)->len = (uint32_t)(load_relaxed(&channel(r)->write) - sizeof(layout_frame) + 1);
}
static void frame_that_ends_inside_a_record(rig *r)
{
    first_frame(r)->len -= 1; /* its padded size stays: the next frame is where it was */
}
static void long_record_without_its_end(rig *r)
{
    first_frame(r)->len |= LAYOUT_CONTINUED;
    layout_frame *second = (layout_frame *)(void *)(r->p->outlets[0].ring.bytes + layout_frame_size(24));
    second->len -= 1;
}
static void frame_of_another_producer(rig *r)
{
    first_frame(r)->stream_id = layout_physical(0, 1);
}
static void frame_of_no_stream(rig *r)
{
    first_frame(r)->stream_id = layout_physical(2, 0);
}
static void frame_of_the_last_stream(rig *r)
{
    first_frame(r)->stream_id = layout_physical(65535, 0);
}
static void frame_of_another_lane(rig *r)
{
    first_frame(r)->stream_id = layout_physical(1, 0);
}
static void record_without_end(rig *r)
{
    /* Frames that go on and on: more than max_record and what frames may hold beside it. */
    static const char zeros[RIG_RING / 4 - 8];
    void *room;
    for (unsigned i = 0; i < 100; i++) {
        if (mpp_reserve(r->p, 0, 0, sizeof zeros, &room) == MPP_OK) {
            mpp_commit(r->p, 0, 0, sizeof zeros, 0);
            ring_writer *w = &r->p->outlets[0].ring;
            uint64_t at = w->write - sizeof zeros - sizeof(layout_frame);
            ((layout_frame *)(void *)(w->bytes + (at & (w->size - 1))))->len |= LAYOUT_CONTINUED;
        }
        rig_take(r, 0, 0, UINT32_MAX);
        mpp_wait(NULL, r->c[0], MPP_COMPUTING, NULL, 0, 1);
    }
}
static void write_too_far(rig *r)
{
    store_release(&channel(r)->write, RIG_RING + 8);
}
static void write_far_away(rig *r)
{
    store_release(&channel(r)->write, UINT64_C(1) << 63);
}
static void write_minus_one(rig *r)
{
    store_release(&channel(r)->write, UINT64_MAX);
}
static void write_inside_a_header(rig *r)
{
    store_release(&channel(r)->write, 4);
}
static void write_inside_a_frame(rig *r)
{
    store_release(&channel(r)->write, 16);
}
static void write_goes_back(rig *r)
{
    rig_take(r, 0, 0, 1);
    r->c[0]->inlets[0].ring.write = r->c[0]->inlets[0].ring.head; /* so that it looks again */
    store_release(&channel(r)->write, 8);
}
static void end_of_unknown_state(rig *r)
{
    store_release(&end_word(r)->word, 1 << 8 | 77);
}
static void end_of_a_run_far_ahead(rig *r)
{
    store_release(&end_word(r)->word, UINT64_C(1000) << 8 | LAYOUT_RUNNING);
}
static void end_of_the_largest_run(rig *r)
{
    store_release(&end_word(r)->word, UINT64_MAX << 8 | LAYOUT_ENDED);
}
static void end_behind_the_data(rig *r)
{
    store_relaxed(&end_word(r)->end, load_relaxed(&channel(r)->write) + 8);
    store_release(&end_word(r)->word, 1 << 8 | LAYOUT_ENDED);
}
static void end_far_away(rig *r)
{
    store_relaxed(&end_word(r)->end, UINT64_MAX / 2);
    store_release(&end_word(r)->word, 1 << 8 | LAYOUT_ENDED);
}
static void begin_behind_the_data(rig *r)
{
    store_relaxed(&end_word(r)->begin, load_relaxed(&channel(r)->write) + 8);
}
static void failed_behind_the_data(rig *r)
{
    store_relaxed(&end_word(r)->end, load_relaxed(&channel(r)->write) + 8);
    store_release(&end_word(r)->word, 1 << 8 | LAYOUT_FAILED);
}

/* ---- what a consumer may do to a producer ----------------------------------------------------------- */

static void read_beyond_write(rig *r)
{
    store_release(&channel(r)->read, load_relaxed(&channel(r)->write) + 2 * RIG_RING);
}
static void read_minus_one(rig *r)
{
    store_release(&channel(r)->read, UINT64_MAX);
}
static void read_goes_back(rig *r)
{
    for (unsigned i = 0; i < 200; i++) {
        rig_put(r, 0, "so that something was read by both", 34);
        mpp_flush(r->p);
    }
    rig_turn(r);
    while (mpp_try_produce(r->p, 0, "so that it is looked at", 23) == MPP_OK)
        ;
    store_release(&channel(r)->read, 0);
}

static void send_message(rig *r, uint32_t type, uint32_t stream_id, uint32_t run)
{
    layout_channel *c = channel(r);
    uint64_t sent = load_relaxed(&c->sent);
    layout_controls_of(c)[sent % r->mesh->l.controls] = (layout_control){type, stream_id, run, 0};
    store_release(&c->sent, sent + 1);
    add_release(&mesh_endpoint_slot(r->mesh, 0, 'p', 0)->mail, 1);
}
static void message_of_no_type(rig *r)
{
    send_message(r, 0, layout_physical(0, 0), 2);
}
static void message_of_unknown_type(rig *r)
{
    send_message(r, 77, layout_physical(0, 0), 2);
}
static void message_to_another_producer(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(0, 1), 2);
}
static void message_for_no_stream(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(2, 0), 2);
}
static void message_in_another_lane(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(1, 0), 2);
}
static void start_of_run_zero(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(0, 0), 0);
}
static void start_of_the_same_run(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(0, 0), 1);
}
static void start_of_a_run_ahead(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(0, 0), 3);
}
static void start_of_the_last_run(rig *r)
{
    send_message(r, LAYOUT_START, layout_physical(0, 0), UINT32_MAX);
}
static void cancel_of_another_run(rig *r)
{
    send_message(r, LAYOUT_CANCEL, layout_physical(0, 0), 2);
}
static void cancel_of_run_zero(rig *r)
{
    send_message(r, LAYOUT_CANCEL, layout_physical(0, 0), 0);
}
static void cancel_twice(rig *r)
{
    send_message(r, LAYOUT_CANCEL, layout_physical(0, 0), 1);
    mpp_service(r->p);
    send_message(r, LAYOUT_CANCEL, layout_physical(0, 0), 1);
}
static void sent_more_than_fit(rig *r)
{
    store_release(&channel(r)->sent, load_relaxed(&channel(r)->taken) + r->mesh->l.controls + 1);
    add_release(&mesh_endpoint_slot(r->mesh, 0, 'p', 0)->mail, 1);
}
static void sent_goes_back(rig *r)
{
    store_release(&channel(r)->sent, load_relaxed(&channel(r)->taken) - 1);
    add_release(&mesh_endpoint_slot(r->mesh, 0, 'p', 0)->mail, 1);
}

/* ---- what anybody may do ---------------------------------------------------------------------------- */

static void cause_of_no_slot(rig *r)
{
    store_release(&r->mesh->header->cause, r->mesh->l.slots + 1);
}
static void cause_without_a_text(rig *r)
{
    store_release(&r->mesh->header->cause, 1);
}
static void cause_far_away(rig *r)
{
    store_release(&r->mesh->header->cause, UINT32_MAX - 1);
}

typedef struct attack {
    const char *what;
    void (*attack)(rig *r);
    const char *named; /* in the cause */
} attack;

static const attack on_consumers[] = {
    {"a frame of 2^31 - 1 bytes", frame_len_max, "a frame's length"},
    {"a frame as long as the ring", frame_len_of_the_ring, "a frame's length"},
    {"a frame that is a byte too long", frame_len_just_too_long, "a frame's length"},
    {"a frame that ends inside a record", frame_that_ends_inside_a_record, "where a record does"},
    {"a record in parts that lacks its end", long_record_without_its_end, "where a record does"},
    {"a frame of another producer", frame_of_another_producer, "a frame's stream id"},
    {"a frame of no stream", frame_of_no_stream, "a frame's stream id"},
    {"a frame of stream 65535", frame_of_the_last_stream, "a frame's stream id"},
    {"a frame of another lane's stream", frame_of_another_lane, "a frame's stream id"},
    {"a record without end", record_without_end, "a record longer than"},
    {"a write position that is too far", write_too_far, "the producer's position"},
    {"a write position of 2^63", write_far_away, "the producer's position"},
    {"a write position of -1", write_minus_one, "the producer's position"},
    {"a write position inside a header", write_inside_a_header, "the producer's position"},
    {"a write position inside a frame", write_inside_a_frame, "a frame's length"},
    {"a write position that goes back", write_goes_back, "the producer's position"},
    {"an end of unknown state", end_of_unknown_state, "a stream's state"},
    {"an end of a run far ahead", end_of_a_run_far_ahead, "a stream's state"},
    {"an end of the largest run", end_of_the_largest_run, "a stream's state"},
    {"an end behind the data", end_behind_the_data, "the end of a run"},
    {"an end far away", end_far_away, "the end of a run"},
    {"a beginning behind the data", begin_behind_the_data, "the beginning of a run"},
    {"a failure behind the data", failed_behind_the_data, "the end of a run"},
    {"a cause that says nothing", cause_without_a_text, "its cause"},
    {"a cause that names no slot", cause_of_no_slot, "its cause"},
};

static const attack on_producers[] = {
    {"a read position beyond the write position", read_beyond_write, "the consumer's position"},
    {"a read position of -1", read_minus_one, "the consumer's position"},
    {"a read position that goes back", read_goes_back, "the consumer's position"},
    {"a message of no type", message_of_no_type, "a control message"},
    {"a message of unknown type", message_of_unknown_type, "a control message"},
    {"a message to another producer", message_to_another_producer, "a control message"},
    {"a message for no stream", message_for_no_stream, "a control message"},
    {"a message in another lane", message_in_another_lane, "a control message"},
    {"a START of run 0", start_of_run_zero, "a control message"},
    {"a START of a run that was asked for", start_of_the_same_run, "a control message"},
    {"a START of the run after the next", start_of_a_run_ahead, "a control message"},
    {"a START of run 2^32 - 1", start_of_the_last_run, "a control message"},
    {"a CANCEL of a run that was not asked for", cancel_of_another_run, "a control message"},
    {"a CANCEL of run 0", cancel_of_run_zero, "a control message"},
    {"a CANCEL that comes twice", cancel_twice, "a control message"},
    {"more messages than fit", sent_more_than_fit, "a control message"},
    {"a count of messages that goes back", sent_goes_back, "a control message"},
    {"a cause far away", cause_far_away, "its cause"},
};

static bool is_corrupt(const rig *r, const char *named)
{
    mpp_error cause;
    return mpp_mesh_cause(r->mesh, &cause) && cause.status == MPP_S_CORRUPT && strstr(cause.text, named);
}

/* The consumer reads until it is told; it sleeps in between, but not for ever. */
static mpp_outcome read_on(rig *r)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < 5 && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = rig_take(r, 0, 0, 1000);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(NULL, r->c[0], MPP_COMPUTING, NULL, 0, mpp_now() + 1000000);
    }
    return outcome;
}

static mpp_outcome write_on(rig *r)
{
    mpp_outcome outcome = MPP_OK;
    for (unsigned tries = 0; tries < 20000 && (outcome == MPP_OK || outcome == MPP_WOULD_BLOCK); tries++) {
        if (mpp_service(r->p) == MPP_GONE)
            return MPP_GONE;
        outcome = mpp_try_produce(r->p, 0, "a record of some length", 23);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(r->p, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + 1000000);
    }
    return outcome;
}

static void test_attack(const attack *a, mpp_outcome (*go_on)(rig *r))
{
    rig r;
    harness.step = a->what;
    open_two(&r);
    a->attack(&r);
    mpp_outcome outcome = go_on(&r);
    ok(outcome == MPP_GONE && is_corrupt(&r, a->named), "%s: %s", a->what, harness_cause(r.mesh));
    if (outcome != MPP_GONE)
        diag("outcome %d", (int)outcome);
    close_hostile(&r);
}

static void test_attacks(void)
{
    for (unsigned i = 0; i < sizeof on_consumers / sizeof *on_consumers; i++)
        test_attack(&on_consumers[i], read_on);
    for (unsigned i = 0; i < sizeof on_producers / sizeof *on_producers; i++)
        test_attack(&on_producers[i], write_on);
}

/* ---- at attach -------------------------------------------------------------------------------------- */

/* Positions as the one who attaches finds them. */
static void test_positions_at_attach(char role, uint64_t read, uint64_t write)
{
    mpp_error err;
    mpp_producer *p = NULL;
    mpp_consumer *c = NULL;
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    mpp_mesh *m = harness_mesh(&o);
    layout_channel *ch = mesh_channel(m, 0, 0, 0);
    store_relaxed(&ch->read, read);
    store_relaxed(&ch->write, write);
    mpp_attach_options a = {.index = 0, .runs = 1};
    int attached = role == 'p' ? mpp_producer_attach(m, &a, &p, &err) : mpp_consumer_attach(m, &a, &c, &err);
    ok(attached < 0 && err.status == MPP_S_CORRUPT && strstr(err.text, "positions"),
       "a %s does not attach to positions %#llx and %#llx: %s", role == 'p' ? "producer" : "consumer",
       (unsigned long long)read, (unsigned long long)write, attached < 0 ? err.text : "attached");
    mpp_producer_detach(&p);
    mpp_consumer_detach(&c);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

static void test_attach(void)
{
    harness.step = "attaching to a corrupt mesh";
    for (unsigned i = 0; i < 2; i++) {
        char role = "pc"[i];
        test_positions_at_attach(role, 8, 0);
        test_positions_at_attach(role, 0, RIG_RING + 8);
        test_positions_at_attach(role, 0, UINT64_MAX);
        test_positions_at_attach(role, 3, 11);
    }
}

/* A run's number that cannot be must not make its consumer wait for a run that never was. */
static void test_request_number(void)
{
    rig r;
    harness.step = "the number of a consumer's next run";
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    rig_open(&r, &o, 1, true);
    store_relaxed(layout_request_at(&r.mesh->l, r.mesh->base, 0, 0), 7);
    r.c[0] = harness_consumer(r.mesh, 0);
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < 5 && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = mpp_start(r.c[0], 0);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(NULL, r.c[0], MPP_COMPUTING, NULL, 0, mpp_now() + 1000000);
        mpp_service(r.p);
    }
    ok(outcome == MPP_GONE && is_corrupt(&r, "corrupt"), "a consumer's seventh run before the first: %s",
       harness_cause(r.mesh));
    close_hostile(&r);
}

/* ---- texts ------------------------------------------------------------------------------------------ */

static void test_texts(void)
{
    rig r;
    mpp_error cause;
    mpp_snapshot *s = NULL;
    harness.step = "texts without an end";
    open_two(&r);
    layout_slot *slot = mesh_slot(r.mesh, 0);
    memset(slot->label, 0x1b, sizeof slot->label);
    memset(slot->cause.text, 0x07, sizeof slot->cause.text);
    slot->cause.status = 99;
    store_relaxed(&slot->activity, UINT32_MAX);
    store_relaxed(&slot->waits_for, UINT32_MAX);
    store_relaxed(&slot->pid, INT32_MIN);
    store_release(&r.mesh->header->cause, 1);
    bool known = mpp_mesh_cause(r.mesh, &cause);
    ok(known && cause.status == MPP_S_FAILED && strlen(cause.text) < MPP_TEXT_MAX && !strchr(cause.text, 0x07),
       "a cause without end or sense is cut, and holds no control characters");
    char who[96];
    mesh_who(r.mesh, 0, who, sizeof who);
    ok(strlen(who) < sizeof who && !strchr(who, 0x1b), "so is a label: %s", who);
    ok(mpp_snapshot_take(mpp_mesh_id(r.mesh), &s, NULL) == 0 && s->participants[0].channel == -1 &&
           strlen(s->participants[0].label) < sizeof s->participants[0].label,
       "and a snapshot shows what can be shown");
    mpp_snapshot_free(&s);
    store_release(&slot->state, 99);
    ok(mpp_snapshot_take(mpp_mesh_id(r.mesh), &s, NULL) == 0 && s->participants[0].state == MPP_PLACE_CORRUPT,
       "a slot in no state is shown as corrupt");
    mpp_snapshot_free(&s);
    close_hostile(&r);
}

/* ---- words at random -------------------------------------------------------------------------------- */

/* One of the eight-byte words behind the stream table, or of the first ring's first half. */
static void flip(rig *r)
{
    const layout *l = &r->mesh->l;
    uint64_t from = l->slots_at, to = l->rings_at;
    unsigned char *base = r->mesh->base;
    if (tap_random(3) == 0) {
        base = r->p->outlets[0].ring.bytes;
        from = 0;
        to = base ? RIG_RING / 2 : 0;
    } else if (tap_random(2)) {
        from = l->channels_at;
    }
    if (to == 0)
        return;
    _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(base + from) + tap_random((to - from) / 8);
    store_relaxed(word, tap_any_word(load_relaxed(word)));
}

/* A step of ordinary work on either end. */
static mpp_outcome work(rig *r)
{
    static const char record[3 * RIG_RING / 4];
    unsigned stream = (unsigned)tap_random(2);
    switch (tap_random(8)) {
    case 0:
        return mpp_service(r->p);
    case 1:
        mpp_start(r->c[0], stream);
        break;
    case 2:
        if (tap_random(10) == 0)
            mpp_cancel(r->c[0], stream);
        break;
    case 3:
        if (tap_random(10) == 0)
            mpp_end(r->p, stream);
        break;
    case 4:
        mpp_wait(r->p, r->c[0], MPP_COMPUTING, NULL, 0, 1);
        break;
    case 5:
        mpp_try_produce(r->p, stream, record, tap_random(tap_random(5) ? 100 : sizeof record));
        mpp_flush(r->p);
        break;
    default:
        return rig_take(r, 0, stream, 10);
    }
    return MPP_OK;
}

static void test_random_words(void)
{
    unsigned gone = 0, sessions = SCALED(SESSIONS, 5);
    harness.step = "random words";
    for (unsigned session = 0; session < sessions; session++) {
        rig r;
        mpp_mesh_options o = rig_options(two, 2, 1);
        o.lanes = 1 + (unsigned)tap_random(2);
        o.max_record = 100000;
        rig_open(&r, &o, (unsigned)tap_random(3), false);
        rig_ask(&r, 0);
        bool over = false;
        for (unsigned step = 0; step < 100 && !over; step++) {
            if (tap_random(10) == 0)
                flip(&r);
            over = work(&r) == MPP_GONE;
        }
        gone += over;
        close_hostile(&r);
    }
    ok(true, "%u sessions with random words changed under them do not crash; %u ended by it", sessions, gone);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    test_attacks();
    test_attach();
    test_request_number();
    test_texts();
    test_random_words();
    harness_end();
    return done_testing();
}
