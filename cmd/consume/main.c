/* mpp-consume - drain one participant of a mesh */
#define CLI_OPTIONS "consume/mpp-consume.opt"
#include "common/signals.h"
#include "consume/blocks.h"
#include "consume/consume.h"
#include "consume/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_tool tool = {
    .name = "mpp-consume",
    .synopsis = "[OPTION...] MESH [-- COMMAND [ARG...]]",
    .purpose = "Drain one consumer of a mesh to standard output, a file, or a COMMAND's standard input.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* ---- what is asked for -------------------------------------------------------------------------- */

static void take_option(void *arg, const cli_option *option, const char *value)
{
    request *r = arg;
    if (participant_take(r->who, option, value))
        return;
    switch (option->id) {
    case OPT_OUTPUT:
        r->output = value;
        break;
    case OPT_MAX_RECORDS:
        r->max_records = cli_number(option, value, 0, UINT64_MAX - 1);
        break;
    case OPT_TAG:
        r->tag = true;
        break;
    case OPT_SEQUENTIAL:
        r->sequential = true;
        break;
    case OPT_MERGE:
        r->merge = true;
        break;
    case OPT_STABLE:
        r->stable = true;
        break;
    case OPT_LAZY:
        r->lazy = true;
        break;
    case OPT_BLOCK:
        r->block = true;
        r->block_size = value ? cli_size(option, value, 1, 1 << 30) : 0;
        break;
    case OPT_IN_TURN:
        r->in_turn = true;
        break;
    case OPT_KEEP_PARTIAL:
        r->keep_partial = true;
        break;
    case OPT_FAIL_ON_LAG:
        r->fail_on_lag = true;
        break;
    case OPT_STRICT:
        r->strict = true;
        break;
    default:
        break;
    }
}

/* ---- beginning ---------------------------------------------------------------------------------- */

/* Are the names of FILEs different for each consumer? */
static bool names_index(const char *name)
{
    for (; *name; name++)
        if (*name == '%' && *++name != '%')
            return true;
    return false;
}

/* % is our index, and %% a percent sign; to be freed. */
static char *file_name(const char *name, int index)
{
    char *text;
    size_t size;
    FILE *out = cli_must(open_memstream(&text, &size));
    for (; *name; name++)
        if (*name != '%')
            fputc(*name, out);
        else if (name[1] == '%')
            fputc(*name++, out);
        else
            fprintf(out, "%d", index);
    fclose(out);
    return cli_must(text);
}

/* What overwrites may have been read at any time, and says so by being there. */
static bool overwrites(const participant *w, const named_stream *s)
{
    bool any = false;
    for (unsigned i = 0; i < w->n_streams; i++)
        any |= (&w->streams[i] == s || (!s->other && !w->streams[i].other)) &&
               mpp_mesh_stream(w->mesh, w->streams[i].number)->buffer != MPP_BOUNDED;
    return any;
}

static int open_sink(const job *j, const named_stream *s, sink *out, mpp_error *err)
{
    const participant *w = &j->who;
    const char *shell = s->other && s->other[0] == '|' ? s->other + 1 : NULL,
               *file = s->other ? s->other : j->asked.output;
    char *const *argv = s->other || j->asked.block ? NULL : w->rest.command;
    if (file && !shell &&
        sink_open_file(out, file_name(file, w->index), overwrites(w, s), j->asked.keep_partial, err) < 0)
        return -1;
    if (shell || argv)
        sink_open_command(out, argv, shell);
    else if (!file)
        return sink_open_stdout(out, err);
    return 0;
}

/* Outputs are opened, and commands started, when we are attached, so that they know their index; a failure of one is a
 * failure of this consumer.  Streams without a target of their own share one. */
static void open_sinks(job *j)
{
    participant *w = &j->who;
    sink *shared = NULL;
    mpp_error err;
    for (unsigned i = 0; i < w->n_streams; i++) {
        const named_stream *s = &w->streams[i];
        sink *out = s->other || !shared ? &j->sinks[j->n_sinks] : shared;
        j->lines[i].sink = out;
        if (out == shared)
            continue;
        if (open_sink(j, s, out, &err) < 0) {
            participant_fail(w, (int)err.status, &err);
            return;
        }
        if (out->state == SINK_IDLE && !j->asked.lazy)
            line_start_command(j, out);
        if (w->failed)
            return;
        shared = s->other ? shared : out;
        j->n_sinks++;
    }
}

