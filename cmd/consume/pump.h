/* pump.h - a descriptor that may keep its writer waiting, written by a thread
 *
 * The loop writes into a pipe, which never makes it wait; an errand takes what is there on to the descriptor.  Its
 * errors are the descriptor's, and so is the time that it takes until all is through.
 */
#ifndef CMD_CONSUME_PUMP_H
#define CMD_CONSUME_PUMP_H

#include <stdbool.h>

typedef struct pump pump;

/* Takes fd over, which is closed at the end as by io_close().  NULL with errno: no thread, descriptor or memory is to
 * be had; fd is still the caller's. */
pump *pump_begin(int fd);

/* Where to write, without being kept waiting; EPIPE: the pump has failed.  -1 after pump_end(). */
int pump_fd(const pump *p);

/* There is no more to come. */
void pump_end(pump *p);

/* Has everything been written and fd been closed, or was that given up?  Then *failure is errno of what failed, or 0;
 * EPIPE: fd's reader has gone. */
bool pump_through(const pump *p, int *failure);

/* Readable once pump_through(). */
int pump_news(const pump *p);

/* Free it.  One that is not through is abandoned: what it holds is lost when the process ends.  NULL: no effect. */
void pump_close(pump **p);

#endif
