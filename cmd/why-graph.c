#include "why-graph.h"

#include "cli.h"
#include "stat-text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Things of one kind, each allocated by itself so that it stays where it is. */
typedef struct list {
    void **at;
    unsigned n;
} list;

struct why_graph {
    int64_t patience;
    const mpp_snapshot *asked;
    list others; /* snapshots of the other meshes */
    bool others_taken;
    proc_table table;
    bool table_taken;
    list nodes, roots;
    list path; /* of nodes that are being followed */
};

static void *must(void *memory)
{
    if (!memory)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
    return memory;
}

static void *add(list *l, void *thing)
{
    if ((l->n & (l->n - 1)) == 0) /* full at every power of two */
        l->at = must(realloc(l->at, (l->n ? 2 * (size_t)l->n : 1) * sizeof *l->at));
    return l->at[l->n++] = thing;
}

/* ---- the mesh ----------------------------------------------------------------------------------- */

static const mpp_participant *participant_at(const mpp_snapshot *s, unsigned lane, char role, unsigned index)
{
    const unsigned number = lane * (s->producers + s->consumers) + (role == 'c' ? s->producers : 0) + index;
    return number < s->n_participants ? &s->participants[number] : NULL;
}

static bool is(const mpp_participant *p, const char *state)
{
    return strcmp(p->state, state) == 0;
}

static int64_t age(const mpp_snapshot *s, const mpp_participant *p)
{
    return p->since_ns > 0 && p->since_ns < s->taken_ns ? s->taken_ns - p->since_ns : 0;
}

/* ---- nodes and roots ---------------------------------------------------------------------------- */

static why_node *at_participant(why_graph *g, const mpp_snapshot *s, const mpp_participant *p)
{
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        if (n->participant == p)
            return n;
    }
    why_node *n = add(&g->nodes, calloc(1, sizeof *n));
    n->mesh = s;
    n->participant = p;
    n->waited_ns = p->activity ? age(s, p) : 0;
    return n;
}

static why_node *at_process(why_graph *g, const proc *p, why_purpose purpose, const proc_target *pipe)
{
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        if (!n->participant && n->process.pid == p->pid && n->purpose == purpose && n->pipe.ino == pipe->ino)
            return n;
    }
    why_node *n = add(&g->nodes, calloc(1, sizeof *n));
    n->process = *p;
    n->purpose = purpose;
    n->pipe = *pipe;
    return n;
}

/* The participant that a chain came from last. */
static why_node *nearest(const why_graph *g)
{
    for (unsigned i = g->path.n; i-- > 0;) {
        why_node *n = g->path.at[i];
        if (n->participant)
            return n;
    }
    return g->path.at[0];
}

static why_root *root(why_graph *g, why_class class, why_node *subject, const proc *process)
{
    const pid_t pid = process ? process->pid : 0;
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        if (r->class == class && r->subject == subject && r->pid == pid && !r->head)
            return r;
    }
    why_root *r = add(&g->roots, calloc(1, sizeof *r));
    r->class = class;
    r->subject = subject;
    r->pid = pid;
    if (process)
        memcpy(r->process, process->name, sizeof r->process);
    return r;
}

static why_root *cycle(why_graph *g, why_node *head)
{
    why_root *r = add(&g->roots, calloc(1, sizeof *r));
    r->class = WHY_CYCLE;
    r->head = head;
    for (unsigned i = g->path.n; i-- > 0 && g->path.at[i] != head;)
        if (((why_node *)g->path.at[i])->participant)
            r->subject = g->path.at[i];
    if (head->participant || !r->subject) /* of processes alone: who came to them */
        r->subject = head->participant ? head : nearest(g);
    return r;
}

/* ---- choices ------------------------------------------------------------------------------------ */

static why_root *follow(why_graph *g, why_node *n);

/* Several ways on: one that goes on is enough (any), or all must (else). */
typedef struct choice {
    bool any, goes_on;
    list tried;
    why_root *best;
    why_node *next;
} choice;

