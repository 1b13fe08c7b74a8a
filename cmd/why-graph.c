#include "why-graph.h"

#include "cli.h"
#include "stat-text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct why_world {
    why_list meshes; /* snapshots of all of this user's */
    bool meshes_taken;
    proc_table table;
    bool table_taken;
};

struct why_graph {
    why_world *world;
    int64_t patience;
    const mpp_snapshot *asked;
    why_list nodes;       /* grows while they are gone through */
    why_node **by_number; /* of the asked mesh's participants */
    why_list roots;
};

static void *add(why_list *l, void *thing)
{
    if ((l->n & (l->n - 1)) == 0) /* full at every power of two */
        l->at = cli_must(realloc(l->at, (l->n ? 2 * (size_t)l->n : 1) * sizeof *l->at));
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

/* One process in several lanes says the same in each of them, and waits in all of them together. */
static const mpp_participant *in_its_first_lane(const mpp_snapshot *s, const mpp_participant *p)
{
    for (unsigned lane = 0; lane < p->lane && p->activity; lane++) {
        const mpp_participant *q = participant_at(s, lane, p->role, p->index);
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

static why_node *at_participant(why_graph *g, const mpp_snapshot *s, const mpp_participant *any_lane)
{
    const mpp_participant *p = in_its_first_lane(s, any_lane);
    why_node *known = find_participant(g, s, p);
    if (known)
        return known;
    why_node *n = add(&g->nodes, calloc(1, sizeof *n));
    n->mesh = s;
    n->participant = p;
    n->waited_ns = p->activity ? age(s, p) : 0;
    if (s == g->asked)
        g->by_number[p - s->participants] = n;
    return n;
}

static why_node *at_process(why_graph *g, why_node *from, const proc *p, why_purpose purpose, const proc_target *pipe)
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
    n->subject = from->participant ? from : from->subject;
    return n;
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

/* ---- edges -------------------------------------------------------------------------------------- */

static void edge(why_node *n, why_node *next)
{
    add(&n->edges, next);
}

/* It is here that a chain ends. */
static void end(why_node *n, why_root *r)
{
    n->own = r;
}

/* The participant that a chain came from last. */
static why_node *subject_of(why_node *n)
{
    return n->participant ? n : n->subject;
}

/* ---- processes ---------------------------------------------------------------------------------- */

static const proc_table *table(const why_graph *g)
{
    why_world *w = g->world;
    if (!w->table_taken)
        proc_table_take(&w->table);
    w->table_taken = true;
    return &w->table;
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

static void take_meshes(why_world *w)
{
    char **ids = NULL;
    if (w->meshes_taken)
        return;
    w->meshes_taken = true;
    const int n = mpp_mesh_list(&ids);
    for (int i = 0; i < n; i++) {
        mpp_snapshot *s;
        if (mpp_snapshot_take(ids[i], &s, NULL) == 0)
            add(&w->meshes, s);
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
    take_meshes(g->world);
    for (unsigned i = 0; i < g->world->meshes.n; i++)
        if ((p = held_by(g->world->meshes.at[i], pid, role)))
            return at_participant(g, g->world->meshes.at[i], p);
    return NULL;
}

/* Edges to all who hold the other end of a pipe: any of them may do what we wait for.  false: there is nobody. */
static bool to_other_end(why_graph *g, why_node *n, const proc_target *pipe, why_purpose purpose)
{
    unsigned ends;
    const proc_end *e = proc_table_ends(table(g), pipe, &ends);
    const pid_t self = n->participant ? n->participant->pid : n->process.pid;
    pid_t last = 0;
    n->any = true;
    for (unsigned i = 0; i < ends; i++) {
        proc p;
        if (!(purpose == TO_READ ? e[i].reads : e[i].writes) || e[i].pid == self || e[i].pid == last ||
            !proc_look(e[i].pid, &p))
            continue;
        why_node *next = as_participant(g, p.pid, purpose);
        /* A guard keeps a pipe open, and --all's supervisor does; neither uses it. */
        if (!next && (strcmp(p.name, "mpp-guard") == 0 || is_tool(p.name)))
            continue;
        edge(n, next ? next : at_process(g, n, &p, purpose, pipe));
        last = p.pid;
    }
    return n->edges.n > 0;
}

/* It is here that it ends: nobody else is to be seen behind this process. */
static void at_its_door(why_graph *g, why_node *n, const char *does)
{
    why_node *subject = subject_of(n);
    const mpp_activity doing = (mpp_activity)subject->participant->doing;
    why_root *r = root(g,
                       doing == MPP_READING_INPUT     ? WHY_INPUT
                       : doing == MPP_WAITING_COMMAND ? WHY_COMMAND
                                                      : WHY_DOWNSTREAM,
                       subject, &n->process);
    snprintf(r->detail, sizeof r->detail, "%s", does);
    r->age_ns = n->process.age_ns;
    r->look = true;
    r->work = proc_has_done(n->process.pid);
    end(n, r);
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
static void to_target(why_graph *g, why_node *n, proc_wait w)
{
    const proc_target t = proc_target_of(n->process.pid, w.fd);
    char path[PROC_PATH_MAX];
    text_clean(path, sizeof path, t.path);
    if (t.kind == PROC_PIPE && t.ino == n->pipe.ino && t.dev == n->pipe.dev)
        return; /* it does what we wait for */
    snprintf(n->edge, sizeof n->edge, "%s %s%s", w.kind == PROC_READS ? "waits to read" : "waits to write",
             t.kind == PROC_NOTHING ? "something" : path, n->process.state == 'D' ? " (D)" : "");
    if (t.kind != PROC_PIPE || !to_other_end(g, n, &t, w.kind == PROC_READS ? TO_WRITE : TO_READ))
        at_its_door(g, n, n->edge);
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
static void to_children(why_graph *g, why_node *n)
{
    const proc_table *t = table(g);
    const bool with_pipe = shares(t, n);
    n->any = true;
    snprintf(n->edge, sizeof n->edge, "waits for what it has started");
    for (unsigned i = 0; i < t->n_all; i++) {
        const proc *child = &t->all[i];
        if (child->parent != n->process.pid || (with_pipe && !holds(t, &n->pipe, child->pid)))
            continue;
        why_node *next = as_participant(g, child->pid, n->purpose);
        edge(n, next ? next : at_process(g, n, child, n->purpose, &n->pipe));
    }
    if (n->edges.n == 0 &&
        n->purpose == TO_WRITE) /* else: it came, or went, since the table was made: a sign of life */
        at_its_door(g, n, "waits for a child");
}

static void held_still(why_graph *g, why_node *n, const proc *p)
{
    why_root *r = root(g, p->state == 'T' ? WHY_STOPPED : WHY_TRACED, subject_of(n), p);
    proc tracer;
    if (p->state == 't' && proc_look(proc_tracer(p->pid), &tracer))
        snprintf(r->detail, sizeof r->detail, "`%s` (pid %d)", tracer.name, (int)tracer.pid);
    end(n, r);
}

/* Who waits for any of several things, with poll(2) or in threads, may wait for a pipe on its other side: if nobody
 * serves that, it is the likely one. */
static void to_its_other_pipes(why_graph *g, why_node *n)
{
    const proc_table *t = table(g);
    n->leads_on = true;
    for (unsigned i = 0; i < t->n_ends; i++) {
        const proc_end *e = &t->ends[i];
        const proc_target pipe = {.kind = PROC_PIPE, .dev = e->dev, .ino = e->ino};
        if (e->pid != n->process.pid || (e->reads && e->writes) || (e->ino == n->pipe.ino && e->dev == n->pipe.dev))
            continue;
        if (n->purpose == TO_READ ? e->writes : e->reads)
            to_other_end(g, n, &pipe, n->purpose);
    }
}

static void from_process(why_graph *g, why_node *n)
{
    const proc *p = &n->process;
    if (p->state == 'Z' || p->state == 'X')
        return;
    if (p->state == 'T' || p->state == 't') {
        held_still(g, n, p);
        return;
    }
    /* What was started a moment ago is a sign of life of whoever started it: a loop that reads a record in each round,
     * perhaps slowly.  One that writes has written nothing for that long, or its producer would have heard. */
    if (p->age_ns < g->patience) {
        if (n->purpose == TO_WRITE)
            at_its_door(g, n, "was started a moment ago");
        return;
    }
    const proc_wait w = proc_waits(p->pid);
    if (w.kind == PROC_CHILD || (w.kind == PROC_UNKNOWN && shares(table(g), n))) {
        to_children(g, n);
    } else if (w.kind == PROC_READS || w.kind == PROC_WRITES) {
        to_target(g, n, w);
    } else {
        snprintf(n->edge, sizeof n->edge, "%s", does(p, w.kind));
        at_its_door(g, n, n->edge);
        if (w.kind == PROC_UNKNOWN && n->purpose != TO_END)
            to_its_other_pipes(g, n);
    }
}

/* ---- participants ------------------------------------------------------------------------------- */

/* A peer that it waits for. */
static void to_peer(why_graph *g, why_node *n, const mpp_participant *peer)
{
    if (peer)
        edge(n, at_participant(g, n->mesh, peer));
}

/* A consumer that waits for data although some is there: it is of a stream that it does not read now. */
static bool unread_mate(const why_graph *g, const mpp_snapshot *s, const mpp_channel *ch,
                        const mpp_participant *consumer)
{
    return consumer && consumer->activity && consumer->doing == MPP_WAITING_DATA && ch->awaited && ch->fill > 0 &&
           s->lanes < s->n_streams && age(s, consumer) >= g->patience;
}

static void lane_mate(why_graph *g, why_node *n, const mpp_channel *ch, const mpp_participant *consumer)
{
    why_root *r = root(g, WHY_LANE_MATE, at_participant(g, n->mesh, consumer), NULL);
    if (ch->head >= 0 && (unsigned)ch->head < n->mesh->n_streams)
        text_clean(r->detail, sizeof r->detail, n->mesh->streams[ch->head].name);
    end(n, r);
}

static void waits_for_space(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    const mpp_participant *p = n->participant;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *ch = &s->channels[i];
        const mpp_participant *here = participant_at(s, ch->lane, 'p', ch->producer);
        if (ch->producer != p->index || !ch->wanted || !here || here->pid != p->pid || here->doing != p->doing)
            continue;
        const mpp_participant *peer = participant_at(s, ch->lane, 'c', ch->consumer);
        char fill[TEXT_CELL], size[TEXT_CELL];
        text_bytes(fill, ch->fill);
        text_bytes(size, s->ring_size);
        snprintf(n->edge, sizeof n->edge, "waits for space on %u->%u (%.16s of %.16s unread)", ch->producer,
                 ch->consumer, fill, size);
        if (unread_mate(g, s, ch, peer))
            lane_mate(g, n, ch, peer);
        to_peer(g, n, peer);
    }
}

/* Does the consumer wait for data there?  The lanes of one process wait together. */
static bool awaits(const mpp_snapshot *s, const mpp_channel *ch, const mpp_participant *consumer, bool needed)
{
    const mpp_participant *here = participant_at(s, ch->lane, 'c', ch->consumer);
    return ch->consumer == consumer->index && (needed ? ch->needed : ch->awaited) && here &&
           here->pid == consumer->pid && here->doing == consumer->doing;
}

static void waits_for_data(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    bool needs = false, awaited[MPP_PARTICIPANTS_MAX] = {false};
    unsigned last = 0, producers = 0;
    for (unsigned i = 0; i < s->n_channels; i++)
        needs |= awaits(s, &s->channels[i], n->participant, true);
    n->any = !needs;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *ch = &s->channels[i];
        if (!awaits(s, ch, n->participant, needs))
            continue;
        last = ch->producer;
        producers += !awaited[last];
        awaited[last] = true;
        to_peer(g, n, participant_at(s, ch->lane, 'p', last));
    }
    if (producers == 1)
        snprintf(n->edge, sizeof n->edge, "waits for data of producer %u", last);
    else
        snprintf(n->edge, sizeof n->edge, "waits for data of %s%u producers", needs ? "" : "any of ", producers);
}

/* One for all of a mesh. */
static why_root *idle(why_graph *g, why_node *n)
{
    for (unsigned i = 0; i < g->roots.n; i++) {
        why_root *r = g->roots.at[i];
        if (r->class == WHY_IDLE && r->subject->mesh == n->mesh)
            return r;
    }
    return root(g, WHY_IDLE, n, NULL);
}

/* Nobody asks: nobody has come, or who has come cannot; else who is there may ask later. */
static void waits_for_start(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    snprintf(n->edge, sizeof n->edge, "waits to be asked");
    for (unsigned j = 0; j < s->consumers; j++) {
        const mpp_participant *consumer = participant_at(s, n->participant->lane, 'c', j);
        if (consumer && (consumer->activity || is(consumer, "dead")))
            to_peer(g, n, consumer);
    }
    if (n->edges.n == 0)
        end(n, idle(g, n));
}

static void waits_for_peers(why_graph *g, why_node *n)
{
    snprintf(n->edge, sizeof n->edge, "waits for everybody to attach (--barrier)");
    for (unsigned i = 0; i < n->mesh->n_participants; i++)
        if (is(&n->mesh->participants[i], "free"))
            to_peer(g, n, &n->mesh->participants[i]);
}

/* There is nobody to be seen behind the input or output. */
static void at_its_end(why_graph *g, why_node *n, const proc_target *t, const char *path, bool input)
{
    why_root *r = root(g, input ? WHY_INPUT : WHY_DOWNSTREAM, n, NULL);
    r->target = t->kind;
    if (t->kind == PROC_PIPE)
        snprintf(r->detail, sizeof r->detail, "nobody who can be seen holds the other end of %s", path);
    else if (t->kind == PROC_TERMINAL)
        snprintf(r->detail, sizeof r->detail, "the terminal %s %s", path,
                 input ? "is silent" : "takes nothing (Ctrl-S?)");
    else
        snprintf(r->detail, sizeof r->detail, "%s %s", *path ? path : "what it is cannot be seen, and it",
                 input ? "gives nothing" : "takes nothing");
    end(n, r);
}

static void waits_for_pipe(why_graph *g, why_node *n, why_purpose purpose)
{
    const bool input = purpose == TO_WRITE;
    const proc_target t = proc_target_of(n->participant->pid, n->participant->fd);
    char path[PROC_PATH_MAX];
    text_clean(path, sizeof path, t.kind == PROC_NOTHING ? "" : t.path);
    snprintf(n->edge, sizeof n->edge, "waits for its %s%s%s", input ? "input" : "output", *path ? ", " : "", path);
    if (t.kind != PROC_PIPE || !to_other_end(g, n, &t, purpose))
        at_its_end(g, n, &t, path, input);
}

static void waits_for_command(why_graph *g, why_node *n)
{
    static const proc_target no_pipe = {.kind = PROC_NOTHING};
    proc command;
    snprintf(n->edge, sizeof n->edge, "waits for its command to end");
    if (proc_look(n->participant->command, &command)) {
        edge(n, at_process(g, n, &command, TO_END, &no_pipe));
    } else if (!proc_readable()) {
        why_root *r = root(g, WHY_COMMAND, n, NULL);
        snprintf(r->detail, sizeof r->detail, "which cannot be seen");
        end(n, r);
    }
}

/* It says that it works.  What it does outside of the mesh nobody knows; that it gets on is looked at. */
static void works(why_graph *g, why_node *n, const proc *self)
{
    snprintf(n->edge, sizeof n->edge, "works, and gets nowhere");
    why_root *r = root(g, n->participant->role == 'p' ? WHY_INPUT : WHY_DOWNSTREAM, n, self);
    snprintf(r->detail, sizeof r->detail, "%s", does(self, PROC_UNKNOWN));
    r->look = true;
    r->work = proc_has_done(self->pid);
    end(n, r);
}

static void from_live(why_graph *g, why_node *n)
{
    const mpp_participant *p = n->participant;
    proc self = {.pid = p->pid};
    const bool seen = proc_look(p->pid, &self); /* or it has just left, or /proc does not show it */
    if (self.state == 'T' || self.state == 't') {
        held_still(g, n, &self);
        return;
    }
    if (n->waited_ns < g->patience || (!seen && p->pid > 0 && proc_readable()))
        return;
    switch (p->doing) {
    case MPP_WAITING_SPACE:
        waits_for_space(g, n);
        break;
    case MPP_WAITING_DATA:
        waits_for_data(g, n);
        break;
    case MPP_WAITING_START:
        waits_for_start(g, n);
        break;
    case MPP_WAITING_PEERS:
        waits_for_peers(g, n);
        break;
    case MPP_READING_INPUT:
        waits_for_pipe(g, n, TO_WRITE);
        break;
    case MPP_WRITING_OUTPUT:
        waits_for_pipe(g, n, TO_READ);
        break;
    case MPP_WAITING_COMMAND:
        waits_for_command(g, n);
        break;
    default:
        if (seen)
            works(g, n, &self);
    }
}

static void from_participant(why_graph *g, why_node *n)
{
    if (is(n->participant, "free"))
        end(n, root(g, WHY_MISSING, n, NULL));
    else if (is(n->participant, "dead"))
        end(n, root(g, WHY_DEAD, n, NULL));
    else if (n->participant->activity)
        from_live(g, n);
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
    why_root *r = add(&g->roots, cli_must(calloc(1, sizeof *r)));
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
        while (n->stuck && !n->root)
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
    proc p;
    r->moving = now.all != r->work.all || (proc_look(r->pid, &p) && p.state == 'R');
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
        n->reached = n->stuck && n->participant && !is(n->participant, "free");
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
        if (p->activity || is(p, "dead"))
            at_participant(g, s, p);
    }
    for (unsigned i = 0; i < g->nodes.n; i++) {
        why_node *n = g->nodes.at[i];
        (n->participant ? from_participant : from_process)(g, n);
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

why_world *world_make(void)
{
    return cli_must(calloc(1, sizeof(why_world)));
}

void world_free(why_world **wp)
{
    why_world *w = *wp;
    *wp = NULL;
    for (unsigned i = 0; i < w->meshes.n; i++) {
        mpp_snapshot *s = w->meshes.at[i];
        mpp_snapshot_free(&s);
    }
    free(w->meshes.at);
    proc_table_free(&w->table);
    free(w);
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
