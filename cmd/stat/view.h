/* view.h - what mpp-stat was asked to show: look at it, show what was seen, as often as one likes */
#ifndef CMD_STAT_VIEW_H
#define CMD_STAT_VIEW_H

#include "mpp.h"
#include "stat/page.h"

#include <stdbool.h>
#include <stdint.h>

/* How long before the first look a glance is taken, for the rates. */
#define STAT_GLANCE_NS INT64_C(50000000)

/* The command line, understood. */
typedef struct stat_request {
    const char *mesh;    /* NULL: all */
    const char *columns; /* NULL: the default ones */
    const char *where;
    const char *stream; /* NULL: the only one */
    bool json, all, why;
    int64_t patience_ns; /* who waits for longer is stalled */
    int64_t interval_ns; /* 0: look once */
} stat_request;

typedef struct stat_view stat_view;

/* r: must stay valid.  A column that there is not is a usage error.  To be closed. */
stat_view *stat_view_open(const stat_request *r);
void stat_view_close(stat_view **v);

/* Look again; what was seen last serves the rates.  glance: it serves nothing else and is not shown.
 * 0, or -1 with *err: MPP_S_NO_MESH where the mesh is not, or not any more, the one that was seen. */
int stat_view_take(stat_view *v, bool glance, mpp_error *err);

/* Is a glance worth its time?  When the view shows rates, and after one look: and something lives. */
bool stat_view_wants_glance(const stat_view *v);

void stat_view_show(const stat_view *v, const stat_page *page);

/* The mesh that was seen is gone. */
void stat_view_show_gone(const stat_view *v, const stat_page *page);

/* The exit status that follows from what was seen. */
mpp_status stat_view_status(const stat_view *v);

#endif
