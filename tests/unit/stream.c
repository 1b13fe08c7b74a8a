/* Records through the public API: one thread holds the producer and the consumers of a mesh, and reads what it writes
 * through a ring smaller than the data. */
#include "ways.h"

/* All of the input goes through a gather; true: it came out the same, in whole records. */
static bool passes(const input *in, const struct way *way)
{
    rig r;
    mpp_stream_options stream = stream_of(&in->format);
    mpp_mesh_options o = rig_options(&stream, 1, 1);
    o.max_record = MAX_RECORD;
    rig_open(&r, &o, 1, false);
    bool through = rig_ask(&r, 0) && way->in(&r, 0, in) && rig_finish(&r, 0);
    bool same = bytes_equal(&r.got[0][0], &in->framed);
    if (!through || !same || r.torn)
        diag("%s: %s, %zu bytes in, %zu out, %u torn, cause: %s", way->name, through ? "through" : "stopped",
             in->framed.n, r.got[0][0].n, r.torn, harness_cause(r.mesh));
    bool good = through && same && !r.torn && r.starts[0] == 1 && r.stops[0] == 0;
    rig_close(&r);
    return good;
}

static void test_formats(void)
{
    harness.step = "records of every format in every way";
    for (unsigned f = 0; f < N_FORMATS; f++)
        for (unsigned w = 0; w < N_WAYS; w++) {
            input in = input_random(&formats[f].format, 1 << 20, ways[w].long_records ? MAX_RECORD : FRAME_MAX / 2);
            ok(passes(&in, &ways[w]), "%s by %s: what is read is what was written", formats[f].name, ways[w].name);
            input_free(&in);
        }
}

static void test_nothing(void)
{
    for (unsigned w = 0; w < N_WAYS; w++) {
        input in = {.format = formats[0].format};
        ok(passes(&in, &ways[w]), "no record at all by %s is a stream that ends", ways[w].name);
    }
}

/* ---- lengths ---------------------------------------------------------------------------------------- */

static const size_t lengths[] = {0,
                                 1,
                                 FRAME_MAX - 5,
                                 FRAME_MAX - 4,
                                 FRAME_MAX - 1,
                                 FRAME_MAX,
                                 FRAME_MAX + 1,
                                 RIG_RING - 16,
                                 RIG_RING - 9,
                                 RIG_RING - 8,
                                 RIG_RING - 4,
                                 RIG_RING,
                                 RIG_RING + 1,
                                 MAX_RECORD};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* Records of one length, alone and among short ones. */
static bool length_passes(const mpp_format *f, size_t length, const struct way *way)
{
    input in = {.format = *f};
    bool fixed = f->kind == MPP_FIXED;
    for (unsigned i = 0; i < 4; i++) {
        input_add_noise(&in, length);
        if (!fixed)
            input_add_noise(&in, i);
    }
    bool good = passes(&in, way);
    input_free(&in);
    return good;
}

static void test_length(size_t length)
{
    bool good = true;
    for (unsigned w = 0; w < N_WAYS; w++) {
        if (!ways[w].long_records && length + 4 > FRAME_MAX)
            continue;
        good &= length_passes(&(mpp_format){MPP_DELIMITED, '\n', 0}, length, &ways[w]);
        good &= length_passes(&(mpp_format){MPP_U32LE, 0, 0}, length, &ways[w]);
        if (length)
            good &= length_passes(&(mpp_format){MPP_FIXED, 0, (uint32_t)length}, length, &ways[w]);
    }
    ok(good, "records of %zu bytes go through a ring of %d, frames of at most %d, a limit of %d", length, RIG_RING,
       FRAME_MAX, MAX_RECORD);
}

static mpp_outcome feed_outcome(mpp_producer *p, const input *in, size_t *used)
{
    errno = 0;
    return mpp_feed(p, 0, in->framed.data, in->framed.n, used);
}

