/* judge.h - is what happened in a scenario what was promised?
 *
 * Whatever was done to the victim: outputs are whole records in order, a consumer that exits 0 has all of them, who
 * fails says why, and nothing is left.  Then, by the kind of what was done:
 *
 *     nothing, or what nobody may notice    everybody exits 0, without a word
 *     an error     overcome, as above; or the victim says which, and the others exit 3 with the victim's name
 *     a kill       the others exit 4 with its name, or 0 if it had done all; what was published was delivered */
#ifndef JUDGE_H
#define JUDGE_H

#include "mpp-look.h"
#include "sweep.h"

static inline bool judge_is_for(const process *p, char role, unsigned index)
{
    return p->role == role && (p->index == 'A' || p->index == (char)('0' + index));
}

/* May the last record of consumer j's output be cut short?  Its own, when something was done to it; or that of its
 * command, which is told of a failure by SIGTERM and not by the end of its input. */
static inline bool judge_may_tear(const observation *o, const process *victim, unsigned j, bool harmed)
{
    bool may = harmed && judge_is_for(victim, 'c', j);
    for (unsigned i = 0; i < o->n_processes; i++)
        may |= judge_is_for(&o->processes[i], 'c', j) && o->processes[i].status != 0 &&
               strstr(o->processes[i].text, "-- ");
    return may;
}

static inline void judge_outputs(observation *o, const process *victim, bool harmed)
{
    for (unsigned j = 0; j < o->scenario->consumers; j++) {
        got g = scenario_got(o, j);
        if (g.wrong)
            complain(o, "consumer %u: at byte %zu: %s", j, g.at, g.wrong);
        if (g.torn_tail && !judge_may_tear(o, victim, j, harmed))
            complain(o, "consumer %u: a torn record at byte %zu", j, g.at);
        for (unsigned i = 0; i < o->n_processes; i++)
            if (judge_is_for(&o->processes[i], 'c', j) && o->processes[i].status == 0 && !g.complete)
                complain(o, "consumer %u exits 0 with %u records, which are not all", j, g.records);
    }
}

/* Who fails says so, and who does not says nothing. */
static inline void judge_words(observation *o, const process *p, bool killed)
{
    char *said = scenario_said(p);
    if (p->status == 0 && *said)
        complain(o, "%s exits 0 and says: %s", p->name, said);
    if (p->status > 0 && !killed && (strncmp(said, "mpp-", 4) != 0 || !strchr(said, '\n')))
        complain(o, "%s exits %d, and says nothing that helps: %s", p->name, p->status, said);
    free(said);
}

/* One who learned of it: STATUS, and the victim's name in its first line. */
static inline void judge_told(observation *o, const process *p, const process *victim, int status, const char *what)
{
    char name[64], *said = scenario_said(p);
    snprintf(name, sizeof name, "%s %c (pid %d", victim->role == 'p' ? "producer" : "consumer", victim->index,
             (int)victim->pid);
    if (p->status != status)
        complain(o, "%s exits %d, not 0 or %d", p->name, p->status, status);
    else if (!strstr(said, name) || !strstr(said, what))
        complain(o, "%s does not say '%s...%s': %s", p->name, name, what, said);
    free(said);
}

/* Of processes behind --all, or of those that a tool has started: who failed is for them to say, but all others must
 * have the same cause. */
static inline void judge_same_cause(observation *o, const process *victim)
{
    char *first = NULL;
    for (unsigned i = 0; i < o->n_processes; i++) {
        const process *p = &o->processes[i];
        if (p == victim || p->late || p->status == 0 || p->index == 'A')
            continue;
        if (p->status != MPP_S_FAILED && p->status != MPP_S_DIED)
            complain(o, "%s exits %d", p->name, p->status);
        char *said = scenario_said(p), *text = strchr(said, ' ');
        if (first && text && strcmp(first, text) != 0)
            complain(o, "%s has another cause: %s", p->name, text);
        if (!first && text)
            first = strdup(text);
        free(said);
    }
    free(first);
}

static inline void judge_error(observation *o, const process *victim, int error)
{
    char *said = scenario_said(victim);
    if (victim->status != 0 && !strstr(said, strerror(error)) && victim->status < 126)
        complain(o, "the victim does not say '%s': %s", strerror(error), said);
    bool promised = victim->status <= MPP_S_ERROR || victim->status == 126 || victim->status == 127 ||
                    (victim->status == MPP_S_CORRUPT && error == EACCES); /* another user's, it seems */
    if (!promised)
        complain(o, "the victim exits %d", victim->status);
    free(said);
}

/* What the victim had published for those who outlived it is all taken.  Only a mesh that was kept can tell. */
static inline void judge_published(observation *o, const process *victim, const point *done)
{
    mpp_snapshot *now;
    mpp_error err;
    unsigned worker = done ? done->tracee : 0, index = (unsigned)(victim->index - '0');
    while (worker >= 64) /* the commands, and what else a worker has started, are of the worker */
        worker /= 8;
    if (victim->index == 'A')
        index = worker >= 8 ? worker % 8 - 1 : PRODUCERS_MAX; /* who ends by SIGTERM calls it all off */
    if (mpp_snapshot_take(o->mesh, &now, &err) < 0) {
        complain(o, "the mesh was not kept: %s", err.text);
        return;
    }
    for (unsigned i = 0; victim->role == 'p' && i < now->n_channels; i++) {
        const mpp_channel *c = &now->channels[i];
        if (c->fill > 0 && c->producer == index && !o->scenario->enough)
            complain(o, "%llu bytes of producer %u for consumer %u were published and not delivered",
                     (unsigned long long)c->fill, c->producer, c->consumer);
    }
    mpp_snapshot_free(&now);
}

static inline void judge(observation *o, unsigned number, const point *done, bool kept)
{
    const process *victim = &o->processes[number];
    kind of = done ? sweep_kind(done) : KIND_INVISIBLE;
    bool hung = *o->wrong, overcome = of == KIND_INVISIBLE || victim->status == 0;
    bool itself = done && done->tracee == 1 && victim->index != 'A';
    judge_outputs(o, victim, !overcome);
    for (unsigned i = 0; i < o->n_processes && !hung; i++) {
        const process *p = &o->processes[i];
        judge_words(o, p, of == KIND_KILL && p == victim);
        if (p == victim && of == KIND_ERROR && itself)
            judge_error(o, p, done->error);
        else if (p == victim && of == KIND_KILL && itself && p->status != 128 + SIGKILL)
            complain(o, "the victim exits %d", p->status);
        else if (p == victim || p->late)
            continue;
        else if (overcome && p->status != 0)
            complain(o, "%s exits %d, and nobody has failed", p->name, p->status);
        else if (!overcome && itself && p->status != 0)
            judge_told(o, p, victim, of == KIND_KILL ? MPP_S_DIED : MPP_S_FAILED,
                       of == KIND_KILL ? "died before its stream ended" : strerror(done->error));
    }
    if (overcome && victim->status != 0)
        complain(o, "%s exits %d, and nothing was done to it", victim->name, victim->status);
    if (!overcome && !hung && !itself)
        judge_same_cause(o, victim);
    if (kept && !hung)
        judge_published(o, victim, done);
    scenario_clear(o, kept || of != KIND_INVISIBLE);
}

#endif