static void make_lines(job *j)
{
    const participant *w = &j->who;
    j->lines = calloc(w->n_streams, sizeof *j->lines);
    j->sinks = calloc(w->n_streams, sizeof *j->sinks);
    if (!j->lines || !j->sinks)
        abort();
    for (unsigned i = 0; i < w->n_streams; i++) {
        line *l = &j->lines[i];
        *l = (line){.stream = w->streams[i].number, .info = mpp_mesh_stream(w->mesh, w->streams[i].number)};
        if (j->asked.merge && !(l->merge = merge_create(w->mesh, l->stream, j->asked.stable)))
            participant_fail_text(&j->who, MPP_S_ERROR, "no memory for a merge");
        if (j->asked.in_turn && !(l->turns = turns_create(w->mesh, l->stream)))
            participant_fail_text(&j->who, MPP_S_ERROR, "no memory for turns");
        if (j->asked.block && !(j->blocks = blocks_create(j->asked.block_size ? j->asked.block_size : l->info->block)))
            participant_fail_text(&j->who, MPP_S_ERROR, "no memory for blocks");
    }
}

/* A merge keeps a record of each producer back until it knows which is next.  In a lane that stands before another
 * stream's records, which that one's merge may wait for, while it keeps back what the first one waits for. */
static void check_merge(const participant *w)
{
    for (unsigned i = 0; i < w->n_streams; i++)
        for (unsigned k = 0; k < i; k++)
            if (mpp_mesh_stream(w->mesh, w->streams[i].number)->lane ==
                mpp_mesh_stream(w->mesh, w->streams[k].number)->lane)
                cli_usage("--merge: streams '%s' and '%s' share a lane, and would wait for each other; "
                          "read them with --sequential, or make the mesh without --lanes",
                          w->streams[k].name, w->streams[i].name);
}

/* Consumer 0 must find out whether anybody gets a record. */
static void check_knowable(const participant *w, const mpp_stream_info *info, const char *option)
{
    unsigned in_lane = 0;
    for (unsigned i = 0; i < mpp_mesh_streams(w->mesh); i++)
        in_lane += mpp_mesh_stream(w->mesh, i)->lane == info->lane;
    if (info->buffer != MPP_BOUNDED)
        cli_usage("%s: that nobody gets a record of stream '%s' is never known: its buffer is of kind '%s'", option,
                  info->name, mpp_buffer_text(info->buffer));
    if (in_lane > 1)
        cli_usage("%s: that nobody gets a record of stream '%s' is not known: it shares a lane; make the mesh without "
                  "--lanes",
                  option, info->name);
}

static void check_blocks(const participant *w, const request *r)
{
    const mpp_stream_info *info = mpp_mesh_stream(w->mesh, w->streams[0].number);
    if (!w->rest.command || w->n_streams > 1)
        cli_usage("--block is for one stream and a COMMAND, which runs for each block of its records");
    if (r->tag || r->merge || r->in_turn || r->lazy || r->max_records != UINT64_MAX)
        cli_usage("--block: a COMMAND's output is a record of its own; --tag, --merge, --in-turn, --lazy and "
                  "--max-records are not for these");
    if (!r->block_size && !info->block)
        cli_usage(
            "--block: of which size? mpp-create -P round-robin:SIZE deals records out in blocks, else --block=SIZE");
    if (r->block_size && info->block && r->block_size != info->block)
        cli_usage("--block: stream '%s' is dealt out in blocks of %u bytes, not of %llu: leave the size out",
                  info->name, info->block, (unsigned long long)r->block_size);
}

static void check_turns(const participant *w, const request *r)
{
    const mpp_stream_info *info = mpp_mesh_stream(w->mesh, w->streams[0].number);
    if (w->n_streams > 1)
        cli_usage("--in-turn is for one stream");
    if (r->tag || r->merge)
        cli_usage("--in-turn: what is in the records is put together; --tag and --merge are not for that");
    if (info->buffer != MPP_BOUNDED)
        cli_usage("--in-turn waits for every producer, and the buffer of stream '%s' (%s) waits for nobody", info->name,
                  mpp_buffer_text(info->buffer));
}

