/* mpp-produce - feed one participant of a mesh */
#define CLI_OPTIONS "produce/mpp-produce.opt"
#include "common/signals.h"
#include "input/share.h"
#include "produce/produce.h"
#include "produce/source.h"

#include <stdio.h>
#include <stdlib.h>

static const cli_tool tool = {
    .name = "mpp-produce",
    .synopsis = "[OPTION...] MESH [FILE...]\n[OPTION...] MESH -- COMMAND [ARG...]",
    .purpose = "Feed one producer of a mesh, from standard input, FILEs or a COMMAND, when a consumer asks.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* ---- what is asked for -------------------------------------------------------------------------- */

static void take_option(void *arg, const cli_option *option, const char *value)
{
    static const char *const by[] = {"files", "bytes", NULL};
    request *r = arg;
    if (participant_take(r->who, option, value))
        return;
    switch (option->id) {
    case OPT_SLICE:
        r->slice = true;
        if (value && input_parse_slice(value, &r->part, &r->parts) < 0)
            cli_bad_value(option, value, "not K/N with K from 0 and below N");
        break;
    case OPT_SLICE_BY:
        r->slice = true;
        r->by = cli_choice(option, value, by) == 0 ? INPUT_BY_FILES : INPUT_BY_BYTES;
        break;
    case OPT_FILES0_FROM:
        r->files0_from = value;
        break;
    case OPT_FILTER:
        r->filter = value;
        break;
    case OPT_EAGER:
        r->eager = true;
        break;
    case OPT_NO_WAIT:
        r->no_wait = true;
        break;
    case OPT_RUNS:
        r->runs = (unsigned)cli_number(option, value, 0, UINT32_MAX / 2);
        break;
    default:
        break;
    }
}

/* ---- beginning ---------------------------------------------------------------------------------- */

static void make_input(const job *j, line *l, const named_stream *s)
{
    const participant *w = &j->who;
    const request *r = &j->asked;
    const char *file = s->other && s->other[0] != '|' ? s->other : NULL;
    mpp_error err;
    input_options o = {
        .files = s->other ? &file : (const char *const *)w->rest.operands + 1,
        .n_files = s->other ? file != NULL : w->rest.n - 1,
        .files0_from = s->other ? NULL : r->files0_from,
        .argv = s->other ? NULL : w->rest.command,
        .shell = s->other && !file ? s->other + 1 : NULL,
        .filter = r->filter,
        .stdin_null = w->all || w->n_streams > 1,
        .slice = r->slice || (w->all && (file || (!s->other && !w->rest.command))),
        .sizes = w->show_progress,
        .by = r->by,
    };
    if (input_create(&o, &l->in, &err) < 0)
        cli_die(&err);
    l->sliced = o.slice;
    if (r->runs != 1 && !input_rewindable(l->in))
        cli_usage("--runs needs an input that can be read again: a FILE or a COMMAND");
}

static void check_request(const job *j)
{
    const participant *w = &j->who;
    bool files = w->rest.n > 1 || j->asked.files0_from;
    if (w->rest.command && files)
        cli_usage("FILEs and a COMMAND cannot both be the input");
    for (unsigned i = 0; i < w->n_streams; i++) {
        const mpp_stream_info *info = mpp_mesh_stream(w->mesh, w->streams[i].number);
        if (j->asked.runs != 1 && info->buffer != MPP_BOUNDED)
            cli_usage("--runs: nobody asks for stream '%s', whose buffer is of kind '%s'; it has one run", info->name,
                      mpp_buffer_text(info->buffer));
    }
    if (w->all && j->asked.parts)
        cli_usage("--all gives each process its own share: write --slice without K/N");
    for (unsigned i = 0; i < w->n_streams; i++)
        if (w->all && w->of > 1 && !w->rest.command && !files && !w->streams[i].other)
            cli_usage("--all: %u processes cannot share standard input; name FILEs or a COMMAND", w->of);
}

static void make_lines(job *j)
{
    check_request(j);
    j->lines = calloc(j->who.n_streams, sizeof *j->lines);
    if (!j->lines)
        abort();
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        j->lines[i].stream = j->who.streams[i].number;
        make_input(j, &j->lines[i], &j->who.streams[i]);
    }
}

static const char *label(const job *j)
{
    const participant *w = &j->who;
    if (w->rest.command)
        return w->rest.command[0];
    if (w->streams[0].other)
        return w->streams[0].other;
    return w->rest.n > 1 ? w->rest.operands[1] : j->asked.files0_from;
}

static void register_sources(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        mpp_source source = {.start = source_start, .stop = source_stop, .arg = j};
        mpp_register(j->who.producer, j->lines[i].stream, &source);
        if (j->asked.eager)
            mpp_begin(j->who.producer, j->lines[i].stream);
    }
    mpp_no_wait(j->who.producer, j->asked.no_wait);
    mpp_producer_count(j->who.producer, j->who.show_progress || j->who.summarize);
}

