#include "why-tell.h"

#include "cli.h"
#include "stat-text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A text that is put together piece by piece, and cut where it does not fit. */
typedef struct text {
    char *at;
    size_t size, used;
} text;

__attribute__((format(printf, 2, 3))) static void say(text *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const int n = vsnprintf(t->at + t->used, t->size - t->used, format, ap);
    va_end(ap);
    t->used += n > 0 ? (size_t)n : 0;
    if (t->used >= t->size)
        t->used = t->size - 1;
}

#define TEXT(array) ((text){.at = (array), .size = sizeof(array)})

static const char *role_name(char role)
{
    return role == 'p' ? "producer" : "consumer";
}

/* "producer 0 (pid 4711, zcat) of mesh a" */
static void say_who(text *t, const why_node *n, const mpp_snapshot *asked)
{
    const mpp_participant *p = n->participant;
    char label[TEXT_CELL];
    if (!p) {
        say(t, "`%s` (pid %d)", n->process.name, (int)n->process.pid);
        return;
    }
    text_clean(label, sizeof label, p->label);
    say(t, "%s %u", role_name(p->role), p->index);
    if (p->pid > 0 && p->activity)
        say(t, " (pid %d%s%s)", (int)p->pid, *label ? ", " : "", label);
    if (n->mesh != asked)
        say(t, " of mesh %s", n->mesh->id);
}

