/* patience.h - how long a participant waits: for who does not come, and for data or space that does not come
 *
 * Time in which somebody was stopped counts for nobody.  The time-out for data or space is waited for in slices, and a
 * slice counts only when nobody was stopped at its beginning or end.  So a stop that ends just before the time is up is
 * seen, and so is our own, of which we know nothing: a slice counts once, however late we wake from it. */
#ifndef ENDPOINT_PATIENCE_H
#define ENDPOINT_PATIENCE_H

#include "endpoint/endpoint.h"

/* It begins now.  In ms; 0: it waits for ever. */
void endpoint_be_patient(endpoint *e, int64_t attach_timeout_ms, int64_t timeout_ms);
/* Something moved: the time for data or space begins anew. */
static inline void endpoint_moved(endpoint *e)
{
    e->patience.waited_ns = 0;
}
/* Those who have not come get their time again. */
static inline void endpoint_expect_again(endpoint *e, int64_t now)
{
    e->patience.since_ns = now;
}

/* Are those who have not come waited for whatever time it takes? */
bool endpoint_waits_for_ever(const endpoint *e);
/* When those who have not come are too late, for one who waits for them since `since`; mpp_now(), 0: never.  Once the
 * mesh is sealed they are, and were long ago. */
int64_t endpoint_too_late(const endpoint *e, int64_t since);
/* A sealed mesh: is somebody just claiming this slot?  Then it is looked at again in a moment. */
bool endpoint_still_comes(endpoint *e, unsigned number);

/* A slice of the time for data or space, in ns. */
int64_t endpoint_slice(const endpoint *e);
/* We slept for `slept` in want of data or space; whole: nothing woke us.  true: the time is up. */
bool endpoint_starves(endpoint *e, int64_t slept, bool whole);

#endif
