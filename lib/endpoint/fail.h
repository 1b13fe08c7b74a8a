/* fail.h - how an endpoint's failure, or one that it finds, becomes the mesh's cause */
#ifndef ENDPOINT_FAIL_H
#define ENDPOINT_FAIL_H

#include "endpoint/endpoint.h"
#include "shm/layout.h"

/* Make `cause`, which is of slot `number`, the root cause unless there is one; as mesh_cause_set(). */
bool endpoint_cause_set(endpoint *e, unsigned number, const layout_cause *cause);

/* A system call of ours failed: record that as the root cause, with who we are and why.  true: it is the first.  The
 * status is "failed" for others; for who holds the slot mpp_mesh_cause() says "error". */
__attribute__((format(printf, 3, 4))) bool endpoint_cannot(endpoint *e, int os_error, const char *fmt, ...);
/* Record a failure of ours as the root cause, if it is the first: true. */
__attribute__((format(printf, 4, 5))) bool endpoint_fail(endpoint *e, mpp_status others, bool final, const char *fmt,
                                                         ...);
/* The same of one that our caller tells, with who we are. */
bool endpoint_report(endpoint *e, const mpp_error *err);
/* The same for one that is not ours and that we found: also the news of one that fails alone are everybody's, and what
 * was published before is still to be had. */
__attribute__((format(printf, 4, 5))) bool endpoint_found(endpoint *e, mpp_status others, bool final, const char *fmt,
                                                          ...);
/* The same for what a peer wrote and cannot be: "channel 0->1: <what>". */
void endpoint_corrupt(endpoint *e, unsigned lane, unsigned peer, const char *what);

#endif
