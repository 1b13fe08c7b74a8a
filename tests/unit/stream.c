/* Records through the public API: one thread holds the producer and the consumers of a mesh, and reads what it writes
 * through a ring smaller than the data. */
#include "mesh.h"
#include "rig.h"

#include <sys/mman.h>
#include <xxhash.h>

enum { FRAME_MAX = RIG_RING / 4 - 8, MAX_RECORD = 200000, FIXED_SIZE = 7 };

/* ---- input: framed records and where each begins ---------------------------------------------------- */

typedef struct input {
    mpp_format format;
    bytes framed;
    size_t *at; /* n + 1 offsets */
    unsigned n, room;
} input;

static unsigned char noise[2 * MAX_RECORD]; /* no newline, no NUL */

static void make_noise(void)
{
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)(' ' + tap_random(200));
}

static size_t prefix_of(const mpp_format *f)
{
    return f->kind == MPP_U32LE || f->kind == MPP_U32BE ? 4 : 0;
}

static size_t suffix_of(const mpp_format *f)
{
    return f->kind == MPP_DELIMITED ? 1 : 0;
}

static void input_add(input *in, const void *body, size_t n)
{
    unsigned char prefix[4];
    for (unsigned i = 0; i < 4; i++)
        prefix[in->format.kind == MPP_U32LE ? i : 3 - i] = (unsigned char)(n >> 8 * i);
    if (in->n + 2 > in->room) {
        in->room = 2 * (in->n + 2);
        in->at = realloc(in->at, in->room * sizeof *in->at);
    }
    in->at[in->n++] = in->framed.n;
    bytes_add(&in->framed, prefix, prefix_of(&in->format));
    bytes_add(&in->framed, body, n);
    bytes_add(&in->framed, &in->format.delimiter, suffix_of(&in->format));
    in->at[in->n] = in->framed.n;
}

static void input_add_noise(input *in, size_t n)
{
    input_add(in, noise + tap_random(sizeof noise - n), n);
}

/* Mostly short ones, some longer than a frame, some longer than the ring. */
static input input_random(const mpp_format *f, size_t total, size_t longest)
{
    input in = {.format = *f};
    while (in.framed.n < total) {
        size_t most = tap_random(20) ? 100 : tap_random(2) ? longest / 8 : longest;
        input_add_noise(&in, f->kind == MPP_FIXED ? f->size : tap_random(most + 1));
    }
    return in;
}

static const unsigned char *body_of(const input *in, unsigned i, size_t *n)
{
    *n = in->at[i + 1] - in->at[i] - prefix_of(&in->format) - suffix_of(&in->format);
    return in->framed.data + in->at[i] + prefix_of(&in->format);
}

static void input_free(input *in)
{
    bytes_free(&in->framed);
    free(in->at);
}

/* ---- the ways in ------------------------------------------------------------------------------------ */

static bool by_try(rig *r, unsigned stream, const input *in)
{
    for (unsigned i = 0; i < in->n; i++) {
        size_t n;
        const unsigned char *body = body_of(in, i, &n);
        if (rig_put(r, stream, body, n) != MPP_OK)
            return false;
    }
    return true;
}

/* In pieces of any size: what is not taken of one is offered again with the next. */
static bool by_feed(rig *r, unsigned stream, const input *in)
{
    size_t at = 0, end = 0, used;
    for (unsigned stuck = 0; at < in->framed.n && stuck < RIG_PATIENCE; stuck++) {
        mpp_outcome outcome = mpp_feed(r->p, stream, in->framed.data + at, end - at, &used);
        at += used;
        stuck = used ? 0 : stuck;
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
        else if (outcome != MPP_OK)
            return false;
        else
            end += tap_random(tap_random(4) ? 2000 : 100000);
        end = end < in->framed.n ? end : in->framed.n;
    }
    return at == in->framed.n;
}

/* mpp_fill() to the end of fd, with a limit at times; MPP_OK then. */
static mpp_outcome fill(rig *r, unsigned stream, int fd, mpp_error *err)
{
    for (unsigned stuck = 0; stuck < RIG_PATIENCE; stuck++) {
        size_t n;
        mpp_outcome outcome = mpp_fill(r->p, stream, fd, tap_random(2) ? 0 : 1 + tap_random(5000), &n, err);
        if (outcome == MPP_OK && n == 0)
            return MPP_OK;
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
        else if (outcome != MPP_OK)
            return outcome;
        stuck = n ? 0 : stuck;
    }
    return MPP_WOULD_BLOCK;
}