/* A record that is too long, behind one that is not. */
static void test_too_long(unsigned format, size_t length)
{
    rig r;
    size_t used;
    mpp_stream_options stream = stream_of(&formats[format].format);
    mpp_mesh_options o = rig_options(&stream, 1, 1);
    o.max_record = MAX_RECORD;
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    errno = 0;
    mpp_outcome outcome = mpp_try_produce(r.p, 0, noise, length);
    ok(outcome == MPP_ERROR && errno == EMSGSIZE, "%s: mpp_try_produce refuses %zu bytes", formats[format].name,
       length);
    if (length < sizeof noise) {
        input in = {.format = formats[format].format};
        input_add_noise(&in, 5);
        input_add_noise(&in, length);
        outcome = feed_outcome(r.p, &in, &used);
        ok(outcome == MPP_ERROR && errno == EMSGSIZE && used == in.at[1],
           "%s: mpp_feed takes what stands before a record of %zu bytes, and refuses that", formats[format].name,
           length);
        input_free(&in);
    }
    ok(rig_put(&r, 0, "short", 5) == MPP_OK && rig_finish(&r, 0), "%s: the stream goes on behind it",
       formats[format].name);
    rig_close(&r);
}

static void test_lengths(void)
{
    harness.step = "lengths";
    for (unsigned i = 0; i < N_LENGTHS; i++)
        test_length(lengths[i]);
    for (unsigned format = 0; format < N_FORMATS; format++)
        if (formats[format].format.kind != MPP_FIXED) {
            test_too_long(format, MAX_RECORD + 1);
            test_too_long(format, UINT32_C(1) << 31);
            test_too_long(format, UINT32_MAX);
        }
}

static void test_not_of_the_format(void)
{
    rig r;
    mpp_stream_options streams[] = {
        {.name = "lines", .format = formats[0].format},
        {.name = "fixed", .format = {MPP_FIXED, 0, FIXED_SIZE}},
    };
    mpp_mesh_options o = rig_options(streams, 2, 1);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    rig_ask(&r, 1);
    mpp_outcome outcome = mpp_try_produce(r.p, 0, "a\nb", 3);
    ok(outcome == MPP_ERROR && errno == EINVAL, "a record that holds its delimiter is refused");
    outcome = mpp_try_produce(r.p, 1, "123456", FIXED_SIZE - 1);
    ok(outcome == MPP_ERROR && errno == EINVAL, "a record of another size than its stream's is refused");
    outcome = mpp_reserve(r.p, 0, 0, mpp_frame_max(r.p) + 1, &(void *){NULL});
    ok(outcome == MPP_ERROR && errno == EMSGSIZE, "more than a frame cannot be reserved");
    rig_finish(&r, 0);
    rig_finish(&r, 1);
    ok(r.got[0][0].n == 0 && r.got[0][1].n == 0, "and none of these is delivered");
    rig_close(&r);
}

/* A record that was refused for want of room is the caller's: it may never be offered again. */
static void test_left_alone(size_t length)
{
    rig r;
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    while (mpp_try_produce(r.p, 0, noise, 1000) == MPP_OK)
        ;
    mpp_outcome outcome = mpp_try_produce(r.p, 0, noise, length);
    rig_turn(&r);
    size_t before = r.got[0][0].n;
    mpp_outcome next = rig_put(&r, 0, "instead", 7);
    rig_finish(&r, 0);
    ok(outcome == MPP_WOULD_BLOCK && next == MPP_OK && r.got[0][0].n == before + 8 &&
           memcmp(r.got[0][0].data + before, "instead\n", 8) == 0,
       "a record of %zu bytes for which there was no room can be given up", length);
    rig_close(&r);
}

/* ---- reserve and commit ------------------------------------------------------------------------------- */

/* Room is filled in one's own time: whatever happens before the commit, what was committed comes. */
static void test_reserved(const char *meanwhile, void (*act)(rig *r), size_t expected)
{
    rig r;
    void *room = NULL;
    mpp_mesh_options o = rig_options(NULL, 0, 2);
    rig_open(&r, &o, 2, false);
    rig_ask(&r, 0);
    mpp_try_produce(r.p, 0, "before", 6);
    mpp_outcome outcome = mpp_reserve(r.p, 0, 0, 100, &room);
    act(&r);
    if (outcome == MPP_OK)
        memcpy(room, "reserved\n", 9);
    mpp_commit(r.p, 0, 0, 9, 1);
    mpp_try_produce(r.p, 0, "after", 5);
    rig_finish(&r, 0);
    ok(outcome == MPP_OK && r.torn == 0 && r.got[0][0].n == expected, "%s between reserve and commit: %s (%zu bytes)",
       meanwhile, expected ? "the record comes" : "it is dropped", r.got[0][0].n);
    rig_close(&r);
}

