/* snapshot.c - a copy of a mesh's state for those who only look */
#include "base/atomics.h"
#include "base/clock.h"
#include "base/error.h"
#include "buffer/buffer.h"
#include "mesh/cause.h"
#include "mesh/membership.h"
#include "mesh/mesh.h"
#include "mesh/open.h"
#include "mesh/over.h"
#include "mpp-look.h"
#include "run/word.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

static void take_participant(const mpp_mesh *m, unsigned number, mpp_participant *out)
{
    static const mpp_place_state states[] = {[LAYOUT_FREE] = MPP_PLACE_FREE,
                                             [LAYOUT_LIVE] = MPP_PLACE_LIVE,
                                             [LAYOUT_DONE] = MPP_PLACE_DONE,
                                             [LAYOUT_DEAD] = MPP_PLACE_DEAD};
    const layout_place place = layout_place_of(&m->l, number);
    const layout_slot *s = mesh_slot(m, number);
    uint32_t state = load_relaxed(&s->state);
    uint32_t waits_for = load_relaxed(&s->waits_for);
    *out = (mpp_participant){.role = place.role,
                             .index = place.index,
                             .lane = place.lane,
                             .spectator = membership_of(m, number)->returns,
                             .pid = load_relaxed(&s->pid),
                             .channel = -1,
                             .fd = -1};
    if (state == LAYOUT_LIVE) { /* in another PID namespace its own number means nothing here, or another process */
        pid_t holder;
        state = membership_state(m, number, &holder);
        if (state == LAYOUT_LIVE)
            out->pid = holder > 0 ? holder : 0;
    }
#define ENDPOINT_COUNTER(name, kind, unit, prose) out->counters.name = load_relaxed(&s->name);
#include "counters.def"
    out->state = state <= LAYOUT_DEAD ? states[state] : MPP_PLACE_CORRUPT;
    memcpy(out->label, s->label, sizeof out->label);
    out->label[sizeof out->label - 1] = 0;
    if (state != LAYOUT_LIVE)
        return;
    out->doing = load_relaxed(&s->activity);
    out->activity = mpp_activity_text(out->doing);
    out->command = out->pid == load_relaxed(&s->pid) ? load_relaxed(&s->command) : 0;
    out->fd = load_relaxed(&s->fd);
    out->since_ns = (int64_t)load_relaxed(&s->since_ns);
    if (waits_for && waits_for <= MPP_PARTICIPANTS_MAX)
        out->channel = (int)waits_for - 1;
}

/* Whose bytes are next in a ring; -1: it cannot be said. */
static int head_of(const mpp_mesh *m, uint64_t number, uint64_t position)
{
    layout_frame f;
    const uint64_t at = layout_ring_offset(&m->l, number) + (position & (m->l.ring_size - 1));
    if (segment_read(m->segment, at, &f, sizeof f) < (ssize_t)sizeof f || f.stream_id >> 16 >= m->l.streams)
        return -1;
    return (int)(f.stream_id >> 16);
}

/* Has a consumer asked for a stream, and not had all of it that there is to come on this channel? */
static bool is_asked(const mpp_mesh *m, const mpp_channel *c, layout_channel *shared, unsigned stream)
{
    const uint32_t run = load_relaxed(layout_request_at(&m->l, m->base, c->consumer, stream));
    const layout_end *end = layout_end_of(&m->l, shared, stream);
    const run_word word = run_word_load(end);
    if (run == 0 || word.run < run || word.state == LAYOUT_RUNNING)
        return run > 0;
    return word.state == LAYOUT_ENDED && (int64_t)(load_relaxed(&end->end) - load_relaxed(&shared->read)) > 0;
}

static int asked_beside(const mpp_mesh *m, const mpp_channel *c, layout_channel *shared)
{
    for (unsigned s = c->lane; s < m->l.streams; s += m->l.lanes)
        if ((int)s != c->head && is_asked(m, c, shared, s))
            return (int)s;
    return -1;
}

static const layout_share *share_at(const mpp_mesh *m, unsigned stream, unsigned producer)
{
    return layout_share_of(mesh_buffer(m, stream), producer);
}

static uint64_t behind(const mpp_mesh *m, const mpp_channel *c)
{
    const mpp_buffer_kind kind = m->streams[c->lane].info.buffer;
    if (!mesh_overwrites(m, c->lane) || kind == MPP_MAILBOX)
        return UINT64_MAX;
    const uint64_t produced = load_relaxed(&share_at(m, c->lane, c->producer)->produced);
    const uint64_t past = c->counters.got + c->counters.missed;
    return past < produced ? produced - past : 0;
}

static int take_shares(mpp_snapshot *s)
{
    static const mpp_share_state states[] = {[LAYOUT_NONE] = MPP_SHARE_NONE,
                                             [LAYOUT_RUNNING] = MPP_SHARE_RUNNING,
                                             [LAYOUT_ENDED] = MPP_SHARE_ENDED,
                                             [LAYOUT_CANCELLED] = MPP_SHARE_CORRUPT,
                                             [LAYOUT_FAILED] = MPP_SHARE_FAILED};
    const mpp_mesh *m = s->mesh;
    s->shares = calloc((size_t)m->l.buffers * m->l.producers + 1, sizeof *s->shares);
    for (unsigned stream = 0; s->shares && stream < m->l.streams; stream++)
        for (unsigned i = 0; mesh_overwrites(m, stream) && i < m->l.producers; i++) {
            const layout_share *share = share_at(m, stream, i);
            mpp_share *out = &s->shares[s->n_shares++];
            const uint32_t state = load_relaxed(&share->state);
            *out = (mpp_share){.stream = stream,
                               .producer = i,
                               .state = state < sizeof states / sizeof *states ? states[state] : MPP_SHARE_CORRUPT};
#define SHARE_COUNTER(name, kind, unit, prose) out->counters.name = load_relaxed(&share->name);
#include "counters.def"
        }
    return s->shares ? 0 : -1;
}

