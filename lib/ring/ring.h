/* ring.h - a data ring's two ends: positions and bytes, no frames, no policy
 *
 * The ring's memory is mapped twice in a row, so that any range of up to `size` bytes is contiguous.  Positions are
 * 64-bit and only grow.  The writer's end knows how far it wrote (tail) and published (write), and keeps a copy of
 * the reader's position that it refreshes when it runs out of space; the reader's end mirrors that.  So no shared
 * line is touched but to publish, to release, and when one end has run out.
 *
 * What the other side stored is input: a position that goes back, or lies more than a ring away, is corrupt, and the
 * calls say so by RING_CORRUPT.  Published bytes belong to the reader until it releases them, the rest to the writer.
 */
#ifndef RING_H
#define RING_H

#include "base/atomics.h"
#include "shm/layout.h"

#define RING_CORRUPT UINT64_MAX

typedef struct ring_writer {
    layout_channel *shared;
    unsigned char *bytes; /* mapped twice */
    uint64_t size;
    uint64_t tail;  /* written, perhaps not published yet */
    uint64_t write; /* published */
    uint64_t read;  /* the reader's position when last looked at */
} ring_writer;

typedef struct ring_reader {
    layout_channel *shared;
    unsigned char *bytes;
    uint64_t size;
    uint64_t head;  /* read, perhaps not released yet */
    uint64_t read;  /* released */
    uint64_t write; /* the writer's position when last looked at */
} ring_reader;

/* Start where the shared words stand.  false: they are not valid. */
bool ring_writer_open(ring_writer *w, layout_channel *shared, unsigned char *bytes, uint64_t size);
bool ring_reader_open(ring_reader *r, layout_channel *shared, unsigned char *bytes, uint64_t size);

/* Free bytes behind the tail, after a look at the reader's position. */
uint64_t ring_space_now(ring_writer *w);
/* The same, with a look only when the copy of that position does not show `need`. */
static inline uint64_t ring_space(ring_writer *w, uint64_t need)
{
    const uint64_t space = w->size - (w->tail - w->read);
    return space >= need ? space : ring_space_now(w);
}
/* The bytes at the tail. */
static inline unsigned char *ring_tail(const ring_writer *w)
{
    return w->bytes + (w->tail & (w->size - 1));
}
/* Everything before `to` is the reader's now. */
static inline void ring_publish(ring_writer *w, uint64_t to)
{
    /* [W1] pairs with [W2]: the bytes are there before the position says so.  A crash before this store leaves
     * nothing of what it would have published, one after it all of that. */
    store_release(&w->shared->write, to);
    w->write = to;
}

/* Unread bytes, after a look at the writer's position. */
uint64_t ring_refresh(ring_reader *r);
/* The same, with a look only when the copy of that position shows none. */
static inline uint64_t ring_unread(ring_reader *r)
{
    return r->write != r->head ? r->write - r->head : ring_refresh(r);
}
static inline const unsigned char *ring_head(const ring_reader *r)
{
    return r->bytes + (r->head & (r->size - 1));
}
/* Everything before the head is the writer's again. */
void ring_release(ring_reader *r);

#endif
