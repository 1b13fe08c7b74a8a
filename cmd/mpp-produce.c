/* mpp-produce - feed one participant of a mesh */
#define CLI_OPTIONS "mpp-produce.opt"
#include "all.h"
#include "cli.h"
#include "command.h"
#include "input.h"
#include "io.h"
#include "progress.h"
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_tool tool = {
    .name = "mpp-produce",
    .synopsis = "[OPTION...] MESH [FILE...]\n[OPTION...] MESH -- COMMAND [ARG...]",
    .purpose = "Feed one producer of a mesh, from standard input, FILEs or a COMMAND, when a consumer asks.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* ---- what is asked for -------------------------------------------------------------------------- */

typedef struct named_stream {
    char *name;
    char *source; /* behind '=', NULL: what the command line names otherwise */
} named_stream;

typedef struct request {
    const char *mesh;
    int index;
    bool all, eager, barrier, slice, sliced_by, progress, summary;
    unsigned part, parts; /* of --slice=K/N; parts 0: index of producers */
    input_by by;
    const char *files0_from, *filter, *summary_file;
    named_stream *streams;
    unsigned n_streams;
    unsigned runs;
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
    char *source = strchr(name, '=');
    if (source)
        *source++ = 0;
    named_stream *s = &r->streams[r->n_streams++];
    s->name = name;
    s->source = source;
}

static void streams_free(request *r)
{
    for (unsigned i = 0; i < r->n_streams; i++)
        free(r->streams[i].name);
    free(r->streams);
}

static void take(void *arg, const cli_option *option, const char *value)
{
    static const char *const by[] = {"files", "bytes", NULL};
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
    case OPT_RUNS:
        r->runs = (unsigned)cli_number(option, value, 0, UINT32_MAX / 2);
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

/* ---- one stream's source ------------------------------------------------------------------------ */

typedef enum line_state {
    LINE_IDLE,     /* not asked, or ended */
    LINE_READING,  /* a piece is open, or the next is to be opened */
    LINE_REAPING,  /* its data has ended; its command has not */
    LINE_CLOSING,  /* the end of the piece waits for space */
    LINE_STOPPING, /* consumers have enough; the command is being ended */
} line_state;

typedef enum line_need { NEED_NOTHING, NEED_INPUT, NEED_SPACE, NEED_COMMAND } line_need;

typedef struct line {
    unsigned stream;
    const char *name;
    input *in;
    input_piece *piece;
    line_state state;
    line_need need;
    bool sliced; /* we take our share only */
} line;

typedef struct job {
    request *r;
    mpp_mesh *mesh;
    mpp_producer *producer;
    line *lines;
    unsigned n_lines;
    progress progress;
    int64_t started;
    int index, status;
    mpp_error error;   /* the first failure that we know of */
    bool failed, ours; /* ours: it is this process's own */
    int signal;        /* that we die of, 0: none */
} job;

static line *line_of(job *j, unsigned stream)
{
    for (unsigned i = 0; i < j->n_lines; i++)
        if (j->lines[i].stream == stream)
            return &j->lines[i];
    return NULL;
}

/* START: nothing is opened or spawned before this. */
static int start_source(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    line *l = line_of(arg, stream);
    if (run > 1 && input_rewind(l->in, err) < 0)
        return -1;
    l->piece = NULL;
    l->state = LINE_READING;
    return 0;
}

/* The last CANCEL. */
static void stop_source(void *arg, unsigned stream, unsigned run)
{
    line *l = line_of(arg, stream);
    (void)run;
    input_stop(l->in);
    l->state = l->piece && l->piece->command ? LINE_STOPPING : LINE_IDLE;
}

/* Our own failure: everybody is told; status is what we exit with when ours is the first. */
static void fail(job *j, int status, const mpp_error *err)
{
    if (j->failed)
        return;
    j->failed = true;
    j->error = *err;
    j->status = status;
    j->ours = mpp_producer_fail(j->producer, err) || !mpp_mesh_cause(j->mesh, &j->error);
    if (!j->ours)
        j->status = (int)j->error.status;
}

static void fail_command(job *j, const command *c)
{
    mpp_error err = {.status = MPP_S_ERROR};
    char text[COMMAND_TEXT_MAX + 64];
    snprintf(err.text, sizeof err.text, "%s", command_status_text(c, text, sizeof text));
    fail(j, command_exit_status(c), &err);
}

/* The piece has ended well: its last record gets its delimiter. */
static bool close_piece(job *j, line *l)
{
    mpp_error err;
    switch (mpp_fill_end(j->producer, l->stream, &err)) {
    case MPP_OK:
        l->piece = NULL;
        l->state = LINE_READING;
        return true;
    case MPP_WOULD_BLOCK:
        l->state = LINE_CLOSING;
        l->need = NEED_SPACE;
        return false;
    case MPP_ERROR: {
        char text[MPP_TEXT_MAX];
        snprintf(text, sizeof text, "%s: %.300s", l->piece->name, err.text);
        snprintf(err.text, sizeof err.text, "%s", text);
        fail(j, MPP_S_ERROR, &err);
        return false;
    }
    case MPP_CLOSED:
    case MPP_GONE:
        break;
    }
    return false;
}

/* The data of the piece has ended: how did the command behind it end? */
static bool reap_piece(job *j, line *l)
{
    command *c = l->piece->command;
    if (!c)
        return close_piece(j, l);
    if (!command_reap(c)) {
        l->state = LINE_REAPING;
        l->need = NEED_COMMAND;
        return false;
    }
    if (command_ok(c, &j->r->ok))
        return close_piece(j, l);
    fail_command(j, c);
    return false;
}

static bool read_failed(job *j, line *l, mpp_error *err)
{
    char text[MPP_TEXT_MAX];
    if (err->os_error == EAGAIN) {
        l->need = NEED_INPUT;
        return false;
    }
    snprintf(text, sizeof text, "%.160s: %.300s", l->piece->name, err->text);
    snprintf(err->text, sizeof err->text, "%s", text);
    fail(j, MPP_S_ERROR, err);
    return false;
}

/* One read.  false: nothing more can be done now. */
static bool read_piece(job *j, line *l)
{
    mpp_error err;
    size_t n, limit = 0;
    if (l->piece->left == 0)
        return reap_piece(j, l);
    if (l->piece->left > 0)
        limit = (size_t)l->piece->left;
    if (!io_readable(&l->piece->io)) {
        l->need = NEED_INPUT;
        return false;
    }
    switch (mpp_fill(j->producer, l->stream, l->piece->io.fd, limit, &n, &err)) {
    case MPP_OK:
        if (l->piece->left > 0)
            l->piece->left -= (int64_t)n;
        return n > 0 || reap_piece(j, l);
    case MPP_WOULD_BLOCK:
        l->need = NEED_SPACE;
        return false;
    case MPP_ERROR:
        return read_failed(j, l, &err);
    case MPP_CLOSED:
    case MPP_GONE:
        break;
    }
    return false;
}

static bool open_piece(job *j, line *l)
{
    mpp_error err;
    switch (input_open_next(l->in, &l->piece, &err)) {
    case 1:
        mpp_producer_command(j->producer, l->piece->command ? l->piece->command->pid : 0);
        return true;
    case 0:
        l->piece = NULL;
        l->state = LINE_IDLE;
        mpp_end(j->producer, l->stream);
        return true;
    default:
        fail(j, err.status == 126 || err.status == 127 ? (int)err.status : MPP_S_ERROR, &err);
        return false;
    }
}

static bool stop_piece(line *l)
{
    command *c = l->piece->command;
    if (command_reap(c)) {
        l->state = LINE_IDLE;
        l->piece = NULL;
        return true;
    }
    int64_t kill_at = command_kill_at(c);
    if (kill_at && mpp_now() >= kill_at)
        command_kill(c);
    l->need = NEED_COMMAND;
    return false;
}

/* Whatever the line can do without waiting, some of it. */
static bool step(job *j, line *l)
{
    enum { READS = 16 }; /* before consumers are listened to again */
    bool moved = false;
    l->need = NEED_NOTHING;
    for (unsigned i = 0; i < READS; i++) {
        bool went_on = false;
        switch (l->state) {
        case LINE_IDLE:
            return moved;
        case LINE_READING:
            went_on = l->piece ? read_piece(j, l) : open_piece(j, l);
            break;
        case LINE_REAPING:
            went_on = reap_piece(j, l);
            break;
        case LINE_CLOSING:
            went_on = close_piece(j, l);
            break;
        case LINE_STOPPING:
            went_on = stop_piece(l);
            break;
        }
        if (!went_on || j->failed)
            return moved;
        moved = true;
    }
    return moved;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void totals(const job *j, uint64_t *records, uint64_t *bytes)
{
    *records = *bytes = 0;
    for (unsigned i = 0; i < j->n_lines; i++) {
        mpp_totals t;
        mpp_producer_totals(j->producer, j->lines[i].stream, &t);
        *records += t.records;
        *bytes += t.bytes;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* Sleep until one of the lines, a consumer, or a signal has something for us. */
static void wait_for_something(job *j)
{
    struct pollfd *set = calloc(j->n_lines + 1, sizeof *set);
    if (!set)
        return;
    unsigned n = 0;
    mpp_activity activity = MPP_COMPUTING;
    int64_t deadline = progress_next(&j->progress);
    set[n++] = (struct pollfd){.fd = signals_fd(), .events = POLLIN};
    for (unsigned i = 0; i < j->n_lines; i++) {
        line *l = &j->lines[i];
        if (l->need == NEED_INPUT) {
            set[n++] = (struct pollfd){.fd = l->piece->io.fd, .events = POLLIN};
            activity = MPP_READING_INPUT;
        } else if (l->need == NEED_COMMAND) {
            set[n++] = (struct pollfd){.fd = l->piece->command->pidfd, .events = POLLIN};
            deadline = earlier(deadline, command_kill_at(l->piece->command));
            activity = activity == MPP_COMPUTING ? MPP_WAITING_COMMAND : activity;
        }
    }
    mpp_wait(j->producer, NULL, activity, set, n, deadline);
    free(set);
}

static bool busy(const job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++)
        if (j->lines[i].state == LINE_STOPPING)
            return true;
    return false;
}

static void draw_progress(job *j)
{
    uint64_t records, bytes;
    totals(j, &records, &bytes);
    progress_update(&j->progress, records, bytes);
}

static void interrupted(job *j, int sig)
{
    mpp_error err = {.status = MPP_S_FAILED, .final = true};
    j->signal = sig;
    signals_forward(sig);
    snprintf(err.text, sizeof err.text, "ended by signal %d (%s)", sig, strsignal(sig));
    fail(j, 128 + sig, &err);
}

static void wait_for_everybody(job *j)
{
    struct pollfd set = {.fd = signals_fd(), .events = POLLIN};
    while (j->r->barrier && !signals_caught() && mpp_barrier(j->producer, NULL) == MPP_WOULD_BLOCK)
        mpp_wait(j->producer, NULL, MPP_COMPUTING, &set, 1, 0);
}

static void work(job *j)
{
    wait_for_everybody(j);
    while (!j->failed) {
        if (signals_caught()) {
            interrupted(j, signals_caught());
            return;
        }
        mpp_outcome outcome = mpp_service(j->producer);
        if (outcome == MPP_GONE) {
            j->failed = true;
            mpp_mesh_cause(j->mesh, &j->error);
            j->status = (int)j->error.status;
            return;
        }
        bool moved = false;
        for (unsigned i = 0; i < j->n_lines && !j->failed; i++)
            moved |= step(j, &j->lines[i]);
        if (outcome == MPP_CLOSED && !moved && !busy(j))
            return;
        draw_progress(j);
        if (!moved && !j->failed)
            wait_for_something(j);
    }
}

/* ---- beginning and end -------------------------------------------------------------------------- */

static void make_input(const request *r, line *l, const named_stream *s, bool stdin_null)
{
    mpp_error err;
    const char *file = s && s->source && s->source[0] != '|' ? s->source : NULL;
    bool own = s && s->source; /* its source stands behind its name */
    input_options o = {
        .files = own ? &file : (const char *const *)r->rest.operands + 1,
        .n_files = own ? file != NULL : r->rest.n - 1,
        .files0_from = own ? NULL : r->files0_from,
        .argv = own ? NULL : r->rest.command,
        .shell = own && !file ? s->source + 1 : NULL,
        .filter = r->filter,
        .stdin_null = stdin_null,
        .slice = r->slice || (r->all && (file || (!own && !r->rest.command))),
        .by = r->by,
    };
    if (input_create(&o, &l->in, &err) < 0)
        cli_die(&err);
    l->sliced = o.slice;
    if (r->runs != 1 && !input_rewindable(l->in))
        cli_usage("--runs needs an input that can be read again: a FILE or a COMMAND");
}

/* Which streams, and what feeds each. */
static void make_lines(job *j)
{
    request *r = j->r;
    unsigned of_mesh = mpp_mesh_streams(j->mesh), plain = 0;
    if (r->n_streams == 0 && of_mesh > 1)
        cli_usage("mesh '%s' has %u streams ('%s', '%s', ...): say which with --stream", r->mesh, of_mesh,
                  mpp_mesh_stream(j->mesh, 0)->name, mpp_mesh_stream(j->mesh, 1)->name);
    j->n_lines = r->n_streams ? r->n_streams : 1;
    j->lines = calloc(j->n_lines, sizeof *j->lines);
    if (!j->lines)
        abort();
    for (unsigned i = 0; i < j->n_lines; i++) {
        named_stream *s = r->n_streams ? &r->streams[i] : NULL;
        int number = s ? mpp_mesh_find_stream(j->mesh, s->name) : 0;
        if (number < 0)
            cli_usage("mesh '%s' has no stream '%s'", r->mesh, s->name);
        if (line_of(j, (unsigned)number) && i > 0 && line_of(j, (unsigned)number) < &j->lines[i])
            cli_usage("stream '%s' is named twice", s->name);
        plain += !s || !s->source;
        j->lines[i] = (line){.stream = (unsigned)number, .name = mpp_mesh_stream(j->mesh, (unsigned)number)->name};
    }
    if (plain > 1)
        cli_usage("%u streams have no source of their own; write --stream NAME=FILE or NAME='|COMMAND'", plain);
    if (plain == 0 && (r->rest.n > 1 || r->rest.command || r->files0_from))
        cli_usage("every --stream has a source of its own: there is none for the FILEs or COMMAND");
    for (unsigned i = 0; i < j->n_lines; i++)
        make_input(r, &j->lines[i], r->n_streams ? &r->streams[i] : NULL, r->all || j->n_lines > 1);
}

static void check_request(const request *r, const mpp_mesh *mesh)
{
    unsigned producers = mpp_mesh_producers(mesh);
    bool files = r->rest.n > 1 || r->files0_from;
    if (r->rest.command && files)
        cli_usage("FILEs and a COMMAND cannot both be the input");
    if (r->all && r->index != MPP_INDEX_ANY)
        cli_usage("--all takes every index: --index cannot be given with it");
    if (r->all && r->parts)
        cli_usage("--all gives each process its own share: write --slice without K/N");
    if (r->all && producers > 1 && !r->rest.command && !files && (r->n_streams == 0 || !r->streams[0].source))
        cli_usage("--all: %u processes cannot share standard input; name FILEs or a COMMAND", producers);
    if (r->index == MPP_INDEX_ANY && !r->all && r->n_streams && r->n_streams < mpp_mesh_streams(mesh))
        cli_usage("this process serves %u of the mesh's %u streams: say which producer it is with --index",
                  r->n_streams, mpp_mesh_streams(mesh));
    if (r->index >= (int)producers)
        cli_usage("--index '%d': mesh '%s' has %u producers, 0 to %u", r->index, r->mesh, producers, producers - 1);
}

static void parse(request *r, int argc, char **argv)
{
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take, r, &r->rest);
    if (r->rest.n == 0)
        cli_usage("which MESH? give the id that mpp-create printed, or its name");
    r->mesh = r->rest.operands[0];
}

static const char *label(const job *j)
{
    const request *r = j->r;
    if (r->rest.command)
        return r->rest.command[0];
    if (r->n_streams && r->streams[0].source)
        return r->streams[0].source;
    return r->rest.n > 1 ? r->rest.operands[1] : r->files0_from;
}

static void register_sources(job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++) {
        mpp_source source = {.start = start_source, .stop = stop_source, .arg = j};
        mpp_register(j->producer, j->lines[i].stream, &source);
        if (j->r->eager)
            mpp_begin(j->producer, j->lines[i].stream);
    }
    mpp_producer_count(j->producer, j->r->progress || j->r->summary);
}

static void take_shares(job *j)
{
    const request *r = j->r;
    unsigned part = r->parts ? r->part : (unsigned)j->index;
    unsigned parts = r->parts ? r->parts : mpp_mesh_producers(j->mesh);
    for (unsigned i = 0; i < j->n_lines; i++) {
        mpp_error err;
        if (!j->lines[i].sliced)
            continue;
        const mpp_stream_info *info = mpp_mesh_stream(j->mesh, j->lines[i].stream);
        if (input_slice(j->lines[i].in, part, parts, &info->format, mpp_mesh_max_record(j->mesh), &err) < 0)
            fail(j, (int)err.status, &err);
    }
}

static int64_t total_size(const job *j)
{
    int64_t total = 0;
    for (unsigned i = 0; i < j->n_lines; i++) {
        int64_t size = input_total_size(j->lines[i].in);
        if (size < 0)
            return -1;
        total += size;
    }
    return total;
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
                            .runs = j->r->runs,
                            .attach_timeout_ms = j->r->attach_timeout,
                            .timeout_ms = j->r->timeout,
                            .label = label(j)};
    if (mpp_producer_attach(j->mesh, &o, &j->producer, &err) < 0) {
        if (err.status == MPP_S_DONE) /* late: every consumer has finished */
            exit(MPP_S_DONE);
        cli_die(&err);
    }
    free(streams);
    j->index = (int)mpp_producer_index(j->producer);
    all_environment(j->r->mesh, (unsigned)j->index, mpp_mesh_producers(j->mesh));
    register_sources(j);
    take_shares(j);
    snprintf(who, sizeof who, "mpp-produce %d", j->index);
    if (j->r->progress)
        progress_start(&j->progress, who, total_size(j));
}

/* Whatever commands still run are ended; those that obey are gone at once, the others are killed after their grace. */
static void end_commands(job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++) {
        line *l = &j->lines[i];
        if (l->state != LINE_IDLE && l->state != LINE_STOPPING)
            stop_source(j, l->stream, 0);
    }
    for (unsigned i = 0; i < j->n_lines; i++)
        while (j->lines[i].state == LINE_STOPPING && !stop_piece(&j->lines[i])) {
            command *c = j->lines[i].piece->command;
            struct pollfd set = {.fd = c->pidfd, .events = POLLIN};
            int64_t left = command_kill_at(c) ? (command_kill_at(c) - mpp_now()) / 1000000 + 1 : -1;
            poll(&set, 1, left < 0 ? -1 : (int)left);
        }
}

