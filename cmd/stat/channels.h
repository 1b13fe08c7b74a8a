/* channels.h - the table of a mesh's channels */
#ifndef CMD_STAT_CHANNELS_H
#define CMD_STAT_CHANNELS_H

#include "stat/table.h"

/* Once, before the table is used. */
void stat_channels_init(void);
table *stat_channels_table(void);

/* The fullest, then where most time was lost to waiting for space, then for data. */
int stat_worse_channel(const void *a, const void *b);

#endif
