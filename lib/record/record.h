/* record.h - where records begin and end
 *
 * A format says how records are framed in a byte stream: each followed by a delimiter, of fixed size, or each
 * after its length as a 32-bit integer.  Pure functions over bytes, which may be another process's: every
 * length is loaded once and checked before it is used. */
#ifndef RECORD_H
#define RECORD_H

#include "mpp.h"

/* (mpp_record_next and mpp_record_count of mpp.h live in record.c as well.  A record of fixed size that goes on
 * past n is of known length: mpp_record_next says it as it does for prefixed ones.  mpp_record_count stops at a
 * prefix that goes past n.) */

/* The bytes of [p, p + n) up to the end of the last whole record in it: 0 .. n.  A record longer than max
 * (framing not counted) stops the walk of prefixed formats at its start; the other formats do not look at max. */
size_t record_last(const mpp_format *f, uint64_t max, const void *p, size_t n);

/* Are these n bytes whole records, or, where the format has such, an empty one without its framing?  What is between is
 * looked at in prefixed formats alone: in the others the last byte, or the length, tells. */
static inline bool record_whole(const mpp_format *f, const unsigned char *p, size_t n)
{
    if (f->kind == MPP_DELIMITED)
        return n == 0 || p[n - 1] == f->delimiter;
    if (f->kind == MPP_FIXED)
        return n == f->size || (n > 0 && n % f->size == 0);
    return record_last(f, UINT64_MAX, p, n) == n;
}

/* A record of len bytes, as mpp_record_next says, without its framing: *body points into the record.  What is in
 * the framing is not looked at again. */
void record_body(const mpp_format *f, const void *rec, size_t len, const unsigned char **body, size_t *n);

/* Bytes that framing adds in front of and behind a record of this format (0 or 4, 0 or 1). */
size_t record_head(const mpp_format *f);
size_t record_tail(const mpp_format *f);

/* Write the framing of a record of `n` body bytes, which record_check() allows, around [at + record_head, + n). */
void record_frame(const mpp_format *f, void *at, size_t n);

/* May these n bytes be a record of the format?  0, or EINVAL (holds the delimiter, not of the fixed size),
 * EMSGSIZE (longer than max, or than a prefix can say). */
int record_check(const mpp_format *f, uint64_t max, const void *body, size_t n);

/* Is this a valid format (as read from a segment)? */
bool record_format_valid(const mpp_format *f);

#endif
