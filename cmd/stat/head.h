/* head.h - what a mesh is, in a few lines: its geometry, who is there, its streams */
#ifndef CMD_STAT_HEAD_H
#define CMD_STAT_HEAD_H

#include "mpp-look.h"

#include <stdbool.h>
#include <stdio.h>

/* all: do not cut a long list of streams. */
void stat_head_print(const mpp_snapshot *s, bool all, FILE *out);

#endif
