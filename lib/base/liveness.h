/* liveness.h - who lives: the Linux part (pidfd, /proc)
 *
 * The record lock is the truth about who holds a slot; a pidfd is the prompt news that its holder died.  A pid can be
 * reused between learning and opening it, so whoever opens a pidfd must look at the lock again afterwards. */
#ifndef LIVENESS_H
#define LIVENESS_H

#include "mpp.h"

/* A descriptor that becomes readable when the process ends; -1 with errno (ESRCH: it has). */
int liveness_watch(pid_t pid);
/* The time at which the process started, in the kernel's ticks, counted from 1, to one of them the same whatever
 * time namespace it is asked from; 0 with errno: there is no such process (ESRCH), or it cannot be known. */
uint64_t liveness_start_time(pid_t pid);
/* Our namespace of a kind ("pid", "mnt"), and whether `other`, what that said to another process, is another one; 0:
 * it cannot be known. */
uint64_t liveness_namespace(const char *kind);
bool liveness_elsewhere(const char *kind, uint64_t other);
/* The process's state letter (R S D T t Z ...), 0: unknown. */
char liveness_state(pid_t pid);

#endif
