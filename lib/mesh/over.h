/* over.h - when a mesh comes to its end */
#ifndef MESH_OVER_H
#define MESH_OVER_H

#include "mpp.h"

/* Has the process that the mesh is tied to (--pid) gone?  In another PID namespace than the creator's: it is not
 * known, so no. */
bool mesh_watch_gone(const mpp_mesh *m);
/* The same of a mesh that is not open, and not to be kept, by its header alone; false also when that cannot be read. */
bool mesh_tied_gone(const char *id);

/* Does nobody attach any more, as the command that the mesh was made for has ended? [J2] */
bool mesh_sealed(const mpp_mesh *m);

/* Has a run begun in this lane for a consumer that has not asked for it yet (it did not cancel it either)? */
bool mesh_owed(const mpp_mesh *m, unsigned lane, unsigned consumer);
/* Is no slot held by a living process?  Marks slots that are LIVE and not held as DEAD. */
bool mesh_find_deserted(mpp_mesh *m);
/* Every slot that anybody could still come for has been used. */
bool mesh_complete(const mpp_mesh *m);
/* Every consumer has finished, no producer owes a run, and where buffers overwrite every producer has come and gone. */
bool mesh_finished(const mpp_mesh *m);

/* Why nobody can use the mesh any more, or NULL: mpp-create --gc removes it. */
const char *mesh_garbage(const mpp_mesh *m);

#endif
