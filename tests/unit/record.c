/* Tests of lib/record.c.  Data stands at the end of a page that is followed by one that cannot be read, so that
 * a byte read too many is a crash in any build. */
#include "record/record.h"
#include "tap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOM = 64 * 1024 };

static const mpp_format LINES = {.kind = MPP_DELIMITED, .delimiter = '\n'};
static const mpp_format ZERO = {.kind = MPP_DELIMITED, .delimiter = '\0'};
static const mpp_format HIGH = {.kind = MPP_DELIMITED, .delimiter = 0xff};
static const mpp_format FIXED = {.kind = MPP_FIXED, .size = 7};
static const mpp_format BYTE = {.kind = MPP_FIXED, .size = 1};
static const mpp_format LE = {.kind = MPP_U32LE};
static const mpp_format BE = {.kind = MPP_U32BE};

static const struct {
    const char *name;
    const mpp_format *f;
} FORMATS[] = {
    {"lines", &LINES},          {"NUL-terminated records", &ZERO}, {"records that end in 0xff", &HIGH},
    {"7-byte records", &FIXED}, {"single bytes", &BYTE},           {"u32le records", &LE},
    {"u32be records", &BE},
};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

static unsigned char *guarded_end; /* the first byte that cannot be read */

static void guard(void)
{
    unsigned char *m = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED || mprotect(m + ROOM, ROOM, PROT_NONE) != 0) {
        perror("mmap");
        exit(1);
    }
    guarded_end = m + ROOM;
}

/* A copy of the data that ends where reading ends. */
static const unsigned char *place(const void *data, size_t n)
{
    return n == 0 ? guarded_end : memcpy(guarded_end - n, data, n);
}

static mpp_outcome next(const mpp_format *f, uint64_t max, const void *data, size_t n, size_t *len)
{
    return mpp_record_next(f, max, place(data, n), n, len);
}

static size_t put_prefix(const mpp_format *f, unsigned char *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        to[f->kind == MPP_U32LE ? i : 3 - i] = (unsigned char)(v >> 8 * i);
    return 4;
}

/* ---- the reference: one byte at a time, in the order of the definition ---------------------------- */

static uint64_t ref_prefix(const mpp_format *f, const unsigned char *p)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 4; i++)
        v = v * 256 + p[f->kind == MPP_U32LE ? 3 - i : i];
    return v;
}

static mpp_outcome ref_next(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n, size_t *len)
{
    uint64_t head = 0, body = 0;
    *len = 0;
    if (f->kind == MPP_DELIMITED) {
        for (size_t i = 0; i < n; i++) {
            if (i > max)
                return MPP_ERROR;
            if (p[i] == f->delimiter) {
                *len = i + 1;
                return MPP_OK;
            }
        }
        return n > max ? MPP_ERROR : MPP_WOULD_BLOCK;
    }
    if (f->kind == MPP_FIXED) {
        body = f->size;
    } else {
        if (n < 4)
            return MPP_WOULD_BLOCK;
        head = 4;
        body = ref_prefix(f, p);
    }
    if (body > max)
        return MPP_ERROR;
    *len = head + body;
    return *len > n ? MPP_WOULD_BLOCK : MPP_OK;
}

static size_t ref_last(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n, uint64_t *count)
{
    size_t at = 0, len;
    *count = 0;
    while (at < n && ref_next(f, max, p + at, n - at, &len) == MPP_OK) {
        at += len;
        ++*count;
    }
    return at;
}

/* ---- one record ----------------------------------------------------------------------------------- */

