/* source.h - one stream and its source: pieces are opened, read and reaped, one after the other */
#ifndef CMD_PRODUCE_SOURCE_H
#define CMD_PRODUCE_SOURCE_H

#include "produce/job.h"

/* For mpp_register(), arg being the job.  START: nothing is opened or spawned before this. */
int source_start(void *arg, unsigned stream, unsigned run, mpp_error *err);
/* The last CANCEL. */
void source_stop(void *arg, unsigned stream, unsigned run);

/* Whatever the line can do without waiting, some of it. */
bool source_step(job *j, line *l);

#endif
