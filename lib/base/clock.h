/* clock.h - one clock for all who share a segment
 *
 * CLOCK_MONOTONIC and CLOCK_BOOTTIME have an offset of their own in each time namespace.  What is written to a
 * segment is a moment of the initial one, and so is whatever it is compared with; a deadline for a call of ours is
 * mpp_now(). */
#ifndef CLOCK_H
#define CLOCK_H

#include "mpp.h"

/* CLOCK_MONOTONIC of the initial time namespace, nanoseconds. */
int64_t clock_shared(void);

/* By how much CLOCK_BOOTTIME is ahead here of that in the initial time namespace, nanoseconds; < 0: behind. */
int64_t clock_boot_offset(void);

#endif
