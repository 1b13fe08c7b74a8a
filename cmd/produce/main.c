/* mpp-produce - feed one participant of a mesh */
#define CLI_OPTIONS "produce/mpp-produce.opt"
#include "command/status.h"
#include "common/signals.h"
#include "produce/input.h"
#include "run/participant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_tool tool = {
    .name = "mpp-produce",
    .synopsis = "[OPTION...] MESH [FILE...]\n[OPTION...] MESH -- COMMAND [ARG...]",
    .purpose = "Feed one producer of a mesh, from standard input, FILEs or a COMMAND, when a consumer asks.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* ---- what is asked for -------------------------------------------------------------------------- */

typedef struct request {
    participant *who;
    bool eager, slice, no_wait;
    unsigned part, parts; /* of --slice=K/N; parts 0: index of producers */
    input_by by;
    const char *files0_from, *filter;
    unsigned runs;
} request;

static void take(void *arg, const cli_option *option, const char *value)
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

/* ---- one stream's source ------------------------------------------------------------------------ */

typedef enum line_state {
    LINE_IDLE,     /* not asked, or ended */
    LINE_READING,  /* a piece is open, or the next is to be opened */
    LINE_REAPING,  /* its data has ended; its command has not */
    LINE_CLOSING,  /* the end of the piece waits for space */
    LINE_STOPPING, /* consumers have enough; the command is being ended */
} line_state;

typedef enum line_need { NEED_NOTHING, NEED_INPUT, NEED_READER, NEED_SPACE, NEED_COMMAND } line_need;

typedef struct line {
    unsigned stream;
    input *in;
    input_piece *piece;
    line_state state;
    line_need need;
    bool sliced; /* we take our share only */
} line;

typedef struct job {
    participant who;
    request asked;
    line *lines; /* one for each of who.streams */
} job;

static line *line_of(job *j, unsigned stream)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
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

/* A filter's failure is about a file. */
static void fail_command(job *j, const input_piece *piece)
{
    char text[COMMAND_TEXT_MAX + MPP_TEXT_MAX / 2];
    mpp_error err;
    const command *c = piece->command;
    command_status_text(c, text, sizeof text);
    if (j->asked.filter && piece->name != c->text)
        io_error(&err, 0, "%s on '%.200s' (--filter)", text, piece->name);
    else
        io_error(&err, 0, "%s", text);
    participant_fail(&j->who, command_failure(c), &err);
}

/* The piece has ended well: its last record gets its delimiter. */
static bool close_piece(job *j, line *l)
{
    mpp_error err;
    switch (mpp_fill_end(j->who.producer, l->stream, &err)) {
    case MPP_OK:
        l->piece = NULL;
        l->state = LINE_READING;
        return true;
    case MPP_WOULD_BLOCK:
        l->state = LINE_CLOSING;
        l->need = NEED_SPACE;
        return false;
    case MPP_ERROR:
        participant_fail_text(&j->who, MPP_S_ERROR, "%.160s: %.300s", l->piece->name, err.text);
        return false;
    case MPP_CLOSED:
    case MPP_GONE:
        break;
    }
    return false;
}

/* Has it ended because it was at its end? */
static bool end_piece(job *j, line *l)
{
    mpp_error err;
    const int ended = input_ended(l->in, &err);
    if (ended == 0)
        return close_piece(j, l);
    if (ended < 0) {
        participant_fail(&j->who, MPP_S_ERROR, &err);
    } else {
        l->state = LINE_REAPING;
        l->need = NEED_READER;
    }
    return false;
}

/* The data of the piece has ended: how did the command behind it end? */
static bool reap_piece(job *j, line *l)
{
    command *c = l->piece->command;
    if (!c)
        return end_piece(j, l);
    if (!command_reap(c)) {
        l->state = LINE_REAPING;
        l->need = NEED_COMMAND;
        return false;
    }
    if (command_ok(c, &j->who.ok))
        return end_piece(j, l);
    fail_command(j, l->piece);
    return false;
}

