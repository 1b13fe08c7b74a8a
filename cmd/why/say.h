/* say.h - participants and processes in words */
#ifndef CMD_WHY_SAY_H
#define CMD_WHY_SAY_H

#include "common/text.h"
#include "mpp-look.h"
#include "why/graph.h"

/* "producer 0 (pid 4711, zcat) of mesh a" */
void say_who(text_line *t, const why_node *n, const mpp_snapshot *asked);

/* "producer 0 of mesh a", "`cat`" */
void say_short(text_line *t, const why_node *n, const mpp_snapshot *asked);

/* Of participants of one role. */
typedef struct indices {
    bool has[MPP_PARTICIPANTS_MAX];
    unsigned n;
} indices;
void indices_add(indices *set, unsigned index);

/* "consumers 0, 2-4" */
void say_indices(text_line *t, char role, const indices *set);

#endif
