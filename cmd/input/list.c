#include "input/list.h"

#include "common/text.h"
#include "input/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_descriptor(const char *name)
{
    static const char *const places[] = {"/dev/fd/", "/dev/std", "/proc/self/fd/"};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
        if (text_starts(name, places[i]))
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
    in->items[in->n++] = (item){.name = name, .quick = is_descriptor(name), .descriptor = is_descriptor(name)};
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
            return input_usage(err, io_error(err, 0, "standard input cannot be both the list of files and a file"));
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

int list_make(input *in, mpp_error *err)
{
    const input_options *o = &in->options;
    if (o->files0_from)
        return read_names(in, err);
    for (size_t i = 0; i < o->n_files; i++)
        if (add_name(in, o->files[i], err) < 0)
            return -1;
    return o->n_files ? 0 : add_name(in, "-", err); /* also where it stands for a command */
}

int list_check(const input_options *o, mpp_error *err)
{
    if ((o->argv || o->shell) && (o->n_files || o->files0_from || o->filter || o->slice))
        return input_usage(err, io_error(err, 0, "a command takes no %s",
                                         o->filter  ? "--filter"
                                         : o->slice ? "--slice"
                                                    : "files beside it"));
    if (o->n_files && o->files0_from)
        return input_usage(err, io_error(err, 0, "'%s': no other files beside --files0-from", o->files[0]));
    if (o->slice && !o->n_files && !o->files0_from)
        return input_usage(err, io_error(err, 0, "--slice needs FILEs: standard input cannot be shared"));
    return 0;
}

static void measure_item(const input *in, item *it)
{
    struct stat st;
    if ((item_is_stdin(it) ? fstat(STDIN_FILENO, &st) : stat(it->name, &st)) < 0)
        return;
    it->mode = st.st_mode;
    it->dev = st.st_dev;
    it->ino = st.st_ino;
    it->sized = item_is_stdin(it) ? S_ISREG(st.st_mode) : file_sized(it->name, &st);
    it->size = it->sized ? st.st_size : 0;
    it->quick |= !item_is_stdin(it) && file_quick(it->name, &st);
    if (item_is_stdin(it) && in->stdin_at > 0)
        it->size -= it->size < in->stdin_at ? it->size : in->stdin_at;
}

void list_measure(input *in)
{
    for (size_t i = 0; i < in->n && !in->measured; i++)
        measure_item(in, &in->items[i]);
    in->measured = true;
}

/* Later a look at it could keep us waiting. */
void list_look_at_stdin(input *in)
{
    struct stat st;
    in->stdin_at = lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (fstat(STDIN_FILENO, &st) < 0)
        return;
    in->stdin_mode = st.st_mode;
    in->stdin_sleeps = file_sleeps(STDIN_FILENO, &st);
}
