/* stat-mesh.c - one mesh: what it is, its participants, its channels */
#include "stat.h"

#include "cli.h"
#include "stat-table.h"
#include "stat-text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- participants ------------------------------------------------------------------------------- */

static const char *role(const mpp_participant *p)
{
    return p->role == 'p' ? "producer" : "consumer";
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
    lane(out, context, p->lane);
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
    lane(out, context, p->lane);
}

static void show_since(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    if (p->since_ns > 0)
        text_duration(out, ((const mpp_snapshot *)context)->taken_ns - p->since_ns);
}

static column participant_columns[] = {
    {.name = "activity", .cell = show_activity},
    {.name = "index", .right = true, .cell = show_index},
    {.name = "label", .cell = show_label},
    {.name = "participant", .cell = show_participant},
    {.name = "pid", .right = true, .cell = show_pid},
    {.name = "role", .cell = show_role},
    {.name = "since", .right = true, .cell = show_since},
    {.name = "state", .cell = show_state},
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
    lane(out, context, ch->lane);
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
    const mpp_snapshot *s = context;
    const mpp_channel *ch = row;
    if (s->ring_size > 0)
        snprintf(out, TEXT_CELL, "%.0f%%", 100.0 * (double)ch->fill / (double)s->ring_size);
}

static void show_bar(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    text_bar(out, ((const mpp_channel *)row)->fill, ((const mpp_snapshot *)context)->ring_size);
}

/* The counter at c->offset, as its unit asks. */
static void show_counter(char *out, const column *c, const void *context, const void *row)
{
    const uint64_t n = *(const uint64_t *)(const void *)((const char *)row + c->offset);
    if (strcmp(c->unit, "level nanoseconds") == 0) { /* a moment */
        if (n > 0)
            text_duration(out, ((const mpp_snapshot *)context)->taken_ns - (int64_t)n);
    } else if (strcmp(c->unit, "count nanoseconds") == 0)
        text_duration(out, (int64_t)n);
    else if (strstr(c->unit, "bytes"))
        text_bytes(out, n);
    else if (n != UINT64_MAX) /* not counted */
        text_count(out, n);
}

static column channel_columns[] = {
    {.name = "bar", .heading = "", .cell = show_bar},
    {.name = "channel", .cell = show_channel},
    {.name = "consumer", .right = true, .cell = show_unsigned, .offset = offsetof(mpp_channel, consumer)},
    {.name = "fill", .right = true, .cell = show_fill},
    {.name = "full", .right = true, .cell = show_full},
    {.name = "lane", .right = true, .cell = show_unsigned, .offset = offsetof(mpp_channel, lane)},
    {.name = "producer", .right = true, .cell = show_unsigned, .offset = offsetof(mpp_channel, producer)},
#define COUNTER(counter, kind, counted, side, prose)                                                                   \
    {.name = #counter,                                                                                                 \
     .right = true,                                                                                                    \
     .cell = show_counter,                                                                                             \
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

void stat_mesh_columns(const char *list)
{
    table *const both[] = {&participants, &channels};
    const bool bar = isatty(STDOUT_FILENO);
    table_init(&participants, participant_columns, sizeof participant_columns / sizeof *participant_columns);
    table_init(&channels, channel_columns, sizeof channel_columns / sizeof *channel_columns);
    tables_only = list != NULL;
    if (list) {
        table_choose(both, 2, list);
        return;
    }
    table_choose(both, 1, "participant,pid,state,since,activity,label");
    table_choose(both + 1, 1, bar ? "channel,bar,fill,full" : "channel,fill,full");
    table_choose(both + 1, 1, "high_water,records,bytes,frames,space_ns,data_ns");
}

/* Rows, each `size` bytes, of which there are n. */
static void print_table(const table *t, const mpp_snapshot *s, const void *first, size_t n, size_t size, bool all,
                        table_order *worse, const char *what)
{
    const void **rows = calloc(n + 1, sizeof *rows);
    if (!rows)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
    for (size_t i = 0; i < n; i++)
        rows[i] = (const char *)first + i * size;
    const size_t shown = table_cut(rows, n, all, worse);
    table_print(t, s, rows, shown, stdout);
    if (shown < n)
        printf("%zu more %s; --all shows all %zu\n", n - shown, what, n);
    free(rows);
}

/* ---- head --------------------------------------------------------------------------------------- */

static void print_tally(const mpp_snapshot *s, char of, const char *name)
{
    stat_tally t;
    stat_count(s, of, &t);
    const struct {
        unsigned n;
        const char *state;
    } parts[] = {{t.live, "live"}, {t.done, "done"}, {t.dead, "dead"}, {t.missing, "missing"}};
    const char *lead = "";
    printf("%s: ", name);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].n > 0) {
            printf("%s%u %s", lead, parts[i].n, parts[i].state);
            lead = ", ";
        }
    putchar('\n');
}