static void act_flush(rig *r)
{
    mpp_flush(r->p);
}
static void act_wait(rig *r)
{
    mpp_wait(r->p, NULL, MPP_READING_INPUT, NULL, 0, 1);
    mpp_service(r->p);
}
static void act_other_consumer(rig *r)
{
    mpp_try_produce(r->p, 0, "to the other", 12);
    mpp_flush(r->p);
}
static void act_cancel(rig *r)
{
    mpp_cancel(r->c[0], 0);
    mpp_service(r->p);
}
static void act_cancel_all(rig *r)
{
    mpp_cancel(r->c[0], 0);
    mpp_cancel(r->c[1], 0);
    mpp_service(r->p);
}
static void act_nothing(rig *r)
{
    (void)r;
}

static void test_reserve(void)
{
    harness.step = "reserve and commit";
    test_reserved("nothing", act_nothing, 16);
    test_reserved("a flush", act_flush, 16);
    test_reserved("a wait and a look at the mail", act_wait, 16);
    test_reserved("a record to another consumer", act_other_consumer, 22);
    test_reserved("a cancel", act_cancel, 0);
    test_reserved("everybody's cancel", act_cancel_all, 0);
}

/* ---- mpp_fill and the ends of inputs ---------------------------------------------------------------- */

typedef struct filled {
    mpp_outcome filled, ended;
    mpp_error err;
    bytes out; /* of all consumers together */
} filled;

static filled fill_with(const mpp_format *f, const char *partition, unsigned consumers, const void *data, size_t n)
{
    rig r;
    filled result = {0};
    mpp_stream_options stream = stream_of(f);
    stream.partition = partition;
    mpp_mesh_options o = rig_options(&stream, 1, consumers);
    o.max_record = 10;
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    int fd = file_of(data, n);
    result.filled = fill(&r, 0, fd, &result.err);
    if (result.filled == MPP_OK)
        result.ended = fill_end(&r, 0, &result.err);
    rig_finish(&r, 0);
    for (unsigned j = 0; j < consumers; j++)
        bytes_add(&result.out, r.got[j][0].data, r.got[j][0].n);
    close(fd);
    rig_close(&r);
    return result;
}

/* Gathers are read in place, shuffles through a buffer: the same rules hold. */
static void test_input_ends(unsigned consumers)
{
    static const mpp_format le = {MPP_U32LE, 0, 0}, fixed = {MPP_FIXED, 0, 4};
    const char *partition = consumers > 1 ? "hash" : NULL;
    filled f = fill_with(&formats[0].format, partition, consumers, "a\nb", 3);
    ok(f.filled == MPP_OK && f.ended == MPP_OK && f.out.n == 4, "%u consumers: a last line without newline gets one",
       consumers);
    bytes_free(&f.out);
    f = fill_with(&formats[0].format, partition, consumers, "a\n\n", 3);
    ok(f.ended == MPP_OK && f.out.n == 3, "%u consumers: one that has its newline gets no other", consumers);
    bytes_free(&f.out);
    f = fill_with(&fixed, partition, consumers, "abcdefg", 7);
    ok(f.ended == MPP_ERROR && strstr(f.err.text, "3 bytes") && f.out.n == 4,
       "%u consumers: half a record of fixed size is an error after what came before it: %s", consumers, f.err.text);
    bytes_free(&f.out);
    f = fill_with(&le, partition, consumers, "\1\0\0\0x\3\0\0\0ab", 11);
    ok(f.ended == MPP_ERROR && strstr(f.err.text, "6 bytes") && f.out.n == 5,
       "%u consumers: half a prefixed record is an error after what came before it: %s", consumers, f.err.text);
    bytes_free(&f.out);
}

static void test_too_long_input(unsigned consumers, const mpp_format *f, const void *data, size_t n, size_t before)
{
    char want[40];
    snprintf(want, sizeof want, "at offset %zu ", before);
    filled got = fill_with(f, consumers > 1 ? "hash" : NULL, consumers, data, n);
    ok(got.filled == MPP_ERROR && strstr(got.err.text, want) && got.out.n == before,
       "%u consumers: %zu bytes before a record that is too long come, and its offset is told: %s", consumers, before,
       got.err.text);
    bytes_free(&got.out);
}

static void test_too_long_inputs(void)
{
    static const mpp_format le = {MPP_U32LE, 0, 0};
    for (unsigned consumers = 1; consumers <= RIG_CONSUMERS; consumers += RIG_CONSUMERS - 1) {
        test_too_long_input(consumers, &formats[0].format, "aaaaaaaaaaaaaaa\nb\nc\n", 20, 0);
        test_too_long_input(consumers, &formats[0].format, "a\nb\naaaaaaaaaaaaaaa\nb\nc\n", 24, 4);
        test_too_long_input(consumers, &formats[0].format, "a\nb\naaaaaaaaaaaaaaa", 19, 4);
        test_too_long_input(consumers, &le, "\20\0\0\0abcdefghijklmnop", 20, 0);
        test_too_long_input(consumers, &le, "\1\0\0\0a\20\0\0\0abcdefghijklmnop", 25, 5);
    }
}

