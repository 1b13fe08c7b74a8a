#include "stat/take.h"
#include "mpp-look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A gather from a file or pipe does not look for records; nothing counted is not the same as none. */
static void mark_uncounted(mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_channels; i++)
        if (s->channels[i].counters.records == 0 && s->channels[i].counters.bytes > 0)
            s->channels[i].counters.records = UINT64_MAX;
}

static int by_channel(const void *a, const void *b)
{
    const mpp_channel *p = a, *q = b;
    if (p->lane != q->lane)
        return p->lane < q->lane ? -1 : 1;
    if (p->producer != q->producer)
        return p->producer < q->producer ? -1 : 1;
    return (p->consumer > q->consumer) - (p->consumer < q->consumer);
}

/* The channel on which a participant waits for one peer, or NULL. */
static mpp_channel *awaited(const mpp_snapshot *s, const mpp_participant *p)
{
    if (p->state != MPP_PLACE_LIVE || p->channel < 0 || s->n_channels == 0)
        return NULL;
    const unsigned peer = (unsigned)p->channel;
    const mpp_channel wanted = {
        .lane = p->lane, .producer = p->role == 'p' ? p->index : peer, .consumer = p->role == 'p' ? peer : p->index};
    return bsearch(&wanted, s->channels, s->n_channels, sizeof wanted, by_channel);
}

/* Who sleeps accounts for it when it wakes; of one who is stuck that would show nothing.  A process that serves
 * several lanes says the same in each: only the lane that is full, or empty, can be meant. */
static void add_present_waits(mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        mpp_channel *c = awaited(s, p);
        if (!c || p->since_ns <= 0 || p->since_ns > s->taken_ns)
            continue;
        const uint64_t slept = (uint64_t)(s->taken_ns - p->since_ns);
        if (p->doing == MPP_WAITING_SPACE && c->fill > s->ring_size / 2)
            c->counters.space_ns += slept;
        if (p->doing == MPP_WAITING_DATA && c->fill == 0)
            c->counters.data_ns += slept;
    }
}

/* The verdict looks at who waits where nothing went through yet; people do not. */
static void drop_untouched(mpp_snapshot *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *c = &s->channels[i];
        if (c->counters.bytes || c->fill || c->wanted || c->counters.space_waits || c->counters.dropped ||
            c->counters.got || c->counters.missed)
            s->channels[kept++] = *c;
    }
    s->n_channels = kept;
}

void stat_adjust(mpp_snapshot *s)
{
    drop_untouched(s);
    mark_uncounted(s);
    add_present_waits(s);
}

int64_t stat_age(const mpp_snapshot *s)
{
    struct timespec t;
    int64_t age;
    clock_gettime(CLOCK_REALTIME, &t);
    /* A corrupt mesh may have been made at any time. */
    return __builtin_sub_overflow((int64_t)t.tv_sec * 1000000000 + t.tv_nsec, s->created_ns, &age) ? 0 : age;
}

/* ---- rates -------------------------------------------------------------------------------------- */

/* What a counter gained each second; < 0: it cannot be said, as of one that went back. */
static double rate(uint64_t now, uint64_t before, int64_t ns)
{
    if (ns <= 0 || now == UINT64_MAX || before == UINT64_MAX || now < before)
        return -1;
    return (double)(now - before) * 1e9 / (double)ns;
}

/* A channel is in a snapshot from its first traffic on. */
stat_rates stat_channel_rates(const stat_mesh *m, const mpp_channel *c)
{
    static const mpp_channel none;
    const mpp_snapshot *s = m->before;
    if (!s)
        return (stat_rates){-1, -1};
    const mpp_channel *then = s->n_channels ? bsearch(c, s->channels, s->n_channels, sizeof *c, by_channel) : NULL;
    if (!then)
        then = &none;
    const int64_t ns = m->now->taken_ns - s->taken_ns;
    return (stat_rates){rate(c->counters.bytes, then->counters.bytes, ns),
                        rate(c->counters.records, then->counters.records, ns)};
}

stat_rates stat_share_rates(const stat_mesh *m, const mpp_share *share)
{
    const mpp_snapshot *s = m->before;
    const size_t at = (size_t)(share - m->now->shares);
    if (!s || at >= s->n_shares)
        return (stat_rates){-1, -1};
    const mpp_share_counters *then = &s->shares[at].counters;
    const int64_t ns = m->now->taken_ns - s->taken_ns;
    return (stat_rates){rate(share->counters.produced_bytes, then->produced_bytes, ns),
                        rate(share->counters.produced, then->produced, ns)};
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const stat_summary *)a)->id, ((const stat_summary *)b)->id);
}

