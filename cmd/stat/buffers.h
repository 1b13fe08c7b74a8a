/* buffers.h - the streams whose buffer overwrites: what was produced, and what each reader has had of it */
#ifndef CMD_STAT_BUFFERS_H
#define CMD_STAT_BUFFERS_H

#include "mpp-look.h"
#include "stat/table.h"
#include "stat/take.h"

/* Once, before any of these is used. */
void stat_buffers_init(void);
/* The table of producers' shares, for who chooses columns. */
table *stat_buffers_table(void);
/* Is it a channel of such a stream?  Nothing lies in its ring. */
bool stat_buffers_has(const mpp_snapshot *s, const mpp_channel *c);
/* The shares, and with `read` the readers, each after an empty line; nothing where the mesh has no such stream. */
void stat_buffers_print(const stat_mesh *m, size_t most, bool read, FILE *out);

#endif
