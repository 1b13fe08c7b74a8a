#include "record/key-range.h"

#include "base/error.h"
#include "record/key-order.h"
#include "record/key.h"
#include "record/span.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* Field i of a key that is written as its fields joined by the separator. */
static span joined_field(const key *k, span joined, unsigned i)
{
    span field;
    key_find_field(joined, k->separator, k->fields[i].field == 0 ? 0 : i + 1, &field);
    return field;
}

/* The fields of a key against a boundary. */
static int compare_bound(const key *k, const span *fields, span bound)
{
    if (k->n == 0)
        return key_compare_bytes(fields[0], bound);
    int d = 0;
    for (unsigned i = 0; i < k->n && d == 0; i++)
        d = key_compare_field(&k->fields[i], fields[i], joined_field(k, bound, i));
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
    key_split(k, span_of(body, n), fields);
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
    return k->n > 0 && k->fields[0].field != 0 && key_find_field(bound, k->separator, k->n + 1, &rest);
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
