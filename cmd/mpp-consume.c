/* mpp-consume - drain one participant of a mesh */
#define CLI_OPTIONS "mpp-consume.opt"
#include "all.h"
#include "cli.h"
#include "merge.h"
#include "progress.h"
#include "signals.h"
#include "sink.h"

#include <errno.h>
#include <signal.h>
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

typedef struct named_stream {
    char *name;
    char *target; /* behind '=', NULL: where the command line says otherwise */
} named_stream;

typedef struct request {
    const char *mesh;
    int index;
    bool all, tag, sequential, merge, strict, barrier, progress, summary;
    const char *output, *summary_file;
    named_stream *streams;
    unsigned n_streams;
    uint64_t max_records; /* UINT64_MAX: all */
    ok_list ok;
    int64_t attach_timeout, timeout;
    cli_rest rest;
} request;

static void take_stream(request *r, const char *value)
{
    r->streams = realloc(r->streams, (r->n_streams + 1) * sizeof *r->streams);
    char *name = strdup(value);
    if (!r->streams || !name)
        abort();
    char *target = strchr(name, '=');
    if (target)
        *target++ = 0;
    named_stream *s = &r->streams[r->n_streams++];
    s->name = name;
    s->target = target;
}

static void streams_free(request *r)
{
    for (unsigned i = 0; i < r->n_streams; i++)
        free(r->streams[i].name);
    free(r->streams);
}

static void take(void *arg, const cli_option *option, const char *value)
{
    request *r = arg;
    switch (option->id) {
    case OPT_INDEX:
        r->index = (int)cli_number(option, value, 0, MPP_PARTICIPANTS_MAX - 1);
        break;
    case OPT_ALL:
        r->all = true;
        break;
    case OPT_STREAM:
        take_stream(r, value);
        break;
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
    case OPT_STRICT:
        r->strict = true;
        break;
    case OPT_OK_STATUS:
        if (ok_parse(&r->ok, value) < 0)
            cli_bad_value(option, value, "not a list of statuses from 0 to 255, as in 0,1");
        break;
    case OPT_BARRIER:
        r->barrier = true;
        break;
    case OPT_ATTACH_TIMEOUT:
        r->attach_timeout = cli_duration(option, value);
        break;
    case OPT_TIMEOUT:
        r->timeout = cli_duration(option, value);
        break;
    case OPT_PROGRESS:
        r->progress = true;
        break;
    case OPT_SUMMARY:
        r->summary = true;
        r->summary_file = value;
        break;
    default:
        break;
    }
}

/* ---- one stream --------------------------------------------------------------------------------- */

typedef enum line_state {
    LINE_WAITING, /* not asked for yet */
    LINE_RUNNING,
    LINE_GONE, /* all that was published has been delivered, and the mesh has failed */
    LINE_DONE,
} line_state;

typedef struct line {
    unsigned stream;
    const mpp_stream_info *info;
    sink *sink;
    merge *merge;
    mpp_batch batch; /* lent to the sink, or data NULL */
    line_state state;
    bool blocked; /* on the sink */
    uint64_t records, bytes;
} line;

typedef struct job {
    request *r;
    mpp_mesh *mesh;
    mpp_consumer *consumer;
    line *lines;
    unsigned n_lines;
    sink *sinks;
    unsigned n_sinks;
    progress progress;
    int64_t started;
    int index, status;
    bool counting;
    mpp_error error;   /* the first failure that we know of */
    bool failed, ours; /* ours: it is this process's own */
    bool told;         /* a signal was heard */
    int signal;        /* that we die of, 0: none */
} job;

/* Our own failure: everybody is told; status is what we exit with when ours is the first. */
static void fail(job *j, int status, const mpp_error *err)
{
    if (j->failed)
        return;
    j->failed = true;
    j->error = *err;
    j->status = status;
    j->ours = mpp_consumer_fail(j->consumer, err) || !mpp_mesh_cause(j->mesh, &j->error);
    if (!j->ours)
        j->status = (int)j->error.status;
}

