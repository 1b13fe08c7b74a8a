/* message.h - what goes to standard error, without waiting for ever for whoever reads it
 *
 * Standard error may be a pipe that is full, a terminal that Ctrl-S has stopped, a file on a hung file system, while
 * the mesh waits for us and we for nobody.  So an errand writes, and a process waits for its messages for two seconds
 * in all, and once a signal has told it to end for a moment.  What has not gone out then is dropped, when the process
 * ends.
 */
#ifndef CMD_COMMON_MESSAGE_H
#define CMD_COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/errand.h"

/* All of n bytes by one write, behind what was written before.  true: it is written; false with errno: it is not, or
 * not yet (ETIMEDOUT). */
bool message_write(const char *text, size_t n);

/* The same for what is worth nothing later: it is dropped when something is still on its way, and never waited for. */
void message_offer(const char *text, size_t n);

/* Wait for an errand for as long as for a message.  Is it done? */
bool message_await(const errand *e);

#endif
