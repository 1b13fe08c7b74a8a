/* open.h - opening a mesh */
#ifndef MESH_OPEN_H
#define MESH_OPEN_H

#include "shm/segment.h"

/* As mpp_mesh_open(), of a mesh that is only to be looked at: a copy of all but its rings at about one moment. */
int mesh_open_copy(const char *id, mpp_mesh **mesh, mpp_error *err);

/* Open a segment that was made just now and has no name yet.  It is the mesh's, and closed when this fails. */
int mesh_adopt(segment *s, const char *id, mpp_mesh **mesh, mpp_error *err);

#endif