static void fail_text(job *j, mpp_status status, const char *text)
{
    mpp_error err = {.status = status};
    snprintf(err.text, sizeof err.text, "%s", text);
    fail(j, (int)status, &err);
}

static void line_end(job *j, line *l, line_state state)
{
    if (l->batch.data)
        mpp_release(j->consumer, &l->batch);
    merge_destroy(&l->merge);
    l->state = state;
}

/* This stream has had enough. */
static void enough(job *j, line *l)
{
    mpp_cancel(j->consumer, l->stream);
    line_end(j, l, LINE_DONE);
}

/* The sink's reader has gone, or its command has ended before the data did. */
static void sink_closed(job *j, line *l)
{
    char text[MPP_TEXT_MAX];
    if (l->sink->state == SINK_BROKEN) {
        fail(j, l->sink->status, &l->sink->error);
        return;
    }
    if (j->r->strict) {
        snprintf(text, sizeof text, "%.300s was closed after %llu records, before the stream ended (--strict)",
                 l->sink->name, (unsigned long long)l->records);
        fail_text(j, MPP_S_ERROR, text);
        return;
    }
    if (mpp_mesh_consumers(j->mesh) > 1 && l->state == LINE_RUNNING)
        cli_warn("consumer %d: %s was closed after %llu records; the others go on", j->index, l->sink->name,
                 (unsigned long long)l->records);
    mpp_error cause;
    if (mpp_mesh_cause(j->mesh, &cause))
        line_end(j, l, LINE_GONE); /* and so has upstream, before it was asked to */
    else
        enough(j, l);
}

/* ---- records to the sink ------------------------------------------------------------------------ */

/* Bytes of the first n records of the batch, and how many there are. */
static size_t first_records(const line *l, uint64_t max, const unsigned char *data, size_t len, uint64_t n,
                            uint64_t *records)
{
    size_t at = 0, size;
    for (*records = 0; *records < n && at < len; ++*records) {
        if (mpp_record_next(&l->info->format, max, data + at, len - at, &size) != MPP_OK)
            break;
        at += size;
    }
    return at;
}

static void not_a_record(job *j, unsigned producer)
{
    char text[96];
    snprintf(text, sizeof text, "what producer %u sent is not a whole record", producer);
    fail_text(j, MPP_S_CORRUPT, text);
}

/* "3\t" in front of a record; for prefixed formats it is part of the record. */
static bool stage_tagged(job *j, line *l, unsigned producer, const unsigned char *record, size_t len)
{
    char tag[8];
    size_t n = (size_t)snprintf(tag, sizeof tag, "%u\t", producer);
    size_t head = l->info->format.kind == MPP_U32LE || l->info->format.kind == MPP_U32BE ? 4 : 0;
    unsigned char *at = sink_stage(l->sink, len + n);
    if (!at) {
        fail_text(j, MPP_S_ERROR, "no memory for a batch of records");
        return false;
    }
    if (head) {
        uint32_t body = (uint32_t)(len - head + n);
        for (unsigned i = 0; i < 4; i++)
            at[i] = (unsigned char)(body >> 8 * (l->info->format.kind == MPP_U32LE ? i : 3 - i));
    }
    memcpy(at + head, tag, n);
    memcpy(at + head + n, record + head, len - head);
    return true;
}

static bool stage_record(job *j, line *l, unsigned producer, const unsigned char *record, size_t len)
{
    l->records++;
    l->bytes += len;
    if (j->r->tag)
        return stage_tagged(j, l, producer, record, len);
    unsigned char *at = sink_stage(l->sink, len);
    if (!at) {
        fail_text(j, MPP_S_ERROR, "no memory for a batch of records");
        return false;
    }
    memcpy(at, record, len);
    return true;
}

