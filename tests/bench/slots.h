/* slots.h - where messages lie whose ring holds pointers: as many as can be under way, used in turn */
#ifndef SLOTS_H
#define SLOTS_H

#include "messages.h"

enum { SLOTS_RING_MIN = 16, SLOTS_RING_MAX = 1024, SLOTS_BURST = 32 };

typedef struct slots {
    unsigned char *bytes;
    size_t stride, n, next;
} slots;

/* How many pointers the ring shall hold: a power of two. */
static inline unsigned slots_ring(size_t size)
{
    unsigned n = SLOTS_RING_MAX;
    while (n > SLOTS_RING_MIN && n * size > MESSAGES_IN_FLIGHT)
        n /= 2;
    return n;
}

/* Those in the ring, and at each end a burst that is being filled or emptied. */
static inline slots slots_make(size_t size)
{
    slots s = {.stride = size, .n = slots_ring(size) + 2 * SLOTS_BURST};
    s.bytes = share_memory(s.n * s.stride);
    return s;
}

static inline void *slots_fill(slots *s, const void *message, size_t size)
{
    unsigned char *slot = s->bytes + s->next * s->stride;
    s->next = s->next + 1 == s->n ? 0 : s->next + 1;
    memcpy(slot, message, size);
    return slot;
}

#endif
