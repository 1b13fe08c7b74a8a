#include "stat/watch.h"

#include "common/cli.h"
#include "common/signals.h"
#include "common/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char hide_cursor[] = "\033[?25l", show_cursor[] = "\033[?25h", home[] = "\033[H", clear_line[] = "\033[K",
                  clear_below[] = "\033[J";

static volatile sig_atomic_t on_screen; /* the cursor is hidden, and frames are drawn in place */
static volatile sig_atomic_t redraw;    /* the window is another one */
static sigset_t while_asleep;           /* the mask of signals then: some are taken in our sleep alone */

/* ---- output ------------------------------------------------------------------------------------- */

/* Somebody may have made it non-blocking: it is not ours alone. */
static void await_room(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    poll(&out, 1, -1);
}

/* One write(2), where the reader keeps up: a frame that comes in pieces flickers.  A reader that has gone has seen
 * enough. */
static void put_text(const char *text, size_t n)
{
    while (n > 0) {
        const ssize_t k = write(STDOUT_FILENO, text, n);
        if (k >= 0) {
            text += k;
            n -= (size_t)k;
        } else if (errno == EAGAIN)
            await_room();
        else if (errno == EPIPE)
            exit(MPP_S_DONE);
        else if (errno != EINTR) {
            mpp_error error = {.status = MPP_S_ERROR, .os_error = errno};
            snprintf(error.text, sizeof error.text, "cannot write standard output: %s", strerror(errno));
            cli_die(&error);
        }
    }
}

/* A FILE in memory. */
typedef struct memory {
    FILE *file;
    char *text;
    size_t size;
} memory;

static void memory_open(memory *m)
{
    *m = (memory){0};
    m->file = cli_must(open_memstream(&m->text, &m->size));
}

static void memory_close(memory *m)
{
    if (fclose(m->file) != 0)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
}

/* ---- the terminal ------------------------------------------------------------------------------- */

/* Also from signal handlers, and at exit. */
static void leave_screen(void)
{
    if (!on_screen)
        return;
    on_screen = 0;
    (void)!write(STDOUT_FILENO, show_cursor, sizeof show_cursor - 1);
}

/* It comes again when the handler returns, and then it is deadly (SA_RESETHAND). */
static void die(int sig)
{
    leave_screen();
    raise(sig);
}

static void handle(int sig, void (*handler)(int), int flags)
{
    struct sigaction before, a = {.sa_handler = handler, .sa_flags = flags};
    sigfillset(&a.sa_mask);
    sigaction(sig, NULL, &before);
    if (before.sa_handler != SIG_IGN) /* as nohup has it, or the shell for its background jobs */
        sigaction(sig, &a, NULL);
}

static void resized(int sig)
{
    (void)sig;
    redraw = 1;
}

/* A shell wants its cursor back while we are stopped. */
static void suspend(int sig)
{
    const int saved = errno;
    leave_screen();
    signals_stop(sig);
    redraw = 1;
    errno = saved;
}

static void enter_screen(void)
{
    static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        handle(deadly[i], die, (int)SA_RESETHAND);
    handle(SIGWINCH, resized, 0);
    handle(SIGTSTP, suspend, 0);
    atexit(leave_screen);
}

/* The lines of a text, as far as they fit: the last line of the window is the cursor's, so that a full one scrolls
 * nothing.  A line that fills its row leaves the cursor behind its last character, which clearing would take. */
static void fit_page(const char *text, const stat_page *page, FILE *out)
{
    const unsigned room = page->height > 1 ? page->height - 1 : 1;
    unsigned n = 0, shown;
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    shown = n > room ? room - 1 : n;
    for (unsigned i = 0; i < shown; i++) {
        const size_t len = strcspn(text, "\n");
        if (text_put(text, len, (int)page->width, out) < (int)page->width)
            fputs(clear_line, out);
        fputs("\r\n", out);
        text += len + 1;
    }
    if (shown < n && page->width >= 32)
        fprintf(out, "(%u more lines)%s\r\n", n - shown, clear_line); /* as many columns at most */
}

static void draw(const stat_view *v, const stat_request *r)
{
    memory view, frame;
    stat_page page;
    memory_open(&view);
    page = (stat_page){.out = view.file, .all = r->all};
    stat_page_measure(&page);
    stat_view_show(v, &page);
    memory_close(&view);
    memory_open(&frame);
    fprintf(frame.file, "%s%s", on_screen ? "" : hide_cursor, home);
    on_screen = 1;
    fit_page(view.text, &page, frame.file);
    fputs(clear_below, frame.file);
    memory_close(&frame);
    put_text(frame.text, frame.size);
    free(view.text);
    free(frame.text);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static void append_block(const stat_view *v, const stat_request *r,
                         void (*show)(const stat_view *v, const stat_page *page), bool first)
{
    memory block;
    memory_open(&block);
    stat_page page = {.out = block.file, .all = r->all};
    stat_page_measure(&page);
    page.height = 0;
    if (!first && !r->json)
        putc('\n', block.file);
    show(v, &page);
    memory_close(&block);
    put_text(block.text, block.size);
    free(block.text);
}

/* ---- the loop ----------------------------------------------------------------------------------- */

void stat_watch_pause(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* false: before that, the window became another one.  stdout is watched: a reader that goes is not first noticed by
 * the next write. */
static bool sleep_until(int64_t due)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    while (!redraw) {
        const int64_t left = due - mpp_now();
        if (left <= 0)
            return true;
        const struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        if (ppoll(&out, 1, &t, &while_asleep) > 0)
            exit(MPP_S_DONE);
    }
    return false;
}

/* The next moment of those that lie an interval apart; who is late leaves some out. */
static int64_t next(int64_t due, int64_t interval)
{
    const int64_t now = mpp_now();
    due += interval;
    return due > now ? due : due + (now - due) / interval * interval + interval;
}

/* The mesh has gone after it was seen, or something is wrong. */
static void end_watch(const stat_view *v, const stat_request *r, const mpp_error *error, bool first)
{
    const bool drawn = on_screen;
    leave_screen();
    if (error->status != MPP_S_NO_MESH || first)
        cli_die(error);
    append_block(v, r, stat_view_show_gone, drawn);
}

static void prepare_screen(bool screen)
{
    sigset_t held;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&held);
    if (screen) {
        sigaddset(&held, SIGWINCH);
        sigaddset(&held, SIGTSTP);
        enter_screen();
    }
    sigprocmask(SIG_BLOCK, &held, &while_asleep);
}

/* A terminal that says that it is dumb is no window. */
static bool moves_cursor(void)
{
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0;
}

void stat_watch(stat_view *v, const stat_request *r)
{
    stat_page page;
    mpp_error error;
    const bool screen = stat_page_measure(&page) && !r->json && moves_cursor();
    if (!screen)
        page.height = 0;
    int64_t due = 0;
    prepare_screen(screen);
    if (stat_view_wants_glance(v)) {
        if (stat_view_take(v, true, &error) < 0)
            cli_die(&error);
        stat_watch_pause(r->interval_ns < STAT_GLANCE_NS ? r->interval_ns : STAT_GLANCE_NS);
    }
    for (bool first = true;; first = false) {
        if (stat_view_take(v, false, &error) < 0) {
            end_watch(v, r, &error, first);
            return;
        }
        due = first ? mpp_now() + r->interval_ns : next(due, r->interval_ns);
        do {
            redraw = 0;
            if (screen)
                draw(v, r);
            else
                append_block(v, r, stat_view_show, first);
        } while (!sleep_until(due));
    }
}
