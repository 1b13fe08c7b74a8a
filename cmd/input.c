#include "input.h"

#include "slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char standard_input[] = "standard input";

/* One entry of the list. */
typedef struct item {
    const char *name;
    int64_t size; /* bytes; 0 where it has none */
    mode_t mode;  /* 0: stat(2) failed; opening it will say why */
    bool cut;     /* of this file we read a range */
} item;

struct input {
    input_options options;
    char *names; /* what was read of files0_from */
    item *items;
    size_t n, next;
    bool measured;  /* size and mode of the items are known */
    off_t stdin_at; /* where stdin stood at first; -1: it cannot be sought */
    unsigned part, parts;
    mpp_format format;
    uint64_t max_record;
    input_piece piece;
    command command; /* behind the piece, when piece.command says so */
};

/* What failed is the caller's choice of options. */
static int usage(mpp_error *err, int failed)
{
    if (err)
        err->status = MPP_S_USAGE;
    return failed;
}

static bool is_command(const input *in)
{
    return in->options.argv || in->options.shell;
}

static bool is_stdin(const item *it)
{
    return strcmp(it->name, "-") == 0;
}

/* ---- the list ------------------------------------------------------------------------------------ */

static int add_name(input *in, const char *name, mpp_error *err)
{
    if ((in->n & (in->n - 1)) == 0) { /* full: it grows at every power of two */
        item *items = realloc(in->items, (in->n ? 2 * in->n : 1) * sizeof *items);
        if (!items)
            return io_error(err, ENOMEM, "cannot list the files");
        in->items = items;
    }
    in->items[in->n++] = (item){.name = name};
    return 0;
}

/* All of fd, with a NUL behind it, in memory of its own; NULL with errno. */
static char *read_all(int fd, size_t *n)
{
    size_t room = 0;
    ssize_t k = 1;
    char *data = NULL;
    for (*n = 0; k != 0; *n += k > 0 ? (size_t)k : 0) {
        if (room - *n < 2) {
            char *larger = realloc(data, room = 2 * room + 65536);
            if (!larger)
                break;
            data = larger;
        }
        k = read(fd, data + *n, room - *n - 1);
        if (k < 0 && errno != EINTR)
            break;
    }
    if (k == 0) {
        data[*n] = '\0';
        return data;
    }
    free(data);
    return NULL;
}

static int add_names(input *in, size_t size, mpp_error *err)
{
    const char *from = in->options.files0_from;
    for (const char *p = in->names; p < in->names + size; p += strlen(p) + 1) {
        if (*p == '\0')
            return io_error(err, 0, "'%s': file name number %zu is empty", from, in->n + 1);
        if (strcmp(p, "-") == 0 && strcmp(from, "-") == 0)
            return usage(err, io_error(err, 0, "standard input cannot be both the list of files and a file"));
        if (add_name(in, p, err) < 0)
            return -1;
    }
    return 0;
}

