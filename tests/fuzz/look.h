/* look.h - a snapshot, as a careful user looks at it: all of it can be shown */
#ifndef LOOK_H
#define LOOK_H

#include "live.h"
#include "mpp-look.h"

static inline void look_text(const char *text, size_t room)
{
    must(memchr(text, 0, room), "a text has an end");
}

static inline void look_at_participant(const mpp_snapshot *s, const mpp_participant *p)
{
    must(strcmp(mpp_place_text(p->state), "unknown") != 0, "%d", (int)p->state);
    must(p->role == 'p' ? p->index < s->producers : p->role == 'c' && p->index < s->consumers, "%c%u", p->role,
         p->index);
    must(p->lane < s->lanes, "lane %u", p->lane);
    must(p->channel >= -1 && p->channel < MPP_PARTICIPANTS_MAX, "waits for %d", p->channel);
    must(!p->activity == (p->state != MPP_PLACE_LIVE), "a %s one", mpp_place_text(p->state));
    look_text(p->label, sizeof p->label);
}

static inline void look_at_channel(const mpp_snapshot *s, const mpp_channel *c)
{
    mpp_hot_key hot;
    must(c->lane < s->lanes && c->producer < s->producers && c->consumer < s->consumers, "channel %u: %u->%u", c->lane,
         c->producer, c->consumer);
    must(c->fill <= s->ring_size, "%llu bytes unread", (unsigned long long)c->fill);
    must(c->head >= -1 && c->head < (int)s->n_streams, "stream %d is next", c->head);
    const bool found = mpp_snapshot_hot_key(s, c, &hot);
    must(found == (hot.seen > 0) && hot.times <= hot.seen, "%u of %u", hot.times, hot.seen);
    look_text(hot.key, sizeof hot.key);
}

static inline void look_at(const mpp_snapshot *s)
{
    must(s->n_participants == s->lanes * (s->producers + s->consumers), "%u participants", s->n_participants);
    must(s->n_channels <= s->lanes * s->producers * s->consumers, "%u channels", s->n_channels);
    must(s->cause_by >= -1 && s->cause_by < (int)s->n_participants, "%d is the cause", s->cause_by);
    for (unsigned i = 0; i < s->n_participants; i++)
        look_at_participant(s, &s->participants[i]);
    for (unsigned i = 0; i < s->n_channels; i++)
        look_at_channel(s, &s->channels[i]);
    look_text(s->cause.text, sizeof s->cause.text);
    for (const char *p = s->cause.text; *p; p++)
        must((unsigned char)*p >= ' ' && *p != 0x7f, "a cause holds the byte %d", *p);
    mpp_error cause;
    must(mpp_mesh_cause(s->mesh, &cause) == (s->cause.status != MPP_S_DONE), "a cause is a cause");
}

/* true: there was something to look at. */
static inline bool look(const char *id)
{
    mpp_snapshot *s;
    mpp_error err;
    if (mpp_snapshot_take(id, &s, &err) < 0) {
        must(*err.text && err.status >= MPP_S_ERROR && err.status <= MPP_S_CORRUPT, "status %d", (int)err.status);
        return false;
    }
    look_at(s);
    mpp_snapshot_free(&s);
    return true;
}

#endif