static void test_delimited_limits(void)
{
    enum { MAX = 100 };
    unsigned char data[MAX + 3];
    size_t len;
    memset(data, 'x', sizeof data);
    ok(next(&LINES, MAX, data, 0, &len) == MPP_WOULD_BLOCK && len == 0, "no data is no line yet");
    ok(next(&LINES, MAX, "\n", 1, &len) == MPP_OK && len == 1, "a delimiter alone is an empty line");
    ok(next(&LINES, MAX, "x\n", 2, &len) == MPP_OK && len == 2, "one byte and its delimiter are a line");
    ok(next(&LINES, MAX, "a\nb\n", 4, &len) == MPP_OK && len == 2, "a line ends at the first delimiter");
    for (size_t body = MAX - 1; body <= MAX + 1; body++) {
        ok(next(&LINES, MAX, data, body, &len) == (body <= MAX ? MPP_WOULD_BLOCK : MPP_ERROR) && len == 0,
           "of at most %d bytes, %zu without a delimiter %s", MAX, body, body <= MAX ? "may go on" : "are too many");
        data[body] = '\n';
        bool fits = body <= MAX;
        ok(next(&LINES, MAX, data, body + 1, &len) == (fits ? MPP_OK : MPP_ERROR) && len == (fits ? body + 1 : 0),
           "of at most %d bytes, a line of %zu is %s", MAX, body, fits ? "whole" : "refused");
        data[body] = 'x';
    }
    ok(next(&LINES, 0, "\n", 1, &len) == MPP_OK, "a limit of 0 allows an empty line");
    ok(next(&LINES, 0, "x\n", 2, &len) == MPP_ERROR, "a limit of 0 allows no byte");
    ok(next(&LINES, UINT64_MAX, "x\n", 2, &len) == MPP_OK && len == 2, "a limit of 2^64-1 does not wrap around");
}

static void test_fixed_limits(void)
{
    size_t len;
    ok(next(&FIXED, 100, "1234567", 7, &len) == MPP_OK && len == 7, "7 bytes are a record of 7");
    ok(next(&FIXED, 100, "123456", 6, &len) == MPP_WOULD_BLOCK && len == 7, "6 bytes say that a record will have 7");
    ok(next(&FIXED, 7, "1234567", 7, &len) == MPP_OK, "a record of 7 bytes is within a limit of 7");
    ok(next(&FIXED, 6, "1234567", 7, &len) == MPP_ERROR && len == 0, "a record of 7 bytes is beyond a limit of 6");
    mpp_format largest = {.kind = MPP_FIXED, .size = UINT32_MAX};
    ok(next(&largest, UINT64_MAX, "x", 1, &len) == MPP_WOULD_BLOCK && len == UINT32_MAX,
       "a record can be of 2^32-1 bytes");
    mpp_format none = {.kind = MPP_FIXED, .size = 0};
    ok(next(&none, 100, "x", 1, &len) == MPP_ERROR && mpp_record_count(&none, "x", 1) == 0 &&
           record_last(&none, 100, "x", 1) == 0,
       "a size of 0 is refused, not divided by");
}

/* The prefix alone is there: what it says decides. */
static void prefix_alone(const mpp_format *f, const char *name, uint64_t max, uint32_t v)
{
    unsigned char data[4];
    size_t len, n = put_prefix(f, data, v);
    uint64_t count;
    mpp_outcome want = v > max ? MPP_ERROR : v == 0 ? MPP_OK : MPP_WOULD_BLOCK;
    size_t want_len = v > max ? 0 : (size_t)v + 4;
    ok(next(f, max, data, n, &len) == want && len == want_len, "%s with a limit of %llu: a prefix of %u is %s", name,
       (unsigned long long)max, v,
       want == MPP_ERROR ? "too long"
       : want == MPP_OK  ? "whole"
                         : "not whole yet");
    size_t whole = ref_last(f, max, data, n, &count);
    ok(record_last(f, max, place(data, n), n) == whole && mpp_record_count(f, place(data, n), n) == (v == 0),
       "%s with a limit of %llu: a prefix of %u alone is %s", name, (unsigned long long)max, v,
       whole == 0 ? "no record" : "an empty record");
}

