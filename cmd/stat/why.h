/* why.h - verdicts as mpp-stat shows them: of one mesh or of all */
#ifndef CMD_STAT_WHY_H
#define CMD_STAT_WHY_H

#include "mpp.h"
#include "why/why.h"

#include <stddef.h>
#include <stdio.h>

/* A mesh, and the verdict on it. */
typedef struct stat_why {
    char id[MPP_NAME_MAX + 1];
    mpp_error error; /* status MPP_S_DONE: there is a verdict */
    why *verdict;    /* NULL: there is none */
} stat_why;

/* Of one mesh.  0, or -1 with *err. */
int stat_why_take(const char *id, int64_t patience_ns, stat_why *w, mpp_error *err);

/* Of every mesh of this user, sorted by id; one that cannot be read has its error, one that went away meanwhile is left
 * out.  To be given to stat_why_free().  The number, or -1 with *err. */
int stat_why_take_all(int64_t patience_ns, stat_why **list, mpp_error *err);

/* Frees the verdicts, and not the list itself. */
void stat_why_free(stat_why *list, size_t n);

/* What the exit status of --why is: a stall outweighs a mesh that could not be read. */
mpp_status stat_why_status(const stat_why *list, size_t n);

/* why_print(), each line after the prefix; lines are folded to the width, 0: not. */
void stat_why_print(const why *verdict, const char *prefix, size_t width, FILE *out);

/* Each line after its mesh's id. */
void stat_why_print_all(const stat_why *list, size_t n, FILE *out);

#endif
