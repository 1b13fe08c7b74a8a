/* attach.c - how a producer comes and leaves */
#include "endpoint/attach.h"
#include "base/error.h"
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "mesh/cause.h"
#include "mesh/mesh.h"
#include "producer/life.h"
#include "producer/pending.h"
#include "producer/producer.h"
#include "producer/service.h"
#include "record/splitter.h"
#include "run/registry.h"
#include "shm/layout.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int outlets_open(mpp_producer *p, mpp_error *err)
{
    endpoint *e = &p->end;
    p->outlets = calloc((size_t)e->n_lanes * e->n_peers, sizeof *p->outlets);
    if (!p->outlets)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
    p->n_outlets = e->n_lanes * e->n_peers;
    for (unsigned i = 0; i < p->n_outlets; i++)
        if (outlet_open(&p->outlets[i], e, i / e->n_peers, i % e->n_peers, err) < 0)
            return -1;
    return 0;
}

static int streams_open(mpp_producer *p, mpp_error *err)
{
    endpoint *e = &p->end;
    p->streams = calloc(e->n_streams, sizeof *p->streams);
    if (!p->streams)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
    p->n_streams = e->n_streams;
    for (unsigned i = 0; i < p->n_streams; i++) {
        producer_stream *s = &p->streams[i];
        s->stream = e->streams[i];
        s->declared = &e->mesh->streams[s->stream];
        s->buffer = buffer_of(s->declared->info.buffer);
        s->overwriter = (struct mpp_overwriter){p, s};
        s->outlets = &p->outlets[endpoint_lane_position(e, s->stream) * e->n_peers];
        splitter_init(&s->split, &s->declared->info.format, s->declared->info.max_record);
        if (registry_init(&s->registry, e->n_peers, s->buffer->runs ? p->runs : 1) < 0)
            return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
        if (s->buffer->open && s->buffer->open(p, s, err) < 0)
            return -1;
    }
    return 0;
}

static void producer_free(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_outlets; i++)
        outlet_close(&p->outlets[i]);
    for (unsigned i = 0; i < p->n_streams; i++) {
        producer_stream *s = &p->streams[i];
        registry_free(&s->registry);
        if (s->buffer && s->buffer->close)
            s->buffer->close(s);
        free(s->input);
    }
    free(p->streams);
    free(p->outlets);
    free(p->scratch.data);
    free(p->framed);
    free(p);
}

static void settle(endpoint *e)
{
    mpp_flush((mpp_producer *)((char *)e - offsetof(mpp_producer, end)));
}

int mpp_producer_attach(mpp_mesh *m, const mpp_attach_options *o, mpp_producer **out, mpp_error *err)
{
    assert(m && o);
    *out = NULL;
    mpp_producer *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a producer");
    p->runs = o->runs;
    if (endpoint_attach(&p->end, m, 'p', o, err) < 0) {
        free(p);
        return -1;
    }
    mpp_error why;
    if (outlets_open(p, &why) < 0 || streams_open(p, &why) < 0) { /* everybody learns it, and need not wait for us */
        endpoint_fail(&p->end, why.status == MPP_S_CORRUPT ? MPP_S_CORRUPT : MPP_S_FAILED, false,
                      "producer %u (pid %d) could not attach: %.400s", p->end.index, (int)getpid(), why.text);
        endpoint_leave(&p->end);
        producer_free(p);
        return error_pass(err, &why);
    }
    p->end.settle = settle;
    p->mail_seen = producer_mail(p) - 1; /* messages may wait already */
    *out = p;
    return 0;
}

void mpp_producer_detach(mpp_producer **pp)
{
    mpp_producer *p = *pp;
    *pp = NULL;
    if (!p)
        return;
    assert(!p->calling); /* its source goes with it */
    for (unsigned i = 0; i < p->n_streams; i++)
        operations_close(p, &p->streams[i], MPP_GONE);
    for (unsigned i = 0; i < p->n_streams; i++)
        if (p->streams[i].registry.running && mesh_cause_word(p->end.mesh) == 0)
            endpoint_fail(&p->end, MPP_S_FAILED, false, "producer %u (pid %d) left before its stream '%s' ended",
                          p->end.index, (int)getpid(), p->streams[i].declared->info.name);
    if (mesh_cause_word(p->end.mesh) == 0) /* else who comes later is still expected, to learn it */
        producer_unasked(p);
    mpp_flush(p);
    endpoint_leave(&p->end);
    producer_free(p);
}