static void test_prefix_limits(const mpp_format *f, const char *name)
{
    enum { MAX = 64 << 20 };
    static const uint32_t LENGTHS[] = {
        0, 1, MAX - 1, MAX, MAX + 1, 1u << 31, (1u << 31) - 1, UINT32_MAX - 4, UINT32_MAX - 3, UINT32_MAX};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
        prefix_alone(f, name, MAX, LENGTHS[i]);
        prefix_alone(f, name, UINT64_MAX, LENGTHS[i]);
    }
    unsigned char data[16];
    size_t len, n = put_prefix(f, data, 3);
    memcpy(data + n, "abcd", 4);
    for (size_t have = 0; have < 4; have++)
        ok(next(f, MAX, data, have, &len) == MPP_WOULD_BLOCK && len == 0, "%s: %zu bytes are no prefix yet", name,
           have);
    ok(next(f, MAX, data, 6, &len) == MPP_WOULD_BLOCK && len == 7, "%s: a prefix tells the record's length", name);
    ok(next(f, MAX, data, 7, &len) == MPP_OK && len == 7, "%s: a record ends where its prefix says", name);
    ok(next(f, MAX, data, 8, &len) == MPP_OK && len == 7, "%s: what follows a record is not of it", name);
}

static void test_prefix_order(void)
{
    size_t len;
    ok(next(&LE, 1 << 20, "\4\3\2\0", 4, &len) == MPP_WOULD_BLOCK && len == 0x020304 + 4,
       "u32le has its lowest byte first");
    ok(next(&BE, 1 << 20, "\0\2\3\4", 4, &len) == MPP_WOULD_BLOCK && len == 0x020304 + 4,
       "u32be has its highest byte first");
}

static void test_last_stops_at_too_long(const mpp_format *f, const char *name)
{
    unsigned char data[64];
    size_t n = put_prefix(f, data, 2) + 2;
    size_t good = n;
    n += put_prefix(f, data + n, 9) + 9;
    n += put_prefix(f, data + n, 1) + 1;
    ok(record_last(f, 9, place(data, n), n) == n, "%s: the walk goes to the end when no record is too long", name);
    ok(record_last(f, 8, place(data, n), n) == good, "%s: the walk stops before a record that is too long", name);
}

/* ---- framing -------------------------------------------------------------------------------------- */

static void test_framing(const mpp_format *f, const char *name)
{
    unsigned char record[16];
    const unsigned char *body;
    size_t len, n, size = f->kind == MPP_FIXED ? f->size : 5;
    memset(record, '#', sizeof record);
    memcpy(record + record_head(f), "hello, w", size);
    record_frame(f, record, size);
    size_t whole = record_head(f) + size + record_tail(f);
    ok(next(f, 100, record, whole, &len) == MPP_OK && len == whole, "%s: what was framed is a whole record", name);
    ok(record[whole] == '#', "%s: framing writes nothing behind the record", name);
    record_body(f, record, whole, &body, &n);
    ok(n == size && body == record + record_head(f) && memcmp(body, "hello, w", n) == 0,
       "%s: a record's body is what was framed", name);
    record_body(f, record, 0, &body, &n);
    ok(n == 0 && body == record, "%s: no bytes have an empty body", name);
}

static void test_check(void)
{
    ok(record_check(&LINES, 5, "hello", 5) == 0, "a line may be as long as the limit");
    ok(record_check(&LINES, 4, "hello", 5) == EMSGSIZE, "a line may not be longer than the limit");
    ok(record_check(&LINES, 5, "he\nlo", 5) == EINVAL, "a line may not hold its delimiter");
    ok(record_check(&LINES, 5, NULL, 0) == 0, "a line may be empty");
    ok(record_check(&ZERO, 5, "he\nlo", 5) == 0, "a NUL-terminated record may hold a newline");
    ok(record_check(&FIXED, 7, "1234567", 7) == 0, "7 bytes may be a record of 7");
    ok(record_check(&FIXED, 7, "123456", 6) == EINVAL, "6 bytes may not be a record of 7");
    ok(record_check(&FIXED, 6, "1234567", 7) == EMSGSIZE, "nor 7 within a limit of 6");
    ok(record_check(&LE, 7, NULL, 0) == 0, "a prefixed record may be empty");
    ok(record_check(&LE, 5, "hello", 5) == 0, "a prefixed record may be as long as the limit");
    ok(record_check(&LE, 4, "hello", 5) == EMSGSIZE, "a prefixed record may not be longer than the limit");
    ok(record_check(&BE, UINT64_MAX, "", UINT32_MAX) == 0, "a prefixed record may have 2^32-1 bytes");
    ok(record_check(&BE, UINT64_MAX, "", (size_t)UINT32_MAX + 1) == EMSGSIZE,
       "a prefixed record may not have 2^32 bytes, whatever the limit");
}

