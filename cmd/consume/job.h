/* job.h - what mpp-consume was asked for, and its streams on their way to their sinks */
#ifndef CMD_CONSUME_JOB_H
#define CMD_CONSUME_JOB_H

#include "consume/merge.h"
#include "consume/sink.h"
#include "consume/turns.h"
#include "participant/participant.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct request {
    participant *who;
    bool tag, sequential, merge, stable, lazy, strict, fail_on_lag, keep_partial, in_turn, block;
    const char *output;
    uint64_t block_size;  /* 0: the partition's */
    uint64_t max_records; /* UINT64_MAX: all */
} request;

typedef enum line_state {
    LINE_WAITING, /* not asked for yet */
    LINE_RUNNING,
    LINE_GONE, /* all that was published has been delivered, and the mesh has failed */
    LINE_DONE,
} line_state;

typedef struct blocks blocks;

typedef struct line {
    unsigned stream;
    const mpp_stream_info *info;
    sink *sink;
    merge *merge;
    turns *turns;
    mpp_batch batch; /* lent to the sink, or data NULL */
    line_state state;
    bool blocked; /* on the sink */
    uint64_t records, bytes;
    uint64_t missed; /* dropped by a ring before we read them ... */
    unsigned lags;   /* ... in so many places */
} line;

typedef struct job {
    participant who;
    request asked;
    line *lines; /* one for each of who.streams */
    sink *sinks;
    unsigned n_sinks;
    blocks *blocks;     /* --block, or NULL: then there is one line */
    bool settled;       /* every output is open ... */
    bool asking;        /* ... and every command runs */
    int64_t give_up_at; /* the mesh has failed before; 0: it has not */
    bool counting;
} job;

#endif
