#include "record/splitter.h"

#include <string.h>

void splitter_init(splitter *s, const mpp_format *f, uint64_t max)
{
    bool count = s->count;
    *s = (splitter){.format = *f, .max = max, .count = count};
}

/* Any record that touches these bytes may be too long: look at each. */
static bool scan_delimited_slowly(splitter *s, const unsigned char *p, size_t n, size_t *end)
{
    for (size_t at = 0; at < n;) {
        const unsigned char *d = memchr(p + at, s->format.delimiter, n - at);
        size_t len = d ? (size_t)(d - (p + at)) : n - at;
        s->in_record += len;
        if (s->in_record > s->max)
            return false;
        at += len;
        if (!d)
            break;
        *end = ++at;
        s->in_record = 0;
        s->records += s->count;
    }
    return true;
}

static bool scan_delimited(splitter *s, const unsigned char *p, size_t n, size_t *end)
{
    if (s->in_record + n > s->max)
        return scan_delimited_slowly(s, p, n, end);
    const unsigned char *last = memrchr(p, s->format.delimiter, n);
    if (!last) {
        s->in_record += n;
        return true;
    }
    *end = (size_t)(last + 1 - p);
    s->in_record = n - *end;
    if (s->count)
        s->records += mpp_record_count(&s->format, p, *end);
    return true;
}

static bool scan_fixed(splitter *s, size_t n, size_t *end)
{
    uint64_t size = s->format.size, total = s->in_record + n;
    if (size > s->max)
        return false;
    if (total >= size) {
        *end = n - (size_t)(total % size);
        s->records += total / size;
    }
    s->in_record = total % size;
    return true;
}

static uint64_t prefix_value(const splitter *s)
{
    const unsigned char *b = s->prefix;
    if (s->format.kind == MPP_U32LE)
        return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 | (uint32_t)b[0] << 24;
}

static bool scan_prefixed(splitter *s, const unsigned char *p, size_t n, size_t *end)
{
    for (size_t at = 0; at < n;) {
        while (s->in_record < 4 && at < n)
            s->prefix[s->in_record++] = p[at++];
        if (s->in_record < 4)
            return true;
        s->length = 4 + prefix_value(s);
        if (s->length - 4 > s->max)
            return false;
        uint64_t left = s->length - s->in_record;
        if (left > n - at) {
            s->in_record += n - at;
            return true;
        }
        at += (size_t)left;
        *end = at;
        s->in_record = 0;
        s->length = 0;
        s->records++;
    }
    return true;
}

bool splitter_scan(splitter *s, const unsigned char *p, size_t n, size_t *end)
{
    *end = 0;
    switch (s->format.kind) {
    case MPP_FIXED:
        return scan_fixed(s, n, end);
    case MPP_U32LE:
    case MPP_U32BE:
        return scan_prefixed(s, p, n, end);
    case MPP_DELIMITED:
        break;
    }
    return scan_delimited(s, p, n, end);
}