/* Two inputs of one stream: each ends for itself. */
static void test_two_inputs(unsigned consumers)
{
    rig r;
    mpp_error err;
    mpp_mesh_options o = rig_options(NULL, 0, consumers);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    mpp_outcome worst = MPP_OK;
    for (unsigned i = 0; i < 2; i++) {
        int fd = file_of("one\ntwo", 7);
        worst |= fill(&r, 0, fd, &err) | fill_end(&r, 0, &err);
        close(fd);
    }
    rig_finish(&r, 0);
    size_t n = 0;
    for (unsigned j = 0; j < consumers; j++)
        n += r.got[j][0].n;
    ok(worst == MPP_OK && n == 16 && !r.torn, "%u consumers: of two inputs each gets its last newline", consumers);
    rig_close(&r);
}

static void test_slow_input(unsigned consumers)
{
    rig r;
    int fds[2];
    size_t n;
    mpp_error err;
    mpp_mesh_options o = rig_options(NULL, 0, consumers);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0 || write(fds[1], "one\ntw", 6) != 6)
        bail_out("pipe: %s", strerror(errno));
    mpp_outcome some = mpp_fill(r.p, 0, fds[0], 0, &n, &err);
    mpp_outcome none = mpp_fill(r.p, 0, fds[0], 0, &n, &err);
    bool again = none == MPP_ERROR && err.os_error == EAGAIN;
    for (unsigned j = 0; j < consumers; j++)
        rig_take(&r, j, 0, 1);
    ok(some == MPP_OK && again && r.got[0][0].n == 4,
       "%u consumers: an input that has nothing now publishes what it had", consumers);
    close(fds[0]);
    close(fds[1]);
    mpp_fill_end(r.p, 0, &err);
    rig_finish(&r, 0);
    rig_close(&r);
}

static void test_inputs(void)
{
    harness.step = "ends of inputs";
    for (unsigned consumers = 1; consumers <= RIG_CONSUMERS; consumers += RIG_CONSUMERS - 1) {
        test_input_ends(consumers);
        test_two_inputs(consumers);
        test_slow_input(consumers);
    }
    test_too_long_inputs();
}

/* ---- sleeping in one thread ------------------------------------------------------------------------- */

/* Both ends of a gather, and no deadline: when neither can go on, the wait must have been told already. */
static void test_one_thread_never_sleeps_for_ever(void)
{
    rig r;
    harness.step = "one thread that waits without a deadline";
    input in = input_random(&formats[0].format, SCALED(8 << 20, 4), MAX_RECORD);
    mpp_mesh_options o = rig_options(NULL, 0, 1);
    rig_open(&r, &o, 1, false);
    rig_ask(&r, 0);
    mpp_outcome outcome = MPP_OK;
    for (unsigned i = 0; i < in.n && outcome == MPP_OK; i++) {
        size_t n;
        const unsigned char *body = body_of(&in, i, &n);
        while ((outcome = mpp_try_produce(r.p, 0, body, n)) == MPP_WOULD_BLOCK)
            if (rig_take(&r, 0, 0, 1 + (unsigned)tap_random(5)) == MPP_WOULD_BLOCK)
                mpp_wait(r.p, r.c[0], MPP_COMPUTING, NULL, 0, 0);
    }
    mpp_end(r.p, 0);
    while (rig_take(&r, 0, 0, UINT32_MAX) == MPP_WOULD_BLOCK)
        mpp_wait(r.p, r.c[0], MPP_COMPUTING, NULL, 0, 0);
    ok(bytes_equal(&r.got[0][0], &in.framed), "one thread reads %zu bytes that it writes through a ring of %d",
       in.framed.n, RIG_RING);
    input_free(&in);
    rig_close(&r);
}

int main(void)
{
    tap_seed();
    make_noise();
    harness_begin(60);
    test_formats();
    test_nothing();
    test_lengths();
    test_not_of_the_format();
    test_left_alone(1000);
    test_left_alone(2 * FRAME_MAX);
    test_reserve();
    test_inputs();
    test_one_thread_never_sleeps_for_ever();
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
