/* malformed - every field of a segment set to every value that could fool somebody, one at a time
 *
 * Geometry and stream table are changed before the mesh is opened; slots, requests, channels, control messages, ends,
 * the header's shared words and frames while a producer and a consumer are at work, who then go on, end and leave.
 * Shows that nothing crashes or hangs, that only whole records come out, in their order, and that what is refused is
 * refused with a text.  A failure prints the field and the value; `malformed FIELD` tries that field alone. */
#include "last-words.h"
#include "look.h"
#include "mpp-look.h"

enum { RECORDS = 40, ROUNDS = 50 };

static const char *only; /* the field that was named */
static unsigned inputs;

/* What came of the values of one field. */
static struct tally {
    unsigned values, well, corrupt, failed;
} tally;

/* ---- values ------------------------------------------------------------------------------------------ */

/* The n-th value, near the right one, near a bound, somebody else's, or far off; false: there are no more. */
static bool value_of(unsigned n, uint64_t right, uint64_t *value)
{
    const uint64_t values[] = {0,
                               1,
                               2,
                               77,
                               255,
                               256,
                               300,
                               RIG_RING,
                               RIG_RING + 1,
                               RIG_RING + 8,
                               2 * RIG_RING,
                               INT32_MAX,
                               UINT64_C(1) << 31,
                               UINT32_MAX - 1,
                               UINT32_MAX,
                               UINT64_C(1) << 32,
                               UINT64_C(1) << 62,
                               UINT64_C(1) << 63,
                               UINT64_MAX - 7,
                               UINT64_MAX,
                               right + 1,
                               right - 1,
                               right + 4,
                               right + 8,
                               right - 8,
                               right + 256, /* the next run */
                               right - 256,
                               right ^ 1,
                               right ^ UINT64_C(1) << 16, /* another stream's */
                               right ^ UINT64_C(1) << 31};
    if (n >= sizeof values / sizeof *values)
        return false;
    *value = values[n];
    return true;
}

typedef struct field {
    const char *name;
    unsigned width; /* bytes */
    void *(*at)(const rig *r);
} field;

static uint64_t field_get(const void *at, unsigned width)
{
    uint64_t v = 0;
    memcpy(tap_low(&v, width), at, width);
    return v;
}

static bool same(uint64_t a, uint64_t b, unsigned width)
{
    return width == 8 ? a == b : (a ^ b) << (64 - 8 * width) == 0;
}

/* ---- geometry and stream table, before it is opened --------------------------------------------------- */

#define IN_HEADER(name)                                                                                                \
    {                                                                                                                  \
        "header " #name, sizeof(((layout_header *)0)->name), offsetof(layout_header, name)                             \
    }
#define IN_STREAM(name)                                                                                                \
    {                                                                                                                  \
        "stream table " #name, sizeof(((layout_stream *)0)->name),                                                     \
            sizeof(layout_header) + offsetof(layout_stream, name)                                                      \
    }

static const struct {
    const char *name;
    size_t width, at;
} written_once[] = {IN_HEADER(magic),       IN_HEADER(version),      IN_HEADER(keep),       IN_HEADER(producers),
                    IN_HEADER(consumers),   IN_HEADER(streams),      IN_HEADER(lanes),      IN_HEADER(ring_size),
                    IN_HEADER(max_record),  IN_HEADER(segment_size), IN_HEADER(texts_size), IN_HEADER(watch_pid),
                    IN_HEADER(watch_start), IN_STREAM(kind),         IN_STREAM(delimiter),  IN_STREAM(size),
                    IN_STREAM(partition),   IN_STREAM(separator),    IN_STREAM(key_at),     IN_STREAM(key_size),
                    IN_STREAM(bounds_at),   IN_STREAM(bounds_size)};

static mpp_mesh_options options(void)
{
    static const mpp_stream_options streams[] = {
        {.name = "a", .format = {MPP_DELIMITED, '\n', 0}, .key = "1", .separator = ' ', .partition = "range:z"},
        {.name = "b", .format = {MPP_FIXED, 0, 4}},
    };
    mpp_mesh_options o = rig_options(streams, 2, 2);
    o.max_record = 1000;
    return o;
}

