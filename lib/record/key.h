/* key.h - the key of a record: its fields, and the bytes that are hashed
 *
 * A key is a list of fields, each with sort(1)'s ordering letters.  Fields are counted from 1 and lie between
 * single separator bytes; field k is empty when the record has fewer.  The key's bytes, as they are hashed, are
 * its fields in the order of the list joined by the separator. */
#ifndef KEY_H
#define KEY_H

#include "record/span.h"

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

/* n modulo consumers (at least 1).  Most meshes have a power of two of them, and a division takes longer than the
 * rest of what is done with a short record. */
static inline unsigned key_modulo(uint64_t n, unsigned consumers)
{
    return (unsigned)((consumers & (consumers - 1)) == 0 ? n & (consumers - 1) : n % consumers);
}

/* XXH3-64 with seed 0, modulo consumers (at least 1). */
unsigned key_hash(const unsigned char *bytes, size_t len, unsigned consumers);

/* Field `number`, from 1, of what the separator divides; 0: all of it.  false: there is none, and it is empty. */
bool key_find_field(span text, unsigned char separator, uint32_t number, span *field);
/* The key's fields in a body, of which there is at least one.  false: one is missing, and empty. */
bool key_split(const key *k, span body, span *fields);

#endif
