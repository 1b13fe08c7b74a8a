/* blocks.h - a command for each block of records (--block): what it prints becomes one record behind its length
 *
 * A block ends with the record that makes it as long as it is to be, as a turn of the partition round-robin:SIZE does:
 * where that deals them out, a block is a turn.  One command runs at a time; what it prints is kept in memory until the
 * command has ended, and counts as nothing when it has not ended well. */
#ifndef CMD_CONSUME_BLOCKS_H
#define CMD_CONSUME_BLOCKS_H

#include "consume/job.h"

#include <poll.h>

/* size: of a block, bytes.  NULL: no memory. */
blocks *blocks_create(uint64_t size);
void blocks_destroy(blocks **b);

/* Whatever the line can do without waiting, some of it.  Its sink gets the records. */
bool blocks_step(job *j, line *l);

/* What to wait for, at most BLOCKS_WATCHED descriptors: how many. */
enum { BLOCKS_WATCHED = SINK_WATCHED + 1 };
unsigned blocks_watch(const blocks *b, struct pollfd set[BLOCKS_WATCHED]);
/* And until when at most: CLOCK_MONOTONIC, ns; 0: no matter. */
int64_t blocks_deadline(const blocks *b);
/* The command that runs, or one that does not. */
command *blocks_command(blocks *b);

#endif
