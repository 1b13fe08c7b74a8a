/* sink.h - where a consumer's records go: standard output, a file, or a command's stdin
 *
 * What is to be written is either lent (a batch that stays in the ring until it is through) or staged in a buffer.
 * Nothing here waits: a file is opened by an errand, which waits for a FIFO's reader, and what may keep its writer
 * waiting is written through a pump. */
#ifndef CMD_CONSUME_SINK_H
#define CMD_CONSUME_SINK_H

#include "command/status.h"
#include "common/errand.h"
#include "common/io.h"
#include "consume/opening.h"
#include "consume/pump.h"
#include "mpp.h"

typedef enum sink_state {
    SINK_IDLE,    /* its command is started by sink_start() */
    SINK_OPENING, /* sink_check() tells when that is over */
    SINK_OPEN,
    SINK_CLOSED_BY_READER, /* it has had enough: EPIPE, or its command ended well before the end */
    SINK_BROKEN,           /* it cannot be written: sink.error */
} sink_state;

typedef struct sink {
    const char *name; /* for messages: "standard output", a file, a command */
    char *file_name;  /* ours, or NULL */
    errand *errand;   /* opens it; NULL: it is open, or was given up */
    opening *opening;
    dev_t device; /* which file it is ... */
    ino_t inode;
    bool contended; /* ... and another has it locked: see sink_settle() */
    bool to_stdout; /* we, or the command, write to our standard output */
    io out;         /* what we write to */
    pump *pump;     /* behind it, or NULL */
    int reader;     /* whoever reads our output has gone when this says so; -1: nobody reads it */
    char *const *argv;
    const char *shell;    /* what the command is, in one way or the other */
    outfile *file;        /* that we, or the command, write, without a name yet; or NULL */
    errand *naming;       /* is giving it its name ... */
    struct naming *named; /* ... and this is how that went */
    command command;      /* pid 0: none */
    bool has_command;     /* it was started */
    sink_state state;
    mpp_error error;
    int status; /* exit status that goes with error */
    const unsigned char *lent;
    size_t lent_left;
    unsigned char *staged;
    size_t staged_at, staged_have, staged_size;
    int64_t linger_until; /* EPIPE from a command: how it ended is worth a short wait; 0: not waiting */
} sink;

int sink_open_stdout(sink *s, mpp_error *err);
/* Takes the name.  An errand opens it.  A regular file gets its name when it is whole, but for in_place, and until
 * then, with keep_partial, one that says that it is not.  Several of one name, or of one file, append to it
 * together. */
int sink_open_file(sink *s, char *name, bool in_place, bool keep_partial, mpp_error *err);
/* argv, or a shell command, which sink_start() starts.  Of a sink that was opened as a file, that is the command's
 * output. */
void sink_open_command(sink *s, char *const *argv, const char *shell);
/* Of one that is SINK_IDLE; it may have bytes to write by now.  -1 with *err.  That it cannot be executed is seen by
 * sink_check(): status 126 or 127. */
int sink_start(sink *s, mpp_error *err);

/* Is it a FIFO that nobody reads yet? */
bool sink_unread(const sink *s);

/* When all of n sinks are open, and nothing is written yet: a file that another process writes breaks its sink, one
 * that another of these sinks has locked does not. */
void sink_settle(sink *sinks, unsigned n);

/* What to wait for, at most SINK_WATCHED descriptors: how many.  The first is the output where it does not take what
 * there is to write, and -1 where it cannot be polled. */
enum { SINK_WATCHED = 4 };
unsigned sink_watch(const sink *s, struct pollfd set[SINK_WATCHED]);

/* Bytes to write: lent ones stay where they are until sink_empty(). */
void sink_lend(sink *s, const unsigned char *data, size_t n);
/* Room for n more staged bytes; NULL: no memory.  Lent bytes must be through. */
unsigned char *sink_stage(sink *s, size_t n);
static inline bool sink_closed(const sink *s)
{
    return s->state == SINK_CLOSED_BY_READER || s->state == SINK_BROKEN;
}
static inline bool sink_empty(const sink *s)
{
    return s->lent_left == 0 && s->staged_at == s->staged_have;
}
/* Write what there is.  true: all of it, or the sink has closed and it is dropped; false: wait as sink_watch() says (or
 * until linger_until). */
bool sink_write(sink *s, const ok_list *ok);
/* Is it open now, has its command ended, or its reader gone?  Sets the state. */
void sink_check(sink *s, const ok_list *ok);
/* Everything was written, and no more will come: the reader shall see the end now. */
void sink_end(sink *s);
/* Everything was written: close it.  true: done (error is set when the last bytes were lost or the command failed);
 * false: its command still runs, or its pump does. */
bool sink_finish(sink *s, const ok_list *ok);
/* All was written, and everybody is content: begin to give the file its name.  Then sink_named() says when that is
 * done, and sets the error where it has failed. */
void sink_name(sink *s);
bool sink_named(sink *s);
/* It failed upstream: the command gets SIGTERM while its stdin is still open; then as command_close(). */
void sink_abort(sink *s);
/* Free what it holds; an errand or a pump that is not through is abandoned. */
void sink_free(sink *s);

#endif
