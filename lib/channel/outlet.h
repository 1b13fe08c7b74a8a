/* outlet.h - a producer's end of one channel: frames built in place at the ring's tail
 *
 *   published ... | header | whole records (len) | unfinished record (extra) | free ...
 *                 ^ tail = write
 *
 * The open frame grows behind its header and nothing of it is visible before it is published.  What is published is
 * told to the consumer when a useful part of the ring is due, or by outlet_bell() before the producer sleeps.
 */
#ifndef OUTLET_H
#define OUTLET_H

#include "endpoint/endpoint.h"
#include "ring/ring.h"
#include "shm/layout.h"

#include <string.h>

typedef struct outlet {
    ring_writer ring;
    unsigned lane, lane_position, consumer;
    int stream;       /* whose frame is open, -1: none */
    uint32_t len;     /* whole records in the open frame */
    uint32_t extra;   /* bytes of an unfinished record behind them */
    bool reserved;    /* the open frame is the caller's to fill: mpp_reserve */
    unsigned lent_to; /* the stream + 1 whose mpp_commit is to come, 0: none ... */
    size_t lent;      /* ... of at most so many bytes */
    uint32_t room;    /* bytes that whole records may take in the open frame without another look, 0: look */
    uint64_t records; /* in the open frame */
    uint64_t due;     /* bytes published and not told */
    struct {
        uint64_t frames, bytes, records;
    } uncounted;     /* what was published and not told: frames, bytes, records */
    uint64_t need;   /* bytes of room that somebody waits for, 0: nobody */
    bool end_wanted; /* ... or: that the consumer drains to `end` */
    uint64_t end;
} outlet;

/* Publishing the whole records of a frame moves the unfinished one behind them up by a header and its padding: room
 * for that is always kept, or it would run into what the consumer has not read yet. */
enum { OUTLET_SPLIT = sizeof(layout_frame) + 8 };

/* 0, or -1 with *err.  The ring is mapped at the first use. */
int outlet_open(outlet *o, endpoint *e, unsigned lane_position, unsigned consumer, mpp_error *err);
void outlet_close(outlet *o);

/* Where the next n bytes of the stream's open frame go; a frame of another stream, or one that would grow over
 * `limit`, is published first.  NULL: no room (noted for the wait), or endpoint_gone() by now. */
unsigned char *outlet_room(outlet *o, endpoint *e, unsigned stream, size_t n, size_t limit);
/* The same for the first n bytes of a frame, where no frame is open and the copy of the reader's position shows the
 * room; else NULL, and outlet_room() can tell. */
static inline unsigned char *outlet_begin_frame(outlet *o, unsigned stream, size_t n)
{
    const uint64_t space = o->ring.size - (o->ring.tail - o->ring.read);
    if (o->stream >= 0 || !o->ring.bytes || space < layout_frame_size(n) + OUTLET_SPLIT)
        return NULL;
    o->stream = (int)stream;
    return ring_tail(&o->ring) + sizeof(layout_frame);
}
/* The n bytes that were written there are whole records. */
static inline void outlet_add(outlet *o, size_t n, uint64_t records)
{
    o->len += (uint32_t)n;
    o->records += records;
}
/* n bytes were read into outlet_room(); with what the frame held of an unfinished record, the first `whole` of them end
 * so many records (0: none ends, and all belong to the unfinished one). */
static inline void outlet_filled(outlet *o, size_t n, size_t whole, uint64_t records)
{
    if (whole == 0) {
        o->extra += (uint32_t)n;
        return;
    }
    outlet_add(o, o->extra + whole, records);
    o->extra = (uint32_t)(n - whole);
}
/* Forget the unfinished record. */
static inline void outlet_forget_rest(outlet *o)
{
    o->extra = 0;
}
/* Let whole records follow in the open frame by outlet_append(), up to `limit`. */
void outlet_let(outlet *o, size_t limit);

/* For who has a whole record in parts: does the stream's open frame let all of it follow, and where does it go? */
static inline bool outlet_has_place(const outlet *o, unsigned stream, size_t n)
{
    return o->stream == (int)stream && n <= o->room;
}
static inline unsigned char *outlet_place(outlet *o, size_t n)
{
    unsigned char *to = ring_tail(&o->ring) + sizeof(layout_frame) + o->len;
    outlet_add(o, n, 1);
    o->room -= (uint32_t)n;
    return to;
}

/* Bytes that outlet_append() may touch behind the record that it copies, in both places. */
enum { OUTLET_OVER = 32 };

/* A whole record into the open frame of its stream, if it is there and lets.  Short records are copied in pieces of a
 * fixed size, which is what makes it quick. */
static inline bool outlet_append(outlet *o, unsigned stream, const unsigned char *record, size_t n, size_t readable)
{
    if (!outlet_has_place(o, stream, n + OUTLET_OVER) || n + OUTLET_OVER > readable)
        return false;
    unsigned char *to = outlet_place(o, n);
    if (n <= OUTLET_OVER * 8)
        for (size_t i = 0; i < n; i += OUTLET_OVER)
            memcpy(to + i, record + i, OUTLET_OVER);
    else
        memcpy(to, record, n);
    return true;
}

/* The open frame is the caller's to fill with up to n bytes, until it is taken back; false: it was dropped since. */
static inline void outlet_lend(outlet *o, unsigned stream, size_t n)
{
    o->reserved = true;
    o->lent_to = stream + 1;
    o->lent = n;
}
static inline bool outlet_take_back(outlet *o)
{
    const bool still = o->reserved;
    o->reserved = false;
    o->lent_to = 0;
    return still;
}

/* Publish the whole records of the open frame; an unfinished one moves into the next frame. */
void outlet_publish(outlet *o, endpoint *e);
/* The same, also when the frame is empty (an empty record). */
void outlet_publish_now(outlet *o, endpoint *e);
/* Publish all of the open frame's bytes as a part of a record that goes on. */
void outlet_publish_part(outlet *o, endpoint *e);
/* Forget the open frame of the stream. */
void outlet_discard(outlet *o, unsigned stream);
/* Ring the consumer if it sleeps and something is due. */
void outlet_bell(outlet *o, endpoint *e);

/* Say how the stream's run stands on this channel. */
void outlet_begin(outlet *o, endpoint *e, unsigned stream, unsigned run);
void outlet_end(outlet *o, endpoint *e, unsigned stream, unsigned run, unsigned state);

/* Somebody waits for so many bytes of room; for the consumer to have read up to `end`; nobody waits for room. */
static inline void outlet_need(outlet *o, uint64_t n)
{
    o->need = n;
}
static inline void outlet_await_end(outlet *o, uint64_t end)
{
    o->end_wanted = true;
    o->end = end;
}
static inline void outlet_forget_need(outlet *o)
{
    o->need = 0;
}

/* For the wait: publish from which position on we want to be woken; is it there already? */
void outlet_want(outlet *o);
bool outlet_satisfied(const outlet *o);
void outlet_unwant(outlet *o);

#endif
