/* fuzz-record - where records begin and end, at once and in pieces, against the obvious way
 *
 * Shows that mpp_record_next(), mpp_record_count(), record_last() and the splitter agree with each other and with a
 * loop over single bytes, for every format, limit and cut, and look at no byte that is not theirs. */
#include "fuzz.h"
#include "record/record.h"
#include "record/splitter.h"

/* ---- the obvious way --------------------------------------------------------------------------------- */

static uint64_t naive_prefix(const mpp_format *f, const unsigned char *p)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 4; i++)
        v |= (uint64_t)p[i] << 8 * (f->kind == MPP_U32LE ? i : 3 - i);
    return v;
}

/* The bytes of the record at p, framing included; 0: it goes on past n; UINT64_MAX: it is longer than max, or will
 * be. */
static uint64_t naive_next(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n)
{
    if (f->kind == MPP_DELIMITED) {
        for (size_t i = 0; i < n; i++) {
            if (p[i] == f->delimiter)
                return i + 1;
            if (i == max)
                return UINT64_MAX;
        }
        return 0;
    }
    const unsigned head = f->kind == MPP_FIXED ? 0 : 4;
    if (n < head)
        return 0;
    const uint64_t body = head ? naive_prefix(f, p) : f->size;
    return body > max ? UINT64_MAX : head + body <= n ? head + body : 0;
}

/* The bytes of all whole records from p on, and how many; *bad: the one behind them is too long. */
static size_t naive_walk(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n, uint64_t *count,
                         bool *bad)
{
    size_t at = 0;
    *count = 0;
    for (;;) {
        const uint64_t len = naive_next(f, max, p + at, n - at);
        *bad = len == UINT64_MAX;
        if (len == 0 || *bad)
            return at;
        at += (size_t)len;
        ++*count;
    }
}

/* ---- at once ----------------------------------------------------------------------------------------- */

static void check_next(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n)
{
    size_t at = 0, len;
    for (mpp_outcome outcome = MPP_OK; outcome == MPP_OK; at += len) {
        const uint64_t want = naive_next(f, max, p + at, n - at);
        outcome = mpp_record_next(f, max, p + at, n - at, &len);
        must(outcome == (want == UINT64_MAX ? MPP_ERROR
                         : want == 0        ? MPP_WOULD_BLOCK
                                            : MPP_OK),
             "outcome %d at %zu", (int)outcome, at);
        must(outcome != MPP_OK || len == want, "%zu bytes, not %llu", len, (unsigned long long)want);
        must(outcome != MPP_WOULD_BLOCK || len == 0 || len > n - at, "%zu bytes to come, and there are %zu", len,
             n - at);
        if (outcome != MPP_OK)
            break;
        const unsigned char *body;
        size_t body_n;
        record_body(f, p + at, len, &body, &body_n);
        must(body >= p + at && body + body_n <= p + at + len && body_n <= max, "a body of %zu bytes", body_n);
        must(record_check(f, max, body, body_n) == 0, "a record of the input is one: %zu bytes", body_n);
    }
}

static void check_all(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n)
{
    bool bad;
    uint64_t count, unlimited;
    const size_t whole = naive_walk(f, max, p, n, &count, &bad);
    const size_t any = naive_walk(f, UINT64_MAX, p, n, &unlimited, &bad);
    const bool prefixed = f->kind == MPP_U32LE || f->kind == MPP_U32BE;
    must(record_last(f, max, p, n) == (prefixed ? whole : any), "%zu", record_last(f, max, p, n));
    must(mpp_record_count(f, p, any) == unlimited, "%llu", (unsigned long long)unlimited);
}

/* ---- in pieces --------------------------------------------------------------------------------------- */

/* Where the records end that end in [0, to), and whether the next is known to be too long by then. */
static void check_pieces(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n, food *cuts)
{
    splitter s = {.count = true};
    size_t at = 0, last = 0, end;
    splitter_init(&s, f, max);
    while (at < n) {
        const size_t want = 1 + food_below(cuts, 40), piece = want < n - at ? want : n - at;
        unsigned char *exact = food_copy((food){p + at, piece});
        const bool good = splitter_scan(&s, exact, piece, &end);
        free(exact);
        bool bad;
        uint64_t count;
        const size_t whole = naive_walk(f, max, p, at + piece, &count, &bad);
        must(good == !bad, "%d behind %zu bytes", good, at + piece);
        must(end <= piece && (end == 0 ? whole == last : whole == at + end), "a record ends at %zu, not %zu", at + end,
             whole);
        must(s.records == count, "%llu records, not %llu", (unsigned long long)s.records, (unsigned long long)count);
        if (!good)
            return;
        must(s.in_record == at + piece - whole, "%llu bytes of an unfinished record", (unsigned long long)s.in_record);
        at += piece;
        last = whole;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food in = {data, size};
    const mpp_format f = food_format(&in);
    const unsigned limit = food_byte(&in);
    const uint64_t max = limit == 0 ? UINT64_C(1) << 40 : limit < 128 ? limit : food_number(&in, 3);
    food cuts = food_part(&in, 8);
    unsigned char *p = food_copy(in);
    check_next(&f, max, p, in.n);
    check_all(&f, max, p, in.n);
    check_pieces(&f, max, p, in.n, &cuts);
    free(p);
    return 0;
}
