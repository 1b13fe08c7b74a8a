#include "record/scan.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define SCAN_AVX2 1
#endif

enum { BLOCK = 64 };

/* Of 64 bytes, a bit for each that is a delimiter, or a separator. */
typedef struct masks {
    uint64_t delimiter, separator;
} masks;

/* ---- the walk over the bits --------------------------------------------------------------------- */

/* Where we are in a record: before its field, in it, behind it. */
typedef struct walk {
    uint32_t separators; /* to be passed before the field begins */
    uint32_t field, field_n;
    enum { BEFORE, INSIDE, BEHIND } where;
} walk;

static inline walk walk_begin(const scan_options *o, uint32_t at)
{
    return (walk){.separators = o->field > 1 ? o->field - 1 : 0,
                  .field = o->field > 1 ? SCAN_MISSING : at,
                  .where = o->field == 0   ? BEHIND
                           : o->field == 1 ? INSIDE
                                           : BEFORE};
}

/* The bits of the block at `at`; how many of out[] are filled afterwards. */
static inline __attribute__((always_inline)) unsigned walk_block(const scan_options *o, walk *w, masks m, uint32_t at,
                                                                 scan_record *out, unsigned n, unsigned max)
{
    uint64_t left = w->where == BEHIND ? m.delimiter : m.delimiter | m.separator;
    while (left) {
        const unsigned bit = (unsigned)__builtin_ctzll(left);
        const uint32_t position = at + bit;
        left &= left - 1;
        if (m.delimiter >> bit & 1) {
            if (w->where == INSIDE)
                w->field_n = position - w->field;
            out[n] = (scan_record){position + 1, w->field, w->field_n};
            *w = walk_begin(o, position + 1);
            if (++n == max)
                return n;
            if (w->where != BEHIND) /* separators matter again */
                left = (m.delimiter | m.separator) & ~(UINT64_MAX >> (63 - bit));
        } else if (w->where == INSIDE) {
            w->field_n = position - w->field;
            w->where = BEHIND;
            left &= m.delimiter;
        } else if (--w->separators == 0) {
            w->field = position + 1;
            w->where = INSIDE;
        }
    }
    return n;
}

/* ---- 64 bytes at a time ------------------------------------------------------------------------- */

/* Eight bytes at a time: the top bit of each byte of x that is 0 (no carry runs between bytes). */
static inline uint64_t zero_bytes(uint64_t x)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    return ~(((x & low) + low) | x | low);
}

static inline uint64_t mask_words(const unsigned char *p, unsigned char c)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < BLOCK / 8; i++) {
        uint64_t word;
        memcpy(&word, p + 8 * i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        const uint64_t found = zero_bytes(word ^ UINT64_C(0x0101010101010101) * c) >> 7;
        /* The lowest bit of each byte, gathered into one byte by a multiplication. */
        mask |= (found * UINT64_C(0x0102040810204080) >> 56) << (8 * i);
    }
    return mask;
}

static inline masks masks_words(const unsigned char *p, unsigned char delimiter, unsigned char separator)
{
    return (masks){mask_words(p, delimiter), mask_words(p, separator)};
}

#ifdef SCAN_AVX2
static inline __attribute__((target("avx2"), always_inline)) uint64_t mask_avx2(__m256i a, __m256i b, __m256i c)
{
    const uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, c));
    const uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, c));
    return low | (uint64_t)high << 32;
}

static inline __attribute__((target("avx2"), always_inline)) masks
masks_avx2(const unsigned char *p, unsigned char delimiter, unsigned char separator)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    return (masks){mask_avx2(a, b, _mm256_set1_epi8((char)delimiter)),
                   mask_avx2(a, b, _mm256_set1_epi8((char)separator))};
}
#endif

/* The same walk with each way to make masks.  What is left behind the last whole block is copied to one of its own,
 * whose rest matches nothing. */
#define SCAN_WITH(name, how, attributes)                                                                               \
    attributes unsigned name(const scan_options *o, const unsigned char *p, size_t size, scan_record *out,             \
                             unsigned max)                                                                             \
    {                                                                                                                  \
        walk w = walk_begin(o, 0);                                                                                     \
        unsigned n = 0;                                                                                                \
        size_t at = 0;                                                                                                 \
        for (; at + BLOCK <= size && n < max; at += BLOCK)                                                             \
            n = walk_block(o, &w, how(p + at, o->delimiter, o->separator), (uint32_t)at, out, n, max);                 \
        if (at < size && n < max) {                                                                                    \
            unsigned char last[BLOCK] = {0};                                                                           \
            memcpy(last, p + at, size - at);                                                                           \
            const uint64_t there = (UINT64_C(1) << (size - at)) - 1;                                                   \
            masks m = how(last, o->delimiter, o->separator);                                                           \
            m.delimiter &= there;                                                                                      \
            m.separator &= there;                                                                                      \
            n = walk_block(o, &w, m, (uint32_t)at, out, n, max);                                                       \
        }                                                                                                              \
        return n;                                                                                                      \
    }

SCAN_WITH(scan_records_plain, masks_words, )
#ifdef SCAN_AVX2
SCAN_WITH(records_avx2, masks_avx2, static __attribute__((target("avx2,bmi"))))
#endif

/* ---- counting ----------------------------------------------------------------------------------- */

/* Blocks of a fixed size are what the compiler vectorises.  A lane is a byte and so must be emptied before it has
 * counted more than 255. */
enum { ROUNDS = 255 };

static inline __attribute__((always_inline)) unsigned count_lanes(const unsigned char *p, unsigned rounds,
                                                                  unsigned char c)
{
    unsigned char lanes[BLOCK] = {0};
    unsigned sum = 0;
    for (unsigned r = 0; r < rounds; r++, p += BLOCK)
        for (unsigned i = 0; i < BLOCK; i++)
            lanes[i] = (unsigned char)(lanes[i] + (p[i] == c));
    for (unsigned i = 0; i < BLOCK; i++)
        sum += lanes[i];
    return sum;
}

#define COUNT_WITH(name, attributes)                                                                                   \
    attributes uint64_t name(const unsigned char *p, size_t n, unsigned char c)                                        \
    {                                                                                                                  \
        uint64_t count = 0;                                                                                            \
        for (; n >= BLOCK * ROUNDS; p += BLOCK * ROUNDS, n -= BLOCK * ROUNDS)                                          \
            count += count_lanes(p, ROUNDS, c);                                                                        \
        const unsigned rounds = (unsigned)(n / BLOCK);                                                                 \
        count += count_lanes(p, rounds, c);                                                                            \
        for (size_t i = (size_t)rounds * BLOCK; i < n; i++)                                                            \
            count += p[i] == c;                                                                                        \
        return count;                                                                                                  \
    }

COUNT_WITH(scan_count_plain, )
#ifdef SCAN_AVX2
COUNT_WITH(count_avx2, static __attribute__((target("avx2"))))
#endif

/* ---- choosing ----------------------------------------------------------------------------------- */

#ifdef SCAN_AVX2
static bool wide(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
}
#endif

unsigned scan_records(const scan_options *o, const unsigned char *p, size_t n, scan_record *out, unsigned max)
{
#ifdef SCAN_AVX2
    if (wide())
        return records_avx2(o, p, n, out, max);
#endif
    return scan_records_plain(o, p, n, out, max);
}

uint64_t scan_count(const unsigned char *p, size_t n, unsigned char c)
{
#ifdef SCAN_AVX2
    if (wide())
        return count_avx2(p, n, c);
#endif
    return scan_count_plain(p, n, c);
}
