/* consume.h - the loop of mpp-consume: batches, sinks, signals, one wait */
#ifndef CMD_CONSUME_CONSUME_H
#define CMD_CONSUME_CONSUME_H

#include "consume/job.h"

/* Until every stream has ended and its records are in their sink, or the participant has failed. */
void consume(job *j);

/* Where upstream has failed, commands do not see an end; but what was published before is written. */
void consume_finish_sinks(job *j);

/* Tell those that run to end: nothing more is wanted of them. */
void consume_stop_commands(job *j);

/* Did a stream end because the mesh has failed? */
bool consume_any_gone(const job *j);

/* What all streams together have delivered. */
void consume_totals(const job *j, uint64_t *records, uint64_t *bytes);

#endif