static int read_names(input *in, mpp_error *err)
{
    const char *from = in->options.files0_from;
    bool standard = strcmp(from, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t size = 0;
    if (fd >= 0)
        in->names = read_all(fd, &size);
    int failure = errno;
    if (fd >= 0 && !standard)
        close(fd);
    if (!in->names)
        return io_error(err, failure, "cannot read '%s'", from);
    return add_names(in, size, err);
}

static int make_list(input *in, mpp_error *err)
{
    const input_options *o = &in->options;
    if (o->files0_from)
        return read_names(in, err);
    for (size_t i = 0; i < o->n_files; i++)
        if (add_name(in, o->files[i], err) < 0)
            return -1;
    return o->n_files ? 0 : add_name(in, "-", err); /* also where it stands for a command */
}

static int check_options(const input_options *o, mpp_error *err)
{
    if ((o->argv || o->shell) && (o->n_files || o->files0_from || o->filter || o->slice))
        return usage(err, io_error(err, 0, "a command takes no %s",
                                   o->filter  ? "--filter"
                                   : o->slice ? "--slice"
                                              : "files beside it"));
    if (o->n_files && o->files0_from)
        return usage(err, io_error(err, 0, "'%s': no other files beside --files0-from", o->files[0]));
    if (o->slice && !o->n_files && !o->files0_from)
        return usage(err, io_error(err, 0, "--slice needs FILEs: standard input cannot be shared"));
    return 0;
}

static void measure(input *in)
{
    if (in->measured)
        return;
    for (size_t i = 0; i < in->n; i++) {
        item *it = &in->items[i];
        struct stat st;
        if ((is_stdin(it) ? fstat(STDIN_FILENO, &st) : stat(it->name, &st)) < 0)
            continue;
        it->mode = st.st_mode;
        it->size = S_ISREG(st.st_mode) ? st.st_size : 0;
        if (is_stdin(it) && in->stdin_at > 0)
            it->size -= it->size < in->stdin_at ? it->size : in->stdin_at;
    }
    in->measured = true;
}

int input_create(const input_options *o, input **in, mpp_error *err)
{
    if (check_options(o, err) < 0)
        return -1;
    input *made = calloc(1, sizeof *made);
    if (!made)
        return io_error(err, ENOMEM, "cannot list the files");
    made->options = *o;
    made->parts = 1;
    made->stdin_at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    made->piece.io = (io)IO_INIT;
    made->command = (command)COMMAND_INIT;
    if (make_list(made, err) < 0) {
        input_destroy(&made);
        return -1;
    }
    if (o->slice)
        measure(made);
    *in = made;
    return 0;
}

/* ---- slices -------------------------------------------------------------------------------------- */

int input_parse_slice(const char *text, unsigned *part, unsigned *parts)
{
    unsigned long long k, n; /* what so few digits can say fits */
    int used = 0;
    if (strspn(text, "0123456789/") != strlen(text) || strlen(text) > 12)
        return -1;
    if (sscanf(text, "%llu/%llu%n", &k, &n, &used) != 2 || text[used] || k >= n || n > UINT_MAX)
        return -1;
    *part = (unsigned)k;
    *parts = (unsigned)n;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const item *i = a, *j = b;
    return strcmp(i->name, j->name);
}

static bool is_cut(const input *in, const item *it)
{
    const input_options *o = &in->options;
    if (o->by == INPUT_BY_FITNESS)
        return in->n < in->parts && !o->filter && !slice_compressed(it->name);
    return o->by == INPUT_BY_BYTES && in->parts > 1;
}

static int choose_cut(input *in, mpp_error *err)
{
    for (size_t i = 0; i < in->n; i++) {
        item *it = &in->items[i];
        if (is_stdin(it))
            return usage(err, io_error(err, 0, "--slice needs FILEs: standard input ('-') cannot be shared"));
        it->cut = is_cut(in, it);
        if (it->cut && it->mode && !S_ISREG(it->mode))
            return usage(err, io_error(err, 0,
                                       "cannot cut '%s' in byte ranges, as it is not a regular file; "
                                       "use --slice-by files",
                                       it->name));
    }
    return 0;
}

/* Of the files that are not cut, keep those that the deal gives us. */
static int keep_ours(input *in, mpp_error *err)
{
    int64_t *sizes = calloc(in->n + 1, sizeof *sizes);
    unsigned *owner = calloc(in->n + 1, sizeof *owner);
    size_t whole = 0, kept = 0;
    for (size_t i = 0; sizes && i < in->n; i++)
        if (!in->items[i].cut)
            sizes[whole++] = in->items[i].size;
    bool dealt = sizes && owner && slice_deal(sizes, whole, in->parts, owner) == 0;
    whole = 0;
    for (size_t i = 0; dealt && i < in->n; i++)
        if (in->items[i].cut || owner[whole++] == in->part)
            in->items[kept++] = in->items[i];
    free(sizes);
    free(owner);
    if (!dealt)
        return io_error(err, ENOMEM, "cannot share the files");
    in->n = kept;
    return 0;
}

int input_slice(input *in, unsigned part, unsigned parts, const mpp_format *f, uint64_t max_record, mpp_error *err)
{
    in->part = part;
    in->parts = parts;
    in->format = *f;
    in->max_record = max_record;
    qsort(in->items, in->n, sizeof *in->items, by_name);
    return choose_cut(in, err) < 0 ? -1 : keep_ours(in, err);
}

/* ---- pieces -------------------------------------------------------------------------------------- */

static bool stdin_regular(void)
{
    struct stat st;
    return fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

static void close_piece(input *in)
{
    input_piece *p = &in->piece;
    if (p->command)
        command_close(p->command);
    else if (p->io.fd != STDIN_FILENO || !stdin_regular()) /* which may be read again */
        io_close(&p->io);
    *p = (input_piece){.io = IO_INIT};
}

static void set_command_piece(input *in, const char *name)
{
    in->piece = (input_piece){{in->command.fd, IO_NEVER_BLOCKS}, -1, name, &in->command};
}

static int open_command(input *in, mpp_error *err)
{
    const input_options *o = &in->options;
    in->command.input = o->stdin_null ? COMMAND_STDIN_NULL : COMMAND_STDIN_OURS;
    int started = o->argv ? command_spawn(&in->command, o->argv, COMMAND_READ, NULL, err)
                          : command_shell(&in->command, o->shell, COMMAND_READ, NULL, err);
    if (started == 0)
        set_command_piece(in, in->command.text);
    return started;
}

/* The filter as it runs: behind head(1) where it gets a range only. */
static char *filter_text(const char *filter, int64_t left)
{
    char *text = NULL;
    int n =
        left < 0 ? asprintf(&text, "%s", filter) : asprintf(&text, "head -c %lld | {\n%s\n}", (long long)left, filter);
    return n < 0 ? NULL : text;
}

/* Put the filter behind `from`, a descriptor or COMMAND_STDIN_OURS, of which it gets `left` bytes. */
static int start_filter(input *in, const char *name, int from, int64_t left, mpp_error *err)
{
    char *variable = NULL;
    char *text = filter_text(in->options.filter, left);
    if (asprintf(&variable, "MPP_FILE=%s", name) < 0)
        variable = NULL;
    int started = -1;
    if (text && variable) {
        in->command.input = from;
        started = command_shell(&in->command, text, COMMAND_READ, (const char *[]){variable, NULL}, err);
    } else {
        io_error(err, ENOMEM, "cannot filter '%s'", name);
    }
    free(text);
    free(variable);
    if (started == 0)
        set_command_piece(in, name);
    return started;
}

static int open_stdin(input *in, mpp_error *err)
{
    if (in->options.filter)
        return start_filter(in, "-", COMMAND_STDIN_OURS, -1, err);
    in->piece = (input_piece){.io = IO_INIT, .left = -1, .name = standard_input};
    if (io_open(&in->piece.io, STDIN_FILENO, IO_READ) < 0)
        return io_error(err, errno, "cannot read standard input");
    return 0;
}

/* Move to our range of an open file.  *left: its bytes. */
static int seek_range(const input *in, const item *it, int fd, int64_t *left, mpp_error *err)
{
    int64_t from, to;
    if (!it->mode)
        return io_error(err, 0, "'%s' was not there when the shares were made", it->name);
    if (slice_range(fd, it->size, in->part, in->parts, &in->format, in->max_record, &from, &to) < 0 ||
        lseek(fd, from, SEEK_SET) < 0)
        return io_error(err, errno, "cannot read '%s'", it->name);
    *left = to - from;
    return 0;
}

/* A FIFO that has a name may have no writer yet, which a filter would take for the end of its input. */
static bool is_named_fifo(int fd)
{
    struct stat st;
    struct statfs fs;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type != PIPEFS_MAGIC;
}

static int filter_file(input *in, const item *it, io *file, int64_t left, mpp_error *err)
{
    int started = -1;
    if (is_named_fifo(file->fd))
        io_error(err, 0, "'%s' is a FIFO, which --filter cannot take; use: -- sh -c 'FILTER < FIFO'", it->name);
    else
        started = start_filter(in, it->name, file->fd, left, err);
    io_close(file);
    return started;
}

static int open_file(input *in, const item *it, mpp_error *err)
{
    io file;
    int64_t left = -1;
    if (io_open_file(&file, it->name, err) < 0)
        return -1;
    if (it->cut && seek_range(in, it, file.fd, &left, err) < 0) {
        io_close(&file);
        return -1;
    }
    if (in->options.filter && left != 0)
        return filter_file(in, it, &file, left, err);
    in->piece = (input_piece){file, left, it->name, NULL};
    return 0;
}

static int open_item(input *in, const item *it, mpp_error *err)
{
    if (is_command(in))
        return open_command(in, err);
    return is_stdin(it) ? open_stdin(in, err) : open_file(in, it, err);
}

int input_open_next(input *in, input_piece **piece, mpp_error *err)
{
    do {
        close_piece(in);
        if (in->next == in->n)
            return 0;
        if (open_item(in, &in->items[in->next++], err) < 0)
            return -1;
    } while (in->piece.left == 0); /* an empty range */
    *piece = &in->piece;
    return 1;
}

void input_stop(input *in)
{
    in->next = in->n;
    if (in->piece.command) {
        command_stop(in->piece.command);
        in->piece.io = (io)IO_INIT;
    } else {
        close_piece(in);
    }
}

void input_destroy(input **in)
{
    if (!*in)
        return;
    close_piece(*in);
    free((*in)->names);
    free((*in)->items);
    free(*in);
    *in = NULL;
}

/* ---- as a whole ---------------------------------------------------------------------------------- */

static int64_t share(const input *in, const item *it)
{
    return it->cut ? slice_cut(it->size, in->part + 1, in->parts) - slice_cut(it->size, in->part, in->parts) : it->size;
}

int64_t input_total_size(input *in)
{
    if (is_command(in) || in->options.filter)
        return -1;
    measure(in);
    int64_t total = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (!S_ISREG(in->items[i].mode))
            return -1;
        total += share(in, &in->items[i]);
    }
    return total;
}

static bool item_rewindable(const item *it)
{
    return is_stdin(it) ? stdin_regular() : !S_ISFIFO(it->mode);
}

bool input_rewindable(input *in)
{
    if (is_command(in))
        return true;
    measure(in);
    for (size_t i = 0; i < in->n; i++)
        if (!item_rewindable(&in->items[i]))
            return false;
    return true;
}

int input_rewind(input *in, mpp_error *err)
{
    close_piece(in);
    if (!input_rewindable(in))
        return io_error(err, 0, "the input cannot be read twice, as it is not a file or command");
    if (!is_command(in) && in->stdin_at >= 0 && stdin_regular())
        lseek(STDIN_FILENO, in->stdin_at, SEEK_SET);
    in->next = 0;
    return 0;
}
