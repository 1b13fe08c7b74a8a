#include "consume/blocks.h"

#include "common/text.h"
#include "consume/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PREFIX = 4, PIECE = 64 << 10 };

struct blocks {
    uint64_t size;
    sink work;    /* the command's standard input, while one runs */
    bool running; /* one does */
    bool whole;   /* its input is */
    bool last;    /* there is no block behind it */
    uint64_t number, fed;
    size_t at; /* what of the line's batch it has been given */
    int from;  /* what it prints; -1: that has ended */
    unsigned char *printed;
    size_t have, room; /* the prefix is counted */
};

blocks *blocks_create(uint64_t size)
{
    blocks *b = malloc(sizeof *b);
    if (b)
        *b = (blocks){.size = size, .from = -1, .work = {.command = COMMAND_INIT}};
    return b;
}

static void close_output(blocks *b)
{
    if (b->from >= 0)
        close(b->from);
    b->from = -1;
}

void blocks_destroy(blocks **bp)
{
    blocks *b = *bp;
    *bp = NULL;
    if (!b)
        return;
    sink_abort(&b->work);
    sink_free(&b->work);
    close_output(b);
    free(b->printed);
    free(b);
}

unsigned blocks_watch(const blocks *b, struct pollfd set[BLOCKS_WATCHED])
{
    unsigned n = b->running ? sink_watch(&b->work, set) : 0;
    if (b->from >= 0)
        set[n++] = (struct pollfd){.fd = b->from, .events = POLLIN};
    return n;
}

int64_t blocks_deadline(const blocks *b)
{
    const int64_t lingers = b->work.state == SINK_OPEN ? b->work.linger_until : 0;
    return b->running ? io_earlier(command_deadline(&b->work.command), lingers) : 0;
}

command *blocks_command(blocks *b)
{
    return &b->work.command;
}

static void fail(job *j, const mpp_error *err, int status)
{
    mpp_error whole = *err;
    text_line text = {.at = whole.text, .size = sizeof whole.text};
    text_add(&text, "block %llu: %s", (unsigned long long)j->blocks->number, err->text);
    participant_fail(&j->who, status, &whole);
}

static void fail_by_call(job *j, const char *what)
{
    mpp_error err;
    io_error(&err, errno, "%s", what);
    fail(j, &err, MPP_S_ERROR);
}

/* ---- its beginning ------------------------------------------------------------------------------- */

static void begin(job *j)
{
    blocks *b = j->blocks;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        fail_by_call(j, "cannot start a command");
        return;
    }
    io_enlarge(ends[0]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* each end of a new pipe is a description of its own */
    sink_open_command(&b->work, j->who.rest.command, NULL);
    b->work.command.output = ends[1];
    b->from = ends[0];
    b->have = PREFIX;
    b->fed = 0;
    b->whole = false;
    b->running = true;
    line_start_command(j, &b->work);
}

/* ---- what it reads ------------------------------------------------------------------------------- */

/* How many of the n bytes belong to the block, and whether it is whole with them.  0: they are no whole records. */
static size_t share_of_block(const job *j, const line *l, const unsigned char *data, size_t n, bool *whole)
{
    const blocks *b = j->blocks;
    size_t at = 0, len;
    *whole = b->fed + n >= b->size;
    if (!*whole)
        return n;
    while (at < n && b->fed + at < b->size) {
        if (mpp_record_next(&l->info->format, mpp_mesh_max_record(j->who.mesh), data + at, n - at, &len) != MPP_OK)
            return 0;
        at += len;
    }
    return at;
}

static void feed(job *j, line *l)
{
    blocks *b = j->blocks;
    size_t of_batch = l->batch.len;
    bool whole;
    if (!b->running)
        begin(j);
    if (j->who.failed)
        return;
    const unsigned char *data = of_batch ? l->batch.data + b->at : line_empty_record(l, &of_batch);
    const size_t n = share_of_block(j, l, data, of_batch - b->at, &whole);
    if (n == 0) {
        line_fail_by_record(j, l->batch.producer);
        return;
    }
    if (!sink_closed(&b->work))
        sink_lend(&b->work, data, n);
    if (j->counting)
        l->records += mpp_record_count(&l->info->format, data, n);
    l->bytes += n;
    b->at += n;
    b->fed += n;
    b->whole = whole;
}