/* Where any would do, a way out of a circle leads to what really holds it up. */
static bool better(const choice *c, const why_root *r)
{
    if (!c->best)
        return true;
    if (c->any && (r->class == WHY_CYCLE) != (c->best->class == WHY_CYCLE))
        return c->best->class == WHY_CYCLE;
    return r->class < c->best->class;
}

static void try(why_graph *g, choice *c, why_node *next)
{
    why_root *r = follow(g, next);
    add(&c->tried, next);
    if (!r)
        c->goes_on = true;
    else if (better(c, r)) {
        c->best = r;
        c->next = next;
    }
}

static why_root *decide(choice *c, why_node *n)
{
    const bool stuck = c->best && !(c->any && c->goes_on);
    for (unsigned i = 0; i < c->tried.n && stuck; i++)
        ((why_node *)c->tried.at[i])->awaited = true;
    free(c->tried.at);
    if (stuck)
        n->next = c->next;
    return stuck ? c->best : NULL;
}

/* ---- processes ---------------------------------------------------------------------------------- */

static const proc_table *table(why_graph *g)
{
    if (!g->table_taken)
        proc_table_take(&g->table);
    g->table_taken = true;
    return &g->table;
}

static bool is_tool(const char *name)
{
    return strcmp(name, "mpp-produce") == 0 || strcmp(name, "mpp-consume") == 0;
}

static const mpp_participant *held_by(const mpp_snapshot *s, pid_t pid, char role)
{
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->activity && p->pid == pid && (!role || p->role == role))
            return p;
    }
    return NULL;
}

static void take_others(why_graph *g)
{
    char **ids = NULL;
    if (g->others_taken)
        return;
    g->others_taken = true;
    const int n = mpp_mesh_list(&ids);
    for (int i = 0; i < n; i++) {
        mpp_snapshot *s;
        if (strcmp(ids[i], g->asked->id) != 0 && mpp_snapshot_take(ids[i], &s, NULL) == 0)
            add(&g->others, s);
        free(ids[i]);
    }
    free(ids);
}

/* The participant, of any mesh, that a process holds: a tool that is to read a pipe is a producer. */
static why_node *as_participant(why_graph *g, pid_t pid, why_purpose purpose)
{
    const char role = purpose == TO_READ ? 'p' : purpose == TO_WRITE ? 'c' : 0;
    const mpp_participant *p = held_by(g->asked, pid, role);
    if (p)
        return at_participant(g, g->asked, p);
    take_others(g);
    for (unsigned i = 0; i < g->others.n; i++)
        if ((p = held_by(g->others.at[i], pid, role)))
            return at_participant(g, g->others.at[i], p);
    return NULL;
}

/* All who hold the other end of a pipe: whoever of them does what we wait for will do.  *nobody: there is none. */
static why_root *to_other_end(why_graph *g, why_node *n, const proc_target *pipe, why_purpose purpose, bool *nobody)
{
    choice c = {.any = true};
    unsigned ends;
    const proc_end *e = proc_table_ends(table(g), pipe, &ends);
    const pid_t self = n->participant ? n->participant->pid : n->process.pid;
    for (unsigned i = 0; i < ends; i++) {
        proc p;
        if (!(purpose == TO_READ ? e[i].reads : e[i].writes) || e[i].pid == self ||
            (i > 0 && e[i].pid == e[i - 1].pid && c.tried.n) || !proc_look(e[i].pid, &p))
            continue;
        why_node *next = as_participant(g, p.pid, purpose);
        /* A guard keeps a pipe open, and --all's supervisor does; neither uses it. */
        if (!next && (strcmp(p.name, "mpp-guard") == 0 || is_tool(p.name)))
            continue;
        try(g, &c, next ? next : at_process(g, &p, purpose, pipe));
    }
    *nobody = c.tried.n == 0;
    return decide(&c, n);
}

/* It is here that it ends: nobody else is to be seen behind this process. */
static why_root *at_its_door(why_graph *g, const proc *p, const char *does)
{
    why_node *subject = nearest(g);
    const bool input = subject->participant && subject->participant->doing == MPP_READING_INPUT;
    const bool end = subject->participant && subject->participant->doing == MPP_WAITING_COMMAND;
    why_root *r = root(g, input ? WHY_INPUT : end ? WHY_COMMAND : WHY_DOWNSTREAM, subject, p);
    snprintf(r->detail, sizeof r->detail, "%s", does);
    r->look = true;
    r->work = proc_work(p->pid);
    return r;
}

