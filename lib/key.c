/* key.c - the key of a record: its fields, how they compare, where a partition sends it
 *
 * Orders are those of `LC_ALL=C sort`, whatever the locale of the process: two producers that disagree about an
 * order would send one key to two consumers.  Bodies may lie in memory that another process can still write;
 * nothing is read outside of them, whatever is found in them. */
#include "key.h"
#include "error.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIELD_MAX = 65535 };

typedef struct span {
    const unsigned char *p;
    size_t n;
} span;

/* Callers may have no address for what is empty; string functions and pointer arithmetic want one. */
static span span_of(const unsigned char *p, size_t n)
{
    return (span){p == NULL ? (const unsigned char *)"" : p, n};
}

static span span_skip(span s, size_t n)
{
    return (span){s.p + n, s.n - n};
}

/* ---- parsing ------------------------------------------------------------------------------------ */

/* A field's number at *p, which moves behind it.  0: there is none, or one out of range. */
static uint32_t parse_number(const char **p)
{
    uint32_t v = 0;
    for (; **p >= '0' && **p <= '9'; ++*p)
        if (v <= FIELD_MAX) /* and stay out of range, without wrapping, over any further digits */
            v = v * 10 + (uint32_t)(**p - '0');
    return v <= FIELD_MAX ? v : 0;
}

static key_order order_of(char letter)
{
    switch (letter) {
    case 'n':
        return KEY_NUMERIC;
    case 'g':
        return KEY_GENERAL;
    case 'h':
        return KEY_HUMAN;
    default:
        return KEY_BYTES;
    }
}

/* NULL: taken; else what is wrong with it. */
static const char *parse_letter(char letter, key_field *f)
{
    key_order order = order_of(letter);
    if (order != KEY_BYTES && f->order != KEY_BYTES && f->order != order)
        return "n, g and h exclude one another, as they do in sort";
    if (order != KEY_BYTES)
        f->order = order;
    else if (letter == 'r')
        f->reverse = true;
    else if (letter == 'f')
        f->fold = true;
    else if (letter == 'b')
        f->skip_blanks = true;
    else if (letter == '.')
        return "a key is whole fields, and sort's positions within one cannot be said: make them a field of their own";
    else if (letter != '\0' && strchr("diMRV", letter) != NULL)
        return "sort's letters d, i, M, R and V are not taken: make a field that sorts so by its bytes, or write n, g "
               "or h (one of them), f, b, r";
    else
        return "after a field's number come n, g or h (one of them), f, b, r";
    return NULL;
}

/* One field of the list at *text, which moves to the comma or the NUL behind it. */
static int parse_field(const char **text, key_field *f, mpp_error *err)
{
    const char *p = *text, *whole = *text, *wrong = NULL;
    int len = (int)strcspn(whole, ",");
    if (*p == '+')
        return error_set(err, MPP_S_USAGE, 0, "key field '%.*s': sort's old +N counts fields from 0; write N + 1", len,
                         whole);
    f->field = parse_number(&p);
    if (f->field == 0)
        return error_set(err, MPP_S_USAGE, 0, "key field '%.*s': expected a field's number from 1 to %d, then letters",
                         len, whole, FIELD_MAX);
    for (; p < whole + len && wrong == NULL; p++)
        wrong = parse_letter(*p, f);
    if (wrong != NULL)
        return error_set(err, MPP_S_USAGE, 0, "key field '%.*s', from '%.*s' on: %s", len, whole,
                         (int)(whole + len - p + 1), p - 1, wrong);
    *text = p;
    return 0;
}

/* What one field of ours says as sort's `-k 2n,2r` does, whose letters add up; its end's b only counts beside a
 * character's position, which is not there. */
static void write_field(const key_field *first, const key_field *second, char text[16])
{
    static const char orders[] = "\0ngh";
    key_order order = first->order != KEY_BYTES ? first->order : second->order;
    snprintf(text, 16, "%u%.1s%s%s%s", first->field, &orders[order], first->fold || second->fold ? "f" : "",
             first->skip_blanks ? "b" : "", first->reverse || second->reverse ? "r" : "");
}

