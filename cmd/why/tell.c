#include "why/tell.h"

#include "common/cli.h"
#include "common/text.h"

#include <stdlib.h>
#include <string.h>

/* "producer 0 (pid 4711, zcat) of mesh a" */
static void say_who(text_line *t, const why_node *n, const mpp_snapshot *asked)
{
    const mpp_participant *p = n->participant;
    char label[TEXT_CELL];
    if (!p) {
        text_add(t, "`%s` (pid %d)", n->process.name, (int)n->process.pid);
        return;
    }
    text_clean(label, sizeof label, p->label);
    text_add(t, "%s %u", text_role(p->role), p->index);
    if (p->pid > 0 && p->activity)
        text_add(t, " (pid %d%s%s)", (int)p->pid, *label ? ", " : "", label);
    if (n->mesh != asked)
        text_add(t, " of mesh %s", n->mesh->id);
}

/* "producer 0 of mesh a", "`cat`" */
static void say_short(text_line *t, const why_node *n, const mpp_snapshot *asked)
{
    if (!n->participant) {
        text_add(t, "`%s`", n->process.name);
        return;
    }
    text_add(t, "%s %u", text_role(n->participant->role), n->participant->index);
    if (n->mesh != asked)
        text_add(t, " of mesh %s", n->mesh->id);
}

static void add_evidence(why_verdict *v, const char *line)
{
    v->evidence = cli_must(realloc(v->evidence, (v->n_evidence + 1) * sizeof *v->evidence));
    v->evidence[v->n_evidence++] = cli_must(strdup(line));
}

/* ---- evidence ----------------------------------------------------------------------------------- */

enum { EVIDENCE_MAX = 12, CYCLE_MAX = 1000 };

/* Everybody whose chain ends in a root, nearest first. */
typedef struct crowd {
    const why_node **at;
    unsigned n;
} crowd;

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

static crowd crowd_of(const why_graph *g, const why_root *r)
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
    return n->participant && n->participant->activity && n->participant->doing == MPP_WAITING_DATA;
}

typedef struct indices {
    bool has[MPP_PARTICIPANTS_MAX];
    unsigned n;
} indices;

static void indices_add(indices *set, unsigned index)
{
    if (index < MPP_PARTICIPANTS_MAX && !set->has[index]) {
        set->has[index] = true;
        set->n++;
    }
}

/* "consumers 0, 2-4" */
static void say_indices(text_line *t, char role, const indices *set)
{
    const char *lead = " ";
    text_add(t, "%s%s", text_role(role), set->n == 1 ? "" : "s");
    for (unsigned i = 0; i < MPP_PARTICIPANTS_MAX; i++) {
        unsigned last = i;
        if (!set->has[i])
            continue;
        while (last + 1 < MPP_PARTICIPANTS_MAX && set->has[last + 1])
            last++;
        if (last - i < 2)
            last = i;
        text_add(t, last > i ? "%s%u-%u" : "%s%u", lead, i, last);
        lead = ", ";
        i = last;
    }
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

static void add_crowd(why_verdict *v, const crowd *c, const why_root *r, const mpp_snapshot *asked)
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

static void add_edges(why_verdict *v, const why_root *r, const mpp_snapshot *asked)
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
        if (s->participants[i].activity && s->participants[i].since_ns > last)
            last = s->participants[i].since_ns;
    return last > 0 && last < s->taken_ns ? s->taken_ns - last : 0;
}

/* Since when what is to blame has held others up: its own wait where it waits, else theirs. */
static int64_t root_age(const why_root *r, const crowd *c)
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

/* ---- each class in words ------------------------------------------------------------------------ */

static void say_process(text_line *t, const why_root *r)
{
    char name[TEXT_CELL];
    text_clean(name, sizeof name, r->process);
    text_add(t, "`%s` (pid %d)", name, (int)r->pid);
}

/* The command that starts a participant; index -1: any. */
static void say_start(text_line *t, const mpp_snapshot *s, char role, int index, unsigned lane)
{
    text_add(t, "%s %s", role == 'p' ? "mpp-produce" : "mpp-consume", s->id);
    if (index >= 0)
        text_add(t, " -i %d", index);
    for (unsigned i = 0; s->n_streams > 1 && i < s->n_streams; i++)
        if (s->streams[i].lane == lane) {
            text_add(t, " -s %s", s->streams[i].name);
            break;
        }
}

