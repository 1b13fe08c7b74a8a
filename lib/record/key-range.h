/* key-range.h - which range of a partition a key lies in */
#ifndef KEY_RANGE_H
#define KEY_RANGE_H

#include "record/key.h"

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
