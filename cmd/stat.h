/* stat.h - what mpp-stat shows: the list of meshes, one mesh; each as text and as JSON */
#ifndef STAT_H
#define STAT_H

#include "mpp.h"

#include <stdbool.h>
#include <stddef.h>

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
} stat_summary;

void stat_summarize(const mpp_snapshot *s, stat_summary *m);

/* Every mesh of this user, sorted by id.  To be freed.  The number, or -1 with errno. */
int stat_list_take(stat_summary **list);

/* mpp_snapshot_take(); a channel's records are UINT64_MAX where they were not counted; its times include the wait that goes on now. */
int stat_take(const char *id, mpp_snapshot **s, mpp_error *err);

/* Nanoseconds since the mesh was made, by the real-time clock: a jump of that clock shows. */
int64_t stat_age(const mpp_snapshot *s);

/* "hash", "round-robin", ... */
const char *stat_partition(mpp_partition_kind kind);

/* Choose the columns before anything is looked at: one that there is not is a usage error.
 * columns: what -o says, or NULL for the default ones. */
void stat_list_columns(const char *columns);
void stat_mesh_columns(const char *columns);

/* all: do not cut long tables to the worst rows. */
void stat_list_print(const stat_summary *list, size_t n);
void stat_mesh_print(const mpp_snapshot *s, bool all);

/* The same as one line of JSON; the fields stand in mpp-stat(1). */
void stat_json_list(const stat_summary *list, size_t n);
void stat_json_mesh(const mpp_snapshot *s);

#endif