static void summarize(const job *j)
{
    mpp_error err;
    summary_stream *streams = calloc(j->n_lines, sizeof *streams);
    for (unsigned i = 0; streams && i < j->n_lines; i++) {
        mpp_totals t;
        mpp_producer_totals(j->producer, j->lines[i].stream, &t);
        streams[i] = (summary_stream){j->lines[i].name, t.records, t.bytes, t.no_key};
    }
    summary s = {.tool = tool.name,
                 .mesh = j->r->mesh,
                 .role = "producer",
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
    for (unsigned i = 0; i < j->n_lines; i++) {
        mpp_totals t;
        mpp_producer_totals(j->producer, j->lines[i].stream, &t);
        if (t.no_key)
            cli_warn("producer %d: %llu records of stream '%s' lack a field of the key; it counts as empty", j->index,
                     (unsigned long long)t.no_key, j->lines[i].name);
    }
    if (j->signal)
        ; /* the shell says it */
    else if (j->failed && j->ours)
        cli_warn("producer %d: %s", j->index, j->error.text);
    else if (j->failed)
        cli_warn("%s", j->error.text);
    if (j->r->summary)
        summarize(j);
}

static void job_free(job *j)
{
    for (unsigned i = 0; i < j->n_lines; i++)
        input_destroy(&j->lines[i].in);
    mpp_mesh_close(&j->mesh);
    free(j->lines);
    streams_free(j->r);
}

/* The commands are told to end, then the mesh is left, so that nobody waits for a stubborn command, then they are
 * reaped. */
static int finish(job *j)
{
    int sig = j->signal;
    report(j);
    for (unsigned i = 0; i < j->n_lines; i++)
        if (j->lines[i].state != LINE_IDLE && j->lines[i].state != LINE_STOPPING)
            stop_source(j, j->lines[i].stream, 0);
    mpp_producer_detach(&j->producer);
    end_commands(j);
    job_free(j);
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
    request r = {.index = MPP_INDEX_ANY, .runs = 1, .attach_timeout = 30000, .ok = OK_DEFAULT};
    job j = {.r = &r, .index = -1, .progress = PROGRESS_INIT, .started = mpp_now()};
    mpp_error err;
    io_standard();
    parse(&r, argc, argv);
    open_mesh(&j);
    check_request(&r, j.mesh);
    make_lines(&j);
    if (signals_init(tool.name, &err) < 0)
        cli_die(&err);
    int index = r.index;
    if (r.all) {
        int status;
        unsigned n = mpp_mesh_producers(j.mesh);
        index = all_fork(n, &status);
        if (index < 0) {
            job_free(&j);
            return status;
        }
        mpp_mesh_close(&j.mesh);
        open_mesh(&j);
    }
    attach(&j, index);
    work(&j);
    return finish(&j);
}
