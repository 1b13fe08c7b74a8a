/* limit.h - where the time went: who limits a mesh, and what it carried in all
 *
 * A participant's life is from its coming to its leaving, without the time in which nobody had asked yet.  What it does
 * not spend waiting for the other side, it spends on its input, its output, its command or its own work; who spends
 * the greatest part of its life so is whom the others wait for.
 *
 * A snapshot holds what other processes wrote: whatever that is, the parts of a life are never negative and never more
 * than the life.
 */
#ifndef CMD_STAT_LIMIT_H
#define CMD_STAT_LIMIT_H

#include "mpp-look.h"

#include <stdbool.h>

typedef enum stat_limit_part {
    LIMIT_INPUT,
    LIMIT_OUTPUT,
    LIMIT_COMMAND,
    LIMIT_WORK,    /* what is left: its own work, and waiting for a processor */
    LIMIT_CHANNEL, /* waiting for space or data of the others */
    LIMIT_PARTS
} stat_limit_part;

typedef struct stat_limit {
    char role; /* 'p' or 'c' */
    unsigned index, lane;
    pid_t pid;
    bool live;
    double weight;    /* 0 .. 1: how much of its life it did not wait for the others, less if that was short */
    uint64_t life_ns; /* > 0 */
    uint64_t part_ns[LIMIT_PARTS]; /* together life_ns */
} stat_limit;

/* One for each process that takes part, or took, the heaviest first.  To be freed.
 * The number, or -1: out of memory. */
int stat_limit_take(const mpp_snapshot *s, stat_limit **limits);

/* The first `top` of them: "producer 2's input 81 %, consumer 0's own work 12 %"; "" when there is nothing to say. */
void stat_limit_text(const mpp_snapshot *s, char *out, size_t size, unsigned top);

typedef struct stat_totals {
    uint64_t records; /* UINT64_MAX: not counted in every channel */
    uint64_t bytes, frames, dropped;
    int64_t duration_ns;        /* from what was first published to what was last given back; 0: nothing was */
    uint64_t space_ns, data_ns; /* time that producers and consumers slept for each other, of all together */
} stat_totals;

void stat_limit_totals(const mpp_snapshot *s, stat_totals *t);

#endif
