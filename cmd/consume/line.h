/* line.h - one stream on its way to its sink: batches are lent, or records staged one by one */
#ifndef CMD_CONSUME_LINE_H
#define CMD_CONSUME_LINE_H

#include "consume/job.h"

/* Give back what the line holds of the mesh; `state` is how it ends. */
void line_end(job *j, line *l, line_state state);

/* This stream has had enough. */
void line_enough(job *j, line *l);

/* The sink's reader has gone, or its command has ended before the data did. */
void line_lose_sink(job *j, line *l);

/* Start the sink's command, which everybody may know; a failure is the participant's. */
void line_start_command(job *j, sink *s);

/* An empty record as the stream's format has it, which is what a batch without bytes stands for; *n is 0 where there
 * can be none. */
const unsigned char *line_empty_record(const line *l, size_t *n);

/* What this producer sent is no whole record: a failure. */
void line_fail_by_record(job *j, unsigned producer);

/* Whatever the line can do without waiting, some of it. */
bool line_step(job *j, line *l);

#endif
