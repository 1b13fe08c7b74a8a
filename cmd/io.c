#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int io_dup(int from, int to, int flags)
{
    int fd;
    while ((fd = dup3(from, to, flags)) < 0 && errno == EINTR)
        ;
    return fd;
}

/* Put `from` in the place of `fd`, and close it.  The standard descriptors stay open across exec, so that a
 * command still has them. */
static bool put_over(int from, int fd)
{
    bool put = io_dup(from, fd, fd > STDERR_FILENO ? O_CLOEXEC : 0) >= 0;
    close(from);
    return put;
}

static bool put_null(int fd, int flags)
{
    int null = open("/dev/null", flags);
    return null == fd || (null >= 0 && put_over(null, fd));
}

int io_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        /* The wrong way round: reading or writing what is not there stays an error. */
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0 && !put_null(fd, flags))
            return -1;
    }
    return 0;
}

/* ---- taking over a descriptor ------------------------------------------------------------------- */

void io_enlarge(int fd)
{
    int size = fcntl(fd, F_GETPIPE_SZ);
    if (size >= 0 && size < IO_PIPE_SIZE)
        fcntl(fd, F_SETPIPE_SZ, IO_PIPE_SIZE);
}

/* The same file in a new, non-blocking description, or -1: no /proc, not allowed, a socket, a pipe whose
 * reader has gone, no descriptor left. */
static int reopen(int fd, int access)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static io_kind make_nonblocking(int fd, io_direction direction)
{
    int own = reopen(fd, direction == IO_READ ? O_RDONLY : O_WRONLY);
    return own >= 0 && put_over(own, fd) ? IO_NEVER_BLOCKS : IO_POLLED;
}

int io_open(io *o, int fd, io_direction direction)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    *o = (io){fd, IO_NEVER_BLOCKS};
    if (S_ISFIFO(st.st_mode))
        io_enlarge(fd);
    if (S_ISFIFO(st.st_mode) || isatty(fd))
        o->kind = make_nonblocking(fd, direction);
    else if (S_ISSOCK(st.st_mode))
        o->kind = IO_SOCKET;
    return 0;
}

int io_open_file(io *o, const char *name, struct stat *st, mpp_error *err)
{
    int fd;
    while ((fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0 && errno == EINTR)
        ;
    if (fd < 0)
        return io_error(err, errno, "cannot open '%s'", name);
    const int failure = fstat(fd, st) < 0 ? errno : S_ISDIR(st->st_mode) ? EISDIR : 0;
    if (failure) {
        close(fd);
        return io_error(err, failure, "cannot read '%s'", name);
    }
    *o = (io){fd, S_ISFIFO(st->st_mode) ? IO_POLLED : IO_NEVER_BLOCKS};
    return 0;
}

void io_inherit(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;
    if (flags < 0 || !(flags & O_NONBLOCK) || fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
        return; /* a regular file never blocks, and its new description would begin at 0 */
    int own = reopen(fd, flags & O_ACCMODE);
    if (own < 0)
        return;
    fcntl(own, F_SETFL, flags & ~O_NONBLOCK);
    put_over(own, fd);
}

/* ---- reading and writing ------------------------------------------------------------------------ */

static bool ready(int fd, short events)
{
    struct pollfd p = {fd, events, 0};
    int n;
    while ((n = poll(&p, 1, 0)) < 0 && errno == EINTR)
        ;
    return n != 0; /* when poll(2) itself fails, let the call that follows say why */
}

bool io_readable(const io *o)
{
    return o->kind == IO_NEVER_BLOCKS || ready(o->fd, POLLIN);
}

static ssize_t write_once(const io *o, const void *data, size_t n)
{
    switch (o->kind) {
    case IO_SOCKET:
        return send(o->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    case IO_POLLED:
        if (!ready(o->fd, POLLOUT)) {
            errno = EAGAIN;
            return -1;
        }
        /* So much fits when poll(2) says that there is room. */
        return write(o->fd, data, n < PIPE_BUF ? n : PIPE_BUF);
    case IO_NEVER_BLOCKS:
        break;
    }
    return write(o->fd, data, n);
}

ssize_t io_write(const io *o, const void *data, size_t n)
{
    ssize_t k;
    while ((k = write_once(o, data, n)) < 0 && errno == EINTR)
        ;
    return k;
}

int io_close(io *o)
{
    int fd = o->fd;
    o->fd = -1;
    if (fd < 0)
        return 0;
    int failure = close(fd) < 0 && errno != EINTR ? errno : 0;
    if (fd <= STDERR_FILENO)
        put_null(fd, O_RDWR);
    errno = failure;
    return failure ? -1 : 0;
}

/* ---- errors ------------------------------------------------------------------------------------- */

static void add_limit(char *text, size_t size, const char *what, const struct rlimit *limit)
{
    if (limit->rlim_cur != RLIM_INFINITY)
        snprintf(text, size, " (%s: %llu)", what, (unsigned long long)limit->rlim_cur);
}

static void add_reason(char *text, size_t size, int os_error)
{
    snprintf(text, size, ": %s", strerror(os_error));
    size_t n = strlen(text);
    struct rlimit limit;
    if (os_error == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add_limit(text + n, size - n, "ulimit -n", &limit);
    if (os_error == EAGAIN && getrlimit(RLIMIT_NPROC, &limit) == 0)
        add_limit(text + n, size - n, "ulimit -u", &limit);
}

int io_error(mpp_error *err, int os_error, const char *format, ...)
{
    if (!err)
        return -1;
    *err = (mpp_error){.status = MPP_S_ERROR, .os_error = os_error};
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    for (char *p = err->text; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = '?'; /* names may hold anything; the message stays one line */
    size_t n = strlen(err->text);
    if (os_error)
        add_reason(err->text + n, sizeof err->text - n, os_error);
    return -1;
}