/* A frame without payload is an empty record: write it as the format has it. */
static void stage_empty(job *j, line *l, unsigned producer)
{
    static const unsigned char zeros[4];
    const mpp_format *f = &l->info->format;
    if (f->kind == MPP_FIXED)
        not_a_record(j, producer);
    else
        stage_record(j, l, producer, f->kind == MPP_DELIMITED ? &f->delimiter : zeros,
                     f->kind == MPP_DELIMITED ? 1 : 4);
}

static bool limit_reached(const job *j, const line *l)
{
    return l->records >= j->r->max_records;
}

static void stage_batch(job *j, line *l)
{
    const mpp_batch *b = &l->batch;
    uint64_t max = mpp_mesh_max_record(j->mesh);
    for (size_t at = 0, len; at < b->len && !limit_reached(j, l) && !j->failed; at += len) {
        if (mpp_record_next(&l->info->format, max, b->data + at, b->len - at, &len) != MPP_OK) {
            not_a_record(j, b->producer);
            return;
        }
        stage_record(j, l, b->producer, b->data + at, len);
    }
}

static void lend_batch(job *j, line *l)
{
    const mpp_batch *b = &l->batch;
    size_t len = b->len;
    uint64_t records = 0;
    if (j->r->max_records != UINT64_MAX)
        len = first_records(l, mpp_mesh_max_record(j->mesh), b->data, len, j->r->max_records - l->records, &records);
    else if (j->counting)
        records = mpp_record_count(&l->info->format, b->data, len);
    l->records += records;
    l->bytes += len;
    sink_lend(l->sink, b->data, len);
}

static bool source_ended(job *j, line *l, mpp_outcome outcome)
{
    if (outcome == MPP_CLOSED)
        line_end(j, l, LINE_DONE);
    else if (outcome == MPP_GONE)
        line_end(j, l, LINE_GONE);
    return outcome != MPP_WOULD_BLOCK;
}

/* The next batch to the sink.  false: there is nothing now. */
static bool next_batch(job *j, line *l)
{
    mpp_outcome outcome = mpp_next(j->consumer, l->stream, MPP_PRODUCER_ANY, &l->batch);
    if (outcome != MPP_OK)
        return source_ended(j, l, outcome);
    if (l->batch.len == 0)
        stage_empty(j, l, l->batch.producer);
    else if (j->r->tag)
        stage_batch(j, l);
    else
        lend_batch(j, l);
    return true;
}

/* Merged records until there are enough for one write. */
static bool next_merged(job *j, line *l)
{
    enum { ENOUGH = 64 << 10 };
    const unsigned char *record;
    size_t len;
    unsigned producer;
    mpp_error err;
    bool moved = false;
    while (l->sink->staged_have < ENOUGH && !limit_reached(j, l) && !j->failed) {
        mpp_outcome outcome = merge_next(l->merge, j->consumer, &record, &len, &producer, &err);
        if (outcome == MPP_ERROR)
            fail(j, (int)err.status, &err);
        if (outcome != MPP_OK)
            return source_ended(j, l, outcome) || moved;
        moved = true;
        if (len == 0)
            stage_empty(j, l, producer);
        else
            stage_record(j, l, producer, record, len);
    }
    return moved;
}

/* Whatever the line can do without waiting, some of it. */
static bool step(job *j, line *l)
{
    l->blocked = false;
    if (l->state != LINE_RUNNING && sink_empty(l->sink))
        return false;
    if (!sink_write(l->sink, &j->r->ok)) {
        l->blocked = true;
        return false;
    }
    if (l->sink->state != SINK_OPEN) {
        if (l->state != LINE_DONE)
            sink_closed(j, l);
        return true;
    }
    if (l->batch.data && !l->merge)
        mpp_release(j->consumer, &l->batch);
    if (l->state != LINE_RUNNING)
        return true;
    if (limit_reached(j, l)) {
        enough(j, l);
        return true;
    }
    return l->merge ? next_merged(j, l) : next_batch(j, l);
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void start_lines(job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++) {
        line *l = &j->lines[i];
        if (l->state == LINE_WAITING && mpp_start(j->consumer, l->stream) == MPP_OK)
            l->state = LINE_RUNNING;
        if (l->state == LINE_WAITING && mpp_mesh_cause(j->mesh, &(mpp_error){0}))
            l->state = LINE_GONE;
        if (j->r->sequential && l->state != LINE_DONE)
            return;
    }
}

