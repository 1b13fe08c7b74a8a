/* snapshot.c - a copy of a mesh's state for those who only look */
#include "mesh.h"

#include "atomics.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

static void take_participant(const mpp_mesh *m, unsigned number, mpp_participant *out)
{
    static const char *const states[] = {"free", "live", "done", "dead"};
    unsigned both = m->l.producers + m->l.consumers, index = number % both;
    layout_slot *s = mesh_slot(m, number);
    uint32_t state = load_acquire(&s->state); /* [L2] */
    uint32_t waits_for = load_relaxed(&s->waits_for);
    *out = (mpp_participant){.role = index < m->l.producers ? 'p' : 'c',
                             .index = index < m->l.producers ? index : index - m->l.producers,
                             .lane = number / both,
                             .pid = load_relaxed(&s->pid),
                             .channel = -1};
    if (state == LAYOUT_LIVE && segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number) == 0)
        state = load_acquire(&s->state) == LAYOUT_DONE ? LAYOUT_DONE : LAYOUT_DEAD; /* [L2] it may have left by now */
    out->state = state <= LAYOUT_DEAD ? states[state] : "corrupt";
    memcpy(out->label, s->label, sizeof out->label);
    out->label[sizeof out->label - 1] = 0;
    if (state != LAYOUT_LIVE)
        return;
    out->activity = mpp_activity_text(load_relaxed(&s->activity));
    out->since_ns = (int64_t)load_relaxed(&s->since_ns);
    if (waits_for && waits_for <= MPP_PARTICIPANTS_MAX)
        out->channel = (int)waits_for - 1;
}

static bool take_channel(const mpp_mesh *m, uint64_t number, mpp_channel *out)
{
    layout_channel *c = layout_channel_at(&m->l, m->base, number);
    uint64_t read = load_acquire(&c->read), write = load_acquire(&c->write); /* [S2] [W2]: read never passes write */
    *out = (mpp_channel){.lane = (unsigned)(number / m->l.consumers / m->l.producers),
                         .producer = (unsigned)(number / m->l.consumers % m->l.producers),
                         .consumer = (unsigned)(number % m->l.consumers),
                         .fill = write - read <= m->l.ring_size ? write - read : m->l.ring_size};
#define COUNTER(name, kind, unit, side, prose) out->counters.name = load_relaxed(&c->name);
#include "counters.def"
#undef COUNTER
    return write != 0 || out->counters.space_waits || out->counters.dropped;
}

static int take_channels(mpp_snapshot *s)
{
    const mpp_mesh *m = s->mesh;
    uint64_t n = (uint64_t)m->l.lanes * m->l.producers * m->l.consumers;
    unsigned room = 0;
    for (uint64_t i = 0; i < n; i++) {
        mpp_channel c;
        if (!take_channel(m, i, &c))
            continue;
        if (s->n_channels == room) {
            room = room ? room * 2 : 64;
            mpp_channel *bigger = realloc(s->channels, room * sizeof *bigger);
            if (!bigger)
                return -1;
            s->channels = bigger;
        }
        s->channels[s->n_channels++] = c;
    }
    return 0;
}

static const char *state_of(const mpp_snapshot *s)
{
    const mpp_mesh *m = s->mesh;
    if (mesh_cause_word(m) == LAYOUT_REMOVED)
        return "removed";
    if (mesh_cause_word(m))
        return "failed";
    if (load_acquire(&m->header->closed)) /* [K2] */
        return "closed";
    for (unsigned i = 0; i < s->n_participants; i++)
        if (strcmp(s->participants[i].state, "free") != 0)
            return "live";
    return "new";
}

/* Why nobody can use it any more, or NULL. */
static const char *garbage_of(const mpp_snapshot *s)
{
    bool dead = false;
    for (unsigned i = 0; i < s->n_participants; i++) {
        if (strcmp(s->participants[i].state, "live") == 0)
            return NULL;
        dead |= strcmp(s->participants[i].state, "dead") == 0;
    }
    if (mesh_watch_gone(s->mesh))
        return "the process that it was tied to (--pid) is gone";
    if (dead)
        return "a participant died, and nobody is left";
    if (mesh_cause_word(s->mesh))
        return "it failed, and nobody is left";
    if (load_acquire(&s->mesh->header->closed) || mesh_complete(s->mesh)) /* [K2] */
        return "it is finished";
    return NULL;
}

static int take(mpp_snapshot *s, const char *id, mpp_error *err)
{
    if (mpp_mesh_open(id, &s->mesh, err) < 0)
        return -1;
    const mpp_mesh *m = s->mesh;
    snprintf(s->id, sizeof s->id, "%s", m->id);
    uuid_unparse_lower(m->uuid, s->uuid);
    s->taken_ns = mpp_now();
    s->created_ns = m->created_ns;
    s->segment_size = m->l.segment_size;
    s->ring_size = m->l.ring_size;
    s->max_record = m->max_record;
    s->producers = m->l.producers;
    s->consumers = m->l.consumers;
    s->lanes = m->l.lanes;
    s->n_streams = m->l.streams;
    s->watch_pid = m->watch_pid;
    s->keep = m->keep;
    s->streams = calloc(s->n_streams, sizeof *s->streams);
    s->participants = calloc(m->l.slots, sizeof *s->participants);
    if (!s->streams || !s->participants || take_channels(s) < 0)
        return error_set(err, MPP_S_ERROR, ENOMEM, "a snapshot of mesh '%s'", id);
    for (unsigned i = 0; i < s->n_streams; i++)
        s->streams[i] = m->streams[i].info;
    for (s->n_participants = 0; s->n_participants < m->l.slots; s->n_participants++)
        take_participant(m, s->n_participants, &s->participants[s->n_participants]);
    mpp_mesh_cause(m, &s->cause);
    s->state = state_of(s);
    s->garbage = garbage_of(s);
    return 0;
}

int mpp_snapshot_take(const char *id, mpp_snapshot **out, mpp_error *err)
{
    mpp_snapshot *s = *out = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, MPP_S_ERROR, ENOMEM, "a snapshot of mesh '%s'", id);
    if (take(s, id, err) == 0)
        return 0;
    mpp_snapshot_free(out);
    return -1;
}

void mpp_snapshot_free(mpp_snapshot **sp)
{
    mpp_snapshot *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    mpp_mesh_close(&s->mesh);
    free(s->streams);
    free(s->participants);
    free(s->channels);
    free(s);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int mpp_mesh_list(char ***ids)
{
    int n = 0;
    *ids = NULL;
    DIR *d = opendir(SEGMENT_DIRECTORY);
    if (!d)
        return -1;
    /* readdir() of a stream of one's own is safe with threads. */
    /* cppcheck-suppress readdirCalled */
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        if (strncmp(entry->d_name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) != 0 ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid())
            continue;
        char **more = realloc(*ids, ((size_t)n + 1) * sizeof *more);
        if (more)
            *ids = more;
        if (!more || !(more[n] = strdup(entry->d_name + strlen(SEGMENT_PREFIX))))
            break;
        n++;
    }
    closedir(d);
    if (n)
        qsort(*ids, (size_t)n, sizeof **ids, by_name);
    return n;
}
