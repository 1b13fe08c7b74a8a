/* wait.c - what a producer waits for */
#include "producer/wait.h"

#include "base/atomics.h"
#include "buffer/buffer.h"
#include "channel/outlet.h"
#include "endpoint/barrier.h"
#include "endpoint/peers.h"
#include "producer/operation.h"
#include "producer/producer.h"
#include "producer/service.h"
#include "run/registry.h"

void producer_arm(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_streams; i++)
        operations_advance(p, &p->streams[i]); /* or say what it waits for */
    mpp_flush(p);
    for (unsigned i = 0; i < p->n_outlets; i++)
        outlet_want(&p->outlets[i]);
}

bool producer_recheck(mpp_producer *p)
{
    if (p->end.barrier) /* nothing is begun before everybody is there */
        return endpoint_notice(&p->end) || endpoint_await_all(&p->end);
    if (p->news || producer_mail(p) != p->mail_seen ||
        (!p->closed && load_acquire(&p->end.mesh->header->closed)) || /* [K2] */
        endpoint_notice(&p->end))
        return true;
    for (unsigned i = 0; i < p->n_outlets; i++)
        if (outlet_satisfied(&p->outlets[i]))
            return true;
    return false;
}

void producer_disarm(mpp_producer *p)
{
    p->nobody_asked = p->news = false;
    for (unsigned i = 0; i < p->n_outlets; i++)
        outlet_unwant(&p->outlets[i]);
}

outlet *producer_blocked(mpp_producer *p)
{
    for (unsigned i = 0; i < p->n_outlets; i++)
        if (p->outlets[i].need || p->outlets[i].end_wanted)
            return &p->outlets[i];
    return NULL;
}

bool producer_waits_start(const mpp_producer *p)
{
    bool asked = false;
    for (unsigned i = 0; i < p->n_streams; i++) {
        if (p->streams[i].registry.running)
            return false;
        asked |= p->streams[i].buffer->asked;
    }
    return asked;
}
