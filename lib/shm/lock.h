/* lock.h - record locks on bytes of a segment's file: who holds what, whatever becomes of him
 *
 * A record lock belongs to a process and goes when the process closes ANY descriptor of the file (segment.h keeps one).
 * The kernel would grant a process what it holds already: a second claim inside the process is refused here.
 */
#ifndef LOCK_H
#define LOCK_H

#include "shm/segment.h"

/* Take the lock on a byte: 0; -1 with errno EBUSY (held; *holder: the process that the kernel names, our own
 * included) or what fcntl(2) says. */
int segment_lock(segment *s, unsigned byte, pid_t *holder);
/* The same, asleep until it can be had: 0, or -1 with what fcntl(2) says.  Of a lock that the process does not hold. */
int segment_await_lock(segment *s, unsigned byte);
void segment_unlock(segment *s, unsigned byte);
/* Who holds the lock on a byte: pid; 0: nobody; -1 with errno: ESRCH: a process that we cannot see. */
pid_t segment_holder(segment *s, unsigned byte);

/* Remove the name, if it still stands for this segment.  Exactly one of several removers does it, and none ever
 * removes another segment that took the name since: who holds the lock LAYOUT_LOCK_REMOVE may unlink, and names
 * are never replaced.  before() runs under the lock.  true: we removed it; false with errno: EBUSY another does, ENOENT
 * the name stands for it no more, else why it could not be done. */
bool segment_unlink(segment *s, const char *id, void (*before)(void *arg), void *arg);

#endif
