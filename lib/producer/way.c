#include "producer/way.h"

#include "base/error.h"
#include "producer/input.h"
#include "producer/producer.h"

#include <errno.h>

mpp_outcome way_other(mpp_producer *p, producer_stream *s, producer_way way)
{
    if (s->filling && way != WAY_FILL) {
        const mpp_outcome rest = input_rest(p, s);
        if (rest != MPP_OK)
            return rest;
    }
    if (s->long_left && s->way != way)
        return producer_refuse(EINVAL);
    s->way = way;
    return MPP_OK;
}

void way_tell_between(const producer_stream *s, mpp_error *err)
{
    error_set(err, MPP_S_USAGE, 0, "stream '%s' has a record that is not whole yet: %s finishes it",
              s->declared->info.name,
              s->way == WAY_FILL ? "mpp_fill() or mpp_fill_end()" : "the call that has a part of it under way");
}
