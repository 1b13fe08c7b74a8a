#include "producer/producer.h"

#include "base/atomics.h"
#include "base/error.h"
#include "channel/outlet.h"
#include "endpoint/endpoint.h"
#include "endpoint/say.h"
#include "mesh/mesh.h"
#include "run/registry.h"

#include <assert.h>
#include <errno.h>

unsigned mpp_producer_index(const mpp_producer *p)
{
    return p->end.index;
}

int mpp_producer_fd(const mpp_producer *p)
{
    return p->end.events;
}

int mpp_producer_agree(mpp_producer *p, unsigned stream, uint32_t what, uint32_t how)
{
    const endpoint *e = &p->end;
    if (!producer_stream_of(p, stream)) /* the slot would be another's */
        return -1;
    const unsigned lane = layout_lane_of(&e->mesh->l, stream);
    const uint64_t ours = (uint64_t)what << 32 | how;
    store_relaxed(&mesh_endpoint_slot(e->mesh, lane, 'p', e->index)->share, ours);
    full_fence(); /* of two who do this at once, one at least sees what the other has stored */
    for (unsigned i = 0; ours && i < e->mesh->l.producers; i++) {
        const uint64_t theirs = load_relaxed(&mesh_endpoint_slot(e->mesh, lane, 'p', i)->share);
        if (theirs >> 32 == what && theirs != ours)
            return (int)i;
    }
    return -1;
}

void producer_unserved(const mpp_producer *p, unsigned stream, mpp_error *err)
{
    error_set(err, MPP_S_USAGE, 0, "producer %u does not serve a stream number %u", p->end.index, stream);
}

mpp_outcome mpp_register(mpp_producer *p, unsigned stream, const mpp_source *source)
{
    producer_stream *s = producer_stream_of(p, stream);
    assert(source);
    if (!s)
        return producer_refuse(EINVAL);
    s->source = *source;
    s->registered = true;
    return MPP_OK;
}

mpp_outcome mpp_begin(mpp_producer *p, unsigned stream)
{
    producer_stream *s = producer_stream_of(p, stream);
    if (!s)
        return producer_refuse(EINVAL);
    s->registry.eager = true;
    return MPP_OK;
}

void mpp_producer_count(mpp_producer *p, bool on)
{
    p->counting = on;
    for (unsigned i = 0; i < p->n_streams; i++)
        p->streams[i].split.count = on;
}

void mpp_producer_totals(const mpp_producer *p, unsigned stream, mpp_totals *t)
{
    const producer_stream *s = producer_stream_of(p, stream);
    *t = (mpp_totals){0};
    if (!s)
        return;
    bool uncounted = producer_in_place(p, s) && s->declared->info.format.kind == MPP_DELIMITED && !p->counting;
    *t = (mpp_totals){.records = uncounted ? UINT64_MAX : s->records,
                      .bytes = s->bytes,
                      .no_key = s->no_key,
                      .dropped = s->dropped,
                      .given_up = s->given_up};
}

size_t mpp_frame_max(const mpp_producer *p)
{
    return producer_frame_max(p);
}

void mpp_producer_command(mpp_producer *p, pid_t pid)
{
    endpoint_command(&p->end, pid);
}

void mpp_flush(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_outlets; i++) {
        outlet_publish(&p->outlets[i], &p->end);
        outlet_bell(&p->outlets[i], &p->end);
    }
}
