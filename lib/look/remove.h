/* remove.h - removing what has a mesh's name */
#ifndef REMOVE_H
#define REMOVE_H

#include "mpp.h"

/* A segment that is not a valid mesh, but is ours and carries a mesh's name: half made, or corrupt.  true: it is
 * removed. */
bool remove_segment(const char *id, mpp_error *err);
/* It was not us who removed it.  0: but another, or nobody could; -1 with *err. */
int remove_failed(const char *id, mpp_error *err);

#endif
