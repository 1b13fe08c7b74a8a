#include "producer.h"

#include "atomics.h"
#include "control.h"
#include "error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- attaching ---------------------------------------------------------------------------------- */

static int outlets_open(mpp_producer *p, mpp_error *err)
{
    endpoint *e = &p->end;
    p->outlets = calloc((size_t)e->n_lanes * e->n_peers, sizeof *p->outlets);
    if (!p->outlets)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
    p->n_outlets = e->n_lanes * e->n_peers;
    for (unsigned i = 0; i < p->n_outlets; i++)
        if (outlet_open(&p->outlets[i], e, i / e->n_peers, i % e->n_peers, err) < 0)
            return -1;
    return 0;
}

static int streams_open(mpp_producer *p, mpp_error *err)
{
    endpoint *e = &p->end;
    p->streams = calloc(e->n_streams, sizeof *p->streams);
    if (!p->streams)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
    p->n_streams = e->n_streams;
    for (unsigned i = 0; i < p->n_streams; i++) {
        producer_stream *s = &p->streams[i];
        s->stream = e->streams[i];
        s->declared = &e->mesh->streams[s->stream];
        s->buffer = buffer_of(s->declared->info.buffer);
        s->overwriter = (struct mpp_overwriter){p, s};
        s->outlets = &p->outlets[endpoint_lane_position(e, s->stream) * e->n_peers];
        splitter_init(&s->split, &s->declared->info.format, s->declared->info.max_record);
        if (registry_init(&s->registry, e->n_peers, s->buffer->overwrites ? 1 : p->runs) < 0)
            return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
        if (s->buffer->open && s->buffer->open(p, s, err) < 0)
            return -1;
    }
    return 0;
}

static void producer_free(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_outlets; i++)
        outlet_close(&p->outlets[i]);
    for (unsigned i = 0; i < p->n_streams; i++) {
        producer_stream *s = &p->streams[i];
        registry_free(&s->registry);
        if (s->buffer && s->buffer->close)
            s->buffer->close(s);
        free(s->input);
    }
    free(p->streams);
    free(p->outlets);
    free(p->scratch.data);
    free(p->framed);
    free(p);
}

/* Messages ever sent to us, over all lanes. */
static uint32_t mail_of(const mpp_producer *p)
{
    uint32_t mail = 0;
    for (unsigned lane = 0; lane < p->end.n_lanes; lane++)
        mail += load_acquire(&endpoint_slot(&p->end, lane)->mail); /* [C4] pairs with [C3] */
    return mail;
}

static void settle(endpoint *e)
{
    mpp_flush((mpp_producer *)((char *)e - offsetof(mpp_producer, end)));
}

int mpp_producer_attach(mpp_mesh *m, const mpp_attach_options *o, mpp_producer **out, mpp_error *err)
{
    *out = NULL;
    mpp_producer *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
    p->runs = o->runs;
    if (endpoint_attach(&p->end, m, 'p', o, err) < 0) {
        free(p);
        return -1;
    }
    mpp_error why;
    if (outlets_open(p, &why) < 0 || streams_open(p, &why) < 0) { /* everybody learns it, and need not wait for us */
        endpoint_fail(&p->end, why.status == MPP_S_CORRUPT ? MPP_S_CORRUPT : MPP_S_FAILED, false,
                      "producer %u (pid %d) could not attach: %.400s", p->end.index, (int)getpid(), why.text);
        endpoint_leave(&p->end);
        producer_free(p);
        return error_pass(err, &why);
    }
    p->end.settle = settle;
    p->mail_seen = mail_of(p) - 1; /* messages may wait already */
    *out = p;
    return 0;
}

void mpp_producer_detach(mpp_producer **pp)
{
    mpp_producer *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    for (unsigned i = 0; i < p->n_streams; i++)
        operations_close(p, &p->streams[i], MPP_GONE);
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].registry.running && mesh_cause_word(p->end.mesh) == 0)
            endpoint_fail(&p->end, MPP_S_FAILED, false, "producer %u (pid %d) left before its stream '%s' ended",
                          p->end.index, (int)getpid(), p->streams[i].declared->info.name);
    if (mesh_cause_word(p->end.mesh) == 0) /* else who comes later is still expected, to learn it */
        producer_unasked(p);
    mpp_flush(p);
    endpoint_leave(&p->end);
    producer_free(p);
}

unsigned mpp_producer_index(const mpp_producer *p)
{
    return p->end.index;
}

int mpp_producer_fd(const mpp_producer *p)
{
    return p->end.events;
}

