/* scan - records and a field of each, against the obvious way, at every alignment and length */
#include "record/scan.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 700, SPACE = 4096 };

static unsigned naive(const scan_options *o, const unsigned char *p, size_t n, scan_record *out, unsigned max)
{
    unsigned count = 0;
    for (size_t begin = 0; count < max;) {
        const unsigned char *end = begin < n ? memchr(p + begin, o->delimiter, n - begin) : NULL;
        if (!end)
            break;
        const size_t stop = (size_t)(end - p);
        scan_record r = {.end = (uint32_t)stop + 1, .field = SCAN_MISSING};
        size_t at = begin;
        uint32_t number = 1;
        while (number < o->field && at < stop) {
            if (p[at++] == o->separator)
                number++;
        }
        if (number == o->field && o->field) {
            size_t to = at;
            while (to < stop && p[to] != o->separator)
                to++;
            r.field = (uint32_t)at;
            r.field_n = (uint32_t)(to - at);
        }
        out[count++] = r;
        begin = stop + 1;
    }
    return count;
}

static bool same(const scan_options *o, const scan_record *a, const scan_record *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (a[i].end != b[i].end || (o->field && (a[i].field != b[i].field || a[i].field_n != b[i].field_n)))
            return false;
    return true;
}

static void fill(unsigned char *p, size_t n, unsigned density)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned r = (unsigned)rand() % (2 * density);
        p[i] = (unsigned char)(r == 0 ? '\n' : r <= 2 ? '\t' : rand() % 256);
    }
}

static bool agrees(const unsigned char *p, size_t n, uint32_t field, unsigned max)
{
    static scan_record got[SPACE], wanted[SPACE];
    const scan_options o = {.delimiter = '\n', .separator = '\t', .field = field};
    const unsigned have = scan_records(&o, p, n, got, max);
    return have == naive(&o, p, n, wanted, max) && same(&o, got, wanted, have);
}

static bool counts(const unsigned char *p, size_t n)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += p[i] == '\n';
    return scan_count(p, n, '\n') == count;
}

int main(void)
{
    static const unsigned densities[] = {2, 5, 30, 150};
    bool all = true, counted = true;
    srand(1);
    for (unsigned round = 0; round < 40; round++) {
        /* Exactly as long as it says, so that a sanitizer sees a byte too far. */
        const size_t n = (size_t)rand() % ROOM;
        unsigned char *p = malloc(n ? n : 1);
        fill(p, n, densities[round % 4]);
        for (size_t from = 0; from <= n && from < 70; from++) {
            for (uint32_t field = 0; field < 5; field++)
                all &= agrees(p + from, n - from, field, SPACE) && agrees(p + from, n - from, field, 1 + round % 7);
            counted &= counts(p + from, n - from);
        }
        free(p);
    }
    ok(all, "records and fields are where they are, wherever the text begins and ends");
    ok(counted, "a byte is counted as often as it occurs");

    const size_t large = 1 << 20;
    unsigned char *p = malloc(large);
    memset(p, '\n', large);
    ok(scan_count(p, large, '\n') == large && scan_count(p, large, 'x') == 0, "also a million times in a row");
    ok(agrees(p, 3000, 1, SPACE), "empty records have an empty first field");
    ok(agrees(p, 3000, 2, SPACE), "and no second one");
    const scan_options same_byte = {.delimiter = '\n', .separator = '\n', .field = 1};
    scan_record r[2];
    ok(scan_records(&same_byte, p, 10, r, 2) == 2 && r[0].end == 1 && r[1].end == 2,
       "a separator that is the delimiter ends the record");
    free(p);
    return done_testing();
}
