/* stat-take.c - snapshots, taken so that no mesh can bring mpp-stat down */
#include "stat.h"

#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t shrunk;

/* A segment that somebody truncates raises SIGBUS where it is read.  A page of zeros in the hole lets the library
 * go on to a result that stat_take() throws away. */
static void fill_hole(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const int saved = errno;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t hole = (uintptr_t)info->si_addr & ~(page - 1);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    shrunk = 1;
    void *page_of_zeros = MAP_FAILED;
    if (info->si_code == BUS_ADRERR)
        page_of_zeros = mmap((void *)hole, page, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (page_of_zeros == MAP_FAILED)
        signal(signal_number, SIG_DFL);
    errno = saved;
}

static void guard(void)
{
    struct sigaction action = {.sa_sigaction = fill_hole, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    shrunk = 0;
}

/* Has the mesh shrunk since guard()?  Then *err says so. */
static bool has_shrunk(const char *id, mpp_error *err)
{
    if (!shrunk)
        return false;
    *err = (mpp_error){.status = MPP_S_CORRUPT};
    snprintf(err->text, sizeof err->text, "mesh %s: the segment was truncated while it was read", id);
    return true;
}

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
    if (!p->activity || p->channel < 0 || s->n_channels == 0)
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
        if (strcmp(p->activity, mpp_activity_text(MPP_WAITING_SPACE)) == 0 && c->fill > s->ring_size / 2)
            c->counters.space_ns += slept;
        if (strcmp(p->activity, mpp_activity_text(MPP_WAITING_DATA)) == 0 && c->fill == 0)
            c->counters.data_ns += slept;
    }
}

int stat_take(const char *id, mpp_snapshot **s, mpp_error *err)
{
    guard();
    int rc = mpp_snapshot_take(id, s, err);
    if (has_shrunk(id, err)) {
        if (rc == 0)
            mpp_snapshot_free(s);
        return -1;
    }
    if (rc == 0) {
        mark_uncounted(*s);
        add_present_waits(*s);
    }
    return rc;
}

int stat_open(const char *id, mpp_mesh **m, mpp_error *err)
{
    guard();
    int rc = mpp_mesh_open(id, m, err);
    if (has_shrunk(id, err)) {
        if (rc == 0)
            mpp_mesh_close(m);
        return -1;
    }
    return rc;
}

int64_t stat_age(const mpp_snapshot *s)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - s->created_ns;
}

enum { SEEN_DEAD = 1, SEEN_LIVE = 2, SEEN_FREE = 4 };

static unsigned char seen(const char *state)
{
    if (strcmp(state, "live") == 0)
        return SEEN_LIVE;
    if (strcmp(state, "free") == 0)
        return SEEN_FREE;
    return strcmp(state, "done") == 0 ? 0 : SEEN_DEAD; /* a state that is no state will not do anything more */
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
    };
    snprintf(m->id, sizeof m->id, "%s", s->id);
    snprintf(m->uuid, sizeof m->uuid, "%s", s->uuid);
    snprintf(m->state, sizeof m->state, "%s", s->state);
    snprintf(m->garbage, sizeof m->garbage, "%s", s->garbage ? s->garbage : "");
}

/* false: the mesh went away since it was listed. */
static bool take_one(const char *id, stat_summary *m)
{
    mpp_snapshot *s;
    mpp_error error = {0};
    if (stat_take(id, &s, &error) == 0) {
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
