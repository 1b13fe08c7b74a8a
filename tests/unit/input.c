/* Slices of an input: together they hold every record exactly once. */
#include "tap.h"

#include "command/status.h"
#include "common/signals.h"
#include "input/input.h"
#include "input/open.h"
#include "input/share.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 100, PARTS_MAX = 16, MAX_RECORD = 1 << 20, FIXED_SIZE = 24 };

static char directory[] = "/tmp/mpp-unit-input-XXXXXX";

/* Bytes that grow. */
typedef struct bytes {
    char *data;
    size_t n, room;
} bytes;

static void append(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->data = realloc(b->data, b->room);
    }
    if (n > 0)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void clear(bytes *b)
{
    free(b->data);
    *b = (bytes){0};
}

/* ---- formats, framed and taken apart independently of the library ---------------------------------- */

typedef struct format_case {
    const char *name;
    mpp_format format;
} format_case;

static const format_case formats[] = {
    {"lines", {MPP_DELIMITED, '\n', 0}},   {"NUL-terminated", {MPP_DELIMITED, '\0', 0}},
    {"fixed", {MPP_FIXED, 0, FIXED_SIZE}}, {"u32le", {MPP_U32LE, 0, 0}},
    {"u32be", {MPP_U32BE, 0, 0}},
};

enum { N_FORMATS = sizeof formats / sizeof *formats };

static void append_prefix(bytes *b, const mpp_format *f, uint32_t n)
{
    unsigned char p[4];
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned char)(n >> 8 * (f->kind == MPP_U32LE ? i : 3 - i));
    append(b, p, sizeof p);
}

static void append_record(bytes *b, const mpp_format *f, const char *body, size_t n)
{
    char fixed[FIXED_SIZE];
    switch (f->kind) {
    case MPP_DELIMITED:
        append(b, body, n);
        append(b, &f->delimiter, 1);
        break;
    case MPP_FIXED:
        memset(fixed, '.', sizeof fixed);
        memcpy(fixed, body, n < sizeof fixed ? n : sizeof fixed);
        append(b, fixed, sizeof fixed);
        break;
    case MPP_U32LE:
    case MPP_U32BE:
        append_prefix(b, f, (uint32_t)n);
        append(b, body, n);
        break;
    }
}

/* The length of the record at p, of n bytes that are there; 0: it is not whole. */
static size_t record_length(const mpp_format *f, const unsigned char *p, size_t n)
{
    size_t length = 0;
    if (f->kind == MPP_DELIMITED) {
        const unsigned char *end = memchr(p, f->delimiter, n);
        length = end ? (size_t)(end - p) + 1 : 0;
    } else if (f->kind == MPP_FIXED) {
        length = f->size;
    } else if (n >= 4) {
        bool little = f->kind == MPP_U32LE;
        length = 4;
        for (unsigned i = 0; i < 4; i++)
            length += (size_t)p[little ? i : 3 - i] << 8 * i;
    }
    return length <= n ? length : 0;
}

/* ---- records as a set ----------------------------------------------------------------------------- */

typedef struct record {
    const char *data;
    size_t n;
} record;

static int by_bytes(const void *a, const void *b)
{
    const record *i = a, *j = b;
    int order = memcmp(i->data, j->data, i->n < j->n ? i->n : j->n);
    return order ? order : i->n < j->n ? -1 : i->n > j->n;
}

/* The records of b, sorted; *n their number.  To be freed. */
static record *sorted(const bytes *b, const mpp_format *f, size_t *n)
{
    record *r = malloc((b->n + 1) * sizeof *r);
    size_t at = 0;
    for (*n = 0; at < b->n; ++*n) {
        size_t length = record_length(f, (const unsigned char *)b->data + at, b->n - at);
        if (length == 0)
            length = b->n - at;
        r[*n] = (record){b->data + at, length};
        at += length;
    }
    qsort(r, *n, sizeof *r, by_bytes);
    return r;
}

