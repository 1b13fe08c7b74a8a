#include "input/share.h"

#include "input/inside.h"
#include "input/list.h"
#include "input/slice.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    if (item_is_stdin(it))
        return input_usage(err, io_error(err, 0, "--slice needs FILEs: standard input ('-') cannot be shared"));
    it->cut = is_cut(in, it);
    if (it->cut && S_ISDIR(it->mode))
        return io_error(err, EISDIR, "cannot read '%s'", it->name);
    if (it->cut && it->mode && !S_ISREG(it->mode))
        return input_usage(err, io_error(err, 0,
                                         "cannot cut '%s' in byte ranges, as it is not a regular file; "
                                         "use --slice-by files",
                                         it->name));
    if (in->options.by == INPUT_BY_BYTES && in->parts > 1 && S_ISREG(it->mode) && !it->sized)
        return input_usage(err, io_error(err, 0,
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

/* ---- in the reader ------------------------------------------------------------------------------ */

/* What was measured is what was shared out, whatever has become of the file since.  (Numbers of files are kept by the
 * file systems of disks.) */
int share_check(const item *it, const struct stat *st, bool sleeps, mpp_error *err)
{
    if (it->cut && !it->mode)
        return io_error(err, 0, "'%s' was not there when the shares were made", it->name);
    if (it->size > 0 && !sleeps && (st->st_dev != it->dev || st->st_ino != it->ino))
        return io_error(err, 0, "'%s' is another file than when the shares were made", it->name);
    return 0;
}

/* Move to our share of an open file. */
int share_seek(const input *in, const item *it, reader_file *f, mpp_error *err)
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
