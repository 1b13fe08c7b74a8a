#include "why/evidence.h"

#include "common/cli.h"
#include "common/text.h"
#include "mpp-look.h"
#include "why/say.h"

#include <stdlib.h>
#include <string.h>

enum { EVIDENCE_MAX = 12 };

static void add_evidence(why_verdict *v, const char *line)
{
    v->evidence = cli_must(realloc(v->evidence, (v->n_evidence + 1) * sizeof *v->evidence));
    v->evidence[v->n_evidence++] = cli_must(strdup(line));
}

static unsigned distance(const why_node *n)
{
    unsigned steps = 0;
    for (const why_node *at = n; at->next && steps < CYCLE_MAX; at = at->next)
        steps++;
    return steps;
}

static int nearer(const void *a, const void *b)
{
    const why_node *const *pa = a, *const *pb = b, *p = *pa, *q = *pb;
    const unsigned d = distance(p), e = distance(q);
    if (d != e)
        return d < e ? -1 : 1;
    if (p->participant && q->participant)
        return p->participant < q->participant ? -1 : 1;
    return (p->process.pid > q->process.pid) - (p->process.pid < q->process.pid);
}

static bool on_circle(const why_node *n, const why_root *r)
{
    const why_node *at = r->head;
    for (unsigned steps = 0; at && steps < CYCLE_MAX; steps++) {
        if (at == n)
            return true;
        at = at->next;
        if (at == r->head)
            break;
    }
    return false;
}

crowd evidence_crowd(const why_graph *g, const why_root *r)
{
    crowd c = {.at = cli_must(calloc(graph_n_nodes(g) + 1, sizeof *c.at))};
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        const why_node *n = graph_node(g, i);
        if (n->root == r)
            c.at[c.n++] = n;
    }
    if (c.n)
        qsort(c.at, c.n, sizeof *c.at, nearer);
    return c;
}

static bool starves(const why_node *n)
{
    return n->participant && n->participant->state == MPP_PLACE_LIVE && n->participant->doing == MPP_WAITING_DATA;
}

/* "consumers 0, 2-4 wait for data, for up to 11.9s" */
static void add_starving(why_verdict *v, const crowd *c, const mpp_snapshot *asked, const why_node *subject)
{
    char line[MPP_TEXT_MAX] = "", duration[TEXT_CELL];
    text_line t = TEXT_LINE(line);
    indices set = {0};
    int64_t longest = 0;
    for (unsigned i = 0; i < c->n; i++)
        if (starves(c->at[i]) && c->at[i]->mesh == asked && c->at[i] != subject) {
            indices_add(&set, c->at[i]->participant->index);
            longest = c->at[i]->waited_ns > longest ? c->at[i]->waited_ns : longest;
        }
    text_duration(duration, longest);
    say_indices(&t, 'c', &set);
    text_add(&t, " wait for data, for up to %s", duration);
    add_evidence(v, line);
}

static void add_line(why_verdict *v, const why_node *n, const mpp_snapshot *asked)
{
    char line[2 * MPP_TEXT_MAX] = "", duration[TEXT_CELL];
    text_line t = TEXT_LINE(line);
    say_who(&t, n, asked);
    text_add(&t, " %s", n->edge);
    if (n->participant) {
        text_duration(duration, n->waited_ns);
        text_add(&t, ", for %s", duration);
    }
    add_evidence(v, line);
}

void evidence_add_crowd(why_verdict *v, const crowd *c, const why_root *r, const mpp_snapshot *asked)
{
    unsigned starving = 0, more = 0;
    for (unsigned i = 0; i < c->n; i++)
        starving += starves(c->at[i]) && c->at[i]->mesh == asked && c->at[i] != r->subject;
    for (unsigned i = 0; i < c->n; i++) {
        const why_node *n = c->at[i];
        const bool together = starving > 1 && starves(n) && n->mesh == asked && n != r->subject;
        const bool at_fault = !n->participant && n->process.pid == r->pid;
        if (!*n->edge || together || at_fault || on_circle(n, r))
            continue;
        if (v->n_evidence < EVIDENCE_MAX)
            add_line(v, n, asked);
        else
            more++;
    }
    if (more) {
        char line[64];
        snprintf(line, sizeof line, "and %u more", more);
        add_evidence(v, line);
    }
    if (starving > 1)
        add_starving(v, c, asked, r->subject);
}

void evidence_add_circle(why_verdict *v, const why_root *r, const mpp_snapshot *asked)
{
    const why_node *n = r->head;
    do {
        char line[3 * MPP_TEXT_MAX] = "";
        text_line t = TEXT_LINE(line);
        say_who(&t, n, asked);
        text_add(&t, " %s", n->edge);
        if (n->next) {
            text_add(&t, " -> ");
            say_who(&t, n->next, asked);
        }
        add_evidence(v, line);
        n = n->next;
    } while (n && n != r->head && v->n_evidence < CYCLE_MAX);
}

/* ---- how long ----------------------------------------------------------------------------------- */

static int64_t cycle_age(const why_root *r)
{
    int64_t youngest = INT64_MAX;
    unsigned steps = 0;
    const why_node *n = r->head;
    do {
        if (n->participant && n->waited_ns < youngest)
            youngest = n->waited_ns;
        n = n->next;
    } while (n && n != r->head && steps++ < CYCLE_MAX);
    return youngest == INT64_MAX ? r->subject->waited_ns : youngest; /* of processes alone */
}

/* How long it is since anybody has changed what he does: when one died cannot be said. */
static int64_t last_move(const mpp_snapshot *s)
{
    int64_t last = 0;
    for (unsigned i = 0; i < s->n_participants; i++)
        if (s->participants[i].state == MPP_PLACE_LIVE && s->participants[i].since_ns > last)
            last = s->participants[i].since_ns;
    return last > 0 && last < s->taken_ns ? s->taken_ns - last : 0;
}

int64_t evidence_age(const why_root *r, const crowd *c)
{
    int64_t longest = 0;
    if (r->class == WHY_CYCLE)
        return cycle_age(r);
    if (r->class == WHY_DEAD)
        return last_move(r->subject->mesh);
    if ((r->class == WHY_DOWNSTREAM || r->class == WHY_COMMAND) && r->age_ns && r->age_ns < r->subject->waited_ns)
        return r->age_ns; /* whoever it was before that one is over */
    if (r->class == WHY_DOWNSTREAM || r->class == WHY_INPUT || r->class == WHY_COMMAND || r->class == WHY_LANE_MATE)
        return r->subject->waited_ns;
    for (unsigned i = 0; i < c->n; i++)
        if (c->at[i]->next == r->subject && c->at[i]->waited_ns > longest)
            longest = c->at[i]->waited_ns;
    for (unsigned i = 0; !longest && i < c->n; i++)
        if (c->at[i]->waited_ns > longest)
            longest = c->at[i]->waited_ns;
    return longest;
}
