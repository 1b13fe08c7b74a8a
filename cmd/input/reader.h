/* reader.h - a process of ours that opens inputs, and reads those that may keep a reader waiting
 *
 * A file's kind does not say how long a call takes: the server of a network or FUSE file system may hang in open(2),
 * read(2) and close(2) of a regular file, a device may ignore O_NONBLOCK, and the search for a share's boundary may
 * read for hours.  So the reader makes these calls, and the loop goes on listening.  It is a process, not a thread:
 * one whose call on a FUSE file system hangs ends when the server answers and not before, whatever signal it gets,
 * and its process with it.
 *
 * It hands over a descriptor whose read(2) never sleeps: the file itself, or a pipe into which it copies the file.  It
 * holds nothing open but that, does what it is asked one after the other, and goes when we go.
 */
#ifndef CMD_INPUT_READER_H
#define CMD_INPUT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/io.h"
#include "mpp.h"

/* What the reader has opened. */
typedef struct reader_file {
    io io;
    int64_t from; /* where it begins in the file */
    int64_t left; /* bytes to be read of it; -1: to its end */
    bool copied;  /* by the reader, which counts the bytes: a pipe is handed over */
} reader_file;

/* Made in the reader, which is a copy of us as we were at the first request: open input `which`; given: the
 * descriptor that came with the request, or -1.  0, or -1 with *err.  Both descriptors are the reader's to close. */
typedef int (*reader_open)(const void *arg, size_t which, int given, reader_file *f, mpp_error *err);

typedef struct reader {
    const char *name; /* of what was asked for, for messages */
    int fd;           /* readable when the reader has said something, or has died; -1: there is none */
    pid_t pid;        /* of the reader, or of the one before that may not have been reaped; 0: none */
    bool busy;        /* it was asked, and has not answered */
    bool feeds;       /* it copies what it has opened, and has not said how that ended */
} reader;

#define READER_INIT                                                                                                    \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* Ask for an input.  A reader that is still copying another is given up.  given: a descriptor to be read, which stays
 * ours too; -1: none.  0, or -1 with *err: there is no process to be had. */
int reader_ask(reader *r, reader_open open, const void *arg, size_t which, const char *name, int given, mpp_error *err);

/* 1: *f, whose descriptor is ours; 0: not yet, poll r->fd; -1 with *err: what is wrong with the input. */
int reader_answer(reader *r, reader_file *f, mpp_error *err);

/* Why did what is copied end?  0, with the bytes in *missing that were to come and are not there; -1 with *err: it
 * could not be read, or the reader has died; 1: it has not said yet, poll r->fd.  (The pipe of a reader that was
 * killed may end before its socket does.)  What is not copied ends well. */
int reader_ended(reader *r, int64_t *missing, mpp_error *err);
/* Has the process not ended yet? */
bool reader_lives(const reader *r);

/* What was asked for is not wanted any more.  A reader that is not at rest is ended. */
void reader_stop(reader *r);

/* Nothing more is wanted.  Returns at once: the process is killed, and nobody waits until its call returns. */
void reader_end(reader *r);

#endif
