/* snapshot.c - a copy of a mesh's state for those who only look */
#include "mesh.h"

#include "atomics.h"
#include "clock.h"
#include "error.h"
#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define XXH_INLINE_ALL /* one library less to load when a program starts */
#include <xxhash.h>

/* What a slot that was LIVE when the copy was made is now: nobody may hold its lock any more, or somebody else. */
static uint32_t live_state(const mpp_mesh *m, unsigned number, pid_t *pid)
{
    layout_slot now;
    const uint64_t at = m->l.slots_at + number * sizeof now;
    const pid_t holder = segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number);
    if (holder != 0) { /* in another PID namespace its own number means nothing here, or another process */
        *pid = holder > 0 ? holder : 0;
        return LAYOUT_LIVE;
    }
    if (segment_read(m->segment, at, &now, sizeof now) < (ssize_t)sizeof now || load_relaxed(&now.state) == LAYOUT_DONE)
        return LAYOUT_DONE;
    return segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number) != 0 ? LAYOUT_LIVE : LAYOUT_DEAD;
}

static void take_participant(const mpp_mesh *m, unsigned number, mpp_participant *out)
{
    static const char *const states[] = {"free", "live", "done", "dead"};
    unsigned both = m->l.producers + m->l.consumers, index = number % both;
    const layout_slot *s = mesh_slot(m, number);
    uint32_t state = load_relaxed(&s->state);
    uint32_t waits_for = load_relaxed(&s->waits_for);
    *out = (mpp_participant){.role = index < m->l.producers ? 'p' : 'c',
                             .index = index < m->l.producers ? index : index - m->l.producers,
                             .lane = number / both,
                             .spectator = mesh_spectates(m, number),
                             .pid = load_relaxed(&s->pid),
                             .channel = -1,
                             .fd = -1};
    if (state == LAYOUT_LIVE)
        state = live_state(m, number, &out->pid);
#define ENDPOINT_COUNTER(name, kind, unit, prose) out->counters.name = load_relaxed(&s->name);
#include "counters.def"
    out->state = state <= LAYOUT_DEAD ? states[state] : "corrupt";
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
    const uint64_t word = load_relaxed(&end->word);
    if (run == 0 || word >> 8 < run || (word & 0xff) == LAYOUT_RUNNING)
        return run > 0;
    return (word & 0xff) == LAYOUT_ENDED && (int64_t)(load_relaxed(&end->end) - load_relaxed(&shared->read)) > 0;
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
    static const char *const states[] = {
        [LAYOUT_NONE] = "none", [LAYOUT_RUNNING] = "running", [LAYOUT_ENDED] = "ended", [LAYOUT_FAILED] = "failed"};
    const mpp_mesh *m = s->mesh;
    s->shares = calloc((size_t)m->l.buffers * m->l.producers + 1, sizeof *s->shares);
    for (unsigned stream = 0; s->shares && stream < m->l.streams; stream++)
        for (unsigned i = 0; mesh_overwrites(m, stream) && i < m->l.producers; i++) {
            const layout_share *share = share_at(m, stream, i);
            mpp_share *out = &s->shares[s->n_shares++];
            const uint32_t state = load_relaxed(&share->state);
            *out = (mpp_share){.stream = stream,
                               .producer = i,
                               .state =
                                   state < sizeof states / sizeof *states && states[state] ? states[state] : "corrupt"};
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

static const char *state_of(const mpp_snapshot *s)
{
    const mpp_mesh *m = s->mesh;
    if (mesh_cause_word(m) == LAYOUT_REMOVED)
        return "removed";
    if (mesh_cause_word(m))
        return "failed";
    if (load_relaxed(&m->header->closed))
        return "closed";
    for (unsigned i = 0; i < s->n_participants; i++)
        if (strcmp(s->participants[i].state, "free") != 0)
            return "live";
    return "new";
}

/* Why nobody can use it any more, or NULL. */
static const char *garbage_of(const mpp_snapshot *s)
{
    bool dead = false;
    for (unsigned i = 0; i < s->n_participants; i++) {
        if (strcmp(s->participants[i].state, "live") == 0)
            return NULL;
        dead |= strcmp(s->participants[i].state, "dead") == 0 && !s->participants[i].spectator;
    }
    if (mesh_watch_gone(s->mesh))
        return "the process that it was tied to (--pid) is gone";
    if (dead)
        return "a participant died, and nobody is left";
    if (mesh_cause_word(s->mesh))
        return "it failed, and nobody is left";
    if (load_relaxed(&s->mesh->header->closed) || mesh_complete(s->mesh))
        return "it is finished";
    return NULL;
}

static int take(mpp_snapshot *s, const char *id, mpp_error *err)
{
    if (mesh_look(id, &s->mesh, err) < 0)
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
    s->garbage = garbage_of(s);
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

/* ---- the most frequent key ---------------------------------------------------------------------- */

enum { SAMPLE = 256 << 10, KEYS_MAX = 4096, RECORDS_MAX = KEYS_MAX / 2 };

typedef struct sample {
    const mesh_stream *stream;
    uint64_t max_record;
    key_scratch scratch;
    mpp_hot_key *hot;
    struct {
        uint64_t hash;
        unsigned times;
    } keys[KEYS_MAX]; /* open addressing; times 0: free */
} sample;

static void sample_key(sample *s, const unsigned char *bytes, size_t len)
{
    const uint64_t hash = XXH3_64bits(bytes, len);
    unsigned at = hash % KEYS_MAX;
    while (s->keys[at].times && s->keys[at].hash != hash)
        at = (at + 1) % KEYS_MAX;
    s->keys[at].hash = hash;
    s->hot->seen++;
    if (++s->keys[at].times <= s->hot->times)
        return;
    s->hot->times = s->keys[at].times;
    const size_t n = len < sizeof s->hot->key ? len : sizeof s->hot->key - 1;
    memcpy(s->hot->key, bytes, n);
    s->hot->key[n] = 0;
}

static void sample_records(sample *s, const unsigned char *p, size_t n)
{
    const mpp_format *f = &s->stream->info.format;
    size_t len;
    while (s->hot->seen < RECORDS_MAX && mpp_record_next(f, s->max_record, p, n, &len) == MPP_OK) {
        const unsigned char *body, *bytes;
        size_t body_len, key_len;
        record_body(f, p, len, &body, &body_len);
        key_bytes(&s->stream->key, body, body_len, &s->scratch, &bytes, &key_len);
        if (bytes)
            sample_key(s, bytes, key_len);
        p += len;
        n -= len;
    }
}

/* Whole frames of the sample's stream at the start of what was copied. */
static void sample_frames(sample *s, unsigned stream, const unsigned char *p, size_t n)
{
    layout_frame f;
    bool continued = false; /* the stream's next frame begins inside a record */
    while (n >= sizeof f) {
        memcpy(&f, p, sizeof f);
        const size_t len = f.len & ~LAYOUT_CONTINUED, size = (size_t)layout_frame_size(len);
        const bool whole = size <= n;
        if (f.stream_id >> 16 == stream) {
            if (!continued)
                sample_records(s, p + sizeof f, whole ? len : n - sizeof f);
            continued = (f.len & LAYOUT_CONTINUED) != 0;
        }
        if (!whole)
            return;
        p += size;
        n -= size;
    }
}

/* Copy up to n bytes of a ring from a position on.  How many. */
static size_t ring_copy(const mpp_mesh *m, uint64_t number, uint64_t position, unsigned char *to, size_t n)
{
    const uint64_t at = layout_ring_offset(&m->l, number), begin = position & (m->l.ring_size - 1);
    const size_t first = n < m->l.ring_size - begin ? n : (size_t)(m->l.ring_size - begin);
    if (segment_read(m->segment, at + begin, to, first) < (ssize_t)first ||
        segment_read(m->segment, at, to + first, n - first) < (ssize_t)(n - first))
        return 0;
    return n;
}

/* The unread bytes of a channel, as they were when the snapshot was taken and as far as they still are: what was
 * released since may be overwritten, and `read` is always the start of a frame. */
static size_t unread_copy(const mpp_mesh *m, uint64_t number, unsigned char *to, unsigned char **from)
{
    const layout_channel *then = layout_channel_at(&m->l, m->base, number);
    layout_channel now;
    const uint64_t at = m->l.channels_at + number * m->l.channel_stride;
    const uint64_t begin = load_relaxed(&then->read), unread = load_relaxed(&then->write) - begin;
    if (unread > m->l.ring_size)
        return 0;
    const size_t n = ring_copy(m, number, begin, to, unread < SAMPLE ? (size_t)unread : SAMPLE);
    if (segment_read(m->segment, at, &now, sizeof now) < (ssize_t)sizeof now)
        return 0;
    const uint64_t released = load_relaxed(&now.read) - begin;
    if (released >= n)
        return 0;
    *from = to + released;
    return n - (size_t)released;
}

bool mpp_snapshot_hot_key(const mpp_snapshot *snapshot, const mpp_channel *c, mpp_hot_key *hot)
{
    const mpp_mesh *m = snapshot->mesh;
    const uint64_t number = layout_channel_number(&m->l, c->lane, c->producer, c->consumer);
    *hot = (mpp_hot_key){0};
    if (c->head < 0)
        return false;
    const mesh_stream *stream = &m->streams[c->head];
    if (stream->info.partition != MPP_HASH && stream->info.partition != MPP_RANGE)
        return false;
    unsigned char *bytes = malloc(SAMPLE), *from;
    sample *s = calloc(1, sizeof *s);
    if (bytes && s) {
        *s = (sample){.stream = stream, .max_record = m->max_record, .hot = hot};
        const size_t n = unread_copy(m, number, bytes, &from);
        if (n > 0)
            sample_frames(s, (unsigned)c->head, from, n);
        free(s->scratch.data);
    }
    free(bytes);
    free(s);
    return hot->seen > 0;
}

/* ---- the list ----------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list_add(char ***ids, int *n, const char *id)
{
    char **more = realloc(*ids, ((size_t)*n + 1) * sizeof *more);
    if (!more)
        return false;
    *ids = more;
    if (!(more[*n] = strdup(id)))
        return false;
    ++*n;
    return true;
}

static int list_free(char ***ids, int n)
{
    while (n > 0)
        free((*ids)[--n]);
    free(*ids);
    *ids = NULL;
    errno = ENOMEM;
    return -1;
}

int mpp_mesh_list(char ***ids)
{
    int n = 0;
    bool all = true;
    *ids = NULL;
    DIR *d = opendir(SEGMENT_DIRECTORY);
    if (!d)
        return -1;
    /* readdir() of a stream of one's own is safe with threads. */
    /* cppcheck-suppress readdirCalled */
    for (struct dirent *entry; all && (entry = readdir(d));) {
        struct stat st;
        if (strncmp(entry->d_name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) == 0 &&
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == geteuid())
            all = list_add(ids, &n, entry->d_name + strlen(SEGMENT_PREFIX));
    }
    closedir(d);
    if (!all)
        return list_free(ids, n);
    if (n)
        qsort(*ids, (size_t)n, sizeof **ids, by_name);
    return n;
}
