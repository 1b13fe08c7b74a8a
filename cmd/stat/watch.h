/* watch.h - a view shown again and again: redrawn in place on a terminal, one block after the other off it */
#ifndef CMD_STAT_WATCH_H
#define CMD_STAT_WATCH_H

#include "stat/view.h"

/* Until the mesh is gone, or nobody reads stdout any more; a signal ends the process as if nobody had cared about it,
 * after the terminal is what it was.  What fails ends the process with its status. */
void stat_watch(stat_view *v, const stat_request *r);

/* Sleep, as who only wants rates does. */
void stat_watch_pause(int64_t ns);

#endif
