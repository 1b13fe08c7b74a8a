#include "endpoint/say.h"

#include "base/atomics.h"
#include "base/clock.h"
#include "endpoint/endpoint.h"
#include "shm/layout.h"

void endpoint_publish(const endpoint *e, mpp_activity activity, unsigned lane, unsigned waits_for, int64_t since_ns)
{
    for (unsigned i = 0; i < e->n_lanes; i++) {
        layout_slot *s = endpoint_slot(e, i);
        store_relaxed(&s->activity, (uint32_t)activity);
        store_relaxed(&s->waits_for, e->lanes[i] == lane ? waits_for : 0);
        store_relaxed(&s->since_ns, (uint64_t)since_ns);
    }
}

void endpoint_say(endpoint *e, mpp_activity activity, unsigned lane, unsigned peer, uint64_t progress, int fd)
{
    if (e->spoken_to || e->said != activity || e->said_peer != peer || e->progress != progress)
        e->said_since_ns = clock_shared();
    e->spoken_to = false;
    e->said = activity;
    e->said_peer = peer;
    e->progress = progress;
    for (unsigned i = 0; i < e->n_lanes; i++)
        store_relaxed(&endpoint_slot(e, i)->fd,
                      activity == MPP_READING_INPUT || activity == MPP_WRITING_OUTPUT ? fd : -1);
    endpoint_publish(e, activity, lane, peer, e->said_since_ns);
}

void endpoint_slept(const endpoint *e, uint64_t ns)
{
    for (unsigned i = 0; i < e->n_lanes; i++) {
        layout_slot *s = endpoint_slot(e, i);
        switch (e->said) {
        case MPP_WAITING_START:
        case MPP_WAITING_PEERS:
            count_add(&s->start_ns, ns);
            break;
        case MPP_WAITING_SPACE:
        case MPP_WAITING_DATA:
            count_add(&s->channel_ns, ns);
            break;
        case MPP_READING_INPUT:
            count_add(&s->input_ns, ns);
            break;
        case MPP_WRITING_OUTPUT:
            count_add(&s->output_ns, ns);
            break;
        case MPP_WAITING_COMMAND:
            count_add(&s->command_ns, ns);
            break;
        case MPP_COMPUTING:
        case MPP_ENDING:
            break;
        }
    }
}

void endpoint_command(const endpoint *e, pid_t pid)
{
    for (unsigned i = 0; i < e->n_lanes; i++)
        store_relaxed(&endpoint_slot(e, i)->command, (int32_t)pid);
}
