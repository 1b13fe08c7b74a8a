/* fuzz.h - what the fuzz targets share: the input as a sequence of choices, and what must hold
 *
 * A target is one file fuzz-NAME.c with LLVMFuzzerTestOneInput().  It turns its input into something that a peer, a
 * user or a file could hold, gives it to the code, and aborts by must() when what comes of it cannot be.
 *
 *     build-address-undefined/tests/fuzz/fuzz-NAME FILE|DIRECTORY...     replays inputs (replay.c), with any compiler
 *     make fuzz T=60 TARGET=NAME                                         goes on from the corpus, with libFuzzer
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "mpp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what must hold, whatever the input ------------------------------------------------------------- */

#define must(condition, ...)                                                                                           \
    ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__, __func__, __VA_ARGS__))

__attribute__((format(printf, 5, 6), noreturn)) static inline void
fuzz_broken(const char *condition, const char *file, int line, const char *function, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "%s:%d: %s: ", file, line, function);
    vfprintf(stderr, format, ap);
    fprintf(stderr, ": not true: %s\n", condition);
    va_end(ap);
    abort();
}

/* ---- the input as choices ---------------------------------------------------------------------------- */

typedef struct food {
    const uint8_t *p;
    size_t n;
} food;

/* A number of so many bytes, little endian; what is not there is 0. */
static inline uint64_t food_number(food *f, unsigned width)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < width && f->n > 0; i++, f->p++, f->n--)
        v |= (uint64_t)*f->p << 8 * i;
    return v;
}

static inline unsigned food_byte(food *f)
{
    return (unsigned)food_number(f, 1);
}

static inline unsigned food_below(food *f, unsigned n)
{
    return food_byte(f) % n;
}

/* The next n bytes, or what there is. */
static inline food food_part(food *f, size_t n)
{
    food part = {f->p, n < f->n ? n : f->n};
    f->p += part.n;
    f->n -= part.n;
    return part;
}

/* Exactly as long as it says, in memory of its own, so that a sanitizer sees a byte too far. */
static inline unsigned char *food_copy(food f)
{
    unsigned char *copy = malloc(f.n ? f.n : 1);
    must(copy, "no memory");
    if (f.n)
        memcpy(copy, f.p, f.n);
    return copy;
}

/* The same as a string: up to its first NUL. */
static inline char *food_string(food f)
{
    char *copy = strndup(f.n ? (const char *)f.p : "", f.n);
    must(copy, "no memory");
    return copy;
}

/* A word that somebody could be fooled by: near what is right, near the ends, or anything. */
static inline uint64_t food_word(food *f, uint64_t right)
{
    switch (food_below(f, 8)) {
    case 0:
        return food_byte(f);
    case 1:
        return right + food_byte(f);
    case 2:
        return right - food_byte(f);
    case 3:
        return UINT64_MAX - food_byte(f);
    case 4:
        return right ^ UINT64_C(1) << food_below(f, 64);
    case 5:
        return food_number(f, 4);
    case 6:
        return (UINT64_C(1) << food_below(f, 64)) + right;
    default:
        return food_number(f, 8);
    }
}

/* One of the formats that there are, small ones where they have a size. */
static inline mpp_format food_format(food *f)
{
    const unsigned kind = food_below(f, 5);
    return kind == 0   ? (mpp_format){MPP_DELIMITED, '\n', 0}
           : kind == 1 ? (mpp_format){MPP_DELIMITED, (unsigned char)food_byte(f), 0}
           : kind == 2 ? (mpp_format){MPP_FIXED, 0, 1 + food_below(f, 9)}
           : kind == 3 ? (mpp_format){MPP_U32LE, 0, 0}
                       : (mpp_format){MPP_U32BE, 0, 0};
}

#endif
