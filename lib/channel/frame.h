/* frame.h - the unit in a channel's ring: whole records behind a header that says whose they are and how long
 *
 *   | stream id, length | records, delimiters and prefixes included | padding to 8 bytes |
 *
 * A frame takes at most a quarter of its ring, so that there is always another one on its way.  A record that is longer
 * goes out in several, all of which but the last say CONTINUED.  (The struct is layout.h's, where sizes are computed.)
 */
#ifndef FRAME_H
#define FRAME_H

#include "shm/layout.h"

#include <string.h>

/* Largest payload of one frame. */
static inline uint32_t frame_max(uint64_t ring_size)
{
    return (uint32_t)(layout_quarter(ring_size) - sizeof(layout_frame));
}

/* A frame's header, which is the peer's, loaded once: the empty asm makes it a value that is not loaded again after it
 * has been checked. */
static inline layout_frame frame_load(const unsigned char *p)
{
    uint64_t word;
    layout_frame header;
    static_assert(sizeof word == sizeof header, "one load");
    memcpy(&word, p, sizeof word);
    __asm__("" : "+r"(word));
    memcpy(&header, &word, sizeof header);
    return header;
}

#endif
