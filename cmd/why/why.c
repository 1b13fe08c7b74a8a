#include "why/why.h"

#include "common/cli.h"
#include "common/text.h"
#include "mpp-look.h"
#include "proc/glance.h"
#include "why/edges.h"
#include "why/solve.h"
#include "why/tell.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *why_name(why_class c)
{
    static const char *const names[] = {
        [WHY_FAILED] = "failed",       [WHY_DEAD] = "dead",
        [WHY_CYCLE] = "cycle",         [WHY_STOPPED] = "stopped",
        [WHY_TRACED] = "traced",       [WHY_MISSING] = "missing",
        [WHY_LANE_MATE] = "lane-mate", [WHY_DOWNSTREAM] = "downstream",
        [WHY_COMMAND] = "command",     [WHY_INPUT] = "input",
        [WHY_SKEW] = "skew",           [WHY_IDLE] = "idle",
        [WHY_FLOWING] = "flowing",     [WHY_FINISHED] = "finished",
    };
    return names[c];
}

/* ---- verdicts ----------------------------------------------------------------------------------- */

static why_verdict *add_verdict(why *w, why_class class, const mpp_snapshot *s)
{
    w->verdicts = cli_must(realloc(w->verdicts, (w->n + 1) * sizeof *w->verdicts));
    why_verdict *v = &w->verdicts[w->n++];
    *v = (why_verdict){.class = class};
    snprintf(v->mesh, sizeof v->mesh, "%s", s->id);
    return v;
}

static void set_subject(why_verdict *v, const why_root *r)
{
    const mpp_participant *p = r->subject->participant;
    proc process;
    if (!p)
        return;
    snprintf(v->mesh, sizeof v->mesh, "%s", r->subject->mesh->id);
    if (r->class != WHY_IDLE && r->class != WHY_CYCLE) {
        v->role = p->role;
        v->index = p->index;
        v->pid = r->pid ? r->pid : p->pid;
    }
    if (*r->process)
        snprintf(v->process, sizeof v->process, "%s", r->process);
    else if (v->pid && p->state == MPP_PLACE_LIVE && proc_read(v->pid, &process))
        snprintf(v->process, sizeof v->process, "%s", process.name);
}

/* Several roots may be one thing to people: a process that serves several lanes, all who are missing. */
static bool told_already(const why *w, const why_verdict *like)
{
    for (unsigned i = 0; i < w->n; i++) {
        const why_verdict *v = &w->verdicts[i];
        if (v->class == like->class && v->class != WHY_CYCLE && strcmp(v->mesh, like->mesh) == 0 &&
            v->role == like->role && (v->class == WHY_MISSING || (v->index == like->index && v->pid == like->pid)))
            return true;
    }
    return false;
}

/* That nobody has asked is no stall by itself, but for those who wait for more than to be asked. */
static bool idle_stalls(const why_graph *g, const why_root *r)
{
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        const why_node *n = graph_node(g, i);
        if (n->root == r && n->participant && n->participant->state == MPP_PLACE_LIVE &&
            n->participant->doing != MPP_WAITING_START)
            return true;
    }
    return false;
}

static bool stalls(const why_graph *g, const why_root *r, const why_verdict *v, int64_t patience)
{
    if (r->class == WHY_DEAD) /* nothing will change that */
        return true;
    if (v->for_ns < patience || r->moving)
        return false;
    return r->class != WHY_IDLE || idle_stalls(g, r);
}

static void add_roots(why *w, const why_graph *g, const mpp_snapshot *s, int64_t patience)
{
    for (unsigned i = 0; i < graph_n_roots(g); i++) {
        const why_root *r = graph_root(g, i);
        why_verdict like = {.class = r->class};
        set_subject(&like, r);
        /* What died is the cause that the mesh has by now. */
        if (r->gone || told_already(w, &like) || (r->class == WHY_DEAD && s->cause.status != MPP_S_DONE))
            continue;
        why_verdict *v = add_verdict(w, r->class, s);
        *v = like;
        tell_root(v, g, r, s);
        v->stalled = graph_anybody(s) && stalls(g, r, v, patience);
    }
}

