#include "consumer.h"

#include "atomics.h"
#include "control.h"
#include "doorbell.h"
#include "error.h"
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- attaching ---------------------------------------------------------------------------------- */

static int inlets_open(mpp_consumer *c, mpp_error *err)
{
    endpoint *e = &c->end;
    c->inlets = calloc((size_t)e->n_lanes * e->n_peers, sizeof *c->inlets);
    if (!c->inlets)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    c->n_inlets = e->n_lanes * e->n_peers;
    for (unsigned i = 0; i < c->n_inlets; i++)
        if (inlet_open(&c->inlets[i], e, i / e->n_peers, i % e->n_peers, err) < 0)
            return -1;
    return 0;
}

static int streams_open(mpp_consumer *c, mpp_error *err)
{
    endpoint *e = &c->end;
    c->streams = calloc(e->n_streams, sizeof *c->streams);
    if (!c->streams)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    c->n_streams = e->n_streams;
    for (unsigned i = 0; i < c->n_streams; i++) {
        consumer_stream *s = &c->streams[i];
        s->stream = e->streams[i];
        s->declared = &e->mesh->streams[s->stream];
        s->buffer = buffer_of(s->declared->info.buffer);
        s->inlets = &c->inlets[endpoint_lane_position(e, s->stream) * e->n_peers];
        s->run = load_relaxed(layout_request_at(&e->mesh->l, e->mesh->base, e->index, s->stream));
        s->hungry = HUNGRY_NOT;
        s->shares = calloc(e->n_peers, sizeof *s->shares);
        if (!s->shares)
            return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    }
    return 0;
}

static void consumer_free(mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_inlets; i++)
        inlet_close(&c->inlets[i]);
    for (unsigned i = 0; i < c->n_streams; i++) {
        consumer_stream *s = &c->streams[i];
        if (s->shares && s->buffer->leave)
            s->buffer->leave(c, s);
        for (unsigned j = 0; s->shares && j < c->n_peers; j++)
            free(s->shares[j].held);
        free(s->shares);
    }
    free(c->streams);
    free(c->inlets);
    free(c);
}

int mpp_consumer_attach(mpp_mesh *m, const mpp_attach_options *o, mpp_consumer **out, mpp_error *err)
{
    *out = NULL;
    mpp_consumer *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    c->n_peers = m->l.producers;
    if (endpoint_attach(&c->end, m, 'c', o, err) < 0) {
        free(c);
        return -1;
    }
    bool closed = load_acquire(&m->header->closed) && mesh_cause_word(m) == 0; /* [K2], after [L3] */
    mpp_error why;
    if (closed)
        error_set(&why, MPP_S_NO_MESH, 0, "mesh '%s' is over: every consumer has finished", m->id);
    if (closed || inlets_open(c, &why) < 0 || streams_open(c, &why) < 0) {
        if (!closed) /* everybody learns it, and need not wait for us */
            endpoint_fail(&c->end, why.status == MPP_S_CORRUPT ? MPP_S_CORRUPT : MPP_S_FAILED, false,
                          "consumer %u (pid %d) could not attach: %.400s", c->end.index, (int)getpid(), why.text);
        endpoint_leave(&c->end);
        consumer_free(c);
        return error_pass(err, &why);
    }
    *out = c;
    return 0;
}

unsigned mpp_consumer_index(const mpp_consumer *c)
{
    return c->end.index;
}

int mpp_consumer_fd(const mpp_consumer *c)
{
    return c->end.events;
}

static consumer_stream *stream_of(const mpp_consumer *c, unsigned stream)
{
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].stream == stream)
            return &c->streams[i];
    return NULL;
}

/* What the caller owes is not so: nothing is done. */
static mpp_outcome refuse(void)
{
    errno = EINVAL;
    return MPP_ERROR;
}

/* ---- control ------------------------------------------------------------------------------------ */

static void send(mpp_consumer *c, consumer_stream *s, unsigned producer, uint32_t type)
{
    inlet *i = &s->inlets[producer];
    layout_slot *slot = endpoint_peer(&c->end, i->lane, producer);
    if (!control_send(&c->end.mesh->l, i->ring.shared, type, layout_physical(s->stream, producer), s->run)) {
        endpoint_corrupt(&c->end, i->lane, producer, "the control ring is full");
        return;
    }
    add_release(&slot->mail, 1); /* [C3] pairs with [C4]: the message before the count of it */
    doorbell_fence();            /* [D2] */
    if (doorbell_wake(slot, 0))
        endpoint_ring(&c->end, i->lane, producer);
}

