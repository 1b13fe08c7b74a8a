/* over-out.c - a producer's side of a stream whose buffer overwrites */
#include "kinds/over-out.h"

#include "base/atomics.h"
#include "base/error.h"
#include "buffer/buffer.h"
#include "endpoint/bells.h"
#include "endpoint/endpoint.h"
#include "endpoint/fail.h"
#include "mesh/mesh.h"
#include "producer/life.h"
#include "producer/producer.h"
#include "ring/doorbell.h"
#include "ring/mailbox.h"
#include "ring/tape.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>

enum { VALUE_MOST = 64 << 10 }; /* a ring's values hold many records, up to so many bytes */

unsigned char *over_map(const mpp_mesh *m, unsigned stream, unsigned producer)
{
    return segment_map_twice(m->segment, mesh_area_offset(m, stream, producer), mesh_area_size(m, stream));
}

mailbox over_mailbox(const mpp_mesh *m, unsigned stream, unsigned char *bytes, unsigned producer)
{
    return (mailbox){.shared = mesh_buffer(m, stream),
                     .boxes = bytes,
                     .box_size = layout_quarter(m->l.ring_size),
                     .producers = m->l.producers,
                     .producer = producer,
                     .box = producer};
}

int over_open(mpp_producer *p, producer_stream *s, mpp_error *err)
{
    const mpp_mesh *m = p->end.mesh;
    unsigned char *bytes = over_map(m, s->stream, p->end.index);
    s->kept.over.share = layout_share_of(mesh_buffer(m, s->stream), p->end.index);
    if (!bytes)
        return error_set(err, MPP_S_ERROR, errno, "producer %u cannot map the buffer of stream '%s'", p->end.index,
                         s->declared->info.name);
    s->kept.over.area = bytes;
    s->kept.over.area_size = mesh_area_size(m, s->stream);
    if (mesh_boxes(m, s->stream))
        s->kept.over.box = over_mailbox(m, s->stream, bytes, p->end.index);
    else
        tape_writer_open(&s->kept.over.tape, s->kept.over.share, bytes, m->l.ring_size);
    return 0;
}

void over_close(producer_stream *s)
{
    segment_unmap_twice(s->kept.over.area, s->kept.over.area_size);
    s->kept.over.area = NULL;
}

/* Wake the readers that sleep. */
static void bell(mpp_producer *p, const producer_stream *s)
{
    endpoint *e = &p->end;
    _Atomic uint32_t *awaited = &mesh_buffer(e->mesh, s->stream)->awaited;
    doorbell_fence(); /* [D2]: after [W1], [X1], [E1] */
    if (!load_relaxed(awaited))
        return;
    exchange(awaited, 0);
    for (unsigned j = 0; j < e->n_peers; j++)
        if (doorbell_wake(endpoint_peer(e, s->stream, j), LAYOUT_WANTS_DATA)) {
            endpoint_ring(e, s->stream, j);
            count_add(&mesh_channel(e->mesh, s->stream, e->index, j)->rung, 1);
        }
}

void over_begin(mpp_producer *p, producer_stream *s)
{
    (void)p;
    store_release(&s->kept.over.share->state, LAYOUT_RUNNING); /* [E1] */
}

void over_end(mpp_producer *p, producer_stream *s, unsigned state)
{
    store_release(&s->kept.over.share->state, state); /* [E1] pairs with [E2]: the last value before it */
    bell(p, s);
}

static void put_value(mpp_producer *p, producer_stream *s, const void *data, size_t n, unsigned records)
{
    uint64_t overwritten;
    const bool good = mesh_boxes(p->end.mesh, s->stream)
                          ? mailbox_put(&s->kept.over.box, data, n, &overwritten)
                          : tape_write(&s->kept.over.tape, data, n, records, &overwritten);
    if (!good)
        endpoint_corrupt(&p->end, s->stream, 0, "the buffer that producers overwrite");
    s->records += records;
    s->bytes += n;
    count_add(&s->kept.over.share->produced, records);
    count_add(&s->kept.over.share->produced_bytes, n);
    count_add(&s->kept.over.share->overwritten, overwritten);
}

/* Whole records that make one value: as many as there are for a ring, else one.  Their bytes; 0: there is none. */
static size_t value_at(const producer_stream *s, const unsigned char *bytes, size_t n, unsigned *records,
                       mpp_outcome *outcome)
{
    const mpp_stream_info *info = &s->declared->info;
    const size_t most = info->buffer != MPP_RING ? 0 : info->max_record < VALUE_MOST ? info->max_record : VALUE_MOST;
    size_t len = 0, one;
    *records = 0;
    while ((*outcome = mpp_record_next(&info->format, info->max_record, bytes + len, n - len, &one)) == MPP_OK) {
        if (*records && len + one > most)
            break;
        len += one;
        ++*records;
    }
    return len;
}

mpp_outcome over_push(mpp_producer *p, producer_stream *s, const void *data, size_t n, size_t *used)
{
    const unsigned char *bytes = data;
    unsigned records;
    mpp_outcome outcome = producer_ensure_run(p, s);
    if (outcome != MPP_OK)
        return outcome;
    while (*used < n) {
        const size_t len = value_at(s, bytes + *used, n - *used, &records, &outcome);
        if (records == 0)
            break;
        put_value(p, s, bytes + *used, len, records);
        *used += len;
    }
    bell(p, s);
    return outcome == MPP_ERROR ? producer_refuse(EMSGSIZE) : MPP_OK;
}

void over_refused(producer_stream *s)
{
    count_add(&s->kept.over.share->refused, 1);
}
