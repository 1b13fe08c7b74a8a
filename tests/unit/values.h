/* values.h - values that show whether they are whole: a number, a checksum, and bytes that follow from the number */
#ifndef VALUES_H
#define VALUES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

enum { VALUE_LEAST = 16 };

static inline uint64_t value_word(uint64_t number, size_t i)
{
    return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + i;
}

/* n >= VALUE_LEAST bytes at `to`, for value `number`. */
static inline void value_make(unsigned char *to, size_t n, uint64_t number)
{
    for (size_t at = VALUE_LEAST; at < n; at += sizeof(uint64_t)) {
        const uint64_t word = value_word(number, at);
        memcpy(to + at, &word, n - at < sizeof word ? n - at : sizeof word);
    }
    const uint64_t sum = XXH3_64bits_withSeed(to + VALUE_LEAST, n - VALUE_LEAST, number ^ n);
    memcpy(to, &number, sizeof number);
    memcpy(to + sizeof number, &sum, sizeof sum);
}

/* Is it whole?  *number: which it is. */
static inline bool value_whole(const unsigned char *at, size_t n, uint64_t *number)
{
    uint64_t sum;
    if (n < VALUE_LEAST)
        return false;
    memcpy(number, at, sizeof *number);
    memcpy(&sum, at + sizeof *number, sizeof sum);
    return sum == XXH3_64bits_withSeed(at + VALUE_LEAST, n - VALUE_LEAST, *number ^ n);
}

#endif
