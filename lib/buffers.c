/* buffers.c - the table of buffer.h: which operations are behind each kind */
#include "buffer.h"
#include "overwriting.h"

static const buffer bounded = {
    .begin = bounded_begin,
    .end = bounded_end,
    .push = bounded_push,
    .start = bounded_start,
    .cancel = bounded_cancel,
    .look = bounded_look,
    .take = bounded_take,
};

static const buffer overwriting = {
    .overwrites = true,
    .open = overwriting_open,
    .close = overwriting_close,
    .begin = overwriting_begin,
    .end = overwriting_end,
    .push = overwriting_push,
    .start = overwriting_start,
    .look = overwriting_look,
    .take = overwriting_take,
    .await = overwriting_await,
    .leave = overwriting_leave,
};

const buffer *buffer_of(mpp_buffer_kind kind)
{
    static const buffer *const table[] = {
        [MPP_BOUNDED] = &bounded, [MPP_RING] = &overwriting, [MPP_LATEST] = &overwriting, [MPP_MAILBOX] = &overwriting};
    return table[kind];
}
