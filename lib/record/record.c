/* record.c - where records begin and end
 *
 * The bytes may lie in memory that another process can still write.  So nothing here depends on what a byte was
 * a moment ago: a length is loaded once and compared with the room that is left before it moves a position, and
 * a position never passes the end of what the caller gave, whatever is found on the way. */
#include "record/record.h"

#include "record/scan.h"

#include <errno.h>
#include <string.h>

enum { PREFIX = 4 };

/* Without this a prefix of 2^32-1 plus its own four bytes would wrap around. */
_Static_assert(sizeof(size_t) > PREFIX, "a 32-bit length and its prefix fit a size_t");

static bool is_prefixed(const mpp_format *f)
{
    return f->kind == MPP_U32LE || f->kind == MPP_U32BE;
}

/* The kinds are byte orders of the data, so this must not depend on that of the machine. */
static uint32_t swap_unless(bool native, uint32_t v)
{
    return native ? v : __builtin_bswap32(v);
}

static bool is_native(const mpp_format *f)
{
    return (f->kind == MPP_U32LE) == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

/* The compiler takes memory for ours alone and may load a value again instead of keeping it, after it has been
 * checked.  The empty asm makes the copy a value of its own, which cannot be loaded a second time. */
static uint32_t load_prefix(const mpp_format *f, const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    __asm__("" : "+r"(v));
    return swap_unless(is_native(f), v);
}

static void store_prefix(const mpp_format *f, unsigned char *p, size_t n)
{
    uint32_t v = swap_unless(is_native(f), (uint32_t)n);
    memcpy(p, &v, sizeof v);
}

static mpp_outcome next_delimited(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n, size_t *len)
{
    /* One byte more than max decides; looking further would only read what is refused anyway. */
    size_t scan = n <= max ? n : (size_t)max + 1;
    const unsigned char *end = scan == 0 ? NULL : memchr(p, f->delimiter, scan);
    if (end == NULL)
        return n > max ? MPP_ERROR : MPP_WOULD_BLOCK;
    *len = (size_t)(end - p) + 1;
    return MPP_OK;
}

static mpp_outcome next_sized(uint64_t max, size_t head, size_t body, size_t n, size_t *len)
{
    if (body > max)
        return MPP_ERROR;
    *len = head + body;
    return *len <= n ? MPP_OK : MPP_WOULD_BLOCK;
}

mpp_outcome mpp_record_next(const mpp_format *f, uint64_t max, const void *p, size_t n, size_t *len)
{
    *len = 0;
    switch (f->kind) {
    case MPP_DELIMITED:
        return next_delimited(f, max, p, n, len);
    case MPP_FIXED:
        /* A caller's loop would not end over records without bytes. */
        return f->size == 0 ? MPP_ERROR : next_sized(max, 0, f->size, n, len);
    case MPP_U32LE:
    case MPP_U32BE:
        return n < PREFIX ? MPP_WOULD_BLOCK : next_sized(max, PREFIX, load_prefix(f, p), n, len);
    }
    return MPP_ERROR;
}

/* Go over whole records, each after its length.  *count: how many there are; the bytes that they take. */
static size_t walk_prefixed(const mpp_format *f, uint64_t max, const unsigned char *p, size_t n, uint64_t *count)
{
    size_t at = 0;
    *count = 0;
    while (n - at >= PREFIX) {
        size_t body = load_prefix(f, p + at);
        if (body > max || body > n - at - PREFIX)
            break;
        at += PREFIX + body;
        ++*count;
    }
    return at;
}

uint64_t mpp_record_count(const mpp_format *f, const void *p, size_t n)
{
    uint64_t count = 0;
    if (f->kind == MPP_DELIMITED)
        count = scan_count(p, n, f->delimiter);
    else if (is_prefixed(f))
        walk_prefixed(f, UINT64_MAX, p, n, &count);
    else if (f->size != 0)
        count = n / f->size;
    return count;
}

static size_t last_delimited(const mpp_format *f, const unsigned char *p, size_t n)
{
    const unsigned char *end = n == 0 ? NULL : memrchr(p, f->delimiter, n);
    return end == NULL ? 0 : (size_t)(end - p) + 1;
}

size_t record_last(const mpp_format *f, uint64_t max, const void *p, size_t n)
{
    uint64_t count;
    if (f->kind == MPP_DELIMITED)
        return last_delimited(f, p, n);
    if (is_prefixed(f))
        return walk_prefixed(f, max, p, n, &count);
    return f->size == 0 ? 0 : n - n % f->size;
}

void record_body(const mpp_format *f, const void *rec, size_t len, const unsigned char **body, size_t *n)
{
    size_t head = record_head(f), framing = head + record_tail(f);
    bool whole = len >= framing;
    *body = (const unsigned char *)rec + (whole ? head : 0);
    *n = whole ? len - framing : 0;
}

size_t record_head(const mpp_format *f)
{
    return is_prefixed(f) ? PREFIX : 0;
}

size_t record_tail(const mpp_format *f)
{
    return f->kind == MPP_DELIMITED ? 1 : 0;
}

void record_frame(const mpp_format *f, void *at, size_t n)
{
    if (f->kind == MPP_DELIMITED)
        ((unsigned char *)at)[n] = f->delimiter;
    else if (is_prefixed(f))
        store_prefix(f, at, n);
}

int record_check(const mpp_format *f, uint64_t max, const void *body, size_t n)
{
    if (f->kind == MPP_FIXED && n != f->size)
        return EINVAL;
    if (n > max || (is_prefixed(f) && n > UINT32_MAX))
        return EMSGSIZE;
    if (f->kind == MPP_DELIMITED && n > 0 && memchr(body, f->delimiter, n) != NULL)
        return EINVAL;
    return 0;
}

bool record_format_valid(const mpp_format *f)
{
    switch (f->kind) {
    case MPP_DELIMITED:
    case MPP_U32LE:
    case MPP_U32BE:
        return true;
    case MPP_FIXED:
        return f->size > 0;
    }
    return false;
}
