/* io.h - descriptors that never block us and whose flags we never change under others
 *
 * O_NONBLOCK belongs to the open file description, which our stdin and stdout share with the shell and with
 * the other processes of a pipeline.  So a pipe or terminal is opened anew through /proc/self/fd and only the
 * new description is made non-blocking; a socket is told with each call; what can be neither is polled first when it is
 * read, and written by a thread (pump.h).
 */
#ifndef CMD_COMMON_IO_H
#define CMD_COMMON_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "mpp.h"

enum { IO_PIPE_SIZE = 1 << 20 }; /* bytes that we ask for in a pipe */

typedef enum io_direction { IO_READ, IO_WRITE } io_direction;

typedef enum io_kind {
    IO_NEVER_BLOCKS, /* a regular file, a device, or O_NONBLOCK in a description of our own */
    IO_SOCKET,       /* written with MSG_DONTWAIT; polled before a read */
    IO_POLLED,       /* may block: polled before every read */
    IO_SLEEPS,       /* write(2) may sleep whatever poll(2) says: not for io_write(), see pump.h */
} io_kind;

typedef struct io {
    int fd; /* -1: closed */
    io_kind kind;
} io;

#define IO_INIT                                                                                                        \
    {                                                                                                                  \
        -1, IO_NEVER_BLOCKS                                                                                            \
    }

/* Open /dev/null on each of descriptors 0, 1, 2 that is closed, so that nothing that we open takes its place.
 * 0, or -1 with errno.  Call it first in main(). */
int io_standard(void);

/* dup3(2), but nothing interrupts it. */
int io_dup(int from, int to, int flags);

/* Take over fd, for reading or writing: it keeps its number but, where it can, becomes a non-blocking description of
 * its own, so that closing it is seen at the other end.  A pipe is made IO_PIPE_SIZE where that is allowed.  0, or -1
 * with errno: fd is not open. For writing, what may keep its writer waiting is IO_SLEEPS: a device, a file of any file
 * system that is not known to be on this machine's own disks or in its memory, a pipe or terminal that cannot be
 * opened anew.  Of a regular file (io_type()) its file system is asked, which may sleep itself: that is an errand. */
int io_open(io *o, int fd, io_direction direction);

/* S_IFREG, S_IFIFO, ...; 0: not open.  No file system's server is asked, as fstat(2) and isatty(3) may do. */
mode_t io_type(int fd);
bool io_is_terminal(int fd);

/* Has the reader of fd gone?  Of a pipe, a socket, a terminal; false for any other file. */
bool io_abandoned(int fd);

/* Would a shell find a command of that name in PATH? */
bool io_is_command(const char *name);

/* Open a file for reading, without waiting for a FIFO's writer, and look at it.
 * 0, or -1 with *err, which names the file. */
int io_open_file(io *o, const char *name, struct stat *st, mpp_error *err);

/* Whether read(2) on o->fd returns at once.  Ask before every read; when false, wait for POLLIN.  (A FIFO that
 * nobody has opened for writing yet would say "end of file" to one who does not ask.)
 * When it is true and the read says EAGAIN, wait for POLLIN too; never wait before such a read: a FIFO whose
 * writers left before io_open() does not tell poll(2) of it. */
bool io_readable(const io *o);

/* Write up to n bytes.  The number written, or -1 with errno: EAGAIN: wait for POLLOUT; EPIPE: the reader has
 * gone (SIGPIPE must be ignored; sockets do not raise it).  Never EINTR. */
ssize_t io_write(const io *o, const void *data, size_t n);

/* Write all of it, however long that takes: for a thread that nobody waits for.  0, or -1 with errno. */
int io_write_all(int fd, const void *data, size_t n);

/* Count up a non-blocking eventfd, which is readable then.  For signal handlers, too; errno may change. */
void io_notify(int event);

/* Close.  Descriptors 0, 1, 2 become /dev/null instead.  Closed already: no effect.
 * 0, or -1 with errno: what was written may be lost (EIO, ENOSPC, EDQUOT). */
int io_close(io *o);

/* In a child, before exec: give a command a descriptor of ours that io_open() may have made non-blocking. */
void io_inherit(int fd);

/* The best size for a pipe, failures ignored. */
void io_enlarge(int fd);

/* *err = "<text>: <what os_error means>", where it is a limit with its value.  Status MPP_S_ERROR.
 * Returns -1. */
int io_error(mpp_error *err, int os_error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The earlier of two deadlines of which 0 is none. */
static inline int64_t io_earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

#endif
