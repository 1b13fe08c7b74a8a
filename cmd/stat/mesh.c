/* mesh.c - one mesh: what it is, its participants, its channels */
#include "stat/stat.h"

#include "common/cli.h"
#include "common/text.h"
#include "stat/buffers.h"
#include "stat/limit.h"
#include "stat/matrix.h"
#include "stat/table.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A cell's context is the stat_mesh. */
static const mpp_snapshot *shot(const void *context)
{
    return ((const stat_mesh *)context)->now;
}

/* ---- participants ------------------------------------------------------------------------------- */

static const char *role(const mpp_participant *p)
{
    return text_role(p->role);
}

/* The lane is told where there are several. */
static void lane(char *out, const mpp_snapshot *s, unsigned number)
{
    size_t used = strlen(out);
    if (s->lanes > 1)
        snprintf(out + used, TEXT_CELL - used, ".%u", number);
}

static void show_participant(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    snprintf(out, TEXT_CELL, "%s %u", role(p), p->index);
    lane(out, shot(context), p->lane);
}

static void show_role(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%s", role(row));
}

static void show_index(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%u", ((const mpp_participant *)row)->index);
}

static void show_state(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%s", ((const mpp_participant *)row)->state);
}

static void show_pid(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_participant *p = row;
    if (p->pid > 0)
        snprintf(out, TEXT_CELL, "%jd", (intmax_t)p->pid);
}

static void show_label(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_participant *p = row;
    if (*p->label)
        text_clean(out, TEXT_CELL, p->label);
}

/* "waiting for space on 2->1": the channel where the participant waits for one peer */
static void show_activity(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    if (!p->activity)
        return;
    snprintf(out, TEXT_CELL, "%s", p->activity);
    if (p->channel < 0)
        return;
    const unsigned peer = (unsigned)p->channel;
    const size_t used = strlen(out);
    snprintf(out + used, TEXT_CELL - used, " on %u->%u", p->role == 'p' ? p->index : peer,
             p->role == 'p' ? peer : p->index);
    lane(out, shot(context), p->lane);
}

static void show_since(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    if (p->since_ns > 0)
        text_duration(out, shot(context)->taken_ns - p->since_ns);
}

static void show_command(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_participant *p = row;
    if (p->command > 0)
        snprintf(out, TEXT_CELL, "%jd", (intmax_t)p->command);
}

void stat_show_counter(char *out, const column *c, const void *context, const void *row)
{
    const uint64_t n = *(const uint64_t *)(const void *)((const char *)row + c->offset);
    const uint64_t now = (uint64_t)shot(context)->taken_ns;
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

static column participant_columns[] = {
    {.name = "activity", .cell = show_activity},
    {.name = "command", .right = true, .cell = show_command},
    {.name = "index", .right = true, .cell = show_index},
    {.name = "label", .cell = show_label},
    {.name = "participant", .cell = show_participant},
    {.name = "pid", .right = true, .cell = show_pid},
    {.name = "role", .cell = show_role},
    {.name = "since", .right = true, .cell = show_since},
    {.name = "state", .cell = show_state},
#define ENDPOINT_COUNTER(counter, kind, counted, prose)                                                                \
    {.name = #counter,                                                                                                 \
     .right = true,                                                                                                    \
     .cell = stat_show_counter,                                                                                        \
     .unit = #kind " " #counted,                                                                                       \
     .offset = offsetof(mpp_participant, counters.counter)},
#include "counters.def"
};

/* How soon a state wants attention. */
static int urgency(const mpp_participant *p)
{
    static const char *const calm[] = {"live", "free", "done"};
    for (int i = 0; i < 3; i++)
        if (strcmp(p->state, calm[i]) == 0)
            return i + 1;
    return 0; /* dead, corrupt */
}

/* The dead and the corrupt, then who has been at the same thing for longest. */
static int worse_participant(const void *a, const void *b)
{
    const mpp_participant *const *pa = a, *const *pb = b, *p = *pa, *q = *pb;
    const int64_t p_since = p->since_ns > 0 ? p->since_ns : INT64_MAX,
                  q_since = q->since_ns > 0 ? q->since_ns : INT64_MAX;
    if (urgency(p) != urgency(q))
        return urgency(p) - urgency(q);
    if (p_since != q_since)
        return p_since < q_since ? -1 : 1;
    return p < q ? -1 : 1;
}

/* ---- channels ----------------------------------------------------------------------------------- */

static void show_channel(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_channel *ch = row;
    snprintf(out, TEXT_CELL, "%u->%u", ch->producer, ch->consumer);
    lane(out, shot(context), ch->lane);
}

/* The unsigned at c->offset. */
static void show_unsigned(char *out, const column *c, const void *context, const void *row)
{
    (void)context;
    snprintf(out, TEXT_CELL, "%u", *(const unsigned *)(const void *)((const char *)row + c->offset));
}

static void show_fill(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    text_bytes(out, ((const mpp_channel *)row)->fill);
}

static void show_full(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_snapshot *s = shot(context);
    const mpp_channel *ch = row;
    if (s->ring_size > 0)
        snprintf(out, TEXT_CELL, "%.0f%%", 100.0 * (double)ch->fill / (double)s->ring_size);
}

static void show_bar(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    text_bar(out, ((const mpp_channel *)row)->fill, shot(context)->ring_size);
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
     .cell = stat_show_counter,
     .unit = "count records",
     .offset = offsetof(mpp_channel, behind)},
    {.name = "bar", .heading = "", .cell = show_bar},
    {.name = "channel", .cell = show_channel},
    {.name = "consumer", .right = true, .cell = show_unsigned, .offset = offsetof(mpp_channel, consumer)},
    {.name = "fill", .right = true, .cell = show_fill},
    {.name = "full", .right = true, .cell = show_full},
    {.name = "lane", .right = true, .cell = show_unsigned, .offset = offsetof(mpp_channel, lane)},
    {.name = "producer", .right = true, .cell = show_unsigned, .offset = offsetof(mpp_channel, producer)},
    {.name = "rate", .right = true, .cell = show_rate},
    {.name = "records_rate", .right = true, .cell = show_records_rate},
#define COUNTER(counter, kind, counted, side, prose)                                                                   \
    {.name = #counter,                                                                                                 \
     .right = true,                                                                                                    \
     .cell = stat_show_counter,                                                                                        \
     .unit = #kind " " #counted,                                                                                       \
     .offset = offsetof(mpp_channel, counters.counter)},
#include "counters.def"
};

