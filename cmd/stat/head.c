#include "stat/head.h"

#include "common/text.h"
#include "mpp-look.h"
#include "stat/table.h"
#include "stat/take.h"

#include <inttypes.h>

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
    fprintf(out, "mesh %s: %s, %u x %u", s->id, mpp_mesh_state_text(s->state), s->producers, s->consumers);
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

/* What a buffer does that overwrites. */
static const char *overwrites(mpp_buffer_kind kind)
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
    text_bytes(text, stream->block);
    if (stream->buffer == MPP_BOUNDED)
        fprintf(out, ", %s", mpp_partition_text(stream->partition));
    if (stream->block)
        fprintf(out, " by blocks of %s", text);
    if (stream->buffer != MPP_BOUNDED)
        fprintf(out, ", %s", overwrites(stream->buffer));
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

void stat_head_print(const mpp_snapshot *s, bool all, FILE *out)
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
