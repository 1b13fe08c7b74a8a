/* tap.h - the few words a C test needs to print TAP
 *
 *     ok(n == 3, "three records are counted");      one test; the sentence is a format with its arguments
 *     diag("seed %u", seed);                        a line of diagnostics
 *     return done_testing();                        the plan, and main's exit status
 *
 * A failing test prints where it stands and its expression; give with diag() whatever else is needed to see why.
 * Randomised tests draw from tap_random() and print tap_seed()'s seed: `MPP_SEED=n prog` runs the same test again. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct {
    unsigned run, failed;
    uint64_t random;
} tap;

#define ok(cond, ...) tap_ok((cond), #cond, __FILE__, __LINE__, __VA_ARGS__)

/* Whether the test passed.  Flushed at once: what a crash would swallow is what one wants to see. */
__attribute__((format(printf, 5, 6))) static inline bool tap_ok(bool passed, const char *expression, const char *file,
                                                                int line, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    tap.run++;
    tap.failed += !passed;
    printf("%s %u - ", passed ? "ok" : "not ok", tap.run);
    vprintf(format, ap);
    putchar('\n');
    if (!passed)
        printf("# %s:%d: %s\n", file, line, expression);
    fflush(stdout);
    va_end(ap);
    return passed;
}

__attribute__((format(printf, 1, 2))) static inline void diag(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("# ", stdout);
    vprintf(format, ap);
    putchar('\n');
    fflush(stdout);
    va_end(ap);
}

static inline int done_testing(void)
{
    printf("1..%u\n", tap.run);
    if (tap.failed > 0)
        diag("%u of %u failed", tap.failed, tap.run);
    fflush(stdout);
    return tap.failed > 0 || tap.run == 0;
}

/* Seed tap_random() from $MPP_SEED, else from the clock, and print it. */
static inline void tap_seed(void)
{
    const char *given = getenv("MPP_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    diag("MPP_SEED=%llu", (unsigned long long)seed);
    tap.random = seed;
}

/* 0 .. below - 1 (splitmix64: any seed will do). */
static inline uint64_t tap_random(uint64_t below)
{
    uint64_t z = tap.random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

/* Where the low n bytes of a word are, on this machine. */
static inline void *tap_low(uint64_t *word, size_t n)
{
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return (char *)word + (little ? 0 : sizeof *word - n);
}

/* What a hostile writer might make of a word: a bit, a little more or less, something small, something huge,
 * anything. */
static inline uint64_t tap_any_word(uint64_t old)
{
    switch (tap_random(6)) {
    case 0:
        return old ^ UINT64_C(1) << tap_random(64);
    case 1:
        return old + tap_random(65) - 32;
    case 2:
        return tap_random(300);
    case 3:
        return UINT64_MAX - tap_random(300);
    case 4:
        return old ^ tap_random(UINT64_C(1) << 32);
    default:
        return tap_random(UINT64_MAX);
    }
}

/* The same of a position, which is a multiple of 8. */
static inline uint64_t tap_any_position(uint64_t old)
{
    switch (tap_random(5)) {
    case 0:
        return old ^ UINT64_C(1) << tap_random(64);
    case 1:
        return old + 8 * tap_random(17) - 64;
    case 2:
        return tap_random(300);
    case 3:
        return UINT64_MAX - tap_random(300);
    default:
        return tap_random(UINT64_MAX);
    }
}

#endif