/* The fullest, then where most time was lost to waiting for space, then for data. */
static int worse_channel(const void *a, const void *b)
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

/* ---- tables ------------------------------------------------------------------------------------- */

static table participants, channels;
static bool tables_only; /* columns were asked for by name: nothing else is printed */

void stat_mesh_columns(const char *list, bool rates)
{
    table *const both[] = {&participants, &channels, stat_buffers_table()};
    const bool bar = isatty(STDOUT_FILENO);
    table_init(&participants, participant_columns, sizeof participant_columns / sizeof *participant_columns);
    table_init(&channels, channel_columns, sizeof channel_columns / sizeof *channel_columns);
    stat_buffers_init();
    tables_only = list != NULL;
    if (list) {
        table_choose(both, 3, list);
        return;
    }
    table_choose(both, 1, "participant,pid,state,since,activity,label");
    table_choose(both + 1, 1, bar ? "channel,bar,fill,full" : "channel,fill,full");
    if (rates)
        table_choose(both + 1, 1, "rate,records_rate");
    table_choose(both + 1, 1, "high_water,records,bytes,frames,space_ns,data_ns");
    table_choose(both + 2, 1, "buffer,kind,from,run");
    if (rates)
        table_choose(both + 2, 1, "rate");
    table_choose(both + 2, 1, "produced,produced_bytes,overwritten,refused");
}

bool stat_mesh_has_rates(void)
{
    return table_shows(&channels, "rate") || table_shows(&channels, "records_rate");
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
        if (tables_only || t != &channels || !stat_buffers_has(m->now, row))
            all[n++] = row;
    }
    const size_t shown = table_cut(all, n, most, r->worse);
    table_print(t, m, all, shown, out);
    if (shown < n)
        fprintf(out, "%zu more %s; --all shows all %zu\n", n - shown, r->what, n);
    free(all);
}

/* ---- head --------------------------------------------------------------------------------------- */

static void print_tally(const mpp_snapshot *s, char of, const char *name, FILE *out)
{
    stat_tally t;
    stat_count(s, of, &t);
    const struct {
        unsigned n;
        const char *state;
    } parts[] = {{t.live, "live"}, {t.done, "done"}, {t.dead, "dead"}, {t.missing, "missing"}};
    const char *lead = "";
    fprintf(out, "%s: ", name);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].n > 0) {
            fprintf(out, "%s%u %s", lead, parts[i].n, parts[i].state);
            lead = ", ";
        }
    putc('\n', out);
}

