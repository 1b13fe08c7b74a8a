/* cause.h - the root cause: the mesh's first failure */
#ifndef MESH_CAUSE_H
#define MESH_CAUSE_H

#include "mesh/bells.h"
#include "shm/layout.h"

/* A cause in the words of mpp.h; ours: the process that caused it asks. */
void mesh_cause_copy(const layout_cause *c, bool ours, mpp_error *cause);
/* What everybody is told of the death of a slot's owner. */
layout_cause mesh_cause_death(const mpp_mesh *m, unsigned number);
/* Make `cause`, written into slot `number` by its owner, the root cause, unless there is one, and ring everybody (as
 * mesh_ring_all()).  true: it is. */
bool mesh_cause_set(mpp_mesh *m, unsigned number, const layout_cause *cause, int from, mesh_debts *owed);
/* The root cause's slot + 1, LAYOUT_REMOVED, or 0 [F2]. */
uint32_t mesh_cause_word(const mpp_mesh *m);
/* May the last one out remove a mesh that failed, although somebody never came? */
bool mesh_cause_final(const mpp_mesh *m);

#endif