static void add_failure(why *w, const mpp_snapshot *s)
{
    why_verdict *v = add_verdict(w, WHY_FAILED, s);
    text_clean(v->text, sizeof v->text, s->cause.text);
    if (s->cause_by >= 0) {
        v->role = s->participants[s->cause_by].role;
        v->index = s->participants[s->cause_by].index;
        v->pid = s->participants[s->cause_by].pid;
    }
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->state == MPP_PLACE_LIVE && p->since_ns > 0 && s->taken_ns - p->since_ns > v->for_ns)
            v->for_ns = s->taken_ns - p->since_ns;
    }
    if (!graph_anybody(s))
        snprintf(v->advice, sizeof v->advice, "nobody is left: mpp-create --remove %s", s->id);
    else
        snprintf(v->advice, sizeof v->advice,
                 "some are still there, and should end by themselves once their output is read");
}

/* ---- skew --------------------------------------------------------------------------------------- */

typedef struct load {
    uint64_t bytes, blocked_ns;
    const mpp_channel *fullest;
} load;

/* What each consumer got, and how long producers waited for it; the sum of all in the last. */
static void take_loads(const mpp_snapshot *s, load *loads)
{
    load *all = &loads[s->consumers];
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *c = &s->channels[i];
        load *l = &loads[c->consumer];
        l->bytes += c->counters.bytes;
        all->bytes += c->counters.bytes;
        l->blocked_ns += c->counters.space_ns;
        all->blocked_ns += c->counters.space_ns;
        if (!l->fullest || c->fill > l->fullest->fill)
            l->fullest = c;
    }
}

/* By a key, to several: what decides is not how much of the time, but who has it all. */
static bool by_key(const mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_streams; i++)
        if (s->streams[i].partition == MPP_HASH || s->streams[i].partition == MPP_RANGE)
            return s->consumers > 1;
    return false;
}

enum { SKEW_BYTES_MIN = 4096 };

/* One consumer gets half as much again as its share at least, and it is the one that producers wait for. */
static bool is_skewed(const load *l, const load *all, unsigned consumers)
{
    return all->bytes >= SKEW_BYTES_MIN && (double)l->bytes * consumers >= 1.5 * (double)all->bytes &&
           all->blocked_ns > 0 && l->blocked_ns * 2 >= all->blocked_ns;
}

static void tell_skew(why_verdict *v, const mpp_snapshot *s, const load *l, const load *all)
{
    mpp_hot_key hot;
    char key[sizeof hot.key];
    const int n =
        snprintf(v->text, sizeof v->text, "consumer %u gets %.0f %% of the bytes (an even share would be %.0f %%)",
                 v->index, 100.0 * (double)l->bytes / (double)all->bytes, 100.0 / s->consumers);
    if (mpp_snapshot_hot_key(s, l->fullest, &hot)) {
        text_clean(key, sizeof key, hot.key);
        snprintf(v->text + n, sizeof v->text - (size_t)n, "; key '%s' is %.0f %% of %u records that wait there", key,
                 100.0 * hot.times / hot.seen, hot.seen);
    }
    snprintf(v->advice, sizeof v->advice,
             "a key with more values (mpp-create -k), or -P any where a key's records need not stay together");
}

