#include "input/open.h"

#include "command/spawn.h"
#include "input/file.h"
#include "input/inside.h"
#include "input/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char standard_input[] = "standard input";

/* ---- in the reader ------------------------------------------------------------------------------ */

/* A FIFO that has a name may have no writer yet, which a filter would take for the end of its input. */
static bool is_named_fifo(int fd, const struct stat *st)
{
    struct statfs fs;
    return S_ISFIFO(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type != PIPEFS_MAGIC;
}

static int prepare_file(const input *in, const item *it, const struct stat *st, reader_file *f, mpp_error *err)
{
    const bool filtered = in->options.filter;
    const bool sleeps = file_sleeps(f->io.fd, st);
    if (in->options.slice && (share_check(it, st, sleeps, err) < 0 || share_seek(in, it, f, err) < 0))
        return -1;
    if (filtered && is_named_fifo(f->io.fd, st))
        return io_error(err, 0, "'%s' is a FIFO, which --filter cannot take; use: -- sh -c 'FILTER < FIFO'", it->name);
    f->copied = sleeps || (filtered && f->left >= 0);
    return 0;
}

static int open_in_reader(const void *arg, size_t which, int given, reader_file *f, mpp_error *err)
{
    const input *in = arg;
    const item *it = &in->items[which];
    struct stat st;
    if (given >= 0) {
        *f = (reader_file){.io = {given, IO_NEVER_BLOCKS}, .left = -1, .copied = true};
        return 0;
    }
    if (io_open_file(&f->io, it->name, &st, err) < 0)
        return -1;
    if (prepare_file(in, it, &st, f, err) == 0)
        return 0;
    close(f->io.fd);
    return -1;
}

/* ---- pieces ------------------------------------------------------------------------------------- */

void open_close(input *in)
{
    input_piece *p = &in->piece;
    if (p->command)
        command_close(p->command);
    else if (p->io.fd != STDIN_FILENO || !S_ISREG(in->stdin_mode)) /* which may be read again */
        io_close(&p->io);
    *p = (input_piece){.io = IO_INIT};
}

static void set_command_piece(input *in, const char *name)
{
    in->piece = (input_piece){{in->command.fd, IO_NEVER_BLOCKS}, -1, name, &in->command};
}

static input_outcome open_command(input *in, mpp_error *err)
{
    const input_options *o = &in->options;
    in->command.input = o->stdin_null ? COMMAND_STDIN_NULL : COMMAND_STDIN_OURS;
    int started = o->argv ? command_spawn(&in->command, o->argv, COMMAND_READ, NULL, err)
                          : command_shell(&in->command, o->shell, COMMAND_READ, NULL, err);
    if (started < 0)
        return INPUT_FAILED;
    set_command_piece(in, in->command.text);
    return INPUT_OPENED;
}

/* Put the filter behind `from`, a descriptor or COMMAND_STDIN_OURS. */
static input_outcome start_filter(input *in, const char *name, int from, mpp_error *err)
{
    char *variable = NULL;
    int started = -1;
    if (asprintf(&variable, "MPP_FILE=%s", name) < 0) {
        io_error(err, ENOMEM, "cannot filter '%s'", name);
        return INPUT_FAILED;
    }
    in->command.input = from;
    started = command_shell(&in->command, in->options.filter, COMMAND_READ, (const char *[]){variable, NULL}, err);
    free(variable);
    if (started < 0)
        return INPUT_FAILED;
    set_command_piece(in, name);
    return INPUT_OPENED;
}

static input_outcome ask_reader(input *in, const item *it, int given, mpp_error *err)
{
    const char *name = given < 0 ? it->name : standard_input;
    const size_t which = (size_t)(it - in->items);
    return reader_ask(&in->reader, open_in_reader, in, which, name, given, err) < 0 ? INPUT_FAILED : INPUT_OPENING;
}

/* What poll(2) says of a descriptor that others read, too, is over when we come to read it. */
static input_outcome open_stdin(input *in, const item *it, mpp_error *err)
{
    if (in->options.filter)
        return start_filter(in, it->name, COMMAND_STDIN_OURS, err);
    io file = {STDIN_FILENO, IO_POLLED};
    if (!in->stdin_sleeps && io_open(&file, STDIN_FILENO, IO_READ) < 0) {
        io_error(err, errno, "cannot read standard input");
        return INPUT_FAILED;
    }
    if (file.kind == IO_NEVER_BLOCKS) {
        in->piece = (input_piece){.io = file, .left = -1, .name = standard_input};
        return INPUT_OPENED;
    }
    const input_outcome outcome = ask_reader(in, it, STDIN_FILENO, err);
    if (outcome == INPUT_OPENING && !S_ISREG(in->stdin_mode))
        io_close(&file); /* so that its writer sees when the reader has gone */
    return outcome;
}

/* For messages: offsets are counted from where the piece begins. */
static const char *name_of(input *in, const item *it, int64_t from)
{
    free(in->piece_name);
    if (from == 0 || asprintf(&in->piece_name, "%s (from byte %lld on)", it->name, (long long)from) < 0)
        in->piece_name = NULL;
    if (in->piece_name)
        return in->piece_name;
    return item_is_stdin(it) ? standard_input : it->name;
}

static input_outcome filter_file(input *in, const item *it, reader_file *f, mpp_error *err)
{
    const input_outcome outcome = start_filter(in, it->name, f->io.fd, err);
    io_close(&f->io);
    return outcome;
}

static input_outcome take_file(input *in, const item *it, reader_file *f, mpp_error *err)
{
    if (in->options.filter && f->left != 0)
        return filter_file(in, it, f, err);
    if (f->copied)
        fcntl(f->io.fd, F_SETFL, O_NONBLOCK);
    in->piece = (input_piece){f->io, f->left, name_of(in, it, f->from), NULL};
    return INPUT_OPENED;
}

static input_outcome take_answer(input *in, const item *it, mpp_error *err)
{
    reader_file f;
    const int answered = reader_answer(&in->reader, &f, err);
    if (answered <= 0)
        return answered < 0 ? INPUT_FAILED : INPUT_OPENING;
    return take_file(in, it, &f, err);
}

/* Without a reader, unless it turns out that one has to copy it. */
static input_outcome open_file(input *in, const item *it, mpp_error *err)
{
    reader_file f = {.io = IO_INIT, .left = -1};
    if (it->quick && open_in_reader(in, (size_t)(it - in->items), -1, &f, err) < 0)
        return INPUT_FAILED;
    if (it->quick && !f.copied)
        return take_file(in, it, &f, err);
    const int asked = reader_ask(&in->reader, open_in_reader, in, (size_t)(it - in->items), it->name,
                                 it->descriptor ? f.io.fd : -1, err);
    io_close(&f.io);
    return asked < 0 ? INPUT_FAILED : INPUT_OPENING;
}

static input_outcome open_item(input *in, const item *it, mpp_error *err)
{
    if (input_is_command(in))
        return open_command(in, err);
    return item_is_stdin(it) ? open_stdin(in, it, err) : open_file(in, it, err);
}

input_outcome input_open_next(input *in, input_piece **piece, mpp_error *err)
{
    input_outcome outcome;
    do {
        if (in->reader.busy) {
            outcome = take_answer(in, &in->items[in->next - 1], err);
            continue;
        }
        open_close(in);
        if (in->next == in->n)
            return INPUT_NONE;
        outcome = open_item(in, &in->items[in->next++], err);
    } while (outcome == INPUT_OPENED && in->piece.left == 0); /* an empty range */
    *piece = &in->piece;
    return outcome;
}
