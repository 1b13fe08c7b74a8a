/* Frames are whole multiples of 8 bytes. */
#include "ring/ring.h"

#include "base/atomics.h"
#include "shm/layout.h"

static bool valid(uint64_t read, uint64_t write, uint64_t size)
{
    return write - read <= size && ((read | write) & 7) == 0;
}

bool ring_writer_open(ring_writer *w, layout_channel *shared, unsigned char *bytes, uint64_t size)
{
    uint64_t write = load_relaxed(&shared->write); /* only the writer stores it, and we are the writer */
    uint64_t read = load_acquire(&shared->read);   /* [S2] */
    *w = (ring_writer){.shared = shared, .bytes = bytes, .size = size, .tail = write, .write = write, .read = read};
    return valid(read, write, size);
}

bool ring_reader_open(ring_reader *r, layout_channel *shared, unsigned char *bytes, uint64_t size)
{
    uint64_t read = load_relaxed(&shared->read);   /* only the reader stores it, and we are the reader */
    uint64_t write = load_acquire(&shared->write); /* [W2] */
    *r = (ring_reader){.shared = shared, .bytes = bytes, .size = size, .head = read, .read = read, .write = write};
    return valid(read, write, size);
}

uint64_t ring_space_now(ring_writer *w)
{
    /* [S2] pairs with [S1]: what the reader did with the bytes before this position happened before we overwrite
     * them.  Without it the reader could still be copying them. */
    uint64_t read = load_acquire(&w->shared->read);
    if (read - w->read > w->write - w->read || (read & 7))
        return RING_CORRUPT;
    w->read = read;
    return w->size - (w->tail - read);
}

uint64_t ring_refresh(ring_reader *r)
{
    uint64_t write = load_acquire(&r->shared->write); /* [W2] pairs with [W1]: see ring_publish() */
    if (write - r->write > r->size || !valid(r->read, write, r->size))
        return RING_CORRUPT;
    r->write = write;
    return write - r->head;
}

void ring_release(ring_reader *r)
{
    if (r->read == r->head)
        return;
    store_release(&r->shared->read, r->head); /* [S1] pairs with [S2]: see ring_space() */
    r->read = r->head;
}
