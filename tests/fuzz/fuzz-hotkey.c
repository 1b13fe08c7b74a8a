/* fuzz-hotkey - the most frequent key of what is unread in a ring with anything in it, against the obvious way
 *
 * Shows that it is the key that occurs most among the records of whole frames, for every format, and that nothing is
 * read that was not copied. */
#include "live.h"
#include "mpp-look.h"

enum { STREAMS = 5, SAMPLE_MAX = 2048 };

static mpp_mesh *mesh;
static unsigned char *rings[STREAMS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const mpp_stream_options streams[STREAMS] = {
        {.name = "lines", .format = {MPP_DELIMITED, '\n', 0}, .key = "1", .separator = ' '},
        {.name = "NULs", .format = {MPP_DELIMITED, 0, 0}, .key = "2,1", .separator = '\n'},
        {.name = "fixed", .format = {MPP_FIXED, 0, 3}, .key = "1", .separator = 'x'},
        {.name = "u32le", .format = {MPP_U32LE, 0, 0}, .key = "1", .separator = ' '},
        {.name = "u32be", .format = {MPP_U32BE, 0, 0}, .partition = "hash"},
    };
    (void)argc;
    (void)argv;
    place_make();
    mesh = harness_mesh(&(mpp_mesh_options){.producers = 1,
                                            .consumers = 1,
                                            .streams = streams,
                                            .n_streams = STREAMS,
                                            .ring_size = RIG_RING,
                                            .max_record = 1000});
    for (unsigned i = 0; i < STREAMS; i++)
        rings[i] = live_ring(mesh, i, 0, 0);
    return 0;
}

/* ---- the obvious way --------------------------------------------------------------------------------- */

typedef struct keys {
    struct {
        unsigned char *p;
        size_t n;
        unsigned times;
    } keys[SAMPLE_MAX];
    unsigned n, seen, most;
    key_scratch scratch;
} keys;

static void add_key(keys *k, const unsigned char *p, size_t n)
{
    unsigned i = 0;
    while (i < k->n && (k->keys[i].n != n || memcmp(k->keys[i].p, p, n) != 0))
        i++;
    if (i == k->n) {
        k->keys[i].p = food_copy((food){p, n});
        k->keys[i].n = n;
        k->n++;
    }
    k->seen++;
    k->keys[i].times++;
    k->most = k->keys[i].times > k->most ? k->keys[i].times : k->most;
}

static void add_records(keys *k, unsigned stream, const unsigned char *p, size_t n)
{
    const mesh_stream *s = &mesh->streams[stream];
    const size_t prefix = s->info.format.kind == MPP_U32LE || s->info.format.kind == MPP_U32BE ? 4 : 0;
    const size_t suffix = s->info.format.kind == MPP_DELIMITED;
    size_t len;
    for (; k->seen < SAMPLE_MAX && mpp_record_next(&s->info.format, mesh->max_record, p, n, &len) == MPP_OK;
         p += len, n -= len) {
        const unsigned char *found;
        size_t found_n;
        key_bytes(&s->key, p + prefix, len - prefix - suffix, &k->scratch, &found, &found_n);
        add_key(k, found, found_n);
    }
}

static void add_frames(keys *k, unsigned stream, const unsigned char *p, size_t n)
{
    bool inside = false;
    for (size_t at = 0; at + sizeof(layout_frame) <= n;) {
        layout_frame f;
        memcpy(&f, p + at, sizeof f);
        const size_t len = f.len & ~LAYOUT_CONTINUED, here = n - at - sizeof f;
        const bool ours = f.stream_id >> 16 == stream;
        if (ours && !inside)
            add_records(k, stream, p + at + sizeof f, layout_frame_size(len) <= n - at ? len : here);
        if (ours)
            inside = f.len & LAYOUT_CONTINUED;
        at += layout_frame_size(len) <= n - at ? layout_frame_size(len) : n - at;
    }
}

static void check(const mpp_hot_key *hot, const keys *k)
{
    must(hot->seen == k->seen && hot->times == k->most, "%u of %u, not %u of %u", hot->times, hot->seen, k->most,
         k->seen);
    bool found = hot->times == 0;
    for (unsigned i = 0; i < k->n; i++)
        found |= k->keys[i].times == k->most &&
                 strncmp(hot->key, (char *)k->keys[i].p, strnlen(hot->key, k->keys[i].n)) == 0;
    must(found, "'%s' does not occur as often", hot->key);
}

/* ---- one channel ------------------------------------------------------------------------------------- */

static void look_at(unsigned stream, const unsigned char *p, size_t n)
{
    static keys k;
    mpp_snapshot *s;
    mpp_hot_key hot;
    memset(&k, 0, sizeof k);
    add_frames(&k, stream, p, n);
    must(mpp_snapshot_take(mpp_mesh_id(mesh), &s, NULL) == 0, "a snapshot");
    must(s->n_channels == (n > 0), "%u channels", s->n_channels);
    for (unsigned i = 0; i < s->n_channels; i++) {
        must(mpp_snapshot_hot_key(s, &s->channels[i], &hot) == (k.seen > 0), "%u records", k.seen);
        check(&hot, &k);
    }
    mpp_snapshot_free(&s);
    for (unsigned i = 0; i < k.n; i++)
        free(k.keys[i].p);
    free(k.scratch.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food f = {data, size < 8192 ? size : 8192};
    const unsigned stream = food_below(&f, STREAMS);
    const uint64_t read = food_number(&f, 2) & ~UINT64_C(7);
    layout_channel *c = mesh_channel(mesh, stream, 0, 0);
    unsigned char *at = rings[stream] + read % RIG_RING;
    const size_t n = f.n & ~(size_t)7;
    if (n)
        memcpy(at, f.p, n);
    store_relaxed(&c->read, n ? read : 0);
    store_relaxed(&c->write, n ? read + n : 0);
    look_at(stream, at, n);
    store_relaxed(&c->read, 0);
    store_relaxed(&c->write, 0);
    return 0;
}
