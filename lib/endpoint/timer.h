/* timer.h - what wakes an endpoint beside its peers: descriptors, and a timer that is made when it is needed first */
#ifndef ENDPOINT_TIMER_H
#define ENDPOINT_TIMER_H

#include "endpoint/endpoint.h"

enum { OWED_MS = 10, OWED_MOST_MS = 1000, UNSEEN_MS = 100 };

/* Wake the endpoint in ms, or when that is to be already if that is sooner.  false: there is no timer to be had. */
bool endpoint_timer_set(endpoint *e, long ms);
/* Has the timer run out since it was asked last? */
bool endpoint_timer_due(const endpoint *e);
/* There are new debts: the endpoint rings again in OWED_MS. */
void endpoint_owes(endpoint *e);
/* Add a descriptor to those that wake the endpoint, as `what`.  0, or -1 with errno. */
enum { OF_SOCKET = 0 };
#define OF_BELL  UINT64_MAX
#define OF_TIMER (UINT64_MAX - 1)
int endpoint_watch_descriptor(const endpoint *e, int fd, uint64_t what);

#endif