static mpp_outcome fill_end(rig *r, unsigned stream, mpp_error *err)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < RIG_PATIENCE && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = mpp_fill_end(r->p, stream, err);
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
    }
    return outcome;
}

static int file_of(const void *data, size_t n)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) != 0)
        bail_out("memfd: %s", strerror(errno));
    return fd;
}

static bool by_file(rig *r, unsigned stream, const input *in)
{
    mpp_error err;
    int fd = file_of(in->framed.data, in->framed.n);
    bool filled = fill(r, stream, fd, &err) == MPP_OK && fill_end(r, stream, &err) == MPP_OK;
    close(fd);
    return filled;
}

/* Write some more into a pipe; at the end of the data close it. */
static void feed_pipe(int *fd, const input *in, size_t *at)
{
    size_t n = 1 + tap_random(tap_random(4) ? 3000 : 60000);
    n = n < in->framed.n - *at ? n : in->framed.n - *at;
    ssize_t put = n ? write(*fd, in->framed.data + *at, n) : 0;
    *at += put > 0 ? (size_t)put : 0;
    if (*at == in->framed.n) {
        close(*fd);
        *fd = -1;
    }
}

static bool by_pipe(rig *r, unsigned stream, const input *in)
{
    int fds[2];
    size_t at = 0;
    mpp_error err;
    mpp_outcome outcome;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        bail_out("pipe: %s", strerror(errno));
    while ((outcome = fill(r, stream, fds[0], &err)) == MPP_ERROR && err.os_error == EAGAIN && fds[1] >= 0)
        feed_pipe(&fds[1], in, &at);
    bool filled = outcome == MPP_OK && fill_end(r, stream, &err) == MPP_OK;
    close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    return filled;
}

static mpp_outcome reserve(rig *r, unsigned stream, size_t n, void **room)
{
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (unsigned tries = 0; tries < RIG_PATIENCE && outcome == MPP_WOULD_BLOCK; tries++) {
        outcome = mpp_reserve(r->p, stream, 0, n, room);
        if (outcome == MPP_WOULD_BLOCK)
            rig_turn(r);
    }
    return outcome;
}

/* Frames of as many whole records as a random size takes; sometimes more is reserved than used. */
static bool by_reserve(rig *r, unsigned stream, const input *in)
{
    for (unsigned i = 0; i < in->n;) {
        void *room;
        unsigned first = i++;
        size_t most = tap_random(FRAME_MAX);
        while (i < in->n && in->at[i + 1] - in->at[first] <= most)
            i++;
        size_t n = in->at[i] - in->at[first], spare = tap_random(FRAME_MAX - n + 1);
        if (reserve(r, stream, n + spare, &room) != MPP_OK)
            return false;
        memcpy(room, in->framed.data + in->at[first], n);
        mpp_commit(r->p, stream, 0, n, i - first);
    }
    return true;
}