static void check_request(const job *j)
{
    const participant *w = &j->who;
    bool shared = false, ring = false, commands = w->rest.command != NULL;
    if (w->rest.n > 1)
        cli_usage("one MESH only, and '%s' is too many; a command stands behind --", w->rest.operands[1]);
    for (unsigned i = 0; i < w->n_streams; i++) {
        shared |= !w->streams[i].other;
        const mpp_stream_info *info = mpp_mesh_stream(w->mesh, w->streams[i].number);
        ring |= info->buffer == MPP_RING;
        commands |= w->streams[i].other && w->streams[i].other[0] == '|';
        if (j->asked.lazy || j->asked.block)
            check_knowable(w, info, j->asked.lazy ? "--lazy" : "--block");
        if (j->asked.tag && info->format.kind == MPP_FIXED)
            cli_usage("--tag makes records longer, and those of stream '%s' are of fixed size", info->name);
        if (j->asked.merge && info->buffer != MPP_BOUNDED)
            cli_usage("--merge waits for every producer, and the buffer of stream '%s' (%s) waits for nobody",
                      info->name, mpp_buffer_text(info->buffer));
    }
    if (j->asked.block)
        check_blocks(w, &j->asked);
    if (j->asked.in_turn)
        check_turns(w, &j->asked);
    if (j->asked.lazy && !commands)
        cli_usage("--lazy is for a COMMAND");
    if (j->asked.merge && !j->asked.sequential)
        check_merge(w);
    if (j->asked.stable && !j->asked.merge)
        cli_usage("--stable is for --merge");
    if (j->asked.fail_on_lag && !ring)
        cli_usage("--fail-on-lag: no ring can drop records here; see mpp-create --buffer");
    if (!shared && j->asked.output)
        cli_usage("every --stream has a target of its own: nothing is left for --output");
    for (unsigned i = 0; i < w->n_streams; i++)
        if (w->all && w->of > 1 && w->streams[i].other && w->streams[i].other[0] != '|' &&
            !names_index(w->streams[i].other))
            cli_usage("--all: %u processes would write the same '%s'; write --stream %s=FILE.%%", w->of,
                      w->streams[i].other, w->streams[i].name);
    if (w->all && w->of > 1 && shared && j->asked.output && !names_index(j->asked.output))
        cli_usage("--all: %u processes would write the same '%s'; write --output FILE.%%", w->of, j->asked.output);
    if (w->all && w->of > 1 && shared && !w->rest.command && !j->asked.output)
        cli_usage("--all: %u processes would mix their records in one output; give each its own with --output FILE.%%, "
                  "or a COMMAND",
                  w->of);
}

static const char *label(const job *j)
{
    const participant *w = &j->who;
    if (w->rest.command)
        return w->rest.command[0];
    return w->streams[0].other ? w->streams[0].other : j->asked.output;
}

static void attach(job *j)
{
    participant *w = &j->who;
    participant_attach(w, 1, label(j));
    j->counting = w->show_progress || w->summarize || j->asked.strict || w->of > 1 || ok_more(&w->ok);
    make_lines(j);
    open_sinks(j);
    participant_show(w, -1);
}

/* ---- end ---------------------------------------------------------------------------------------- */

static void report(job *j)
{
    participant *w = &j->who;
    uint64_t records, bytes;
    summary_stream *streams = calloc(w->n_streams, sizeof *streams);
    if (!streams)
        return;
    consume_totals(j, &records, &bytes);
    progress_end(&w->progress, records, bytes);
    for (unsigned i = 0; i < w->n_streams; i++) {
        const line *l = &j->lines[i];
        streams[i] = (summary_stream){w->streams[i].name, l->records, l->bytes, 0, l->missed};
        if (l->lags > 1)
            cli_warn("consumer %d: stream '%s': the ring dropped %llu records before they were read, in %u places",
                     w->index, l->info->name, (unsigned long long)l->missed, l->lags);
    }
    participant_report(w, streams);
    free(streams);
}

/* A command learns of a failure before its stdin closes; cancels go out while the mesh is whole. */
static void finish(job *j)
{
    participant *w = &j->who;
    if (!w->failed)
        consume_finish_sinks(j);
    if (consume_any_gone(j))
        participant_take_cause(w);
    if (w->failed)
        consume_stop_commands(j);
    for (unsigned i = 0; i < w->n_streams; i++)
        line_end(j, &j->lines[i], j->lines[i].state);
    mpp_consumer_detach(&w->consumer);
    report(j); /* whoever reads that may be slow, and nobody waits for us now */
    for (unsigned i = 0; w->failed && i < j->n_sinks; i++)
        sink_abort(&j->sinks[i]);
}

static void job_free(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        sink_free(&j->sinks[i]);
    blocks_destroy(&j->blocks);
    free(j->sinks);
    free(j->lines);
    participant_close(&j->who);
}

int main(int argc, char **argv)
{
    job j = {.who = PARTICIPANT_INIT(CONSUMER, &tool), .asked = {.who = &j.who, .max_records = UINT64_MAX}};
    io_standard();
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take_option, &j.asked, &j.who.rest);
    j.who.ok.unread = !j.asked.strict;
    participant_open(&j.who, "target");
    check_request(&j);
    if (participant_fork(&j.who)) {
        attach(&j);
        consume(&j);
        finish(&j);
    }
    job_free(&j);
    if (j.who.signal)
        signals_die(j.who.signal);
    return j.who.status;
}
