/* timeout.h - how long an endpoint waits for who does not come (--attach-timeout), or gives nothing (--timeout) */
#ifndef TIMEOUT_H
#define TIMEOUT_H

#include "endpoint/endpoint.h"

/* The earlier of two moments, where 0 is never. */
int64_t timeout_earlier(int64_t a, int64_t b);

/* When to look at the time-outs of who has not come; mpp_now() or 0: never. */
int64_t timeout_of_producer(mpp_producer *p);
int64_t timeout_of_consumer(mpp_consumer *c);
/* That moment, `due`, has come: whoever did not is the mesh's failure. */
void timeout_passed(mpp_producer *p, mpp_consumer *c, int64_t due);
/* Did we sleep past the deadline by more than scheduling explains?  Then we were stopped, and so, perhaps, were all:
 * everybody gets the time again. */
bool timeout_woke_late(mpp_producer *p, mpp_consumer *c, int64_t deadline, int64_t now);

/* Nothing came for --timeout (endpoint/patience.h): say so. */
void timeout_producer_starved(mpp_producer *p, int64_t now);
void timeout_consumer_starved(mpp_consumer *c, int64_t now);

#endif
