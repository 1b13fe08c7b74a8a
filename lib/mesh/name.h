/* name.h - the name of a mesh, which only one can have */
#ifndef MESH_NAME_H
#define MESH_NAME_H

#include "shm/segment.h"

/* Give a segment that is complete its name.  0, or -1 with *err: where the name is taken, by what, and what can be done
 * about it. */
int mesh_publish(segment *s, const char *id, mpp_error *err);

#endif
