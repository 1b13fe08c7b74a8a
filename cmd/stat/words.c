#include "stat/words.h"

const char *stat_partition(mpp_partition_kind kind)
{
    static const char *const names[] = {
        [MPP_HASH] = "hash",   [MPP_ROUND_ROBIN] = "round-robin", [MPP_ANY] = "any",
        [MPP_RANGE] = "range", [MPP_BROADCAST] = "broadcast",
    };
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

const char *stat_overwrites(mpp_buffer_kind kind)
{
    static const char *const texts[] = {
        [MPP_RING] = "a ring that drops the oldest",
        [MPP_LATEST] = "the latest of each producer",
        [MPP_MAILBOX] = "a mailbox, each read once at most",
    };
    return kind < sizeof texts / sizeof *texts && texts[kind] ? texts[kind] : "unknown";
}
