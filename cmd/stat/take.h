/* take.h - snapshots, of one mesh or of all, and what follows from one of them or from two */
#ifndef CMD_STAT_TAKE_H
#define CMD_STAT_TAKE_H

#include "mpp-look.h"
#include "why/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* How a mesh's participants stand.  One that is dead (or corrupt) in any lane is dead; else live in any is live;
 * else one that has a lane it never attached to is missing. */
typedef struct stat_tally {
    unsigned live, done, dead, missing;
} stat_tally;

/* role: 'p' or 'c' */
void stat_count(const mpp_snapshot *s, char role, stat_tally *t);

/* One line of the list.  A snapshot holds its mesh open; this does not, so that a list of a thousand meshes needs
 * no thousand descriptors. */
typedef struct stat_summary {
    char id[MPP_NAME_MAX + 1];
    mpp_error error; /* status MPP_S_DONE: the mesh could be read, and what follows holds */
    char uuid[37];
    char state[16];
    char garbage[MPP_TEXT_MAX]; /* why --gc would remove it; "": it would not */
    mpp_error cause;            /* why it failed; status MPP_S_DONE: it has not */
    int64_t created_ns, age_ns;
    uint64_t size;
    unsigned producers, consumers;
    stat_tally participants;
    int64_t taken_ns;
    uint64_t bytes; /* published in all channels */
    double rate;    /* bytes per second of late; < 0: unknown */
} stat_summary;

void stat_summarize(const mpp_snapshot *s, stat_summary *m);

/* Could anything move there? */
bool stat_is_live(const stat_summary *m);

/* Fill in the rates of those that are live, from what was seen before. */
void stat_list_rates(stat_summary *list, size_t n, const stat_summary *before, size_t n_before);

/* Every mesh of this user, sorted by id.  To be freed.  The number, or -1 with errno. */
int stat_list_take(stat_summary **list);

/* Make what a snapshot says fit to be shown: a channel's records are UINT64_MAX where they were not counted; its times
 * include the wait that goes on now.  Once; and after the verdict, which wants what the segment says. */
void stat_adjust(mpp_snapshot *s);

/* One mesh as it is shown. */
typedef struct stat_mesh {
    mpp_snapshot *now;
    const mpp_snapshot *before; /* an earlier one, for the rates; or NULL */
    why *verdict;               /* or NULL */
} stat_mesh;

/* What a channel carried each second since the earlier snapshot; < 0: unknown. */
typedef struct stat_rates {
    double bytes, records;
} stat_rates;
stat_rates stat_channel_rates(const stat_mesh *m, const mpp_channel *c);
/* The same of a producer whose buffer overwrites; share is one of m->now. */
stat_rates stat_share_rates(const stat_mesh *m, const mpp_share *share);

/* Is nobody there any more, but somebody was?  Then all that there is to say is what it did. */
bool stat_is_over(const mpp_snapshot *s);

/* Nanoseconds since the mesh was made, by the real-time clock: a jump of that clock shows. */
int64_t stat_age(const mpp_snapshot *s);

#endif
