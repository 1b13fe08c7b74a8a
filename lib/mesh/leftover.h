/* leftover.h - directories for sockets whose mesh is gone */
#ifndef MESH_LEFTOVER_H
#define MESH_LEFTOVER_H

#include <stdbool.h>

/* Can it be one: "mpp_" and the twelve hexadecimal digits of a short id? */
bool mesh_directory_named(const char *name);
/* Remove one in the directory `base` (whose path is base_path) with the sockets in it, if it is ours and none of them
 * is bound: a mesh that lost its name, or has it in another /dev/shm, goes on. */
void mesh_directory_remove(int base, const char *base_path, const char *name);

#endif
