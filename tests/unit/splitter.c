/* The splitter against a plain reading of the whole, whatever pieces the bytes come in. */
#include "record/splitter.h"
#include "harness.h"

enum { LONGEST = 300, ROUNDS = 3000 };

static const struct {
    const char *name;
    mpp_format format;
} formats[] = {
    {"lines", {MPP_DELIMITED, '\n', 0}},  {"records that end in NUL", {MPP_DELIMITED, 0, 0}},
    {"single bytes", {MPP_FIXED, 0, 1}},  {"7-byte records", {MPP_FIXED, 0, 7}},
    {"u32le records", {MPP_U32LE, 0, 0}}, {"u32be records", {MPP_U32BE, 0, 0}},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

/* ---- the reference: the first n bytes, one by one ---------------------------------------------------- */

typedef struct plain {
    uint64_t boundary; /* where the last whole record ends */
    uint64_t records;
    bool too_long; /* and the one that begins there is longer than max, as far as n bytes show */
} plain;

static uint64_t prefix_at(const mpp_format *f, const unsigned char *p)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 4; i++)
        v = v << 8 | p[f->kind == MPP_U32LE ? 3 - i : i];
    return v;
}

/* The record at p: its length with framing, 0: it goes on; *too_long: it is, or will be. */
static uint64_t plain_record(const mpp_format *f, uint64_t max, const unsigned char *p, uint64_t n, bool *too_long)
{
    *too_long = false;
    if (f->kind == MPP_DELIMITED) {
        for (uint64_t i = 0; i < n; i++) {
            if (p[i] == f->delimiter)
                return i + 1;
            *too_long |= i + 1 > max;
            if (*too_long)
                return 0;
        }
        return 0;
    }
    uint64_t body = f->size, head = 0;
    if (f->kind != MPP_FIXED) {
        if (n < 4)
            return 0;
        body = prefix_at(f, p);
        head = 4;
    }
    *too_long = body > max;
    return *too_long || head + body > n ? 0 : head + body;
}

static plain plain_scan(const mpp_format *f, uint64_t max, const unsigned char *p, uint64_t n)
{
    plain result = {0};
    uint64_t len;
    while ((len = plain_record(f, max, p + result.boundary, n - result.boundary, &result.too_long)) > 0) {
        result.boundary += len;
        result.records++;
    }
    return result;
}

/* ---- random streams in random pieces ---------------------------------------------------------------- */

static void add_record(bytes *b, const mpp_format *f, size_t n)
{
    unsigned char body[LONGEST + 1], prefix[4];
    for (unsigned i = 0; i < 4; i++)
        prefix[f->kind == MPP_U32LE ? i : 3 - i] = (unsigned char)(n >> 8 * i);
    for (size_t i = 0; i < n; i++)
        body[i] = (unsigned char)(1 + tap_random(9));
    if (f->kind == MPP_U32LE || f->kind == MPP_U32BE)
        bytes_add(b, prefix, 4);
    bytes_add(b, body, n);
    if (f->kind == MPP_DELIMITED)
        bytes_add(b, &f->delimiter, 1);
}

/* Records up to max bytes, with luck (bad luck: one of max + 1 or anything else), perhaps cut off. */
static bytes random_stream(const mpp_format *f, uint64_t max)
{
    bytes b = {0};
    for (unsigned n = (unsigned)tap_random(30); n > 0; n--) {
        size_t len = f->kind == MPP_FIXED ? f->size : (size_t)tap_random(max + 1);
        if (f->kind != MPP_FIXED && tap_random(10) == 0)
            len = (size_t)max;
        if (f->kind != MPP_FIXED && tap_random(60) == 0)
            len = (size_t)max + 1;
        add_record(&b, f, len);
    }
    if (b.n > 0 && tap_random(2))
        b.n -= tap_random(b.n < 10 ? b.n : 10);
    return b;
}

