/* wait.h - what a consumer waits for, and the steps of the doorbell's protocol that are its own */
#ifndef CONSUMER_WAIT_H
#define CONSUMER_WAIT_H

#include "channel/inlet.h"

void consumer_give_back(mpp_consumer *c); /* give back all that was released */
void consumer_await(mpp_consumer *c);     /* when armed: tell those who ask first whether anybody may be */
bool consumer_recheck(mpp_consumer *c);   /* is there anything to do? */
bool consumer_hungry(const mpp_consumer *c);
void consumer_disarm(mpp_consumer *c);
/* Is data awaited on this channel, and how: LAYOUT_AWAITS_... */
unsigned consumer_awaits(const mpp_consumer *c, const inlet *i);
/* The first producer that data is awaited of and that has not ended, or -1. */
int consumer_awaited(const mpp_consumer *c, unsigned *lane);

#endif
