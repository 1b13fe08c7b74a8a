/* input.h - what a producer reads: an ordered list of pieces, opened one at a time
 *
 * share.h reduces the list to our share of it, open.h opens the pieces.
 *
 * A piece is stdin, a file, a range of a file that holds whole records, a file through a filter, or a command.
 * Slices: given the same files in any order, the N participants together read every record exactly once, as
 * long as nobody changes the files meanwhile.
 */
#ifndef CMD_INPUT_INPUT_H
#define CMD_INPUT_INPUT_H

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

/* Readable when what is under way in the reader has come to something. */
int input_fd(const input *in);

#endif
