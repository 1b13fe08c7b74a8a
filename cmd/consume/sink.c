/* This file is a little longer than files should be: opening, writing and closing an output all turn on its state,
 * which nobody else sets. */
#include "consume/sink.h"

#include "command/spawn.h"
#include "common/message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINGER_MS = 100 };

static void init_sink(sink *s, const char *name)
{
    *s = (sink){.name = name, .state = SINK_OPEN, .out = IO_INIT, .reader = -1, .command = COMMAND_INIT};
}

static void drop(sink *s)
{
    s->lent_left = 0;
    s->staged_at = s->staged_have = 0;
}

static void break_sink(sink *s, int status, const mpp_error *err)
{
    s->state = SINK_BROKEN;
    s->status = status;
    s->error = *err;
    drop(s);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static int begin_opening(sink *s, const char *name, bool in_place, bool keep_partial, mpp_error *err)
{
    s->errand = opening_begin(name, in_place, keep_partial, &s->opening);
    if (!s->errand)
        return io_error(err, errno, "cannot open %s", s->name);
    s->state = SINK_OPENING;
    return 0;
}

/* It is open: what may keep us waiting gets a pump. */
static int take_over(sink *s, io *out)
{
    const mode_t type = io_type(out->fd);
    s->reader = type == S_IFREG || type == S_IFBLK ? -1 : out->fd;
    s->out = *out;
    if (out->kind == IO_SLEEPS) {
        s->pump = pump_begin(out->fd);
        if (!s->pump)
            return -1;
        s->out = (io){pump_fd(s->pump), IO_NEVER_BLOCKS};
    }
    out->fd = -1; /* it is ours now */
    return 0;
}

/* A command is given it; else it is ours to write. */
static int open_to(sink *s, io *out)
{
    if (!s->argv && !s->shell)
        return take_over(s, out);
    s->command.output = out->fd;
    s->state = SINK_IDLE;
    out->fd = -1;
    return 0;
}

static void look_at_opening(sink *s)
{
    opening *o = s->opening;
    mpp_error err;
    if (!errand_done(s->errand))
        return;
    s->state = SINK_OPEN;
    s->device = o->device;
    s->inode = o->inode;
    s->contended = o->contended;
    s->file = o->file;
    o->file = NULL;
    if (o->failure || open_to(s, &o->out) < 0) {
        io_error(&err, o->failure ? o->failure : errno, o->name ? "cannot write '%s'" : "cannot write to %s", s->name);
        break_sink(s, MPP_S_ERROR, &err);
    }
    errand_end(&s->errand);
}

int sink_open_stdout(sink *s, mpp_error *err)
{
    init_sink(s, "standard output");
    s->to_stdout = true;
    if (io_type(STDOUT_FILENO) == S_IFREG)
        return begin_opening(s, NULL, true, false, err);
    if (io_open(&s->out, STDOUT_FILENO, IO_WRITE) < 0 || take_over(s, &(io){s->out.fd, s->out.kind}) < 0)
        return io_error(err, errno, "standard output");
    return 0;
}

int sink_open_file(sink *s, char *name, bool in_place, bool keep_partial, mpp_error *err)
{
    init_sink(s, name);
    s->file_name = name;
    return begin_opening(s, name, in_place, keep_partial, err);
}

bool sink_unread(const sink *s)
{
    return s->state == SINK_OPENING && s->opening && atomic_load(&s->opening->unread);
}

/* Another of ours that has the same file open. */
static sink *owner_of(sink *sinks, unsigned n, const sink *s)
{
    for (unsigned i = 0; i < n; i++)
        if (!sinks[i].contended && sinks[i].inode == s->inode && sinks[i].device == s->device)
            return &sinks[i];
    return NULL;
}

/* Where the file has no name yet, ours is the one that the owner has.  0, or -1 with errno. */
static int share(sink *s, const sink *owner)
{
    if (!owner->file)
        return 0;
    io out = {fcntl(owner->file->fd, F_DUPFD_CLOEXEC, 0), owner->pump ? IO_SLEEPS : IO_NEVER_BLOCKS};
    if (out.fd < 0)
        return -1;
    if (take_over(s, &out) == 0)
        return 0;
    const int why = errno;
    close(out.fd);
    errno = why;
    return -1;
}

void sink_settle(sink *sinks, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        mpp_error err;
        sink *s = &sinks[i], *owner;
        if ((s->state != SINK_OPEN && s->state != SINK_IDLE) || !s->contended)
            continue;
        if (s->state == SINK_OPEN && (owner = owner_of(sinks, n, s)) && share(s, owner) == 0)
            continue;
        io_error(&err, 0, "'%s' is being written by another process; each needs an output of its own", sinks[i].name);
        break_sink(&sinks[i], MPP_S_ERROR, &err);
    }
}

