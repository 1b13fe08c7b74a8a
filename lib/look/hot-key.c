/* hot-key.c - the most frequent key among the records that are unread on a channel */
#include "base/atomics.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "record/key.h"
#include "record/record.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* one library less to load when a program starts */
#include <xxhash.h>

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
