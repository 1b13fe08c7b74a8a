/* producer.h - a producer handle, and the streams that it serves */
#ifndef PRODUCER_H
#define PRODUCER_H

#include "buffer/buffer.h"
#include "channel/frame.h"
#include "channel/outlet.h"
#include "endpoint/endpoint.h"
#include "endpoint/peers.h"
#include "mesh/mesh.h"
#include "record/key.h"
#include "record/splitter.h"
#include "ring/mailbox.h"
#include "ring/tape.h"
#include "run/registry.h"
#include "shm/layout.h"

#include <errno.h>

/* The ways in which records come.  A record that one has out in part, or has read in part, no other can finish. */
typedef enum producer_way { WAY_RECORD, WAY_OPERATION, WAY_FEED, WAY_FILL, WAY_RESERVE } producer_way;

typedef struct producer_stream {
    unsigned stream;
    const mesh_stream *declared;
    const buffer *buffer;
    outlet *outlets; /* of its lane, one for each consumer */
    registry registry;
    mpp_source source;
    bool registered;

    uint64_t turn;       /* round robin: the number of the next record, or of the block under way ... */
    uint64_t in_turn;    /* ... and what that has of bytes */
    uint64_t long_left;  /* bytes of a record longer than a frame that are still to be sent */
    uint64_t long_whole; /* of how many */
    producer_way way;    /* whose it is */

    splitter split;       /* of what was read by mpp_fill */
    unsigned char *input; /* read and not fed yet */
    size_t size, have, at;
    uint64_t offset; /* of input[0], or of the next read, in this input */
    bool filling;    /* what mpp_fill has read is not through, or ends inside a record */

    mpp_operation *pending, *pending_last; /* mpp_produce_async, in order */

    struct mpp_overwriter {
        mpp_producer *producer;
        struct producer_stream *stream;
    } overwriter; /* where it is not lossless */

    /* What each kind of buffer keeps; no other file touches it. */
    union {
        struct producer_bounded {
            int long_target;    /* of the long record */
            unsigned favourite; /* any: who gets records until ... */
            uint64_t favour;    /* ... so many bytes more */
        } bounded;              /* kinds/bounded-out.c, kinds/partition.c */
        struct producer_over {
            layout_share *share;
            unsigned char *area; /* mapped twice */
            uint64_t area_size;
            tape_writer tape;
            mailbox box;
        } over; /* kinds/over-out.c */
    } kept;

    uint64_t records, bytes, no_key, dropped, given_up;
} producer_stream;

struct mpp_producer {
    endpoint end;
    producer_stream *streams;
    unsigned n_streams;
    outlet *outlets; /* lane by lane */
    unsigned n_outlets;
    uint32_t mail_seen;  /* sum over lanes */
    uint32_t peers_seen; /* when we last looked who had left */
    unsigned runs;
    bool counting, over;
    bool calling;              /* a source is being called */
    bool no_wait;              /* mpp_no_wait() */
    bool news;                 /* an operation is complete, or has failed ... */
    mpp_error operation_error; /* ... with this */
    bool closed;               /* mpp_service() has said so */
    bool nobody_asked;         /* a record that anybody may have waits for somebody who wants it */
    int64_t idle_since_ns;     /* since when nobody was there to ask, 0: somebody is */
    key_scratch scratch;
    unsigned char *framed; /* producer_push: the record with its framing */
    size_t framed_size;
};

static inline producer_stream *producer_stream_of(const mpp_producer *p, unsigned stream)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].stream == stream)
            return &p->streams[i];
    return NULL;
}

/* Is input read straight into the one ring that there is? */
static inline bool producer_in_place(const mpp_producer *p, const producer_stream *s)
{
    return s->registry.consumers == 1 && s->buffer->in_place && !p->no_wait;
}

/* Round robin: whose turn it is. */
static inline unsigned producer_turn(const mpp_producer *p, const producer_stream *s)
{
    return key_modulo(s->turn + p->end.index, s->registry.consumers);
}
/* A record of len bytes is in a frame, or on its way. */
static inline void producer_sent(producer_stream *s, size_t len)
{
    const uint32_t block = s->declared->info.block;
    if (block == 0 || (s->in_turn += len) >= block) {
        s->turn++;
        s->in_turn = 0;
    }
    s->records++;
    s->bytes += len;
}

static inline mpp_outcome producer_refuse(int why)
{
    errno = why;
    return MPP_ERROR;
}
/* Why is there no room? */
static inline mpp_outcome producer_no_room(mpp_producer *p)
{
    return endpoint_notice(&p->end) ? MPP_GONE : MPP_WOULD_BLOCK;
}
static inline size_t producer_frame_max(const mpp_producer *p)
{
    return frame_max(p->end.mesh->l.ring_size);
}
/* What to say of a stream that is not ours. */
void producer_unserved(const mpp_producer *p, unsigned stream, mpp_error *err);

#endif
