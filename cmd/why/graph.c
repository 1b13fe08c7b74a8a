#include "why/graph.h"

#include "common/cli.h"
#include "mpp-look.h"

#include <stdlib.h>
#include <string.h>

struct why_graph {
    why_world *world;
    int64_t patience;
    const mpp_snapshot *asked;
    why_list nodes;       /* grows while they are gone through */
    why_node **by_number; /* of the asked mesh's participants */
    why_list roots;
};

static void *list_add(why_list *l, void *thing)
{
    if ((l->n & (l->n - 1)) == 0) /* full at every power of two */
        l->at = cli_must(realloc(l->at, (l->n ? 2 * (size_t)l->n : 1) * sizeof *l->at));
    return l->at[l->n++] = thing;
}

/* ---- the mesh ----------------------------------------------------------------------------------- */

const mpp_participant *graph_slot(const mpp_snapshot *s, unsigned lane, char role, unsigned index)
{
    const unsigned number = lane * (s->producers + s->consumers) + (role == 'c' ? s->producers : 0) + index;
    return number < s->n_participants ? &s->participants[number] : NULL;
}

bool graph_anybody(const mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_participants; i++)
        if (s->participants[i].state == MPP_PLACE_LIVE)
            return true;
    return false;
}

int64_t graph_age(const mpp_snapshot *s, const mpp_participant *p)
{
    return p->since_ns > 0 && p->since_ns < s->taken_ns ? s->taken_ns - p->since_ns : 0;
}

/* ---- nodes and roots ---------------------------------------------------------------------------- */

/* One process in several lanes says the same in each of them, and waits in all of them together. */
static const mpp_participant *in_its_first_lane(const mpp_snapshot *s, const mpp_participant *p)
{
    for (unsigned lane = 0; lane < p->lane && p->state == MPP_PLACE_LIVE; lane++) {
        const mpp_participant *q = graph_slot(s, lane, p->role, p->index);
        if (q->state == MPP_PLACE_LIVE && q->pid == p->pid && q->doing == p->doing)
            return q;
    }
    return p;
}

static why_node *find_participant(const why_graph *g, const mpp_snapshot *s, const mpp_participant *p)
{
    if (s == g->asked)
        return g->by_number[p - s->participants];
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        if (n->participant == p)
            return n;
    }
    return NULL;
}

why_node *graph_participant(why_graph *g, const mpp_snapshot *s, const mpp_participant *any_lane)
{
    const mpp_participant *p = in_its_first_lane(s, any_lane);
    why_node *known = find_participant(g, s, p);
    if (known)
        return known;
    why_node *n = list_add(&g->nodes, cli_must(calloc(1, sizeof *n)));
    n->mesh = s;
    n->participant = p;
    n->waited_ns = p->state == MPP_PLACE_LIVE ? graph_age(s, p) : 0;
    if (s == g->asked)
        g->by_number[p - s->participants] = n;
    return n;
}

why_node *graph_process(why_graph *g, why_node *from, const proc *p, why_purpose purpose, const proc_target *pipe)
{
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        if (!n->participant && n->process.pid == p->pid && n->purpose == purpose && n->pipe.ino == pipe->ino)
            return n;
    }
    why_node *n = list_add(&g->nodes, cli_must(calloc(1, sizeof *n)));
    n->process = *p;
    n->purpose = purpose;
    n->pipe = *pipe;
    n->subject = from->participant ? from : from->subject;
    return n;
}

why_root *graph_add_root(why_graph *g)
{
    return list_add(&g->roots, cli_must(calloc(1, sizeof(why_root))));
}

why_root *graph_root_for(why_graph *g, why_class class, why_node *subject, const proc *process)
{
    const pid_t pid = process ? process->pid : 0;
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        if (r->class == class && r->subject == subject && r->pid == pid && !r->head)
            return r;
    }
    why_root *r = graph_add_root(g);
    r->class = class;
    r->subject = subject;
    r->pid = pid;
    if (process)
        memcpy(r->process, process->name, sizeof r->process);
    return r;
}

void graph_look_twice(why_root *r, const proc *p)
{
    if (!r->second_look)
        r->work = proc_has_done(p->pid);
    r->work.runs |= p->state == 'R';
    r->second_look = true;
}

/* ---- edges -------------------------------------------------------------------------------------- */

void graph_edge(why_node *n, why_node *next)
{
    list_add(&n->edges, next);
}

void graph_end(why_node *n, why_root *r)
{
    n->own = r;
}

why_node *graph_subject(why_node *n)
{
    return n->participant ? n : n->subject;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

why_graph *graph_make(why_world *w, const mpp_snapshot *s, int64_t patience_ns)
{
    why_graph *g = cli_must(calloc(1, sizeof *g));
    g->world = w;
    g->asked = s;
    g->patience = patience_ns;
    g->by_number = cli_must(calloc(s->n_participants + 1, sizeof *g->by_number));
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->state == MPP_PLACE_LIVE || (p->state == MPP_PLACE_DEAD && !p->spectator))
            graph_participant(g, s, p);
    }
    return g;
}

void graph_free(why_graph **gp)
{
    why_graph *g = *gp;
    *gp = NULL;
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        free(n->edges.at);
        free(n);
    }
    for (unsigned i = 0; i < g->roots.n; i++)
        free(g->roots.at[i]);
    free(g->by_number);
    free(g->nodes.at);
    free(g->roots.at);
    free(g);
}

unsigned graph_n_roots(const why_graph *g)
{
    return g->roots.n;
}

why_root *graph_root(const why_graph *g, unsigned i)
{
    return g->roots.at[i];
}

unsigned graph_n_nodes(const why_graph *g)
{
    return g->nodes.n;
}

why_node *graph_node(const why_graph *g, unsigned i)
{
    return g->nodes.at[i];
}

int64_t graph_patience(const why_graph *g)
{
    return g->patience;
}

const mpp_snapshot *graph_asked(const why_graph *g)
{
    return g->asked;
}

why_world *graph_world(const why_graph *g)
{
    return g->world;
}
