#include "stat/table.h"

#include "common/cli.h"
#include "common/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(((const column *)a)->name, ((const column *)b)->name);
}

void table_init(table *t, column *columns, size_t n)
{
    qsort(columns, n, sizeof *columns, by_name);
    *t = (table){.columns = columns, .n_columns = n};
}

static bool is_shown(const table *t, const column *c)
{
    for (unsigned i = 0; i < t->n_shown; i++)
        if (t->shown[i] == c)
            return true;
    return false;
}

static bool show_column(table *t, const char *name, size_t len)
{
    char key[TEXT_CELL];
    if (len >= sizeof key)
        return false;
    memcpy(key, name, len);
    key[len] = '\0';
    const column wanted = {.name = key};
    const column *c = bsearch(&wanted, t->columns, t->n_columns, sizeof *c, by_name);
    if (c && !is_shown(t, c) && t->n_shown < TABLE_SHOWN_MAX)
        t->shown[t->n_shown++] = c;
    return c != NULL;
}

static _Noreturn void no_column(table *const *tables, size_t n, const char *name, size_t len)
{
    char names[TEXT_CELL] = "";
    text_line line = TEXT_LINE(names);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tables[t]->n_columns; i++)
            text_add(&line, " %s", tables[t]->columns[i].name);
    cli_usage("no column '%.*s'; there are:%s", (int)len, name, names);
}

static bool show_in_any(table *const *tables, size_t n, const char *name, size_t len)
{
    for (size_t t = 0; t < n; t++)
        if (show_column(tables[t], name, len))
            return true;
    return false;
}

bool table_shows(const table *t, const char *name)
{
    for (unsigned i = 0; i < t->n_shown; i++)
        if (strcmp(t->shown[i]->name, name) == 0)
            return true;
    return false;
}

void table_choose(table *const *tables, size_t n, const char *list)
{
    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");
        if (!show_in_any(tables, n, p, len))
            no_column(tables, n, p, len);
        p += len;
        if (!*p)
            return;
    }
}

/* The name in capitals.  A cell shows times as people read them, so a name's "_ns" would be wrong above it: all
 * such counters are of waiting. */
static void heading(char *out, const column *c)
{
    const char *text = c->heading ? c->heading : c->name;
    snprintf(out, TEXT_CELL, "%s", text);
    char *unit = strstr(out, "_ns");
    if (unit && !unit[3])
        strcpy(unit, "_wait");
    for (char *p = out; *p; p++)
        *p = (char)(*p == '_' ? ' ' : toupper((unsigned char)*p));
}

static void cell(char *out, const column *c, const void *context, const void *row)
{
    strcpy(out, "-");
    c->cell(out, c, context, row);
}

static int column_width(const column *c, const void *context, const void *const *rows, size_t n)
{
    char text[TEXT_CELL];
    heading(text, c);
    int width = text_width(text);
    for (size_t r = 0; r < n; r++) {
        cell(text, c, context, rows[r]);
        int w = text_width(text);
        width = w > width ? w : width;
    }
    return width;
}

/* One cell: the last one of a line is not padded, so that lines have no trailing blanks. */
static void put_cell(const table *t, unsigned i, int width, const char *text, FILE *out)
{
    int pad = width - text_width(text);
    bool last = i + 1 == t->n_shown;
    if (t->shown[i]->right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

void table_print(const table *t, const void *context, const void *const *rows, size_t n, FILE *out)
{
    int width[TABLE_SHOWN_MAX];
    char text[TEXT_CELL];
    for (unsigned i = 0; i < t->n_shown; i++)
        width[i] = column_width(t->shown[i], context, rows, n);
    for (unsigned i = 0; i < t->n_shown; i++) {
        heading(text, t->shown[i]);
        put_cell(t, i, width[i], text, out);
    }
    for (size_t r = 0; r < n; r++)
        for (unsigned i = 0; i < t->n_shown; i++) {
            cell(text, t->shown[i], context, rows[r]);
            put_cell(t, i, width[i], text, out);
        }
}

size_t table_cut(const void **rows, size_t n, size_t most, table_order *worse)
{
    if (n <= TABLE_ROWS || n <= most)
        return n;
    qsort(rows, n, sizeof *rows, worse);
    return most;
}
