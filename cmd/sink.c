#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINGER_MS = 100 };

static void init(sink *s, const char *name)
{
    *s = (sink){.name = name, .out = IO_INIT, .command = COMMAND_INIT};
}

int sink_open_stdout(sink *s, mpp_error *err)
{
    init(s, "standard output");
    if (io_open(&s->out, STDOUT_FILENO, IO_WRITE) < 0)
        return io_error(err, errno, "standard output");
    return 0;
}

int sink_open_file(sink *s, const char *name, mpp_error *err)
{
    init(s, name);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd < 0 || io_open(&s->out, fd, IO_WRITE) < 0)
        return io_error(err, errno, "cannot write '%s'", name);
    return 0;
}

int sink_await_reader(const char *name)
{
    struct stat st;
    if (stat(name, &st) < 0 || !S_ISFIFO(st.st_mode))
        return -1;
    return open(name, O_WRONLY | O_CLOEXEC);
}

int sink_open_command(sink *s, char *const *argv, const char *shell, mpp_error *err)
{
    init(s, argv ? argv[0] : shell);
    int spawned = argv ? command_spawn(&s->command, argv, COMMAND_WRITE, NULL, err)
                       : command_shell(&s->command, shell, COMMAND_WRITE, NULL, err);
    if (spawned < 0)
        return -1;
    s->has_command = true;
    s->out = (io){s->command.fd, IO_NEVER_BLOCKS}; /* non-blocking, and ours alone */
    return 0;
}

void sink_lend(sink *s, const unsigned char *data, size_t n)
{
    s->lent = data;
    s->lent_left = n;
}

unsigned char *sink_stage(sink *s, size_t n)
{
    if (s->staged_have + n > s->staged_size) {
        size_t size = (s->staged_have + n) * 2;
        unsigned char *bigger = realloc(s->staged, size);
        if (!bigger)
            return NULL;
        s->staged = bigger;
        s->staged_size = size;
    }
    unsigned char *at = s->staged + s->staged_have;
    s->staged_have += n;
    return at;
}

static void drop(sink *s)
{
    s->lent_left = 0;
    s->staged_at = s->staged_have = 0;
}

static void broken(sink *s, int status, const mpp_error *err)
{
    s->state = SINK_BROKEN;
    s->status = status;
    s->error = *err;
    drop(s);
}

static void command_failed(sink *s)
{
    mpp_error err = {.status = MPP_S_ERROR};
    command_status_text(&s->command, err.text, sizeof err.text);
    broken(s, command_failure(&s->command), &err);
}

/* A pipe says POLLERR, a socket or a terminal POLLHUP. */
static bool reader_gone(const sink *s)
{
    struct pollfd p = {.fd = s->out.fd};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}

void sink_look(sink *s, const ok_list *ok)
{
    if (s->state != SINK_OPEN) {
        command_reap(&s->command); /* or its end would be news for ever */
        return;
    }
    if (s->has_command) {
        if (!s->linger_until && reader_gone(s))
            s->linger_until = mpp_now() + LINGER_MS * INT64_C(1000000);
        if (command_reap(&s->command)) {
            if (!command_ok(&s->command, ok)) {
                command_failed(s);
            } else {
                s->state = SINK_CLOSED_BY_READER;
                drop(s);
            }
        } else if (s->linger_until && mpp_now() >= s->linger_until) {
            s->state = SINK_CLOSED_BY_READER; /* it closed its stdin and goes on: that is enough */
            drop(s);
        }
        return;
    }
    if (reader_gone(s)) {
        s->state = SINK_CLOSED_BY_READER;
        drop(s);
    }
}

static void write_failed(sink *s, const ok_list *ok)
{
    mpp_error err;
    if (errno == EPIPE) {
        sink_look(s, ok);
        return;
    }
    if (errno == EFAULT) { /* the kernel met the end of a truncated segment before we did */
        io_error(&err, 0, "the mesh's segment was truncated under us");
        err.status = MPP_S_CORRUPT;
    } else {
        io_error(&err, errno, "cannot write to %s", s->name);
    }
    broken(s, (int)err.status, &err);
}

/* One piece.  false: it is not through. */
static bool write_piece(sink *s, const unsigned char *data, size_t n, size_t *written, const ok_list *ok)
{
    ssize_t got = io_write(&s->out, data, n);
    *written = got > 0 ? (size_t)got : 0;
    if (got < 0 && errno != EAGAIN)
        write_failed(s, ok);
    return (size_t)*written == n;
}

bool sink_write(sink *s, const ok_list *ok)
{
    size_t n;
    if (s->linger_until)
        sink_look(s, ok);
    while (s->state == SINK_OPEN && !s->linger_until && s->staged_at < s->staged_have) {
        bool through = write_piece(s, s->staged + s->staged_at, s->staged_have - s->staged_at, &n, ok);
        s->staged_at += n;
        if (!through && n == 0)
            break;
    }
    while (s->state == SINK_OPEN && !s->linger_until && s->staged_at == s->staged_have && s->lent_left) {
        bool through = write_piece(s, s->lent, s->lent_left, &n, ok);
        s->lent += n;
        s->lent_left -= s->state == SINK_OPEN ? n : 0;
        if (!through && n == 0)
            break;
    }
    if (s->state != SINK_OPEN)
        drop(s);
    if (s->staged_at == s->staged_have)
        s->staged_at = s->staged_have = 0;
    return sink_empty(s);
}

void sink_end(sink *s)
{
    if (!s->has_command)
        return; /* the others are closed when we know that nothing failed */
    command_close_pipe(&s->command);
    s->out.fd = -1;
}

bool sink_finish(sink *s, const ok_list *ok)
{
    mpp_error err;
    sink_end(s);
    if (s->has_command) {
        if (!command_reap(&s->command))
            return false;
        if (s->state != SINK_BROKEN && !command_ok(&s->command, ok))
            command_failed(s);
        command_close(&s->command);
    } else if (s->out.fd >= 0 && io_close(&s->out) < 0 && s->state == SINK_OPEN) {
        io_error(&err, errno, "cannot write to %s", s->name);
        broken(s, MPP_S_ERROR, &err);
    }
    free(s->staged);
    s->staged = NULL;
    s->staged_at = s->staged_have = s->staged_size = 0;
    return true;
}

void sink_abort(sink *s)
{
    if (!s->has_command)
        return;
    command_stop(&s->command);
    command_finish(&s->command);
    command_close(&s->command);
}
