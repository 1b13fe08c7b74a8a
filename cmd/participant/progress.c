#include "participant/progress.h"

#include "common/errand.h"
#include "common/io.h"
#include "common/message.h"
#include "common/text.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 256, COLUMNS_DEFAULT = 80 };

static const int64_t second = 1000000000;

/* ---- --progress ---------------------------------------------------------------------------------- */

void progress_start(progress *p, const char *who, int64_t total)
{
    *p = (progress){.who = who, .started = mpp_now(), .total = total, .terminal = io_is_terminal(STDERR_FILENO)};
    if (p->terminal)
        p->next = p->started + second / 2;
}

void progress_start_share(progress *p, progress_share *share, int64_t total)
{
    *p = (progress){.share = share, .total = total};
    atomic_store_explicit(&share->total, total, memory_order_relaxed);
}

int64_t progress_next(const progress *p)
{
    return p->next;
}

static void add_size(text_line *l, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned u = 0;
    for (; bytes >= 1000 && u < 4; u++)
        bytes /= 1024;
    text_add(l, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

static void add_time(text_line *l, double seconds)
{
    int64_t s = (int64_t)seconds;
    if (s >= 3600)
        text_add(l, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        text_add(l, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

static void add_share(text_line *l, uint64_t bytes, int64_t total, double elapsed)
{
    double share = total > 0 ? (double)bytes / (double)total : 1;
    if (share > 1) /* the input has grown, or what was read is counted with its framing */
        share = 1;
    text_add(l, ", %d%%", (int)(share * 100));
    if (share > 0 && share < 1) {
        text_add(l, ", ");
        add_time(l, elapsed / share - elapsed);
        text_add(l, " left");
    }
}

static void compose(text_line *l, const progress *p, uint64_t records, uint64_t bytes, int64_t now)
{
    double elapsed = (double)(now - p->started) / (double)second;
    text_add(l, "%s: ", p->who);
    if (records != UINT64_MAX)
        text_add(l, "%" PRIu64 " records, ", records);
    add_size(l, (double)bytes);
    text_add(l, ", ");
    add_size(l, elapsed > 0 ? (double)bytes / elapsed : 0);
    text_add(l, "/s, ");
    add_time(l, elapsed);
    if (p->total >= 0)
        add_share(l, bytes, p->total, elapsed);
}

static unsigned columns(void)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : COLUMNS_DEFAULT;
}

/* Over the line that stands there, which may have been longer. */
static void redraw(progress *p, const char *shown, size_t n)
{
    size_t width = columns() - 1;
    n = n < width ? n : width;
    char text[LINE_MAX_BYTES];
    text_line l = TEXT_LINE(text);
    text_add(&l, "\r%.*s%*s", (int)n, shown, p->width > n ? (int)(p->width - n) : 0, "");
    text_add(&l, n ? "" : "\r");
    message_offer(l.at, l.used);
    p->width = (unsigned)n;
}

/* Numbers for people, one by one: no order among them matters. */
static void tell(progress_share *s, uint64_t records, uint64_t bytes)
{
    atomic_store_explicit(&s->records, records, memory_order_relaxed);
    atomic_store_explicit(&s->bytes, bytes, memory_order_relaxed);
}

void progress_update(progress *p, uint64_t records, uint64_t bytes)
{
    if (p->share)
        tell(p->share, records, bytes);
    int64_t now = p->next ? mpp_now() : 0;
    if (p->next == 0 || now < p->next)
        return;
    p->next = now + second / 2;
    char text[LINE_MAX_BYTES];
    text_line l = TEXT_LINE(text);
    compose(&l, p, records, bytes, now);
    redraw(p, l.at, l.used);
}

void progress_clear(progress *p)
{
    if (p->width)
        redraw(p, "", 0);
}

void progress_end(progress *p, uint64_t records, uint64_t bytes)
{
    if (p->share)
        tell(p->share, records, bytes);
    if (!p->who || !p->terminal)
        return;
    progress_clear(p);
    char text[LINE_MAX_BYTES];
    text_line l = TEXT_LINE(text);
    compose(&l, p, records, bytes, mpp_now());
    text_add(&l, "\n");
    message_write(l.at, l.used);
    p->who = NULL;
    p->next = 0;
}

/* The total is known when all have said theirs. */
static void add_up(progress *p, const progress_share *shares, unsigned n, uint64_t *records, uint64_t *bytes)
{
    p->total = 0;
    *records = *bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        const int64_t total = atomic_load_explicit(&shares[i].total, memory_order_relaxed);
        *records += atomic_load_explicit(&shares[i].records, memory_order_relaxed);
        *bytes += atomic_load_explicit(&shares[i].bytes, memory_order_relaxed);
        p->total = total < 0 || p->total < 0 ? -1 : p->total + total;
    }
}

void progress_update_all(progress *p, const progress_share *shares, unsigned n)
{
    uint64_t records, bytes;
    add_up(p, shares, n, &records, &bytes);
    progress_update(p, records, bytes);
}

void progress_end_all(progress *p, const progress_share *shares, unsigned n)
{
    uint64_t records, bytes;
    add_up(p, shares, n, &records, &bytes);
    progress_end(p, records, bytes);
}

/* ---- --summary ----------------------------------------------------------------------------------- */

static json_t *count_or_null(uint64_t n)
{
    return n == UINT64_MAX ? json_null() : json_integer((json_int_t)n);
}

static json_t *seconds_since(int64_t started)
{
    int64_t ms = (mpp_now() - started + 500000) / 1000000;
    return json_real((double)ms / 1000);
}

static json_t *streams(const summary *s)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < s->n_streams; i++) {
        const summary_stream *t = &s->streams[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", utf8_json(t->name), "records",
                                              count_or_null(t->records), "bytes", count_or_null(t->bytes), "no_key",
                                              count_or_null(t->no_key), "dropped", count_or_null(t->lost)));
    }
    return list;
}

