/* fuzz-scan - the scanner of lines and fields, by the way that the processor gets and by the plain one, against the
 * obvious way
 *
 * Shows that records and fields are found where they are, for any bytes at any length, delimiter, separator and
 * field. */
#include "fuzz.h"

#include "record/scan.h"

enum { SPACE = 512 };

typedef unsigned (*scanner)(const scan_options *o, const unsigned char *p, size_t n, scan_record *out, unsigned max);

static scan_record naive_record(const scan_options *o, const unsigned char *p, size_t begin, size_t stop)
{
    scan_record r = {.end = (uint32_t)stop + 1, .field = SCAN_MISSING};
    size_t at = begin;
    uint32_t number = 1;
    while (number < o->field && at < stop)
        number += p[at++] == o->separator;
    if (number != o->field)
        return r;
    r.field = (uint32_t)at;
    while (at < stop && p[at] != o->separator)
        at++;
    r.field_n = (uint32_t)at - r.field;
    return r;
}

static unsigned naive(const scan_options *o, const unsigned char *p, size_t n, scan_record *out, unsigned max)
{
    unsigned count = 0;
    size_t begin = 0;
    for (size_t i = 0; i < n && count < max; i++)
        if (p[i] == o->delimiter) {
            out[count++] = naive_record(o, p, begin, i);
            begin = i + 1;
        }
    return count;
}

static void compare(const char *what, scanner scan, const scan_options *o, const unsigned char *p, size_t n,
                    unsigned max)
{
    scan_record got[SPACE], wanted[SPACE];
    const unsigned have = scan(o, p, n, got, max), want = naive(o, p, n, wanted, max);
    must(have == want, "%s finds %u records of %u", what, have, want);
    for (unsigned i = 0; i < have; i++) {
        must(got[i].end == wanted[i].end, "%s: record %u ends at %u, not at %u", what, i, got[i].end, wanted[i].end);
        must(o->field == 0 || got[i].field == wanted[i].field, "%s: record %u: field at %u, not at %u", what, i,
             got[i].field, wanted[i].field);
        must(o->field == 0 || got[i].field == SCAN_MISSING || got[i].field_n == wanted[i].field_n,
             "%s: record %u: field of %u bytes, not %u", what, i, got[i].field_n, wanted[i].field_n);
    }
}

static void count_compare(const unsigned char *p, size_t n, unsigned char c)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += p[i] == c;
    must(scan_count(p, n, c) == count, "%llu", (unsigned long long)count);
    must(scan_count_plain(p, n, c) == count, "%llu", (unsigned long long)count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food f = {data, size};
    const scan_options o = {.delimiter = (unsigned char)food_byte(&f),
                            .separator = (unsigned char)food_byte(&f),
                            .field = food_below(&f, 6)};
    const unsigned max = 1 + food_byte(&f);
    unsigned char *p = food_copy(f);
    compare("scan_records", scan_records, &o, p, f.n, max);
    compare("the plain way", scan_records_plain, &o, p, f.n, max);
    count_compare(p, f.n, o.delimiter);
    count_compare(p, f.n, o.separator);
    free(p);
    return 0;
}