/* A field that is named twice: who writes `2,2n` means sort's range from field 2 to field 2, and would get the bytes of
 * field 2 first.  begins: where each field's text begins, and where the last one ends. */
static int check_twice(const key *k, const char *const *begins, mpp_error *err)
{
    const key_field *last = &k->fields[k->n - 1];
    char instead[16];
    for (unsigned i = 0; i + 1 < k->n; i++) {
        if (k->fields[i].field != last->field)
            continue;
        if (i + 2 < k->n || (k->fields[i].order != last->order && k->fields[i].order != 0 && last->order != 0))
            return error_set(err, MPP_S_USAGE, 0, "key '%s' names field %u twice: leave one of them out", begins[0],
                             last->field);
        write_field(&k->fields[i], last, instead);
        return error_set(err, MPP_S_USAGE, 0,
                         "key '%s' names field %u twice: a key is a list of fields, not where it begins and ends; for "
                         "sort's -k %.*s write -k %s",
                         begins[0], last->field, (int)(begins[k->n] - begins[i]), begins[i], instead);
    }
    return 0;
}

int key_parse(const char *text, char separator, key *k, mpp_error *err)
{
    *k = (key){.separator = (unsigned char)separator};
    if (strlen(text) >= KEY_TEXT_MAX)
        return error_set(err, MPP_S_USAGE, 0, "key '%.32s...' is longer than %d bytes", text, KEY_TEXT_MAX - 1);
    const char *p = text, *begins[KEY_FIELDS_MAX + 1];
    if (*p == '\0')
        return 0;
    do {
        if (k->n == KEY_FIELDS_MAX)
            return error_set(err, MPP_S_USAGE, 0, "key '%s' has more than %d fields", text, KEY_FIELDS_MAX);
        begins[k->n] = p;
        if (parse_field(&p, &k->fields[k->n], err) != 0)
            return -1;
        begins[++k->n] = p;
        if (check_twice(k, begins, err) != 0)
            return -1;
    } while (*p++ == ',');
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------------- */

/* Field `number` of a text, 0 being all of it.  false, and an empty field, when the text has fewer. */
static bool find_field(span text, unsigned char separator, uint32_t number, span *field)
{
    const unsigned char *s, *end = text.p + text.n;
    *field = text;
    if (number == 0)
        return true;
    for (; number > 1; number--) {
        s = memchr(field->p, separator, field->n);
        if (s == NULL) {
            *field = (span){end, 0};
            return false;
        }
        *field = (span){s + 1, (size_t)(end - s) - 1};
    }
    s = memchr(field->p, separator, field->n);
    if (s != NULL)
        field->n = (size_t)(s - field->p);
    return true;
}

/* A key's fields where they lie in a record, in the order of the list; without a key, the record. */
static bool split_record(const key *k, span body, span *fields)
{
    bool all = true;
    fields[0] = body;
    for (unsigned i = 0; i < k->n; i++)
        all &= find_field(body, k->separator, k->fields[i].field, &fields[i]);
    return all;
}

/* Field i of a key that is written as its fields joined by the separator. */
static span joined_field(const key *k, span joined, unsigned i)
{
    span field;
    find_field(joined, k->separator, k->fields[i].field == 0 ? 0 : i + 1, &field);
    return field;
}

/* Does the record hold these fields just as they would be joined? */
static bool lie_joined(const span *fields, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        if (fields[i].p != fields[i - 1].p + fields[i - 1].n + 1)
            return false;
    return true;
}

static bool scratch_reserve(key_scratch *scratch, size_t size)
{
    if (scratch->size >= size)
        return true;
    size_t room = size < SIZE_MAX / 2 ? size * 2 : size; /* lengths vary: do not grow again for each */
    unsigned char *data = realloc(scratch->data, room);
    if (data == NULL)
        return false;
    scratch->data = data;
    scratch->size = room;
    return true;
}

/* The fields joined by the separator, in scratch; NULL when there is no memory. */
static const unsigned char *join_fields(const key *k, const span *fields, key_scratch *scratch, size_t *len)
{
    size_t size = k->n - 1;
    for (unsigned i = 0; i < k->n; i++)
        size += fields[i].n;
    *len = 0;
    if (!scratch_reserve(scratch, size + 1)) /* + 1: never ask realloc for nothing */
        return NULL;
    *len = size;
    unsigned char *to = scratch->data;
    for (unsigned i = 0; i < k->n; i++) {
        if (i > 0)
            *to++ = k->separator;
        memcpy(to, fields[i].p, fields[i].n);
        to += fields[i].n;
    }
    return scratch->data;
}

bool key_bytes(const key *k, const unsigned char *body, size_t n, key_scratch *scratch, const unsigned char **bytes,
               size_t *len)
{
    span fields[KEY_FIELDS_MAX];
    bool all = split_record(k, span_of(body, n), fields);
    if (k->n <= 1) {
        *bytes = fields[0].p;
        *len = fields[0].n;
    } else if (all && lie_joined(fields, k->n)) {
        span last = fields[k->n - 1];
        *bytes = fields[0].p;
        *len = (size_t)(last.p + last.n - fields[0].p);
    } else {
        *bytes = join_fields(k, fields, scratch, len);
    }
    return all;
}

unsigned key_hash(const unsigned char *bytes, size_t len, unsigned consumers)
{
    return key_modulo(XXH3_64bits(bytes, len), consumers);
}

/* ---- orders ------------------------------------------------------------------------------------- */

/* Comparisons give -1, 0 or 1, so that they can be negated. */
static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_bytes(span a, span b)
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
        d = compare_bytes(a->whole, b->whole);
    if (d == 0)
        d = compare_bytes(a->fraction, b->fraction);
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

static int compare_field(const key_field *f, span a, span b)
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
        d = f->fold ? compare_folded(a, b) : compare_bytes(a, b);
        break;
    }
    return f->reverse ? -d : d;
}

