/* scope.h - a mesh that lives as long as a command and those whom it starts */
#ifndef CMD_CREATE_SCOPE_H
#define CMD_CREATE_SCOPE_H

#include "command/guard.h"
#include "mpp.h"

/* Before the mesh is made: from here on one that is tied to this process goes with it, also when it is killed.
 * 0, or -1 with *err. */
int scope_begin(guard *maker, mpp_error *err);

/* Run a command with MPP_MESH in its environment, and in MPP_OUTER what that was before, and wait for it.  From then on
 * nobody attaches any more, those who are attached finish, and the mesh is removed, unless it is to be kept.  The mesh
 * is tied to this process, and stays the caller's.  After signals_init() and scope_begin(), whose guard ends here.
 *
 * Our exit status: the first failure's, be it the mesh's, as somebody sees it who had no part in it, or the command's.
 * One that uses the mesh in no way has failed, too: MPP_S_TIMEOUT.  A signal ends the command and its process group,
 * the participants, and this process. */
int scope_run(mpp_mesh *mesh, bool keep, char *const argv[], guard *maker);

#endif