static bool all_ended(const job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++)
        if (j->lines[i].state == LINE_RUNNING || j->lines[i].state == LINE_WAITING || !sink_empty(j->lines[i].sink))
            return false;
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static void totals(const job *j, uint64_t *records, uint64_t *bytes)
{
    *records = *bytes = 0;
    for (unsigned i = 0; i < j->n_lines; i++) {
        *records += j->lines[i].records;
        *bytes += j->lines[i].bytes;
    }
}

/* Sleep until data, space in an output, the end of a command, or a signal.  An output is watched for its reader's going
 * also when there is nothing to write. */
static void wait_for_something(job *j, mpp_activity activity)
{
    struct pollfd *set = calloc(2 * j->n_sinks + 1, sizeof *set);
    if (!set)
        return;
    unsigned n = 0;
    int64_t deadline = progress_next(&j->progress);
    set[n++] = (struct pollfd){.fd = signals_fd(), .events = POLLIN};
    for (unsigned i = 0; i < j->n_sinks; i++) {
        sink *s = &j->sinks[i];
        if (s->state == SINK_OPEN && s->out.fd >= 0 && !s->linger_until)
            set[n++] = (struct pollfd){.fd = s->out.fd, .events = sink_empty(s) ? 0 : POLLOUT};
        if (s->has_command && s->command.pidfd >= 0)
            set[n++] = (struct pollfd){.fd = s->command.pidfd, .events = POLLIN};
        if (!sink_empty(s))
            activity = MPP_WRITING_OUTPUT;
        deadline = earlier(deadline, s->linger_until);
    }
    if (mpp_wait(NULL, j->consumer, activity, set, n, deadline) > 0)
        for (unsigned i = 0; i < j->n_sinks; i++)
            sink_look(&j->sinks[i], &j->r->ok);
    free(set);
}

/* The reader of our standard output has gone. */
static bool stdout_closed(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

/* SIGTERM behind a pipe that nobody reads is how a producer stops its command when its consumers have enough: then so
 * have we. */
static bool told_enough(job *j, int sig)
{
    if (sig != SIGTERM || j->r->strict || !stdout_closed())
        return false;
    for (unsigned i = 0; i < j->n_lines; i++)
        if (j->lines[i].state != LINE_DONE)
            enough(j, &j->lines[i]);
    for (unsigned i = 0; i < j->n_sinks; i++)
        command_stop(&j->sinks[i].command);
    j->signal = 0;
    return true;
}

static void interrupted(job *j, int sig)
{
    j->told = true;
    j->signal = sig;
    if (told_enough(j, sig))
        return;
    mpp_error err = {.status = MPP_S_FAILED, .final = true};
    snprintf(err.text, sizeof err.text, "ended by signal %d (%s)", sig, strsignal(sig));
    fail(j, 128 + sig, &err);
}

static void wait_for_everybody(job *j)
{
    struct pollfd set = {.fd = signals_fd(), .events = POLLIN};
    while (j->r->barrier && !signals_caught() && mpp_barrier(NULL, j->consumer) == MPP_WOULD_BLOCK)
        mpp_wait(NULL, j->consumer, MPP_COMPUTING, &set, 1, 0);
}

/* Interrupted or removed: what was published is not wanted any more. */
static bool called_off(job *j)
{
    mpp_error cause;
    if (j->failed || !mpp_mesh_cause(j->mesh, &cause) || !cause.final)
        return j->failed;
    j->failed = true;
    j->error = cause;
    j->status = (int)cause.status;
    return true;
}

/* Sinks that closed although their line has nothing to write just now. */
static void look_at_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_lines && !j->failed; i++)
        if (j->lines[i].state == LINE_RUNNING && j->lines[i].sink->state != SINK_OPEN)
            sink_closed(j, &j->lines[i]);
}

