/* fuzz-slice - a file's ranges for several participants, and whole files dealt out, against the obvious way
 *
 * Shows that the shares of any bytes, in any format, lie end to end and hold each record where it begins, so that
 * together they are the file, or one of them goes to its end and holds a record that is too long; and that every
 * file goes to somebody, to the least loaded. */
#include "fuzz.h"

#include "input/slice.h"

#include <sys/mman.h>
#include <unistd.h>

enum { PARTS_MAX = 7, FILES_MAX = 32 };

static int file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    file = memfd_create("slice", MFD_CLOEXEC);
    return 0;
}

/* Is there a record's start at this offset, or the file's end? */
static bool starts(const mpp_format *f, uint64_t max, const uint8_t *p, size_t n, size_t offset)
{
    size_t at = 0, len;
    if (f->kind == MPP_DELIMITED)
        return offset == 0 || offset == n || p[offset - 1] == f->delimiter;
    if (f->kind == MPP_FIXED)
        return offset == n || offset % f->size == 0;
    while (at < offset && mpp_record_next(f, max, p + at, n - at, &len) == MPP_OK)
        at += len;
    return at == offset || offset == n;
}

/* The first one from an offset on; the end where a record that is too long is in the way. */
static size_t first_start(const mpp_format *f, uint64_t max, const uint8_t *p, size_t n, size_t offset)
{
    const size_t first = offset;
    while (!starts(f, max, p, n, offset))
        offset++;
    return f->kind == MPP_DELIMITED && offset - first > max ? n : offset;
}

static void check_ranges(const mpp_format *f, uint64_t max, unsigned parts, const uint8_t *p, size_t n)
{
    int64_t before = 0;
    for (unsigned i = 0; i < parts; i++) {
        int64_t from, to;
        must(slice_range(file, (int64_t)n, i, parts, f, max, &from, &to) == 0, "share %u: %s", i, strerror(errno));
        must(to >= from && to <= (int64_t)n, "share %u is %lld to %lld", i, (long long)from, (long long)to);
        must(from == before || before == (int64_t)n, "share %u begins at %lld, the one before went to %lld", i,
             (long long)from, (long long)before);
        must(starts(f, max, p, n, (size_t)to), "share %u of %u ends inside a record, at %lld", i, parts, (long long)to);
        must(from == 0 || from == (int64_t)n || from >= slice_cut((int64_t)n, i, parts), "share %u begins early", i);
        const int64_t end = (int64_t)first_start(f, max, p, n, (size_t)slice_cut((int64_t)n, i + 1, parts));
        must(to == (end > from ? end : from),
             "share %u of %u does not end where the first record behind its cut begins", i, parts);
        before = to;
    }
    must(before == (int64_t)n, "the shares end at %lld of %zu", (long long)before, n);
}

static void check_deal(food f, unsigned parts)
{
    int64_t sizes[FILES_MAX] = {0};
    unsigned owner[FILES_MAX];
    uint64_t load[PARTS_MAX] = {0}, largest = 0;
    size_t n = 0;
    while (f.n > 0 && n < FILES_MAX) {
        sizes[n] = (int64_t)(food_number(&f, 2) << food_below(&f, 40));
        largest = (uint64_t)sizes[n] > largest ? (uint64_t)sizes[n] : largest;
        n++;
    }
    must(slice_deal(sizes, n, parts, owner) == 0, "%zu files", n);
    for (size_t i = 0; i < n; i++) {
        must(owner[i] < parts, "file %zu is %u's", i, owner[i]);
        load[owner[i]] += (uint64_t)sizes[i] + 1;
    }
    for (unsigned i = 0; i < parts; i++)
        for (unsigned j = 0; j < parts; j++)
            must(load[i] <= load[j] + largest + 1, "%u has %llu more than %u", i, (unsigned long long)load[i], j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    food in = {data, size};
    const mpp_format f = food_format(&in);
    const unsigned parts = 1 + food_below(&in, PARTS_MAX), limit = food_byte(&in);
    const uint64_t max = limit ? limit : UINT64_C(1) << 30;
    if (ftruncate(file, 0) < 0 || pwrite(file, in.p, in.n, 0) < (ssize_t)in.n)
        must(false, "the file: %s", strerror(errno));
    check_ranges(&f, max, parts, in.p, in.n);
    check_deal(in, parts);
    return 0;
}
