/* table.h - aligned text tables whose columns are chosen by name
 *
 * A table is an array of columns; sorted once, looked up by bisection, so that what -o takes, what the error
 * lists and what is shown by default are one thing.
 */
#ifndef CMD_STAT_TABLE_H
#define CMD_STAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    TABLE_SHOWN_MAX = 48, /* columns in one -o */
    TABLE_ROWS = 40,      /* more rows than this are cut to the worst, without --all */
    TABLE_WORST = 10,     /* of which so many are enough where there is something else that shows them all */
};

typedef struct column column;

/* Writes a row's text into out (TEXT_CELL bytes, preset to "-").  context: as table_print() got it. */
typedef void column_cell(char *out, const column *c, const void *context, const void *row);

struct column {
    const char *name;    /* as -o takes it */
    const char *heading; /* NULL: the name in capitals */
    bool right;          /* numbers stand to the right */
    column_cell *cell;
    const char *unit; /* what the cell shows, for a function that serves several columns */
    size_t offset;    /* and where in the row's structure it stands */
};

typedef struct table {
    column *columns; /* all there are */
    size_t n_columns;
    const column *shown[TABLE_SHOWN_MAX];
    unsigned n_shown;
} table;

/* Sort the columns by name; before anything else. */
void table_init(table *t, column *columns, size_t n);

/* Show the columns of a comma-separated list, in its order, each once; a name belongs to the first of the n tables
 * that has it.  One that none of them has is a usage error. */
void table_choose(table *const *tables, size_t n, const char *list);

/* Was the column chosen? */
bool table_shows(const table *t, const char *name);

/* The headings and n rows. */
void table_print(const table *t, const void *context, const void *const *rows, size_t n, FILE *out);

/* Orders two elements of rows[], the worse first; never says that two are equal. */
typedef int table_order(const void *a, const void *b);

/* More rows than TABLE_ROWS are sorted, and the worst come first.  How many of rows[] to print: all, or `most`. */
size_t table_cut(const void **rows, size_t n, size_t most, table_order *worse);

#endif
