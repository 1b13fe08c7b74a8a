#include "ring/tape.h"

#include "base/atomics.h"
#include "shm/layout.h"

static unsigned char *at(const unsigned char *bytes, uint64_t size, uint64_t position)
{
    return (unsigned char *)bytes + (position & (size - 1));
}

void tape_writer_open(tape_writer *w, layout_share *shared, unsigned char *bytes, uint64_t size)
{
    *w = (tape_writer){.shared = shared,
                       .bytes = bytes,
                       .size = size,
                       .oldest = load_relaxed(&shared->oldest),
                       .write = load_relaxed(&shared->write)};
    if (w->write - w->oldest > size || ((w->write | w->oldest) & 7))
        w->oldest = w->write & ~UINT64_C(7), w->write = w->oldest;
}

/* Move over whole values until there is room for `need` bytes, and an eighth of the tape more. */
static bool give_up(tape_writer *w, uint64_t need, uint64_t *overwritten)
{
    bool good = true;
    const uint64_t goal = w->write + need + w->size / 8 - w->size;
    while (w->oldest != w->write && (int64_t)(w->oldest - goal) < 0) {
        layout_value value;
        copy_from_shared(&value, at(w->bytes, w->size, w->oldest), sizeof value);
        const uint64_t size = layout_value_size(value.len);
        good = size <= w->write - w->oldest && value.records <= w->records;
        w->oldest = good ? w->oldest + size : w->write;
        *overwritten += good ? value.records : 0;
    }
    store_release(&w->shared->oldest, w->oldest); /* [W1]: where one may begin, `write` covers it */
    release_fence(); /* [O1] pairs with [O2]: no byte is overwritten before `oldest` says so */
    return good;
}

bool tape_write(tape_writer *w, const void *data, size_t n, unsigned records, uint64_t *overwritten)
{
    const layout_value value = {.number = w->records, .len = (uint32_t)n, .records = records};
    const uint64_t size = layout_value_size(n);
    bool good = true;
    *overwritten = 0;
    if (w->write + size - w->oldest > w->size)
        good = give_up(w, size, overwritten);
    unsigned char *to = at(w->bytes, w->size, w->write);
    copy_to_shared(to, &value, sizeof value);
    copy_to_shared(to + sizeof value, data, n);
    const uint64_t newest = w->write + 1;
    w->records += records;
    w->write += size;
    store_release(&w->shared->write, w->write); /* [W1] pairs with [W2]: the bytes before the position */
    store_release(&w->shared->newest, newest);  /* [W1]: and `write` covers what it names */
    return good;
}

bool tape_unread(const tape_reader *r, bool newest)
{
    if (!newest)
        return load_acquire(&r->shared->write) != r->position; /* [W2] */
    const uint64_t last = load_acquire(&r->shared->newest);    /* [W2] */
    return last && (!r->began || (int64_t)(last - 1 - r->position) >= 0);
}

/* Has the writer given up what lies at the position?  [O2] pairs with [O1]: whatever was copied before is of later
 * values only if this sees that it is. */
static bool overtaken(const tape_reader *r, uint64_t position, uint64_t *oldest)
{
    acquire_fence();                            /* [O2] */
    *oldest = load_acquire(&r->shared->oldest); /* [W2] for who begins again there */
    return (int64_t)(position - *oldest) < 0;
}

/* Copy what lies at the position.  TAPE_AGAIN: it is not there any more, *oldest is. */
static tape_outcome copy_value(const tape_reader *r, uint64_t position, unsigned char *to, layout_value *value,
                               uint64_t *oldest)
{
    const unsigned char *from = at(r->bytes, r->size, position);
    const uint64_t behind = load_acquire(&r->shared->write) - position; /* [W2] */
    if (behind > r->size)                                               /* far behind, or nonsense */
        return overtaken(r, position, oldest) ? TAPE_AGAIN : TAPE_CORRUPT;
    copy_from_shared(value, from, sizeof *value);
    const uint64_t size = layout_value_size(value->len);
    const bool good = size <= behind && size <= layout_quarter(r->size);
    if (good)
        copy_from_shared(to, from + sizeof *value, value->len);
    if (overtaken(r, position, oldest))
        return TAPE_AGAIN;
    return good ? TAPE_VALUE : TAPE_CORRUPT;
}

tape_outcome tape_read(tape_reader *r, bool newest, unsigned char *to, layout_value *value, uint64_t *missed)
{
    enum { TRIES = 100 };
    tape_outcome outcome = TAPE_AGAIN;
    uint64_t position = r->position, oldest, first = 0;
    if (!r->began && !newest)
        position = load_acquire(&r->shared->oldest); /* not ordered by it: the copy is checked as any other */
    for (unsigned i = 0; i < TRIES && outcome == TAPE_AGAIN; i++) {
        if (newest) {
            if (!tape_unread(r, true))
                return TAPE_NOTHING;
            position = load_acquire(&r->shared->newest) - 1; /* [W2] */
            first = i == 0 ? position : first;
        } else if (position == load_acquire(&r->shared->write)) { /* [W2] */
            r->position = position;
            return TAPE_NOTHING;
        }
        if (position & 7)
            return TAPE_CORRUPT;
        outcome = copy_value(r, position, to, value, &oldest);
        if (outcome == TAPE_AGAIN && !newest)
            position = oldest;
    }
    if (outcome == TAPE_AGAIN && newest && position == first)
        return TAPE_CORRUPT; /* given up, and still the newest: no writer does that, and we would look for ever */
    if (outcome != TAPE_VALUE)
        return outcome;
    if (value->number < r->next || value->records > UINT64_MAX - value->number)
        return TAPE_CORRUPT;
    *missed = value->number - r->next;
    r->next = value->number + value->records;
    r->position = position + layout_value_size(value->len);
    r->began = true;
    return TAPE_VALUE;
}
