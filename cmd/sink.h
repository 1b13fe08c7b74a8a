/* sink.h - where a consumer's records go: standard output, a file, or a command's stdin
 *
 * What is to be written is either lent (a batch that stays in the ring until it is through) or staged in a buffer.
 * Nothing here waits. */
#ifndef CMD_SINK_H
#define CMD_SINK_H

#include "command.h"
#include "io.h"
#include "mpp.h"

typedef enum sink_state {
    SINK_OPEN,
    SINK_CLOSED_BY_READER, /* it has had enough: EPIPE, or its command ended well before the end */
    SINK_BROKEN,           /* it cannot be written: sink.error */
} sink_state;

typedef struct sink {
    const char *name; /* for messages: "standard output", a file, a command */
    io out;
    command command; /* pid 0: none */
    bool has_command;
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
/* Several of one name append to it together.  A FIFO must have a reader by now: see sink_await_reader(). */
int sink_open_file(sink *s, const char *name, mpp_error *err);
/* When name is a FIFO, wait until somebody reads it, holding it open by the descriptor that is returned; -1: it is none.
 * Call it while signals still end us. */
int sink_await_reader(const char *name);
/* argv, or a shell command.  -1 with *err.  That it cannot be executed is seen by sink_look(): status 126 or 127. */
int sink_open_command(sink *s, char *const *argv, const char *shell, mpp_error *err);

/* Bytes to write: lent ones stay where they are until sink_empty(). */
void sink_lend(sink *s, const unsigned char *data, size_t n);
/* Room for n more staged bytes; NULL: no memory.  Lent bytes must be through. */
unsigned char *sink_stage(sink *s, size_t n);
static inline bool sink_empty(const sink *s)
{
    return s->lent_left == 0 && s->staged_at == s->staged_have;
}
/* Write what there is.  true: all of it, or the sink has closed and it is dropped; false: poll s->out.fd for POLLOUT
 * (or until linger_until). */
bool sink_write(sink *s, const ok_list *ok);
/* Has its command ended, or its reader gone?  Sets the state. */
void sink_look(sink *s, const ok_list *ok);
/* Everything was written, and no more will come: the reader shall see the end now. */
void sink_end(sink *s);
/* Everything was written: close it.  true: done (error is set when the last bytes were lost or the command failed);
 * false: its command still runs. */
bool sink_finish(sink *s, const ok_list *ok);
/* It failed upstream: the command gets SIGTERM while its stdin is still open; then as command_close(). */
void sink_abort(sink *s);

#endif
