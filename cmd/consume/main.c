/* mpp-consume - drain one participant of a mesh */
#define CLI_OPTIONS "consume/mpp-consume.opt"
#include "common/signals.h"
#include "consume/merge.h"
#include "consume/sink.h"
#include "run/participant.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_tool tool = {
    .name = "mpp-consume",
    .synopsis = "[OPTION...] MESH [-- COMMAND [ARG...]]",
    .purpose = "Drain one consumer of a mesh to standard output, a file, or a COMMAND's standard input.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* ---- what is asked for -------------------------------------------------------------------------- */

typedef struct request {
    participant *who;
    bool tag, sequential, merge, stable, strict, fail_on_lag;
    const char *output;
    uint64_t max_records; /* UINT64_MAX: all */
} request;

static void take(void *arg, const cli_option *option, const char *value)
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
    uint64_t missed; /* dropped by a ring before we read them ... */
    unsigned lags;   /* ... in so many places */
} line;

typedef struct job {
    participant who;
    request asked;
    line *lines; /* one for each of who.streams */
    sink *sinks;
    unsigned n_sinks;
    bool asking;        /* every output is open */
    int64_t give_up_at; /* the mesh has failed before; 0: it has not */
    bool counting;
} job;

static void line_end(job *j, line *l, line_state state)
{
    if (l->batch.data)
        mpp_release(j->who.consumer, &l->batch);
    merge_destroy(&l->merge, j->who.consumer);
    l->state = state;
}

/* This stream has had enough. */
static void enough(job *j, line *l)
{
    mpp_cancel(j->who.consumer, l->stream);
    line_end(j, l, LINE_DONE);
}

/* The sink's reader has gone, or its command has ended before the data did. */
static void sink_closed(job *j, line *l)
{
    participant *w = &j->who;
    mpp_error cause;
    if (l->sink->state == SINK_BROKEN) {
        participant_fail(w, l->sink->status, &l->sink->error);
        return;
    }
    if (j->asked.strict) {
        participant_fail_text(w, MPP_S_ERROR,
                              "%.300s was closed after %llu records, before the stream ended (--strict)", l->sink->name,
                              (unsigned long long)l->records);
        return;
    }
    if (mpp_mesh_cause(w->mesh, &cause)) {
        line_end(j, l, LINE_GONE); /* upstream has failed before it was asked to stop */
        return;
    }
    if (w->of > 1)
        cli_warn("consumer %d: %s was closed after %llu records", w->index, l->sink->name,
                 (unsigned long long)l->records);
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
    participant_fail_text(&j->who, MPP_S_CORRUPT, "what producer %u sent is not a whole record", producer);
}

/* Room for n bytes, or NULL: it failed. */
static unsigned char *stage(job *j, line *l, size_t n)
{
    unsigned char *at = sink_stage(l->sink, n);
    if (!at)
        participant_fail_text(&j->who, MPP_S_ERROR, "no memory for a batch of records");
    return at;
}

/* "3\t" in front of a record; for prefixed formats it is part of the record. */
static bool stage_tagged(job *j, line *l, unsigned producer, const unsigned char *record, size_t len)
{
    char tag[8];
    size_t n = (size_t)snprintf(tag, sizeof tag, "%u\t", producer);
    size_t head = l->info->format.kind == MPP_U32LE || l->info->format.kind == MPP_U32BE ? 4 : 0;
    unsigned char *at = stage(j, l, len + n);
    if (!at)
        return false;
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
    if (j->asked.tag)
        return stage_tagged(j, l, producer, record, len);
    unsigned char *at = stage(j, l, len);
    if (!at)
        return false;
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
    return l->records >= j->asked.max_records;
}