static bool read_failed(job *j, line *l, const mpp_error *err)
{
    if (err->os_error == EAGAIN)
        l->need = NEED_INPUT;
    else if (err->status == MPP_S_CORRUPT) /* it was not the input that failed */
        participant_fail(&j->who, MPP_S_CORRUPT, err);
    else
        participant_fail_text(&j->who, MPP_S_ERROR, "%.160s: %.300s", l->piece->name, err->text);
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
    switch (mpp_fill(j->who.producer, l->stream, l->piece->io.fd, limit, &n, &err)) {
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
    input_piece *piece;
    switch (input_open_next(l->in, &piece, &err)) {
    case INPUT_OPENED:
        l->piece = piece;
        mpp_producer_command(j->who.producer, piece->command ? piece->command->pid : 0);
        return true;
    case INPUT_OPENING:
        l->need = NEED_READER;
        return false;
    case INPUT_NONE:
        l->state = LINE_IDLE;
        mpp_end(j->who.producer, l->stream);
        return true;
    case INPUT_FAILED:
        break;
    }
    participant_fail(&j->who, MPP_S_ERROR, &err);
    return false;
}

static bool stop_piece(line *l)
{
    command *c = l->piece->command;
    if (command_reap(c)) {
        l->state = LINE_IDLE;
        l->piece = NULL;
        return true;
    }
    l->need = NEED_COMMAND;
    return false;
}

/* It may want the terminal; and it is given up when it cannot have that and does not end. */
static void attend_command(job *j, const line *l)
{
    command *c = l->piece ? l->piece->command : NULL;
    if (!c || !command_due(c))
        return;
    command_attend(c);
    if (c->ended && l->state != LINE_STOPPING)
        fail_command(j, l->piece);
}

/* Whatever the line can do without waiting, some of it. */
static bool step(job *j, line *l)
{
    enum { READS = 16 }; /* before consumers are listened to again */
    bool moved = false;
    l->need = NEED_NOTHING;
    attend_command(j, l);
    for (unsigned i = 0; i < READS && !j->who.failed; i++) {
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
        if (!went_on)
            return moved;
        moved = true;
    }
    return moved;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void totals(const job *j, uint64_t *records, uint64_t *bytes)
{
    *records = *bytes = 0;
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        mpp_totals t;
        mpp_producer_totals(j->who.producer, j->lines[i].stream, &t);
        *records += t.records;
        *bytes += t.bytes;
    }
}

/* Sleep until one of the lines, a consumer, or a signal has something for us. */
static void wait_for_something(job *j)
{
    struct pollfd *set = calloc(j->who.n_streams + 1, sizeof *set);
    if (!set)
        return;
    unsigned n = 0;
    mpp_activity activity = MPP_COMPUTING;
    int64_t deadline = progress_next(&j->who.progress);
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        line *l = &j->lines[i];
        if (l->need == NEED_INPUT || l->need == NEED_READER) {
            const int fd = l->need == NEED_INPUT ? l->piece->io.fd : input_fd(l->in);
            set[n] = (struct pollfd){.fd = fd, .events = POLLIN};
            participant_first(set, n++, activity != MPP_READING_INPUT);
            activity = MPP_READING_INPUT;
        } else if (l->need == NEED_COMMAND) {
            activity = activity == MPP_COMPUTING ? MPP_WAITING_COMMAND : activity;
        }
        if (l->piece && l->piece->command)
            deadline = participant_earlier(deadline, command_deadline(l->piece->command));
    }
    set[n++] = (struct pollfd){.fd = signals_fd(), .events = POLLIN};
    mpp_wait(j->who.producer, NULL, activity, set, n, deadline);
    free(set);
}

static bool busy(const job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_STOPPING)
            return true;
    return false;
}

static void draw_progress(job *j)
{
    uint64_t records, bytes;
    totals(j, &records, &bytes);
    progress_update(&j->who.progress, records, bytes);
}

static void work(job *j)
{
    participant *w = &j->who;
    participant_barrier(w);
    while (!w->failed) {
        const int sig = participant_signal(w);
        if (sig) {
            signals_forward(sig);
            participant_interrupted(w, sig);
            return;
        }
        mpp_outcome outcome = mpp_service(w->producer);
        if (outcome == MPP_GONE) {
            participant_gone(w);
            return;
        }
        bool moved = false;
        for (unsigned i = 0; i < w->n_streams && !w->failed; i++)
            moved |= step(j, &j->lines[i]);
        if (outcome == MPP_CLOSED && !moved && !busy(j))
            return;
        draw_progress(j);
        if (!moved && !w->failed)
            wait_for_something(j);
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
        mpp_source source = {.start = start_source, .stop = stop_source, .arg = j};
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
    static char who[32];
    participant_attach(&j->who, j->asked.runs, label(j));
    register_sources(j);
    take_shares(j);
    snprintf(who, sizeof who, "mpp-produce %d", j->who.index);
    if (j->who.show_progress)
        progress_start(&j->who.progress, who, total_size(j));
}

/* ---- end ---------------------------------------------------------------------------------------- */

/* Tell the commands that still run to end. */
static void stop_commands(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state != LINE_IDLE && j->lines[i].state != LINE_STOPPING)
            stop_source(j, j->lines[i].stream, 0);
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
        if (streams[i].dropped)
            cli_warn("producer %d: %llu records of stream '%s' were dropped: they found no room (--no-wait)", w->index,
                     (unsigned long long)streams[i].dropped, w->streams[i].name);
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
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take, &j.asked, &j.who.rest);
    participant_open(&j.who, "source");
    make_lines(&j);
    if (participant_fork(&j.who)) {
        attach(&j);
        work(&j);
        finish(&j);
    }
    job_free(&j);
    if (j.who.signal)
        signals_die(j.who.signal);
    return j.who.status;
}
