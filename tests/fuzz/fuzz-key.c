/* fuzz-key - keys as they are written, taken out of records, compared and cut into ranges, against the obvious way
 *
 * Shows that a list of fields, boundaries and any records give what naive-key.h gives, that comparing is an order, and
 * that a record and its key's bytes lie in the same range. */
#include "naive-key.h"

#include "record/key-order.h"
#include "record/key-range.h"

#include <xxhash.h>

enum { RECORDS = 3, BOUNDS = 8 };

/* ---- boundaries -------------------------------------------------------------------------------------- */

/* "a,b\,c": n of them into `to`.  -1: it is not understood. */
static int naive_unescape(const char *text, unsigned char to[BOUNDS][64], size_t lens[BOUNDS])
{
    int n = *text != 0;
    memset(lens, 0, BOUNDS * sizeof *lens);
    for (; *text; text++) {
        if (n > BOUNDS)
            return -1;
        if (*text == ',') {
            n++;
            continue;
        }
        if (*text == '\\' && *++text != ',' && *text != '\\')
            return -1;
        to[n - 1][lens[n - 1]++] = (unsigned char)*text;
    }
    return n <= BOUNDS ? n : -1;
}

static bool naive_ranges(const key *k, unsigned consumers, int n, unsigned char bounds[BOUNDS][64],
                         const size_t lens[BOUNDS])
{
    part beyond;
    if (n < 0 || (unsigned)n + 1 != consumers)
        return false;
    for (int i = 0; i < n; i++) {
        const part b = {bounds[i], lens[i]};
        if (k->n > 0 && naive_field(b, k->separator, k->n + 1, &beyond))
            return false;
        if (i > 0 && naive_joined_compare(k, b, (part){bounds[i - 1], lens[i - 1]}) <= 0)
            return false;
    }
    return true;
}

static void check_ranges(const key *k, const char *text, unsigned consumers, const part *records)
{
    unsigned char bounds[BOUNDS][64];
    size_t lens[BOUNDS];
    key_ranges r;
    mpp_error err;
    const int n = naive_unescape(text, bounds, lens);
    const bool good = naive_ranges(k, consumers, n, bounds, lens);
    must((key_ranges_parse(text, k, consumers, &r, &err) == 0) == good, "boundaries '%s' of %u", text, consumers);
    if (!good) {
        must(r.n == 0 && err.status == MPP_S_USAGE && *err.text, "'%s'", text);
        return;
    }
    for (unsigned i = 0; i < RECORDS; i++) {
        unsigned char joined[8192];
        part j = {joined, 0};
        naive_key_bytes(k, records[i], joined, &j.n);
        unsigned range = 0;
        while (range < (unsigned)n && naive_joined_compare(k, j, (part){bounds[range], lens[range]}) >= 0)
            range++;
        must(key_range(&r, k, records[i].p, records[i].n) == range, "record %u is in range %u", i, range);
        must(key_range_of_bytes(&r, k, joined, j.n) == range, "the key of record %u is in range %u", i, range);
    }
    key_ranges_free(&r);
}

/* ---- keys -------------------------------------------------------------------------------------------- */

static void check_bytes(const key *k, part record, key_scratch *scratch)
{
    unsigned char wanted[8192];
    const unsigned char *bytes;
    size_t n, wanted_n;
    const bool all = naive_key_bytes(k, record, wanted, &wanted_n);
    must(key_bytes(k, record.p, record.n, scratch, &bytes, &n) == all, "%d", all);
    must(n == wanted_n && memcmp(bytes, wanted, n) == 0, "%zu bytes, not %zu", n, wanted_n);
    for (unsigned consumers = 1; consumers < 9; consumers++)
        must(key_hash(bytes, n, consumers) == XXH3_64bits(wanted, wanted_n) % consumers, "of %u", consumers);
}

static void check_order(const key *k, const part *records)
{
    int order[RECORDS][RECORDS];
    for (unsigned i = 0; i < RECORDS; i++)
        for (unsigned j = 0; j < RECORDS; j++) {
            order[i][j] = key_compare(k, records[i].p, records[i].n, records[j].p, records[j].n);
            const int wanted = naive_compare(k, records[i], records[j]);
            must(order[i][j] == wanted, "%u against %u: %d, not %d", i, j, order[i][j], wanted);
        }
    for (unsigned i = 0; i < RECORDS; i++)
        for (unsigned j = 0; j < RECORDS; j++) {
            must(order[i][j] == -order[j][i], "%u and %u", i, j);
            for (unsigned l = 0; l < RECORDS; l++)
                must(order[i][j] > 0 || order[j][l] > 0 || order[i][l] <= 0, "%u, %u and %u", i, j, l);
        }
}

static bool same_key(const key *a, const key *b)
{
    bool same = a->n == b->n && a->separator == b->separator;
    for (unsigned i = 0; same && i < a->n; i++)
        same = a->fields[i].field == b->fields[i].field && a->fields[i].order == b->fields[i].order &&
               a->fields[i].reverse == b->fields[i].reverse && a->fields[i].fold == b->fields[i].fold &&
               a->fields[i].skip_blanks == b->fields[i].skip_blanks;
    return same;
}

static bool check_parse(const char *text, unsigned char separator, key *k)
{
    key wanted;
    mpp_error err = {0};
    const bool good = naive_key_parse(text, separator, &wanted);
    must((key_parse(text, (char)separator, k, &err) == 0) == good, "key '%s': %s", text, err.text);
    must(good || (err.status == MPP_S_USAGE && *err.text), "key '%s'", text);
    must(!good || same_key(k, &wanted), "key '%s'", text);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food f = {data, size < 400 ? size : 400};
    key k;
    const unsigned consumers = 1 + food_below(&f, 5);
    const unsigned char separator = (unsigned char)food_byte(&f);
    char *text = food_string(food_part(&f, food_byte(&f)));
    char *bounds = food_string(food_part(&f, food_below(&f, 64)));
    part records[RECORDS];
    unsigned char *copies[RECORDS];
    for (unsigned i = 0; i < RECORDS; i++) {
        const food record = food_part(&f, i + 1 < RECORDS ? food_byte(&f) : f.n);
        copies[i] = food_copy(record);
        records[i] = (part){copies[i], record.n};
    }
    if (check_parse(text, separator, &k)) {
        key_scratch scratch = {0};
        for (unsigned i = 0; i < RECORDS; i++)
            check_bytes(&k, records[i], &scratch);
        free(scratch.data);
        check_order(&k, records);
        check_ranges(&k, bounds, consumers, records);
    }
    for (unsigned i = 0; i < RECORDS; i++)
        free(copies[i]);
    free(text);
    free(bounds);
    return 0;
}
