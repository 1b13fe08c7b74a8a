#include "base/names.h"

#include "mpp-look.h"

static const char *word(const char *const *words, unsigned n, unsigned which)
{
    return which < n ? words[which] : "unknown";
}

#define WORD_OF(words, which) word(words, sizeof(words) / sizeof *(words), which)

const char *mpp_activity_text(unsigned activity)
{
    static const char *const texts[] = {
        [MPP_COMPUTING] = "working",
        [MPP_WAITING_START] = "waiting for START",
        [MPP_WAITING_SPACE] = "waiting for space",
        [MPP_WAITING_DATA] = "waiting for data",
        [MPP_READING_INPUT] = "reading its input",
        [MPP_WRITING_OUTPUT] = "writing its output",
        [MPP_WAITING_COMMAND] = "waiting for its command",
        [MPP_ENDING] = "ending",
        [MPP_WAITING_PEERS] = "waiting for everybody to attach",
    };
    return WORD_OF(texts, activity);
}

const char *mpp_buffer_text(mpp_buffer_kind kind)
{
    static const char *const names[] = {"bounded", "ring", "latest", "mailbox"};
    return WORD_OF(names, kind);
}

const char *mpp_partition_text(mpp_partition_kind kind)
{
    static const char *const names[] = {[MPP_HASH] = "hash",
                                        [MPP_ROUND_ROBIN] = "round-robin",
                                        [MPP_ANY] = "any",
                                        [MPP_RANGE] = "range",
                                        [MPP_BROADCAST] = "broadcast"};
    return WORD_OF(names, kind);
}

const char *names_role(char role)
{
    return role == 'p' ? "producer" : "consumer";
}

void names_clean(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
}

const char *mpp_mesh_state_text(mpp_mesh_state state)
{
    static const char *const words[] = {[MPP_MESH_NEW] = "new",
                                        [MPP_MESH_LIVE] = "live",
                                        [MPP_MESH_CLOSED] = "closed",
                                        [MPP_MESH_FAILED] = "failed",
                                        [MPP_MESH_REMOVED] = "removed"};
    return WORD_OF(words, state);
}

const char *mpp_place_text(mpp_place_state state)
{
    static const char *const words[] = {[MPP_PLACE_FREE] = "free",
                                        [MPP_PLACE_LIVE] = "live",
                                        [MPP_PLACE_DONE] = "done",
                                        [MPP_PLACE_DEAD] = "dead",
                                        [MPP_PLACE_CORRUPT] = "corrupt"};
    return WORD_OF(words, state);
}

const char *mpp_share_text(mpp_share_state state)
{
    static const char *const words[] = {[MPP_SHARE_NONE] = "none",
                                        [MPP_SHARE_RUNNING] = "running",
                                        [MPP_SHARE_ENDED] = "ended",
                                        [MPP_SHARE_FAILED] = "failed",
                                        [MPP_SHARE_CORRUPT] = "corrupt"};
    return WORD_OF(words, state);
}
