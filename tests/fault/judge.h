/* judge.h - is what happened in a scene what was promised?
 *
 * Whatever was done to the victim: outputs are whole records in order, a consumer that exits 0 has all of them, who fails
 * says why, and nothing is left.  Then, by the kind of what was done:
 *
 *     nothing, or what nobody may notice    everybody exits 0, without a word
 *     an error     overcome, as above; or the victim says which, and the others exit 3 with the victim's name
 *     a kill       the others exit 4 with its name, or 0 if it had done all; what was published was delivered */
#ifndef JUDGE_H
#define JUDGE_H

#include "sweep.h"

static inline bool judge_is_for(const seat *t, char role, unsigned index)
{
    return t->role == role && (t->index == 'A' || t->index == (char)('0' + index));
}

/* May the last record of consumer j's output be cut short?  Its own, when something was done to it; or that of its
 * command, which is told of a failure by SIGTERM and not by the end of its input. */
static inline bool judge_may_tear(const show *s, const seat *victim, unsigned j, bool harmed)
{
    bool may = harmed && judge_is_for(victim, 'c', j);
    for (unsigned i = 0; i < s->n_seats; i++)
        may |= judge_is_for(&s->seats[i], 'c', j) && s->seats[i].status != 0 && strstr(s->seats[i].text, "-- ");
    return may;
}

static inline void judge_outputs(show *s, const seat *victim, bool harmed)
{
    for (unsigned j = 0; j < s->scene->consumers; j++) {
        got g = scene_got(s, j);
        if (g.wrong)
            complain(s, "consumer %u: at byte %zu: %s", j, g.at, g.wrong);
        if (g.torn_tail && !judge_may_tear(s, victim, j, harmed))
            complain(s, "consumer %u: a torn record at byte %zu", j, g.at);
        for (unsigned i = 0; i < s->n_seats; i++)
            if (judge_is_for(&s->seats[i], 'c', j) && s->seats[i].status == 0 && !g.complete)
                complain(s, "consumer %u exits 0 with %u records, which are not all", j, g.records);
    }
}

/* Who fails says so, and who does not says nothing. */
static inline void judge_words(show *s, const seat *t, bool killed)
{
    char *said = scene_said(t);
    if (t->status == 0 && *said)
        complain(s, "%s exits 0 and says: %s", t->name, said);
    if (t->status > 0 && !killed && (strncmp(said, "mpp-", 4) != 0 || !strchr(said, '\n')))
        complain(s, "%s exits %d, and says nothing that helps: %s", t->name, t->status, said);
    free(said);
}

/* One who learned of it: STATUS, and the victim's name in its first line. */
static inline void judge_told(show *s, const seat *t, const seat *victim, int status, const char *what)
{
    char name[64], *said = scene_said(t);
    snprintf(name, sizeof name, "%s %c (pid %d", victim->role == 'p' ? "producer" : "consumer", victim->index,
             (int)victim->pid);
    if (t->status != status)
        complain(s, "%s exits %d, not 0 or %d", t->name, t->status, status);
    else if (!strstr(said, name) || !strstr(said, what))
        complain(s, "%s does not say '%s...%s': %s", t->name, name, what, said);
    free(said);
}

/* Of processes behind --all, or of those that a tool has started: who failed is for them to say, but all others must
 * have the same cause. */
static inline void judge_same_cause(show *s, const seat *victim)
{
    char *first = NULL;
    for (unsigned i = 0; i < s->n_seats; i++) {
        const seat *t = &s->seats[i];
        if (t == victim || t->late || t->status == 0 || t->index == 'A')
            continue;
        if (t->status != MPP_S_FAILED && t->status != MPP_S_DIED)
            complain(s, "%s exits %d", t->name, t->status);
        char *said = scene_said(t), *text = strchr(said, ' ');
        if (first && text && strcmp(first, text) != 0)
            complain(s, "%s has another cause: %s", t->name, text);
        if (!first && text)
            first = strdup(text);
        free(said);
    }
    free(first);
}

static inline void judge_error(show *s, const seat *victim, int error)
{
    char *said = scene_said(victim);
    if (victim->status != 0 && !strstr(said, strerror(error)) && victim->status < 126)
        complain(s, "the victim does not say '%s': %s", strerror(error), said);
    bool promised = victim->status <= MPP_S_ERROR || victim->status == 126 || victim->status == 127 ||
                    (victim->status == MPP_S_CORRUPT && error == EACCES); /* another user's, it seems */
    if (!promised)
        complain(s, "the victim exits %d", victim->status);
    free(said);
}

/* What the victim had published for those who outlived it is all taken.  Only a mesh that was kept can tell. */
static inline void judge_published(show *s, const seat *victim, const point *done)
{
    mpp_snapshot *now;
    mpp_error err;
    unsigned worker = done ? done->process : 0, index = (unsigned)(victim->index - '0');
    while (worker >= 64) /* the commands, and what else a worker has started, are of the worker */
        worker /= 8;
    if (victim->index == 'A')
        index = worker >= 8 ? worker % 8 - 1 : PRODUCERS_MAX; /* who ends by SIGTERM calls it all off */
    if (mpp_snapshot_take(s->mesh, &now, &err) < 0) {
        complain(s, "the mesh was not kept: %s", err.text);
        return;
    }
    for (unsigned i = 0; victim->role == 'p' && i < now->n_channels; i++) {
        const mpp_channel *c = &now->channels[i];
        if (c->fill > 0 && c->producer == index && !s->scene->enough)
            complain(s, "%llu bytes of producer %u for consumer %u were published and not delivered",
                     (unsigned long long)c->fill, c->producer, c->consumer);
    }
    mpp_snapshot_free(&now);
}

static inline void judge(show *s, unsigned number, const point *done, bool kept)
{
    const seat *victim = &s->seats[number];
    kind of = done ? sweep_kind(done) : KIND_INVISIBLE;
    bool hung = *s->wrong, overcome = of == KIND_INVISIBLE || victim->status == 0;
    bool itself = done && done->process == 1 && victim->index != 'A';
    judge_outputs(s, victim, !overcome);
    for (unsigned i = 0; i < s->n_seats && !hung; i++) {
        const seat *t = &s->seats[i];
        judge_words(s, t, of == KIND_KILL && t == victim);
        if (t == victim && of == KIND_ERROR && itself)
            judge_error(s, t, done->error);
        else if (t == victim && of == KIND_KILL && itself && t->status != 128 + SIGKILL)
            complain(s, "the victim exits %d", t->status);
        else if (t == victim || t->late)
            continue;
        else if (overcome && t->status != 0)
            complain(s, "%s exits %d, and nobody has failed", t->name, t->status);
        else if (!overcome && itself && t->status != 0)
            judge_told(s, t, victim, of == KIND_KILL ? MPP_S_DIED : MPP_S_FAILED,
                       of == KIND_KILL ? "died before its stream ended" : strerror(done->error));
    }
    if (overcome && victim->status != 0)
        complain(s, "%s exits %d, and nothing was done to it", victim->name, victim->status);
    if (!overcome && !hung && !itself)
        judge_same_cause(s, victim);
    if (kept && !hung)
        judge_published(s, victim, done);
    scene_clear(s, kept || of != KIND_INVISIBLE);
}

#endif