static void work(job *j)
{
    wait_for_everybody(j);
    while (!j->failed) {
        if (signals_caught()) {
            interrupted(j, signals_caught());
            return;
        }
        if (called_off(j))
            return;
        start_lines(j);
        look_at_sinks(j);
        bool moved = false;
        for (unsigned i = 0; i < j->n_lines && !j->failed; i++)
            moved |= step(j, &j->lines[i]);
        if (all_ended(j))
            return;
        uint64_t records, bytes;
        totals(j, &records, &bytes);
        progress_update(&j->progress, records, bytes);
        if (!moved && !j->failed)
            wait_for_something(j, MPP_COMPUTING);
    }
}

/* The data has ended: close the sinks, and wait for their commands. */
static void finish_sink(job *j, sink *s)
{
    while (!sink_finish(s, &j->r->ok) && !called_off(j)) {
        if (signals_caught() && !j->told)
            interrupted(j, signals_caught());
        if (j->failed)
            return;
        wait_for_something(j, MPP_WAITING_COMMAND);
    }
    if (s->state == SINK_BROKEN)
        fail(j, s->status, &s->error);
}

static void finish_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks && !j->failed; i++)
        finish_sink(j, &j->sinks[i]);
}

static bool any_gone(const job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++)
        if (j->lines[i].state == LINE_GONE)
            return true;
    return false;
}

/* ---- beginning and end -------------------------------------------------------------------------- */

static int open_sink(job *j, const named_stream *s, sink *out, mpp_error *err)
{
    request *r = j->r;
    if (s && s->target && s->target[0] == '|')
        return sink_open_command(out, NULL, s->target + 1, err);
    if (s && s->target)
        return sink_open_file(out, s->target, err);
    if (r->rest.command)
        return sink_open_command(out, r->rest.command, NULL, err);
    return r->output ? sink_open_file(out, r->output, err) : sink_open_stdout(out, err);
}

/* Outputs are opened, and commands started, when we are attached, so that they know their index; a failure of one is a
 * failure of this consumer. */
static void open_sinks(job *j)
{
    sink *shared = NULL;
    mpp_error err;
    for (unsigned i = 0; i < j->n_lines && !j->failed; i++) {
        const named_stream *s = j->r->n_streams ? &j->r->streams[i] : NULL;
        if (!(s && s->target) && shared) {
            j->lines[i].sink = shared;
            continue;
        }
        sink *out = &j->sinks[j->n_sinks];
        if (open_sink(j, s, out, &err) < 0) {
            fail(j, (int)err.status, &err);
            return;
        }
        j->n_sinks++;
        j->lines[i].sink = out;
        if (!(s && s->target))
            shared = out;
    }
}

static void check_line(const request *r, const line *l, const char *name)
{
    if (r->tag && l->info->format.kind == MPP_FIXED)
        cli_usage("--tag makes records longer, and those of stream '%s' are of fixed size", name);
}

