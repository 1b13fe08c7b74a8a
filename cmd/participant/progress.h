/* progress.h - what a tool says about its work: --progress while it goes on, --summary at the end */
#ifndef CMD_PARTICIPANT_PROGRESS_H
#define CMD_PARTICIPANT_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mpp.h"

/* ---- --progress: one line on stderr, redrawn; off a terminal nothing ----------------------------- */

/* What one process of --all has done, in memory that they share: for one line of all. */
typedef struct progress_share {
    _Atomic uint64_t records, bytes;
    _Atomic int64_t total; /* as below; PROGRESS_NOT_BEGUN at first */
} progress_share;
enum { PROGRESS_NOT_BEGUN = -2 };

typedef struct progress {
    progress_share *share; /* where what has been done is told, instead of being drawn; NULL: nowhere */
    const char *who;       /* "mpp-produce 3"; NULL: off, every call is without effect */
    int64_t started;       /* CLOCK_MONOTONIC, ns */
    int64_t next;          /* when to draw again; 0: never */
    int64_t total;         /* bytes in all; -1: unknown */
    bool terminal;
    unsigned width; /* columns of the line that stands on the terminal */
} progress;

#define PROGRESS_INIT                                                                                                  \
    {                                                                                                                  \
        .total = -1                                                                                                    \
    }

/* Begin.  who is borrowed; total: bytes that will come, -1 when unknown (p->total may be set later). */
void progress_start(progress *p, const char *who, int64_t total);

/* The same of one process of --all. */
void progress_start_share(progress *p, progress_share *share, int64_t total);

/* When progress_update() has something to draw: a deadline for mpp_wait(), CLOCK_MONOTONIC ns; 0: none. */
int64_t progress_next(const progress *p);

/* Redraw when it is time to (at most twice a second; a picture that a stopped terminal does not take is dropped).
 * records: UINT64_MAX when not counted. */
void progress_update(progress *p, uint64_t records, uint64_t bytes);

/* The same with what all n have done together. */
void progress_update_all(progress *p, const progress_share *shares, unsigned n);

/* Take the line away before something else is written to stderr; it is redrawn at the next update. */
void progress_clear(progress *p);

/* The last line, with its newline. */
void progress_end(progress *p, uint64_t records, uint64_t bytes);
void progress_end_all(progress *p, const progress_share *shares, unsigned n);

/* ---- --summary: one line of JSON ------------------------------------------------------------------ */

typedef struct summary_stream {
    const char *name;
    uint64_t records; /* UINT64_MAX: not counted, null in the summary */
    uint64_t bytes;
    uint64_t no_key; /* records that lack a field of the key */
    uint64_t lost;   /* records that found no room, or that a ring dropped before they were read */
} summary_stream;

typedef struct summary {
    const char *tool; /* "mpp-produce" */
    const char *mesh;
    const char *role;  /* "producer" */
    int index;         /* -1: never attached, null in the summary */
    int status;        /* the exit status that follows */
    const char *cause; /* NULL: none, null in the summary */
    int64_t started;   /* CLOCK_MONOTONIC, ns */
    const summary_stream *streams;
    unsigned n_streams;
} summary;

/* Append the line to file (NULL: stderr) with one write, so that several processes may share it. Bytes that are not
 * UTF-8 become U+FFFD.  Waited for as long as for a message (message.h): whoever waits for us in a mesh is left
 * before.  0, or -1 with *err. */
int summary_write(const summary *s, const char *file, mpp_error *err);

#endif