static bool same_records(const bytes *a, const bytes *b, const mpp_format *f)
{
    size_t n_a, n_b;
    record *of_a = sorted(a, f, &n_a), *of_b = sorted(b, f, &n_b);
    bool same = n_a == n_b;
    for (size_t i = 0; same && i < n_a; i++)
        same = by_bytes(&of_a[i], &of_b[i]) == 0;
    if (!same)
        diag("%zu records, %zu expected", n_a, n_b);
    free(of_a);
    free(of_b);
    return same;
}

/* Whether b is whole records and nothing else. */
static bool whole_records(const bytes *b, const mpp_format *f)
{
    size_t at = 0;
    while (at < b->n) {
        size_t length = record_length(f, (const unsigned char *)b->data + at, b->n - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

/* ---- files ---------------------------------------------------------------------------------------- */

typedef struct corpus {
    char *names[FILES_MAX];
    size_t n;
    bytes all;
} corpus;

static void write_file(const char *name, const bytes *b)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, b->data, b->n) != (ssize_t)b->n)
        diag("cannot write %s: %s", name, strerror(errno));
    close(fd);
}

/* Mostly short, now and then longer than any slice; sometimes empty. */
static size_t random_length(size_t least, bool long_ones)
{
    if (long_ones && tap_random(40) == 0)
        return least + (size_t)tap_random(300000);
    return least + (size_t)tap_random(40);
}

static void make_file(bytes *b, const mpp_format *f, size_t file, size_t records, bool long_ones)
{
    static char body[400000];
    memset(body, 'x', sizeof body);
    for (size_t i = 0; i < records; i++) {
        int id = snprintf(body, sizeof body, "%zu:%zu ", file, i);
        body[id] = 'x';
        append_record(b, f, body, tap_random(20) == 0 ? 0 : random_length((size_t)id, long_ones));
    }
}

static void make_corpus(corpus *c, const mpp_format *f, size_t n, const char *suffix, bool long_ones)
{
    *c = (corpus){.n = n};
    for (size_t i = 0; i < n; i++) {
        bytes b = {0};
        make_file(&b, f, i, (size_t)tap_random(n < 10 ? 500 : 20), long_ones);
        if (asprintf(&c->names[i], "%s/%zu%s", directory, i, suffix) < 0)
            abort();
        write_file(c->names[i], &b);
        append(&c->all, b.data, b.n);
        clear(&b);
    }
}

static void remove_corpus(corpus *c)
{
    for (size_t i = 0; i < c->n; i++) {
        unlink(c->names[i]);
        free(c->names[i]);
    }
    clear(&c->all);
}

static void shuffle(const char *names[], size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)tap_random(i);
        const char *name = names[i - 1];
        names[i - 1] = names[j];
        names[j] = name;
    }
}

/* ---- reading as a producer does -------------------------------------------------------------------- */

static input_outcome open_next(input *in, input_piece **piece, mpp_error *err)
{
    input_outcome outcome;
    while ((outcome = input_open_next(in, piece, err)) == INPUT_OPENING)
        poll(&(struct pollfd){input_fd(in), POLLIN, 0}, 1, -1);
    return outcome;
}

/* A file or a filter's pipe; the test may block. */
static void read_piece(input_piece *p, bytes *b)
{
    char block[65536];
    while (p->left != 0) {
        size_t want = p->left >= 0 && p->left < (int64_t)sizeof block ? (size_t)p->left : sizeof block;
        ssize_t n = read(p->io.fd, block, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){p->io.fd, POLLIN, 0}, 1, -1);
        else if (n <= 0)
            return;
        else
            append(b, block, (size_t)n);
        if (n > 0 && p->left > 0)
            p->left -= n;
    }
}

static bool ended_well(command *c)
{
    static const ok_list zero = OK_DEFAULT;
    while (!command_reap(c)) {
        poll(&(struct pollfd){signals_fd(), POLLIN, 0}, 1, -1);
        signals_caught();
    }
    return command_ok(c, &zero);
}

