#include "stat/mesh.h"

#include "common/cli.h"
#include "common/text.h"
#include "mpp-look.h"
#include "stat/buffers.h"
#include "stat/channels.h"
#include "stat/head.h"
#include "stat/limit.h"
#include "stat/matrix.h"
#include "stat/participants.h"
#include "stat/table.h"
#include "stat/why.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- tables ------------------------------------------------------------------------------------- */

static bool tables_only; /* columns were asked for by name: nothing else is printed */

void stat_mesh_columns(const char *list, bool rates)
{
    table *const all[] = {stat_participants_table(), stat_channels_table(), stat_buffers_table()};
    const bool bar = isatty(STDOUT_FILENO);
    stat_participants_init();
    stat_channels_init();
    stat_buffers_init();
    tables_only = list != NULL;
    if (list) {
        table_choose(all, 3, list);
        return;
    }
    table_choose(all, 1, "participant,pid,state,since,activity,label");
    table_choose(all + 1, 1, bar ? "channel,bar,fill,full" : "channel,fill,full");
    if (rates)
        table_choose(all + 1, 1, "rate,records_rate");
    table_choose(all + 1, 1, "high_water,records,bytes,frames,space_ns,data_ns");
    table_choose(all + 2, 1, "buffer,kind,from,run");
    if (rates)
        table_choose(all + 2, 1, "rate");
    table_choose(all + 2, 1, "produced,produced_bytes,overwritten,refused");
}

bool stat_mesh_has_rates(void)
{
    return table_shows(stat_channels_table(), "rate") || table_shows(stat_channels_table(), "records_rate");
}

/* Rows of a kind: n of them, each `size` bytes. */
typedef struct rows {
    const void *first;
    size_t n, size;
    table_order *worse;
    const char *what;
} rows;

static void print_table(const table *t, const stat_mesh *m, const rows *r, size_t most, FILE *out)
{
    const void **all = cli_must(calloc(r->n + 1, sizeof *all));
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const void *row = (const char *)r->first + i * r->size;
        if (tables_only || t != stat_channels_table() || !stat_buffers_has(m->now, row))
            all[n++] = row;
    }
    const size_t shown = table_cut(all, n, most, r->worse);
    table_print(t, m, all, shown, out);
    if (shown < n)
        fprintf(out, "%zu more %s; --all shows all %zu\n", n - shown, r->what, n);
    free(all);
}

/* ---- verdict and limits ------------------------------------------------------------------------- */

/* What one that is over has done. */
static void print_totals(const mpp_snapshot *s, FILE *out)
{
    stat_totals t;
    char text[TEXT_CELL];
    stat_limit_totals(s, &t);
    fputs("carried: ", out);
    if (t.records != UINT64_MAX) {
        text_count(text, t.records);
        fprintf(out, "%s %s, ", text, t.records == 1 ? "record" : "records");
    }
    text_bytes(text, t.bytes);
    fprintf(out, "%s bytes", text);
    if (t.duration_ns > 0) {
        text_duration(text, t.duration_ns);
        fprintf(out, " in %s", text);
        text_rate(text, (double)t.bytes * 1e9 / (double)t.duration_ns, text_bytes);
        fprintf(out, ", %s", text);
    }
    text_duration(text, (int64_t)t.space_ns);
    fprintf(out, "\nwaited: producers %s for space", text);
    text_duration(text, (int64_t)t.data_ns);
    fprintf(out, ", consumers %s for data\n", text);
}

static void print_limits(const mpp_snapshot *s, FILE *out)
{
    enum { TOP = 3 };
    const bool over = stat_is_over(s);
    char text[TEXT_CELL];
    if (over)
        print_totals(s, out);
    stat_limit_text(s, text, sizeof text, over ? TOP : 1);
    if (*text)
        fprintf(out, "limited by: %s\n", text);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static void print_summary(const stat_mesh *m, const stat_page *page)
{
    stat_head_print(m->now, page->all, page->out);
    if (m->verdict)
        stat_why_print(m->verdict, "", page->height ? page->width : 0, page->out); /* a window would cut them */
    print_limits(m->now, page->out);
}

/* In a window most of the height is left to the tables. */
static void print_matrix(const mpp_snapshot *s, const stat_page *page)
{
    const unsigned third = page->height / 3;
    stat_matrix_print(s, page->width, page->height ? third : UINT_MAX, page->out);
    putc('\n', page->out);
}

/* Did anything go through a ring of a channel? */
static bool has_channels(const mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_channels; i++)
        if (!stat_buffers_has(s, &s->channels[i]))
            return true;
    return false;
}

void stat_mesh_print(const stat_mesh *m, const stat_page *page)
{
    const mpp_snapshot *s = m->now;
    const table *participants = stat_participants_table(), *channels = stat_channels_table();
    const bool with_channels = channels->n_shown > 0 && (tables_only || has_channels(s));
    const bool matrix =
        !tables_only && !page->all && s->n_channels > TABLE_ROWS && (s->producers > 1 || s->consumers > 1);
    const size_t most = page->all ? SIZE_MAX : matrix ? TABLE_WORST : TABLE_ROWS;
    const rows of_participants = {s->participants, s->n_participants, sizeof *s->participants, stat_worse_participant,
                                  "participants"};
    const rows of_channels = {s->channels, s->n_channels, sizeof *s->channels, stat_worse_channel, "channels"};
    if (!tables_only)
        print_summary(m, page);
    if (!tables_only && participants->n_shown > 0)
        putc('\n', page->out);
    if (participants->n_shown > 0)
        print_table(participants, m, &of_participants, most, page->out);
    if (participants->n_shown > 0 && with_channels)
        putc('\n', page->out);
    if (matrix)
        print_matrix(s, page);
    if (with_channels)
        print_table(channels, m, &of_channels, most, page->out);
    if (!tables_only || stat_buffers_table()->n_shown > 0)
        stat_buffers_print(m, most, !tables_only, page->out);
}