/* Has run s->run been left behind by this producer (as far as its next run may begin)? */
static bool left_behind(mpp_consumer *c, const consumer_stream *s, unsigned producer)
{
    if (s->run == 0)
        return true;
    inlet_end end = inlet_end_of(&s->inlets[producer], &c->end, s->stream);
    if (s->run > end.run + 1) { /* k was asked only when k - 1 was over everywhere */
        endpoint_corrupt(&c->end, s->inlets[producer].lane, producer, "the number of a run");
        return false;
    }
    if (end.run != s->run)
        return end.run > s->run;
    if (end.state == LAYOUT_CANCELLED || end.state == LAYOUT_UNASKED)
        return true;
    return end.state == LAYOUT_ENDED && (!s->active || s->cancelled || s->shares[producer].over);
}

/* Has the run before been left behind by all? */
static bool all_left_behind(mpp_consumer *c, const consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!left_behind(c, s, i))
            return false;
    return true;
}

bool bounded_start(mpp_consumer *c, consumer_stream *s)
{
    if (!all_left_behind(c, s))
        return false;
    s->run++;
    store_relaxed(layout_request_at(&c->end.mesh->l, c->end.mesh->base, c->end.index, s->stream), s->run);
    for (unsigned i = 0; i < c->end.n_peers; i++) {
        s->shares[i].have = 0;
        s->shares[i].whole = s->shares[i].over = false;
        s->shares[i].ours_until = s->inlets[i].ring.head;
        send(c, s, i, LAYOUT_START);
    }
    return true;
}

mpp_outcome mpp_start(mpp_consumer *c, unsigned stream)
{
    consumer_stream *s = stream_of(c, stream);
    if (!s)
        return refuse();
    /* Also in a mesh that has failed: what was published for us is ours to have. */
    bool gone = endpoint_gone(&c->end);
    if (gone && mesh_cause_final(c->end.mesh))
        return MPP_GONE;
    if (!s->buffer->start(c, s)) {
        s->hungry = HUNGRY_START;
        return gone || endpoint_gone(&c->end) ? MPP_GONE : MPP_WOULD_BLOCK;
    }
    s->active = true;
    s->cancelled = false;
    return MPP_OK;
}

void bounded_cancel(mpp_consumer *c, consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!s->shares[i].over)
            send(c, s, i, LAYOUT_CANCEL);
}

mpp_outcome mpp_cancel(mpp_consumer *c, unsigned stream)
{
    consumer_stream *s = stream_of(c, stream);
    if (!s)
        return refuse();
    if (!s->active || s->cancelled)
        return MPP_OK;
    s->cancelled = true;
    if (s->buffer->cancel)
        s->buffer->cancel(c, s);
    return MPP_OK;
}

enum { HELD_KEEP = 1 << 20 }; /* bytes that a share keeps for the next record that comes in parts */

/* ---- data --------------------------------------------------------------------------------------- */

/* What is to be done with a frame of this stream at the head of a channel? */
typedef enum fate { FATE_OURS, FATE_STALE, FATE_LATER } fate;

static fate fate_of(const mpp_consumer *c, const consumer_stream *s, const inlet *i, const inlet_frame *f)
{
    consumer_share *h = &s->shares[i->producer];
    if ((int64_t)(f->position - h->ours_until) < 0 && !s->cancelled)
        return FATE_OURS;
    inlet_end end = inlet_end_of(i, &c->end, s->stream);
    if (end.run < s->run) /* the run that we asked for has not begun: this is of one that is over */
        return FATE_STALE;
    if ((int64_t)(f->position - end.begin) < 0)
        return FATE_STALE;
    if (end.run > s->run) /* of a run that we have not asked for yet */
        return FATE_LATER;
    if (!s->active || s->cancelled)
        return FATE_STALE;
    /* [E2] came after [W2]: whatever was published up to there was so before a later run could begin. */
    h->ours_until = i->ring.write;
    return FATE_OURS;
}

/* What is no whole record is never handed out, whoever put it there. */
static bool whole(mpp_consumer *c, const consumer_stream *s, const inlet *i, const unsigned char *p, size_t n)
{
    if (record_whole(&s->declared->info.format, p, n))
        return true;
    endpoint_corrupt(&c->end, i->lane, i->producer, "a frame that does not end where a record does");
    return false;
}

