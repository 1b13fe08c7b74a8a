/* Messages through what the kernel offers: pipes, and a pair of UNIX sockets that keep messages apart. */
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int pipes[2][2]; /* from side 0 to 1, and back */
static int sockets[2];
static int in, out;
static unsigned char batch[MESSAGE_MAX];
static size_t batch_len, batch_at;

/* ---- both --------------------------------------------------------------------------------------------------- */

static void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        die("fcntl", NULL);
}

static void write_all(const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n > 0) {
        ssize_t written = write(out, p, n);
        if (written < 0)
            die("write", NULL);
        p += written;
        n -= (size_t)written;
    }
}

static void read_all(void *data, size_t n)
{
    unsigned char *p = data;
    while (n > 0) {
        ssize_t got = read(in, p, n);
        if (got <= 0)
            die("read", NULL);
        p += got;
        n -= (size_t)got;
    }
}

static bool put(const void *message, size_t size)
{
    write_all(message, size);
    return true;
}

static bool get(void *message, size_t size)
{
    read_all(message, size);
    return true;
}

/* Messages of round trips are small enough to come as a whole. */
static bool try_get(void *message, size_t size)
{
    ssize_t got = read(in, message, size);
    if (got < 0 && errno != EAGAIN)
        die("read", NULL);
    return got == (ssize_t)size;
}

static void flush_nothing(void)
{
}

static void detach(int side)
{
    (void)side;
    close(in);
    close(out);
}

static void send_single(measurement *m)
{
    send_all(m, put, flush_nothing);
}

static void receive_single(measurement *m)
{
    receive_all(m, get);
}

static void ask(measurement *m)
{
    ask_all(m, put, get, NULL);
}

static void answer(measurement *m)
{
    answer_all(m, put, get, NULL);
}

static void ask_spinning(measurement *m)
{
    ask_all(m, put, try_get, NULL);
}

static void answer_spinning(measurement *m)
{
    answer_all(m, put, try_get, NULL);
}

/* ---- pipes ---------------------------------------------------------------------------------------------------- */

static void open_pipes(const measurement *m)
{
    (void)m;
    for (int i = 0; i < 2; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) < 0)
            die("pipe", NULL);
        fcntl(pipes[i][0], F_SETPIPE_SZ,
              MESSAGES_IN_FLIGHT); /* as much as a mesh has; less where that is not allowed */
    }
}

static void close_pipes(void)
{
    for (int i = 0; i < 2; i++)
        for (int end = 0; end < 2; end++)
            close(pipes[i][end]);
}

static void attach_pipes(int side, const measurement *m)
{
    (void)m;
    in = pipes[!side][0];
    out = pipes[side][1];
    close(pipes[side][0]);
    close(pipes[!side][1]);
}

static void attach_pipes_spinning(int side, const measurement *m)
{
    attach_pipes(side, m);
    set_nonblocking(in);
}

/* Many messages with one write(2) and one read(2). */
static void flush_batch(void)
{
    write_all(batch, batch_len);
    batch_len = 0;
}

static bool put_batched(const void *message, size_t size)
{
    if (batch_len + size > sizeof batch)
        flush_batch();
    memcpy(batch + batch_len, message, size);
    batch_len += size;
    return true;
}

static bool get_batched(void *message, size_t size)
{
    if (batch_at == batch_len) {
        ssize_t got = read(in, batch, sizeof batch);
        if (got <= 0)
            die("read", NULL);
        batch_len = (size_t)got;
        batch_at = 0;
        if (batch_len % size) { /* the rest of the last one */
            size_t rest = size - batch_len % size;
            read_all(batch + batch_len, rest);
            batch_len += rest;
        }
    }
    memcpy(message, batch + batch_at, size);
    batch_at += size;
    return true;
}

static void send_batched(measurement *m)
{
    send_all(m, put_batched, flush_batch);
}

static void receive_batched(measurement *m)
{
    receive_all(m, get_batched);
}

/* ---- sockets ---------------------------------------------------------------------------------------------------- */

static void open_sockets(const measurement *m)
{
    (void)m;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        die("socketpair", NULL);
    for (int i = 0; i < 2; i++) {
        int size = MESSAGES_IN_FLIGHT;
        setsockopt(sockets[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
}

static void close_sockets(void)
{
    close(sockets[0]);
    close(sockets[1]);
}

static void attach_socket(int side, const measurement *m)
{
    (void)m;
    in = out = sockets[side];
    close(sockets[!side]);
}

static void attach_socket_spinning(int side, const measurement *m)
{
    attach_socket(side, m);
    set_nonblocking(in);
}

/* ---- */

const way way_pipe = {
    .name = "pipe",
    .open = open_pipes,
    .attach = attach_pipes,
    .send = send_single,
    .receive = receive_single,
    .ask = ask,
    .answer = answer,
    .detach = detach,
    .close = close_pipes,
};

const way way_pipe_batched = {
    .name = "pipe, batched",
    .open = open_pipes,
    .attach = attach_pipes,
    .send = send_batched,
    .receive = receive_batched,
    .detach = detach,
    .close = close_pipes,
};

const way way_pipe_spinning = {
    .name = "pipe, spinning",
    .open = open_pipes,
    .attach = attach_pipes_spinning,
    .ask = ask_spinning,
    .answer = answer_spinning,
    .detach = detach,
    .close = close_pipes,
};

const way way_seqpacket = {
    .name = "seqpacket",
    .open = open_sockets,
    .attach = attach_socket,
    .send = send_single,
    .receive = receive_single,
    .ask = ask,
    .answer = answer,
    .detach = detach,
    .close = close_sockets,
};

const way way_seqpacket_spinning = {
    .name = "seqpacket, spinning",
    .open = open_sockets,
    .attach = attach_socket_spinning,
    .ask = ask_spinning,
    .answer = answer_spinning,
    .detach = detach,
    .close = close_sockets,
};
