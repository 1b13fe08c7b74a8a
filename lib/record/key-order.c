#include "record/key-order.h"

#include "record/key.h"
#include "record/span.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Comparisons give -1, 0 or 1, so that they can be negated. */
static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

int key_compare_bytes(span a, span b)
{
    int d = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n); /* NOLINT(clang-analyzer-core.NonNullParamChecker): none is NULL */
    return d != 0 ? (d > 0) - (d < 0) : compare_sizes(a.n, b.n);
}

static unsigned char upper(unsigned char c)
{
    return c >= 'a' && c <= 'z' ? (unsigned char)(c - 'a' + 'A') : c;
}

static int compare_folded(span a, span b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        unsigned char x = upper(a.p[i]), y = upper(b.p[i]);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return compare_sizes(a.n, b.n);
}

/* As sort does, a newline too: it can stand in a record that ends otherwise. */
static span skip_blanks(span s)
{
    while (s.n > 0 && (*s.p == ' ' || *s.p == '\t' || *s.p == '\n'))
        s = span_skip(s, 1);
    return s;
}

/* A decimal number as text, of any length: digits without leading zeros, and a fraction without trailing ones.
 * What is no number is zero, and zero is not negative. */
typedef struct decimal {
    span whole, fraction;
    bool negative;
} decimal;

static bool is_zero(const decimal *d)
{
    return d->whole.n == 0 && d->fraction.n == 0;
}

static span take_digits(span *s)
{
    span digits = *s;
    while (s->n > 0 && *s->p >= '0' && *s->p <= '9')
        *s = span_skip(*s, 1);
    digits.n -= s->n;
    return digits;
}

/* *s moves behind the number. */
static decimal read_decimal(span *s)
{
    decimal d = {.fraction = span_of(NULL, 0)};
    *s = skip_blanks(*s);
    bool minus = s->n > 0 && *s->p == '-';
    *s = span_skip(*s, minus);
    d.whole = take_digits(s);
    while (d.whole.n > 0 && *d.whole.p == '0')
        d.whole = span_skip(d.whole, 1);
    if (s->n > 0 && *s->p == '.') {
        *s = span_skip(*s, 1);
        d.fraction = take_digits(s);
    }
    while (d.fraction.n > 0 && d.fraction.p[d.fraction.n - 1] == '0')
        d.fraction.n--;
    d.negative = minus && !is_zero(&d);
    return d;
}

static int compare_decimals(const decimal *a, const decimal *b)
{
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    int d = compare_sizes(a->whole.n, b->whole.n);
    if (d == 0)
        d = key_compare_bytes(a->whole, b->whole);
    if (d == 0)
        d = key_compare_bytes(a->fraction, b->fraction);
    return a->negative ? -d : d;
}

static int compare_numeric(span a, span b)
{
    decimal x = read_decimal(&a), y = read_decimal(&b);
    return compare_decimals(&x, &y);
}

/* The power of 1000 (or 1024: it makes no difference to the order) that follows a number, with its sign. */
static int magnitude(const decimal *d, span rest, bool fold)
{
    static const char units[] = "KMGTPEZYRQ";
    if (rest.n == 0 || is_zero(d))
        return 0;
    unsigned char c = *rest.p;
    const char *unit = memchr(units, fold || c == 'k' ? upper(c) : c, sizeof units - 1);
    int m = unit == NULL ? 0 : (int)(unit - units) + 1;
    return d->negative ? -m : m;
}

/* As sort does, the suffix first: 2000M comes before 1G. */
static int compare_human(span a, span b, bool fold)
{
    decimal x = read_decimal(&a), y = read_decimal(&b);
    int m = magnitude(&x, a, fold), o = magnitude(&y, b, fold);
    return m != o ? (m < o ? -1 : 1) : compare_decimals(&x, &y);
}

/* The C locale's number wherever the program has set another; glibc and musl have that locale ready. */
static long double to_number(const char *text, char **end)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return strtold(text, end);
    long double v = strtold_l(text, end, c);
    freelocale(c);
    return v;
}

/* What is no number has a rank of 0; then come NaNs with a minus, NaNs without, and at 3 all numbers. */
typedef struct general {
    int rank;
    long double value;
} general;

static general general_of(const char *text)
{
    char *end;
    general g = {.value = to_number(text, &end)};
    g.rank = end == text ? 0 : !isnan(g.value) ? 3 : signbit(g.value) ? 1 : 2;
    return g;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Up to the first blank behind a word, where any number has ended. */
static span first_word(span s)
{
    size_t n = 0;
    while (s.n > 0 && is_space(*s.p))
        s = span_skip(s, 1);
    while (n < s.n && !is_space(s.p[n]))
        n++;
    return (span){s.p, n};
}

static general read_general(span s)
{
    /* Room for every digit in front of the point that a long double tells apart.  Of what is longer than that, its
     * beginning must do where there is no memory for more. */
    char few[LDBL_MAX_10_EXP + 128], *more = NULL;
    if (s.n >= sizeof few)
        s = first_word(s);
    if (s.n >= sizeof few && (more = malloc(s.n + 1)) == NULL)
        s.n = sizeof few - 1;
    char *text = more != NULL ? more : few;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    general g = general_of(text);
    free(more);
    return g;
}

static int compare_general(span a, span b)
{
    general x = read_general(a), y = read_general(b);
    if (x.rank != y.rank)
        return x.rank < y.rank ? -1 : 1;
    return (x.value > y.value) - (x.value < y.value); /* 0 for NaNs */
}

int key_compare_field(const key_field *f, span a, span b)
{
    if (f->skip_blanks) {
        a = skip_blanks(a);
        b = skip_blanks(b);
    }
    int d = 0;
    switch (f->order) {
    case KEY_NUMERIC:
        d = compare_numeric(a, b);
        break;
    case KEY_GENERAL:
        d = compare_general(a, b);
        break;
    case KEY_HUMAN:
        d = compare_human(a, b, f->fold);
        break;
    case KEY_BYTES:
        d = f->fold ? compare_folded(a, b) : key_compare_bytes(a, b);
        break;
    }
    return f->reverse ? -d : d;
}

int key_compare(const key *k, const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len)
{
    span x = span_of(a, a_len), y = span_of(b, b_len);
    if (k->n == 0)
        return key_compare_bytes(x, y);
    int d = 0;
    for (unsigned i = 0; i < k->n && d == 0; i++) {
        span fx, fy;
        key_find_field(x, k->separator, k->fields[i].field, &fx);
        key_find_field(y, k->separator, k->fields[i].field, &fy);
        d = key_compare_field(&k->fields[i], fx, fy);
    }
    return d;
}
