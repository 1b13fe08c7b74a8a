#include "input/slice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 256 << 10 };

bool slice_compressed(const char *name)
{
    static const char *const suffixes[] = {".gz", ".xz", ".zst", ".bz2", ".lz4", ".br", ".Z"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcmp(dot, suffixes[i]) == 0)
            return true;
    return false;
}

/* ---- whole files --------------------------------------------------------------------------------- */

static int larger_first(const void *a, const void *b, void *sizes)
{
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;
    const int64_t *size = sizes;
    if (size[i] != size[j])
        return size[i] > size[j] ? -1 : 1;
    return i < j ? -1 : 1;
}

static unsigned least(const uint64_t load[], unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 1; i < n; i++)
        if (load[i] < load[found])
            found = i;
    return found;
}

int slice_deal(const int64_t sizes[], size_t n, unsigned parts, unsigned owner[])
{
    size_t *order = calloc(n + 1, sizeof *order);
    uint64_t *load = calloc(parts, sizeof *load);
    if (order && load) {
        for (size_t i = 0; i < n; i++)
            order[i] = i;
        qsort_r(order, n, sizeof *order, larger_first, (void *)sizes);
        for (size_t i = 0; i < n; i++) {
            unsigned who = owner[order[i]] = least(load, parts);
            load[who] += (uint64_t)sizes[order[i]] + 1; /* so that empty files, and FIFOs, are spread too */
        }
    }
    bool done = order && load;
    free(order);
    free(load);
    return done ? 0 : -1;
}

/* ---- ranges -------------------------------------------------------------------------------------- */

int64_t slice_cut(int64_t size, unsigned part, unsigned parts)
{
    return size / parts * part + size % parts * part / parts;
}

static ssize_t read_at(int fd, void *block, size_t n, int64_t at)
{
    ssize_t k;
    while ((k = pread(fd, block, n, at)) < 0 && errno == EINTR)
        ;
    return k;
}

/* A walk over a file, from one record's start to another's. */
typedef struct walk {
    int fd;
    int64_t size;
    const mpp_format *format;
    uint64_t max_record;
    unsigned char *block; /* BLOCK bytes */
} walk;

/* The first record start at or after x; -1 with errno.  A file that has become shorter than size ends where it
 * ends.  The record that byte x - 1 is of ends within max_record bytes, or it is too long: there is no way past it
 * then, and who reads it reports it. */
static int64_t start_delimited(const walk *w, int64_t x)
{
    const uint64_t rest = (uint64_t)(w->size - (x - 1));
    const int64_t end = rest > w->max_record ? x + (int64_t)w->max_record : w->size;
    for (int64_t at = x - 1; at < end;) {
        const size_t want = end - at < BLOCK ? (size_t)(end - at) : BLOCK;
        const ssize_t n = read_at(w->fd, w->block, want, at);
        if (n <= 0)
            return n < 0 ? -1 : w->size;
        const unsigned char *found = memchr(w->block, w->format->delimiter, (size_t)n);
        if (found)
            return at + (found - w->block) + 1;
        at += n;
    }
    return w->size;
}

static int64_t start_fixed(const walk *w, int64_t x)
{
    int64_t record = w->format->size;
    int64_t over = x % record;
    return over ? x - over + record : x;
}

/* Step over the records in the n bytes of the block, which begin at `at`, as far as their lengths are known and
 * they start before x.  Returns where that ends: `at` itself when not even the first length is there. */
static int64_t step(const walk *w, size_t n, int64_t at, int64_t x)
{
    size_t i = 0, length;
    while (i < n && at + (int64_t)i < x) {
        mpp_outcome outcome = mpp_record_next(w->format, w->max_record, w->block + i, n - i, &length);
        if (outcome == MPP_ERROR)
            return w->size; /* no way past it: who reads this record reports it */
        if (length == 0)
            break;
        i += length;
    }
    return at + (int64_t)i;
}

/* Nothing in the bytes tells a prefixed record's start, so it is found from `known`, which is one. */
static int64_t start_prefixed(const walk *w, int64_t known, int64_t x)
{
    int64_t at = known;
    while (at < x && at < w->size) {
        ssize_t n = read_at(w->fd, w->block, BLOCK, at);
        if (n < 0)
            return -1;
        int64_t next = step(w, (size_t)n, at, x);
        if (next == at)
            return w->size; /* the file ends inside a length */
        at = next;
    }
    return at;
}

static int64_t start(const walk *w, int64_t known, int64_t x)
{
    if (x <= 0)
        return 0;
    int64_t found = x;
    if (x < w->size && w->format->kind == MPP_DELIMITED)
        found = start_delimited(w, x);
    else if (x < w->size && w->format->kind == MPP_FIXED)
        found = start_fixed(w, x);
    else if (x < w->size)
        found = start_prefixed(w, known, x);
    return found < w->size ? found : w->size;
}

int slice_range(int fd, int64_t size, unsigned part, unsigned parts, const mpp_format *f, uint64_t max_record,
                int64_t *from, int64_t *to)
{
    walk w = {fd, size, f, max_record, malloc(BLOCK)};
    if (!w.block)
        return -1;
    *from = start(&w, 0, slice_cut(size, part, parts));
    *to = *from < 0 ? -1 : start(&w, *from, slice_cut(size, part + 1, parts));
    if (*to >= 0 &&
        *to < *from) /* there was no way past a record, which is an earlier share's, but past its end there is */
        *to = *from;
    int saved = errno;
    free(w.block);
    errno = saved;
    return *to < 0 ? -1 : 0;
}
