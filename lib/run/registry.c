#include "run/registry.h"

#include "shm/layout.h"

#include <stdlib.h>

int registry_init(registry *r, unsigned consumers, unsigned runs)
{
    *r = (registry){.consumers = consumers, .runs = runs};
    r->asked = calloc(consumers, sizeof *r->asked);
    r->cancelled = calloc(consumers, sizeof *r->cancelled);
    return r->asked && r->cancelled ? 0 : -1;
}

void registry_free(registry *r)
{
    free(r->asked);
    free(r->cancelled);
    *r = (registry){0};
}

bool registry_message(registry *r, unsigned consumer, uint32_t type, uint32_t run)
{
    switch (type) {
    case LAYOUT_START: /* runs come one by one, and k+1 only when k was begun, or cancelled before it was */
        if (run != r->asked[consumer] + 1 || (run > r->run + 1 && r->cancelled[consumer] != run - 1))
            return false;
        r->asked[consumer] = run;
        return true;
    case LAYOUT_CANCEL:
        if (run != r->asked[consumer] || run == r->cancelled[consumer])
            return false;
        r->cancelled[consumer] = run;
        return true;
    default:
        return false;
    }
}

bool registry_left(registry *r, unsigned consumer)
{
    if (r->runs != 1 || r->asked[consumer] || r->cancelled[consumer])
        return false;
    r->cancelled[consumer] = 1;
    return true;
}

bool registry_wanted(const registry *r)
{
    if (r->running || (r->runs != 0 && r->run >= r->runs))
        return false;
    if (r->eager && r->run == 0)
        return true;
    for (unsigned j = 0; j < r->consumers; j++)
        if (r->asked[j] == r->run + 1 && r->cancelled[j] != r->run + 1)
            return true;
    return false;
}

bool registry_unwanted(const registry *r, unsigned run)
{
    for (unsigned j = 0; j < r->consumers; j++)
        if (r->cancelled[j] < run)
            return false;
    return true;
}
