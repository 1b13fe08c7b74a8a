/* producer.h - the private side of a producer handle, shared by producer.c (life) and feed.c (records) */
#ifndef PRODUCER_H
#define PRODUCER_H

#include "outlet.h"
#include "registry.h"
#include "splitter.h"

typedef struct producer_stream {
    unsigned stream;
    const mesh_stream *declared;
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

    splitter split;        /* of what was read by mpp_fill */
    unsigned char *buffer; /* read and not fed yet */
    size_t size, have, at;
    uint64_t offset; /* of buffer[0], or of the next read, in this input */

    uint64_t records, bytes, no_key, dropped;
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
    bool closed;           /* mpp_service() has said so */
    bool nobody_asked;     /* a record that anybody may have waits for somebody who wants it */
    int64_t idle_since_ns; /* since when nobody was there to ask, 0: somebody is */
    key_scratch scratch;
    unsigned char *framed; /* mpp_try_produce: the record with its framing */
    size_t framed_size;
};

static inline producer_stream *producer_stream_of(const mpp_producer *p, unsigned stream)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].stream == stream)
            return &p->streams[i];
    return NULL;
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

/* For wait.c: what the endpoint waits for. */
void producer_arm(mpp_producer *p);   /* publish and tell all, say which space is wanted */
bool producer_ready(mpp_producer *p); /* is there anything to do? */
void producer_disarm(mpp_producer *p);
outlet *producer_blocked(mpp_producer *p); /* a channel that space is awaited on, or NULL */
bool producer_waits_start(const mpp_producer *p);
/* Nobody can ask any more: every stream that was not begun ends as unasked. */
void producer_unasked(mpp_producer *p);

#endif