/* A name may be another mesh's by now, which its uuid tells. */
void stat_list_rates(stat_summary *list, size_t n, const stat_summary *before, size_t n_before)
{
    for (size_t i = 0; i < n; i++) {
        stat_summary *m = &list[i];
        const stat_summary *then = n_before ? bsearch(m, before, n_before, sizeof *m, by_id) : NULL;
        if (then && then->error.status == MPP_S_DONE && strcmp(then->uuid, m->uuid) == 0 && stat_is_live(m))
            m->rate = rate(m->bytes, then->bytes, m->taken_ns - then->taken_ns);
    }
}

bool stat_is_live(const stat_summary *m)
{
    return m->error.status == MPP_S_DONE && m->participants.live > 0;
}

enum { SEEN_DEAD = 1, SEEN_LIVE = 2, SEEN_FREE = 4 };

static unsigned char seen(mpp_place_state state)
{
    if (state == MPP_PLACE_LIVE)
        return SEEN_LIVE;
    if (state == MPP_PLACE_FREE)
        return SEEN_FREE;
    return state == MPP_PLACE_DONE ? 0 : SEEN_DEAD; /* a state that is no state will not do anything more */
}

void stat_count(const mpp_snapshot *s, char role, stat_tally *t)
{
    const unsigned n = role == 'p' ? s->producers : s->consumers;
    unsigned char bits[MPP_PARTICIPANTS_MAX] = {0}; /* what each participant is in any of its lanes */
    for (unsigned k = 0; k < s->n_participants; k++)
        if (s->participants[k].role == role && s->participants[k].index < MPP_PARTICIPANTS_MAX)
            bits[s->participants[k].index] |= seen(s->participants[k].state);
    *t = (stat_tally){0};
    for (unsigned i = 0; i < n && i < MPP_PARTICIPANTS_MAX; i++)
        if (bits[i] & SEEN_DEAD)
            t->dead++;
        else if (bits[i] & SEEN_LIVE)
            t->live++;
        else if (bits[i] & SEEN_FREE)
            t->missing++;
        else
            t->done++;
}

bool stat_is_over(const mpp_snapshot *s)
{
    bool was_there = false;
    for (unsigned i = 0; i < s->n_participants; i++) {
        if (seen(s->participants[i].state) == SEEN_LIVE)
            return false;
        was_there |= seen(s->participants[i].state) != SEEN_FREE;
    }
    return was_there;
}

static stat_tally sum(const stat_tally *a, const stat_tally *b)
{
    return (stat_tally){a->live + b->live, a->done + b->done, a->dead + b->dead, a->missing + b->missing};
}

void stat_summarize(const mpp_snapshot *s, stat_summary *m)
{
    stat_tally producers, consumers;
    stat_count(s, 'p', &producers);
    stat_count(s, 'c', &consumers);
    *m = (stat_summary){
        .error = {.status = MPP_S_DONE},
        .cause = s->cause,
        .created_ns = s->created_ns,
        .age_ns = stat_age(s),
        .size = s->segment_size,
        .producers = s->producers,
        .consumers = s->consumers,
        .participants = sum(&producers, &consumers),
        .taken_ns = s->taken_ns,
        .rate = -1,
    };
    for (unsigned i = 0; i < s->n_channels; i++)
        m->bytes += s->channels[i].counters.bytes;
    for (unsigned i = 0; i < s->n_shares; i++)
        m->bytes += s->shares[i].counters.produced_bytes;
    snprintf(m->id, sizeof m->id, "%s", s->id);
    snprintf(m->uuid, sizeof m->uuid, "%s", s->uuid);
    snprintf(m->state, sizeof m->state, "%s", mpp_mesh_state_text(s->state));
    snprintf(m->garbage, sizeof m->garbage, "%s", s->garbage ? s->garbage : "");
}

/* false: the mesh went away since it was listed. */
static bool take_one(const char *id, stat_summary *m)
{
    mpp_snapshot *s;
    mpp_error error = {0};
    if (mpp_snapshot_take(id, &s, &error) == 0) {
        stat_summarize(s, m);
        mpp_snapshot_free(&s);
    } else
        *m = (stat_summary){.error = error};
    snprintf(m->id, sizeof m->id, "%s", id);
    return error.status != MPP_S_NO_MESH;
}

int stat_list_take(stat_summary **list)
{
    char **ids = NULL;
    int n = mpp_mesh_list(&ids), kept = 0;
    *list = n < 0 ? NULL : calloc((size_t)n + 1, sizeof **list);
    for (int i = 0; i < n; i++) {
        if (*list && take_one(ids[i], &(*list)[kept]))
            kept++;
        free(ids[i]);
    }
    free(ids);
    return *list ? kept : -1;
}