static const struct way {
    const char *name;
    bool (*in)(rig *r, unsigned stream, const input *in);
    bool long_records;
} ways[] = {
    {"mpp_try_produce", by_try, true},     {"mpp_feed", by_feed, true},        {"mpp_fill of a file", by_file, true},
    {"mpp_fill of a pipe", by_pipe, true}, {"mpp_reserve", by_reserve, false},
};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* ---- formats ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    mpp_format format;
} formats[] = {
    {"lines", {MPP_DELIMITED, '\n', 0}},
    {"NUL-terminated records", {MPP_DELIMITED, '\0', 0}},
    {"7-byte records", {MPP_FIXED, 0, FIXED_SIZE}},
    {"u32le records", {MPP_U32LE, 0, 0}},
    {"u32be records", {MPP_U32BE, 0, 0}},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static mpp_stream_options stream_of(const mpp_format *f)
{
    return (mpp_stream_options){.name = "0", .format = *f, .separator = '\t'};
}

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

/* ---- partitions: three consumers in the same thread ------------------------------------------------- */

static unsigned by_hash(const char *body, size_t n, unsigned i)
{
    (void)i;
    const char *tab = memchr(body, '\t', n);
    return (unsigned)(XXH3_64bits(body, tab ? (size_t)(tab - body) : n) % RIG_CONSUMERS);
}

static unsigned by_range(const char *body, size_t n, unsigned i)
{
    (void)i;
    const char *tab = memchr(body, '\t', n);
    char text[64] = {0};
    memcpy(text, body, tab ? (size_t)(tab - body) : n);
    return strcmp(text, "k3") < 0 ? 0 : strcmp(text, "k60") < 0 ? 1 : 2;
}

static unsigned by_turns(const char *body, size_t n, unsigned i)
{
    (void)body;
    (void)n;
    return i % RIG_CONSUMERS;
}

static unsigned to_all(const char *body, size_t n, unsigned i)
{
    (void)body;
    (void)n;
    (void)i;
    return RIG_CONSUMERS;
}

static const struct {
    const char *name, *key, *partition;
    unsigned (*target)(const char *body, size_t n, unsigned i); /* RIG_CONSUMERS: everybody */
} partitions[] = {
    {"hash", "1", NULL, by_hash},
    {"range", "1", "range:k3,k60", by_range},
    {"round robin", NULL, NULL, by_turns},
    {"broadcast", NULL, "broadcast", to_all},
};
enum { N_PARTITIONS = sizeof partitions / sizeof *partitions };

/* "k17\t..." with a value longer than a frame at times. */
static input keyed_input(size_t total)
{
    static char record[MAX_RECORD];
    input in = {.format = formats[0].format};
    while (in.framed.n < total) {
        size_t value = tap_random(50) ? tap_random(60) : tap_random(2 * FRAME_MAX);
        int n = snprintf(record, 64, "k%u\t", (unsigned)tap_random(100));
        memset(record + n, 'a' + (int)tap_random(26), value);
        input_add(&in, record, (size_t)n + value);
    }
    return in;
}

static void expect(bytes expected[RIG_CONSUMERS], const input *in, unsigned partition)
{
    for (unsigned i = 0; i < in->n; i++) {
        size_t n;
        const unsigned char *body = body_of(in, i, &n);
        unsigned target = partitions[partition].target((const char *)body, n, i);
        for (unsigned j = 0; j < RIG_CONSUMERS; j++)
            if (target == j || target == RIG_CONSUMERS)
                bytes_add(&expected[j], in->framed.data + in->at[i], in->at[i + 1] - in->at[i]);
    }
}

static void test_partition(unsigned partition, const struct way *way)
{
    rig r;
    bytes expected[RIG_CONSUMERS] = {0};
    input in = keyed_input(1 << 20);
    expect(expected, &in, partition);
    mpp_stream_options stream = stream_of(&in.format);
    stream.key = partitions[partition].key;
    stream.partition = partitions[partition].partition;
    mpp_mesh_options o = rig_options(&stream, 1, RIG_CONSUMERS);
    rig_open(&r, &o, 1, false);
    bool good = rig_ask(&r, 0) && way->in(&r, 0, &in) && rig_finish(&r, 0) && !r.torn;
    for (unsigned j = 0; j < RIG_CONSUMERS; j++) {
        good &= bytes_equal(&r.got[j][0], &expected[j]);
        bytes_free(&expected[j]);
    }
    ok(good && r.starts[0] == 1, "%s by %s: each of three consumers gets what is its own, in order",
       partitions[partition].name, way->name);
    input_free(&in);
    rig_close(&r);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of some buffers, sorted. */
static bytes sorted_lines(const bytes *parts, unsigned n_parts)
{
    bytes all = {0}, sorted = {0}, pointers = {0};
    for (unsigned i = 0; i < n_parts; i++)
        bytes_add(&all, parts[i].data, parts[i].n);
    bytes_add(&all, "", 1);
    for (char *line = strtok((char *)all.data, "\n"); line; line = strtok(NULL, "\n"))
        bytes_add(&pointers, &line, sizeof line);
    char **lines = (char **)(void *)pointers.data;
    size_t n = pointers.n / sizeof *lines;
    if (n)
        qsort(lines, n, sizeof *lines, by_text);
    for (size_t i = 0; i < n; i++)
        bytes_add(&sorted, lines[i], strlen(lines[i]) + 1);
    bytes_free(&pointers);
    bytes_free(&all);
    return sorted;
}

/* `any`: what all get together is what was written; one that asks late gets nothing before it asks. */
static void test_any(bool all_ask)
{
    rig r;
    input in = keyed_input(1 << 20);
    mpp_stream_options stream = stream_of(&in.format);
    stream.partition = "any";
    mpp_mesh_options o = rig_options(&stream, 1, RIG_CONSUMERS);
    rig_open(&r, &o, 1, false);
    bool good = true;
    for (unsigned j = 0; j < (all_ask ? RIG_CONSUMERS : 2); j++)
        good &= mpp_start(r.c[j], 0) == MPP_OK;
    good &= mpp_service(r.p) == MPP_OK && by_feed(&r, 0, &in);
    good &= all_ask || (mpp_start(r.c[2], 0) == MPP_OK && mpp_service(r.p) == MPP_OK);
    good &= rig_finish(&r, 0) && !r.torn;
    bytes out[RIG_CONSUMERS] = {r.got[0][0], r.got[1][0], r.got[2][0]};
    bytes left = sorted_lines(&in.framed, 1), right = sorted_lines(out, RIG_CONSUMERS);
    ok(good && bytes_equal(&left, &right) && (all_ask || r.got[2][0].n == 0),
       all_ask ? "any: three consumers get everything, once" : "any: a consumer that has not asked gets nothing");
    bytes_free(&left);
    bytes_free(&right);
    input_free(&in);
    rig_close(&r);
}

static void test_any_sleeps(void)
{
    rig r;
    mpp_stream_options stream = stream_of(&formats[0].format);
    stream.partition = "any";
    mpp_mesh_options o = rig_options(&stream, 1, 2);
    rig_open(&r, &o, 1, false);
    mpp_start(r.c[0], 0);
    mpp_service(r.p);
    while (mpp_try_produce(r.p, 0, noise, 1000) == MPP_OK)
        ;
    mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    mpp_outcome outcome = mpp_try_produce(r.p, 0, noise, 1000);
    int woken = mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + 50000000);
    ok(outcome == MPP_WOULD_BLOCK && woken == 0,
       "any: with one ring full and the other not asked for, the producer sleeps");
    rig_close(&r);
}

static void test_partitions(void)
{
    harness.step = "partitions";
    for (unsigned partition = 0; partition < N_PARTITIONS; partition++)
        for (unsigned w = 0; w < N_WAYS; w++)
            if (ways[w].long_records)
                test_partition(partition, &ways[w]);
    test_any(true);
    test_any(false);
    test_any_sleeps();
}

/* Five streams in one, two or five lanes, each record of a random stream; all are read. */
static void test_lanes(unsigned lanes)
{
    rig r;
    input in[RIG_STREAMS];
    mpp_stream_options streams[RIG_STREAMS];
    static const char *const names[RIG_STREAMS] = {"a", "b", "c", "d", "e"};
    for (unsigned s = 0; s < RIG_STREAMS; s++) {
        in[s] = input_random(&formats[s].format, 200000, MAX_RECORD);
        streams[s] = (mpp_stream_options){.name = names[s], .format = in[s].format};
    }
    mpp_mesh_options o = rig_options(streams, RIG_STREAMS, 1);
    o.lanes = lanes;
    rig_open(&r, &o, 1, false);
    bool good = true;
    for (unsigned s = 0; s < RIG_STREAMS; s++)
        good &= rig_ask(&r, s);
    unsigned done[RIG_STREAMS] = {0};
    for (unsigned left = RIG_STREAMS; left && good;) {
        unsigned s = (unsigned)tap_random(RIG_STREAMS);
        size_t n;
        if (done[s] == in[s].n)
            continue;
        const unsigned char *body = body_of(&in[s], done[s]++, &n);
        good &= rig_put(&r, s, body, n) == MPP_OK;
        left -= done[s] == in[s].n;
    }
    for (unsigned s = 0; s < RIG_STREAMS; s++) {
        good &= rig_finish(&r, s) && bytes_equal(&r.got[0][s], &in[s].framed);
        input_free(&in[s]);
    }
    ok(good && !r.torn, "five streams in %u lanes are each read whole and in order", lanes);
    rig_close(&r);
}

/* ---- shared lanes: what one stream's reader must not have to wait for ------------------------------- */

static const mpp_stream_options two_streams[] = {
    {.name = "a", .format = {MPP_DELIMITED, '\n', 0}},
    {.name = "b", .format = {MPP_DELIMITED, '\n', 0}},
};

static void two_in_a_lane(rig *r)
{
    mpp_mesh_options o = rig_options(two_streams, 2, 1);
    o.lanes = 1;
    rig_open(r, &o, 1, false);
    rig_ask(r, 0);
    rig_ask(r, 1);
}

static void test_end_before_a_lane_mate(void)
{
    rig r;
    two_in_a_lane(&r);
    mpp_try_produce(r.p, 0, "of a", 4);
    mpp_end(r.p, 0);
    mpp_try_produce(r.p, 1, "of b", 4);
    mpp_flush(r.p);
    rig_take(&r, 0, 0, 1);
    ok(rig_take(&r, 0, 0, 1) == MPP_CLOSED, "a stream's end is seen although a lane mate's frame follows it");
    rig_finish(&r, 1);
    rig_close(&r);
}

/* Stream a's long record has been put together by the wait when b's frame is handed out. */
static void test_batch_beside_a_lane_mate(void)
{
    rig r;
    mpp_batch a, b, none;
    two_in_a_lane(&r);
    mpp_try_produce(r.p, 0, noise, 2 * FRAME_MAX);
    mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &a);
    mpp_release(r.c[0], &a);
    rig_take(&r, 0, 0, 1);
    mpp_try_produce(r.p, 0, noise, 2 * FRAME_MAX);
    mpp_try_produce(r.p, 1, "of b", 4);
    mpp_wait(r.p, r.c[0], MPP_COMPUTING, NULL, 0, 1);
    bool got_b = mpp_next(r.c[0], 1, MPP_PRODUCER_ANY, &b) == MPP_OK;
    bool got_a = mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &a) == MPP_OK;
    if (got_b)
        mpp_release(r.c[0], &b);
    if (got_a)
        mpp_release(r.c[0], &a);
    bool again = mpp_next(r.c[0], 1, MPP_PRODUCER_ANY, &none) == MPP_OK;
    ok(got_a && got_b && !again, "a batch is handed out once although a lane mate's is taken and released beside it");
    if (again)
        mpp_release(r.c[0], &none);
    rig_finish(&r, 0);
    rig_finish(&r, 1);
    rig_close(&r);
}