/* false: nothing happened there, and nobody waits. */
static bool take_channel(const mpp_mesh *m, uint64_t number, mpp_channel *out)
{
    layout_channel *c = layout_channel_at(&m->l, m->base, number);
    const uint64_t read = load_relaxed(&c->read), write = load_relaxed(&c->write);
    const uint64_t fill = write - read; /* the copy is of no one moment: read may have passed write since */
    *out = (mpp_channel){.lane = (unsigned)(number / m->l.consumers / m->l.producers),
                         .producer = (unsigned)(number / m->l.consumers % m->l.producers),
                         .consumer = (unsigned)(number % m->l.consumers),
                         .fill = fill <= m->l.ring_size ? fill : 0,
                         .wanted = load_relaxed(&c->want) != LAYOUT_NEVER,
                         .awaited = load_relaxed(&c->awaited) != LAYOUT_AWAITS_NOT,
                         .needed = load_relaxed(&c->awaited) == LAYOUT_AWAITS_THIS,
                         .head = -1,
                         .asked = -1};
#define COUNTER(name, kind, unit, side, prose) out->counters.name = load_relaxed(&c->name);
#include "counters.def"
    if (out->fill && m->l.lanes < m->l.streams) /* else it follows from the lane */
        out->head = head_of(m, number, read);
    else if (out->fill)
        out->head = (int)out->lane;
    if (out->fill)
        out->asked = asked_beside(m, out, c);
    out->behind = behind(m, out);
    return write != 0 || out->wanted || out->awaited || out->counters.space_waits || out->counters.dropped ||
           out->counters.got || out->counters.missed;
}

static int take_channels(mpp_snapshot *s)
{
    const mpp_mesh *m = s->mesh;
    uint64_t n = (uint64_t)m->l.lanes * m->l.producers * m->l.consumers;
    unsigned room = 0;
    for (uint64_t i = 0; i < n; i++) {
        mpp_channel c;
        if (!take_channel(m, i, &c))
            continue;
        if (s->n_channels == room) {
            room = room ? room * 2 : 64;
            mpp_channel *bigger = realloc(s->channels, room * sizeof *bigger);
            if (!bigger)
                return -1;
            s->channels = bigger;
        }
        s->channels[s->n_channels++] = c;
    }
    return 0;
}

static mpp_mesh_state state_of(const mpp_snapshot *s)
{
    const mpp_mesh *m = s->mesh;
    if (mesh_cause_word(m) == LAYOUT_REMOVED)
        return MPP_MESH_REMOVED;
    if (mesh_cause_word(m))
        return MPP_MESH_FAILED;
    if (load_relaxed(&m->header->closed))
        return MPP_MESH_CLOSED;
    for (unsigned i = 0; i < s->n_participants; i++)
        if (s->participants[i].state != MPP_PLACE_FREE)
            return MPP_MESH_LIVE;
    return MPP_MESH_NEW;
}

static int take(mpp_snapshot *s, const char *id, mpp_error *err)
{
    if (mesh_open_copy(id, &s->mesh, err) < 0)
        return -1;
    const mpp_mesh *m = s->mesh;
    snprintf(s->id, sizeof s->id, "%s", m->id);
    uuid_unparse_lower(m->uuid, s->uuid);
    s->taken_ns = clock_shared();
    s->created_ns = m->created_ns;
    s->segment_size = m->l.segment_size;
    s->ring_size = m->l.ring_size;
    s->max_record = m->max_record;
    s->producers = m->l.producers;
    s->consumers = m->l.consumers;
    s->lanes = m->l.lanes;
    s->n_streams = m->l.streams;
    s->watch_pid = m->watch_pid;
    s->keep = m->keep;
    s->streams = calloc(s->n_streams, sizeof *s->streams);
    s->participants = calloc(m->l.slots, sizeof *s->participants);
    if (!s->streams || !s->participants || take_channels(s) < 0 || take_shares(s) < 0)
        return error_set(err, MPP_S_ERROR, ENOMEM, "a snapshot of mesh '%s'", id);
    for (unsigned i = 0; i < s->n_streams; i++)
        s->streams[i] = m->streams[i].info;
    for (s->n_participants = 0; s->n_participants < m->l.slots; s->n_participants++)
        take_participant(m, s->n_participants, &s->participants[s->n_participants]);
    mpp_mesh_cause(m, &s->cause);
    const uint32_t word = mesh_cause_word(m);
    s->cause_by = word > 0 && word <= m->l.slots && s->cause.status != MPP_S_DIED ? (int)word - 1 : -1;
    s->state = state_of(s);
    s->garbage = mesh_garbage(m);
    return 0;
}

int mpp_snapshot_take(const char *id, mpp_snapshot **out, mpp_error *err)
{
    mpp_snapshot *s = *out = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, MPP_S_ERROR, ENOMEM, "a snapshot of mesh '%s'", id);
    if (take(s, id, err) == 0)
        return 0;
    mpp_snapshot_free(out);
    return -1;
}

void mpp_snapshot_free(mpp_snapshot **sp)
{
    mpp_snapshot *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    mpp_mesh_close(&s->mesh);
    free(s->streams);
    free(s->participants);
    free(s->channels);
    free(s->shares);
    free(s);
}