/* Everything that comes.  false, having said why, when a piece fails or is not whole records of f. */
static bool read_input(input *in, const mpp_format *f, bytes *b)
{
    input_piece *piece;
    mpp_error err;
    input_outcome opened;
    while ((opened = open_next(in, &piece, &err)) > 0) {
        bytes part = {0};
        read_piece(piece, &part);
        bool good =
            whole_records(&part, f) && (!piece->command || ended_well(piece->command)) && input_ended(in, &err) == 0;
        append(b, part.data, part.n);
        clear(&part);
        if (!good) {
            diag("%s: torn, or its filter failed", piece->name);
            return false;
        }
    }
    if (opened < 0)
        diag("%s", err.text);
    return opened == 0;
}

typedef struct slicing {
    input_by by;
    const char *filter;
    bool twice; /* each name is given twice */
} slicing;

static bool read_share(const corpus *c, const slicing *s, unsigned part, unsigned parts, const mpp_format *f, bytes *b)
{
    const char *names[2 * FILES_MAX];
    size_t n = s->twice ? 2 * c->n : c->n;
    for (size_t i = 0; i < n; i++)
        names[i] = c->names[i % c->n];
    shuffle(names, n);
    input_options o = {.files = names, .n_files = n, .slice = true, .by = s->by, .filter = s->filter};
    input *in;
    mpp_error err;
    bool good = input_create(&o, &in, &err) == 0;
    if (good) {
        good = input_slice(in, part, parts, f, MAX_RECORD, &err) == 0 && read_input(in, f, b);
        input_destroy(&in);
    }
    return good;
}