int mpp_producer_agree(mpp_producer *p, unsigned stream, uint32_t what, uint32_t how)
{
    const endpoint *e = &p->end;
    if (!producer_stream_of(p, stream)) /* the slot would be another's */
        return -1;
    const unsigned lane = stream % e->mesh->l.lanes;
    const uint64_t ours = (uint64_t)what << 32 | how;
    store_relaxed(&mesh_endpoint_slot(e->mesh, lane, 'p', e->index)->share, ours);
    full_fence(); /* of two who do this at once, one at least sees what the other has stored */
    for (unsigned i = 0; ours && i < e->mesh->l.producers; i++) {
        const uint64_t theirs = load_relaxed(&mesh_endpoint_slot(e->mesh, lane, 'p', i)->share);
        if (theirs >> 32 == what && theirs != ours)
            return (int)i;
    }
    return -1;
}

void producer_unserved(const mpp_producer *p, unsigned stream, mpp_error *err)
{
    error_set(err, MPP_S_USAGE, 0, "producer %u does not serve a stream number %u", p->end.index, stream);
}

mpp_outcome mpp_register(mpp_producer *p, unsigned stream, const mpp_source *source)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return producer_refuse(EINVAL);
    s->source = *source;
    s->registered = true;
    return MPP_OK;
}

mpp_outcome mpp_begin(mpp_producer *p, unsigned stream)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return producer_refuse(EINVAL);
    s->registry.eager = true;
    return MPP_OK;
}

void mpp_producer_count(mpp_producer *p, bool on)
{
    p->counting = on;
    for (unsigned i = 0; i < p->n_streams; i++)
        p->streams[i].split.count = on;
}

void mpp_producer_totals(const mpp_producer *p, unsigned stream, mpp_totals *t)
{
    const producer_stream *s = producer_stream_of(p, stream);
    *t = (mpp_totals){0};
    if (!s)
        return;
    bool uncounted = producer_in_place(p, s) && s->declared->info.format.kind == MPP_DELIMITED && !p->counting;
    *t = (mpp_totals){.records = uncounted ? UINT64_MAX : s->records,
                      .bytes = s->bytes,
                      .no_key = s->no_key,
                      .dropped = s->dropped,
                      .given_up = s->given_up};
}

/* ---- the control service ------------------------------------------------------------------------ */

static void forget_input(producer_stream *s)
{
    s->have = s->at = 0;
    s->offset = 0;
    s->filling = false;
    s->long_left = 0;
    s->favour = 0;
    s->turn = 0;
    uint64_t records = s->split.records;
    splitter_init(&s->split, &s->declared->info.format, s->split.max);
    s->split.records = records;
}

/* Consumer j has enough of the run: what was meant for it is dropped from here on. */
static void consumer_has_enough(mpp_producer *p, producer_stream *s, unsigned j)
{
    registry *r = &s->registry;
    unsigned run = r->cancelled[j];
    if (run < r->run || (run == r->run && !r->running))
        return; /* it had ended already: the consumer drains */
    outlet_drop(&s->outlets[j], s->stream);
    outlet_end(&s->outlets[j], &p->end, s->stream, run, LAYOUT_CANCELLED);
}

static bool take_message(mpp_producer *p, unsigned lane_position, unsigned j, const layout_control *m)
{
    unsigned logical = m->stream_id >> 16;
    producer_stream *s = producer_stream_of(p, logical);
    if ((m->stream_id & 0xffff) != p->end.index || logical >= p->end.mesh->l.streams)
        return false;
    if (!s || endpoint_lane_position(&p->end, logical) != lane_position) /* a lane mate that we do not serve */
        return logical % p->end.mesh->l.lanes == p->end.lanes[lane_position];
    if (s->buffer->overwrites) /* it needs none */
        return false;
    if (!registry_message(&s->registry, j, m->type, m->run))
        return false;
    if (m->type == LAYOUT_CANCEL)
        consumer_has_enough(p, s, j);
    else if (s->registry.runs && m->run > s->registry.runs) /* no runs left: say so, it will not come */
        outlet_end(&s->outlets[j], &p->end, s->stream, m->run, LAYOUT_UNASKED);
    return true;
}

static void take_messages(mpp_producer *p)
{
    uint32_t mail = mail_of(p);
    if (mail == p->mail_seen)
        return;
    p->mail_seen = mail;
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet *o = &p->outlets[i];
        layout_control message;
        int got;
        while ((got = control_take(&p->end.mesh->l, o->ring.shared, &message)) == 1)
            if (!take_message(p, o->lane_position, o->consumer, &message)) {
                got = -1;
                break;
            }
        if (got < 0)
            endpoint_corrupt(&p->end, o->lane, o->consumer, "a control message");
    }
}