/* Do the shares of the others fit to ours?  All lines count as one input, which needs one word of the mesh. */
static void agree(job *j)
{
    participant *w = &j->who;
    uint32_t what = 0, how = 0;
    int other = -1;
    for (unsigned i = 0; i < w->n_streams; i++) {
        uint32_t line_what, line_how;
        input_identity(j->lines[i].in, &line_what, &line_how);
        what = what * 31 + line_what;
        how = how * 31 + line_how;
    }
    for (unsigned i = 0; i < w->n_streams && other < 0; i++)
        if (j->lines[i].sliced)
            other = mpp_producer_agree(w->producer, j->lines[i].stream, what ? what : 1, how);
    if (other >= 0)
        participant_fail_text(
            w, MPP_S_ERROR,
            "%s: its share does not fit to that of producer %d, who found the FILEs of other sizes, or "
            "shares them out otherwise; they must not change between the starts of the producers: start "
            "all with one --all, which looks at them once",
            label(j), other);
}

static void take_shares(job *j)
{
    participant *w = &j->who;
    unsigned part = j->asked.parts ? j->asked.part : (unsigned)w->index;
    unsigned parts = j->asked.parts ? j->asked.parts : w->of;
    for (unsigned i = 0; i < w->n_streams; i++) {
        mpp_error err;
        const mpp_stream_info *info = mpp_mesh_stream(w->mesh, j->lines[i].stream);
        if (j->lines[i].sliced && input_slice(j->lines[i].in, part, parts, &info->format, info->max_record, &err) < 0)
            participant_fail(w, (int)err.status, &err);
    }
    if (!w->failed)
        agree(j);
}

static int64_t total_size(const job *j)
{
    int64_t total = 0;
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        int64_t size = input_total_size(j->lines[i].in);
        if (size < 0)
            return -1;
        total += size;
    }
    return total;
}

static void attach(job *j)
{
    participant_attach(&j->who, j->asked.runs, label(j));
    register_sources(j);
    take_shares(j);
    participant_show(&j->who, j->who.show_progress ? total_size(j) : -1);
}

/* ---- end ---------------------------------------------------------------------------------------- */

/* Tell the commands that still run to end. */
static void stop_commands(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state != LINE_IDLE && j->lines[i].state != LINE_STOPPING)
            source_stop(j, j->lines[i].stream, 0);
}

/* Those that obey are gone at once, the others are killed after their grace, or given up. */
static void reap_commands(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_STOPPING)
            command_finish(j->lines[i].piece->command);
}

/* What the producer knows while it is attached; NULL: no memory. */
static summary_stream *count_streams(const job *j)
{
    const participant *w = &j->who;
    summary_stream *streams = calloc(w->n_streams, sizeof *streams);
    for (unsigned i = 0; streams && i < w->n_streams; i++) {
        mpp_totals t;
        mpp_producer_totals(w->producer, j->lines[i].stream, &t);
        streams[i] = (summary_stream){w->streams[i].name, t.records, t.bytes, t.no_key, t.given_up};
    }
    return streams;
}

static void report(job *j, summary_stream *streams)
{
    participant *w = &j->who;
    uint64_t records = 0, bytes = 0;
    for (unsigned i = 0; streams && i < w->n_streams; i++) {
        records += streams[i].records;
        bytes += streams[i].bytes;
    }
    progress_end(&w->progress, records, bytes);
    for (unsigned i = 0; streams && i < w->n_streams; i++) {
        if (streams[i].lost)
            cli_warn("producer %d: %llu records of stream '%s' were dropped: they found no room (--no-wait)", w->index,
                     (unsigned long long)streams[i].lost, w->streams[i].name);
        if (streams[i].no_key)
            cli_warn("producer %d: %llu records of stream '%s' lack a field of the key; it counts as empty", w->index,
                     (unsigned long long)streams[i].no_key, w->streams[i].name);
    }
    if (streams)
        participant_report(w, streams);
    free(streams);
}

static void job_free(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        input_destroy(&j->lines[i].in);
    free(j->lines);
    participant_close(&j->who);
}

/* The commands are told to end, then the mesh is left, so that nobody waits for a stubborn command or for who reads
 * what we have to say, then they are reaped. */
static void finish(job *j)
{
    summary_stream *streams = count_streams(j);
    stop_commands(j);
    mpp_producer_detach(&j->who.producer);
    report(j, streams);
    reap_commands(j);
}

int main(int argc, char **argv)
{
    job j = {.who = PARTICIPANT_INIT(PRODUCER, &tool), .asked = {.who = &j.who, .runs = 1}};
    io_standard();
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take_option, &j.asked, &j.who.rest);
    participant_open(&j.who, "source");
    make_lines(&j);
    if (participant_fork(&j.who)) {
        attach(&j);
        produce(&j);
        finish(&j);
    }
    job_free(&j);
    if (j.who.signal)
        signals_die(j.who.signal);
    return j.who.status;
}
