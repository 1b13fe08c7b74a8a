#include "consume/consume.h"

#include "common/io.h"
#include "common/signals.h"
#include "consume/blocks.h"
#include "consume/line.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Sinks that closed although their line has nothing to write just now. */
static void look_at_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        if (command_due(&j->sinks[i].command))
            sink_check(&j->sinks[i], &j->who.ok);
    for (unsigned i = 0; i < j->n_sinks; i++)
        if (j->sinks[i].state == SINK_BROKEN)
            participant_fail(&j->who, j->sinks[i].status, &j->sinks[i].error);
    for (unsigned i = 0; i < j->who.n_streams && !j->who.failed; i++)
        if (j->lines[i].state <= LINE_RUNNING && sink_closed(j->lines[i].sink))
            line_lose_sink(j, &j->lines[i]);
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

/* Every output is open, and nobody else writes it: commands are given theirs, and started.  false: something of all
 * this is still under way. */
static bool open_outputs(job *j)
{
    bool ready = true;
    for (unsigned i = 0; i < j->n_sinks; i++)
        ready &= j->sinks[i].state != SINK_OPENING;
    if (!ready || j->settled)
        return ready;
    j->settled = true;
    sink_settle(j->sinks, j->n_sinks);
    for (unsigned i = 0; i < j->n_sinks; i++)
        if (j->sinks[i].state == SINK_IDLE && !j->asked.lazy) {
            line_start_command(j, &j->sinks[i]);
            ready = false;
        }
    return ready;
}

static void begin_asking(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        sink_check(&j->sinks[i], &j->who.ok); /* for one that is closed by now nothing is asked */
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
static bool ask_when_ready(job *j)
{
    bool ready = true;
    if (j->asking)
        return true;
    if (j->who.barrier)
        ready = mpp_barrier(NULL, j->who.consumer) != MPP_WOULD_BLOCK;
    if (open_outputs(j) && ready)
        begin_asking(j);
    else
        give_up_in_time(j);
    return j->asking;
}

static bool all_ended(const job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_RUNNING || j->lines[i].state == LINE_WAITING || !sink_empty(j->lines[i].sink))
            return false;
    return true;
}

void consume_totals(const job *j, uint64_t *records, uint64_t *bytes)
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
    struct pollfd *set = calloc(SINK_WATCHED * j->n_sinks + BLOCKS_WATCHED + 2, sizeof *set);
    if (!set)
        return;
    unsigned n = 1;
    int64_t deadline = io_earlier(progress_next(&j->who.progress), j->asking ? 0 : j->give_up_at);
    set[0].fd = -1;
    for (unsigned i = 0; i < j->n_sinks; i++) {
        const sink *s = &j->sinks[i];
        const bool writes = s->state == SINK_OPENING || !sink_empty(s);
        n = watch_sink(s, set, n, writes && activity != MPP_WRITING_OUTPUT);
        if (writes)
            activity = MPP_WRITING_OUTPUT;
        deadline = io_earlier(deadline, s->state == SINK_OPEN ? s->linger_until : 0);
        deadline = io_earlier(deadline, command_deadline(&s->command));
    }
    if (j->blocks) {
        n += blocks_watch(j->blocks, set + n);
        deadline = io_earlier(deadline, blocks_deadline(j->blocks));
    }
    set[n++] = (struct pollfd){.fd = signals_fd(), .events = POLLIN};
    if (mpp_wait(NULL, j->who.consumer, activity, set, n, deadline) >= 0) /* also what is due by now is looked at */
        for (unsigned i = 0; i < j->n_sinks; i++)
            sink_check(&j->sinks[i], &j->who.ok);
    free(set);
}

void consume_stop_commands(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        command_stop(&j->sinks[i].command);
    if (j->blocks)
        command_stop(blocks_command(j->blocks));
}

/* SIGTERM behind a pipe that nobody reads is how a producer stops its command when its consumers have enough: then so
 * have we. */
static bool take_enough(job *j, int sig)
{
    bool abandoned = io_abandoned(STDOUT_FILENO);
    for (unsigned i = 0; i < j->n_sinks; i++)
        abandoned &= j->sinks[i].to_stdout; /* a file would not be whole */
    if (sig != SIGTERM || j->asked.strict || !abandoned)
        return false;
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state != LINE_DONE)
            line_enough(j, &j->lines[i]);
    consume_stop_commands(j);
    return true;
}

