/* mailbox.h - one slot: a value is put there, replaces one that was not taken, and is taken by one reader at most
 *
 * There are P + 1 boxes for P producers.  Each producer owns one and writes into it; the slot names the one that is
 * left.
 *
 *   slot = count << 18 | producer << 10 | box << 1 | full
 *
 *   put:   write into the box that is ours; exchange the slot for {count, us, box, full} [X1]; the box that was
 *          there is ours now, and if it was full its value was never taken: it is overwritten
 *   take:  read the slot: full?  Copy the box; CAS the slot to the same, not full [X2].  Done: nobody else takes it,
 *          and the box has been in the slot all the time, hence in no producer's hands, hence the copy is whole.
 *          Else somebody took it, or a newer one is there: again
 *
 * No two puts store the same word (a producer counts its own, and its index is never used again), so the CAS cannot be
 * deceived.  A producer that dies owns a box that nobody needs; a reader that dies owns nothing.  What a reader had
 * taken dies with it: at most once.  overwritten + taken + what lies in the slot = put.
 */
#ifndef MAILBOX_H
#define MAILBOX_H

#include "shm/layout.h"

/* One end of either kind. */
typedef struct mailbox {
    layout_buffer *shared;
    unsigned char *boxes; /* (producers + 1) of layout_quarter() */
    uint64_t box_size;
    unsigned producers;
    unsigned producer; /* a writer's index, ... */
    unsigned box;      /* ... the box that it owns, ... */
    uint64_t count;    /* ... and how many it has put */
} mailbox;

/* The word of a new mailbox. */
static inline uint64_t mailbox_empty(unsigned producers)
{
    return (uint64_t)producers << 1;
}

/* At most box_size - sizeof(layout_value) bytes.  *overwritten: 1 when a value was replaced that nobody had taken.
 * false: the slot's word cannot be. */
bool mailbox_put(mailbox *m, const void *data, size_t n, uint64_t *overwritten);

typedef enum mailbox_outcome { MAILBOX_NOTHING, MAILBOX_VALUE, MAILBOX_AGAIN, MAILBOX_CORRUPT } mailbox_outcome;

/* Take the value, if it is of this producer; `to` has box_size bytes.  MAILBOX_AGAIN: newer ones came again and
 * again. */
mailbox_outcome mailbox_take(const mailbox *m, unsigned producer, unsigned char *to, layout_value *value);
/* Is there one of this producer? */
bool mailbox_full(const mailbox *m, unsigned producer);

#endif