int key_compare(const key *k, const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len)
{
    span x = span_of(a, a_len), y = span_of(b, b_len);
    if (k->n == 0)
        return compare_bytes(x, y);
    int d = 0;
    for (unsigned i = 0; i < k->n && d == 0; i++) {
        span fx, fy;
        find_field(x, k->separator, k->fields[i].field, &fx);
        find_field(y, k->separator, k->fields[i].field, &fy);
        d = compare_field(&k->fields[i], fx, fy);
    }
    return d;
}

/* ---- ranges ------------------------------------------------------------------------------------- */

/* The fields of a key against a boundary. */
static int compare_bound(const key *k, const span *fields, span bound)
{
    if (k->n == 0)
        return compare_bytes(fields[0], bound);
    int d = 0;
    for (unsigned i = 0; i < k->n && d == 0; i++)
        d = compare_field(&k->fields[i], fields[i], joined_field(k, bound, i));
    return d;
}

static span bound_at(const key_ranges *r, unsigned i)
{
    return (span){r->bounds[i], r->lens[i]};
}

/* How many boundaries are not above the key: the consumer's number. */
static unsigned find_range(const key_ranges *r, const key *k, const span *fields)
{
    unsigned low = 0, high = r->n;
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (compare_bound(k, fields, bound_at(r, mid)) < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* A key's fields where they lie in its joined form; without a key, the record. */
static void split_joined(const key *k, span joined, span *fields)
{
    fields[0] = joined;
    for (unsigned i = 0; i < k->n; i++)
        fields[i] = joined_field(k, joined, i);
}

unsigned key_range(const key_ranges *r, const key *k, const unsigned char *body, size_t n)
{
    span fields[KEY_FIELDS_MAX];
    split_record(k, span_of(body, n), fields);
    return find_range(r, k, fields);
}

unsigned key_range_of_bytes(const key_ranges *r, const key *k, const unsigned char *bytes, size_t len)
{
    span fields[KEY_FIELDS_MAX];
    split_joined(k, span_of(bytes, len), fields);
    return find_range(r, k, fields);
}

static unsigned count_bounds(const char *text)
{
    unsigned n = *text != '\0';
    for (; *text != '\0'; text++)
        if (*text == '\\' && text[1] != '\0')
            text++;
        else if (*text == ',')
            n++;
    return n;
}

/* One boundary at *text, which moves behind its comma; written to `to`.  Its length, or -1: a bad escape. */
static ssize_t unescape_bound(const char **text, unsigned char *to)
{
    const char *p = *text;
    ssize_t n = 0;
    for (; *p != '\0' && *p != ','; p++) {
        if (*p == '\\' && *++p != ',' && *p != '\\')
            return -1;
        to[n++] = (unsigned char)*p; /* NOLINT(clang-analyzer-core.NullDereference): where there is a boundary */
    }
    *text = p + (*p == ',');
    return n;
}

static int unescape_bounds(const char *text, key_ranges *r, mpp_error *err)
{
    unsigned char *to = r->bounds[0];
    for (unsigned i = 0; i < r->n; i++) {
        const char *bound = text;
        ssize_t n = unescape_bound(&text, to);
        if (n < 0)
            return error_set(err, MPP_S_USAGE, 0,
                             "range boundary %u of '%.80s': write \\\\ for a backslash and \\, for a comma", i + 1,
                             bound);
        r->bounds[i] = to;
        r->lens[i] = (size_t)n;
        to += n;
        *to++ = '\0'; /* for messages.  NOLINT(clang-analyzer-core.NullDereference): as above */
    }
    return 0;
}

static bool too_many_fields(const key *k, span bound)
{
    span rest;
    return k->n > 0 && k->fields[0].field != 0 && find_field(bound, k->separator, k->n + 1, &rest);
}

static int check_bounds(const key_ranges *r, const key *k, mpp_error *err)
{
    for (unsigned i = 0; i < r->n; i++) {
        span fields[KEY_FIELDS_MAX];
        if (too_many_fields(k, bound_at(r, i)))
            return error_set(err, MPP_S_USAGE, 0, "range boundary '%.80s' has more fields than the key (%u)",
                             (char *)r->bounds[i], k->n);
        if (i == 0)
            continue;
        split_joined(k, bound_at(r, i), fields);
        if (compare_bound(k, fields, bound_at(r, i - 1)) <= 0)
            return error_set(err, MPP_S_USAGE, 0,
                             "range boundary '%.80s' does not come after '%.80s' in the key's order",
                             (char *)r->bounds[i], (char *)r->bounds[i - 1]);
    }
    return 0;
}

/* Room for n boundaries, whose text lies together from the first one on. */
static int allocate_bounds(key_ranges *r, unsigned n, size_t text_size, mpp_error *err)
{
    unsigned char *text = malloc(text_size);
    r->bounds = calloc(n, sizeof *r->bounds);
    r->lens = calloc(n, sizeof *r->lens);
    if (text == NULL || r->bounds == NULL || r->lens == NULL) {
        free(text);
        return error_set(err, MPP_S_ERROR, ENOMEM, "the boundaries of a range");
    }
    r->n = n;
    r->bounds[0] = text;
    return 0;
}

int key_ranges_parse(const char *text, const key *k, unsigned consumers, key_ranges *r, mpp_error *err)
{
    *r = (key_ranges){.n = 0};
    unsigned n = count_bounds(text);
    if (n + 1 != consumers)
        return error_set(err, MPP_S_USAGE, 0,
                         "the number of range boundaries is %u; it must be one less than that of consumers, %u", n,
                         consumers);
    if (n == 0)
        return 0;
    if (allocate_bounds(r, n, strlen(text) + 1, err) != 0 || unescape_bounds(text, r, err) != 0 ||
        check_bounds(r, k, err) != 0) {
        key_ranges_free(r);
        return -1;
    }
    return 0;
}

void key_ranges_free(key_ranges *r)
{
    if (r->bounds != NULL)
        free(r->bounds[0]);
    free(r->bounds);
    free(r->lens);
    *r = (key_ranges){.n = 0};
}
