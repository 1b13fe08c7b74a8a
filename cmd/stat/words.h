/* words.h - what kinds of streams are called */
#ifndef CMD_STAT_WORDS_H
#define CMD_STAT_WORDS_H

#include "mpp.h"

/* "hash", "round-robin", ... */
const char *stat_partition(mpp_partition_kind kind);

/* What a buffer does that overwrites: "a ring that drops the oldest", ... */
const char *stat_overwrites(mpp_buffer_kind kind);

#endif
