/* inlet.h - a consumer's end of one channel: the frame at the ring's head */
#ifndef INLET_H
#define INLET_H

#include "endpoint/endpoint.h"
#include "ring/ring.h"
#include "run/word.h"

#include <string.h>

typedef struct inlet {
    ring_reader ring;
    unsigned lane, lane_position, producer;
    uint64_t out; /* size of the frame at the head when that is in the caller's hands, else 0 */
} inlet;

typedef struct inlet_frame {
    unsigned stream; /* logical */
    const unsigned char *data;
    uint32_t len;
    bool continued;
    uint64_t position, size; /* of the frame in the ring */
} inlet_frame;

int inlet_open(inlet *i, endpoint *e, unsigned lane_position, unsigned producer, mpp_error *err);
void inlet_close(inlet *i);

/* Publish whether we are about to sleep for data of this producer: LAYOUT_AWAITS_... */
void inlet_await(inlet *i, unsigned how);

/* The frame at the head, validated; 1: *f is it, 0: there is none, -1: recorded as corrupt. */
int inlet_head(inlet *i, endpoint *e, inlet_frame *f);
/* Give back what was passed, and ring the producer if it waits for that. */
void inlet_release(inlet *i, endpoint *e);
/* Done with the frame.  The producer is told when a useful part of the ring is free, or by inlet_release(). */
static inline void inlet_pass(inlet *i, endpoint *e, uint64_t size)
{
    i->ring.head += size;
    if (i->ring.head - i->ring.read >= i->ring.size / 4)
        inlet_release(i, e);
}

/* The frame at the head, of that size, is in the caller's hands; and is given back. */
static inline void inlet_lend(inlet *i, uint64_t size)
{
    i->out = size;
}
static inline void inlet_take_back(inlet *i, endpoint *e)
{
    inlet_pass(i, e, i->out);
    i->out = 0;
}

/* How the stream stands on this channel. */
typedef struct inlet_end {
    run_word word;
    uint64_t begin, end;
} inlet_end;
inlet_end inlet_end_of(const inlet *i, const endpoint *e, unsigned stream);
/* Can it be?  `asked`: the last run that we asked for.  false: recorded as corrupt. */
bool inlet_end_check(inlet *i, endpoint *e, const inlet_end *end, unsigned asked);

#endif
