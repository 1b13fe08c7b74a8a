/* doorbell.h - the socket that wakes a sleeping endpoint, and the words that say whether it sleeps
 *
 *   sleeper: publish everything deferred; doorbell_arm(); recheck EVERY condition; if any: doorbell_disarm(), go on;
 *            else poll; doorbell_drain(); doorbell_disarm(); recheck
 *   waker:   publish; doorbell_fence(); doorbell_wake()
 *
 * [D1] the sleeper's fence lies between its store of armed and its recheck, [D2] the waker's between its publishing
 * store and its load of armed: whichever fence comes second in the single order of them, that side sees the other's
 * store.  So either the recheck finds what was published, or the waker finds armed set; without both fences neither
 * may happen, and the sleeper sleeps for ever.
 */
#ifndef DOORBELL_H
#define DOORBELL_H

#include "layout.h"

#include <sys/un.h>

/* The path of an endpoint's socket.  false: longer than LAYOUT_SOCKET_PATH_MAX allows. */
bool doorbell_path(char path[LAYOUT_SOCKET_PATH_MAX], const char *directory, char role, unsigned index, unsigned lane,
                   unsigned lanes);

/* Bind a datagram socket there (a stale file of a dead predecessor is replaced; the caller holds the slot).
 * The descriptor, or -1 with errno. */
int doorbell_bind(const char *path);

/* Send one byte; waits for nobody, but up to 100 ms for the kernel to have memory for it.  A full socket has rung already, one that is not there has nobody to wake. */
void doorbell_ring(int from, const char *path);
/* Take what rang: so many times. */
unsigned doorbell_drain(int fd);

void doorbell_arm(layout_slot *s, uint32_t wants); /* LAYOUT_WANTS_...; includes the fence [D1] */
void doorbell_disarm(layout_slot *s);
void doorbell_fence(void); /* [D2] */
/* After the fence: does the endpoint sleep, for `what` (0: anything)?  The one waker who gets true must ring. */
bool doorbell_wake(layout_slot *s, uint32_t what);

#endif
