

#include "base/names.h"

#include "mpp.h"

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
    return activity < sizeof texts / sizeof *texts ? texts[activity] : "unknown";
}

const char *mpp_buffer_text(mpp_buffer_kind kind)
{
    static const char *const names[] = {"bounded", "ring", "latest", "mailbox"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
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
