#include "produce/source.h"

#include "command/status.h"
#include "input/open.h"

#include <errno.h>
#include <stdio.h>

static line *line_of(job *j, unsigned stream)
{
    for (unsigned i = 0; i < j->who.n_streams; i++)
        if (j->lines[i].stream == stream)
            return &j->lines[i];
    return NULL;
}

int source_start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    line *l = line_of(arg, stream);
    if (run > 1 && input_rewind(l->in, err) < 0)
        return -1;
    l->piece = NULL;
    l->state = LINE_READING;
    return 0;
}

void source_stop(void *arg, unsigned stream, unsigned run)
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

static bool fail_read(job *j, line *l, const mpp_error *err)
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
        return fail_read(j, l, &err);
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

bool source_step(job *j, line *l)
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