static void add_skew(why *w, const mpp_snapshot *s)
{
    load loads[MPP_PARTICIPANTS_MAX + 1] = {0};
    if (!by_key(s) || !graph_anybody(s))
        return;
    take_loads(s, loads);
    for (unsigned j = 0; j < s->consumers; j++)
        if (is_skewed(&loads[j], &loads[s->consumers], s->consumers)) {
            why_verdict *v = add_verdict(w, WHY_SKEW, s);
            v->role = 'c';
            v->index = j;
            tell_skew(v, s, &loads[j], &loads[s->consumers]);
        }
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static void add_calm(why *w, const mpp_snapshot *s)
{
    if (s->garbage && s->state != MPP_MESH_CLOSED) {
        why_verdict *v = add_verdict(w, WHY_FINISHED, s);
        snprintf(v->text, sizeof v->text, "%s", s->garbage);
        snprintf(v->advice, sizeof v->advice, "mpp-create --remove %s", s->id);
    } else if (s->state == MPP_MESH_NEW) {
        why_verdict *v = add_verdict(w, WHY_IDLE, s);
        snprintf(v->text, sizeof v->text, "nobody has attached yet");
        snprintf(v->advice, sizeof v->advice, "start mpp-produce %s and mpp-consume %s", s->id, s->id);
    } else if (!graph_anybody(s)) {
        why_verdict *v = add_verdict(w, WHY_FINISHED, s);
        snprintf(v->text, sizeof v->text, "%s",
                 s->state == MPP_MESH_CLOSED ? "all is done"
                 : s->n_shares > 0           ? "nobody is attached; readers may still come"
                                             : "nobody is attached");
    } else {
        add_verdict(w, WHY_FLOWING, s);
    }
}

/* Where the mesh has failed, or somebody is dead, whatever else is wrong follows from it. */
static bool comes_first(const why_verdict *v)
{
    return v->class == WHY_FAILED || v->class == WHY_DEAD;
}

static int worse(const void *a, const void *b)
{
    const why_verdict *v = a, *w = b;
    if (comes_first(v) != comes_first(w))
        return comes_first(v) ? -1 : 1;
    if (v->stalled != w->stalled)
        return v->stalled ? -1 : 1;
    if (v->class != w->class)
        return v->class < w->class ? -1 : 1;
    if (v->for_ns != w->for_ns)
        return v->for_ns > w->for_ns ? -1 : 1;
    return (v->index > w->index) - (v->index < w->index);
}

static why *judge(const why_graph *g, const mpp_snapshot *s, int64_t patience)
{
    why *w = cli_must(calloc(1, sizeof *w));
    if (s->cause.status != MPP_S_DONE)
        add_failure(w, s);
    add_roots(w, g, s, patience);
    if (w->n == 0)
        add_skew(w, s);
    if (w->n == 0)
        add_calm(w, s);
    qsort(w->verdicts, w->n, sizeof *w->verdicts, worse);
    return w;
}

typedef struct question {
    const mpp_snapshot *const *meshes;
    size_t n;
    int64_t patience_ns;
    why **verdicts;
} question;

static void answer(void *arg)
{
    const question *q = arg;
    why_world *world = world_make();
    why_graph **graphs = cli_must(calloc(q->n + 1, sizeof *graphs));
    bool second_look = false;
    for (size_t i = 0; i < q->n; i++) {
        graphs[i] = graph_make(world, q->meshes[i], q->patience_ns);
        edges_follow(graphs[i]);
        solve_settle(graphs[i]);
        second_look |= solve_wants_second_look(graphs[i]);
    }
    if (second_look)
        nanosleep(&(struct timespec){.tv_nsec = SOLVE_LOOK_NS}, NULL);
    for (size_t i = 0; i < q->n; i++) {
        solve_finish(graphs[i]);
        q->verdicts[i] = judge(graphs[i], q->meshes[i], q->patience_ns);
        q->verdicts[i]->unseen = world_unseen(world);
        graph_free(&graphs[i]);
    }
    free(graphs);
    world_free(&world);
}

void why_ask(const mpp_snapshot *const *meshes, size_t n, int64_t patience_ns, why **verdicts)
{
    glance(answer, &(question){meshes, n, patience_ns, verdicts});
}

void why_free(why **wp)
{
    why *w = *wp;
    *wp = NULL;
    for (unsigned i = 0; i < w->n; i++) {
        for (unsigned k = 0; k < w->verdicts[i].n_evidence; k++)
            free(w->verdicts[i].evidence[k]);
        free(w->verdicts[i].evidence);
    }
    free(w->verdicts);
    free(w);
}

bool why_stalled(const why *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->verdicts[i].stalled)
            return true;
    return false;
}

static void print_verdict(const why_verdict *v, FILE *out)
{
    char duration[TEXT_CELL];
    text_duration(duration, v->for_ns);
    if (v->stalled)
        fprintf(out, "stalled %s (%s)", duration, why_name(v->class));
    else
        fputs(why_name(v->class), out);
    fprintf(out, *v->text ? ": %s\n" : "\n", v->text);
    for (unsigned i = 0; i < v->n_evidence; i++)
        fprintf(out, "  %s\n", v->evidence[i]);
    if (*v->advice)
        fprintf(out, "  what to do: %s\n", v->advice);
}

/* More than these would not be read: they are counted. */
enum { PRINTED_MAX = 5 };

void why_print(const why *w, FILE *out)
{
    const unsigned shown = w->n <= PRINTED_MAX ? w->n : PRINTED_MAX;
    for (unsigned i = 0; i < shown; i++)
        print_verdict(&w->verdicts[i], out);
    if (shown < w->n)
        fprintf(out, "and %u more of the kind '%s' and less; --json shows all\n", w->n - shown,
                why_name(w->verdicts[shown].class));
    if (w->unseen)
        fprintf(
            out,
            "not all was seen: of %u processes nothing, or not all that they hold, as it would have taken too long\n",
            w->unseen);
}