/* It opens or is refused; what opens has numbers that can be used. */
static void open_it(const char *id)
{
    mpp_mesh *m;
    mpp_error err;
    tally.values++;
    inputs++;
    if (mpp_mesh_open(id, &m, &err) < 0) {
        must(err.status == MPP_S_CORRUPT && strstr(err.text, id), "status %d: %s", (int)err.status, err.text);
        must(!look(id), "what cannot be opened cannot be looked at");
        tally.corrupt++;
        return;
    }
    tally.well++;
    must(look(id), "what can be opened can be looked at");
    const int where = mpp_mesh_where(m, 0, "k", 1);
    must(where >= -1 && where < (int)mpp_mesh_consumers(m), "a key goes to %d", where);
    const mpp_stream_info *info = mpp_mesh_stream(m, 0);
    must(info->partition <= MPP_BROADCAST && info->format.kind <= MPP_U32BE, "a stream of kinds that there are");
    mpp_mesh_close(&m);
}

static void try_written_once(unsigned i)
{
    const mpp_mesh_options o = options();
    const size_t width = written_once[i].width, at = written_once[i].at;
    uint64_t v;
    char id[MPP_NAME_MAX + 1], path[SEGMENT_PATH_MAX];
    mpp_mesh *m = harness_mesh(&o);
    uint64_t right = field_get((char *)m->base + at, (unsigned)width);
    snprintf(id, sizeof id, "%s", mpp_mesh_id(m));
    mpp_mesh_close(&m);
    segment_path(id, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    for (unsigned n = 0; value_of(n, right, &v); n++) {
        snprintf(last_words, sizeof last_words, "%s = %#llx", written_once[i].name, (unsigned long long)v);
        if (same(v, right, (unsigned)width))
            continue;
        must(pwrite(fd, tap_low(&v, width), width, (off_t)at) == (ssize_t)width, "%s", strerror(errno));
        open_it(id);
    }
    must(pwrite(fd, tap_low(&right, width), width, (off_t)at) == (ssize_t)width, "%s", strerror(errno));
    close(fd);
    mpp_mesh_remove(id, NULL);
}

/* ---- shared words, at work --------------------------------------------------------------------------- */

static layout_channel *channel(const rig *r)
{
    return mesh_channel(r->mesh, 0, 0, 0);
}
static layout_slot *slot(const rig *r, char role)
{
    return mesh_endpoint_slot(r->mesh, 0, role, 0);
}
static layout_control *last_message(const rig *r)
{
    layout_channel *c = mesh_channel(r->mesh, 1, 0, 0);
    return &layout_controls_of(c)[(load_relaxed(&c->sent) - 1) % r->mesh->l.controls];
}
static layout_end *end_word(const rig *r)
{
    return layout_end_of(&r->mesh->l, channel(r), 0);
}
static layout_frame *frame(const rig *r, uint64_t at)
{
    return (layout_frame *)(void *)(r->p->outlets[0].ring.bytes + at);
}

#define AT(function, expression)                                                                                       \
    static void *function(const rig *r)                                                                                \
    {                                                                                                                  \
        return (expression);                                                                                           \
    }
AT(peers, &r->mesh->header->peers)
AT(cause_word, &r->mesh->header->cause)
AT(barrier, &r->mesh->header->barrier)
AT(closed, &r->mesh->header->closed)
AT(p_state, &slot(r, 'p')->state)
AT(p_pid, &slot(r, 'p')->pid)
AT(p_owes, &slot(r, 'p')->owes)
AT(p_mail, &slot(r, 'p')->mail)
AT(p_armed, &slot(r, 'p')->armed)
AT(p_activity, &slot(r, 'p')->activity)
AT(p_waits_for, &slot(r, 'p')->waits_for)
AT(p_status, &slot(r, 'p')->cause.status)
AT(c_state, &slot(r, 'c')->state)
AT(c_pid, &slot(r, 'c')->pid)
AT(c_armed, &slot(r, 'c')->armed)
AT(c_command, &slot(r, 'c')->command)
AT(c_fd, &slot(r, 'c')->fd)
AT(c_since, &slot(r, 'c')->since_ns)
AT(request, layout_request_at(&r->mesh->l, r->mesh->base, 0, 0))
AT(c_write, &channel(r)->write)
AT(c_want, &channel(r)->want)
AT(c_read, &channel(r)->read)
AT(c_awaited, &channel(r)->awaited)
AT(c_sent, &channel(r)->sent)
AT(c_taken, &channel(r)->taken)
AT(c_high_water, &channel(r)->high_water)
AT(m_type, &last_message(r)->type)
AT(m_stream, &last_message(r)->stream_id)
AT(m_run, &last_message(r)->run)
AT(e_word, &end_word(r)->word)
AT(e_begin, &end_word(r)->begin)
AT(e_end, &end_word(r)->end)
AT(f_stream, &frame(r, 0)->stream_id)
AT(f_len, &frame(r, 0)->len)
AT(f_next_len, &frame(r, layout_frame_size(frame(r, 0)->len))->len)

/* A word of nobody's. */
static void *nothing(const rig *r)
{
    (void)r;
    static uint32_t word;
    word = 0;
    return &word;
}

static const field shared[] = {{"header peers", 4, peers},
                               {"header cause", 4, cause_word},
                               {"header barrier", 4, barrier},
                               {"header closed", 4, closed},
                               {"producer state", 4, p_state},
                               {"producer pid", 4, p_pid},
                               {"producer owes", 4, p_owes},
                               {"producer mail", 4, p_mail},
                               {"producer armed", 4, p_armed},
                               {"producer activity", 4, p_activity},
                               {"producer waits_for", 4, p_waits_for},
                               {"producer cause status", 4, p_status},
                               {"consumer state", 4, c_state},
                               {"consumer pid", 4, c_pid},
                               {"consumer armed", 4, c_armed},
                               {"consumer command", 4, c_command},
                               {"consumer fd", 4, c_fd},
                               {"consumer since_ns", 8, c_since},
                               {"request", 4, request},
                               {"channel write", 8, c_write},
                               {"channel want", 8, c_want},
                               {"channel read", 8, c_read},
                               {"channel awaited", 8, c_awaited},
                               {"channel sent", 8, c_sent},
                               {"channel taken", 8, c_taken},
                               {"channel high_water", 8, c_high_water},
                               {"message type", 4, m_type},
                               {"message stream_id", 4, m_stream},
                               {"message run", 4, m_run},
                               {"end word", 8, e_word},
                               {"end begin", 8, e_begin},
                               {"end end", 8, e_end},
                               {"frame stream_id", 4, f_stream},
                               {"frame len", 4, f_len},
                               {"second frame len", 4, f_next_len}};

/* When the producer has ended the stream. */
static const field at_the_end[] = {{"end word of an end", 8, e_word},
                                   {"end begin of an end", 8, e_begin},
                                   {"end end of an end", 8, e_end},
                                   {"channel write of an end", 8, c_write},
                                   {"producer state of an end", 4, p_state}};

/* Numbered lines: they grow. */
static void produce(rig *r, unsigned from, unsigned to)
{
    char record[16];
    for (unsigned i = from; i < to; i++) {
        const int n = snprintf(record, sizeof record, "m %04u", i);
        if (mpp_try_produce(r->p, 0, record, (size_t)n) == MPP_OK && i % 4 == 3)
            mpp_flush(r->p);
    }
    mpp_flush(r->p);
}

static void check_order(const rig *r)
{
    for (unsigned j = 0; j < 2; j++) {
        const bytes *got = &r->got[j][0];
        must(got->n % 7 == 0, "%zu bytes", got->n);
        for (size_t i = 7; i < got->n; i += 7)
            must(memcmp(got->data + i - 7, got->data + i, 7) < 0, "%.6s before %.6s", got->data + i - 7, got->data + i);
    }
}

/* A producer that was asked by both of its consumers, and has given some; consumer 0's CANCEL of the other stream is on
 * its way. */
static void begin(rig *r, bool late)
{
    const mpp_mesh_options o = options();
    rig_open(r, &o, 2, false);
    rig_ask(r, 0);
    rig_ask(r, 1);
    produce(r, 0, RECORDS / 2);
    mpp_cancel(r->c[0], 1);
    if (late)
        mpp_end(r->p, 0);
}

/* Everybody goes on; a producer that is not done in so many rounds leaves. */
static void go_on(rig *r)
{
    mpp_outcome last[2] = {MPP_OK, MPP_OK};
    produce(r, RECORDS / 2, RECORDS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned s = 0; round == 2 && s < 2; s++)
            mpp_end(r->p, s);
        if (r->p)
            mpp_service(r->p);
        for (unsigned j = 0; j < 2; j++) {
            live_drain(r, j, 1);
            last[j] = live_drain(r, j, 0);
            mpp_wait(NULL, r->c[j], MPP_COMPUTING, NULL, 0, 1);
        }
        if (round == ROUNDS / 2)
            mpp_producer_detach(&r->p);
    }
    for (unsigned j = 0; j < 2; j++)
        must(last[j] == MPP_CLOSED || last[j] == MPP_GONE, "consumer %u waits for ever", j);
}

