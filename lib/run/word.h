/* word.h - the word that says how a stream's run stands on a channel: the only file that knows how it is packed
 *
 * The producer stores it behind the positions that it covers [E1]; who loads it first [E2] sees those positions, and
 * the frames up to them. */
#ifndef RUN_WORD_H
#define RUN_WORD_H

#include "base/atomics.h"
#include "shm/layout.h"

typedef struct run_word {
    unsigned run, state; /* which run, from 1; LAYOUT_NONE .. LAYOUT_UNASKED */
} run_word;

static inline uint64_t run_word_pack(unsigned run, unsigned state)
{
    return (uint64_t)run << 8 | state;
}
static inline run_word run_word_unpack(uint64_t word)
{
    return (run_word){.run = (unsigned)(word >> 8), .state = word & 0xff};
}

static inline void run_word_store(layout_end *end, unsigned run, unsigned state)
{
    store_release(&end->word, run_word_pack(run, state)); /* [E1] pairs with [E2] */
}
static inline run_word run_word_load(const layout_end *end)
{
    return run_word_unpack(load_acquire(&end->word)); /* [E2] pairs with [E1] */
}

#endif
