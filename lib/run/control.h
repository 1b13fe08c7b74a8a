/* control.h - the control ring of a channel: START and CANCEL, consumer to producer
 *
 * A consumer asks for run k+1 of a stream only when the channel says that run k is over.  The producer says so when it
 * took START and CANCEL of run k, or when run k has ended by itself, perhaps before it took them.  So at most four
 * messages per stream are under way, START and CANCEL of two runs: that is the ring's capacity, and a send never waits.
 * A full ring is therefore a protocol error of the sender's, a message that makes no sense one of the peer's.  The
 * stream id is the PHYSICAL one. */
#ifndef CONTROL_H
#define CONTROL_H

#include "shm/layout.h"

/* false: the ring is full, or its words are not valid. */
bool control_send(const layout *l, layout_channel *c, uint32_t type, uint32_t stream_id, uint32_t run);
/* 1: *m is the next message, copied once; 0: none; -1: the ring's words are not valid. */
int control_take(const layout *l, layout_channel *c, layout_control *m);

#endif
