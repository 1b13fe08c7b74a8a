/* producer.h - the private side of a producer handle, shared by producer.c (life) and feed.c (records) */
#ifndef PRODUCER_H
#define PRODUCER_H

#include "buffer.h"
#include "mailbox.h"
#include "outlet.h"
#include "registry.h"
#include "splitter.h"
#include "tape.h"

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
    bool registered, refused;

    uint64_t turn;       /* round robin: the next record's number */
    unsigned favourite;  /* any: who gets records until ... */
    uint64_t favour;     /* ... so many bytes more */
    uint64_t long_left;  /* bytes of a record longer than a frame that are still to be sent */
    uint64_t long_whole; /* of how many */
    int long_target;
    producer_way way; /* whose it is */

    splitter split;       /* of what was read by mpp_fill */
    unsigned char *input; /* read and not fed yet */
    size_t size, have, at;
    uint64_t offset; /* of input[0], or of the next read, in this input */
    bool filling;    /* what mpp_fill has read is not through, or ends inside a record */

    mpp_operation *pending, *pending_last; /* mpp_produce_async, in order */

    /* Where the buffer overwrites. */
    struct mpp_overwriter {
        mpp_producer *producer;
        struct producer_stream *stream;
    } overwriter;
    layout_share *share;
    unsigned char *area; /* mapped twice */
    uint64_t area_size;
    tape_writer tape;
    mailbox box;

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
    return s->registry.consumers == 1 && !s->buffer->overwrites && !p->no_wait;
}

/* To which consumer the record goes; -1: to all.  PARTITION_BLOCKED: `any`, and nobody has room.  PARTITION_FAILED: no
 * memory to join its key. */
enum { PARTITION_ALL = -1, PARTITION_BLOCKED = -2, PARTITION_FAILED = -3 };
int partition_target(mpp_producer *p, producer_stream *s, const unsigned char *record, size_t len);
/* Whose turn it is; where a key goes. */
static inline unsigned partition_turn(const mpp_producer *p, const producer_stream *s)
{
    return key_modulo(s->turn + p->end.index, s->registry.consumers);
}
unsigned partition_hash(const producer_stream *s, const unsigned char *bytes, size_t n);
/* The record went to its target. */
static inline void partition_sent(producer_stream *s, size_t len)
{
    s->turn++;
    s->favour -= s->favour < len ? s->favour : len;
}

/* May a record be produced now?  MPP_OK, MPP_CLOSED, MPP_GONE.  A stream whose buffer overwrites begins here at the
 * latest: before its input is read, which a run begins without. */
mpp_outcome producer_state(mpp_producer *p, producer_stream *s);
static inline mpp_outcome producer_refuse(int why)
{
    errno = why;
    return MPP_ERROR;
}
/* May a record come in this way now, into a stream on which nothing is pending?  MPP_OK; MPP_ERROR with errno
 * EINVAL: one that came in another way is not whole yet; MPP_WOULD_BLOCK, MPP_CLOSED, MPP_GONE: of what mpp_fill has
 * read, which goes before. */
mpp_outcome producer_other_way(mpp_producer *p, producer_stream *s, producer_way way);
static inline mpp_outcome producer_turn(mpp_producer *p, producer_stream *s, producer_way way)
{
    if (s->filling || s->long_left)
        return producer_other_way(p, s, way);
    s->way = way;
    return MPP_OK;
}
/* What to say of a record that is not whole yet; of a stream that is not ours. */
void producer_between(const producer_stream *s, mpp_error *err);
void producer_unserved(const mpp_producer *p, unsigned stream, mpp_error *err);
/* What mpp_fill has read goes into frames.  MPP_OK: all of it, and it ends where a record does; MPP_ERROR with errno
 * EINVAL: it does not. */
mpp_outcome fill_rest(mpp_producer *p, producer_stream *s);
/* The next record goes nowhere. */
void producer_give_up(mpp_producer *p, producer_stream *s);
/* Why is there no room? */
static inline mpp_outcome producer_no_room(mpp_producer *p)
{
    return endpoint_gone(&p->end) ? MPP_GONE : MPP_WOULD_BLOCK;
}
static inline size_t producer_frame_max(const mpp_producer *p)
{
    return outlet_frame_max(p->end.mesh->l.ring_size);
}
/* The stream's next run begins. */
void producer_begin(mpp_producer *p, producer_stream *s);
/* One record, past what is pending. */
mpp_outcome producer_push(mpp_producer *p, producer_stream *s, const void *record, size_t len);

/* What buffer.h's table has for channels. */
void bounded_begin(mpp_producer *p, producer_stream *s);
void bounded_end(mpp_producer *p, producer_stream *s, unsigned state);
mpp_outcome bounded_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used);

/* Move on what is pending (operation.c); true: all of it is through. */
bool operations_advance(mpp_producer *p, producer_stream *s);
/* Is something pending still?  What was accepted before goes before. */
static inline bool producer_pending(mpp_producer *p, producer_stream *s)
{
    return s->pending && !operations_advance(p, s);
}
/* It never will be. */
void operations_close(mpp_producer *p, producer_stream *s, mpp_outcome outcome);

/* For wait.c: what the endpoint waits for. */
void producer_arm(mpp_producer *p);   /* publish and tell all, say which space is wanted */
bool producer_ready(mpp_producer *p); /* is there anything to do? */
void producer_disarm(mpp_producer *p);
outlet *producer_blocked(mpp_producer *p); /* a channel that space is awaited on, or NULL */
bool producer_waits_start(const mpp_producer *p);
/* Nobody can ask any more: every stream that was not begun ends as unasked. */
void producer_unasked(mpp_producer *p);

#endif
