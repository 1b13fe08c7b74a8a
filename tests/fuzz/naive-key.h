/* naive-key.h - the key of a record by the obvious way: what fuzz-key and fuzz-partition compare with */
#ifndef NAIVE_KEY_H
#define NAIVE_KEY_H

#include "fuzz.h"
#include "record/key.h"

#include <math.h>

typedef struct part {
    const unsigned char *p;
    size_t n;
} part;

/* ---- the list of fields ------------------------------------------------------------------------------ */

static inline bool naive_field_parse(const char *text, size_t n, key_field *f)
{
    size_t i = 0;
    double number = 0;
    *f = (key_field){0};
    for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        number = number * 10 + (text[i] - '0');
    if (i == 0 || number < 1 || number > 65535)
        return false;
    f->field = (uint32_t)number;
    for (; i < n; i++) {
        const key_order order = text[i] == 'n'   ? KEY_NUMERIC
                                : text[i] == 'g' ? KEY_GENERAL
                                : text[i] == 'h' ? KEY_HUMAN
                                                 : KEY_BYTES;
        if (order != KEY_BYTES && f->order != KEY_BYTES && f->order != order)
            return false;
        if (order == KEY_BYTES && !strchr("rfb", text[i]))
            return false;
        f->order = order != KEY_BYTES ? order : f->order;
        f->reverse |= text[i] == 'r';
        f->fold |= text[i] == 'f';
        f->skip_blanks |= text[i] == 'b';
    }
    return true;
}

static inline bool naive_named_before(const key *k, unsigned i)
{
    for (unsigned j = 0; j < i; j++)
        if (k->fields[j].field == k->fields[i].field)
            return true;
    return false;
}

static inline bool naive_key_parse(const char *text, unsigned char separator, key *k)
{
    *k = (key){.separator = separator};
    if (strlen(text) >= KEY_TEXT_MAX)
        return false;
    for (const char *p = text; *text; p++) {
        const size_t n = strcspn(p, ",");
        if (k->n == KEY_FIELDS_MAX || !naive_field_parse(p, n, &k->fields[k->n]) || naive_named_before(k, k->n++))
            return false;
        p += n;
        if (!*p)
            return true;
    }
    return true;
}

/* ---- fields ------------------------------------------------------------------------------------------ */

/* false: there are fewer, and the field is empty. */
static inline bool naive_field(part whole, unsigned char separator, uint32_t number, part *field)
{
    uint32_t at = 1;
    size_t begin = 0;
    for (size_t i = 0; i <= whole.n; i++) {
        if (i < whole.n && whole.p[i] != separator)
            continue;
        if (at++ == number) {
            *field = (part){whole.p + begin, i - begin};
            return true;
        }
        begin = i + 1;
    }
    *field = (part){whole.p, 0};
    return false;
}

/* The key's bytes, into `to`, which has room for the record once for each field and a separator. */
static inline bool naive_key_bytes(const key *k, part body, unsigned char *to, size_t *n)
{
    bool all = true;
    *n = 0;
    if (k->n == 0) {
        memcpy(to, body.p, body.n);
        *n = body.n;
    }
    for (unsigned i = 0; i < k->n; i++) {
        part field;
        all &= naive_field(body, k->separator, k->fields[i].field, &field);
        if (i > 0)
            to[(*n)++] = k->separator;
        memcpy(to + *n, field.p, field.n);
        *n += field.n;
    }
    return all;
}

/* ---- orders ------------------------------------------------------------------------------------------ */

static inline bool naive_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static inline unsigned naive_upper(unsigned c)
{
    return c >= 'a' && c <= 'z' ? c - 32 : c;
}

static inline int naive_order(const unsigned char *a, size_t a_n, const unsigned char *b, size_t b_n, bool fold)
{
    for (size_t i = 0;; i++) {
        if (i == a_n || i == b_n)
            return (a_n > b_n) - (a_n < b_n);
        const unsigned x = fold ? naive_upper(a[i]) : a[i], y = fold ? naive_upper(b[i]) : b[i];
        if (x != y)
            return x < y ? -1 : 1;
    }
}

/* A decimal number where it stands: its digits before and behind the point, and what follows it. */
typedef struct naive_decimal {
    part text;
    size_t from, point, end;
    bool minus, zero;
    unsigned char next; /* NUL: nothing */
} naive_decimal;