/* In pieces; false: something differs from the plain reading of what has come so far. */
static bool same(const mpp_format *f, uint64_t max, const bytes *b, bool count)
{
    splitter s = {.count = count};
    splitter_init(&s, f, max);
    uint64_t boundary = 0;
    for (size_t at = 0, n; at < b->n; at += n) {
        n = (size_t)tap_random(tap_random(2) ? 5 : 400);
        n = n < b->n - at ? n : b->n - at;
        size_t end = 99999;
        bool good = splitter_scan(&s, b->data + at, n, &end);
        plain p = plain_scan(f, max, b->data, at + n);
        if (end > n)
            return false;
        boundary = end ? at + end : boundary;
        if (good == p.too_long || boundary != p.boundary)
            return false;
        if (!good)
            return true;
        if (s.in_record != at + n - boundary || (count && s.records != p.records))
            return false;
    }
    return true;
}

static void test_format(unsigned format)
{
    const mpp_format *f = &formats[format].format;
    unsigned wrong = 0;
    for (unsigned round = 0; round < SCALED(ROUNDS, 10); round++) {
        uint64_t max = f->kind == MPP_FIXED ? f->size : tap_random(LONGEST);
        bytes b = random_stream(f, max);
        wrong += !same(f, max, &b, tap_random(2));
        bytes_free(&b);
    }
    ok(wrong == 0, "%s in random pieces are split as the whole would be", formats[format].name);
}

/* ---- limits ----------------------------------------------------------------------------------------- */

/* One record of n bytes, byte by byte: does it pass? */
static bool passes(const mpp_format *f, uint64_t max, size_t n)
{
    bytes b = {0};
    splitter s = {0};
    size_t end = 0;
    bool good = true;
    add_record(&b, f, n);
    splitter_init(&s, f, max);
    for (size_t i = 0; i < b.n && good; i++)
        good = splitter_scan(&s, b.data + i, 1, &end);
    bool ended = end == 1 && s.in_record == 0;
    bytes_free(&b);
    return good && ended;
}

static void test_limits(unsigned format)
{
    const mpp_format *f = &formats[format].format;
    if (f->kind == MPP_FIXED) {
        ok(passes(f, f->size, f->size) && !passes(f, f->size - 1, f->size), "%s: the size may be the limit, not more",
           formats[format].name);
        return;
    }
    ok(passes(f, 0, 0) && !passes(f, 0, 1), "%s: with a limit of 0 there are empty ones", formats[format].name);
    ok(passes(f, LONGEST, LONGEST), "%s: one of exactly the limit passes", formats[format].name);
    ok(!passes(f, LONGEST - 1, LONGEST), "%s: one byte more does not", formats[format].name);
}

static void test_largest_prefix(void)
{
    static const mpp_format le = {MPP_U32LE, 0, 0};
    splitter s = {0};
    size_t end;
    splitter_init(&s, &le, UINT64_C(1) << 40);
    ok(splitter_scan(&s, (const unsigned char *)"\xff\xff\xff\xff\1\2\3", 7, &end) && end == 0 && s.in_record == 7,
       "a prefix of 2^32 - 1 is a long record where that is allowed");
    splitter_init(&s, &le, UINT32_MAX - 1);
    ok(!splitter_scan(&s, (const unsigned char *)"\0\0\0\0\xff\xff\xff\xff\1\2\3", 11, &end) && end == 4,
       "and too long where it is not, after what stands before it");
}

static void test_again(void)
{
    splitter s = {.count = true};
    size_t end;
    splitter_init(&s, &formats[0].format, 10);
    splitter_scan(&s, (const unsigned char *)"a\nbb\nccc", 8, &end);
    ok(end == 5 && s.records == 2 && s.in_record == 3, "two lines and a part of one");
    splitter_init(&s, &formats[0].format, 10);
    ok(s.records == 0 && s.in_record == 0 && s.count, "begun again, it still counts");
    ok(splitter_scan(&s, (const unsigned char *)"", 0, &end) && end == 0, "no bytes are no record");
}

int main(void)
{
    tap_seed();
    watchdog(60, "the splitter");
    for (unsigned format = 0; format < N_FORMATS; format++)
        test_format(format);
    for (unsigned format = 0; format < N_FORMATS; format++)
        test_limits(format);
    test_largest_prefix();
    test_again();
    return done_testing();
}
