/* say.h - what an endpoint says of itself, for mpp-stat and for messages */
#ifndef ENDPOINT_SAY_H
#define ENDPOINT_SAY_H

#include "endpoint/endpoint.h"

/* Publish what we do; waits_for: the index + 1 of a peer that we wait for in that lane, or 0. */
void endpoint_publish(const endpoint *e, mpp_activity activity, unsigned lane, unsigned waits_for, int64_t since_ns);
/* The same of what we are about to wait for: with so much progress behind us, for descriptor fd.  A bell that was not
 * for us, a death elsewhere, a slice of a time-out: a wait from which nothing came goes on, and is told from its
 * beginning. */
void endpoint_say(endpoint *e, mpp_activity activity, unsigned lane, unsigned waits_for, uint64_t progress, int fd);
/* What woke us, if it was, was what the caller waits for, and not the mesh: the next wait is another one. */
static inline void endpoint_spoken_to(endpoint *e, bool it_was)
{
    e->spoken_to |= it_was;
}
/* We slept so long, at what we said last. */
void endpoint_slept(const endpoint *e, uint64_t ns);
/* Publish which process is behind us: our command, 0: none. */
void endpoint_command(const endpoint *e, pid_t pid);

#endif