/* A long record of a is in our hands when its run is cancelled and the next one asked for; then b's frame is, too. */
static void test_release_after_the_next_start(void)
{
    rig r;
    mpp_batch a, b;
    mpp_mesh_options o = rig_options(two_streams, 2, 1);
    o.lanes = 1;
    rig_open(&r, &o, 2, false);
    rig_ask(&r, 0);
    rig_ask(&r, 1);
    mpp_try_produce(r.p, 0, noise, 2 * FRAME_MAX);
    bool got_a = mpp_next(r.c[0], 0, MPP_PRODUCER_ANY, &a) == MPP_OK;
    mpp_cancel(r.c[0], 0);
    mpp_service(r.p);
    bool asked = mpp_start(r.c[0], 0) == MPP_OK;
    mpp_try_produce(r.p, 1, "of b", 4);
    mpp_flush(r.p);
    mpp_wait(NULL, r.c[0], MPP_COMPUTING, NULL, 0, 1);
    uint64_t before = mesh_channel(r.mesh, 0, 0, 0)->read;
    bool got_b = mpp_next(r.c[0], 1, MPP_PRODUCER_ANY, &b) == MPP_OK;
    if (got_a)
        mpp_release(r.c[0], &a);
    mpp_wait(NULL, r.c[0], MPP_COMPUTING, NULL, 0, 1);
    uint64_t after = mesh_channel(r.mesh, 0, 0, 0)->read;
    ok(got_a && got_b && asked && before == after,
       "releasing a batch of a run that is over releases no lane mate's (read position %llu, then %llu)",
       (unsigned long long)before, (unsigned long long)after);
    if (got_b)
        mpp_release(r.c[0], &b);
    mpp_service(r.p);
    rig_finish(&r, 0);
    rig_finish(&r, 1);
    rig_close(&r);
}

static void test_shared_lanes(void)
{
    harness.step = "lanes";
    test_lanes(1);
    test_lanes(2);
    test_lanes(RIG_STREAMS);
    test_end_before_a_lane_mate();
    test_batch_beside_a_lane_mate();
    test_release_after_the_next_start();
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
    test_inputs();
    test_one_thread_never_sleeps_for_ever();
    test_partitions();
    test_shared_lanes();
    ok(rig_leftovers == 0, "every mesh goes with its last participant");
    harness_end();
    return done_testing();
}