static void stage_batch(job *j, line *l)
{
    const mpp_batch *b = &l->batch;
    uint64_t max = mpp_mesh_max_record(j->who.mesh);
    for (size_t at = 0, len; at < b->len && !limit_reached(j, l) && !j->who.failed; at += len) {
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
    if (j->asked.max_records != UINT64_MAX)
        len = first_records(l, mpp_mesh_max_record(j->who.mesh), b->data, len, j->asked.max_records - l->records,
                            &records);
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

/* A ring has dropped records that we had not read.  What came before them has been delivered. */
static void lagged(job *j, line *l)
{
    const mpp_batch *b = &l->batch;
    l->missed += b->missed;
    l->lags++;
    if (j->asked.fail_on_lag)
        participant_fail_text(&j->who, MPP_S_ERROR,
                              "stream '%s': the ring dropped %llu records of producer %u before they were read "
                              "(--fail-on-lag)",
                              l->info->name, (unsigned long long)b->missed, b->producer);
    else if (l->lags == 1)
        cli_warn(
            "consumer %d: stream '%s': the ring dropped %llu records of producer %u before they were read; a larger "
            "--ring-size gives a reader more time",
            j->who.index, l->info->name, (unsigned long long)b->missed, b->producer);
}

/* The next batch to the sink.  false: there is nothing now. */
static bool next_batch(job *j, line *l)
{
    mpp_outcome outcome = mpp_next(j->who.consumer, l->stream, MPP_PRODUCER_ANY, &l->batch);
    if (outcome != MPP_OK)
        return source_ended(j, l, outcome);
    if (l->batch.missed && l->info->buffer == MPP_RING)
        lagged(j, l);
    if (j->who.failed)
        return true;
    if (l->batch.len == 0)
        stage_empty(j, l, l->batch.producer);
    else if (j->asked.tag)
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
    while (l->sink->staged_have < ENOUGH && !limit_reached(j, l) && !j->who.failed) {
        mpp_outcome outcome = merge_next(l->merge, j->who.consumer, &record, &len, &producer, &err);
        if (outcome == MPP_ERROR)
            participant_fail(&j->who, (int)err.status, &err);
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
    if (!sink_write(l->sink, &j->who.ok)) {
        l->blocked = true;
        return false;
    }
    if (l->sink->state != SINK_OPEN) {
        if (l->state != LINE_DONE)
            sink_closed(j, l);
        return true;
    }
    if (l->batch.data && !l->merge)
        mpp_release(j->who.consumer, &l->batch);
    if (l->state != LINE_RUNNING)
        return true;
    if (limit_reached(j, l)) {
        enough(j, l);
        return true;
    }
    return l->merge ? next_merged(j, l) : next_batch(j, l);
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static bool closed(const sink *s)
{
    return s->state == SINK_CLOSED_BY_READER || s->state == SINK_BROKEN;
}

/* Sinks that closed although their line has nothing to write just now. */
static void look_at_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        if (command_due(&j->sinks[i].command))
            sink_look(&j->sinks[i], &j->who.ok);
    for (unsigned i = 0; i < j->n_sinks; i++)
        if (j->sinks[i].state == SINK_BROKEN)
            participant_fail(&j->who, j->sinks[i].status, &j->sinks[i].error);
    for (unsigned i = 0; i < j->who.n_streams && !j->who.failed; i++)
        if (j->lines[i].state <= LINE_RUNNING && closed(j->lines[i].sink))
            sink_closed(j, &j->lines[i]);
}

/* Nothing more will be asked for: the mesh has failed. */
static void give_up_lines(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_WAITING)
            line_end(j, &j->lines[i], LINE_GONE);
}

static void start_lines(job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        line *l = &j->lines[i];
        if (l->state == LINE_WAITING) {
            mpp_outcome outcome = mpp_start(j->who.consumer, l->stream);
            l->state = outcome == MPP_OK ? LINE_RUNNING : outcome == MPP_GONE ? LINE_GONE : LINE_WAITING;
        }
        if (j->asked.sequential && l->state == LINE_GONE)
            give_up_lines(j); /* those behind it wait for an end that does not come */
        if (j->asked.sequential && l->state != LINE_DONE)
            return;
    }
}

static void begin_asking(job *j)
{
    sink_settle(j->sinks, j->n_sinks);
    for (unsigned i = 0; i < j->n_sinks; i++)
        sink_look(&j->sinks[i], &j->who.ok); /* for one that is closed by now nothing is asked */
    look_at_sinks(j);
    j->asking = true;
}

/* The mesh has failed.  What was published before is ours, so an output that opens without waiting for anybody gets the
 * time to, on a busy machine too; not so one that a file system, or a FIFO's reader, keeps waiting. */
static void give_up_in_time(job *j)
{
    mpp_error cause;
    bool unread = false;
    if (!mpp_mesh_cause(j->who.mesh, &cause))
        return;
    for (unsigned i = 0; i < j->n_sinks; i++)
        unread |= sink_unread(&j->sinks[i]);
    if (!j->give_up_at)
        j->give_up_at = mpp_now() + INT64_C(1000000000);
    if (unread || mpp_now() >= j->give_up_at)
        give_up_lines(j);
}

/* May we ask?  Not before every output is open, so that producers have nothing to do for one that never will be, nor,
 * with --barrier, before everybody is there. */
static bool may_ask(job *j)
{
    bool ready = true;
    if (j->asking)
        return true;
    if (j->who.barrier)
        ready = mpp_barrier(NULL, j->who.consumer) != MPP_WOULD_BLOCK;
    for (unsigned i = 0; i < j->n_sinks; i++)
        ready &= j->sinks[i].state != SINK_OPENING;
    if (ready)
        begin_asking(j);
    else
        give_up_in_time(j);
    return ready;
}

static bool all_ended(const job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_RUNNING || j->lines[i].state == LINE_WAITING || !sink_empty(j->lines[i].sink))
            return false;
    return true;
}

