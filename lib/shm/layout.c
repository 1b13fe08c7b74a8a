#include "shm/layout.h"

#include "shm/segment.h"

enum { PAGE = 4096, LINE = 128 };

static uint64_t align(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static const char *out_of_bounds(const layout *l)
{
    if (l->producers < 1 || l->producers > MPP_PARTICIPANTS_MAX)
        return "producers";
    if (l->consumers < 1 || l->consumers > MPP_PARTICIPANTS_MAX)
        return "consumers";
    if (l->streams < 1 || l->streams > MPP_STREAMS_MAX)
        return "streams";
    if (l->lanes < 1 || l->lanes > l->streams)
        return "lanes";
    if (l->ring_size < LAYOUT_RING_MIN || l->ring_size > LAYOUT_RING_MAX || (l->ring_size & (l->ring_size - 1)) != 0)
        return "ring size";
    if (l->buffers > l->streams || (l->buffers && l->lanes != l->streams))
        return "buffers";
    return NULL;
}

bool layout_compute(layout *l, const char **field)
{
    *field = out_of_bounds(l);
    if (*field)
        return false;
    /* No sum can wrap: 2^16 streams x 2^8 x 2^8 participants x 2^30 bytes of ring are 2^62, and
     * their areas 2^54 and a bit. */
    uint64_t channels = (uint64_t)l->lanes * l->producers * l->consumers;
    l->lane_streams = (l->streams + l->lanes - 1) / l->lanes;
    l->controls = 4 * l->lane_streams;
    l->slots = l->lanes * (l->producers + l->consumers);
    l->streams_at = sizeof(layout_header);
    l->texts_at = l->streams_at + (uint64_t)l->streams * sizeof(layout_stream);
    l->slots_at = align(l->texts_at + l->texts_size, LINE);
    l->requests_at = l->slots_at + (uint64_t)l->slots * sizeof(layout_slot);
    l->channels_at = align(l->requests_at + (uint64_t)l->consumers * l->streams * sizeof(uint32_t), LINE);
    l->channel_stride = align(sizeof(layout_channel) + (uint64_t)l->controls * sizeof(layout_control) +
                                  (uint64_t)l->lane_streams * sizeof(layout_end),
                              LINE);
    l->buffers_at = l->channels_at + channels * l->channel_stride;
    l->buffer_stride = sizeof(layout_buffer) + (uint64_t)l->producers * sizeof(layout_share);
    l->rings_at = align(l->buffers_at + l->buffers * l->buffer_stride, PAGE);
    l->areas_at = l->rings_at + channels * l->ring_size;
    l->segment_size = layout_area_offset(l, l->buffers, 0);
    return true;
}
