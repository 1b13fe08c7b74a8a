#include "input/input.h"

#include "input/inside.h"
#include "input/list.h"
#include "input/open.h"
#include "input/slice.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int input_create(const input_options *o, input **in, mpp_error *err)
{
    if (list_check(o, err) < 0)
        return -1;
    input *made = calloc(1, sizeof *made);
    if (!made)
        return io_error(err, ENOMEM, "cannot list the files");
    made->options = *o;
    made->parts = 1;
    made->piece.io = (io)IO_INIT;
    made->command = (command)COMMAND_INIT;
    made->reader = (reader)READER_INIT;
    if (list_make(made, err) < 0) {
        input_destroy(&made);
        return -1;
    }
    list_look_at_stdin(made);
    if (o->slice || o->sizes)
        list_measure(made);
    *in = made;
    return 0;
}

void input_destroy(input **in)
{
    if (!*in)
        return;
    open_close(*in);
    reader_end(&(*in)->reader);
    free((*in)->piece_name);
    free((*in)->names);
    free((*in)->items);
    free(*in);
    *in = NULL;
}

int input_fd(const input *in)
{
    return in->reader.fd;
}

int input_ended(input *in, mpp_error *err)
{
    int64_t missing;
    const char *name = in->piece.name;
    const int ended = reader_ended(&in->reader, &missing, err);
    if (ended < 0)
        return -1;
    /* A filter, or a range that was read, may have had enough; whatever else ends before its reader says so waits
     * for that. */
    if (ended > 0 && in->piece.left != 0 && !(in->piece.command && reader_lives(&in->reader)))
        return 1;
    if (in->piece.left > 0)
        missing = in->piece.left;
    if (missing == 0)
        return 0;
    return io_error(err, 0, "'%s' became shorter while it was read: %lld byte%s missing", name, (long long)missing,
                    missing == 1 ? " is" : "s are");
}

void input_stop(input *in)
{
    in->next = in->n;
    reader_stop(&in->reader);
    if (in->piece.command) {
        command_stop(in->piece.command);
        in->piece.io = (io)IO_INIT;
    } else {
        open_close(in);
    }
}

/* ---- as a whole --------------------------------------------------------------------------------- */

static int64_t share(const input *in, const item *it)
{
    return it->cut ? slice_cut(it->size, in->part + 1, in->parts) - slice_cut(it->size, in->part, in->parts) : it->size;
}

int64_t input_total_size(input *in)
{
    if (input_is_command(in) || in->options.filter)
        return -1;
    list_measure(in);
    int64_t total = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (!in->items[i].sized)
            return -1;
        total += share(in, &in->items[i]);
    }
    return total;
}

static bool item_rewindable(const input *in, const item *it)
{
    return item_is_stdin(it) ? S_ISREG(in->stdin_mode) : !S_ISFIFO(it->mode);
}

bool input_rewindable(input *in)
{
    if (input_is_command(in))
        return true;
    list_measure(in);
    for (size_t i = 0; i < in->n; i++)
        if (!item_rewindable(in, &in->items[i]))
            return false;
    return true;
}

int input_rewind(input *in, mpp_error *err)
{
    open_close(in);
    if (!input_rewindable(in))
        return io_error(err, 0, "the input cannot be read twice, as it is not a file or command");
    if (!input_is_command(in) && in->stdin_at >= 0 && S_ISREG(in->stdin_mode))
        lseek(STDIN_FILENO, in->stdin_at, SEEK_SET);
    in->next = 0;
    return 0;
}
