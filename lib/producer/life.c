#include "producer/life.h"

#include "base/error.h"
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "endpoint/fail.h"
#include "endpoint/peers.h"
#include "producer/pending.h"
#include "producer/producer.h"
#include "record/splitter.h"
#include "run/registry.h"
#include "shm/layout.h"

void producer_forget_input(producer_stream *s)
{
    s->have = s->at = 0;
    s->offset = 0;
    s->filling = false;
    s->long_left = 0;
    s->turn = s->in_turn = 0;
    uint64_t records = s->split.records;
    splitter_init(&s->split, &s->declared->info.format, s->split.max);
    s->split.records = records;
}

/* A source that fails need not say why, nor of what class that is. */
static void start(mpp_producer *p, producer_stream *s)
{
    mpp_error err;
    error_set(&err, MPP_S_ERROR, 0, "the source of stream '%s' could not be started", s->declared->info.name);
    const bool calling = p->calling; /* one that nobody is asked for may begin inside another's */
    p->calling = true;
    const int started = s->source.start(s->source.arg, s->stream, s->registry.run, &err);
    p->calling = calling;
    if (started < 0)
        mpp_producer_fail(p, &err);
}

void producer_begin(mpp_producer *p, producer_stream *s)
{
    registry *r = &s->registry;
    r->run++;
    r->running = true;
    producer_forget_input(s);
    s->buffer->begin(p, s);
    if (s->source.start)
        start(p, s);
}

mpp_outcome producer_ensure_run(mpp_producer *p, producer_stream *s)
{
    if (endpoint_notice(&p->end))
        return MPP_GONE;
    if (s->registry.running)
        return MPP_OK;
    if (s->buffer->asked || s->registry.run > 0)
        return MPP_CLOSED;
    producer_begin(p, s); /* nobody needs to ask */
    if (endpoint_notice(&p->end))
        return MPP_GONE;
    return s->registry.running ? MPP_OK : MPP_CLOSED; /* its source may have ended it */
}

void producer_end_run(mpp_producer *p, producer_stream *s, unsigned state)
{
    operations_close(p, s, state == LAYOUT_FAILED ? MPP_GONE : MPP_CLOSED);
    s->buffer->end(p, s, state);
    s->registry.running = false;
}

bool mpp_producer_fail(mpp_producer *p, const mpp_error *err)
{
    const mpp_error told = error_told(err, "it failed, and did not say why");
    mpp_flush(p);
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].registry.running)
            producer_end_run(p, &p->streams[i], LAYOUT_FAILED);
    return endpoint_report(&p->end, &told);
}

void producer_unasked(mpp_producer *p)
{
    p->over = true;
    for (unsigned i = 0; i < p->n_streams; i++) {
        producer_stream *s = &p->streams[i];
        for (unsigned j = 0; s->registry.run == 0 && s->buffer->asked && j < s->registry.consumers; j++)
            outlet_end(&s->outlets[j], &p->end, s->stream, 1, LAYOUT_UNASKED);
    }
}
