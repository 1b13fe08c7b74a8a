/* text.h - numbers, times and foreign strings as people read them */
#ifndef CMD_COMMON_TEXT_H
#define CMD_COMMON_TEXT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The longest text of one cell, its end included. */
enum { TEXT_CELL = 640 };

/* Each writes at most TEXT_CELL bytes, the end included, to out. */
void text_count(char *out, uint64_t n);    /* "1.2M": 1000s */
void text_bytes(char *out, uint64_t n);    /* "1.2M": 1024s */
void text_duration(char *out, int64_t ns); /* "12.4s", "2m05s", "3h12m"; nothing below zero */
void text_rate(char *out, double per_s, void (*number)(char *out, uint64_t n)); /* "1.2M/s"; nothing below zero */
void text_bar(char *out, uint64_t part, uint64_t whole);

/* A text that is put together piece by piece, and cut where it does not fit. */
typedef struct text_line {
    char *at;
    size_t size, used;
    bool cut;
} text_line;
#define TEXT_LINE(array) ((text_line){.at = (array), .size = sizeof(array)})
void text_add(text_line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "producer" or "consumer" */
const char *text_role(char role);

bool text_starts(const char *text, const char *with);

/* What a terminal would obey becomes `by`, in place: names of meshes, files and processes, and words of the command
 * line, may hold anything.  So do the two bytes of the controls that UTF-8 has besides (U+0080 to U+009F); its other
 * characters stay, whatever the locale. */
void text_disarm(char *text, char by);

/* A string that another process wrote: what is not printable here becomes '?', so that it can neither move the
 * cursor nor break a line.  size: of out, the end included. */
void text_clean(char *out, size_t size, const char *in);

/* The first n bytes of such a string, as far as they take no more columns than there are.  How many they take. */
enum { TEXT_UNCUT = INT_MAX };
int text_put(const char *in, size_t n, int columns, FILE *out);

/* The columns that a printable string takes on a terminal. */
int text_width(const char *s);

#endif