static const char *does(const proc *p, proc_wait_kind kind)
{
    if (p->state == 'D')
        return "is blocked in the kernel (D)";
    if (p->state == 'R')
        return "is busy";
    return kind == PROC_SLEEPS ? "is asleep" : "waits for something else";
}

/* What a process reads or writes, when it is not the pipe that we wait for. */
static why_root *to_target(why_graph *g, why_node *n, proc_wait w)
{
    const proc_target t = proc_target_of(n->process.pid, w.fd);
    char text[MPP_TEXT_MAX], path[PROC_PATH_MAX];
    text_clean(path, sizeof path, t.path);
    if (t.kind == PROC_PIPE && t.ino == n->pipe.ino && t.dev == n->pipe.dev)
        return NULL; /* it does what we wait for */
    snprintf(text, sizeof text, "%s %s%s", w.kind == PROC_READS ? "waits to read" : "waits to write",
             t.kind == PROC_NOTHING ? "something" : path, n->process.state == 'D' ? " (D)" : "");
    snprintf(n->edge, sizeof n->edge, "%s", text);
    if (t.kind != PROC_PIPE)
        return at_its_door(g, &n->process, text);
    bool nobody;
    why_root *r = to_other_end(g, n, &t, w.kind == PROC_READS ? TO_WRITE : TO_READ, &nobody);
    return nobody ? at_its_door(g, &n->process, text) : r;
}

static bool holds(const proc_table *t, const proc_target *pipe, pid_t pid)
{
    unsigned n;
    const proc_end *e = proc_table_ends(t, pipe, &n);
    for (unsigned i = 0; i < n; i++)
        if (e[i].pid == pid)
            return true;
    return false;
}

/* Has it started somebody who has the pipe, too? */
static bool shares(const proc_table *t, const why_node *n)
{
    for (unsigned i = 0; i < t->n_all; i++)
        if (t->all[i].parent == n->process.pid && holds(t, &n->pipe, t->all[i].pid))
            return true;
    return false;
}

/* A shell that waits for what it has started: those of them that have the pipe, if any has. */
static why_root *to_children(why_graph *g, why_node *n)
{
    const proc_table *t = table(g);
    choice c = {.any = true};
    const bool with_pipe = shares(t, n);
    for (unsigned i = 0; i < t->n_all; i++) {
        const proc *child = &t->all[i];
        if (child->parent != n->process.pid || (with_pipe && !holds(t, &n->pipe, child->pid)))
            continue;
        why_node *next = as_participant(g, child->pid, n->purpose);
        try(g, &c, next ? next : at_process(g, child, n->purpose, &n->pipe));
    }
    snprintf(n->edge, sizeof n->edge, "waits for what it has started");
    if (c.tried.n == 0 && n->purpose != TO_WRITE) /* it came, or went, since the table was made: a sign of life */
        return NULL;
    return c.tried.n ? decide(&c, n) : at_its_door(g, &n->process, "waits for a child");
}

static why_root *held_still(why_graph *g, why_node *subject, const proc *p)
{
    why_root *r = root(g, p->state == 'T' ? WHY_STOPPED : WHY_TRACED, subject, p);
    proc tracer;
    if (p->state == 't' && proc_look(proc_tracer(p->pid), &tracer))
        snprintf(r->detail, sizeof r->detail, "`%s` (pid %d)", tracer.name, (int)tracer.pid);
    return r;
}