/* Consumers that left for good without asking will not take what is meant for them.  What one sent before it left is
 * there when it is seen to have left. */
static void look_at_consumers(mpp_producer *p)
{
    if (p->peers_seen == p->end.peers_seen)
        return;
    p->peers_seen = p->end.peers_seen;
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet *o = &p->outlets[i];
        if (load_acquire(&endpoint_peer(&p->end, o->lane, o->consumer)->state) != LAYOUT_DONE) /* [L2] */
            continue;
        take_messages(p);
        for (unsigned k = 0; k < p->n_streams; k++)
            if (p->streams[k].outlets == o - o->consumer && !p->streams[k].buffer->overwrites &&
                registry_left(&p->streams[k].registry, o->consumer))
                consumer_has_enough(p, &p->streams[k], o->consumer);
    }
}

/* Has every consumer ended or cancelled the run before?  Notes what to wait for where one has not. */
static bool drained(mpp_producer *p, producer_stream *s)
{
    registry *r = &s->registry;
    bool all = true;
    for (unsigned j = 0; j < r->consumers; j++) {
        outlet *o = &s->outlets[j];
        if (r->run == 0 || r->asked[j] > r->run || r->cancelled[j] >= r->run)
            continue;
        if (r->asked[j] < r->run) { /* it has yet to ask for the run before; its message will wake us */
            all = false;
            continue;
        }
        uint64_t end = load_relaxed(&layout_end_of(&p->end.mesh->l, o->ring.shared, s->stream)->end); /* ours */
        if ((int64_t)(load_acquire(&o->ring.shared->read) - end) >= 0)                                /* [S2] */
            continue;
        o->end_wanted = true;
        o->end = end;
        all = false;
    }
    return all;
}

void bounded_begin(mpp_producer *p, producer_stream *s)
{
    for (unsigned j = 0; j < s->registry.consumers; j++)
        if (!registry_has_enough(&s->registry, j))
            outlet_begin(&s->outlets[j], &p->end, s->stream, s->registry.run);
}

/* A source that fails need not say why, nor of what class that is. */
static void start(mpp_producer *p, producer_stream *s)
{
    mpp_error err;
    error_set(&err, MPP_S_ERROR, 0, "the source of stream '%s' could not be started", s->declared->info.name);
    const bool calling = p->calling; /* one that overwrites may begin inside another's */
    p->calling = true;
    const int started = s->source.start(s->source.arg, s->stream, s->registry.run, &err);
    p->calling = calling;
    if (started < 0)
        mpp_producer_fail(p, &err);
}

void producer_begin(mpp_producer *p, producer_stream *s)
{
    registry *r = &s->registry;
    r->run++;
    r->running = true;
    forget_input(s);
    s->buffer->begin(p, s);
    if (s->source.start)
        start(p, s);
}

static void stop(mpp_producer *p, producer_stream *s)
{
    s->registry.running = false;
    forget_input(s);
    operations_close(p, s, MPP_CLOSED);
    if (!s->source.stop)
        return;
    p->calling = true;
    s->source.stop(s->source.arg, s->stream, s->registry.run);
    p->calling = false;
}

static void move_stream(mpp_producer *p, producer_stream *s)
{
    registry *r = &s->registry;
    if (r->running && registry_unwanted(r, r->run))
        stop(p, s); /* and what is pending with it: nobody is there to get it */
    operations_advance(p, s);
    if (s->buffer->overwrites) { /* asked or not; a caller without a source begins with its first record */
        if (r->run == 0 && s->registered && !p->over)
            producer_begin(p, s);
        return;
    }
    while (!r->running && !registry_finished(r) && registry_unwanted(r, r->run + 1))
        r->run++; /* asked and cancelled by all before it began */
    if (!p->over && registry_wanted(r) && drained(p, s))
        producer_begin(p, s);
}

static void stop_all(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].registry.running)
            stop(p, &p->streams[i]);
}

