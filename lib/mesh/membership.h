/* membership.h - who may come back, whose death is a cause, who counts for the end
 *
 *                its place                     its death, its failure   nothing more comes from it, when it
 *   producer     is used once                  are the mesh's cause     has left, or has no run left to give
 *   writer       is used once                  are the mesh's cause     has been there and left
 *   consumer     again, while it is owed runs  are the mesh's cause     has left, and is owed no run
 *   spectator    is anybody's when it is free  are nobody else's        is not there
 *
 * A writer is the producer of a stream whose buffer overwrites, a spectator is such a stream's consumer: it comes and
 * goes, and the stream neither waits for it nor ends with it.
 *
 * Whether somebody is dead is decided here alone: a slot that is LIVE and whose lock nobody holds. */
#ifndef MESH_MEMBERSHIP_H
#define MESH_MEMBERSHIP_H

#include "mpp.h"

typedef enum member_end { END_OWES_NOTHING, END_HAS_LEFT, END_IS_OWED_NOTHING, END_IS_ABSENT } member_end;

typedef struct membership {
    bool returns; /* others take its place when it has left or died */
    bool missed;  /* its death and its failure are the mesh's cause */
    member_end end;
} membership;

/* What holds for the participant whose slot that is. */
const membership *membership_of(const mpp_mesh *m, unsigned number);

/* What a slot's state is when its lock is looked at, too: LAYOUT_FREE, LIVE, DONE or DEAD.  *holder: who holds the lock
 * of one that is LIVE, or that is FREE while somebody claims it, as segment_holder() says; else 0. */
uint32_t membership_state(const mpp_mesh *m, unsigned number, pid_t *holder);

/* A slot is LIVE and nobody holds its lock, or its lock is ours: its owner died.  Says so in the slot, unless its place
 * is anybody's, who may have it by now.  What the owner published before is there for everybody to read: the lock went
 * after its last store. */
void membership_bury(const mpp_mesh *m, unsigned number);

#endif
