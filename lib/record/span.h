/* span.h - bytes that lie somewhere */
#ifndef SPAN_H
#define SPAN_H

#include "mpp.h"

typedef struct span {
    const unsigned char *p;
    size_t n;
} span;

/* Callers may have no address for what is empty; string functions and pointer arithmetic want one. */
static inline span span_of(const unsigned char *p, size_t n)
{
    return (span){p == NULL ? (const unsigned char *)"" : p, n};
}

static inline span span_skip(span s, size_t n)
{
    return (span){s.p + n, s.n - n};
}

#endif
