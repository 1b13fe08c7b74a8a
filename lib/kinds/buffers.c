/* buffers.c - the table of buffer/buffer.h: what is behind each kind; the one place that knows them all */
#include "buffer/buffer.h"
#include "kinds/bounded-in.h"
#include "kinds/bounded-out.h"
#include "kinds/over-in.h"
#include "kinds/over-out.h"

static const buffer bounded = {
    .asked = true,
    .runs = true,
    .lossless = true,
    .in_place = true,
    .reservable = true,
    .begin = bounded_begin,
    .end = bounded_end,
    .push = bounded_push,
    .start = bounded_start,
    .cancel = bounded_cancel,
    .skip = bounded_skip,
    .over = bounded_over,
    .peek = bounded_peek,
    .take = bounded_take,
    .release = bounded_release,
};

static const buffer over = {
    .open = over_open,
    .close = over_close,
    .begin = over_begin,
    .end = over_end,
    .push = over_push,
    .refused = over_refused,
    .start = over_start,
    .peek = over_peek,
    .take = over_take,
    .await = over_await,
    .leave = over_leave,
};

const buffer *buffer_of(mpp_buffer_kind kind)
{
    static const buffer *const table[] = {
        [MPP_BOUNDED] = &bounded, [MPP_RING] = &over, [MPP_LATEST] = &over, [MPP_MAILBOX] = &over};
    return table[kind];
}
