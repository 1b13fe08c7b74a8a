/* attach.c - how a consumer comes and leaves */
#include "endpoint/attach.h"
#include "base/atomics.h"
#include "base/error.h"
#include "buffer/buffer.h"
#include "channel/inlet.h"
#include "consumer/consumer.h"
#include "consumer/wait.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "mesh/cause.h"
#include "mesh/mesh.h"
#include "shm/layout.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int inlets_open(mpp_consumer *c, mpp_error *err)
{
    endpoint *e = &c->end;
    c->inlets = calloc((size_t)e->n_lanes * e->n_peers, sizeof *c->inlets);
    if (!c->inlets)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    c->n_inlets = e->n_lanes * e->n_peers;
    for (unsigned i = 0; i < c->n_inlets; i++)
        if (inlet_open(&c->inlets[i], e, i / e->n_peers, i % e->n_peers, err) < 0)
            return -1;
    return 0;
}

static int streams_open(mpp_consumer *c, mpp_error *err)
{
    endpoint *e = &c->end;
    c->streams = calloc(e->n_streams, sizeof *c->streams);
    if (!c->streams)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    c->n_streams = e->n_streams;
    for (unsigned i = 0; i < c->n_streams; i++) {
        consumer_stream *s = &c->streams[i];
        s->stream = e->streams[i];
        s->declared = &e->mesh->streams[s->stream];
        s->buffer = buffer_of(s->declared->info.buffer);
        s->inlets = &c->inlets[endpoint_lane_position(e, s->stream) * e->n_peers];
        s->run = load_relaxed(layout_request_at(&e->mesh->l, e->mesh->base, e->index, s->stream));
        s->hungry = HUNGRY_NOT;
        s->shares = calloc(e->n_peers, sizeof *s->shares);
        if (!s->shares)
            return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    }
    return 0;
}

static void consumer_free(mpp_consumer *c)
{
    for (unsigned i = 0; i < c->n_inlets; i++)
        inlet_close(&c->inlets[i]);
    for (unsigned i = 0; i < c->n_streams; i++) {
        consumer_stream *s = &c->streams[i];
        if (s->shares && s->buffer->leave)
            s->buffer->leave(c, s);
        for (unsigned j = 0; s->shares && j < c->n_peers; j++)
            free(s->shares[j].held);
        free(s->shares);
    }
    free(c->streams);
    free(c->inlets);
    free(c);
}

int mpp_consumer_attach(mpp_mesh *m, const mpp_attach_options *o, mpp_consumer **out, mpp_error *err)
{
    assert(m && o);
    *out = NULL;
    mpp_consumer *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot attach a consumer");
    c->n_peers = m->l.producers;
    if (endpoint_attach(&c->end, m, 'c', o, err) < 0) {
        free(c);
        return -1;
    }
    bool closed = load_acquire(&m->header->closed) && mesh_cause_word(m) == 0; /* [K2], after [L3] */
    mpp_error why;
    if (closed)
        error_set(&why, MPP_S_NO_MESH, 0, "mesh '%s' is over: every consumer has finished", m->id);
    if (closed || inlets_open(c, &why) < 0 || streams_open(c, &why) < 0) {
        if (!closed) /* everybody learns it, and need not wait for us */
            endpoint_fail(&c->end, why.status == MPP_S_CORRUPT ? MPP_S_CORRUPT : MPP_S_FAILED, false,
                          "consumer %u (pid %d) could not attach: %.400s", c->end.index, (int)getpid(), why.text);
        endpoint_leave(&c->end);
        consumer_free(c);
        return error_pass(err, &why);
    }
    *out = c;
    return 0;
}

static bool all_over(const mpp_consumer *c, const consumer_stream *s)
{
    for (unsigned i = 0; i < c->end.n_peers; i++)
        if (!s->shares[i].over)
            return false;
    return true;
}

/* Cancels go out while the mesh is whole and we are LIVE; then the slots, the sockets, the maps. */
void mpp_consumer_detach(mpp_consumer **cp)
{
    mpp_consumer *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    for (unsigned i = 0; i < c->n_streams; i++)
        if (c->streams[i].active && !all_over(c, &c->streams[i]))
            mpp_cancel(c, c->streams[i].stream);
    for (unsigned i = 0; i < c->n_inlets; i++)
        inlet_await(&c->inlets[i], LAYOUT_AWAITS_NOT);
    consumer_give_back(c);
    endpoint_leave(&c->end);
    consumer_free(c);
}
