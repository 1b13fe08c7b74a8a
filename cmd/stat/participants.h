/* participants.h - the table of a mesh's participants */
#ifndef CMD_STAT_PARTICIPANTS_H
#define CMD_STAT_PARTICIPANTS_H

#include "stat/table.h"

/* Once, before the table is used. */
void stat_participants_init(void);
table *stat_participants_table(void);

/* The dead and the corrupt, then who has been at the same thing for longest. */
int stat_worse_participant(const void *a, const void *b);

#endif