static void make_lines(job *j)
{
    request *r = j->r;
    unsigned of_mesh = mpp_mesh_streams(j->mesh);
    if (r->n_streams == 0 && of_mesh > 1)
        cli_usage("mesh '%s' has %u streams ('%s', '%s', ...): say which with --stream", r->mesh, of_mesh,
                  mpp_mesh_stream(j->mesh, 0)->name, mpp_mesh_stream(j->mesh, 1)->name);
    j->n_lines = r->n_streams ? r->n_streams : 1;
    j->lines = calloc(j->n_lines, sizeof *j->lines);
    j->sinks = calloc(j->n_lines, sizeof *j->sinks);
    if (!j->lines || !j->sinks)
        abort();
    for (unsigned i = 0; i < j->n_lines; i++) {
        const char *name = r->n_streams ? r->streams[i].name : mpp_mesh_stream(j->mesh, 0)->name;
        int number = mpp_mesh_find_stream(j->mesh, name);
        if (number < 0)
            cli_usage("mesh '%s' has no stream '%s'", r->mesh, name);
        for (unsigned k = 0; k < i; k++)
            if (j->lines[k].stream == (unsigned)number)
                cli_usage("stream '%s' is named twice", name);
        j->lines[i] = (line){.stream = (unsigned)number, .info = mpp_mesh_stream(j->mesh, (unsigned)number)};
        check_line(r, &j->lines[i], name);
    }
}

static void check_request(const request *r, const mpp_mesh *mesh)
{
    unsigned consumers = mpp_mesh_consumers(mesh), open = 0;
    if (r->rest.n > 1)
        cli_usage("one MESH only, and '%s' is too many; a command stands behind --", r->rest.operands[1]);
    if (r->rest.command && r->output)
        cli_usage("the records go to --output or to a COMMAND, not to both");
    if (r->all && r->index != MPP_INDEX_ANY)
        cli_usage("--all takes every index: --index cannot be given with it");
    for (unsigned i = 0; i < r->n_streams; i++)
        open += !r->streams[i].target;
    if (r->n_streams && !open && (r->rest.command || r->output))
        cli_usage("every --stream has a target of its own: nothing is left for the COMMAND or --output");
    if (r->all && consumers > 1 && !r->rest.command && !(r->n_streams && !open))
        cli_usage("--all: %u processes would mix their records in one output; give each a COMMAND, as in -- sh -c "
                  "'cat > out.$MPP_INDEX'",
                  consumers);
    if (r->index == MPP_INDEX_ANY && !r->all && r->n_streams && r->n_streams < mpp_mesh_streams(mesh))
        cli_usage("this process reads %u of the mesh's %u streams: say which consumer it is with --index", r->n_streams,
                  mpp_mesh_streams(mesh));
    if (r->index >= (int)consumers)
        cli_usage("--index '%d': mesh '%s' has %u consumers, 0 to %u", r->index, r->mesh, consumers, consumers - 1);
}

static void parse(request *r, int argc, char **argv)
{
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take, r, &r->rest);
    if (r->rest.n == 0)
        cli_usage("which MESH? give the id that mpp-create printed, or its name");
    r->mesh = r->rest.operands[0];
}

static void make_merges(job *j)
{
    for (unsigned i = 0; j->r->merge && i < j->n_lines; i++) {
        j->lines[i].merge = merge_create(j->mesh, j->lines[i].stream);
        if (!j->lines[i].merge)
            fail_text(j, MPP_S_ERROR, "no memory for a merge");
    }
}

static const char *label(const request *r)
{
    if (r->rest.command)
        return r->rest.command[0];
    if (r->n_streams && r->streams[0].target)
        return r->streams[0].target;
    return r->output;
}

static void attach(job *j, int index)
{
    static char who[32];
    mpp_error err;
    unsigned *streams = calloc(j->n_lines, sizeof *streams);
    if (!streams)
        abort();
    for (unsigned i = 0; i < j->n_lines; i++)
        streams[i] = j->lines[i].stream;
    mpp_attach_options o = {.index = index,
                            .streams = streams,
                            .n_streams = j->n_lines,
                            .runs = 1,
                            .attach_timeout_ms = j->r->attach_timeout,
                            .timeout_ms = j->r->timeout,
                            .label = label(j->r)};
    if (mpp_consumer_attach(j->mesh, &o, &j->consumer, &err) < 0)
        cli_die(&err);
    free(streams);
    j->index = (int)mpp_consumer_index(j->consumer);
    all_environment(j->r->mesh, (unsigned)j->index, mpp_mesh_consumers(j->mesh));
    j->counting = j->r->progress || j->r->summary || j->r->strict || mpp_mesh_consumers(j->mesh) > 1;
    make_merges(j);
    open_sinks(j);
    for (unsigned i = 0; i < j->n_sinks; i++)
        if (j->sinks[i].has_command)
            mpp_consumer_command(j->consumer, j->sinks[i].command.pid);
    snprintf(who, sizeof who, "mpp-consume %d", j->index);
    if (j->r->progress)
        progress_start(&j->progress, who, -1);
}