static bool hold(mpp_consumer *c, const consumer_stream *s, const inlet *i, const inlet_frame *f)
{
    consumer_share *h = &s->shares[i->producer];
    uint64_t limit = c->end.mesh->max_record + 2 * c->end.mesh->l.ring_size;
    if (h->have + f->len > limit) {
        endpoint_corrupt(&c->end, i->lane, i->producer, "a record longer than the mesh's max_record");
        return false;
    }
    if (h->have + f->len > h->size || !h->held) {
        size_t size = (h->have + f->len) * 2 + 64;
        unsigned char *bigger = realloc(h->held, size);
        if (!bigger) {
            endpoint_cannot(&c->end, ENOMEM, "a record of %zu bytes or more", h->have + f->len);
            return false;
        }
        h->held = bigger;
        h->size = size;
    }
    memcpy(h->held + h->have, f->data, f->len);
    if (!f->continued && !whole(c, s, i, h->held, h->have + f->len))
        return false;
    h->have += f->len;
    h->whole = !f->continued;
    return true;
}

/* Is the run over on this channel, or will nothing come of it? */
static share_state ended(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    inlet *i = &s->inlets[producer];
    uint32_t state = load_acquire(&endpoint_peer(&c->end, i->lane, producer)->state); /* [L2], before [E2] */
    inlet_end end = inlet_end_of(i, &c->end, s->stream);
    if (!inlet_end_check(i, &c->end, &end, s->run))
        return SHARE_FAILED;
    if (end.run > s->run)
        return SHARE_OVER;
    if (end.run == s->run && (end.state == LAYOUT_ENDED || end.state == LAYOUT_CANCELLED))
        return (int64_t)(i->ring.head - end.end) >= 0 ? SHARE_OVER : SHARE_EMPTY;
    bool left = state == LAYOUT_DONE && (end.run < s->run || end.state == LAYOUT_RUNNING);
    if ((end.run == s->run && end.state == LAYOUT_UNASKED) || left) {
        endpoint_fail(&c->end, MPP_S_FAILED, false,
                      s->run == 1 ? "producer %u left before anyone asked for run %u of stream '%s'"
                                  : "producer %u has no run %u of stream '%s' to give (see mpp-produce --runs)",
                      producer, s->run, mpp_mesh_stream(c->end.mesh, s->stream)->name);
        return SHARE_FAILED;
    }
    return SHARE_EMPTY;
}

/* Pass what is stale, put together what comes in parts, until there is something to hand out or nothing to do. */
static share_state look(mpp_consumer *c, consumer_stream *s, unsigned producer, inlet_frame *f)
{
    inlet *i = &s->inlets[producer];
    consumer_share *h = &s->shares[producer];
    if (h->over || h->whole)
        return h->over ? SHARE_OVER : SHARE_READY;
    while (!i->out) {
        int got = inlet_head(i, &c->end, f);
        if (got < 0)
            return SHARE_FAILED;
        if (got == 0)
            break;
        consumer_stream *owner = f->stream == s->stream ? s : stream_of(c, f->stream);
        fate what = owner ? fate_of(c, owner, i, f) : FATE_LATER;
        if (what == FATE_STALE) {
            inlet_pass(i, &c->end, f->size);
            continue;
        }
        if (owner != s || what != FATE_OURS)
            break; /* a lane mate's frame, or a later run's: only the end word can have news for us */
        if (!f->continued && h->have == 0)
            return whole(c, s, i, f->data, f->len) ? SHARE_READY : SHARE_FAILED;
        if (!hold(c, s, i, f))
            return SHARE_FAILED;
        inlet_pass(i, &c->end, f->size);
        if (h->whole)
            return SHARE_READY;
    }
    share_state state = i->out ? SHARE_EMPTY : ended(c, s, producer);
    h->over = state == SHARE_OVER;
    return state;
}

static void hand_out(consumer_stream *s, unsigned producer, const inlet_frame *f, mpp_batch *batch)
{
    consumer_share *h = &s->shares[producer];
    *batch = (mpp_batch){.data = h->whole ? h->held : f->data,
                         .len = h->whole ? h->have : f->len,
                         .producer = producer,
                         .stream = s->stream};
    h->out = h->whole ? OUT_HELD : OUT_IN_PLACE;
    if (!h->whole)
        s->inlets[producer].out = f->size;
    s->last = producer;
}

/* The common case, on what was published when we last looked: a whole frame of this stream, of the run that was
 * asked. */