static void test_valid(void)
{
    for (unsigned i = 0; i < N_FORMATS; i++)
        ok(record_format_valid(FORMATS[i].f), "%s are a valid format", FORMATS[i].name);
    mpp_format none = {.kind = MPP_FIXED, .size = 0}, beyond = {.kind = MPP_U32BE + 1, .size = 1};
    mpp_format negative = {.kind = (mpp_format_kind)-1, .size = 1};
    size_t len;
    ok(!record_format_valid(&none), "records of 0 bytes are not");
    ok(!record_format_valid(&beyond) && !record_format_valid(&negative), "an unknown kind is not");
    ok(mpp_record_next(&beyond, 1, "x", 1, &len) == MPP_ERROR, "and has no records");
}

/* ---- against the reference ------------------------------------------------------------------------ */

/* Bytes that are mostly whole records, of the sizes that matter to the format, and then something. */
static size_t make_data(const mpp_format *f, unsigned char *data, size_t room)
{
    size_t n = 0, want = tap_random(tap_random(4) == 0 ? room : 200);
    while (n < want) {
        size_t body = f->kind == MPP_FIXED ? f->size : tap_random(tap_random(8) == 0 ? 1000 : 12);
        if (room - n < body + 5)
            break;
        if (f->kind == MPP_U32LE || f->kind == MPP_U32BE)
            put_prefix(f, data + n, tap_random(64) == 0 ? (uint32_t)tap_random(1ull << 32) : (uint32_t)body);
        n += record_head(f);
        for (size_t i = 0; i < body; i++)
            data[n++] = (unsigned char)(tap_random(4) == 0 ? tap_random(256) : 'a');
        if (f->kind == MPP_DELIMITED)
            data[n++] = f->delimiter;
    }
    return n - tap_random(n < 8 ? n + 1 : 8);
}

static bool agrees(const mpp_format *f, const unsigned char *data, size_t n)
{
    static const uint64_t LIMITS[] = {0, 1, 6, 7, 11, 999, ROOM, UINT32_MAX, UINT64_MAX};
    uint64_t max = LIMITS[tap_random(sizeof LIMITS / sizeof *LIMITS)], count;
    size_t from = n == 0 ? 0 : tap_random(n), len, ref_len;
    const unsigned char *p = place(data, n);
    mpp_outcome outcome = mpp_record_next(f, max, p + from, n - from, &len);
    mpp_outcome ref = ref_next(f, max, p + from, n - from, &ref_len);
    if (outcome != ref || len != ref_len)
        return diag("next at %zu of %zu, limit %llu: %d %zu, not %d %zu", from, n, (unsigned long long)max,
                    (int)outcome, len, (int)ref, ref_len),
               false;
    size_t last = ref_last(f, f->kind == MPP_U32LE || f->kind == MPP_U32BE ? max : UINT64_MAX, p, n, &count);
    if (record_last(f, max, p, n) != last)
        return diag("last of %zu, limit %llu: not %zu", n, (unsigned long long)max, last), false;
    if (mpp_record_count(f, p, last) != count)
        return diag("count of %zu: not %llu", last, (unsigned long long)count), false;
    return true;
}

static void test_against_reference(const mpp_format *f, const char *name)
{
    enum { ROUNDS = 2000 };
    static unsigned char data[ROOM];
    unsigned bad = 0;
    for (unsigned i = 0; i < ROUNDS && bad == 0; i++) {
        size_t n = make_data(f, data, tap_random(10) == 0 ? sizeof data : 2000);
        bad += !agrees(f, data, n);
    }
    ok(bad == 0, "%s: next, last and count agree with the reference on %d random inputs", name, ROUNDS);
}

