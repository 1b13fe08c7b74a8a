/* buffer.h - the table of operations behind every stream: what `mpp-create --buffer` chooses
 *
 * One entry for each mpp_buffer_kind (buffers.c).  The calls of mpp.h that are about records come here; what is about
 * endpoints, sleeping and the life of a mesh is the same for all kinds.  Nothing here waits.
 *
 * A push that does I/O, and so takes its time and can fail, overrides `advance`; tests/unit/async.c has one.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include "mpp.h"

struct producer_stream;
struct consumer_stream;

/* What a producer's share of a stream has for a reader. */
typedef enum share_state { SHARE_EMPTY, SHARE_READY, SHARE_OVER, SHARE_FAILED } share_state;

typedef struct buffer {
    /* What the kinds differ in, for those who need not know the kind. */
    bool asked;      /* a run begins when a consumer asks for it; else by itself, or with the first record */
    bool runs;       /* there are as many runs as are asked for; else one */
    bool lossless;   /* a record waits until there is room; else there always is, and mpp_produce() may be called */
    bool in_place;   /* the input of a single consumer is read(2) straight into its channel */
    bool reservable; /* mpp_reserve() has room to lend */

    /* The producer's side. */
    int (*open)(mpp_producer *p, struct producer_stream *s, mpp_error *err); /* when it attaches; may be NULL */
    void (*begin)(mpp_producer *p, struct producer_stream *s);               /* the run begins: tell */
    void (*end)(mpp_producer *p, struct producer_stream *s, unsigned state); /* LAYOUT_ENDED or _FAILED: tell */
    void (*close)(struct producer_stream *s);                                /* when it leaves; may be NULL */
    /* The whole records at the start of [data, data + n), as mpp_feed() says. */
    mpp_outcome (*push)(mpp_producer *p, struct producer_stream *s, const void *data, size_t n, size_t *used);
    /* Count a record that mpp_produce() was given and that is none; NULL: it is lossless. */
    void (*refused)(struct producer_stream *s);
    /* Move an accepted operation on: MPP_OK: complete; MPP_WOULD_BLOCK: not yet, and what it waits for makes the
     * endpoint's descriptor readable; MPP_ERROR: it failed, *err says why.  NULL: push its record, then it is complete.
     */
    mpp_outcome (*advance)(mpp_producer *p, struct producer_stream *s, mpp_operation *op, mpp_error *err);

    /* The consumer's side. */
    bool (*start)(mpp_consumer *c, struct consumer_stream *s);  /* false: the run before is not over yet */
    void (*cancel)(mpp_consumer *c, struct consumer_stream *s); /* NULL: nobody needs to know */
    /* Ask for the next run and cancel it at once, so that no producer begins it for us; false: as start.  NULL: nobody
     * counts runs. */
    bool (*skip)(mpp_consumer *c, struct consumer_stream *s);
    bool (*over)(mpp_consumer *c, const struct consumer_stream *s); /* may it start by now?  NULL: it always may */
    share_state (*peek)(mpp_consumer *c, struct consumer_stream *s, unsigned producer); /* is there anything? */
    share_state (*take)(mpp_consumer *c, struct consumer_stream *s, unsigned producer, mpp_batch *batch);
    void (*release)(mpp_consumer *c, struct consumer_stream *s, unsigned producer); /* of a batch; may be NULL */
    void (*await)(mpp_consumer *c, struct consumer_stream *s); /* about to sleep for it; may be NULL */
    void (*leave)(mpp_consumer *c, struct consumer_stream *s); /* when it detaches; may be NULL */
} buffer;

const buffer *buffer_of(mpp_buffer_kind kind);

#endif