static bool take_quickly(consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    inlet *i = &s->inlets[producer];
    consumer_share *h = &s->shares[producer];
    const uint64_t unread = i->ring.write - i->ring.head;
    if (unread < sizeof(layout_frame) || (int64_t)(i->ring.head - h->ours_until) >= 0 || i->out || h->out || h->have ||
        h->whole)
        return false;
    const layout_frame header = inlet_header(ring_head(&i->ring));
    const uint64_t size = layout_frame_size(header.len);
    if (header.stream_id != layout_physical(s->stream, producer) || size > unread) /* a record that goes on is longer */
        return false;
    if (!record_whole(&s->declared->info.format, ring_head(&i->ring) + sizeof header, header.len))
        return false; /* look() says what it is */
    *batch = (mpp_batch){
        .data = ring_head(&i->ring) + sizeof header, .len = header.len, .producer = producer, .stream = s->stream};
    h->out = OUT_IN_PLACE;
    i->out = size;
    s->last = producer;
    return true;
}

share_state bounded_look(mpp_consumer *c, consumer_stream *s, unsigned producer)
{
    inlet_frame frame;
    return look(c, s, producer, &frame);
}

share_state bounded_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    inlet_frame frame;
    if (s->shares[producer].out)
        return SHARE_EMPTY;
    share_state state = look(c, s, producer, &frame);
    if (state == SHARE_READY)
        hand_out(s, producer, &frame, batch);
    return state;
}

/* One producer's next batch. */
static share_state take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch)
{
    return take_quickly(s, producer, batch) ? SHARE_READY : s->buffer->take(c, s, producer, batch);
}

static mpp_outcome take_any(mpp_consumer *c, consumer_stream *s, mpp_batch *batch)
{
    unsigned over = 0;
    unsigned producer = s->last;
    for (unsigned n = 0; n < c->end.n_peers; n++) {
        producer = producer + 1 < c->end.n_peers ? producer + 1 : 0;
        share_state state = take(c, s, producer, batch);
        if (state == SHARE_READY)
            return MPP_OK;
        over += state == SHARE_OVER;
    }
    return over == c->end.n_peers ? MPP_CLOSED : MPP_WOULD_BLOCK;
}

mpp_outcome mpp_next(mpp_consumer *c, unsigned stream, int producer, mpp_batch *batch)
{
    static const mpp_outcome outcomes[] = {
        [SHARE_EMPTY] = MPP_WOULD_BLOCK, [SHARE_READY] = MPP_OK, [SHARE_OVER] = MPP_CLOSED, [SHARE_FAILED] = MPP_GONE};
    consumer_stream *s = stream_of(c, stream);
    if (!s || (producer != MPP_PRODUCER_ANY && (producer < 0 || (unsigned)producer >= c->end.n_peers)))
        return refuse();
    if (!s->active || s->cancelled)
        return !s->active && endpoint_gone(&c->end) ? MPP_GONE : MPP_CLOSED;
    bool gone = endpoint_gone(&c->end); /* before looking: what was published before the cause is found then */
    if (gone && (c->end.failed || mesh_cause_final(c->end.mesh)))
        return MPP_GONE; /* we cannot, or it was called off: nobody waits for what is left */
    mpp_outcome outcome =
        producer == MPP_PRODUCER_ANY ? take_any(c, s, batch) : outcomes[take(c, s, (unsigned)producer, batch)];
    if (outcome == MPP_WOULD_BLOCK) {
        if (gone)
            return MPP_GONE;
        s->hungry = producer == MPP_PRODUCER_ANY ? HUNGRY_ANY : HUNGRY_SOME;
        if (producer != MPP_PRODUCER_ANY)
            s->shares[producer].hungry = true;
    } else if (outcome == MPP_OK) {
        c->end.waited_ns = 0;
    }
    return outcome;
}

mpp_outcome mpp_release(mpp_consumer *c, mpp_batch *batch)
{
    consumer_stream *s = stream_of(c, batch->stream);
    if (!s || !batch->data || batch->producer >= c->end.n_peers || !s->shares[batch->producer].out)
        return refuse();
    consumer_share *h = &s->shares[batch->producer];
    inlet *i = &s->inlets[batch->producer];
    enum batch_out out = h->out;
    h->out = OUT_NOT;
    if (out == OUT_HELD) {
        h->have = 0;
        h->whole = false;
        if (h->size > HELD_KEEP) { /* one huge record does not keep its memory */
            free(h->held);
            h->held = NULL;
            h->size = 0;
        }
    } else {
        inlet_pass(i, &c->end, i->out);
        i->out = 0;
    }
    batch->data = NULL;
    return MPP_OK;
}

/* ---- leaving ------------------------------------------------------------------------------------ */

static bool all_over(const mpp_consumer *c, const consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!s->shares[i].over)
            return false;
    return true;
}

