#include "record/key.h"

#include "base/error.h"
#include "record/span.h"

#include <float.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIELD_MAX = 65535 };

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

/* ---- fields ------------------------------------------------------------------------------------------ */

/* Field `number` of a text, 0 being all of it.  false, and an empty field, when the text has fewer. */
bool key_find_field(span text, unsigned char separator, uint32_t number, span *field)
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
bool key_split(const key *k, span body, span *fields)
{
    bool all = true;
    fields[0] = body;
    for (unsigned i = 0; i < k->n; i++)
        all &= key_find_field(body, k->separator, k->fields[i].field, &fields[i]);
    return all;
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
    bool all = key_split(k, span_of(body, n), fields);
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
