#include "run/progress.h"

#include "common/errand.h"
#include "common/io.h"
#include "common/message.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
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

int64_t progress_next(const progress *p)
{
    return p->next;
}

/* A line that is being put together; what does not fit is cut. */
typedef struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
} line;

static void add(line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, format, args);
    va_end(args);
    size_t room = sizeof l->text - l->n - 1;
    if (n > 0)
        l->n += (size_t)n < room ? (size_t)n : room;
}

static void add_size(line *l, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned u = 0;
    for (; bytes >= 1000 && u < 4; u++)
        bytes /= 1024;
    add(l, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

static void add_time(line *l, double seconds)
{
    int64_t s = (int64_t)seconds;
    if (s >= 3600)
        add(l, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        add(l, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

static void add_share(line *l, uint64_t bytes, int64_t total, double elapsed)
{
    double share = total > 0 ? (double)bytes / (double)total : 1;
    if (share > 1) /* the input has grown, or what was read is counted with its framing */
        share = 1;
    add(l, ", %d%%", (int)(share * 100));
    if (share > 0 && share < 1) {
        add(l, ", ");
        add_time(l, elapsed / share - elapsed);
        add(l, " left");
    }
}

static void compose(line *l, const progress *p, uint64_t records, uint64_t bytes, int64_t now)
{
    double elapsed = (double)(now - p->started) / (double)second;
    add(l, "%s: ", p->who);
    if (records != UINT64_MAX)
        add(l, "%" PRIu64 " records, ", records);
    add_size(l, (double)bytes);
    add(l, ", ");
    add_size(l, elapsed > 0 ? (double)bytes / elapsed : 0);
    add(l, "/s, ");
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
static void redraw(progress *p, const char *text, size_t n)
{
    size_t width = columns() - 1;
    n = n < width ? n : width;
    line l = {.n = 0};
    add(&l, "\r%.*s%*s", (int)n, text, p->width > n ? (int)(p->width - n) : 0, "");
    add(&l, n ? "" : "\r");
    message_offer(l.text, l.n);
    p->width = (unsigned)n;
}

void progress_update(progress *p, uint64_t records, uint64_t bytes)
{
    int64_t now = p->next ? mpp_now() : 0;
    if (p->next == 0 || now < p->next)
        return;
    p->next = now + second / 2;
    line l = {.n = 0};
    compose(&l, p, records, bytes, now);
    redraw(p, l.text, l.n);
}

void progress_clear(progress *p)
{
    if (p->width)
        redraw(p, "", 0);
}

void progress_end(progress *p, uint64_t records, uint64_t bytes)
{
    if (!p->who || !p->terminal)
        return;
    progress_clear(p);
    line l = {.n = 0};
    compose(&l, p, records, bytes, mpp_now());
    add(&l, "\n");
    message_write(l.text, l.n);
    p->who = NULL;
    p->next = 0;
}

/* ---- --summary ----------------------------------------------------------------------------------- */

/* The length of the UTF-8 sequence at p, in a string that ends with NUL; 0: it is none. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool too_large = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || too_large ? 0 : n;
}

static json_t *text(const char *bytes)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
    if (!bytes)
        return json_null();
    char *valid = malloc(strlen(bytes) * (sizeof replacement - 1) + 1);
    if (!valid)
        return NULL;
    size_t used = 0;
    for (const char *p = bytes; *p;) {
        size_t n = utf8_length((const unsigned char *)p);
        memcpy(valid + used, n ? p : replacement, n ? n : sizeof replacement - 1);
        used += n ? n : sizeof replacement - 1;
        p += n ? n : 1;
    }
    json_t *j = json_stringn(valid, used);
    free(valid);
    return j;
}

static json_t *count(uint64_t n)
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
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", text(t->name), "records",
                                              count(t->records), "bytes", count(t->bytes), "no_key", count(t->no_key),
                                              "dropped", count(t->dropped)));
    }
    return list;
}

/* The line with its newline, to be freed; NULL: no memory. */
static char *summary_line(const summary *s)
{
    json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o}", "tool", text(s->tool), "mesh", text(s->mesh),
                          "role", text(s->role), "index", s->index < 0 ? json_null() : json_integer(s->index), "pid",
                          (int)getpid(), "status", s->status, "streams", streams(s), "seconds",
                          seconds_since(s->started), "cause", text(s->cause));
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

static void append(const errand *self, void *arg)
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
        e = errand_begin(append, appending_free, a);
    }
    if (!e) {
        const int failure = errno;
        free(a);
        free(json);
        errno = failure;
        return -1;
    }
    const int failure = message_awaited(e) ? a->failure : ETIMEDOUT;
    errand_end(&e);
    errno = failure;
    return failure ? -1 : 0;
}

/* Takes the line.  0, or -1 with errno. */
static int say(char *json)
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
    if ((file ? append_in_time(file, json) : say(json)) < 0)
        return io_error(err, errno, "cannot write the summary to '%s'", file ? file : "standard error");
    return 0;
}
