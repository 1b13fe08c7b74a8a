/* over.h - is run k over?
 *
 * A run may only begin when the one before is over everywhere.  Each side decides that for itself, from what the other
 * has stored: a consumer asks for run k+1 when every producer has left run k behind, and a producer begins run k+1 when
 * every consumer has. */
#ifndef RUN_OVER_H
#define RUN_OVER_H

#include "run/registry.h"
#include "run/word.h"

/* The consumer's half: how a run that it asked for stands with one producer.  OVER_CORRUPT: the producer's word is of a
 * run that cannot be, for run k is asked for only when k - 1 was over. */
typedef enum run_over { OVER_NOT_YET, OVER_IT_IS, OVER_CORRUPT } run_over;
/* unread: the consumer reads the run, and has yet to read what of it lies in the channel. */
run_over run_over_for_consumer(run_word word, unsigned run, bool unread);

/* The producer's half: what a consumer has yet to do before the producer's next run may begin. */
typedef enum run_rest {
    REST_NONE, /* it has left the run behind */
    REST_ASK,  /* it has yet to ask for it; its message wakes the producer */
    REST_READ, /* it has yet to read up to the run's end, unless it is there by now */
} run_rest;
run_rest run_rest_of_consumer(const registry *r, unsigned consumer);

#endif
