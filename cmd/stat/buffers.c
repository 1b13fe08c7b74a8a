#include "stat/buffers.h"

#include "common/cli.h"
#include "common/text.h"
#include "mpp-look.h"
#include "stat/cell.h"

#include <stdlib.h>
#include <string.h>

static void name_of(char *out, const mpp_snapshot *s, unsigned stream)
{
    if (stream < s->n_streams)
        text_clean(out, TEXT_CELL, s->streams[stream].name);
}

/* ---- what was produced -------------------------------------------------------------------------- */

static void show_stream(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    name_of(out, cell_snapshot(context), ((const mpp_share *)row)->stream);
}

static void show_kind(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_snapshot *s = cell_snapshot(context);
    snprintf(out, TEXT_CELL, "%s", mpp_buffer_text(s->streams[((const mpp_share *)row)->stream].buffer));
}

static void show_from(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "producer %u", ((const mpp_share *)row)->producer);
}

static void show_end(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%s", mpp_share_text(((const mpp_share *)row)->state));
}

static void show_rate(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    text_rate(out, stat_share_rates(context, row).records, text_count);
}

static column share_columns[] = {
    {.name = "rate", .right = true, .cell = show_rate},
    {.name = "buffer", .cell = show_stream},
    {.name = "kind", .cell = show_kind},
    {.name = "from", .cell = show_from},
    {.name = "run", .cell = show_end},
#define SHARE_COUNTER(counter, kind, counted, prose)                                                                   \
    {.name = #counter,                                                                                                 \
     .right = true,                                                                                                    \
     .cell = cell_counter,                                                                                             \
     .unit = #kind " " #counted,                                                                                       \
     .offset = offsetof(mpp_share, counters.counter)},
#include "counters.def"
};

/* Who has lost most. */
static int worse_share(const void *a, const void *b)
{
    const mpp_share *const *pa = a, *const *pb = b, *p = *pa, *q = *pb;
    if (p->counters.overwritten != q->counters.overwritten)
        return p->counters.overwritten > q->counters.overwritten ? -1 : 1;
    return p < q ? -1 : 1;
}

/* ---- what was read ------------------------------------------------------------------------------ */

static void show_buffer(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    name_of(out, cell_snapshot(context), ((const mpp_channel *)row)->lane);
}

static void show_reader(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_channel *ch = row;
    snprintf(out, TEXT_CELL, "%u->%u", ch->producer, ch->consumer);
}

static column reader_columns[] = {
    {.name = "buffer", .cell = show_buffer},
    {.name = "reader", .cell = show_reader},
    {.name = "got",
     .right = true,
     .cell = cell_counter,
     .unit = "count records",
     .offset = offsetof(mpp_channel, counters.got)},
    {.name = "missed",
     .right = true,
     .cell = cell_counter,
     .unit = "count records",
     .offset = offsetof(mpp_channel, counters.missed)},
    {.name = "behind",
     .right = true,
     .cell = cell_counter,
     .unit = "count records",
     .offset = offsetof(mpp_channel, behind)},
};

/* Who has missed most. */
static int worse_reader(const void *a, const void *b)
{
    const mpp_channel *const *pa = a, *const *pb = b, *p = *pa, *q = *pb;
    if (p->counters.missed != q->counters.missed)
        return p->counters.missed > q->counters.missed ? -1 : 1;
    return p < q ? -1 : 1;
}

/* ---- both --------------------------------------------------------------------------------------- */

static table shares, readers;

void stat_buffers_init(void)
{
    table *const read[] = {&readers};
    table_init(&shares, share_columns, sizeof share_columns / sizeof *share_columns);
    table_init(&readers, reader_columns, sizeof reader_columns / sizeof *reader_columns);
    table_choose(read, 1, "buffer,reader,got,missed,behind");
}

table *stat_buffers_table(void)
{
    return &shares;
}

bool stat_buffers_has(const mpp_snapshot *s, const mpp_channel *c)
{
    return s->n_shares > 0 && c->lane < s->n_streams && s->streams[c->lane].buffer != MPP_BOUNDED;
}

static void print_rows(const table *t, const stat_mesh *m, const void **rows, size_t n, size_t most, table_order *worse,
                       FILE *out)
{
    const size_t shown = table_cut(rows, n, most, worse);
    if (n == 0 || t->n_shown == 0)
        return;
    putc('\n', out);
    table_print(t, m, rows, shown, out);
    if (shown < n)
        fprintf(out, "%zu more; --all shows all %zu\n", n - shown, n);
}

void stat_buffers_print(const stat_mesh *m, size_t most, bool read, FILE *out)
{
    const mpp_snapshot *s = m->now;
    const void **rows = cli_must(calloc(s->n_shares + s->n_channels + 1, sizeof *rows));
    size_t n = 0;
    for (unsigned i = 0; i < s->n_shares; i++)
        rows[n++] = &s->shares[i];
    print_rows(&shares, m, rows, n, most, worse_share, out);
    n = 0;
    for (unsigned i = 0; read && i < s->n_channels; i++)
        if (stat_buffers_has(s, &s->channels[i]))
            rows[n++] = &s->channels[i];
    print_rows(&readers, m, rows, n, most, worse_reader, out);
    free(rows);
}
