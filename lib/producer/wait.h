/* wait.h - what a producer waits for, and the steps of the doorbell's protocol that are its own */
#ifndef PRODUCER_WAIT_H
#define PRODUCER_WAIT_H

#include "channel/outlet.h"

void producer_arm(mpp_producer *p);     /* publish and tell all, say which space is wanted */
bool producer_recheck(mpp_producer *p); /* is there anything to do? */
void producer_disarm(mpp_producer *p);
outlet *producer_blocked(mpp_producer *p); /* a channel that space is awaited on, or NULL */
bool producer_waits_start(const mpp_producer *p);

#endif
