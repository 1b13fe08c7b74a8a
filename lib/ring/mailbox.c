#include "ring/mailbox.h"

#include "base/atomics.h"
#include "shm/layout.h"

enum { FULL = 1, BOX_SHIFT = 1, BOX_MASK = 511, PRODUCER_SHIFT = 10, PRODUCER_MASK = 255, COUNT_SHIFT = 18 };
static_assert((int)MPP_PARTICIPANTS_MAX <= PRODUCER_MASK + 1 && (int)MPP_PARTICIPANTS_MAX <= BOX_MASK,
              "they fit the word");

static unsigned box_of(uint64_t word)
{
    return word >> BOX_SHIFT & BOX_MASK;
}

static unsigned producer_of(uint64_t word)
{
    return word >> PRODUCER_SHIFT & PRODUCER_MASK;
}

bool mailbox_put(mailbox *m, const void *data, size_t n, uint64_t *overwritten)
{
    const layout_value value = {.number = m->count, .len = (uint32_t)n, .records = 1};
    unsigned char *box = m->boxes + m->box * m->box_size;
    copy_to_shared(box, &value, sizeof value);
    copy_to_shared(box + sizeof value, data, n);
    m->count++;
    const uint64_t word =
        m->count << COUNT_SHIFT | (uint64_t)m->producer << PRODUCER_SHIFT | (uint64_t)m->box << BOX_SHIFT | FULL;
    /* [X1] pairs with itself and [X2]: the bytes are there before the word; and who put or copied what lay in the box
     * that comes back had done with it before the word that we replace. */
    const uint64_t was = exchange(&m->shared->slot, word);
    *overwritten = was & FULL;
    if (box_of(was) > m->producers || box_of(was) == m->box)
        return false;
    m->box = box_of(was);
    return true;
}

bool mailbox_full(const mailbox *m, unsigned producer)
{
    const uint64_t word = load_acquire(&m->shared->slot); /* [X2] */
    return (word & FULL) && producer_of(word) == producer;
}

mailbox_outcome mailbox_take(const mailbox *m, unsigned producer, unsigned char *to, layout_value *value)
{
    enum { TRIES = 100 };
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t word = load_acquire(&m->shared->slot); /* [X2] pairs with [X1] */
        if (!(word & FULL) || producer_of(word) != producer)
            return MAILBOX_NOTHING;
        if (box_of(word) > m->producers)
            return MAILBOX_CORRUPT;
        const unsigned char *box = m->boxes + box_of(word) * m->box_size;
        copy_from_shared(value, box, sizeof *value);
        const bool good = layout_value_size(value->len) <= m->box_size && value->records == 1;
        if (good)
            copy_from_shared(to, box + sizeof *value, value->len);
        /* [X2] pairs with [X1]: the copy is over before a producer can have the box. */
        if (cas(&m->shared->slot, &word, word & ~(uint64_t)FULL))
            return good ? MAILBOX_VALUE : MAILBOX_CORRUPT;
    }
    return MAILBOX_AGAIN;
}
