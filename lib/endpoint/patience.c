#include "endpoint/patience.h"

#include "base/atomics.h"
#include "base/liveness.h"
#include "mesh/mesh.h"
#include "mesh/over.h"
#include "shm/layout.h"
#include "shm/lock.h"

/* A time-out of more than a century is none, and deadlines do not overflow. */
static int64_t nanoseconds(int64_t ms)
{
    const int64_t century = INT64_C(100) * 366 * 24 * 3600 * 1000;
    return ms > century ? 0 : ms * 1000000;
}

void endpoint_be_patient(endpoint *e, int64_t attach_timeout_ms, int64_t timeout_ms)
{
    e->patience = (endpoint_patience){
        .since_ns = mpp_now(), .attach_ns = nanoseconds(attach_timeout_ms), .timeout_ns = nanoseconds(timeout_ms)};
}

bool endpoint_waits_for_ever(const endpoint *e)
{
    return !e->patience.attach_ns && !mesh_sealed(e->mesh);
}

int64_t endpoint_too_late(const endpoint *e, int64_t since)
{
    if (mesh_sealed(e->mesh))
        return e->patience.again_ns ? e->patience.again_ns : 1;
    return e->patience.attach_ns ? since + e->patience.attach_ns : 0;
}

bool endpoint_still_comes(endpoint *e, unsigned number)
{
    const pid_t holder = segment_holder(e->mesh->segment, LAYOUT_LOCK_SLOTS + number);
    if (!mesh_sealed(e->mesh) || holder == 0 || holder == e->mesh->watch_pid)
        return false;
    e->patience.again_ns = mpp_now() + INT64_C(10000000);
    return true;
}

static bool stopped(int32_t pid)
{
    char state = pid ? liveness_state((pid_t)pid) : 0;
    return state == 'T' || state == 't';
}

/* Is any participant of our lanes, or its command, stopped or traced?  Nobody is late then, nor is who waits for
 * one. */
static bool anybody_stopped(const endpoint *e)
{
    for (unsigned lane = 0; lane < e->n_lanes; lane++)
        for (unsigned at = 0; at < e->n_all; at++) {
            layout_slot *s = mesh_slot(e->mesh, layout_slot_in_lane(&e->mesh->l, e->lanes[lane], at));
            if (load_acquire(&s->state) == LAYOUT_LIVE && /* [L2] */
                (stopped(load_relaxed(&s->pid)) || stopped(load_relaxed(&s->command))))
                return true;
        }
    return false;
}

int64_t endpoint_slice(const endpoint *e)
{
    return e->patience.timeout_ns / 16 + 1000000;
}

bool endpoint_starves(endpoint *e, int64_t slept, bool whole)
{
    endpoint_patience *p = &e->patience;
    const bool held = whole ? anybody_stopped(e) : p->held;
    if (!held && !p->held)
        p->waited_ns += slept < endpoint_slice(e) ? slept : endpoint_slice(e);
    p->held = held;
    return p->waited_ns >= p->timeout_ns;
}
