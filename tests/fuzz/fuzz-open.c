/* fuzz-open - a segment with anything in its header, stream table and texts, of any size
 *
 * Shows that opening it is a mesh whose every number is within bounds and that can be used, or is refused as corrupt
 * with a text that names it; and that looking at it comes to the same. */
#include "look.h"
#include "mpp-look.h"

enum { IMAGE_MAX = 4 << 20, SMALL = 24, STREAMS = 3 };

static const char id[] = "fuzz";
static unsigned char *image; /* aligned as a header is: of a mesh as it was made, up to its rings */
static layout made;

static void path_of(char path[SEGMENT_PATH_MAX])
{
    must(segment_path(id, path), "a path");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const mpp_stream_options streams[STREAMS] = {
        {.name = "a", .format = {MPP_DELIMITED, '\n', 0}, .key = "2nr,1", .separator = ' ', .partition = "range:9,5 x"},
        {.name = "b", .format = {MPP_U32LE, 0, 0}, .key = "1", .separator = ' '},
        {.name = "c", .format = {MPP_FIXED, 0, 3}},
    };
    (void)argc;
    (void)argv;
    place_make();
    mpp_mesh *m = harness_mesh(&(mpp_mesh_options){
        .producers = 2, .consumers = 3, .streams = streams, .n_streams = STREAMS, .lanes = 2, .ring_size = RIG_RING});
    made = m->l;
    image = aligned_alloc(128, IMAGE_MAX);
    must(image, "no memory");
    memcpy(image, m->base, made.rings_at);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
    return 0;
}

/* ---- the segment ------------------------------------------------------------------------------------- */

static void scribble(unsigned char *p, food *f)
{
    for (unsigned n = food_below(f, 8); n > 0; n--) {
        const unsigned where = food_below(f, 4);
        const size_t from = where == 0 ? 0 : made.streams_at;
        const size_t room = where == 0 ? offsetof(layout_header, socket_dir) : made.slots_at - from;
        const size_t at = from + food_number(f, 2) % (room - 8);
        if (where == 3) {
            const food part = food_part(f, food_below(f, 64));
            memcpy(p + at, part.p, part.n < room - (at - from) ? part.n : room - (at - from));
        } else {
            uint32_t word;
            memcpy(&word, p + at / 4 * 4, sizeof word);
            word = (uint32_t)food_word(f, word);
            memcpy(p + at / 4 * 4, &word, sizeof word);
        }
    }
}

/* A header that agrees with itself, whatever its numbers are. */
static void agree(unsigned char *p)
{
    const char *field;
    layout_header *h = (layout_header *)(void *)p;
    layout l = {.producers = h->producers,
                .consumers = h->consumers,
                .streams = h->streams,
                .lanes = h->lanes,
                .ring_size = h->ring_size,
                .texts_size = h->texts_size};
    if (layout_compute(&l, &field) && l.rings_at <= IMAGE_MAX)
        h->segment_size = l.segment_size;
}

static void make(const unsigned char *p, uint64_t size)
{
    char path[SEGMENT_PATH_MAX];
    path_of(path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const size_t n = size < made.rings_at ? (size_t)size : made.rings_at;
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0 || pwrite(fd, p, n, 0) < (ssize_t)n)
        bail_out("%s: %s", path, strerror(errno));
    close(fd);
}

/* ---- its users --------------------------------------------------------------------------------------- */

static void check_stream(const mpp_mesh *m, unsigned stream)
{
    static const char a[] = "\3\0\0\0a b\n", b[] = "\2\0\0\0b\n";
    const mpp_stream_info *info = mpp_mesh_stream(m, stream);
    must(info && info->name && strlen(info->name) <= MPP_NAME_MAX, "stream %u", stream);
    must(info->lane < m->l.lanes && info->partition <= MPP_BROADCAST, "stream %u", stream);
    must(info->format.kind <= MPP_U32BE && (info->format.kind != MPP_FIXED || info->format.size > 0), "a format");
    const int where = mpp_mesh_where(m, stream, "b 7", 3);
    must(where >= -1 && where < (int)mpp_mesh_consumers(m), "a key goes to %d", where);
    must(mpp_record_order(m, stream, a, sizeof a, b, sizeof b) ==
             -mpp_record_order(m, stream, b, sizeof b, a, sizeof a),
         "an order");
}

/* Only where its sockets would lie is somebody else's to say. */
static void use(mpp_mesh *m)
{
    mpp_producer *p = NULL;
    mpp_consumer *c = NULL;
    mpp_error err;
    const mpp_attach_options o = {.index = 0, .runs = 1};
    if (m->l.slots > SMALL || m->l.streams > SMALL || m->l.ring_size > 1 << 20 ||
        strcmp(m->socket_dir, ((layout_header *)(void *)image)->socket_dir) != 0)
        return;
    if (mpp_producer_attach(m, &o, &p, &err) < 0 || mpp_consumer_attach(m, &o, &c, &err) < 0)
        must(err.status != MPP_S_DONE && *err.text, "why not");
    for (unsigned s = 0; p && c && s < m->l.streams; s++) {
        mpp_batch b;
        mpp_start(c, s);
        mpp_service(p);
        mpp_try_produce(p, s, "a b", 3);
        mpp_flush(p);
        if (mpp_next(c, s, MPP_PRODUCER_ANY, &b) == MPP_OK)
            mpp_release(c, &b);
    }
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
}

static bool try_open(void)
{
    mpp_mesh *m;
    mpp_error err;
    if (mpp_mesh_open(id, &m, &err) < 0) {
        must(err.status == MPP_S_CORRUPT && strstr(err.text, id), "status %d: %s", (int)err.status, err.text);
        return false;
    }
    for (unsigned s = 0; s < m->l.streams && s < SMALL; s++)
        check_stream(m, s);
    must(mpp_mesh_max_record(m) >= 1 && m->l.producers <= MPP_PARTICIPANTS_MAX, "its numbers");
    use(m);
    mpp_mesh_close(&m);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(128) unsigned char p[IMAGE_MAX];
    char path[SEGMENT_PATH_MAX];
    food f = {data, size};
    memcpy(p, image, made.rings_at);
    scribble(p, &f);
    const unsigned how = food_byte(&f);
    if (how & 3)
        agree(p);
    const uint64_t wanted = ((layout_header *)(void *)p)->segment_size;
    make(p, how & 4 ? food_number(&f, 3) : wanted < UINT64_C(1) << 40 ? wanted : 4096);
    const bool opens = try_open();
    if (!opens || ((layout_header *)(void *)p)->ring_size <= 1 << 20)
        must(look(id) == opens || opens, "what can be looked at can be opened");
    path_of(path);
    unlink(path);
    return 0;
}