void sink_open_command(sink *s, char *const *argv, const char *shell)
{
    if (!s->errand) {
        init_sink(s, argv ? argv[0] : shell);
        s->state = SINK_IDLE;
        s->to_stdout = true;
    }
    s->argv = argv;
    s->shell = shell;
}

/* What the command was given, or was to be. */
static void close_output(sink *s)
{
    if (s->command.output >= 0)
        close(s->command.output);
    s->command.output = -1;
}

int sink_start(sink *s, mpp_error *err)
{
    int spawned = s->argv ? command_spawn(&s->command, s->argv, COMMAND_WRITE, NULL, err)
                          : command_shell(&s->command, s->shell, COMMAND_WRITE, NULL, err);
    close_output(s);
    if (spawned < 0)
        return -1;
    s->name = s->argv ? s->argv[0] : s->shell;
    s->has_command = true;
    s->state = SINK_OPENING; /* until it is executed: nothing is asked for on behalf of one that cannot be */
    s->out = (io){s->command.fd, IO_NEVER_BLOCKS}; /* non-blocking, and ours alone */
    s->reader = s->command.fd;
    return 0;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

unsigned sink_watch(const sink *s, struct pollfd set[SINK_WATCHED])
{
    unsigned n = 0;
    const bool full = !sink_empty(s);
    if (s->state == SINK_OPENING) {
        set[n++] = (struct pollfd){.fd = -1};
        set[n++] = (struct pollfd){.fd = s->has_command ? s->command.report : errand_fd(s->errand), .events = POLLIN};
    }
    if (s->state == SINK_OPEN && !s->linger_until) {
        set[n++] = (struct pollfd){.fd = s->reader, .events = full && !s->pump ? POLLOUT : 0};
        if (s->pump)
            set[n++] = (struct pollfd){.fd = pump_fd(s->pump), .events = full ? POLLOUT : 0};
    }
    if (s->naming)
        set[n++] = (struct pollfd){.fd = errand_fd(s->naming), .events = POLLIN};
    if (s->pump && s->state == SINK_OPEN)
        set[n++] = (struct pollfd){.fd = pump_news(s->pump), .events = POLLIN};
    return n;
}

/* ---- writing ------------------------------------------------------------------------------------ */

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

static void break_by_command(sink *s)
{
    mpp_error err = {.status = MPP_S_ERROR};
    command_status_text(&s->command, err.text, sizeof err.text);
    break_sink(s, command_failure(&s->command), &err);
}

static bool reader_gone(const sink *s)
{
    struct pollfd p = {.fd = s->reader};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}

static void close_by_reader(sink *s)
{
    s->state = SINK_CLOSED_BY_READER;
    drop(s);
}

static void break_by_write(sink *s, int failure)
{
    mpp_error err;
    io_error(&err, failure, "cannot write to %s", s->name);
    break_sink(s, MPP_S_ERROR, &err);
}

/* What the thread behind a pump met. */
static void look_at_pump(sink *s)
{
    int failure;
    if (!pump_through(s->pump, &failure) || failure == 0)
        return;
    if (failure == EPIPE)
        close_by_reader(s);
    else
        break_by_write(s, failure);
}

void sink_check(sink *s, const ok_list *ok)
{
    if (s->state == SINK_OPENING && s->has_command) {
        command_reap(&s->command);
        s->state = command_begun(&s->command) ? SINK_OPEN : SINK_OPENING;
    } else if (s->state == SINK_OPENING) {
        look_at_opening(s);
    }
    if (s->state == SINK_OPENING)
        return;
    if (s->state != SINK_OPEN) {
        command_reap(&s->command); /* or its end would be news for ever */
        return;
    }
    if (s->has_command) {
        if (!s->linger_until && reader_gone(s))
            s->linger_until = mpp_now() + LINGER_MS * INT64_C(1000000);
        if (command_reap(&s->command)) {
            if (!command_ok(&s->command, ok)) {
                break_by_command(s);
            } else {
                close_by_reader(s);
            }
        } else if (s->linger_until && mpp_now() >= s->linger_until) {
            close_by_reader(s); /* it closed its stdin and goes on: that is enough */
        }
        return;
    }
    if (s->pump)
        look_at_pump(s);
    if (s->state == SINK_OPEN && reader_gone(s))
        close_by_reader(s);
}

static void take_write_failure(sink *s, const ok_list *ok)
{
    mpp_error err;
    if (errno == EPIPE) {
        sink_check(s, ok);
        return;
    }
    if (errno != EFAULT) {
        break_by_write(s, errno);
        return;
    }
    /* the kernel met the end of a truncated segment before we did */
    io_error(&err, 0, "the mesh's segment was truncated under us");
    err.status = MPP_S_CORRUPT;
    break_sink(s, (int)err.status, &err);
}

/* One piece.  false: it is not through. */
static bool write_piece(sink *s, const unsigned char *data, size_t n, size_t *written, const ok_list *ok)
{
    ssize_t got = io_write(&s->out, data, n);
    *written = got > 0 ? (size_t)got : 0;
    if (got < 0 && errno != EAGAIN)
        take_write_failure(s, ok);
    return (size_t)*written == n;
}

bool sink_write(sink *s, const ok_list *ok)
{
    size_t n;
    if (s->linger_until)
        sink_check(s, ok);
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
    if (sink_closed(s))
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
    s->out.fd = s->reader = -1;
}

/* false: the thread still writes. */
static bool finish_pump(sink *s)
{
    int failure;
    pump_end(s->pump);
    s->out.fd = s->reader = -1; /* the pump closes its descriptor */
    if (s->state == SINK_OPEN)
        look_at_pump(s);
    if (s->state == SINK_OPEN && !pump_through(s->pump, &failure))
        return false;
    pump_close(&s->pump);
    return true;
}

static bool finish_command(sink *s, const ok_list *ok)
{
    if (!command_reap(&s->command))
        return false;
    if (s->state != SINK_BROKEN && !command_ok(&s->command, ok))
        break_by_command(s);
    command_close(&s->command);
    return true;
}

bool sink_finish(sink *s, const ok_list *ok)
{
    sink_end(s);
    if ((s->pump && !finish_pump(s)) || (s->has_command && !finish_command(s, ok)))
        return false;
    if (io_close(&s->out) < 0 && s->state == SINK_OPEN)
        break_by_write(s, errno);
    return true;
}

/* ---- a name for it ------------------------------------------------------------------------------- */

/* What the errand does, and how that went. */
typedef struct naming {
    outfile *file;
    int failure; /* errno, 0: it has its name */
} naming;

static void name_it(const errand *self, void *arg)
{
    naming *n = arg;
    (void)self;
    n->failure = outfile_name(n->file) < 0 ? errno : 0;
}

static void drop_it(const errand *self, void *arg)
{
    naming *n = arg;
    (void)self;
    outfile_free(n->file);
    n->file = NULL;
}

static void naming_free(void *arg)
{
    naming *n = arg;
    outfile_free(n->file);
    free(n);
}

/* The file is the errand's from here on.  NULL with errno. */
static errand *begin_naming(sink *s, void (*run)(const errand *self, void *arg))
{
    naming *n = malloc(sizeof *n);
    if (!n)
        return NULL;
    *n = (naming){.file = s->file};
    errand *e = errand_begin(run, naming_free, n);
    if (!e) {
        free(n);
        return NULL;
    }
    s->file = NULL;
    s->named = n;
    return e;
}

void sink_name(sink *s)
{
    if (s->file && !s->contended && !(s->naming = begin_naming(s, name_it)))
        break_by_write(s, errno);
}

bool sink_named(sink *s)
{
    mpp_error err;
    if (!s->naming || !errand_done(s->naming))
        return !s->naming;
    if (s->named->failure) {
        io_error(&err, s->named->failure, "cannot give '%s' its name", s->named->file->path);
        break_sink(s, MPP_S_ERROR, &err);
    }
    errand_end(&s->naming);
    return true;
}

/* One that has its name, or is to have none. */
static void drop_file(sink *s)
{
    errand *e = s->file ? begin_naming(s, drop_it) : NULL;
    if (e)
        message_await(e);
    errand_end(&e);
}

void sink_free(sink *s)
{
    drop_file(s);
    close_output(s);
    errand_end(&s->naming);
    errand_end(&s->errand);
    pump_close(&s->pump);
    free(s->file_name);
    free(s->staged);
    s->file_name = NULL;
    s->staged = NULL;
    s->staged_at = s->staged_have = s->staged_size = 0;
}

void sink_abort(sink *s)
{
    if (!s->has_command)
        return;
    command_stop(&s->command);
    command_finish(&s->command);
    command_close(&s->command);
}
