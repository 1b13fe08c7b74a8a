/* registry.h - what consumers have asked of one stream: runs, and who has enough of which
 *
 * Pure state, moved by START and CANCEL messages (by producer/service.c alone) and by the producer's
 * beginning and ending of runs; writers look here and never at messages.
 *
 *   idle(k)  --START(k+1) from any, k over everywhere-->  running(k+1)
 *   running(k)  --the source ends-->  idle(k)            (each consumer drains to its end position)
 *   running(k)  --CANCEL(k) from the last of all-->  idle(k)       (the source is stopped)
 *   idle(k)  --CANCEL(k+1) from the last of all, never begun-->  idle(k+1)
 *
 * Triggering is idempotent: a START for the run that is running changes nothing but who has asked.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "mpp.h"

typedef struct registry {
    unsigned consumers;
    unsigned run;  /* the last one that was begun, 0: none */
    unsigned runs; /* how many there may be, 0: any number */
    bool running;
    bool eager;          /* run 1 begins unasked */
    unsigned *asked;     /* per consumer: its last START */
    unsigned *cancelled; /* per consumer: its last CANCEL */
} registry;

int registry_init(registry *r, unsigned consumers, unsigned runs); /* 0, or -1 with ENOMEM */
void registry_free(registry *r);

/* A message of consumer j.  false: it cannot be (a run out of order, unknown type). */
bool registry_message(registry *r, unsigned consumer, uint32_t type, uint32_t run);
/* A consumer that is gone for good: what it never asked for it never will.  true: that is news. */
bool registry_left(registry *r, unsigned consumer);

/* Does anybody want run k + 1? */
bool registry_wanted(const registry *r);
/* Have all consumers cancelled run k? */
bool registry_unwanted(const registry *r, unsigned run);
static inline bool registry_has_enough(const registry *r, unsigned consumer)
{
    return r->cancelled[consumer] >= r->run;
}
/* Has the last run been, or can none be any more? */
static inline bool registry_finished(const registry *r)
{
    return !r->running && r->runs != 0 && r->run >= r->runs;
}

#endif