/* "producer 0 of mesh a", "`cat`" */
static void say_short(text *t, const why_node *n, const mpp_snapshot *asked)
{
    if (!n->participant) {
        say(t, "`%s`", n->process.name);
        return;
    }
    say(t, "%s %u", role_name(n->participant->role), n->participant->index);
    if (n->mesh != asked)
        say(t, " of mesh %s", n->mesh->id);
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
static void say_indices(text *t, char role, const indices *set)
{
    const char *lead = " ";
    say(t, "%s%s", role_name(role), set->n == 1 ? "" : "s");
    for (unsigned i = 0; i < MPP_PARTICIPANTS_MAX; i++) {
        unsigned last = i;
        if (!set->has[i])
            continue;
        while (last + 1 < MPP_PARTICIPANTS_MAX && set->has[last + 1])
            last++;
        if (last - i < 2)
            last = i;
        say(t, last > i ? "%s%u-%u" : "%s%u", lead, i, last);
        lead = ", ";
        i = last;
    }
}

/* "consumers 0, 2-4 wait for data, for up to 11.9s" */
static void add_starving(why_verdict *v, const crowd *c, const mpp_snapshot *asked, const why_node *subject)
{
    char line[MPP_TEXT_MAX] = "", duration[TEXT_CELL];
    text t = TEXT(line);
    indices set = {0};
    int64_t longest = 0;
    for (unsigned i = 0; i < c->n; i++)
        if (starves(c->at[i]) && c->at[i]->mesh == asked && c->at[i] != subject) {
            indices_add(&set, c->at[i]->participant->index);
            longest = c->at[i]->waited_ns > longest ? c->at[i]->waited_ns : longest;
        }
    text_duration(duration, longest);
    say_indices(&t, 'c', &set);
    say(&t, " wait for data, for up to %s", duration);
    add_evidence(v, line);
}

static void add_line(why_verdict *v, const why_node *n, const mpp_snapshot *asked)
{
    char line[2 * MPP_TEXT_MAX] = "", duration[TEXT_CELL];
    text t = TEXT(line);
    say_who(&t, n, asked);
    say(&t, " %s", n->edge);
    if (n->participant) {
        text_duration(duration, n->waited_ns);
        say(&t, ", for %s", duration);
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
        text t = TEXT(line);
        say_who(&t, n, asked);
        say(&t, " %s", n->edge);
        if (n->next) {
            say(&t, " -> ");
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

static void say_process(text *t, const why_root *r)
{
    char name[TEXT_CELL];
    text_clean(name, sizeof name, r->process);
    say(t, "`%s` (pid %d)", name, (int)r->pid);
}

/* The command that starts a participant; index -1: any. */
static void say_start(text *t, const mpp_snapshot *s, char role, int index, unsigned lane)
{
    say(t, "%s %s", role == 'p' ? "mpp-produce" : "mpp-consume", s->id);
    if (index >= 0)
        say(t, " -i %d", index);
    for (unsigned i = 0; s->n_streams > 1 && i < s->n_streams; i++)
        if (s->streams[i].lane == lane) {
            say(t, " -s %s", s->streams[i].name);
            break;
        }
}

static void tell_missing(why_verdict *v, text *t, const why_root *r)
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
    say(t, set.n > 1 ? " have not attached" : " has not attached");
    if (s->lanes > 1)
        say(t, " to lane %u", first->lane);
    if (first->role == 'p' || first->role == 'c') {
        text advice = TEXT(v->advice);
        say(&advice, set.n > 1 ? "start each of them, as in: " : "start it: ");
        say_start(&advice, s, first->role, (int)first->index, first->lane);
    }
}

static void tell_held(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    const bool itself = r->subject->participant && r->subject->participant->pid == r->pid;
    if (itself)
        say_who(t, r->subject, asked);
    else
        say_process(t, r);
    if (r->class == WHY_STOPPED) {
        say(t, " is stopped (T)");
        snprintf(v->advice, sizeof v->advice, "let it go on: kill -CONT %d", (int)r->pid);
    } else {
        say(t, " is held by a debugger (t)%s%s", *r->detail ? ": " : "", r->detail);
        snprintf(v->advice, sizeof v->advice, "let it go on there, or detach");
    }
    if (!itself) {
        say(t, ", and ");
        say_who(t, r->subject, asked);
        say(t, " waits for it");
    }
}

/* Nobody is seen at the other end: it depends on what that is. */
static void say_whom_to_see(why_verdict *v, const why_root *r, const char *start)
{
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

static void tell_downstream(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    if (r->subject->participant->pid == r->pid) {
        say(t, " gets nowhere: it %s", r->detail);
        return;
    }
    say(t, " cannot write its output: ");
    if (!r->pid) {
        say(t, "%s", r->detail);
        say_whom_to_see(v, r, "start what shall read it");
        return;
    }
    say_process(t, r);
    say(t, " does not read its input: it %s", r->moving ? "works, and has read nothing for so long" : r->detail);
    snprintf(v->advice, sizeof v->advice,
             "see what pid %d waits for, or end what shall read no more: the consumer then has enough", (int)r->pid);
}

static void tell_input(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    if (r->subject->participant->pid == r->pid) {
        say(t, " gets nowhere: it %s", r->detail);
        return;
    }
    say(t, " waits for its input: ");
    if (!r->pid) {
        say(t, "%s", r->detail);
        say_whom_to_see(v, r, "start what shall write it");
        return;
    }
    say_process(t, r);
    say(t, ", which writes it, %s", r->moving ? "works, and has written nothing" : r->detail);
    snprintf(
        v->advice, sizeof v->advice,
        "the source is slow: see what pid %d waits for; one that buffers its output can be told not to (stdbuf -oL, "
        "grep --line-buffered)",
        (int)r->pid);
}

static void tell_command(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    say(t, " waits for its command to end");
    if (!r->pid) {
        say(t, ", %s", r->detail);
        return;
    }
    say(t, ": ");
    say_process(t, r);
    say(t, " %s", r->detail);
    snprintf(v->advice, sizeof v->advice, "see what pid %d waits for", (int)r->pid);
}

static void tell_lane_mate(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    const mpp_participant *p = r->subject->participant;
    say_who(t, r->subject, asked);
    say(t, " does not read stream '%s', which has filled lane %u that others travel in", r->detail, p->lane);
    snprintf(v->advice, sizeof v->advice,
             "read all streams of the lane at once (-s for each), or make the mesh with a lane for each: no --lanes");
}

static void tell_cycle(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    const why_node *n = r->head;
    unsigned steps = 0;
    say(t, "each waits for the next: ");
    do {
        say_short(t, n, asked);
        say(t, " -> ");
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

static void tell_idle(why_verdict *v, text *t, const why_root *r)
{
    const mpp_snapshot *s = r->subject->mesh;
    const unsigned lane = r->subject->participant->lane;
    indices attached = {0}, left = {0};
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->role == 'c' && p->lane == lane && strcmp(p->state, "free") != 0)
            indices_add(p->activity ? &attached : &left, p->index);
    }
    say(t, "nobody asks");
    if (s->lanes > 1)
        say(t, " in lane %u", lane);
    say(t, ": of %u consumers %u are attached", s->consumers, attached.n);
    if (left.n)
        say(t, ", and %u have been and left", left.n);
    text advice = TEXT(v->advice);
    say(&advice, "start a consumer: ");
    say_start(&advice, s, 'c', left.n || s->n_streams > 1 ? 0 : -1, lane);
}

static void tell_dead(why_verdict *v, text *t, const why_root *r, const mpp_snapshot *asked)
{
    say_who(t, r->subject, asked);
    if (r->subject->participant->pid > 0)
        say(t, " (it was pid %d)", (int)r->subject->participant->pid);
    bool anybody = false;
    for (unsigned i = 0; i < r->subject->mesh->n_participants; i++)
        anybody |= r->subject->mesh->participants[i].activity != NULL;
    say(t, anybody ? " is dead, and nobody has found it so: who is left is stopped" : " is dead, and nobody is left");
    snprintf(v->advice, sizeof v->advice, "%smpp-create --remove %s", anybody ? "let them go on, or end them: " : "",
             r->subject->mesh->id);
}

static void tell_text(why_verdict *v, const why_root *r, const mpp_snapshot *asked)
{
    text t = TEXT(v->text);
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