static void try_shared(const field *f, uint64_t v, bool late)
{
    rig r;
    mpp_error cause = {.status = MPP_S_DONE};
    begin(&r, late);
    void *at = f->at(&r);
    if (!same(v, field_get(at, f->width), f->width)) {
        memcpy(at, tap_low(&v, f->width), f->width);
        look(mpp_mesh_id(r.mesh));
        go_on(&r);
        check_order(&r);
        if (mpp_mesh_cause(r.mesh, &cause))
            must(*cause.text, "a failure is told");
        inputs++;
        tally.values++;
        tally.well += cause.status == MPP_S_DONE;
        tally.corrupt += cause.status == MPP_S_CORRUPT;
        tally.failed += cause.status != MPP_S_DONE && cause.status != MPP_S_CORRUPT;
    }
    live_close(&r);
}

static void try_all_shared(const field *f, bool late)
{
    rig r;
    uint64_t v;
    begin(&r, late);
    const uint64_t right = field_get(f->at(&r), f->width);
    live_close(&r);
    for (unsigned n = 0; value_of(n, right, &v); n++) {
        snprintf(last_words, sizeof last_words, "%s = %#llx", f->name, (unsigned long long)v);
        harness.step = last_words;
        try_shared(f, v, late);
    }
}

/* ---- all --------------------------------------------------------------------------------------------- */

static bool wanted(const char *name)
{
    tally = (struct tally){0};
    return !only || strcmp(only, name) == 0;
}

static void tell(const char *name)
{
    ok(tally.values > 0, "%s: of %u values %u do no harm, %u are corrupt, %u end the mesh otherwise", name,
       tally.values, tally.well, tally.corrupt, tally.failed);
}

static void try_fields(const field *fields, unsigned n, bool late)
{
    for (unsigned i = 0; i < n; i++)
        if (wanted(fields[i].name)) {
            try_all_shared(&fields[i], late);
            tell(fields[i].name);
        }
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    harness_begin(60);
    last_words_prepare();
    for (unsigned i = 0; i < sizeof written_once / sizeof *written_once; i++)
        if (wanted(written_once[i].name)) {
            try_written_once(i);
            tell(written_once[i].name);
        }
    try_fields(shared, sizeof shared / sizeof *shared, false);
    try_fields(at_the_end, sizeof at_the_end / sizeof *at_the_end, true);
    if (wanted("nothing")) {
        try_shared(&(field){"nothing", 4, nothing}, 1, false);
        ok(tally.well == 1, "and none without them");
    }
    ok(only || inputs >= 500, "%u malformed inputs", inputs);
    harness_end();
    return done_testing();
}