static void tell_missing(why_verdict *v, text_line *t, const why_root *r)
{
    const mpp_snapshot *s = r->subject->mesh;
    const mpp_participant *first = r->subject->participant;
    indices set = {0};
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->role == first->role && p->lane == first->lane && strcmp(p->state, "free") == 0)
            indices_add(&set, p->index);
    }
    say_indices(t, first->role, &set);
    text_add(t, set.n > 1 ? " have not attached" : " has not attached");
    if (s->lanes > 1)
        text_add(t, " to lane %u", first->lane);
    if (first->role == 'p' || first->role == 'c') {
        text_line advice = TEXT_LINE(v->advice);
        text_add(&advice, set.n > 1 ? "start each of them, as in: " : "start it: ");
        say_start(&advice, s, first->role, (int)first->index, first->lane);
    }
}

static void tell_held(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    const bool itself = r->subject->participant && r->subject->participant->pid == r->pid;
    if (itself)
        say_who(t, r->subject, asked);
    else
        say_process(t, r);
    if (r->class == WHY_STOPPED) {
        text_add(t, " is stopped (T)");
        snprintf(v->advice, sizeof v->advice, "let it go on: kill -CONT %d", (int)r->pid);
    } else {
        text_add(t, " is held by a debugger (t)%s%s", *r->detail ? ": " : "", r->detail);
        snprintf(v->advice, sizeof v->advice, "let it go on there, or detach");
    }
    if (!itself) {
        text_add(t, ", and ");
        say_who(t, r->subject, asked);
        text_add(t, " waits for it");
    }
}

static bool say_served(why_verdict *v, const why_root *r)
{
    if (r->served)
        snprintf(v->advice, sizeof v->advice, "see to the server of that file system: who waits for it goes on then");
    return r->served;
}

/* It is the participant itself that is at something outside of the mesh. */
static void tell_itself(why_verdict *v, text_line *t, const why_root *r)
{
    text_add(t, " gets nowhere: it %s", r->detail);
    if (!say_served(v, r))
        snprintf(v->advice, sizeof v->advice, "see what pid %d waits for", (int)r->pid);
}

/* Nobody is seen at the other end: it depends on what that is. */
static void say_whom_to_see(why_verdict *v, const why_root *r, const char *start)
{
    if (say_served(v, r))
        return;
    switch (r->target) {
    case PROC_PIPE:
        snprintf(v->advice, sizeof v->advice, "%s; if it is another user's, root can see it", start);
        break;
    case PROC_TERMINAL:
        snprintf(v->advice, sizeof v->advice, "%s",
                 r->class == WHY_INPUT ? "type, and end it with Ctrl-D" : "Ctrl-Q lets it go on");
        break;
    case PROC_SOCKET:
        snprintf(v->advice, sizeof v->advice, "see who holds its other end: ss -xtp");
        break;
    default:
        snprintf(v->advice, sizeof v->advice, "see what it is: ls -l /proc/%d/fd", (int)r->subject->participant->pid);
    }
}

static void tell_downstream(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    if (r->subject->participant->pid == r->pid) {
        tell_itself(v, t, r);
        return;
    }
    text_add(t, " cannot write its output: ");
    if (!r->pid) {
        text_add(t, "%s", r->detail);
        say_whom_to_see(v, r, "start what shall read it");
        return;
    }
    say_process(t, r);
    text_add(t, " does not read its input: it %s", r->moving ? "works, and has read nothing for so long" : r->detail);
    if (!say_served(v, r))
        snprintf(v->advice, sizeof v->advice,
                 "see what pid %d waits for, or end what shall read no more: the consumer then has enough",
                 (int)r->pid);
}

static void tell_input(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    if (r->subject->participant->pid == r->pid) {
        tell_itself(v, t, r);
        return;
    }
    text_add(t, " waits for its input: ");
    if (!r->pid) {
        text_add(t, "%s", r->detail);
        say_whom_to_see(v, r, "start what shall write it");
        return;
    }
    say_process(t, r);
    text_add(t, ", which writes it, %s", r->moving ? "works, and has written nothing" : r->detail);
    if (!say_served(v, r))
        snprintf(v->advice, sizeof v->advice,
                 "the source is slow: see what pid %d waits for; one that buffers its output can be told not to "
                 "(stdbuf -oL, grep --line-buffered)",
                 (int)r->pid);
}

static void tell_command(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    text_add(t, " waits for its command to end");
    if (!r->pid) {
        text_add(t, ", %s", r->detail);
        return;
    }
    text_add(t, ": ");
    say_process(t, r);
    text_add(t, " %s", r->detail);
    if (!say_served(v, r))
        snprintf(v->advice, sizeof v->advice, "see what pid %d waits for", (int)r->pid);
}