/* A batch to feed it from.  false: there is none now. */
static bool next_batch(job *j, line *l)
{
    blocks *b = j->blocks;
    if (l->batch.data && b->at < l->batch.len)
        return true;
    if (l->batch.data)
        mpp_release(j->who.consumer, &l->batch);
    b->at = 0;
    const mpp_outcome outcome = mpp_next(j->who.consumer, l->stream, MPP_PRODUCER_ANY, &l->batch);
    if (outcome == MPP_GONE)
        line_end(j, l, LINE_GONE); /* the command does not see an end that is none */
    if (outcome != MPP_CLOSED)
        return outcome == MPP_OK;
    b->last = true;
    if (!b->running && b->number == 0 && mpp_run_empty(j->who.consumer, l->stream))
        begin(j); /* where nobody has anything, one reads nothing */
    b->whole = true;
    return false;
}

/* ---- what it prints ------------------------------------------------------------------------------ */

static bool make_room(blocks *b)
{
    if (b->room >= b->have + PIECE)
        return true;
    const size_t room = (b->have + PIECE) * 2;
    unsigned char *bigger = realloc(b->printed, room);
    if (!bigger)
        return false;
    b->printed = bigger;
    b->room = room;
    return true;
}

/* All that there is.  false: there was nothing. */
static bool collect(job *j)
{
    blocks *b = j->blocks;
    const uint64_t longest = mpp_mesh_max_record(j->who.mesh), max = longest < UINT32_MAX ? longest : UINT32_MAX;
    bool moved = false;
    while (b->from >= 0) {
        if (!make_room(b)) {
            errno = ENOMEM;
            fail_by_call(j, "cannot keep what its command prints");
            return true;
        }
        const ssize_t n = read(b->from, b->printed + b->have, b->room - b->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return moved;
        if (n < 0)
            fail_by_call(j, "cannot read what its command prints");
        if (n <= 0)
            close_output(b);
        moved = true;
        b->have += n > 0 ? (size_t)n : 0;
        if (b->have - PREFIX > max) {
            mpp_error err = {.status = MPP_S_ERROR};
            snprintf(
                err.text, sizeof err.text,
                "its command prints more than %llu bytes, which is as long as a record may be: make mesh '%s' with a "
                "larger --max-record (up to 4G), or smaller blocks",
                (unsigned long long)max, j->who.id);
            fail(j, &err, MPP_S_ERROR);
            return true;
        }
    }
    return moved;
}

/* Its command has ended, and so has what it prints: a record. */
static void hand_on(job *j, line *l)
{
    blocks *b = j->blocks;
    const uint32_t n = (uint32_t)(b->have - PREFIX);
    for (unsigned i = 0; i < PREFIX; i++)
        b->printed[i] = (unsigned char)(n >> 8 * i);
    sink_lend(l->sink, b->printed, b->have);
    b->running = b->whole = false;
    b->number++;
}

/* true: it has ended. */
static bool end_block(job *j, line *l)
{
    blocks *b = j->blocks;
    if (!b->whole || !sink_empty(&b->work) || b->work.state == SINK_OPENING)
        return false;
    sink_end(&b->work);
    if (b->from >= 0 || !sink_finish(&b->work, &j->who.ok))
        return false;
    if (b->work.state == SINK_BROKEN)
        fail(j, &b->work.error, b->work.status);
    else
        hand_on(j, l);
    return true;
}

bool blocks_step(job *j, line *l)
{
    blocks *b = j->blocks;
    const ok_list *ok = &j->who.ok;
    if (!sink_write(l->sink, ok))
        return false;
    if (sink_closed(l->sink) && l->state == LINE_RUNNING) {
        line_lose_sink(j, l);
        command_stop(&b->work.command);
        return true;
    }
    if (l->state != LINE_RUNNING)
        return false;
    const bool was_last = b->last;
    bool moved = false;
    if (b->running) {
        moved = collect(j);
        sink_check(&b->work, ok);
        const bool full = !sink_empty(&b->work);
        moved |= sink_write(&b->work, ok) && full;
        if (b->work.state == SINK_BROKEN)
            fail(j, &b->work.error, b->work.status);
        if (!j->who.failed && end_block(j, l))
            return true;
    }
    if (!j->who.failed && !b->whole && (!b->running || sink_empty(&b->work)) && !b->last && next_batch(j, l)) {
        feed(j, l);
        moved = true;
    }
    moved |= b->last && !was_last; /* the end of its input may be all that a command waits for */
    if (b->last && !b->running && l->state == LINE_RUNNING) {
        line_end(j, l, LINE_DONE);
        return true;
    }
    return moved;
}
