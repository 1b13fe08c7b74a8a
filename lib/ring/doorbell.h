/* doorbell.h - what wakes a sleeping endpoint, and the words that say whether it sleeps
 *
 *   sleeper: publish everything deferred; doorbell_arm(); recheck EVERY condition; if any: doorbell_disarm(), go on;
 *            else poll; doorbell_drain(); doorbell_disarm(); recheck
 *   waker:   publish; doorbell_fence(); doorbell_wake()
 *
 * [D1] the sleeper's fence lies between its store of armed and its recheck, [D2] the waker's between its publishing
 * store and its load of armed: whichever fence comes second in the single order of them, that side sees the other's
 * store.  So either the recheck finds what was published, or the waker finds armed set; without both fences neither
 * may happen, and the sleeper sleeps for ever.
 *
 * An endpoint has a socket for each of its lanes, in the mesh's directory.  That directory may go while the mesh works
 * (a logout, a cleaner of /tmp), and another mount namespace may not show it.  So each endpoint has a second bell as
 * well: a pipe, which a waker who sees its process opens through /proc.  A bell that rings by neither way has not rung:
 * the waker owes it, and tries again (endpoint/bells.h).
 */
#ifndef DOORBELL_H
#define DOORBELL_H

#include "shm/layout.h"

#include <sys/un.h>

/* What came of ringing. */
typedef enum doorbell_outcome {
    DOORBELL_RUNG,   /* it wakes, or as many bells wait for it as it can hold */
    DOORBELL_LATER,  /* the kernel has no memory or descriptor for it now */
    DOORBELL_NOBODY, /* nobody is there to hear it */
} doorbell_outcome;

/* The path of an endpoint's socket.  false: longer than LAYOUT_SOCKET_PATH_MAX allows. */
bool doorbell_path(char path[LAYOUT_SOCKET_PATH_MAX], const char *directory, char role, unsigned index, unsigned lane,
                   unsigned lanes);

/* A datagram socket from which bells are rung; -1 with errno. */
int doorbell_socket(void);
/* Bind one there (a stale file of a dead predecessor is replaced; the caller holds the slot), for its owner alone
 * whatever the umask is.  0, or -1 with errno. */
int doorbell_bind(int fd, const char *path);
/* A pipe, as the second bell: one descriptor for both of its ends, and the inode by which it is known.  -1 with
 * errno: none can be had. */
int doorbell_pipe(uint64_t *inode);

/* Send one byte, and wait for nobody. */
doorbell_outcome doorbell_ring(int from, const char *path);
/* The same for the pipe of that inode that process pid has as descriptor fd; another one is nobody's bell. */
doorbell_outcome doorbell_ring_pipe(pid_t pid, int fd, uint64_t inode);
/* Take what rang, a socket or a pipe: so many times. */
unsigned doorbell_drain(int fd);
unsigned doorbell_drain_pipe(int fd);

void doorbell_arm(layout_slot *s, uint32_t wants); /* LAYOUT_WANTS_...; includes the fence [D1] */
void doorbell_disarm(layout_slot *s);
void doorbell_fence(void); /* [D2] */
/* After the fence: does the endpoint sleep, for `what` (0: anything)?  The one waker who gets true must ring. */
bool doorbell_wake(layout_slot *s, uint32_t what);

#endif
