/* input.c - what mpp_fill() has read and not put into frames yet */
#include "producer/input.h"

#include "base/error.h"
#include "buffer/buffer.h"
#include "producer/life.h"
#include "producer/producer.h"
#include "producer/push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILL_BUFFER = 256 << 10 }; /* input that is read at once to be partitioned */

mpp_outcome input_too_long(const mpp_producer *p, const producer_stream *s, uint64_t at, mpp_error *err)
{
    const uint64_t most = s->declared->info.max_record;
    error_set(err, MPP_S_ERROR, 0,
              most < p->end.mesh->max_record
                  ? "the record at offset %llu of its input is longer than the %llu bytes that the stream's buffer can "
                    "hold (a quarter of the mesh's --ring-size, at most 256K, less 16)"
                  : "the record at offset %llu of its input is longer than the mesh's --max-record of %llu bytes",
              (unsigned long long)at, (unsigned long long)most);
    return MPP_ERROR;
}

/* The ring's open frame is the caller's, until mpp_commit(). */
mpp_outcome input_lent(const producer_stream *s, mpp_error *err)
{
    error_set(err, MPP_S_USAGE, 0, "what was reserved for stream '%s', or in its lane, has yet to be committed",
              s->declared->info.name);
    return producer_refuse(EINVAL);
}

bool input_grow(producer_stream *s)
{
    size_t size = s->size ? s->size * 2 : FILL_BUFFER;
    unsigned char *bigger = realloc(s->input, size);
    if (!bigger)
        return false;
    s->input = bigger;
    s->size = size;
    return true;
}

void input_compact(producer_stream *s)
{
    if (s->at == 0)
        return;
    memmove(s->input, s->input + s->at, s->have - s->at);
    s->offset += s->at;
    s->have -= s->at;
    s->at = 0;
    if (s->size > FILL_BUFFER && s->have <= FILL_BUFFER / 2) {
        unsigned char *smaller = realloc(s->input, FILL_BUFFER);
        if (smaller) {
            s->input = smaller;
            s->size = FILL_BUFFER;
        }
    }
}

/* The next record of the input goes nowhere. */
static bool give_up_next(mpp_producer *p, producer_stream *s)
{
    size_t len;
    if (s->long_left || mpp_record_next(&s->declared->info.format, s->declared->info.max_record, s->input + s->at,
                                        s->have - s->at, &len) != MPP_OK)
        return false;
    producer_give_up(p, s);
    s->at += len;
    return true;
}

mpp_outcome input_feed(mpp_producer *p, producer_stream *s, mpp_error *err)
{
    mpp_outcome outcome;
    do {
        size_t used = 0;
        outcome = s->buffer->push(p, s, s->input + s->at, s->have - s->at, &used);
        s->at += used;
    } while (outcome == MPP_WOULD_BLOCK && p->no_wait && give_up_next(p, s));
    if (outcome == MPP_ERROR && errno == EMSGSIZE)
        return input_too_long(p, s, s->offset + s->at, err);
    if (outcome == MPP_ERROR && errno == EINVAL)
        return input_lent(s, err);
    if (outcome == MPP_ERROR)
        error_set(err, MPP_S_ERROR, errno, "the record at offset %llu of its input",
                  (unsigned long long)(s->offset + s->at));
    return outcome;
}

bool input_unfinished(const producer_stream *s)
{
    return s->split.in_record > 0 || s->have > s->at;
}

mpp_outcome input_rest(mpp_producer *p, producer_stream *s)
{
    mpp_outcome outcome = producer_ensure_run(p, s);
    if (outcome == MPP_OK && s->have > s->at)
        outcome = input_feed(p, s, NULL);
    s->filling = input_unfinished(s);
    return outcome == MPP_OK && s->filling ? producer_refuse(EINVAL) : outcome;
}
