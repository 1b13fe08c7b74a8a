#include "why/solve.h"

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
void solve_settle(const why_graph *g)
{
    bool changed = true;
    for (unsigned i = 0; i < graph_n_nodes(g); i++)
        graph_node(g, i)->stuck = true;
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < graph_n_nodes(g); i++) {
            why_node *n = graph_node(g, i);
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
        for (unsigned i = 0; i < graph_n_nodes(g); i++) {
            why_node *n = graph_node(g, i);
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
    for (unsigned i = 0; i < graph_n_nodes(g) && n; i++)
        n = left_behind(n);
    if (!n)
        return;
    why_root *r = graph_add_root(g);
    r->class = WHY_CYCLE;
    r->head = head = n; /* so many steps on, it is on the circle */
    do {
        why_node *next = left_behind(n);
        if (n->participant && (!r->subject || n->mesh == graph_asked(g)))
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
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        why_node *n = graph_node(g, i);
        n->root = n->stuck && !is_led_on(n) ? n->own : NULL;
    }
    for (why_class class = WHY_FAILED; class <= WHY_FINISHED; class ++)
        for (unsigned i = 0; i < graph_n_roots(g); i++) {
            const why_root *r = graph_root(g, i);
            if (r->class == class && !r->gone)
                spread(g, r);
        }
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        why_node *n = graph_node(g, i);
        if (n->stuck && !n->root)
            take_circle(g, n);
    }
}

/* ---- the second look ---------------------------------------------------------------------------- */

bool solve_wants_second_look(const why_graph *g)
{
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        const why_node *n = graph_node(g, i);
        if (n->stuck && n->own && n->own->second_look)
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
    r->moving = now.all != r->work.all || now.runs || r->work.runs; /* who ran, and sleeps now, went on to sleep */
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
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        why_node *n = graph_node(g, i);
        n->reached = n->stuck && n->participant && n->participant->state != MPP_PLACE_FREE;
    }
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < graph_n_nodes(g); i++) {
            const why_node *n = graph_node(g, i);
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
    for (unsigned i = 0; i < graph_n_roots(g); i++) {
        why_root *r = graph_root(g, i);
        bool reached = false;
        for (unsigned k = 0; k < graph_n_nodes(g) && !reached; k++) {
            const why_node *n = graph_node(g, k);
            reached = n->reached && (n->root == r || (n->own == r && !is_led_on(n)));
        }
        r->gone |= !reached || (r->class == WHY_INPUT && !r->subject->awaited);
    }
}

void solve_finish(why_graph *g)
{
    for (unsigned i = 0; i < graph_n_roots(g); i++) {
        why_root *r = graph_root(g, i);
        if (r->second_look)
            look_again(r);
    }
    solve_settle(g);
    blame(g);
    reach(g);
    drop_unreached(g);
}
