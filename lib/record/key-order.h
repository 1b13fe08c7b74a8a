/* key-order.h - how keys compare
 *
 * Orders are those of `LC_ALL=C sort`, whatever the locale of the process: two producers that disagree about an
 * order would send one key to two consumers.  Bodies may lie in memory that another process can still write;
 * nothing is read outside of them, whatever is found in them.
 */
#ifndef KEY_ORDER_H
#define KEY_ORDER_H

#include "record/key.h"
#include "record/span.h"

/* Compare by the fields and their letters, as `LC_ALL=C sort -s -t SEPARATOR -k 2nr,2 -k 1,1` does whatever the
 * locale; bodies without framing.  Missing fields are empty.  Units R and Q, and NaNs (those with a minus first, else
 * they are equal), are as in sort since 9.2.
 * n = 0 fields: bytewise, shorter first.  -1, 0 or 1. */
int key_compare(const key *k, const unsigned char *a, size_t a_len, const unsigned char *b, size_t b_len);

/* Compare bytewise, the shorter first: -1, 0 or 1. */
int key_compare_bytes(span a, span b);
/* Compare two fields of a key as that one does: -1, 0 or 1. */
int key_compare_field(const key_field *f, span a, span b);

#endif
