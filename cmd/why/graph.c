#include "why/edges.h"
#include "why/pipes.h"

#include "common/cli.h"

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

bool graph_is(const mpp_participant *p, const char *state)
{
    return strcmp(p->state, state) == 0;
}

bool graph_anybody(const mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_participants; i++)
        if (s->participants[i].activity)
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
    for (unsigned lane = 0; lane < p->lane && p->activity; lane++) {
        const mpp_participant *q = graph_slot(s, lane, p->role, p->index);
        if (q->activity && q->pid == p->pid && q->doing == p->doing)
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
    n->waited_ns = p->activity ? graph_age(s, p) : 0;
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

why_root *graph_root_for(why_graph *g, why_class class, why_node *subject, const proc *process)
{
    const pid_t pid = process ? process->pid : 0;
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        if (r->class == class && r->subject == subject && r->pid == pid && !r->head)
            return r;
    }
    why_root *r = list_add(&g->roots, cli_must(calloc(1, sizeof *r)));
    r->class = class;
    r->subject = subject;
    r->pid = pid;
    if (process)
        memcpy(r->process, process->name, sizeof r->process);
    return r;
}

/* ---- edges -------------------------------------------------------------------------------------- */

void graph_edge(why_node *n, why_node *next)
{
    list_add(&n->edges, next);
}

/* It is here that a chain ends. */
void graph_end(why_node *n, why_root *r)
{
    n->own = r;
}

/* The participant that a chain came from last. */
why_node *graph_subject(why_node *n)
{
    return n->participant ? n : n->subject;
}

/* ---- who is stuck ------------------------------------------------------------------------------- */

/* Can it go on, as far as is known?  One that has no edges goes on, unless a chain ends in it. */
static bool goes_on(const why_node *n)
{
    unsigned stuck = 0;
    if (n->own)
        return n->own->gone;
    for (unsigned i = 0; i < n->edges.n; i++)
        stuck += ((const why_node *)n->edges.at[i])->stuck;
    return n->any ? stuck < n->edges.n || n->edges.n == 0 : stuck == 0;
}

/* The largest set of nodes of which none can go on: all, less those that can, until none is left that can.  So who is
 * in a circle stays, and nobody who has another way. */
static void settle(const why_graph *g)
{
    bool changed = true;
    for (unsigned i = 0; i < g->nodes.n; i++)
        ((why_node *)g->nodes.at[i])->stuck = true;
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < g->nodes.n; i++) {
            why_node *n = g->nodes.at[i];
            if (n->stuck && goes_on(n)) {
                n->stuck = false;
                changed = true;
            }
        }
    }
}

/* ---- whose fault it is -------------------------------------------------------------------------- */

/* Everybody who is stuck and waits for one who has the root, nearest first: a breadth-first search backwards. */
static void spread(const why_graph *g, const why_root *r)
{
    bool changed = true;
    for (unsigned far = 0; changed; far++) {
        changed = false;
        for (unsigned i = 0; i < g->nodes.n; i++) {
            why_node *n = g->nodes.at[i];
            for (unsigned k = 0; k < n->edges.n && n->stuck && !n->root; k++) {
                why_node *next = n->edges.at[k];
                if (next->root == r && next->distance == far) {
                    n->root = next->root;
                    n->next = next;
                    n->distance = far + 1;
                    changed = true;
                }
            }
        }
    }
}

/* Those that are left all wait for others that are left: whoever walks on among them comes to a circle. */
static why_node *left_behind(const why_node *n)
{
    for (unsigned i = 0; i < n->edges.n; i++) {
        why_node *next = n->edges.at[i];
        if (next->stuck && !next->root)
            return next;
    }
    return NULL;
}

static void take_circle(why_graph *g, why_node *from)
{
    why_node *n = from, *head;
    for (unsigned i = 0; i < g->nodes.n && n; i++)
        n = left_behind(n);
    if (!n)
        return;
    why_root *r = list_add(&g->roots, cli_must(calloc(1, sizeof *r)));
    r->class = WHY_CYCLE;
    r->head = head = n; /* so many steps on, it is on the circle */
    do {
        why_node *next = left_behind(n);
        if (n->participant && (!r->subject || n->mesh == g->asked))
            r->subject = n;
        n->on_circle = next;
        n = next;
    } while (n != head);
    if (!r->subject)
        r->subject = head->subject; /* of processes alone: who came to them */
    do {
        n->next = n->on_circle;
        n->root = r;
        n = n->next;
    } while (n != head);
    spread(g, r);
}

