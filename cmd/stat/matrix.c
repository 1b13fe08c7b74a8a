#include "stat/matrix.h"
#include "mpp-look.h"

#include <string.h>

enum { SIDE_MAX = 64, SIDE_MIN = 8, LABEL_MAX = 32, RULER_STEP = 10 };

/* Participants side by side, `each` of them in one place. */
typedef struct side {
    unsigned n, each, places;
} side;

typedef struct matrix {
    side producers, consumers;
    char cells[SIDE_MAX][SIDE_MAX];
} matrix;

static side divide(unsigned n, unsigned room)
{
    room = room < SIDE_MIN ? SIDE_MIN : room > SIDE_MAX ? SIDE_MAX : room;
    const unsigned each = n > room ? (n + room - 1) / room : 1;
    return (side){.n = n, .each = each, .places = (n + each - 1) / each};
}

/* "17", or "16-19". */
static void label_side(char *out, const side *s, unsigned place)
{
    const unsigned first = place * s->each, end = first + s->each < s->n ? first + s->each : s->n;
    if (end - first > 1)
        snprintf(out, LABEL_MAX, "%u-%u", first, end - 1);
    else
        snprintf(out, LABEL_MAX, "%u", first);
}

static int label_width(const side *s)
{
    size_t width = 0;
    for (unsigned i = 0; i < s->places; i++) {
        char text[LABEL_MAX];
        label_side(text, s, i);
        width = strlen(text) > width ? strlen(text) : width;
    }
    return (int)width;
}

/* ---- cells -------------------------------------------------------------------------------------- */

/* A producer may wait for space where some is left: less than it needs. */
static char level(const mpp_snapshot *s, const mpp_channel *c)
{
    enum { FULL = 95, TENTH = 10 };
    const double percent = s->ring_size ? 100.0 * (double)c->fill / (double)s->ring_size : 0;
    if (c->wanted || percent >= FULL)
        return '#';
    if (c->fill == 0)
        return '.';
    const unsigned tenths = (unsigned)(percent / TENTH + 0.5);
    return (char)('0' + (tenths < 1 ? 1 : tenths > 9 ? 9 : tenths));
}

static int rank(char cell)
{
    static const char order[] = " .123456789#";
    return (int)(strchr(order, cell) - order);
}

static void fill(matrix *m, const mpp_snapshot *s)
{
    memset(m->cells, ' ', sizeof m->cells);
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *c = &s->channels[i];
        if (c->producer >= m->producers.n || c->consumer >= m->consumers.n)
            continue;
        char *cell = &m->cells[c->producer / m->producers.each][c->consumer / m->consumers.each];
        const char now = level(s, c);
        if (rank(now) > rank(*cell))
            *cell = now;
    }
}

/* ---- printing ----------------------------------------------------------------------------------- */

static void print_legend(const matrix *m, const mpp_snapshot *s, FILE *out)
{
    fprintf(out, "fill, a row for each producer, a column for each consumer:\n");
    fprintf(out, "  blank no traffic, . empty, 1-9 tenths, # full or waited for\n");
    if (m->producers.each > 1 || m->consumers.each > 1)
        fprintf(out, "  each place is the fullest of %u x %u channels\n", m->producers.each, m->consumers.each);
    if (s->lanes > 1)
        fprintf(out, "  each place is the fullest of %u lanes\n", s->lanes);
}

/* The first consumer of every tenth place, above it. */
static void print_ruler(const side *s, int indent, FILE *out)
{
    fprintf(out, "%*s", indent, "");
    for (unsigned i = 0; i < s->places; i += RULER_STEP)
        fprintf(out, "%-*u", i + RULER_STEP < s->places ? RULER_STEP : 0, i * s->each);
    putc('\n', out);
}

static void print_row(const matrix *m, unsigned row, int width, FILE *out)
{
    char text[LABEL_MAX];
    unsigned n = m->consumers.places;
    while (n > 0 && m->cells[row][n - 1] == ' ')
        n--;
    label_side(text, &m->producers, row);
    fprintf(out, "%*s%s%.*s\n", width, text, n ? " " : "", (int)n, m->cells[row]);
}

void stat_matrix_print(const mpp_snapshot *s, unsigned width, unsigned rows, FILE *out)
{
    matrix m = {.producers = divide(s->producers, rows)};
    const int indent = label_width(&m.producers);
    const unsigned taken = (unsigned)indent + 1;
    m.consumers = divide(s->consumers, width > taken ? width - taken : 0);
    fill(&m, s);
    print_legend(&m, s, out);
    print_ruler(&m.consumers, indent + 1, out);
    for (unsigned i = 0; i < m.producers.places; i++)
        print_row(&m, i, indent, out);
}