/* true: a signal ends us. */
static bool hear_signal(job *j)
{
    int sig = participant_signal(&j->who);
    if (!sig || j->who.told == signals_times())
        return false;
    const bool again = j->who.told != 0; /* who is told once more is not to wait for what still goes on */
    j->who.told = signals_times();
    if (again || !take_enough(j, sig))
        participant_interrupt(&j->who, sig);
    return true;
}

/* Interrupted or removed: what was published is not wanted any more. */
static bool take_final_cause(job *j)
{
    mpp_error cause;
    if (!j->who.failed && mpp_mesh_cause(j->who.mesh, &cause) && cause.final)
        participant_take_cause(&j->who);
    return j->who.failed;
}

static bool nobody_got_any(const job *j, const sink *s)
{
    bool empty = true;
    for (unsigned i = 0; i < j->who.n_streams; i++)
        empty &= j->lines[i].sink != s || mpp_run_empty(j->who.consumer, j->lines[i].stream);
    return empty;
}

/* A command whose streams have all ended sees the end of its input, whatever the other sinks do: one may wait for
 * another. */
static void end_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++) {
        bool done = sink_empty(&j->sinks[i]);
        for (unsigned k = 0; k < j->who.n_streams; k++)
            done &= j->lines[k].sink != &j->sinks[i] || j->lines[k].state == LINE_DONE;
        if (done && j->sinks[i].state == SINK_IDLE && nobody_got_any(j, &j->sinks[i]))
            line_start_command(j, &j->sinks[i]);
        if (done)
            sink_end(&j->sinks[i]);
    }
}

void consume(job *j)
{
    participant *w = &j->who;
    uint64_t records, bytes;
    while (!hear_signal(j) && !take_final_cause(j)) {
        look_at_sinks(j); /* first: what ends here may let the next one start */
        if (ask_when_ready(j))
            start_lines(j);
        bool moved = false;
        for (unsigned i = 0; i < w->n_streams && !w->failed; i++)
            moved |= (j->blocks ? blocks_step : line_step)(j, &j->lines[i]);
        end_sinks(j);
        if (all_ended(j))
            return;
        consume_totals(j, &records, &bytes);
        progress_update(&w->progress, records, bytes);
        if (!moved && !w->failed)
            wait_for_something(j, j->asking || !w->barrier ? MPP_COMPUTING : MPP_WAITING_PEERS);
    }
}

/* Wait until the sink has come to an end, of one kind or the other. */
static void await_sink(job *j, sink *s, bool (*over)(job *j, sink *s), mpp_activity activity)
{
    hear_signal(j); /* before we look: what comes later wakes us */
    while (!over(j, s) && !take_final_cause(j)) {
        wait_for_something(j, activity);
        hear_signal(j);
    }
    if (s->state == SINK_BROKEN)
        participant_fail(&j->who, s->status, &s->error);
}

/* The data has ended: it is closed, and its command has ended. */
static bool has_finished(job *j, sink *s)
{
    return sink_finish(s, &j->who.ok);
}

static bool has_name(job *j, sink *s)
{
    (void)j;
    return sink_named(s);
}

bool consume_any_gone(const job *j)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].state == LINE_GONE)
            return true;
    return false;
}

/* What was written is whole, and may have its name. */
static void name_outputs(job *j)
{
    for (unsigned i = 0; i < j->n_sinks; i++)
        sink_name(&j->sinks[i]);
    for (unsigned i = 0; i < j->n_sinks && !j->who.failed; i++)
        await_sink(j, &j->sinks[i], has_name, MPP_WRITING_OUTPUT);
}

void consume_finish_sinks(job *j)
{
    for (unsigned i = 0; i < j->n_sinks && !j->who.failed; i++)
        if (j->sinks[i].pump || !consume_any_gone(j))
            await_sink(j, &j->sinks[i], has_finished, j->sinks[i].pump ? MPP_WRITING_OUTPUT : MPP_WAITING_COMMAND);
    if (!j->who.failed && !consume_any_gone(j))
        name_outputs(j);
}
