/* all.h - one process for each index (--all), and what every process of a tool does around its work */
#ifndef CMD_PARTICIPANT_ALL_H
#define CMD_PARTICIPANT_ALL_H

#include "mpp.h"
#include "participant/progress.h"

/* Worker i has failed, or was killed: do the others learn of it by themselves? */
typedef bool all_known(void *arg, unsigned i, bool killed);

/* Fork n workers, each of which dies with us.  In worker i: returns i.  In the parent: passes signals that end us
 * on, and returns -1 when all have ended, *status being that of the first that failed.  When one fails and known()
 * says that the others do not know, they are ended.  Meanwhile the parent draws what all have done, as `who`; NULL: it
 * does not.  Call it before any mesh is attached. */
int all_fork(unsigned n, const char *who, int *status, all_known *known, void *arg);

/* Where worker i tells what it has done; NULL: there is no memory for that, or no --all. */
progress_share *all_share(unsigned i);

/* Of what all workers learn one tells: true for the first that asks, and without --all. */
bool all_tell(void);

/* MPP_INDEX, MPP_COUNT and MPP_MESH, for commands. */
void all_environment(const char *mesh, unsigned index, unsigned count);

#endif