static void totals(const job *j, uint64_t *records, uint64_t *bytes)
{
    *records = *bytes = 0;
    for (unsigned i = 0; i < j->who.n_streams; i++) {
        *records += j->lines[i].records;
        *bytes += j->lines[i].bytes;
    }
}

/* What is published as the descriptor that we write to stands first, and is -1 where there is none to poll. */
static unsigned watch_sink(const sink *s, struct pollfd *set, unsigned n, bool published)
{
    const unsigned more = sink_watch(s, set + n);
    if (more && published) {
        set[0] = set[n];
        set[n].fd = -1;
    }
    return n + more;
}

/* Sleep until data, space in an output, the end of a command, or a signal.  An output is watched for its reader's going
 * also when there is nothing to write. */
static void wait_for_something(job *j, mpp_activity activity)
{
    struct pollfd *set = calloc(SINK_WATCHED * j->n_sinks + 2, sizeof *set);
    if (!set)
        return;
    unsigned n = 1;
    int64_t deadline = participant_earlier(progress_next(&j->who.progress), j->asking ? 0 : j->give_up_at);
    set[0].fd = -1;
    for (unsigned i = 0; i < j->n_sinks; i++) {
        const sink *s = &j->sinks[i];
        const bool writes = s->state == SINK_OPENING || !sink_empty(s);
        n = watch_sink(s, set, n, writes && activity != MPP_WRITING_OUTPUT);
        if (writes)
            activity = MPP_WRITING_OUTPUT;
        deadline = participant_earlier(deadline, s->state == SINK_OPEN ? s->linger_until : 0);
        deadline = participant_earlier(deadline, command_deadline(&s->command));
    }
    set[n++] = (struct pollfd){.fd = signals_fd(), .events = POLLIN};
    if (mpp_wait(NULL, j->who.consumer, activity, set, n, deadline) >= 0) /* also what is due by now is looked at */
        for (unsigned i = 0; i < j->n_sinks; i++)
            sink_look(&j->sinks[i], &j->who.ok);
    free(set);
}

/* SIGTERM behind a pipe that nobody reads is how a producer stops its command when its consumers have enough: then so
 * have we. */
static bool told_enough(job *j, int sig)
{
    if (sig != SIGTERM || j->asked.strict || !io_abandoned(STDOUT_FILENO))
        return false;
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state != LINE_DONE)
            enough(j, &j->lines[i]);
    for (unsigned i = 0; i < j->n_sinks; i++)
        command_stop(&j->sinks[i].command);
    return true;
}

/* true: a signal ends us. */
static bool heard_signal(job *j)
{
    int sig = participant_signal(&j->who);
    if (!sig || j->who.told == signals_times())
        return false;
    const bool again = j->who.told != 0; /* who is told once more is not to wait for what still goes on */
    j->who.told = signals_times();
    if (again || !told_enough(j, sig))
        participant_interrupted(&j->who, sig);
    return true;
}

/* Interrupted or removed: what was published is not wanted any more. */
static bool called_off(job *j)
{
    mpp_error cause;
    if (!j->who.failed && mpp_mesh_cause(j->who.mesh, &cause) && cause.final)
        participant_gone(&j->who);
    return j->who.failed;
}

/* A command whose streams have all ended sees the end of its input, whatever the other sinks do: one may wait for
 * another. */
static void end_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++) {
        bool done = sink_empty(&j->sinks[i]);
        for (unsigned k = 0; k < j->who.n_streams; k++)
            done &= j->lines[k].sink != &j->sinks[i] || j->lines[k].state == LINE_DONE;
        if (done)
            sink_end(&j->sinks[i]);
    }
}

static void work(job *j)
{
    participant *w = &j->who;
    uint64_t records, bytes;
    while (!heard_signal(j) && !called_off(j)) {
        look_at_sinks(j); /* first: what ends here may let the next one start */
        if (may_ask(j))
            start_lines(j);
        bool moved = false;
        for (unsigned i = 0; i < w->n_streams && !w->failed; i++)
            moved |= step(j, &j->lines[i]);
        end_sinks(j);
        if (all_ended(j))
            return;
        totals(j, &records, &bytes);
        progress_update(&w->progress, records, bytes);
        if (!moved && !w->failed)
            wait_for_something(j, j->asking || !w->barrier ? MPP_COMPUTING : MPP_WAITING_PEERS);
    }
}

