/* open.h - the pieces of an input, opened one at a time */
#ifndef CMD_INPUT_OPEN_H
#define CMD_INPUT_OPEN_H

#include "input/input.h"

typedef enum input_outcome {
    INPUT_FAILED = -1, /* *err says which piece, and why */
    INPUT_NONE = 0,
    INPUT_OPENED,  /* *piece, valid until the next call */
    INPUT_OPENING, /* that takes its time: call again once input_fd() is readable */
} input_outcome;

/* Close the piece before, and open the next. */
input_outcome input_open_next(input *in, input_piece **piece, mpp_error *err);

/* Close the piece that is open, if any. */
void open_close(input *in);

#endif