static void say_stream(text_line *t, const mpp_snapshot *s, int stream)
{
    char name[TEXT_CELL] = "?";
    if (stream >= 0 && (unsigned)stream < s->n_streams)
        text_clean(name, sizeof name, s->streams[stream].name);
    text_add(t, "stream '%s'", name);
}

static void tell_lane_mate(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    const why_node *n = r->subject;
    say_who(t, n, asked);
    text_add(t, " does not read ");
    say_stream(t, n->mesh, r->head_stream);
    text_add(t, ", whose records stand first in lane %u", n->participant->lane);
    if (r->asked_stream >= 0) {
        text_add(t, ": it waits for ");
        say_stream(t, n->mesh, r->asked_stream);
        text_add(t, ", which comes behind them");
    } else {
        text_add(t, ", that others travel in");
    }
    snprintf(
        v->advice, sizeof v->advice,
        "read all streams of the lane at once (-s for each, no --sequential), let their producers wait to be asked "
        "(no --eager), or make the mesh with a lane for each: no --lanes");
}

static void tell_cycle(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    const why_node *n = r->head;
    unsigned steps = 0;
    text_add(t, "each waits for the next: ");
    do {
        say_short(t, n, asked);
        text_add(t, " -> ");
        n = n->next;
    } while (n && n != r->head && ++steps < CYCLE_MAX);
    if (n)
        say_short(t, n, asked);
    snprintf(
        v->advice, sizeof v->advice,
        "larger rings (mpp-create -r) only put it off: break the circle, by a file in one of its edges or by one that "
        "reads on without waiting; mpp-create --remove %s ends it",
        asked->id);
}

static void tell_idle(why_verdict *v, text_line *t, const why_root *r)
{
    const mpp_snapshot *s = r->subject->mesh;
    const unsigned lane = r->subject->participant->lane;
    indices attached = {0}, left = {0};
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->role == 'c' && p->lane == lane && strcmp(p->state, "free") != 0)
            indices_add(p->activity ? &attached : &left, p->index);
    }
    text_add(t, "nobody asks");
    if (s->lanes > 1)
        text_add(t, " in lane %u", lane);
    text_add(t, ": of %u consumers %u are attached", s->consumers, attached.n);
    if (left.n)
        text_add(t, ", and %u have been and left", left.n);
    text_line advice = TEXT_LINE(v->advice);
    text_add(&advice, "start a consumer: ");
    say_start(&advice, s, 'c', left.n || s->n_streams > 1 ? 0 : -1, lane);
}

static void tell_dead(why_verdict *v, text_line *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    if (r->subject->participant->pid > 0)
        text_add(t, " (it was pid %d)", (int)r->subject->participant->pid);
    const bool anybody = graph_anybody(r->subject->mesh);
    text_add(t,
             anybody ? " is dead, and nobody has found it so: who is left is stopped" : " is dead, and nobody is left");
    snprintf(v->advice, sizeof v->advice, "%smpp-create --remove %s", anybody ? "let them go on, or end them: " : "",
             r->subject->mesh->id);
}

static void tell_text(why_verdict *v, const why_root *r, const mpp_snapshot *asked)
{
    text_line t = TEXT_LINE(v->text);
    switch (r->class) {
    case WHY_DEAD:
        tell_dead(v, &t, r, asked);
        break;
    case WHY_CYCLE:
        tell_cycle(v, &t, r, asked);
        break;
    case WHY_STOPPED:
    case WHY_TRACED:
        tell_held(v, &t, r, asked);
        break;
    case WHY_MISSING:
        tell_missing(v, &t, r);
        break;
    case WHY_LANE_MATE:
        tell_lane_mate(v, &t, r, asked);
        break;
    case WHY_DOWNSTREAM:
        tell_downstream(v, &t, r, asked);
        break;
    case WHY_COMMAND:
        tell_command(v, &t, r, asked);
        break;
    case WHY_INPUT:
        tell_input(v, &t, r, asked);
        break;
    default:
        tell_idle(v, &t, r);
        break;
    }
}

void tell_root(why_verdict *v, const why_graph *g, const why_root *r, const mpp_snapshot *asked)
{
    crowd c = crowd_of(g, r);
    v->for_ns = root_age(r, &c);
    tell_text(v, r, asked);
    if (r->class == WHY_CYCLE)
        add_edges(v, r, asked);
    add_crowd(v, &c, r, asked);
    free(c.at);
}