static why_root *from_process(why_graph *g, why_node *n)
{
    const proc *p = &n->process;
    if (p->state == 'Z' || p->state == 'X')
        return NULL;
    if (p->state == 'T' || p->state == 't')
        return held_still(g, nearest(g), p);
    /* What was started a moment ago is a sign of life of whoever started it: a loop that reads a record in each round,
     * perhaps slowly.  One that writes has written nothing for that long, or its producer would have heard. */
    if (p->age_ns < g->patience)
        return n->purpose == TO_WRITE ? at_its_door(g, p, "was started a moment ago") : NULL;
    const proc_wait w = proc_waits(p->pid);
    if (w.kind == PROC_CHILD || (w.kind == PROC_UNKNOWN && shares(table(g), n)))
        return to_children(g, n);
    if (w.kind == PROC_READS || w.kind == PROC_WRITES)
        return to_target(g, n, w);
    snprintf(n->edge, sizeof n->edge, "%s", does(p, w.kind));
    return at_its_door(g, p, n->edge);
}

/* ---- participants ------------------------------------------------------------------------------- */

static why_root *missing(why_graph *g, const mpp_snapshot *s, const mpp_participant *p)
{
    return root(g, WHY_MISSING, at_participant(g, s, p), NULL);
}

/* A peer that somebody waits for. */
static void try_peer(why_graph *g, choice *c, const mpp_snapshot *s, const mpp_participant *peer)
{
    if (peer)
        try(g, c, at_participant(g, s, peer));
}

/* A consumer that waits for data although some is there: it is of a stream that it does not read now. */
static bool unread_mate(const why_graph *g, const mpp_snapshot *s, const mpp_channel *ch,
                        const mpp_participant *consumer)
{
    return consumer && consumer->activity && consumer->doing == MPP_WAITING_DATA && ch->awaited && ch->fill > 0 &&
           s->lanes < s->n_streams && age(s, consumer) >= g->patience;
}

static why_root *lane_mate(why_graph *g, const mpp_snapshot *s, const mpp_channel *ch, const mpp_participant *consumer)
{
    why_root *r = root(g, WHY_LANE_MATE, at_participant(g, s, consumer), NULL);
    if (ch->head >= 0 && (unsigned)ch->head < s->n_streams)
        text_clean(r->detail, sizeof r->detail, s->streams[ch->head].name);
    return r;
}

static why_root *waits_for_space(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    const mpp_participant *p = n->participant;
    choice c = {.any = false};
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *ch = &s->channels[i];
        if (ch->lane != p->lane || ch->producer != p->index || !ch->wanted)
            continue;
        const mpp_participant *peer = participant_at(s, ch->lane, 'c', ch->consumer);
        char fill[TEXT_CELL], size[TEXT_CELL];
        text_bytes(fill, ch->fill);
        text_bytes(size, s->ring_size);
        snprintf(n->edge, sizeof n->edge, "waits for space on %u->%u (%.16s of %.16s unread)", ch->producer,
                 ch->consumer, fill, size);
        if (unread_mate(g, s, ch, peer)) {
            n->next = at_participant(g, s, peer);
            return lane_mate(g, s, ch, peer);
        }
        try_peer(g, &c, s, peer);
    }
    return decide(&c, n);
}

/* Does the consumer wait for data there?  The lanes of one process wait together. */
static bool awaits(const mpp_snapshot *s, const mpp_channel *ch, const mpp_participant *consumer, bool needed)
{
    const mpp_participant *here = participant_at(s, ch->lane, 'c', ch->consumer);
    return ch->consumer == consumer->index && (needed ? ch->needed : ch->awaited) && here &&
           here->pid == consumer->pid && here->doing == consumer->doing;
}

static why_root *waits_for_data(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    const mpp_participant *p = n->participant;
    bool needs = false;
    for (unsigned i = 0; i < s->n_channels; i++)
        needs |= awaits(s, &s->channels[i], p, true);
    choice c = {.any = !needs};
    unsigned last = 0;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *ch = &s->channels[i];
        if (!awaits(s, ch, p, needs))
            continue;
        last = ch->producer;
        try_peer(g, &c, s, participant_at(s, ch->lane, 'p', ch->producer));
    }
    if (c.tried.n == 1)
        snprintf(n->edge, sizeof n->edge, "waits for data of producer %u", last);
    else
        snprintf(n->edge, sizeof n->edge, "waits for data of %s%u producers", needs ? "" : "any of ", c.tried.n);
    return decide(&c, n);
}