/* All shares of 1 to 16 participants; the first number that is wrong, or 0. */
static unsigned wrong_parts(const corpus *c, const slicing *s, const mpp_format *f, unsigned step)
{
    bytes expected = {0};
    append(&expected, c->all.data, c->all.n);
    if (s->twice)
        append(&expected, c->all.data, c->all.n);
    unsigned wrong = 0;
    for (unsigned parts = 1; parts <= PARTS_MAX && !wrong; parts += step) {
        bytes got = {0};
        bool good = true;
        for (unsigned part = 0; part < parts; part++)
            good = read_share(c, s, part, parts, f, &got) && good;
        if (!good || !same_records(&got, &expected, f))
            wrong = parts;
        clear(&got);
    }
    clear(&expected);
    return wrong;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void test_formats(void)
{
    static const size_t counts[] = {1, 3, FILES_MAX};
    static const slicing by[] = {{.by = INPUT_BY_FITNESS}, {.by = INPUT_BY_FILES}, {.by = INPUT_BY_BYTES}};
    static const char *const words[] = {"as it fits", "by files", "by bytes"};
    for (unsigned f = 0; f < N_FORMATS; f++) {
        for (unsigned c = 0; c < 3; c++) {
            corpus files;
            make_corpus(&files, &formats[f].format, counts[c], "", counts[c] < 10);
            for (unsigned b = 0; b < 3; b++) {
                const unsigned step = counts[c] < 10 ? 3 : 5; /* each share has a process that opens its files */
                unsigned wrong = wrong_parts(&files, &by[b], &formats[f].format, step);
                ok(wrong == 0, "%s, %zu files, %s: 1 to 16 shares are all of it, once", formats[f].name, counts[c],
                   words[b]);
                if (wrong)
                    diag("%u participants", wrong);
            }
            remove_corpus(&files);
        }
    }
}

static void test_one_long_record(void)
{
    for (unsigned f = 0; f < N_FORMATS; f++) {
        corpus c = {.n = 1};
        bytes b = {0};
        static char body[900000];
        memset(body, 'y', sizeof body);
        append_record(&b, &formats[f].format, "first", 5);
        append_record(&b, &formats[f].format, body, sizeof body);
        append_record(&b, &formats[f].format, "last", 4);
        if (asprintf(&c.names[0], "%s/long", directory) < 0)
            abort();
        write_file(c.names[0], &b);
        c.all = b;
        ok(wrong_parts(&c, &(slicing){.by = INPUT_BY_BYTES}, &formats[f].format, 3) == 0,
           "%s: a record longer than a slice is in one of them", formats[f].name);
        remove_corpus(&c);
    }
}

static void test_duplicates_and_filters(void)
{
    const mpp_format *lines = &formats[0].format;
    corpus c;
    make_corpus(&c, lines, 3, "", false);
    ok(wrong_parts(&c, &(slicing){.twice = true}, lines, 5) == 0, "a file that is named twice is read twice");
    ok(wrong_parts(&c, &(slicing){.filter = "cat"}, lines, 5) == 0, "whole files go through the filter");
    ok(wrong_parts(&c, &(slicing){.by = INPUT_BY_BYTES, .filter = "cat # comment"}, lines, 5) == 0,
       "byte ranges go through the filter");
    remove_corpus(&c);
}

/* How many pieces each of two participants has. */
static void count_pieces(const char *const names[], size_t n, unsigned pieces[2])
{
    for (unsigned part = 0; part < 2; part++) {
        input_options o = {.files = names, .n_files = n, .slice = true};
        input *in;
        input_piece *piece;
        mpp_error err;
        pieces[part] = 0;
        if (input_create(&o, &in, NULL) < 0)
            continue;
        if (input_slice(in, part, 2, &formats[0].format, MAX_RECORD, NULL) == 0)
            while (open_next(in, &piece, &err) > 0)
                pieces[part]++;
        input_destroy(&in);
    }
}

static void test_compressed(void)
{
    corpus c;
    unsigned pieces[2];
    make_corpus(&c, &formats[0].format, 1, ".gz", false);
    count_pieces((const char *const *)c.names, 1, pieces);
    ok(pieces[0] == 1 && pieces[1] == 0, "a compressed file is not cut");
    remove_corpus(&c);
}

static void test_balance(void)
{
    static const size_t sizes[] = {50, 10, 20, 40, 30};
    corpus c = {.n = 5};
    for (size_t i = 0; i < c.n; i++) {
        bytes b = {0};
        for (size_t k = 0; k < sizes[i]; k++)
            append(&b, "\n", 1);
        if (asprintf(&c.names[i], "%s/%zu", directory, i) < 0)
            abort();
        write_file(c.names[i], &b);
        clear(&b);
    }
    bytes first = {0}, second = {0};
    slicing by_files = {.by = INPUT_BY_FILES};
    read_share(&c, &by_files, 0, 2, &formats[0].format, &first);
    read_share(&c, &by_files, 1, 2, &formats[0].format, &second);
    ok(first.n == 80 && second.n == 70, "whole files are dealt out by size, largest first");
    diag("%zu and %zu bytes", first.n, second.n);
    clear(&first);
    clear(&second);
    remove_corpus(&c);
}

static void refused(const input_options *o, mpp_status status, const char *text, const char *what)
{
    input *in = NULL;
    input_piece *piece;
    mpp_error err = {0};
    bool failed = input_create(o, &in, &err) < 0 ||
                  (o->slice && input_slice(in, 0, 3, &formats[0].format, MAX_RECORD, &err) < 0) ||
                  open_next(in, &piece, &err) < 0;
    ok(failed && err.status == status && strstr(err.text, text), "%s: %s", what, err.text);
    if (in)
        input_destroy(&in);
}

static void test_refusals(void)
{
    char fifo[64], list[64], missing[64];
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    snprintf(list, sizeof list, "%s/list", directory);
    snprintf(missing, sizeof missing, "%s/missing", directory);
    mkfifo(fifo, 0600);
    write_file(list, &(bytes){"a\0\0b", 4, 4});
    const char *one_fifo[] = {fifo}, *one_missing[] = {missing}, *a_directory[] = {directory}, *one_stdin[] = {"-"};
    char *argv[] = {"true", NULL};
    refused(&(input_options){.files = one_fifo, .n_files = 1, .slice = true}, MPP_S_USAGE, "--slice-by files",
            "a FIFO is not cut");
    refused(&(input_options){.files = one_fifo, .n_files = 1, .filter = "cat"}, MPP_S_ERROR, "FIFO",
            "a FIFO does not go through a filter");
    refused(&(input_options){.files = one_missing, .n_files = 1}, MPP_S_ERROR, "missing': No such file",
            "a missing file is named");
    refused(&(input_options){.files = one_missing, .n_files = 1, .slice = true}, MPP_S_ERROR, "missing': No such file",
            "a missing file is named also where it would be cut");
    refused(&(input_options){.files = a_directory, .n_files = 1}, MPP_S_ERROR, "Is a directory", "a directory");
    refused(&(input_options){.files = one_stdin, .n_files = 1, .slice = true}, MPP_S_USAGE, "standard input",
            "stdin is not sliced");
    refused(&(input_options){.slice = true}, MPP_S_USAGE, "needs FILEs", "there is nothing to slice");
    refused(&(input_options){.files = one_stdin, .n_files = 1, .files0_from = list}, MPP_S_USAGE, "files0-from",
            "files beside a list of files");
    refused(&(input_options){.files0_from = list}, MPP_S_ERROR, "number 2 is empty", "an empty name in the list");
    refused(&(input_options){.argv = argv, .filter = "cat"}, MPP_S_USAGE, "--filter", "a filter behind a command");
    unlink(fifo);
    unlink(list);
}

/* That is known when it has ended. */
static void test_no_command(void)
{
    char missing[64], text[MPP_TEXT_MAX];
    input *in;
    input_piece *piece = NULL;
    snprintf(missing, sizeof missing, "%s/missing", directory);
    const input_options o = {.argv = (char *[]){missing, NULL}};
    bool failed = input_create(&o, &in, NULL) == 0 && input_open_next(in, &piece, NULL) == 1 &&
                  !ended_well(piece->command) && command_failure(piece->command) == 127;
    snprintf(text, sizeof text, "it was not even spawned");
    if (piece)
        command_status_text(piece->command, text, sizeof text);
    ok(failed && strstr(text, "missing': No such file"), "no such command: %s", text);
    input_destroy(&in);
}

static bool reads(input *in, const char *expected)
{
    bytes b = {0};
    bool same = read_input(in, &formats[0].format, &b) && b.n == strlen(expected) && memcmp(b.data, expected, b.n) == 0;
    if (!same)
        diag("read '%.*s'", (int)b.n, b.data);
    clear(&b);
    return same;
}

static void test_list_and_runs(void)
{
    char list[64], a[64], b[64];
    snprintf(list, sizeof list, "%s/list", directory);
    snprintf(a, sizeof a, "%s/a", directory);
    snprintf(b, sizeof b, "%s/b", directory);
    write_file(a, &(bytes){"one\n", 4, 4});
    write_file(b, &(bytes){"two\n", 4, 4});
    bytes names = {0};
    append(&names, b, strlen(b) + 1);
    append(&names, a, strlen(a));
    write_file(list, &names);
    clear(&names);
    input *in;
    mpp_error err;
    input_create(&(input_options){.files0_from = list}, &in, NULL);
    ok(reads(in, "two\none\n"), "the names in a list are read in their order, the last without its NUL");
    ok(input_total_size(in) == 8, "the size of all files is known");
    ok(input_rewindable(in) && input_rewind(in, &err) == 0 && reads(in, "two\none\n"), "files are read a second time");
    input_destroy(&in);
    input_create(&(input_options){.shell = "echo three"}, &in, NULL);
    ok(reads(in, "three\n") && input_rewind(in, &err) == 0 && reads(in, "three\n"), "a command runs a second time");
    ok(input_total_size(in) == -1, "the size of a command's output is not known");
    input_destroy(&in);
    input_create(&(input_options){.files = (const char *[]){a, b}, .n_files = 2, .filter = "cat; basename $MPP_FILE"},
                 &in, NULL);
    ok(reads(in, "one\na\ntwo\nb\n"), "a filter finds the file's name in MPP_FILE");
    input_destroy(&in);
    unlink(a);
    unlink(b);
    unlink(list);
}

static void test_stdin(void)
{
    int saved = dup(STDIN_FILENO), ends[2];
    mpp_error err;
    input *in;
    if (pipe(ends) < 0 || write(ends[1], "piped\n", 6) != 6)
        return;
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    input_create(&(input_options){0}, &in, NULL);
    input_piece *piece;
    ok(open_next(in, &piece, &err) == 1 && fcntl(0, F_GETFL) & O_NONBLOCK, "a piped stdin does not block");
    char text[16];
    ok(read(piece->io.fd, text, sizeof text) == 6 && read(piece->io.fd, text, 1) < 0 && errno == EAGAIN,
       "it has what is there and then says so");
    ok(!input_rewindable(in) && input_rewind(in, &err) < 0, "it is not read twice");
    input_stop(in);
    ok(open_next(in, &piece, &err) == 0, "when it was stopped there is nothing more");
    ok(poll(&(struct pollfd){ends[1], POLLOUT, 0}, 1, 0) == 1 && write(ends[1], "x", 1) < 0 && errno == EPIPE,
       "its writer sees that it was closed");
    input_destroy(&in);
    close(ends[1]);
    char name[64];
    snprintf(name, sizeof name, "%s/stdin", directory);
    write_file(name, &(bytes){"skipped\nread\n", 13, 13});
    int file = open(name, O_RDONLY);
    lseek(file, 8, SEEK_SET);
    dup2(file, STDIN_FILENO);
    close(file);
    input_create(&(input_options){0}, &in, NULL);
    ok(input_total_size(in) == 5, "the size of what is left of a file on stdin is known");
    ok(reads(in, "read\n") && input_rewind(in, &err) == 0 && reads(in, "read\n"), "it is read twice");
    input_destroy(&in);
    unlink(name);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

/* What is measured is what is read. */
static void test_changed(void)
{
    char name[64], other[64];
    snprintf(name, sizeof name, "%s/log", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    const char *names[] = {name};
    const input_options o = {.files = names, .n_files = 1, .slice = true};
    uint32_t what[2], how[2];
    input *in;
    input_piece *piece;
    mpp_error err = {.text = ""};
    for (unsigned i = 0; i < 2; i++) {
        write_file(name, &(bytes){"one\ntwo\nsix\n", i ? 12 : 8, 0});
        input_create(&o, &in, NULL);
        input_slice(in, i, 2, &formats[0].format, MAX_RECORD, NULL);
        input_identity(in, &what[i], &how[i]);
        input_destroy(&in);
    }
    ok(what[0] == what[1] && what[0] && how[0] != how[1], "shares of a file that has grown do not fit together");
    input_create(&o, &in, NULL);
    input_slice(in, 0, 1, &formats[0].format, MAX_RECORD, NULL);
    write_file(name, &(bytes){"one\n", 4, 0});
    bytes got = {0};
    ok(open_next(in, &piece, &err) == INPUT_OPENED && piece->left == 12, "a share is as long as it was measured");
    read_piece(piece, &got);
    ok(got.n == 4 && input_ended(in, &err) < 0 && strstr(err.text, "8 bytes are missing"), "it is shorter: %s",
       err.text);
    clear(&got);
    input_destroy(&in);
    input_create(&o, &in, NULL);
    input_slice(in, 0, 1, &formats[0].format, MAX_RECORD, NULL);
    write_file(other, &(bytes){"one\n", 4, 0});
    rename(other, name);
    ok(open_next(in, &piece, &err) == INPUT_FAILED && strstr(err.text, "another file"), "it is another: %s", err.text);
    input_destroy(&in);
    unlink(name);
}

static void test_parse(void)
{
    unsigned k, n;
    ok(input_parse_slice("0/1", &k, &n) == 0 && k == 0 && n == 1, "0/1 is a slice");
    ok(input_parse_slice("15/16", &k, &n) == 0 && k == 15 && n == 16, "15/16 is a slice");
    static const char *const wrong[] = {
        "", "1", "1/", "/2", "2/2", "-1/2", "1/2x", "1/2/3", "4294967296/4294967297", "4294967297/5", "7/6666666666"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(input_parse_slice(wrong[i], &k, &n) < 0, "'%s' is none", wrong[i]);
}

int main(void)
{
    tap_seed();
    signals_init("input", NULL);
    if (!mkdtemp(directory))
        return 1;
    test_formats();
    test_one_long_record();
    test_duplicates_and_filters();
    test_compressed();
    test_balance();
    test_refusals();
    test_no_command();
    test_list_and_runs();
    test_stdin();
    test_changed();
    test_parse();
    rmdir(directory);
    return done_testing();
}