static void print_geometry(const mpp_snapshot *s, FILE *out)
{
    char age[TEXT_CELL], size[TEXT_CELL], ring[TEXT_CELL];
    text_duration(age, stat_age(s));
    text_bytes(size, s->segment_size);
    text_bytes(ring, s->ring_size);
    fprintf(out, "mesh %s: %s, %u x %u", s->id, s->state, s->producers, s->consumers);
    if (s->n_streams > 1)
        fprintf(out, ", %u streams in %u %s", s->n_streams, s->lanes, s->lanes == 1 ? "lane" : "lanes");
    fprintf(out, ", made %s ago, segment %s, rings %s", age, size, ring);
    if (s->watch_pid > 0)
        fprintf(out, ", ends with pid %jd", (intmax_t)s->watch_pid);
    fputs(s->keep ? ", kept when over\n" : "\n", out);
}

static void print_format(const mpp_format *f, FILE *out)
{
    if (f->kind == MPP_FIXED)
        fprintf(out, "records of %" PRIu32 " bytes", f->size);
    else if (f->kind != MPP_DELIMITED)
        fprintf(out, "%s length-prefixed records", f->kind == MPP_U32LE ? "u32le" : "u32be");
    else if (f->delimiter == '\n')
        fprintf(out, "lines");
    else
        fprintf(out, "records that end with \\x%02x", f->delimiter);
}

const char *stat_partition(mpp_partition_kind kind)
{
    static const char *const names[] = {
        [MPP_HASH] = "hash",   [MPP_ROUND_ROBIN] = "round-robin", [MPP_ANY] = "any",
        [MPP_RANGE] = "range", [MPP_BROADCAST] = "broadcast",
    };
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

/* What a buffer does that overwrites. */
static const char *stat_kind(mpp_buffer_kind kind)
{
    static const char *const texts[] = {
        [MPP_RING] = "a ring that drops the oldest",
        [MPP_LATEST] = "the latest of each producer",
        [MPP_MAILBOX] = "a mailbox, each read once at most",
    };
    return kind < sizeof texts / sizeof *texts && texts[kind] ? texts[kind] : "unknown";
}

static void print_stream(const mpp_snapshot *s, const mpp_stream_info *stream, FILE *out)
{
    char text[TEXT_CELL];
    text_clean(text, sizeof text, stream->name);
    fprintf(out, "stream %s: ", text);
    print_format(&stream->format, out);
    if (stream->buffer == MPP_BOUNDED)
        fprintf(out, ", %s", stat_partition(stream->partition));
    else
        fprintf(out, ", %s", stat_kind(stream->buffer));
    if (stream->key) {
        text_clean(text, sizeof text, stream->key);
        fprintf(out, ", key %s", text);
    }
    if (s->lanes > 1 && stream->buffer == MPP_BOUNDED)
        fprintf(out, ", lane %u", stream->lane);
    putc('\n', out);
}

static void print_streams(const mpp_snapshot *s, bool all, FILE *out)
{
    const unsigned shown = all || s->n_streams <= TABLE_ROWS ? s->n_streams : TABLE_ROWS;
    for (unsigned i = 0; i < shown; i++)
        print_stream(s, &s->streams[i], out);
    if (shown < s->n_streams)
        fprintf(out, "%u more streams; --all shows all %u\n", s->n_streams - shown, s->n_streams);
}

static void print_head(const mpp_snapshot *s, bool all, FILE *out)
{
    char text[TEXT_CELL];
    print_geometry(s, out);
    if (s->cause.status != MPP_S_DONE) {
        text_clean(text, sizeof text, s->cause.text);
        fprintf(out, "failed: %s\n", text);
    }
    if (s->garbage)
        fprintf(out, "garbage: %s\n", s->garbage);
    print_tally(s, 'p', "producers", out);
    print_tally(s, 'c', "consumers", out);
    print_streams(s, all, out);
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
    print_head(m->now, page->all, page->out);
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
    const bool with_channels = channels.n_shown > 0 && (tables_only || has_channels(s));
    const bool matrix =
        !tables_only && !page->all && s->n_channels > TABLE_ROWS && (s->producers > 1 || s->consumers > 1);
    const size_t most = page->all ? SIZE_MAX : matrix ? TABLE_WORST : TABLE_ROWS;
    const rows of_participants = {s->participants, s->n_participants, sizeof *s->participants, worse_participant,
                                  "participants"};
    const rows of_channels = {s->channels, s->n_channels, sizeof *s->channels, worse_channel, "channels"};
    if (!tables_only)
        print_summary(m, page);
    if (!tables_only && participants.n_shown > 0)
        putc('\n', page->out);
    if (participants.n_shown > 0)
        print_table(&participants, m, &of_participants, most, page->out);
    if (participants.n_shown > 0 && with_channels)
        putc('\n', page->out);
    if (matrix)
        print_matrix(s, page);
    if (with_channels)
        print_table(&channels, m, &of_channels, most, page->out);
    if (!tables_only || stat_buffers_table()->n_shown > 0)
        stat_buffers_print(m, most, !tables_only, page->out);
}
