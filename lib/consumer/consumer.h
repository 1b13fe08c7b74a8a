/* consumer.h - a consumer handle, and the streams that it reads */
#ifndef CONSUMER_H
#define CONSUMER_H

#include "buffer/buffer.h"
#include "channel/inlet.h"
#include "endpoint/endpoint.h"
#include "mesh/mesh.h"
#include "ring/mailbox.h"
#include "ring/tape.h"

/* One producer's share of a stream, as this consumer sees it. */
typedef struct consumer_share {
    unsigned char *held; /* a record that came in parts, put together, or a value */
    size_t size;
    enum batch_out { OUT_NOT, OUT_HELD, OUT_IN_PLACE } out; /* what is in the caller's hands: held, or the frame */
    bool over;                                              /* the run has ended here and is drained */
    bool hungry;                                            /* this very producer is waited for */

    /* What each kind of buffer keeps; no other file touches it. */
    union {
        struct share_bounded {
            size_t have;         /* bytes of a record that came in parts ... */
            bool whole;          /* ... which is complete and to be handed out, or was */
            uint64_t ours_until; /* frames before this position are of the run that we asked */
        } bounded;               /* kinds/bounded-in.c */
        tape_reader tape;        /* kinds/over-in.c */
    } kept;
} consumer_share;

typedef struct consumer_stream {
    unsigned stream;
    const mesh_stream *declared;
    const buffer *buffer;
    inlet *inlets; /* of its lane, one for each producer */
    consumer_share *shares;
    unsigned run; /* the last one that was asked */
    bool active, cancelled;
    unsigned last;                                                            /* the producer that had its turn */
    enum hunger { HUNGRY_NOT, HUNGRY_ANY, HUNGRY_SOME, HUNGRY_START } hungry; /* what said MPP_WOULD_BLOCK */
    struct consumer_over {
        mailbox box;        /* where it is one */
        uint64_t area_size; /* what is mapped of each area */
    } over;                 /* kinds/over-in.c alone */
} consumer_stream;

struct mpp_consumer {
    endpoint end;
    consumer_stream *streams;
    unsigned n_streams, n_peers;
    inlet *inlets; /* lane by lane */
    unsigned n_inlets;
    uint64_t taken; /* values from buffers that overwrite */
};

/* The stream of that number, or NULL: we do not serve it. */
consumer_stream *consumer_stream_of(const mpp_consumer *c, unsigned stream);

#endif
