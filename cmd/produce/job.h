/* job.h - what mpp-produce was asked for, and its streams with their sources */
#ifndef CMD_PRODUCE_JOB_H
#define CMD_PRODUCE_JOB_H

#include "input/input.h"
#include "participant/participant.h"

#include <stdbool.h>

typedef struct request {
    participant *who;
    bool eager, slice, no_wait;
    unsigned part, parts; /* of --slice=K/N; parts 0: index of producers */
    input_by by;
    const char *files0_from, *filter;
    unsigned runs;
} request;

typedef enum line_state {
    LINE_IDLE,     /* not asked, or ended */
    LINE_READING,  /* a piece is open, or the next is to be opened */
    LINE_REAPING,  /* its data has ended; its command has not */
    LINE_CLOSING,  /* the end of the piece waits for space */
    LINE_STOPPING, /* consumers have enough; the command is being ended */
} line_state;

typedef enum line_need { NEED_NOTHING, NEED_INPUT, NEED_READER, NEED_SPACE, NEED_COMMAND } line_need;

typedef struct line {
    unsigned stream;
    input *in;
    input_piece *piece;
    line_state state;
    line_need need;
    bool sliced; /* we take our share only */
} line;

typedef struct job {
    participant who;
    request asked;
    line *lines; /* one for each of who.streams */
} job;

#endif
