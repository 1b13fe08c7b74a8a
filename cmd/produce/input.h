/* input.h - what a producer reads: an ordered list of pieces, opened one at a time
 *
 * A piece is stdin, a file, a range of a file that holds whole records, a file through a filter, or a command.
 * Slices: given the same files in any order, the N participants together read every record exactly once, as
 * long as nobody changes the files meanwhile.
 */
#ifndef CMD_PRODUCE_INPUT_H
#define CMD_PRODUCE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command/command.h"
#include "common/io.h"
#include "mpp.h"

typedef struct input input;

typedef enum input_by {
    INPUT_BY_FITNESS, /* whole files when there are at least N; else ranges of each that is not compressed */
    INPUT_BY_FILES,
    INPUT_BY_BYTES,
} input_by;

typedef struct input_options {
    const char *const *files; /* "-" is stdin */
    size_t n_files;
    const char *files0_from; /* read the names, NUL-terminated, from this file ("-": stdin); NULL: no */
    char *const *argv;       /* the one piece is this command; NULL: no */
    const char *shell;       /* the one piece is this shell command; NULL: no */
    const char *filter;      /* every piece goes through this shell command, its name in MPP_FILE; NULL: no */
    bool stdin_null;         /* commands get /dev/null for stdin, as somebody else reads ours */
    bool slice;              /* input_slice() will be called */
    bool sizes;              /* input_total_size() will be called */
    input_by by;
} input_options;

typedef struct input_piece {
    io io;            /* to be read, which never sleeps; owned by the input */
    int64_t left;     /* bytes to be read from it, counted down by the caller; -1: to its end */
    const char *name; /* for messages; owned by the input */
    command *command; /* the filter or command behind it; NULL: none.  After the end of the data: reap it and
                         see command_ok(), before the next piece is opened */
} input_piece;

/* Make the list; without files or command it is stdin.  Reads the whole of files0_from, and takes the sizes of the
 * files where they are asked for, once, so that processes forked from here agree on them; it waits for all this as
 * long as it takes, so call it while signals still end us and before anybody waits for us.  Opens nothing else.
 * Everything that options point to is borrowed until input_destroy().
 * 0, or -1 with *err (MPP_S_USAGE: options that cannot go together). */
int input_create(const input_options *o, input **in, mpp_error *err);
void input_destroy(input **in);

/* "K/N" of --slice: 0 and both numbers, or -1 when it is not that or K is not below N. */
int input_parse_slice(const char *text, unsigned *part, unsigned *parts);

/* Reduce the list to share `part` (from 0) of `parts`, records being of format f and at most max_record bytes.
 * Once, before the first piece.  *f is copied.
 * 0, or -1 with *err (MPP_S_USAGE: a file that is not regular cannot be cut in ranges). */
int input_slice(input *in, unsigned part, unsigned parts, const mpp_format *f, uint64_t max_record, mpp_error *err);

/* Once sliced: which files all shares are of, in whatever order they were given, and how they were shared out.
 * Shares of the same files fit together only when they were shared out in the same way.  Not sliced: both 0. */
void input_identity(const input *in, uint32_t *what, uint32_t *how);

typedef enum input_outcome {
    INPUT_FAILED = -1, /* *err says which piece, and why */
    INPUT_NONE = 0,
    INPUT_OPENED,  /* *piece, valid until the next call */
    INPUT_OPENING, /* that takes its time: call again once input_fd() is readable */
} input_outcome;

/* Close the piece before, and open the next. */
input_outcome input_open_next(input *in, input_piece **piece, mpp_error *err);
int input_fd(const input *in);

/* After the end of a piece's data, and of the command behind it: did all of it come? 0; 1: it is not known yet, ask
 * again once input_fd() is readable; -1 with *err: it became shorter since it was shared out, or could not be read. */
int input_ended(input *in, mpp_error *err);

/* Consumers have enough: close the piece, stop its command, give up opening the next.  What is left is the command,
 * to be reaped by the caller (piece->command stays valid), and no further piece until input_rewind(). */
void input_stop(input *in);

/* Bytes that all pieces together will give, -1 when that cannot be known. */
int64_t input_total_size(input *in);

/* Whether it can be read a second time: stdin only when it is a regular file, and no FIFO. */
bool input_rewindable(input *in);

/* Begin again, with the first piece.  0, or -1 with *err: it cannot be read twice. */
int input_rewind(input *in, mpp_error *err);

#endif