static void print_geometry(const mpp_snapshot *s)
{
    char age[TEXT_CELL], size[TEXT_CELL], ring[TEXT_CELL];
    text_duration(age, stat_age(s));
    text_bytes(size, s->segment_size);
    text_bytes(ring, s->ring_size);
    printf("mesh %s: %s, %u x %u", s->id, s->state, s->producers, s->consumers);
    if (s->n_streams > 1)
        printf(", %u streams in %u %s", s->n_streams, s->lanes, s->lanes == 1 ? "lane" : "lanes");
    printf(", made %s ago, segment %s, rings %s", age, size, ring);
    if (s->watch_pid > 0)
        printf(", ends with pid %jd", (intmax_t)s->watch_pid);
    puts(s->keep ? ", kept when over" : "");
}

static void print_format(const mpp_format *f)
{
    if (f->kind == MPP_FIXED)
        printf("records of %" PRIu32 " bytes", f->size);
    else if (f->kind != MPP_DELIMITED)
        printf("%s length-prefixed records", f->kind == MPP_U32LE ? "u32le" : "u32be");
    else if (f->delimiter == '\n')
        printf("lines");
    else
        printf("records that end with \\x%02x", f->delimiter);
}

const char *stat_partition(mpp_partition_kind kind)
{
    static const char *const names[] = {
        [MPP_HASH] = "hash",   [MPP_ROUND_ROBIN] = "round-robin", [MPP_ANY] = "any",
        [MPP_RANGE] = "range", [MPP_BROADCAST] = "broadcast",
    };
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

static void print_stream(const mpp_snapshot *s, const mpp_stream_info *stream)
{
    char text[TEXT_CELL];
    text_clean(text, sizeof text, stream->name);
    printf("stream %s: ", text);
    print_format(&stream->format);
    printf(", %s", stat_partition(stream->partition));
    if (stream->key) {
        text_clean(text, sizeof text, stream->key);
        printf(", key %s", text);
    }
    if (s->lanes > 1)
        printf(", lane %u", stream->lane);
    putchar('\n');
}

static void print_streams(const mpp_snapshot *s, bool all)
{
    const unsigned shown = all || s->n_streams <= TABLE_ROWS ? s->n_streams : TABLE_ROWS;
    for (unsigned i = 0; i < shown; i++)
        print_stream(s, &s->streams[i]);
    if (shown < s->n_streams)
        printf("%u more streams; --all shows all %u\n", s->n_streams - shown, s->n_streams);
}

static void print_head(const mpp_snapshot *s, bool all)
{
    char text[TEXT_CELL];
    print_geometry(s);
    if (s->cause.status != MPP_S_DONE) {
        text_clean(text, sizeof text, s->cause.text);
        printf("failed: %s\n", text);
    }
    if (s->garbage)
        printf("garbage: %s\n", s->garbage);
    print_tally(s, 'p', "producers");
    print_tally(s, 'c', "consumers");
    print_streams(s, all);
}

void stat_mesh_print(const mpp_snapshot *s, bool all)
{
    const bool with_channels = channels.n_shown > 0 && (tables_only || s->n_channels > 0);
    if (!tables_only)
        print_head(s, all);
    if (!tables_only && participants.n_shown > 0)
        putchar('\n');
    if (participants.n_shown > 0)
        print_table(&participants, s, s->participants, s->n_participants, sizeof *s->participants, all,
                    worse_participant, "participants");
    if (participants.n_shown > 0 && with_channels)
        putchar('\n');
    if (with_channels)
        print_table(&channels, s, s->channels, s->n_channels, sizeof *s->channels, all, worse_channel, "channels");
}
