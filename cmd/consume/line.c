#include "consume/line.h"

#include "common/cli.h"
#include "common/io.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void line_end(job *j, line *l, line_state state)
{
    if (l->batch.data)
        mpp_release(j->who.consumer, &l->batch);
    merge_destroy(&l->merge, j->who.consumer);
    turns_destroy(&l->turns, j->who.consumer);
    l->state = state;
}

void line_enough(job *j, line *l)
{
    if (l->state == LINE_WAITING)
        mpp_skip(j->who.consumer, l->stream);
    else
        mpp_cancel(j->who.consumer, l->stream);
    line_end(j, l, LINE_DONE);
}

void line_lose_sink(job *j, line *l)
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
    const int status = l->sink->has_command ? command_exit_status(&l->sink->command) : 0;
    if ((l->sink->has_command || j->blocks) && l->sink->to_stdout && io_abandoned(STDOUT_FILENO))
        ; /* what it would have written for nobody, nobody misses */
    else if (status > 0)
        cli_warn("consumer %d: '%s' exited with status %d (--ok-status) after %llu records, before its input ended",
                 w->index, l->sink->name, status, (unsigned long long)l->records);
    else if (w->of > 1)
        cli_warn("consumer %d: %s was closed after %llu records", w->index, l->sink->name,
                 (unsigned long long)l->records);
    line_enough(j, l);
}

void line_start_command(job *j, sink *s)
{
    mpp_error err;
    if (sink_start(s, &err) < 0)
        participant_fail(&j->who, (int)err.status, &err);
    else
        mpp_consumer_command(j->who.consumer, s->command.pid);
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

void line_fail_by_record(job *j, unsigned producer)
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

const unsigned char *line_empty_record(const line *l, size_t *n)
{
    static const unsigned char zeros[4];
    const mpp_format *f = &l->info->format;
    *n = f->kind == MPP_DELIMITED ? 1 : f->kind == MPP_FIXED ? 0 : sizeof zeros;
    return f->kind == MPP_DELIMITED ? &f->delimiter : zeros;
}

static void stage_empty(job *j, line *l, unsigned producer)
{
    size_t n;
    const unsigned char *record = line_empty_record(l, &n);
    if (n == 0)
        line_fail_by_record(j, producer);
    else
        stage_record(j, l, producer, record, n);
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
            line_fail_by_record(j, b->producer);
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

static bool note_outcome(job *j, line *l, mpp_outcome outcome)
{
    if (outcome == MPP_CLOSED)
        line_end(j, l, LINE_DONE);
    else if (outcome == MPP_GONE)
        line_end(j, l, LINE_GONE);
    return outcome != MPP_WOULD_BLOCK;
}

/* A ring has dropped records that we had not read.  What came before them has been delivered. */
static void note_lag(job *j, line *l)
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
        return note_outcome(j, l, outcome);
    if (l->batch.missed && l->info->buffer == MPP_RING)
        note_lag(j, l);
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
            return note_outcome(j, l, outcome) || moved;
        moved = true;
        if (len == 0)
            stage_empty(j, l, producer);
        else
            stage_record(j, l, producer, record, len);
    }
    return moved;
}

/* What is in records of each producer in turn, short ones together. */
static bool next_in_turn(job *j, line *l)
{
    enum { ENOUGH = 64 << 10 };
    const size_t prefix = l->info->format.kind == MPP_U32LE || l->info->format.kind == MPP_U32BE ? 4 : 0;
    const unsigned char *record;
    size_t len;
    unsigned producer;
    mpp_error err;
    bool moved = false;
    while (l->sink->staged_have < ENOUGH && !limit_reached(j, l)) {
        mpp_outcome outcome = turns_next(l->turns, j->who.consumer, &record, &len, &producer, &err);
        if (outcome == MPP_ERROR && moved)
            return true; /* it says so again when these are written */
        if (outcome == MPP_ERROR)
            participant_fail(&j->who, (int)err.status, &err);
        if (outcome != MPP_OK)
            return note_outcome(j, l, outcome) || moved;
        moved = true;
        l->records++;
        l->bytes += len;
        len -= len < prefix ? len : prefix;
        if (len >= ENOUGH) {
            sink_lend(l->sink, record + prefix, len);
            break;
        }
        unsigned char *at = len ? stage(j, l, len) : NULL;
        if (j->who.failed)
            return true;
        if (at)
            memcpy(at, record + prefix, len);
    }
    return moved;
}

bool line_step(job *j, line *l)
{
    l->blocked = false;
    if (l->state != LINE_RUNNING && sink_empty(l->sink))
        return false;
    if (!sink_write(l->sink, &j->who.ok)) {
        l->blocked = true;
        return false;
    }
    if (sink_closed(l->sink)) {
        if (l->state != LINE_DONE)
            line_lose_sink(j, l);
        return true;
    }
    if (l->batch.data)
        mpp_release(j->who.consumer, &l->batch);
    if (l->state != LINE_RUNNING)
        return true;
    if (limit_reached(j, l)) {
        line_enough(j, l);
        return true;
    }
    const bool moved = l->merge ? next_merged(j, l) : l->turns ? next_in_turn(j, l) : next_batch(j, l);
    if (l->sink->state == SINK_IDLE && !sink_empty(l->sink) && !j->who.failed)
        line_start_command(j, l->sink);
    return moved;
}