static inline bool naive_digit(part s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

static inline naive_decimal naive_decimal_of(part s)
{
    naive_decimal d = {.text = s, .zero = true};
    while (d.from < s.n && naive_blank(s.p[d.from]))
        d.from++;
    d.minus = d.from < s.n && s.p[d.from] == '-';
    d.from += d.minus;
    for (d.point = d.from; naive_digit(s, d.point); d.point++)
        d.zero &= s.p[d.point] == '0';
    for (d.end = d.point + (d.point < s.n && s.p[d.point] == '.'); naive_digit(s, d.end); d.end++)
        d.zero &= s.p[d.end] == '0';
    d.next = d.end < s.n ? s.p[d.end] : 0;
    d.minus &= !d.zero;
    return d;
}

/* The digit of ten to the power of so much. */
static inline int naive_digit_of(const naive_decimal *d, long power)
{
    const long at = power >= 0 ? (long)d->point - 1 - power : (long)d->point - power;
    return at < (long)d->from || at >= (long)d->end ? 0 : d->text.p[at] - '0';
}

static inline int naive_decimals(const naive_decimal *a, const naive_decimal *b)
{
    const long most = (long)(a->text.n + b->text.n);
    if (a->minus != b->minus)
        return a->minus ? -1 : 1;
    for (long power = most; power >= -most; power--) {
        const int x = naive_digit_of(a, power), y = naive_digit_of(b, power);
        if (x != y)
            return (x < y) != a->minus ? -1 : 1;
    }
    return 0;
}

static inline int naive_unit(const naive_decimal *d, bool fold)
{
    const unsigned char c = (unsigned char)(fold || d->next == 'k' ? naive_upper(d->next) : d->next);
    const char *unit = c ? strchr("KMGTPEZYRQ", c) : NULL;
    const int rank = unit && !d->zero ? 11 - (int)strlen(unit) : 0; /* K 1, M 2, ... Q 10 */
    return d->minus ? -rank : rank;
}

static inline int naive_human(part a, part b, bool fold)
{
    const naive_decimal x = naive_decimal_of(a), y = naive_decimal_of(b);
    const int m = naive_unit(&x, fold), o = naive_unit(&y, fold);
    return m != o ? (m < o ? -1 : 1) : naive_decimals(&x, &y);
}

static inline int naive_numeric(part a, part b)
{
    const naive_decimal x = naive_decimal_of(a), y = naive_decimal_of(b);
    return naive_decimals(&x, &y);
}

static inline int naive_rank(long double v, bool none)
{
    return none ? 0 : v == v ? 3 : signbit(v) ? 1 : 2;
}

static inline int naive_general(part a, part b)
{
    char *x = food_string((food){a.p, a.n}), *y = food_string((food){b.p, b.n}), *x_end, *y_end;
    const long double v = strtold(x, &x_end), w = strtold(y, &y_end);
    const int rank_x = naive_rank(v, x_end == x), rank_y = naive_rank(w, y_end == y);
    free(x);
    free(y);
    if (rank_x != rank_y)
        return rank_x < rank_y ? -1 : 1;
    return (v > w) - (v < w);
}

static inline int naive_field_compare(const key_field *f, part a, part b)
{
    while (f->skip_blanks && a.n > 0 && naive_blank(*a.p))
        a = (part){a.p + 1, a.n - 1};
    while (f->skip_blanks && b.n > 0 && naive_blank(*b.p))
        b = (part){b.p + 1, b.n - 1};
    const int d = f->order == KEY_NUMERIC   ? naive_numeric(a, b)
                  : f->order == KEY_GENERAL ? naive_general(a, b)
                  : f->order == KEY_HUMAN   ? naive_human(a, b, f->fold)
                                            : naive_order(a.p, a.n, b.p, b.n, f->fold);
    return f->reverse ? -d : d;
}

static inline int naive_compare(const key *k, part a, part b)
{
    if (k->n == 0)
        return naive_order(a.p, a.n, b.p, b.n, false);
    for (unsigned i = 0; i < k->n; i++) {
        part x, y;
        naive_field(a, k->separator, k->fields[i].field, &x);
        naive_field(b, k->separator, k->fields[i].field, &y);
        const int d = naive_field_compare(&k->fields[i], x, y);
        if (d != 0)
            return d;
    }
    return 0;
}

/* The joined key against a boundary, which is written like it. */
static inline int naive_joined_compare(const key *k, part a, part b)
{
    key joined = *k;
    for (unsigned i = 0; i < joined.n; i++)
        joined.fields[i].field = i + 1;
    return naive_compare(&joined, a, b);
}

#endif
