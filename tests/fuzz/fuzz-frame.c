/* fuzz-frame - a ring with anything in it, and what its consumer makes of that, against the obvious way
 *
 * Shows that frames come out as they lie there, those of a record that goes on put together; that the first frame that
 * cannot be ends the mesh by name; and that nothing is handed out that is not whole records. */
#include "live.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make();
    return 0;
}

/* What the frames in [p, p + n) are: the bytes of each stream up to the first that cannot be. */
typedef struct naive {
    bytes whole[2], parts[2]; /* what was put together, what is being */
    bool corrupt;
} naive;

static bool naive_whole(const rig *r, unsigned stream, const unsigned char *p, size_t n)
{
    return n == 0 ? mpp_mesh_stream(r->mesh, stream)->format.kind != MPP_FIXED : rig_whole_records(r, stream, p, n);
}

/* false: it cannot be. */
static bool naive_frame(naive *w, const rig *r, unsigned lanes, const layout_frame *f, const unsigned char *p)
{
    const unsigned stream = f->stream_id >> 16;
    const size_t len = f->len & ~LAYOUT_CONTINUED;
    if ((f->stream_id & 0xffff) != 0 || stream > 1 || stream % lanes != 0)
        return false;
    bytes_add(&w->parts[stream], p, len);
    if (f->len & LAYOUT_CONTINUED)
        return true;
    if (!naive_whole(r, stream, w->parts[stream].data, w->parts[stream].n))
        return false;
    bytes_add(&w->whole[stream], w->parts[stream].data, w->parts[stream].n);
    w->parts[stream].n = 0;
    return true;
}

static void naive_frames(naive *w, const rig *r, unsigned lanes, const unsigned char *p, size_t n)
{
    layout_frame f;
    for (size_t at = 0; at < n; at += layout_frame_size(f.len & ~LAYOUT_CONTINUED)) {
        w->corrupt = n - at < sizeof f;
        if (!w->corrupt)
            memcpy(&f, p + at, sizeof f);
        if (w->corrupt || layout_frame_size(f.len & ~LAYOUT_CONTINUED) > n - at ||
            !naive_frame(w, r, lanes, &f, p + at + sizeof f)) {
            w->corrupt = true;
            return;
        }
    }
}

/* Both streams, in turn, until neither goes on.  What was found on the way is said by the next call. */
static bool drain_both(rig *r)
{
    bool gone = false;
    for (unsigned idle = 0; idle < 3; idle++) {
        const unsigned before = live_batches;
        for (unsigned s = 0; s < 2; s++)
            gone |= live_drain(r, 0, s) == MPP_GONE;
        if (live_batches != before)
            idle = 0;
    }
    return gone;
}

static void check(rig *r, unsigned lanes, const unsigned char *p, size_t n)
{
    naive w = {0};
    naive_frames(&w, r, lanes, p, n);
    const bool gone = drain_both(r);
    must(gone == w.corrupt, "%s", harness_cause(r->mesh));
    if (gone)
        live_failed(r, false);
    for (unsigned s = 0; s < 2; s++) {
        must(bytes_equal(&r->got[0][s], &w.whole[s]), "stream %u: %zu bytes, not %zu", s, r->got[0][s].n, w.whole[s].n);
        bytes_free(&w.whole[s]);
        bytes_free(&w.parts[s]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rig r;
    food f = {data, size < 4096 ? size : 4096};
    const mpp_format second = food_format(&f);
    const unsigned lanes = 1 + food_below(&f, 2);
    live_open(&r, &second, lanes, 1, 1);
    rig_ask(&r, 0);
    rig_ask(&r, 1);
    unsigned char *ring = live_ring(r.mesh, 0, 0, 0);
    const size_t n = f.n & ~(size_t)7;
    if (n)
        memcpy(ring, f.p, n);
    store_release(&mesh_channel(r.mesh, 0, 0, 0)->write, n);
    check(&r, lanes, ring, n);
    segment_unmap_twice(ring, RIG_RING);
    live_close(&r);
    return 0;
}
