/* fuzz-words - anything in any shared word, while two consumers, a producer and somebody who looks do their work
 *
 * The input is a sequence of steps, of work and of words that are changed: slots, requests, channels, ends, control
 * rings, the header's shared line, frames.  Shows that every call returns, that nothing is handed out that is not whole
 * records, that what is looked at can be shown, and that everybody can leave. */
#include "look.h"

enum { CONSUMERS = 2, STEPS = 200 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make();
    return 0;
}

/* ---- what is changed --------------------------------------------------------------------------------- */

static void change(unsigned char *at, bool small, food *f)
{
    if (small) {
        _Atomic uint32_t *word = (_Atomic uint32_t *)(void *)at;
        store_relaxed(word, (uint32_t)food_word(f, load_relaxed(word)));
    } else {
        _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)at;
        store_relaxed(word, food_word(f, load_relaxed(word)));
    }
}

static void scribble(rig *r, food *f, unsigned char *ring)
{
    const layout *l = &r->mesh->l;
    unsigned char *base = r->mesh->base;
    const unsigned where = food_below(f, 4);
    const size_t at = food_number(f, 2);
    if (where == 0)
        change(base + offsetof(layout_header, peers) + at % 4 * 4, true, f);
    else if (where == 1)
        change(base + l->slots_at + at * 4 % (l->channels_at - l->slots_at), true, f);
    else if (where == 2)
        change(base + l->channels_at + at * 8 % (l->rings_at - l->channels_at), false, f);
    else
        change(ring + at * 4 % 4096, true, f);
}

/* ---- work -------------------------------------------------------------------------------------------- */

static void produce(rig *r, unsigned stream, food *f)
{
    static const char record[RIG_RING];
    const size_t n = stream == 1 ? 4 : food_byte(f) == 255 ? sizeof record * 3 / 4 : food_byte(f);
    if (mpp_try_produce(r->p, stream, record, n) == MPP_OK && food_below(f, 2))
        mpp_flush(r->p);
}

static void reserve(rig *r, unsigned stream, unsigned consumer, food *f)
{
    void *room;
    const size_t n = 4 * (size_t)food_byte(f);
    if (n == 0 || mpp_reserve(r->p, stream, consumer, n, &room) != MPP_OK)
        return;
    memset(room, '\n', n);
    mpp_commit(r->p, stream, consumer, n, 1);
}

static void step(rig *r, food *f, unsigned char *ring)
{
    const unsigned what = food_byte(f), consumer = what >> 4 & 1, stream = what >> 5 & 1;
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
        scribble(r, f, ring);
        break;
    case 3:
        mpp_service(r->p);
        break;
    case 4:
        mpp_start(r->c[consumer], stream);
        break;
    case 5:
        mpp_cancel(r->c[consumer], stream);
        break;
    case 6:
        mpp_end(r->p, stream);
        break;
    case 7:
    case 8:
        produce(r, stream, f);
        break;
    case 9:
        reserve(r, stream, consumer, f);
        break;
    case 10:
        mpp_wait(r->p, NULL, MPP_READING_INPUT, NULL, 0, 1);
        break;
    case 11:
        mpp_wait(NULL, r->c[consumer], MPP_COMPUTING, NULL, 0, 1);
        break;
    case 12:
        look(mpp_mesh_id(r->mesh));
        break;
    case 13:
        mpp_barrier(r->p, r->c[consumer]);
        break;
    default:
        live_drain(r, consumer, stream);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rig r;
    food f = {data, size < 1000 ? size : 1000};
    const mpp_format second = {MPP_FIXED, 0, 4};
    const unsigned how = food_byte(&f);
    live_open(&r, &second, 1 + (how & 1), CONSUMERS, how >> 1 & 3);
    unsigned char *ring = live_ring(r.mesh, 0, 0, 0);
    for (unsigned j = 0; how & 8 && j < CONSUMERS; j++)
        mpp_start(r.c[j], 0);
    mpp_service(r.p);
    for (unsigned n = 0; f.n > 0 && n < STEPS; n++)
        step(&r, &f, ring);
    segment_unmap_twice(ring, RIG_RING);
    live_close(&r);
    return 0;
}
