/* fuzz-slots - slots, causes, requests and channels with anything in them, and what those make of it who only look
 *
 * Shows that a snapshot of any words can be shown: states that there are, texts that end, indices within bounds, a
 * cause without control characters. */
#include "look.h"

#include "mesh/over.h"

static mpp_mesh *mesh;
static unsigned char *before; /* the words as they were */

static size_t words_at(void)
{
    return offsetof(layout_header, peers);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const mpp_stream_options streams[] = {
        {.name = "a", .format = {MPP_DELIMITED, '\n', 0}, .key = "1", .separator = ' '},
        {.name = "b", .format = {MPP_U32LE, 0, 0}},
        {.name = "c", .format = {MPP_FIXED, 0, 3}},
    };
    (void)argc;
    (void)argv;
    place_make();
    mesh = harness_mesh(&(mpp_mesh_options){
        .producers = 2, .consumers = 2, .streams = streams, .n_streams = 3, .lanes = 2, .ring_size = RIG_RING});
    before = food_copy((food){mesh->base, mesh->l.rings_at});
    return 0;
}

/* Words here and there, or many in a row. */
static void scribble(food *f)
{
    unsigned char *base = mesh->base;
    while (f->n > 0) {
        const bool shared = food_below(f, 4) == 0;
        const size_t from = shared ? words_at() : mesh->l.slots_at, room = shared ? 16 : mesh->l.rings_at - from;
        const size_t at = food_number(f, 2) * 4 % room;
        const unsigned many = food_byte(f);
        if (many < 128) {
            const uint32_t word = (uint32_t)food_word(f, (uint32_t)mesh->l.slots);
            memcpy(base + from + at, &word, sizeof word);
        } else {
            const food part = food_part(f, many);
            memcpy(base + from + at, part.p, part.n < room - at ? part.n : room - at);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food f = {data, size};
    char who[96];
    scribble(&f);
    must(look(mpp_mesh_id(mesh)), "whatever its words, it is a mesh");
    for (unsigned i = 0; i < mesh->l.slots; i++) {
        mesh_who(mesh, i, who, sizeof who);
        for (const char *p = who; *p; p++)
            must((unsigned char)*p >= ' ', "the byte %d in who somebody is", *p);
    }
    mesh_complete(mesh);
    mesh_finished(mesh);
    memcpy((unsigned char *)mesh->base + words_at(), before + words_at(), mesh->l.rings_at - words_at());
    return 0;
}