static void test_count_of_every_length(void)
{
    size_t bad = 0;
    for (size_t n = 0; n <= ROOM; n += n < 300 ? 1 : 61) {
        unsigned char *p = guarded_end - n;
        memset(p, '\n', n);
        bad += mpp_record_count(&LINES, p, n) != n;
        memset(p, 'x', n);
        bad += mpp_record_count(&LINES, p, n) != 0;
    }
    ok(bad == 0, "delimiters are counted right whatever the length: all of the bytes, or none");
}

/* ---- a peer that writes while we read ------------------------------------------------------------- */

static void scribble(unsigned char *p, size_t n)
{
    for (;;)
        for (size_t i = 0; i + 4 <= n; i += 4)
            memset(p + i, (int)tap_random(3) == 0 ? 0xff : (int)tap_random(4), 4);
}

static bool stays_inside(const mpp_format *f, const unsigned char *p, size_t n)
{
    size_t len, body_len;
    const unsigned char *body;
    mpp_outcome outcome = mpp_record_next(f, ROOM, p, n, &len);
    if (outcome == MPP_OK) {
        record_body(f, p, len, &body, &body_len);
        if (len > n || body < p || body + body_len > p + n)
            return false;
    }
    return record_last(f, ROOM, p, n) <= n && mpp_record_count(f, p, n) <= n;
}

static bool is_whole(const mpp_format *f, const void *data, size_t n)
{
    return record_whole(f, place(data, n), n);
}

static void test_whole(void)
{
    ok(is_whole(&LINES, "a\nb\n", 4) && is_whole(&ZERO, "a\0", 2) && !is_whole(&LINES, "a\nb", 3),
       "lines are whole when the last byte ends one");
    ok(is_whole(&FIXED, "1234567", 7) && is_whole(&FIXED, "12345671234567", 14) && !is_whole(&FIXED, "12345678", 8),
       "fixed records are whole when there is no rest");
    ok(is_whole(&LE, "\1\0\0\0a\0\0\0\0", 9) && is_whole(&BE, "\0\0\0\1a\0\0\0\0", 9) &&
           !is_whole(&LE, "\1\0\0\0a\2\0\0\0b", 10) && !is_whole(&BE, "\0\0\0\1a\0\0", 7),
       "prefixed ones when the last ends there");
    ok(is_whole(&LINES, "", 0) && is_whole(&LE, "", 0) && is_whole(&BE, "", 0) && !is_whole(&FIXED, "", 0),
       "and nothing is an empty record, which a fixed one cannot be");
}

static void test_hostile_writer(void)
{
    enum { BYTES = 512 };
    unsigned char *p = guarded_end - BYTES;
    pid_t parent = getpid(), writer = fork();
    if (writer == 0) {
        alarm(10); /* in case the parent crashes */
        scribble(p, BYTES);
    }
    unsigned bad = 0;
    for (unsigned i = 0; i < 20000 && writer > 0; i++)
        bad += !stays_inside(FORMATS[i % N_FORMATS].f, p, BYTES - i % 8);
    ok(getpid() == parent && writer > 0 && bad == 0, "nothing leaves the data while another process rewrites it");
    if (writer > 0) {
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
    }
}

int main(void)
{
    tap_seed();
    guard();
    test_delimited_limits();
    test_fixed_limits();
    test_prefix_limits(&LE, "u32le");
    test_prefix_limits(&BE, "u32be");
    test_prefix_order();
    test_last_stops_at_too_long(&LE, "u32le");
    test_last_stops_at_too_long(&BE, "u32be");
    test_check();
    test_valid();
    test_count_of_every_length();
    for (unsigned i = 0; i < N_FORMATS; i++) {
        test_framing(FORMATS[i].f, FORMATS[i].name);
        test_against_reference(FORMATS[i].f, FORMATS[i].name);
    }
    test_whole();
    test_hostile_writer();
    return done_testing();
}