/* The data has ended: close the sinks, and wait for their commands. */
static void finish_sink(job *j, sink *s)
{
    heard_signal(j); /* before we look at the command: what comes later wakes us */
    while (!sink_finish(s, &j->who.ok) && !called_off(j)) {
        wait_for_something(j, s->pump ? MPP_WRITING_OUTPUT : MPP_WAITING_COMMAND);
        heard_signal(j);
    }
    if (s->state == SINK_BROKEN)
        participant_fail(&j->who, s->status, &s->error);
}

static bool any_gone(const job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_GONE)
            return true;
    return false;
}

/* Where upstream has failed, commands do not see an end; but what was published before is written. */
static void finish_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks && !j->who.failed; i++)
        if (j->sinks[i].pump || !any_gone(j))
            finish_sink(j, &j->sinks[i]);
}

/* ---- beginning ---------------------------------------------------------------------------------- */

static int open_sink(const job *j, const named_stream *s, sink *out, mpp_error *err)
{
    const cli_rest *rest = &j->who.rest;
    if (s->other && s->other[0] == '|')
        return sink_open_command(out, NULL, s->other + 1, err);
    if (s->other)
        return sink_open_file(out, s->other, err);
    if (rest->command)
        return sink_open_command(out, rest->command, NULL, err);
    return j->asked.output ? sink_open_file(out, j->asked.output, err) : sink_open_stdout(out, err);
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
        if (out->has_command)
            mpp_consumer_command(w->consumer, out->command.pid);
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

static void check_request(const job *j)
{
    const participant *w = &j->who;
    bool shared = false, ring = false;
    if (w->rest.n > 1)
        cli_usage("one MESH only, and '%s' is too many; a command stands behind --", w->rest.operands[1]);
    if (w->rest.command && j->asked.output)
        cli_usage("the records go to --output or to a COMMAND, not to both");
    for (unsigned i = 0; i < w->n_streams; i++) {
        shared |= !w->streams[i].other;
        const mpp_stream_info *info = mpp_mesh_stream(w->mesh, w->streams[i].number);
        ring |= info->buffer == MPP_RING;
        if (j->asked.tag && info->format.kind == MPP_FIXED)
            cli_usage("--tag makes records longer, and those of stream '%s' are of fixed size", info->name);
        if (j->asked.merge && info->buffer != MPP_BOUNDED)
            cli_usage("--merge waits for every producer, and the buffer of stream '%s' (%s) waits for nobody",
                      info->name, mpp_buffer_text(info->buffer));
    }
    if (j->asked.merge && !j->asked.sequential)
        check_merge(w);
    if (j->asked.stable && !j->asked.merge)
        cli_usage("--stable is for --merge");
    if (j->asked.fail_on_lag && !ring)
        cli_usage("--fail-on-lag: no ring can drop records here; see mpp-create --buffer");
    if (!shared && j->asked.output)
        cli_usage("every --stream has a target of its own: nothing is left for --output");
    for (unsigned i = 0; i < w->n_streams; i++)
        if (w->all && w->of > 1 && w->streams[i].other && w->streams[i].other[0] != '|')
            cli_usage("--all: %u processes would write the same '%s'; write --stream %s='|cat > FILE.$MPP_INDEX'",
                      w->of, w->streams[i].other, w->streams[i].name);
    if (w->all && w->of > 1 && !w->rest.command && shared)
        cli_usage("--all: %u processes would mix their records in one output; give each a COMMAND, as in -- sh -c "
                  "'cat > out.$MPP_INDEX'",
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
    static char who[32];
    participant *w = &j->who;
    participant_attach(w, 1, label(j));
    j->counting = w->show_progress || w->summarize || j->asked.strict || w->of > 1;
    make_lines(j);
    open_sinks(j);
    snprintf(who, sizeof who, "mpp-consume %d", w->index);
    if (w->show_progress)
        progress_start(&w->progress, who, -1);
}

/* ---- end ---------------------------------------------------------------------------------------- */

static void report(job *j)
{
    participant *w = &j->who;
    uint64_t records, bytes;
    summary_stream *streams = calloc(w->n_streams, sizeof *streams);
    if (!streams)
        return;
    totals(j, &records, &bytes);
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
        finish_sinks(j);
    if (any_gone(j))
        participant_gone(w);
    for (unsigned i = 0; w->failed && i < j->n_sinks; i++)
        command_stop(&j->sinks[i].command);
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
    free(j->sinks);
    free(j->lines);
    participant_close(&j->who);
}

int main(int argc, char **argv)
{
    job j = {.who = PARTICIPANT_INIT(CONSUMER, &tool), .asked = {.who = &j.who, .max_records = UINT64_MAX}};
    io_standard();
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take, &j.asked, &j.who.rest);
    participant_open(&j.who, "target");
    check_request(&j);
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