static void summarize(const job *j)
{
    mpp_error err;
    summary_stream *streams = calloc(j->n_lines, sizeof *streams);
    for (unsigned i = 0; streams && i < j->n_lines; i++)
        streams[i] = (summary_stream){j->lines[i].info->name, j->lines[i].records, j->lines[i].bytes, 0};
    summary s = {.tool = tool.name,
                 .mesh = j->r->mesh,
                 .role = "consumer",
                 .index = j->index,
                 .status = j->status,
                 .cause = j->failed ? j->error.text : NULL,
                 .started = j->started,
                 .streams = streams,
                 .n_streams = streams ? j->n_lines : 0};
    if (summary_write(&s, j->r->summary_file, &err) < 0)
        cli_warn("%s", err.text);
    free(streams);
}

static void report(job *j)
{
    uint64_t records, bytes;
    totals(j, &records, &bytes);
    progress_end(&j->progress, records, bytes);
    if (j->signal)
        ; /* the shell says it */
    else if (j->failed && j->ours)
        cli_warn("consumer %d: %s", j->index, j->error.text);
    else if (j->failed)
        cli_warn("%s", j->error.text);
    if (j->r->summary)
        summarize(j);
}

static void job_free(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        free(j->sinks[i].staged);
    mpp_mesh_close(&j->mesh);
    free(j->sinks);
    free(j->lines);
    streams_free(j->r);
}

/* A command learns of a failure before its stdin closes; cancels go out while the mesh is whole. */
static int finish(job *j)
{
    if (!j->failed && !any_gone(j))
        finish_sinks(j);
    if (!j->failed && mpp_mesh_cause(j->mesh, &j->error) && (any_gone(j) || !all_ended(j))) {
        j->failed = true;
        j->status = (int)j->error.status;
    }
    report(j);
    if (j->failed)
        for (unsigned i = 0; i < j->n_sinks; i++)
            command_stop(&j->sinks[i].command);
    for (unsigned i = 0; i < j->n_lines; i++)
        line_end(j, &j->lines[i], j->lines[i].state);
    mpp_consumer_detach(&j->consumer);
    for (unsigned i = 0; j->failed && i < j->n_sinks; i++)
        sink_abort(&j->sinks[i]);
    job_free(j);
    int sig = j->signal;
    if (sig)
        signals_die(sig);
    return j->status;
}

static void open_mesh(job *j)
{
    mpp_error err;
    if (mpp_mesh_open(j->r->mesh, &j->mesh, &err) < 0)
        cli_die(&err);
}

int main(int argc, char **argv)
{
    request r = {.index = MPP_INDEX_ANY, .max_records = UINT64_MAX, .attach_timeout = 30000, .ok = OK_DEFAULT};
    job j = {.r = &r, .index = -1, .progress = PROGRESS_INIT, .started = mpp_now()};
    mpp_error err;
    io_standard();
    parse(&r, argc, argv);
    open_mesh(&j);
    check_request(&r, j.mesh);
    if (signals_init(tool.name, &err) < 0)
        cli_die(&err);
    int index = r.index;
    if (r.all) {
        int status;
        index = all_fork(mpp_mesh_consumers(j.mesh), &status);
        if (index < 0) {
            job_free(&j);
            return status;
        }
        mpp_mesh_close(&j.mesh);
        open_mesh(&j);
    }
    make_lines(&j);
    attach(&j, index);
    work(&j);
    return finish(&j);
}
