/* produce.h - the loop of mpp-produce: consumers, sources, signals, one wait */
#ifndef CMD_PRODUCE_PRODUCE_H
#define CMD_PRODUCE_PRODUCE_H

#include "produce/job.h"

/* Until nothing more will be asked for, or the participant has failed. */
void produce(job *j);

#endif
