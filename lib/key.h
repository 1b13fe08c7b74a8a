/* key.h - the key of a record: its fields, how they compare, where a partition sends it
 *
 * A key is a list of fields, each with sort(1)'s ordering letters.  Fields are counted from 1 and lie between
 * single separator bytes; field k is empty when the record has fewer.  The key's bytes, as they are hashed, are
 * its fields in the order of the list joined by the separator. */
#ifndef KEY_H
#define KEY_H

#include "mpp.h"

enum { KEY_FIELDS_MAX = 16, KEY_TEXT_MAX = 128 };

typedef enum key_order { KEY_BYTES = 0, KEY_NUMERIC, KEY_GENERAL, KEY_HUMAN } key_order; /* - n g h */

typedef struct key_field {
    uint32_t field; /* from 1; 0: the whole record */
    key_order order;
    bool reverse;     /* r */
    bool fold;        /* f: lower case compares as upper case */
    bool skip_blanks; /* b: leading blanks do not compare */
} key_field;

typedef struct key {
    key_field fields[KEY_FIELDS_MAX];
    unsigned n; /* 0: no key; the whole record compares by its bytes */
    unsigned char separator;
} key;

/* Parse "2nr,1"; "" is no key.  Fields are 1 .. 65535; n, g and h exclude one another; beside them f only makes
 * 1m the same as 1M to h, as in sort.
 * No field twice: who writes "2,2n" means what sort does, from field 2 to field 2.
 * 0, or -1 with *err (MPP_S_USAGE) that quotes the part that is wrong and says what to write; *k is undefined then. */
int key_parse(const char *text, char separator, key *k, mpp_error *err);

/* The bytes that are hashed.  Points into body where the fields lie there as they are joined (one field, or
 * fields n, n+1, ... in order); else they are joined in scratch, which starts as {NULL, 0} and grows as needed
 * (free(scratch->data)); *bytes is valid until the next call with it.  A key of fewer than two fields never
 * touches scratch, which may be NULL then.
 * false: a field is missing (its part of the key is empty).  *bytes is NULL when there is no memory for scratch. */
typedef struct key_scratch {
    unsigned char *data;
    size_t size;
} key_scratch;
bool key_bytes(const key *k, const unsigned char *body, size_t n, key_scratch *scratch, const unsigned char **bytes,
               size_t *len);

/* Compare by the fields and their letters, as `LC_ALL=C sort -s -t SEPARATOR -k 2nr,2 -k 1,1` does whatever the
 * locale; bodies without framing.  Missing fields are empty.  Units R and Q, and NaNs (those with a minus first, else
 * they are equal), are as in sort since 9.2.
 * n = 0 fields: bytewise, shorter first.  -1, 0 or 1. */
int key_compare(const key *k, const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len);

/* n modulo consumers (at least 1).  Most meshes have a power of two of them, and a division takes longer than the
 * rest of what is done with a short record. */
static inline unsigned key_modulo(uint64_t n, unsigned consumers)
{
    return (unsigned)((consumers & (consumers - 1)) == 0 ? n & (consumers - 1) : n % consumers);
}

/* XXH3-64 with seed 0, modulo consumers (at least 1). */
unsigned key_hash(const unsigned char *bytes, size_t len, unsigned consumers);

/* The boundaries B1 .. Bn of a range partition: consumer i gets the keys k with B[i] <= k < B[i+1], as the key's
 * letters compare them (so for a reversed key the boundaries descend).  A boundary is written as the key's
 * fields joined by the separator, those that it lacks being empty; boundaries are separated by commas, `\,` stands
 * for a comma, `\\` for a backslash, and a backslash before anything else is an error. */
typedef struct key_ranges {
    unsigned n;             /* boundaries */
    unsigned char **bounds; /* as records whose fields 1..k->n are the key; in ascending order */
    size_t *lens;
} key_ranges;
/* 0, or -1 with *err and *r empty.  MPP_S_USAGE: not exactly consumers - 1 boundaries (no text: none), not
 * strictly ascending, or one with more fields than the key; MPP_S_ERROR: no memory. */
int key_ranges_parse(const char *text, const key *k, unsigned consumers, key_ranges *r, mpp_error *err);
/* Free what *r holds, and clear it. */
void key_ranges_free(key_ranges *r);
/* The consumer whose range holds this record's key.  Binary search. */
unsigned key_range(const key_ranges *r, const key *k, const unsigned char *body, size_t n);
/* The same for a key given as its bytes (fields joined by the separator), as --where takes it. */
unsigned key_range_of_bytes(const key_ranges *r, const key *k, const unsigned char *bytes, size_t len);

#endif
