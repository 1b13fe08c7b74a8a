#include "endpoint/fail.h"

#include "base/error.h"
#include "base/names.h"
#include "endpoint/endpoint.h"
#include "endpoint/timer.h"
#include "mesh/cause.h"
#include "mesh/mesh.h"
#include "shm/layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

bool endpoint_cause_set(endpoint *e, unsigned number, const layout_cause *cause)
{
    const unsigned before = e->owed.n;
    const bool first = mesh_cause_set(e->mesh, number, cause, e->sockets[0], &e->owed);
    if (e->owed.n > before)
        endpoint_owes(e);
    return first;
}

/* The mesh's cause, if it is the first; the failure of one that nobody misses is its own. */
static bool record(endpoint *e, const layout_cause *cause)
{
    if (!e->alone)
        return endpoint_cause_set(e, endpoint_slot_number(e, 0), cause);
    if (mesh_cause_word(e->mesh) != 0 || e->failed)
        return false;
    e->failed = true;
    e->own = *cause;
    return true;
}

__attribute__((format(printf, 3, 0))) static layout_cause cause_of(mpp_status others, bool final, const char *fmt,
                                                                   va_list ap)
{
    layout_cause cause = {.status = (uint32_t)others, .final = final};
    vsnprintf(cause.text, sizeof cause.text, fmt, ap);
    return cause;
}

bool endpoint_fail(endpoint *e, mpp_status others, bool final, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const layout_cause cause = cause_of(others, final, fmt, ap);
    va_end(ap);
    return record(e, &cause);
}

bool endpoint_report(endpoint *e, const mpp_error *err)
{
    const bool as_it_is = err->status == MPP_S_TIMEOUT || err->status == MPP_S_DIED || err->status == MPP_S_CORRUPT;
    return endpoint_fail(e, as_it_is ? err->status : MPP_S_FAILED, err->final, "%s %u (pid %d): %.400s",
                         names_role(e->role), e->index, (int)getpid(), err->text);
}

bool endpoint_found(endpoint *e, mpp_status others, bool final, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const layout_cause cause = cause_of(others, final, fmt, ap);
    va_end(ap);
    return endpoint_cause_set(e, endpoint_slot_number(e, 0), &cause);
}

bool endpoint_cannot(endpoint *e, int os_error, const char *fmt, ...)
{
    layout_cause cause = {.status = MPP_S_FAILED, .os_error = os_error};
    char what[256];
    mpp_error why;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    error_set(&why, MPP_S_ERROR, os_error, "%s", what);
    snprintf(cause.text, sizeof cause.text, "%s %u (pid %d): %.400s", names_role(e->role), e->index, (int)getpid(),
             why.text);
    if (e->settle)
        e->settle(e);
    const bool first = record(e, &cause);
    e->failed = true;
    return first;
}

void endpoint_corrupt(endpoint *e, unsigned lane, unsigned peer, const char *what)
{
    unsigned producer = e->role == 'p' ? e->index : peer, consumer = e->role == 'p' ? peer : e->index;
    endpoint_fail(e, MPP_S_CORRUPT, false, "mesh '%s' is corrupt: lane %u, channel %u->%u: %s", e->mesh->id, lane,
                  producer, consumer, what);
}