static bool is_led_on(const why_node *n)
{
    for (unsigned i = 0; n->leads_on && !n->own->moving && i < n->edges.n; i++)
        if (((const why_node *)n->edges.at[i])->stuck)
            return true;
    return false;
}

/* The worst ends of chains first; what is left are circles. */
static void blame(why_graph *g)
{
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        n->root = n->stuck && !is_led_on(n) ? n->own : NULL;
    }
    for (why_class class = WHY_FAILED; class <= WHY_FINISHED; class ++)
        for (unsigned i = 0; i < g->roots.n; i++) {
            const why_root *r = g->roots.at[i];
            if (r->class == class && !r->gone)
                spread(g, r);
        }
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        if (n->stuck && !n->root)
            take_circle(g, n);
    }
}

/* ---- the second look ---------------------------------------------------------------------------- */

bool graph_wants_look(const why_graph *g)
{
    for (unsigned i = 0; i < g->nodes.n; i++) {
        const why_node *n = g->nodes.at[i];
        if (n->stuck && n->own && n->own->look)
            return true;
    }
    return false;
}

enum { BUSY_S = 10 }; /* a reader may compute for so long before it is told that it does not read */

/* Who does something between two looks is slow, and no stall.  He goes on, unless what he does is not what he is waited
 * for: a source that works and gives nothing, a reader that computes and computes. */
static void look_again(why_root *r)
{
    const proc_work now = proc_has_done(r->pid);
    const bool of_itself = r->subject->participant->pid == r->pid;
    r->moving = now.all != r->work.all || now.runs;
    if (of_itself || r->class == WHY_COMMAND)
        r->gone = r->moving;
    else
        r->gone = r->class == WHY_DOWNSTREAM && r->moving &&
                  (now.has_read != r->work.has_read || r->subject->waited_ns < BUSY_S * INT64_C(1000000000));
}

/* ---- all of it ---------------------------------------------------------------------------------- */

/* Those who are stuck and, from one to the next, whom they wait for. */
static void reach(why_graph *g)
{
    bool changed = true;
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        n->reached = n->stuck && n->participant && !graph_is(n->participant, "free");
    }
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < g->nodes.n; i++) {
            const why_node *n = g->nodes.at[i];
            for (unsigned k = 0; k < n->edges.n && n->reached; k++) {
                why_node *next = n->edges.at[k];
                changed |= next->stuck && !next->reached;
                next->awaited = true;
                next->reached = next->stuck;
            }
        }
    }
}

/* A root counts when somebody who is stuck comes to it.  A source may be silent for as long as it likes when nobody
 * else waits for it. */
static void drop_unreached(why_graph *g)
{
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        bool reached = false;
        for (unsigned k = 0; k < g->nodes.n && !reached; k++) {
            const why_node *n = g->nodes.at[k];
            reached = n->reached && (n->root == r || (n->own == r && !is_led_on(n)));
        }
        r->gone |= !reached || (r->class == WHY_INPUT && !r->subject->awaited);
    }
}

why_graph *graph_make(why_world *w, const mpp_snapshot *s, int64_t patience_ns)
{
    why_graph *g = cli_must(calloc(1, sizeof *g));
    g->world = w;
    g->asked = s;
    g->patience = patience_ns;
    g->by_number = cli_must(calloc(s->n_participants + 1, sizeof *g->by_number));
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->activity || (graph_is(p, "dead") && !p->spectator))
            graph_participant(g, s, p);
    }
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        (n->participant ? edges_from_participant : pipes_from_process)(g, n);
    }
    settle(g);
    return g;
}

void graph_finish(why_graph *g)
{
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        if (r->look)
            look_again(r);
    }
    settle(g);
    blame(g);
    reach(g);
    drop_unreached(g);
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