/* Nobody asks: nobody has come, or who has come cannot. */
static why_root *waits_for_start(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    choice c = {.any = false};
    snprintf(n->edge, sizeof n->edge, "waits to be asked");
    for (unsigned j = 0; j < s->consumers; j++) {
        const mpp_participant *consumer = participant_at(s, n->participant->lane, 'c', j);
        if (consumer && (consumer->activity || is(consumer, "dead")))
            try_peer(g, &c, s, consumer);
    }
    if (c.tried.n == 0)
        return root(g, WHY_IDLE, at_participant(g, s, participant_at(s, 0, 'p', 0)), NULL);
    return decide(&c, n); /* who is there may ask later */
}

static why_root *waits_for_peers(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    choice c = {.any = false};
    snprintf(n->edge, sizeof n->edge, "waits for everybody to attach (--barrier)");
    for (unsigned i = 0; i < s->n_participants; i++)
        if (is(&s->participants[i], "free"))
            try_peer(g, &c, s, &s->participants[i]);
    return decide(&c, n);
}

/* There is nobody to be seen behind the input or output. */
static why_root *at_its_end(why_graph *g, why_node *n, const proc_target *t, const char *path, bool input)
{
    why_root *r = root(g, input ? WHY_INPUT : WHY_DOWNSTREAM, n, NULL);
    if (t->kind == PROC_PIPE)
        snprintf(r->detail, sizeof r->detail, "nobody to be seen holds the other end of %s", path);
    else if (t->kind == PROC_TERMINAL)
        snprintf(r->detail, sizeof r->detail, "the terminal %s %s", path,
                 input ? "is silent" : "takes nothing (Ctrl-S?)");
    else
        snprintf(r->detail, sizeof r->detail, "%s %s", *path ? path : "what it is cannot be seen, and it",
                 input ? "gives nothing" : "takes nothing");
    return r;
}

static why_root *waits_for_pipe(why_graph *g, why_node *n, why_purpose purpose)
{
    const bool input = purpose == TO_WRITE;
    const proc_target t = proc_target_of(n->participant->pid, n->participant->fd);
    char path[PROC_PATH_MAX];
    bool nobody = true;
    text_clean(path, sizeof path, t.kind == PROC_NOTHING ? "" : t.path);
    snprintf(n->edge, sizeof n->edge, "waits for its %s%s%s", input ? "input" : "output", *path ? ", " : "", path);
    why_root *r = t.kind == PROC_PIPE ? to_other_end(g, n, &t, purpose, &nobody) : NULL;
    return nobody ? at_its_end(g, n, &t, path, input) : r;
}

static why_root *unseen(why_root *r)
{
    snprintf(r->detail, sizeof r->detail, "which cannot be seen");
    return r;
}

static why_root *waits_for_command(why_graph *g, why_node *n)
{
    static const proc_target no_pipe = {.kind = PROC_NOTHING};
    choice c = {.any = false};
    proc command;
    snprintf(n->edge, sizeof n->edge, "waits for its command to end");
    if (proc_look(n->participant->command, &command))
        try(g, &c, at_process(g, &command, TO_END, &no_pipe));
    else if (!proc_readable())
        return unseen(root(g, WHY_COMMAND, n, NULL));
    return decide(&c, n);
}

/* It says that it works.  What it does outside of the mesh nobody knows; that it gets on is looked at. */
static why_root *works(why_graph *g, why_node *n, const proc *self)
{
    snprintf(n->edge, sizeof n->edge, "works, and gets nowhere");
    why_root *r = root(g, n->participant->role == 'p' ? WHY_INPUT : WHY_DOWNSTREAM, n, self);
    snprintf(r->detail, sizeof r->detail, "%s", does(self, PROC_UNKNOWN));
    r->look = true;
    r->work = proc_work(self->pid);
    return r;
}

