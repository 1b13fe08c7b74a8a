#include "produce/input.h"

#include "command/spawn.h"
#include "produce/reader.h"
#include "produce/slice.h"

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
    int64_t size; /* bytes; 0 where it has none, or says so */
    mode_t mode;  /* 0: stat(2) failed; opening it will say why */
    dev_t dev;
    ino_t ino;
    bool sized; /* its size can be known */
    bool quick; /* opening it takes no time: it needs no reader */
    bool cut;   /* of this file we read a range */
} item;

struct input {
    input_options options;
    char *names; /* what was read of files0_from */
    item *items;
    size_t n, next;
    bool measured;     /* size and mode of the items are known */
    off_t stdin_at;    /* where stdin stood at first; -1: it cannot be sought */
    mode_t stdin_mode; /* what stdin was at first */
    bool stdin_sleeps; /* a read of it may, see reader_sleeps() */
    unsigned part, parts;
    mpp_format format;
    uint64_t max_record;
    uint32_t what, how; /* see input_identity() */
    input_piece piece;
    char *piece_name; /* of a piece that is not a whole file; NULL: another name serves */
    command command;  /* behind the piece, when piece.command says so */
    reader reader;
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

/* A descriptor of ours by its name, such as that of <(COMMAND): nobody else has it. */
static bool is_descriptor(const char *name)
{
    static const char *const places[] = {"/dev/fd/", "/dev/std", "/proc/self/fd/"};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
        if (strncmp(name, places[i], strlen(places[i])) == 0)
            return true;
    return false;
}

static int add_name(input *in, const char *name, mpp_error *err)
{
    if ((in->n & (in->n - 1)) == 0) { /* full: it grows at every power of two */
        item *items = realloc(in->items, (in->n ? 2 * in->n : 1) * sizeof *items);
        if (!items)
            return io_error(err, ENOMEM, "cannot list the files");
        in->items = items;
    }
    in->items[in->n++] = (item){.name = name, .quick = is_descriptor(name)};
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

static void measure_item(const input *in, item *it)
{
    struct stat st;
    if ((is_stdin(it) ? fstat(STDIN_FILENO, &st) : stat(it->name, &st)) < 0)
        return;
    it->mode = st.st_mode;
    it->dev = st.st_dev;
    it->ino = st.st_ino;
    it->sized = is_stdin(it) ? S_ISREG(st.st_mode) : reader_sized(it->name, &st);
    it->size = it->sized ? st.st_size : 0;
    it->quick |= !is_stdin(it) && reader_quick(it->name, &st);
    if (is_stdin(it) && in->stdin_at > 0)
        it->size -= it->size < in->stdin_at ? it->size : in->stdin_at;
}

static void measure(input *in)
{
    for (size_t i = 0; i < in->n && !in->measured; i++)
        measure_item(in, &in->items[i]);
    in->measured = true;
}

/* Later a look at it could keep us waiting. */
static void look_at_stdin(input *in)
{
    struct stat st;
    in->stdin_at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (fstat(STDIN_FILENO, &st) < 0)
        return;
    in->stdin_mode = st.st_mode;
    in->stdin_sleeps = reader_sleeps(STDIN_FILENO, &st);
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
    made->piece.io = (io)IO_INIT;
    made->command = (command)COMMAND_INIT;
    made->reader = (reader)READER_INIT;
    if (make_list(made, err) < 0) {
        input_destroy(&made);
        return -1;
    }
    look_at_stdin(made);
    if (o->slice || o->sizes)
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

/* A file that says it is empty is not cut: whoever is dealt it reads what there is. */
static bool is_cut(const input *in, const item *it)
{
    const input_options *o = &in->options;
    if (it->mode && it->size == 0 && S_ISREG(it->mode))
        return false;
    if (o->by == INPUT_BY_FITNESS)
        return in->n < in->parts && !o->filter && !slice_compressed(it->name);
    return o->by == INPUT_BY_BYTES && in->parts > 1;
}

static int choose_cut(input *in, item *it, mpp_error *err)
{
    if (is_stdin(it))
        return usage(err, io_error(err, 0, "--slice needs FILEs: standard input ('-') cannot be shared"));
    it->cut = is_cut(in, it);
    if (it->cut && S_ISDIR(it->mode))
        return io_error(err, EISDIR, "cannot read '%s'", it->name);
    if (it->cut && it->mode && !S_ISREG(it->mode))
        return usage(err, io_error(err, 0,
                                   "cannot cut '%s' in byte ranges, as it is not a regular file; "
                                   "use --slice-by files",
                                   it->name));
    if (in->options.by == INPUT_BY_BYTES && in->parts > 1 && S_ISREG(it->mode) && !it->sized)
        return usage(err, io_error(err, 0,
                                   "cannot cut '%s' in byte ranges, as its size is not known before it is read; "
                                   "use --slice-by files",
                                   it->name));
    return 0;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint32_t fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

/* owner: of the files that are not cut, in their order. */
static void identify(input *in, const unsigned owner[])
{
    uint64_t what = mix(0, in->parts), how = 0;
    for (size_t i = 0; i < in->n; i++) {
        const item *it = &in->items[i];
        const uint64_t file = mix(mix(1, it->dev), it->ino);
        what += file; /* in whatever order */
        how = mix(mix(how, file), it->cut ? (uint64_t)it->size : ~(uint64_t)*owner++);
    }
    in->what = fold(what) ? fold(what) : 1;
    in->how = fold(how);
}

void input_identity(const input *in, uint32_t *what, uint32_t *how)
{
    *what = in->what;
    *how = in->how;
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
    if (dealt)
        identify(in, owner);
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
    for (size_t i = 0; i < in->n; i++)
        if (choose_cut(in, &in->items[i], err) < 0)
            return -1;
    return keep_ours(in, err);
}

/* ---- in the reader ------------------------------------------------------------------------------- */

/* A FIFO that has a name may have no writer yet, which a filter would take for the end of its input. */
static bool is_named_fifo(int fd, const struct stat *st)
{
    struct statfs fs;
    return S_ISFIFO(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type != PIPEFS_MAGIC;
}

/* What was measured is what was shared out, whatever has become of the file since.  (Numbers of files are kept by the
 * file systems of disks.) */
static int check_share(const item *it, const struct stat *st, bool sleeps, mpp_error *err)
{
    if (it->cut && !it->mode)
        return io_error(err, 0, "'%s' was not there when the shares were made", it->name);
    if (it->size > 0 && !sleeps && (st->st_dev != it->dev || st->st_ino != it->ino))
        return io_error(err, 0, "'%s' is another file than when the shares were made", it->name);
    return 0;
}

/* Move to our share of an open file. */
static int seek_share(const input *in, const item *it, reader_file *f, mpp_error *err)
{
    int64_t to;
    if (it->size > 0)
        f->left = it->size;
    if (!it->cut)
        return 0;
    if (slice_range(f->io.fd, it->size, in->part, in->parts, &in->format, in->max_record, &f->from, &to) < 0 ||
        lseek(f->io.fd, f->from, SEEK_SET) < 0)
        return io_error(err, errno, "cannot read '%s'", it->name);
    f->left = to - f->from;
    return 0;
}

static int prepare(const input *in, const item *it, const struct stat *st, reader_file *f, mpp_error *err)
{
    const bool filtered = in->options.filter;
    const bool sleeps = reader_sleeps(f->io.fd, st);
    if (in->options.slice && (check_share(it, st, sleeps, err) < 0 || seek_share(in, it, f, err) < 0))
        return -1;
    if (filtered && is_named_fifo(f->io.fd, st))
        return io_error(err, 0, "'%s' is a FIFO, which --filter cannot take; use: -- sh -c 'FILTER < FIFO'", it->name);
    f->copied = sleeps || (filtered && f->left >= 0);
    return 0;
}

static int open_in_reader(const void *arg, size_t which, int given, reader_file *f, mpp_error *err)
{
    const input *in = arg;
    const item *it = &in->items[which];
    struct stat st;
    if (given >= 0) {
        *f = (reader_file){.io = {given, IO_NEVER_BLOCKS}, .left = -1, .copied = true};
        return 0;
    }
    if (io_open_file(&f->io, it->name, &st, err) < 0)
        return -1;
    if (prepare(in, it, &st, f, err) == 0)
        return 0;
    close(f->io.fd);
    return -1;
}

/* ---- pieces -------------------------------------------------------------------------------------- */

static void close_piece(input *in)
{
    input_piece *p = &in->piece;
    if (p->command)
        command_close(p->command);
    else if (p->io.fd != STDIN_FILENO || !S_ISREG(in->stdin_mode)) /* which may be read again */
        io_close(&p->io);
    *p = (input_piece){.io = IO_INIT};
}

static void set_command_piece(input *in, const char *name)
{
    in->piece = (input_piece){{in->command.fd, IO_NEVER_BLOCKS}, -1, name, &in->command};
}

static input_outcome open_command(input *in, mpp_error *err)
{
    const input_options *o = &in->options;
    in->command.input = o->stdin_null ? COMMAND_STDIN_NULL : COMMAND_STDIN_OURS;
    int started = o->argv ? command_spawn(&in->command, o->argv, COMMAND_READ, NULL, err)
                          : command_shell(&in->command, o->shell, COMMAND_READ, NULL, err);
    if (started < 0)
        return INPUT_FAILED;
    set_command_piece(in, in->command.text);
    return INPUT_OPENED;
}

/* Put the filter behind `from`, a descriptor or COMMAND_STDIN_OURS. */
static input_outcome start_filter(input *in, const char *name, int from, mpp_error *err)
{
    char *variable = NULL;
    int started = -1;
    if (asprintf(&variable, "MPP_FILE=%s", name) < 0) {
        io_error(err, ENOMEM, "cannot filter '%s'", name);
        return INPUT_FAILED;
    }
    in->command.input = from;
    started = command_shell(&in->command, in->options.filter, COMMAND_READ, (const char *[]){variable, NULL}, err);
    free(variable);
    if (started < 0)
        return INPUT_FAILED;
    set_command_piece(in, name);
    return INPUT_OPENED;
}

static input_outcome ask(input *in, const item *it, int given, mpp_error *err)
{
    const char *name = given < 0 ? it->name : standard_input;
    const size_t which = (size_t)(it - in->items);
    return reader_ask(&in->reader, open_in_reader, in, which, name, given, err) < 0 ? INPUT_FAILED : INPUT_OPENING;
}

/* What poll(2) says of a descriptor that others read, too, is over when we come to read it. */
static input_outcome open_stdin(input *in, const item *it, mpp_error *err)
{
    if (in->options.filter)
        return start_filter(in, it->name, COMMAND_STDIN_OURS, err);
    io file = {STDIN_FILENO, IO_POLLED};
    if (!in->stdin_sleeps && io_open(&file, STDIN_FILENO, IO_READ) < 0) {
        io_error(err, errno, "cannot read standard input");
        return INPUT_FAILED;
    }
    if (file.kind == IO_NEVER_BLOCKS) {
        in->piece = (input_piece){.io = file, .left = -1, .name = standard_input};
        return INPUT_OPENED;
    }
    const input_outcome outcome = ask(in, it, STDIN_FILENO, err);
    if (outcome == INPUT_OPENING && !S_ISREG(in->stdin_mode))
        io_close(&file); /* so that its writer sees when the reader has gone */
    return outcome;
}

/* For messages: offsets are counted from where the piece begins. */
static const char *name_of(input *in, const item *it, int64_t from)
{
    free(in->piece_name);
    if (from == 0 || asprintf(&in->piece_name, "%s (from byte %lld on)", it->name, (long long)from) < 0)
        in->piece_name = NULL;
    if (in->piece_name)
        return in->piece_name;
    return is_stdin(it) ? standard_input : it->name;
}

static input_outcome filter_file(input *in, const item *it, reader_file *f, mpp_error *err)
{
    const input_outcome outcome = start_filter(in, it->name, f->io.fd, err);
    io_close(&f->io);
    return outcome;
}

static input_outcome take_file(input *in, const item *it, reader_file *f, mpp_error *err)
{
    if (in->options.filter && f->left != 0)
        return filter_file(in, it, f, err);
    if (f->copied)
        fcntl(f->io.fd, F_SETFL, O_NONBLOCK);
    in->piece = (input_piece){f->io, f->left, name_of(in, it, f->from), NULL};
    return INPUT_OPENED;
}

static input_outcome take_answer(input *in, const item *it, mpp_error *err)
{
    reader_file f;
    const int answered = reader_answer(&in->reader, &f, err);
    if (answered <= 0)
        return answered < 0 ? INPUT_FAILED : INPUT_OPENING;
    return take_file(in, it, &f, err);
}

/* Without a reader, unless it turns out that one has to copy it. */
static input_outcome open_file(input *in, const item *it, mpp_error *err)
{
    reader_file f = {.io = IO_INIT, .left = -1};
    if (it->quick && open_in_reader(in, (size_t)(it - in->items), -1, &f, err) < 0)
        return INPUT_FAILED;
    if (it->quick && !f.copied)
        return take_file(in, it, &f, err);
    const int asked = reader_ask(&in->reader, open_in_reader, in, (size_t)(it - in->items), it->name,
                                 is_descriptor(it->name) ? f.io.fd : -1, err);
    io_close(&f.io);
    return asked < 0 ? INPUT_FAILED : INPUT_OPENING;
}

static input_outcome open_item(input *in, const item *it, mpp_error *err)
{
    if (is_command(in))
        return open_command(in, err);
    return is_stdin(it) ? open_stdin(in, it, err) : open_file(in, it, err);
}

input_outcome input_open_next(input *in, input_piece **piece, mpp_error *err)
{
    input_outcome outcome;
    do {
        if (in->reader.busy) {
            outcome = take_answer(in, &in->items[in->next - 1], err);
            continue;
        }
        close_piece(in);
        if (in->next == in->n)
            return INPUT_NONE;
        outcome = open_item(in, &in->items[in->next++], err);
    } while (outcome == INPUT_OPENED && in->piece.left == 0); /* an empty range */
    *piece = &in->piece;
    return outcome;
}

int input_fd(const input *in)
{
    return in->reader.fd;
}

int input_ended(input *in, mpp_error *err)
{
    int64_t missing;
    const char *name = in->piece.name;
    const int ended = reader_ended(&in->reader, &missing, err);
    if (ended < 0)
        return -1;
    /* A filter, or a range that was read, may have had enough; whatever else ends before its reader says so waits
     * for that. */
    if (ended > 0 && in->piece.left != 0 && !(in->piece.command && reader_lives(&in->reader)))
        return 1;
    if (in->piece.left > 0)
        missing = in->piece.left;
    if (missing == 0)
        return 0;
    return io_error(err, 0, "'%s' became shorter while it was read: %lld byte%s missing", name, (long long)missing,
                    missing == 1 ? " is" : "s are");
}

void input_stop(input *in)
{
    in->next = in->n;
    reader_stop(&in->reader);
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
    reader_end(&(*in)->reader);
    free((*in)->piece_name);
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
        if (!in->items[i].sized)
            return -1;
        total += share(in, &in->items[i]);
    }
    return total;
}

static bool item_rewindable(const input *in, const item *it)
{
    return is_stdin(it) ? S_ISREG(in->stdin_mode) : !S_ISFIFO(it->mode);
}

bool input_rewindable(input *in)
{
    if (is_command(in))
        return true;
    measure(in);
    for (size_t i = 0; i < in->n; i++)
        if (!item_rewindable(in, &in->items[i]))
            return false;
    return true;
}

int input_rewind(input *in, mpp_error *err)
{
    close_piece(in);
    if (!input_rewindable(in))
        return io_error(err, 0, "the input cannot be read twice, as it is not a file or command");
    if (!is_command(in) && in->stdin_at >= 0 && S_ISREG(in->stdin_mode))
        lseek(STDIN_FILENO, in->stdin_at, SEEK_SET);
    in->next = 0;
    return 0;
}
