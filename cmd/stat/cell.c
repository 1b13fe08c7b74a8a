#include "stat/cell.h"

#include "common/text.h"
#include "mpp-look.h"

#include <string.h>

const mpp_snapshot *cell_snapshot(const void *context)
{
    return ((const stat_mesh *)context)->now;
}

void cell_add_lane(char *out, const mpp_snapshot *s, unsigned lane)
{
    size_t used = strlen(out);
    if (s->lanes > 1)
        snprintf(out + used, TEXT_CELL - used, ".%u", lane);
}

void cell_unsigned(char *out, const column *c, const void *context, const void *row)
{
    (void)context;
    snprintf(out, TEXT_CELL, "%u", *(const unsigned *)(const void *)((const char *)row + c->offset));
}

void cell_counter(char *out, const column *c, const void *context, const void *row)
{
    const uint64_t n = *(const uint64_t *)(const void *)((const char *)row + c->offset);
    const uint64_t now = (uint64_t)cell_snapshot(context)->taken_ns;
    if (strcmp(c->unit, "level nanoseconds") == 0) { /* a moment */
        if (n > 0)
            text_duration(out, n < now ? (int64_t)(now - n) : 0);
    } else if (strcmp(c->unit, "count nanoseconds") == 0)
        text_duration(out, (int64_t)n);
    else if (strstr(c->unit, "bytes"))
        text_bytes(out, n);
    else if (n != UINT64_MAX) /* not counted */
        text_count(out, n);
}