mpp_outcome mpp_service(mpp_producer *p)
{
    if (p->calling) /* a run is not begun inside the end of another */
        return producer_refuse(EINVAL);
    if (endpoint_gone(&p->end))
        return MPP_GONE;
    take_messages(p);
    look_at_consumers(p);
    bool finished = true;
    for (unsigned i = 0; i < p->n_streams; i++) {
        move_stream(p, &p->streams[i]);
        finished &= registry_finished(&p->streams[i].registry);
    }
    if (endpoint_gone(&p->end))
        return MPP_GONE;
    p->closed = load_acquire(&p->end.mesh->header->closed); /* [K2] pairs with [K1] */
    if (p->over || p->closed) {
        stop_all(p);
        return MPP_CLOSED;
    }
    return finished ? MPP_CLOSED : MPP_OK;
}

/* ---- ending ------------------------------------------------------------------------------------- */

void bounded_end(mpp_producer *p, producer_stream *s, unsigned state)
{
    for (unsigned j = 0; j < s->registry.consumers; j++)
        if (!registry_has_enough(&s->registry, j)) {
            outlet_end(&s->outlets[j], &p->end, s->stream, s->registry.run, state);
            outlet_bell(&s->outlets[j], &p->end);
        }
}

static void end_run(mpp_producer *p, producer_stream *s, unsigned state)
{
    operations_close(p, s, state == LAYOUT_FAILED ? MPP_GONE : MPP_CLOSED);
    s->buffer->end(p, s, state);
    s->registry.running = false;
}

mpp_outcome mpp_end(mpp_producer *p, unsigned stream)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return producer_refuse(EINVAL);
    if (!s->registry.running)
        return MPP_OK;
    if (s->filling) {
        const mpp_outcome rest = fill_rest(p, s);
        if (rest == MPP_ERROR || rest == MPP_WOULD_BLOCK)
            return rest;
    }
    end_run(p, s, LAYOUT_ENDED);
    forget_input(s);
    if (registry_finished(&s->registry)) {
        bool owes = false;
        for (unsigned i = 0; i < p->n_streams; i++)
            owes |= !registry_finished(&p->streams[i].registry);
        for (unsigned i = 0; !owes && i < p->end.n_lanes; i++)
            store_relaxed(&endpoint_slot(&p->end, i)->owes, 0);
    }
    return MPP_OK;
}

void mpp_producer_command(mpp_producer *p, pid_t pid)
{
    endpoint_command(&p->end, pid);
}

bool mpp_producer_fail(mpp_producer *p, const mpp_error *err)
{
    const mpp_error told = error_told(err, "it failed, and did not say why");
    mpp_flush(p);
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].registry.running)
            end_run(p, &p->streams[i], LAYOUT_FAILED);
    return endpoint_report(&p->end, &told);
}

void producer_unasked(mpp_producer *p)
{
    p->over = true;
    for (unsigned i = 0; i < p->n_streams; i++) {
        producer_stream *s = &p->streams[i];
        for (unsigned j = 0; s->registry.run == 0 && !s->buffer->overwrites && j < s->registry.consumers; j++)
            outlet_end(&s->outlets[j], &p->end, s->stream, 1, LAYOUT_UNASKED);
    }
}

void mpp_flush(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet_publish(&p->outlets[i], &p->end);
        outlet_bell(&p->outlets[i], &p->end);
    }
}

/* ---- waiting ------------------------------------------------------------------------------------ */

void producer_arm(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        operations_advance(p, &p->streams[i]); /* or say what it waits for */
    mpp_flush(p);
    for (unsigned i = 0; i < p->n_outlets; i++)
        outlet_want(&p->outlets[i]);
}

bool producer_ready(mpp_producer *p)
{
    if (p->end.barrier) /* nothing is begun before everybody is there */
        return endpoint_gone(&p->end) || endpoint_everybody(&p->end);
    if (p->news || mail_of(p) != p->mail_seen ||
        (!p->closed && load_acquire(&p->end.mesh->header->closed)) || /* [K2] */
        endpoint_gone(&p->end))
        return true;
    for (unsigned i = 0; i < p->n_outlets; i++)
        if (outlet_satisfied(&p->outlets[i]))
            return true;
    return false;
}

void producer_disarm(mpp_producer *p)
{
    p->nobody_asked = p->news = false;
    for (unsigned i = 0; i < p->n_outlets; i++)
        outlet_unwant(&p->outlets[i]);
}

outlet *producer_blocked(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_outlets; i++)
        if (p->outlets[i].need || p->outlets[i].end_wanted)
            return &p->outlets[i];
    return NULL;
}

bool producer_waits_start(const mpp_producer *p)
{
    bool asked = false; /* where buffers overwrite nobody is */
    for (unsigned i = 0; i < p->n_streams; i++) {
        if (p->streams[i].registry.running)
            return false;
        asked |= !p->streams[i].buffer->overwrites;
    }
    return asked;
}