/* Cancels go out while the mesh is whole and we are LIVE; then the slots, the sockets, the maps. */
void mpp_consumer_detach(mpp_consumer **cp)
{
    mpp_consumer *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].active && !all_over(c, &c->streams[i]))
            mpp_cancel(c, c->streams[i].stream);
    for (unsigned i = 0; i < c->n_inlets; i++)
        inlet_await(&c->inlets[i], LAYOUT_AWAITS_NOT);
    consumer_arm(c);
    endpoint_leave(&c->end);
    consumer_free(c);
}

void mpp_consumer_command(mpp_consumer *c, pid_t pid)
{
    endpoint_command(&c->end, pid);
}

bool mpp_consumer_cause(const mpp_consumer *c, mpp_error *cause)
{
    if (mpp_mesh_cause(c->end.mesh, cause))
        return true;
    if (c->end.own.status)
        mesh_cause_copy(&c->end.own, true, cause);
    return c->end.own.status != 0;
}

bool mpp_consumer_fail(mpp_consumer *c, const mpp_error *err)
{
    const mpp_error told = error_told(err, "it failed, and did not say why");
    return endpoint_report(&c->end, &told);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

void consumer_arm(mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_inlets; i++)
        inlet_release(&c->inlets[i], &c->end);
}

void consumer_await(mpp_consumer *c)
{
    bool any = false;
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].hungry != HUNGRY_NOT && c->streams[i].buffer->await) {
            c->streams[i].buffer->await(c, &c->streams[i]);
            any = true;
        }
    if (any)
        doorbell_fence(); /* [D1] for what they stored, as doorbell_arm() has it for armed */
}

static bool any_ready(mpp_consumer *c, consumer_stream *s)
{
    bool all = true;
    for (unsigned i = 0; i < c->end.n_peers; i++) {
        share_state state = s->shares[i].out ? SHARE_EMPTY : s->buffer->look(c, s, i);
        if (state == SHARE_READY || state == SHARE_FAILED)
            return true;
        all &= state == SHARE_OVER;
    }
    return all;
}

static bool some_ready(mpp_consumer *c, consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (s->shares[i].hungry && !s->shares[i].out && s->buffer->look(c, s, i) != SHARE_EMPTY)
            return true;
    return false;
}

bool consumer_ready(mpp_consumer *c)
{
    bool gone = endpoint_gone(&c->end);
    if (c->end.barrier)
        return gone || endpoint_everybody(&c->end);
    if (gone && mesh_cause_final(c->end.mesh))
        return true;
    for (unsigned i = 0; i < c->n_streams; i++) {
        consumer_stream *s = &c->streams[i];
        if (s->hungry != HUNGRY_NOT && gone)
            return true;
        if ((s->hungry == HUNGRY_ANY && any_ready(c, s)) || (s->hungry == HUNGRY_SOME && some_ready(c, s)) ||
            (s->hungry == HUNGRY_START && all_left_behind(c, s)))
            return true;
    }
    return false;
}

bool consumer_hungry(const mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].hungry != HUNGRY_NOT)
            return true;
    return false;
}

void consumer_disarm(mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_streams; i++) {
        c->streams[i].hungry = HUNGRY_NOT;
        for (unsigned j = 0; j < c->end.n_peers; j++)
            c->streams[i].shares[j].hungry = false;
    }
}

static unsigned stream_awaits(const consumer_stream *s, unsigned producer)
{
    if (s->shares[producer].over)
        return LAYOUT_AWAITS_NOT;
    if (s->hungry == HUNGRY_START || (s->hungry == HUNGRY_SOME && s->shares[producer].hungry))
        return LAYOUT_AWAITS_THIS;
    return s->hungry == HUNGRY_ANY ? LAYOUT_AWAITS_ANY : LAYOUT_AWAITS_NOT;
}

unsigned consumer_awaits(const mpp_consumer *c, const inlet *i)
{
    unsigned how = LAYOUT_AWAITS_NOT;
    for (unsigned k = 0; k < c->n_streams && how != LAYOUT_AWAITS_THIS; k++)
        if (c->streams[k].inlets == i - i->producer) {
            const unsigned here = stream_awaits(&c->streams[k], i->producer);
            how = here > how ? here : how;
        }
    return how;
}

int consumer_awaited(const mpp_consumer *c, unsigned *lane)
{
    for (unsigned i = 0; i < c->n_inlets; i++)
        if (consumer_awaits(c, &c->inlets[i])) {
            *lane = c->inlets[i].lane;
            return (int)c->inlets[i].producer;
        }
    return -1;
}
