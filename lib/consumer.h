/* consumer.h - the private side of a consumer handle, shared by consumer.c and wait.c */
#ifndef CONSUMER_H
#define CONSUMER_H

#include "buffer.h"
#include "inlet.h"
#include "mailbox.h"
#include "tape.h"

/* One producer's share of a stream, as this consumer sees it. */
typedef struct consumer_share {
    unsigned char *held; /* a record that came in parts, put together */
    size_t have, size;
    bool whole;                                             /* held is complete and to be handed out, or was */
    enum batch_out { OUT_NOT, OUT_HELD, OUT_IN_PLACE } out; /* what is in the caller's hands: held, or the frame */
    bool over;                                              /* the run has ended here and is drained */
    uint64_t ours_until; /* frames before this position are of the run that we asked */
    bool hungry;         /* this very producer is waited for */
    tape_reader tape;    /* where its buffer overwrites */
} consumer_share;

typedef struct consumer_stream {
    unsigned stream;
    const mesh_stream *declared;
    const buffer *buffer;
    mailbox box;        /* where it is one */
    uint64_t area_size; /* what overwriting.c maps of each area */
    inlet *inlets;      /* of its lane, one for each producer */
    consumer_share *shares;
    unsigned run; /* the last one that was asked */
    bool active, cancelled;
    unsigned last;                                                            /* the producer that had its turn */
    enum hunger { HUNGRY_NOT, HUNGRY_ANY, HUNGRY_SOME, HUNGRY_START } hungry; /* what said MPP_WOULD_BLOCK */
} consumer_stream;

struct mpp_consumer {
    endpoint end;
    consumer_stream *streams;
    unsigned n_streams, n_peers;
    inlet *inlets; /* lane by lane */
    unsigned n_inlets;
    uint64_t taken; /* values from buffers that overwrite */
};

/* What buffer.h's table has for channels. */
bool bounded_start(mpp_consumer *c, consumer_stream *s);
void bounded_cancel(mpp_consumer *c, consumer_stream *s);
share_state bounded_look(mpp_consumer *c, consumer_stream *s, unsigned producer);
share_state bounded_take(mpp_consumer *c, consumer_stream *s, unsigned producer, mpp_batch *batch);

/* For wait.c. */
void consumer_arm(mpp_consumer *c);   /* give back all that was released */
void consumer_await(mpp_consumer *c); /* when armed: tell those who ask first whether anybody may be */
bool consumer_ready(mpp_consumer *c);
bool consumer_hungry(const mpp_consumer *c);
void consumer_disarm(mpp_consumer *c);
/* Is data awaited on this channel, and how: LAYOUT_AWAITS_... */
unsigned consumer_awaits(const mpp_consumer *c, const inlet *i);
/* The first producer that data is awaited of and that has not ended, or -1. */
int consumer_awaited(const mpp_consumer *c, unsigned *lane);

#endif
