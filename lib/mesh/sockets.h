/* sockets.h - the directory of a mesh's doorbells has one owner: this file; one without a mesh is leftover.h's */
#ifndef MESH_SOCKETS_H
#define MESH_SOCKETS_H

#include "shm/layout.h"

#include <limits.h>

/* Remove segment, sockets and directory; sockets first, the segment's name last, so that a directory never stands
 * without its segment.  true: it was us who did; else errno says why not, as segment_unlink(). */
bool mesh_unlink(mpp_mesh *m);
/* Of a mesh that has lost its name, and that nobody is in any more: what those who were killed have left. */
void mesh_sockets_tidy(mpp_mesh *m);

/* The path of a slot's socket; false: it cannot be. */
bool mesh_socket_path(const mpp_mesh *m, unsigned number, char path[LAYOUT_SOCKET_PATH_MAX]);

/* Directories for sockets: $XDG_RUNTIME_DIR, else $TMPDIR, else /tmp.  The one with number `at`, made absolute, for
 * participants may run elsewhere.  0; 1: it is not set; -1 with errno: it cannot be used. */
enum { MESH_XDG_RUNTIME_DIR, MESH_TMPDIR, MESH_TMP, MESH_DIRECTORIES };
int mesh_temporary_directory(unsigned at, char base[PATH_MAX]);
/* Make the mesh's directory, once the mesh has its name.  0, or -1 with errno (EEXIST: there is one). */
int mesh_directory_make(mpp_mesh *m);
/* May sockets be bound there: is the directory that we see the mesh's?  One that is gone is made again by who is in
 * the creator's mount namespace; elsewhere it must be the one that was recorded.  1; 0: it cannot be had, or is
 * another one; -1 with *err: it is not ours alone. */
int mesh_directory_check(mpp_mesh *m, mpp_error *err);
/* Who leaves takes the directory along, if nothing is left in it and it was ours to use, or the mesh has been removed:
 * the last one out may not see it.  Who attaches later makes it again. */
void mesh_directory_tidy(const mpp_mesh *m, bool ours);

#endif
