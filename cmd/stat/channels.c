#include "stat/channels.h"

#include "common/text.h"
#include "mpp-look.h"
#include "stat/cell.h"

static void show_channel(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_channel *ch = row;
    snprintf(out, TEXT_CELL, "%u->%u", ch->producer, ch->consumer);
    cell_add_lane(out, cell_snapshot(context), ch->lane);
}

static void show_fill(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    text_bytes(out, ((const mpp_channel *)row)->fill);
}

static void show_full(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_snapshot *s = cell_snapshot(context);
    const mpp_channel *ch = row;
    if (s->ring_size > 0)
        snprintf(out, TEXT_CELL, "%.0f%%", 100.0 * (double)ch->fill / (double)s->ring_size);
}

static void show_bar(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    text_bar(out, ((const mpp_channel *)row)->fill, cell_snapshot(context)->ring_size);
}

static void show_rate(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    text_rate(out, stat_channel_rates(context, row).bytes, text_bytes);
}

static void show_records_rate(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    text_rate(out, stat_channel_rates(context, row).records, text_count);
}

static column channel_columns[] = {
    {.name = "behind",
     .right = true,
     .cell = cell_counter,
     .unit = "count records",
     .offset = offsetof(mpp_channel, behind)},
    {.name = "bar", .heading = "", .cell = show_bar},
    {.name = "channel", .cell = show_channel},
    {.name = "consumer", .right = true, .cell = cell_unsigned, .offset = offsetof(mpp_channel, consumer)},
    {.name = "fill", .right = true, .cell = show_fill},
    {.name = "full", .right = true, .cell = show_full},
    {.name = "lane", .right = true, .cell = cell_unsigned, .offset = offsetof(mpp_channel, lane)},
    {.name = "producer", .right = true, .cell = cell_unsigned, .offset = offsetof(mpp_channel, producer)},
    {.name = "rate", .right = true, .cell = show_rate},
    {.name = "records_rate", .right = true, .cell = show_records_rate},
#define COUNTER(counter, kind, counted, side, prose)                                                                   \
    {.name = #counter,                                                                                                 \
     .right = true,                                                                                                    \
     .cell = cell_counter,                                                                                             \
     .unit = #kind " " #counted,                                                                                       \
     .offset = offsetof(mpp_channel, counters.counter)},
#include "counters.def"
};

int stat_worse_channel(const void *a, const void *b)
{
    const mpp_channel *const *pa = a, *const *pb = b, *p = *pa, *q = *pb;
    if (p->fill != q->fill)
        return p->fill > q->fill ? -1 : 1;
    if (p->counters.space_ns != q->counters.space_ns)
        return p->counters.space_ns > q->counters.space_ns ? -1 : 1;
    if (p->counters.data_ns != q->counters.data_ns)
        return p->counters.data_ns > q->counters.data_ns ? -1 : 1;
    return p < q ? -1 : 1;
}

static table channels;

void stat_channels_init(void)
{
    table_init(&channels, channel_columns, sizeof channel_columns / sizeof *channel_columns);
}

table *stat_channels_table(void)
{
    return &channels;
}
