#include "stat/participants.h"

#include "common/text.h"
#include "mpp-look.h"
#include "stat/cell.h"

#include <string.h>

static const char *role(const mpp_participant *p)
{
    return text_role(p->role);
}

static void show_participant(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    snprintf(out, TEXT_CELL, "%s %u", role(p), p->index);
    cell_add_lane(out, cell_snapshot(context), p->lane);
}

static void show_role(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%s", role(row));
}

static void show_index(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%u", ((const mpp_participant *)row)->index);
}

static void show_state(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    snprintf(out, TEXT_CELL, "%s", mpp_place_text(((const mpp_participant *)row)->state));
}

static void show_pid(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_participant *p = row;
    if (p->pid > 0)
        snprintf(out, TEXT_CELL, "%jd", (intmax_t)p->pid);
}

static void show_label(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_participant *p = row;
    if (*p->label)
        text_clean(out, TEXT_CELL, p->label);
}

/* "waiting for space on 2->1": the channel where the participant waits for one peer */
static void show_activity(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    if (!p->activity)
        return;
    snprintf(out, TEXT_CELL, "%s", p->activity);
    if (p->channel < 0)
        return;
    const unsigned peer = (unsigned)p->channel;
    const size_t used = strlen(out);
    snprintf(out + used, TEXT_CELL - used, " on %u->%u", p->role == 'p' ? p->index : peer,
             p->role == 'p' ? peer : p->index);
    cell_add_lane(out, cell_snapshot(context), p->lane);
}

static void show_since(char *out, const column *c, const void *context, const void *row)
{
    (void)c;
    const mpp_participant *p = row;
    if (p->since_ns > 0)
        text_duration(out, cell_snapshot(context)->taken_ns - p->since_ns);
}

static void show_command(char *out, const column *c, const void *context, const void *row)
{
    (void)c, (void)context;
    const mpp_participant *p = row;
    if (p->command > 0)
        snprintf(out, TEXT_CELL, "%jd", (intmax_t)p->command);
}

static column participant_columns[] = {
    {.name = "activity", .cell = show_activity},
    {.name = "command", .right = true, .cell = show_command},
    {.name = "index", .right = true, .cell = show_index},
    {.name = "label", .cell = show_label},
    {.name = "participant", .cell = show_participant},
    {.name = "pid", .right = true, .cell = show_pid},
    {.name = "role", .cell = show_role},
    {.name = "since", .right = true, .cell = show_since},
    {.name = "state", .cell = show_state},
#define ENDPOINT_COUNTER(counter, kind, counted, prose)                                                                \
    {.name = #counter,                                                                                                 \
     .right = true,                                                                                                    \
     .cell = cell_counter,                                                                                             \
     .unit = #kind " " #counted,                                                                                       \
     .offset = offsetof(mpp_participant, counters.counter)},
#include "counters.def"
};

/* How soon a state wants attention. */
static int urgency(const mpp_participant *p)
{
    static const mpp_place_state calm[] = {MPP_PLACE_LIVE, MPP_PLACE_FREE, MPP_PLACE_DONE};
    for (int i = 0; i < 3; i++)
        if (p->state == calm[i])
            return i + 1;
    return 0; /* dead, corrupt */
}

int stat_worse_participant(const void *a, const void *b)
{
    const mpp_participant *const *pa = a, *const *pb = b, *p = *pa, *q = *pb;
    const int64_t p_since = p->since_ns > 0 ? p->since_ns : INT64_MAX,
                  q_since = q->since_ns > 0 ? q->since_ns : INT64_MAX;
    if (urgency(p) != urgency(q))
        return urgency(p) - urgency(q);
    if (p_since != q_since)
        return p_since < q_since ? -1 : 1;
    return p < q ? -1 : 1;
}

static table participants;

void stat_participants_init(void)
{
    table_init(&participants, participant_columns, sizeof participant_columns / sizeof *participant_columns);
}

table *stat_participants_table(void)
{
    return &participants;
}
