/* splitter.h - where records end in a byte stream that arrives in pieces
 *
 * Goes over every byte once, and remembers between pieces how far into which record it is. */
#ifndef SPLITTER_H
#define SPLITTER_H

#include "mpp.h"

typedef struct splitter {
    mpp_format format;
    uint64_t max;       /* longest record, framing not counted */
    uint64_t in_record; /* bytes of the unfinished record that have been seen, framing counted */
    uint64_t length;    /* its length, framing counted, where that is known; else 0 */
    uint64_t records;   /* records that have ended, where counting is free or `count` asks for it */
    bool count;
    unsigned char prefix[4];
} splitter;

void splitter_init(splitter *s, const mpp_format *f, uint64_t max);
/* n more bytes.  *end: offset in p behind the last record that ends there, 0 if none does.
 * false: the record that begins at p + *end (or before p) is longer than max; no byte behind was looked at. */
bool splitter_scan(splitter *s, const unsigned char *p, size_t n, size_t *end);

#endif
