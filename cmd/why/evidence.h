/* evidence.h - who waits for a root, line by line, and for how long */
#ifndef CMD_WHY_EVIDENCE_H
#define CMD_WHY_EVIDENCE_H

#include "mpp-look.h"
#include "why/graph.h"

/* Nobody follows a circle for more steps than these. */
enum { CYCLE_MAX = 1000 };

/* Everybody whose chain ends in a root, nearest first. */
typedef struct crowd {
    const why_node **at;
    unsigned n;
} crowd;

/* To be freed: at. */
crowd evidence_crowd(const why_graph *g, const why_root *r);

/* A line for each of them, but for those on the circle; v->evidence grows. */
void evidence_add_crowd(why_verdict *v, const crowd *c, const why_root *r, const mpp_snapshot *asked);

/* A line for each on the circle. */
void evidence_add_circle(why_verdict *v, const why_root *r, const mpp_snapshot *asked);

/* Since when what is to blame has held others up: its own wait where it waits, else theirs. */
int64_t evidence_age(const why_root *r, const crowd *c);

#endif
