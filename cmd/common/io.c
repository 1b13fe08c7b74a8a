#include "common/io.h"

#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/major.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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
    if (own >= 0 && put_over(own, fd))
        return IO_NEVER_BLOCKS;
    return direction == IO_READ ? IO_POLLED : IO_SLEEPS; /* another writer may take the room that poll(2) saw */
}

static int ask_type(int fd, struct statx *st)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, st);
}

mode_t io_type(int fd)
{
    struct statx st;
    return ask_type(fd, &st) < 0 ? 0 : st.stx_mode & S_IFMT;
}

/* The master of a pseudo-terminal looks like one, but opening it anew makes another. */
static bool is_terminal(int fd, const struct statx *st)
{
    const bool master = st->stx_rdev_major == TTYAUX_MAJOR && st->stx_rdev_minor == 2;
    return S_ISCHR(st->stx_mode) && !master && isatty(fd);
}

bool io_is_terminal(int fd)
{
    struct statx st;
    return ask_type(fd, &st) == 0 && is_terminal(fd, &st);
}

static bool may_sleep(int fd, const struct statx *st)
{
    switch (st->stx_mode & S_IFMT) {
    case S_IFREG:
        return !fs_is_local(fd);
    case S_IFCHR:
        return st->stx_rdev_major != MEM_MAJOR; /* null, zero, full, ... */
    default:
        return true;
    }
}

int io_open(io *o, int fd, io_direction direction)
{
    struct statx st;
    if (ask_type(fd, &st) < 0)
        return -1;
    *o = (io){fd, IO_NEVER_BLOCKS};
    if (S_ISFIFO(st.stx_mode))
        io_enlarge(fd);
    if (S_ISFIFO(st.stx_mode) || is_terminal(fd, &st))
        o->kind = make_nonblocking(fd, direction);
    else if (S_ISSOCK(st.stx_mode))
        o->kind = IO_SOCKET;
    else if (direction == IO_WRITE && may_sleep(fd, &st))
        o->kind = IO_SLEEPS;
    return 0;
}

bool io_is_command(const char *name)
{
    const char *path = getenv("PATH");
    bool found = false;
    while (path && *path && *name && !strchr(name, '/') && !found) {
        const int n = (int)strcspn(path, ":");
        char file[PATH_MAX];
        struct stat st;
        if (snprintf(file, sizeof file, "%.*s/%s", n, path, name) < (int)sizeof file)
            found = stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0;
        path += n + (path[n] == ':');
    }
    return found;
}

int io_open_file(io *o, const char *name, struct stat *st, mpp_error *err)
{
    int fd;
    while ((fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0 && errno == EINTR)
        ;
    if (fd < 0) {
        const int why = errno;
        return why == ENOENT && io_is_command(name)
                   ? io_error(err, 0, "cannot open '%s': there is no such file; a COMMAND stands behind --", name)
                   : io_error(err, why, "cannot open '%s'", name);
    }
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

/* A pipe says POLLERR, a socket or a terminal POLLHUP. */
bool io_abandoned(int fd)
{
    const mode_t type = io_type(fd);
    struct pollfd p = {.fd = type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR ? fd : -1};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}

bool io_readable(const io *o)
{
    return o->kind == IO_NEVER_BLOCKS || ready(o->fd, POLLIN);
}

static ssize_t write_once(const io *o, const void *data, size_t n)
{
    return o->kind == IO_SOCKET ? send(o->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(o->fd, data, n);
}

ssize_t io_write(const io *o, const void *data, size_t n)
{
    ssize_t k;
    while ((k = write_once(o, data, n)) < 0 && errno == EINTR)
        ;
    return k;
}

/* Somebody else may have made the description non-blocking. */
static int await_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, -1) < 0 && errno != EINTR ? -1 : 0;
}

int io_write_all(int fd, const void *data, size_t n)
{
    const char *at = data;
    while (n > 0) {
        ssize_t k = write(fd, at, n);
        if (k < 0 && (errno == EAGAIN ? await_room(fd) < 0 : errno != EINTR))
            return -1;
        at += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

void io_notify(int event)
{
    while (write(event, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno == EINTR)
        ; /* EAGAIN: it is full, and so it is readable already */
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
    if (os_error == ENOMEM && getrlimit(RLIMIT_AS, &limit) == 0)
        add_limit(text + n, size - n, "ulimit -v, in bytes", &limit);
    if (os_error == EFBIG && getrlimit(RLIMIT_FSIZE, &limit) == 0)
        add_limit(text + n, size - n, "ulimit -f, in bytes", &limit);
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
    size_t n = strlen(err->text);
    if (os_error)
        add_reason(err->text + n, sizeof err->text - n, os_error);
    return -1;
}