/* The line with its newline, to be freed; NULL: no memory. */
static char *summary_line(const summary *s)
{
    json_t *j = json_pack(
        "{s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o}", "tool", utf8_json(s->tool), "mesh", utf8_json(s->mesh), "role",
        utf8_json(s->role), "index", s->index < 0 ? json_null() : json_integer(s->index), "pid", (int)getpid(),
        "status", s->status, "streams", streams(s), "seconds", seconds_since(s->started), "cause", utf8_json(s->cause));
    char *json = j ? json_dumps(j, JSON_REAL_PRECISION(15)) : NULL;
    json_decref(j);
    char *whole = NULL;
    if (json && asprintf(&whole, "%s\n", json) < 0)
        whole = NULL;
    free(json);
    return whole;
}

typedef struct appending {
    int failure; /* errno, once it is done */
    char *line;
    char file[];
} appending;

/* A FIFO that nobody reads is refused, a slow reader of one is not. */
static int append_line(const appending *a)
{
    int fd = open(a->file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    int written = io_write_all(fd, a->line, strlen(a->line));
    int failure = errno;
    int closed = close(fd);
    if (written < 0)
        errno = failure;
    return written < 0 ? written : closed;
}

static void append_summary(const errand *self, void *arg)
{
    appending *a = arg;
    (void)self;
    a->failure = append_line(a) < 0 ? errno : 0;
}

static void appending_free(void *arg)
{
    appending *a = arg;
    free(a->line);
    free(a);
}

/* Takes the line.  0, or -1 with errno. */
static int append_in_time(const char *file, char *json)
{
    appending *a = malloc(sizeof *a + strlen(file) + 1);
    errand *e = NULL;
    if (a) {
        *a = (appending){.failure = ETIMEDOUT, .line = json};
        strcpy(a->file, file);
        e = errand_begin(append_summary, appending_free, a);
    }
    if (!e) {
        const int failure = errno;
        free(a);
        free(json);
        errno = failure;
        return -1;
    }
    const int failure = message_await(e) ? a->failure : ETIMEDOUT;
    errand_end(&e);
    errno = failure;
    return failure ? -1 : 0;
}

/* Takes the line.  0, or -1 with errno. */
static int say_summary(char *json)
{
    const bool written = message_write(json, strlen(json));
    const int failure = errno;
    free(json);
    errno = failure;
    return written ? 0 : -1;
}

int summary_write(const summary *s, const char *file, mpp_error *err)
{
    char *json = summary_line(s);
    if (!json)
        return io_error(err, ENOMEM, "cannot make the summary");
    if ((file ? append_in_time(file, json) : say_summary(json)) < 0)
        return io_error(err, errno, "cannot write the summary to '%s'", file ? file : "standard error");
    return 0;
}
