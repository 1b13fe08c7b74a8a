/* world.h - what several graphs share: the table of processes and all meshes, taken when they are first needed */
#ifndef CMD_WHY_WORLD_H
#define CMD_WHY_WORLD_H

#include "proc/table.h"

#include "mpp-look.h"

typedef struct why_world why_world;
why_world *world_make(void);
void world_free(why_world **w);

proc_table *world_table(why_world *w);
/* Processes that it should have seen and did not, for want of time; 0 where nobody has asked for it. */
unsigned world_unseen(const why_world *w);
/* Snapshots of all meshes of this user that can be read. */
mpp_snapshot *const *world_meshes(why_world *w, unsigned *n);

#endif