static why_root *from_participant(why_graph *g, why_node *n)
{
    const mpp_participant *p = n->participant;
    proc self;
    if (is(p, "free"))
        return missing(g, n->mesh, p);
    if (is(p, "dead"))
        return root(g, WHY_DEAD, n, NULL);
    if (!p->activity)
        return NULL;
    const bool seen = proc_look(p->pid, &self); /* or it has just left, or /proc shows nothing */
    if (!seen && proc_readable())
        return NULL;
    if (!seen)
        self = (proc){.pid = p->pid};
    if (self.state == 'T' || self.state == 't')
        return held_still(g, n, &self);
    if (n->waited_ns < g->patience)
        return NULL;
    switch (p->doing) {
    case MPP_WAITING_SPACE:
        return waits_for_space(g, n);
    case MPP_WAITING_DATA:
        return waits_for_data(g, n);
    case MPP_WAITING_START:
        return waits_for_start(g, n);
    case MPP_WAITING_PEERS:
        return waits_for_peers(g, n);
    case MPP_READING_INPUT:
        return waits_for_pipe(g, n, TO_WRITE);
    case MPP_WRITING_OUTPUT:
        return waits_for_pipe(g, n, TO_READ);
    case MPP_WAITING_COMMAND:
        return waits_for_command(g, n);
    default:
        return seen ? works(g, n, &self) : NULL;
    }
}

/* ---- following ---------------------------------------------------------------------------------- */

/* What lies on a circle that was found through n, and n turned out to have another way: to be followed again. */
static void forget_cycles(why_graph *g, const why_node *head, const why_root *but)
{
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        if (n->seen == NODE_DONE && n->root && n->root->head == head && n->root != but)
            n->seen = NODE_NEW;
    }
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        r->gone |= r->head == head && r != but;
    }
}

static why_root *follow(why_graph *g, why_node *n)
{
    if (n->seen == NODE_DONE)
        return n->root;
    if (n->seen == NODE_OPEN)
        return cycle(g, n);
    n->seen = NODE_OPEN;
    add(&g->path, n);
    why_root *r = n->participant ? from_participant(g, n) : from_process(g, n);
    g->path.n--;
    forget_cycles(g, n, r);
    n->root = r;
    n->seen = NODE_DONE;
    return r;
}

/* ---- the second look ---------------------------------------------------------------------------- */

enum { SECOND_LOOK_NS = 30000000 };

static bool moves(const why_root *r)
{
    proc p;
    return proc_work(r->pid) != r->work || (proc_look(r->pid, &p) && p.state == 'R');
}

/* Who does something between two looks is slow, and no stall: but a source that works and gives nothing is what its
 * producer waits for all the same. */
static void look_again(why_graph *g)
{
    bool needed = false;
    for (unsigned i = 0; i < g->roots.n; i++) {
        const why_root *r = g->roots.at[i];
        needed |= r->look && !r->gone;
    }
    if (!needed)
        return;
    nanosleep(&(struct timespec){.tv_nsec = SECOND_LOOK_NS}, NULL);
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        r->moving = r->look && moves(r);
        const bool of_itself = r->subject->participant && r->subject->participant->pid == r->pid;
        r->gone |= r->moving && (r->class != WHY_INPUT || of_itself);
    }
}

/* A source may be silent for as long as it likes when nobody waits for it. */
static void drop_unawaited_sources(why_graph *g)
{
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        r->gone |= r->class == WHY_INPUT && !r->subject->awaited;
    }
}

why_graph *graph_make(const mpp_snapshot *s, int64_t patience_ns)
{
    why_graph *g = calloc(1, sizeof *g);
    if (!g)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
    g->asked = s;
    g->patience = patience_ns;
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->activity || is(p, "dead"))
            follow(g, at_participant(g, s, p));
    }
    look_again(g);
    drop_unawaited_sources(g);
    return g;
}

void graph_free(why_graph **gp)
{
    why_graph *g = *gp;
    *gp = NULL;
    for (unsigned i = 0; i < g->others.n; i++) {
        mpp_snapshot *s = g->others.at[i];
        mpp_snapshot_free(&s);
    }
    for (unsigned i = 0; i < g->nodes.n; i++)
        free(g->nodes.at[i]);
    for (unsigned i = 0; i < g->roots.n; i++)
        free(g->roots.at[i]);
    free(g->others.at);
    free(g->nodes.at);
    free(g->roots.at);
    free(g->path.at);
    proc_table_free(&g->table);
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
