#include "why/pipes.h"

#include "common/text.h"
#include "mpp-look.h"

#include <stdio.h>
#include <string.h>

static bool is_tool(const char *name)
{
    return strcmp(name, "mpp-produce") == 0 || strcmp(name, "mpp-consume") == 0;
}

static const mpp_participant *held_by(const mpp_snapshot *s, pid_t pid, char role)
{
    for (unsigned i = 0; i < s->n_participants; i++) {
        const mpp_participant *p = &s->participants[i];
        if (p->state == MPP_PLACE_LIVE && p->pid == pid && (!role || p->role == role))
            return p;
    }
    return NULL;
}

/* The participant, of any mesh, that a process holds: a tool that is to read a pipe is a producer. */
static why_node *as_participant(why_graph *g, pid_t pid, why_purpose purpose)
{
    const char role = purpose == TO_READ ? 'p' : purpose == TO_WRITE ? 'c' : 0;
    const mpp_participant *p = held_by(graph_asked(g), pid, role);
    if (p)
        return graph_participant(g, graph_asked(g), p);
    unsigned n;
    mpp_snapshot *const *meshes = world_meshes(graph_world(g), &n);
    for (unsigned i = 0; i < n; i++)
        if ((p = held_by(meshes[i], pid, role)))
            return graph_participant(g, meshes[i], p);
    return NULL;
}

/* Edges to all who hold the other end of a pipe: any of them may do what we wait for.  false: there is nobody. */
static bool to_other_end(why_graph *g, why_node *n, const proc_target *pipe, why_purpose purpose)
{
    unsigned ends;
    const proc_end *e = proc_table_ends(world_table(graph_world(g)), pipe, &ends);
    const pid_t self = n->participant ? n->participant->pid : n->process.pid;
    pid_t last = 0;
    n->any = true;
    for (unsigned i = 0; i < ends; i++) {
        proc p;
        if (!(purpose == TO_READ ? e[i].reads : e[i].writes) || e[i].pid == self || e[i].pid == last ||
            !proc_read(e[i].pid, &p))
            continue;
        why_node *next = as_participant(g, p.pid, purpose);
        /* A guard keeps a pipe open, and --all's supervisor does; neither uses it. */
        if (!next && (strcmp(p.name, "mpp-guard") == 0 || is_tool(p.name)))
            continue;
        graph_edge(n, next ? next : graph_process(g, n, &p, purpose, pipe));
        last = p.pid;
    }
    return n->edges.n > 0;
}

/* It is here that it ends: nobody else is to be seen behind this process. */
static void end_at_process(why_graph *g, why_node *n, const char *does, bool served)
{
    why_node *subject = graph_subject(n);
    const mpp_activity doing = (mpp_activity)subject->participant->doing;
    why_root *r = graph_root_for(g,
                                 doing == MPP_READING_INPUT     ? WHY_INPUT
                                 : doing == MPP_WAITING_COMMAND ? WHY_COMMAND
                                                                : WHY_DOWNSTREAM,
                                 subject, &n->process);
    if (!r->second_look) { /* else it was come to before, by another way */
        snprintf(r->detail, sizeof r->detail, "%s", does);
        r->served = served;
        r->age_ns = n->process.age_ns;
    }
    graph_look_twice(r, &n->process);
    graph_end(n, r);
}

/* What a descriptor of `who` is; of a file that may be a server's, and of one that a thread of a process is at, also
 * where that waits: "/mnt/f (nfs4 at /mnt, nfs_wait_on_request)" */
static void say_target(char *out, size_t size, const proc_target *t, pid_t who, bool thread)
{
    char path[PROC_PATH_MAX], mount[PROC_MOUNT_MAX], where[64] = "";
    text_clean(path, sizeof path, t->path);
    text_clean(mount, sizeof mount, t->mount);
    if (*mount || thread)
        proc_where(who, where, sizeof where);
    if (*mount || *where)
        snprintf(out, size, "%s (%s%s%s)", path, mount, *mount && *where ? ", " : "", where);
    else
        snprintf(out, size, "%s", path);
}

static void say_where(char *out, size_t size, const char *does, const proc *p)
{
    char where[64];
    const bool known = proc_where(p->pid, where, sizeof where);
    snprintf(out, size, known ? "%s (%s)" : "%s", does, where);
}

bool pipes_say_deed(char *out, size_t size, const proc *p, proc_wait w)
{
    const bool at_file = w.kind == PROC_READS || w.kind == PROC_WRITES;
    const proc_target t = at_file ? proc_target_of(p->pid, w.fd) : (proc_target){.kind = PROC_NOTHING};
    char target[2 * PROC_PATH_MAX] = "something";
    if (t.kind != PROC_NOTHING)
        say_target(target, sizeof target, &t, p->pid, false);
    if (p->execs)
        snprintf(out, size, "becomes another program (execve), and a file that is closed on the way holds it up");
    else if (at_file)
        snprintf(out, size, "%s %s%s", w.kind == PROC_READS ? "waits to read" : "waits to write", target,
                 p->state == 'D' ? " (D)" : "");
    else if (w.kind == PROC_FILES && p->state != 'R')
        say_where(out, size, "waits to open or to close a file", p);
    else if (p->state == 'D')
        say_where(out, size, "is blocked in the kernel, in state D", p);
    else
        snprintf(out, size, "%s",
                 p->state == 'R'         ? "is busy"
                 : w.kind == PROC_SLEEPS ? "is asleep"
                                         : "waits for something else");
    return *t.mount != 0;
}

/* What a process reads or writes, when it is not the pipe that we wait for. */
static void to_target(why_graph *g, why_node *n, proc_wait w)
{
    const proc_target t = proc_target_of(n->process.pid, w.fd);
    if (t.kind == PROC_PIPE && t.ino == n->pipe.ino && t.dev == n->pipe.dev)
        return; /* it does what we wait for */
    const bool served = pipes_say_deed(n->edge, sizeof n->edge, &n->process, w);
    if (t.kind != PROC_PIPE || !to_other_end(g, n, &t, w.kind == PROC_READS ? TO_WRITE : TO_READ))
        end_at_process(g, n, n->edge, served);
}

static bool holds(proc_table *t, const proc_target *pipe, pid_t pid)
{
    unsigned n;
    const proc_end *e = proc_table_ends(t, pipe, &n);
    for (unsigned i = 0; i < n; i++)
        if (e[i].pid == pid)
            return true;
    return false;
}

/* Has it started somebody who has the pipe, too? */
static bool shares(proc_table *t, const why_node *n)
{
    for (unsigned i = 0; i < t->n_all; i++)
        if (t->all[i].parent == n->process.pid && holds(t, &n->pipe, t->all[i].pid))
            return true;
    return false;
}

/* A shell that waits for what it has started: those of them that have the pipe, if any has. */
static void to_children(why_graph *g, why_node *n)
{
    proc_table *t = world_table(graph_world(g));
    const bool with_pipe = shares(t, n);
    n->any = true;
    snprintf(n->edge, sizeof n->edge, "waits for what it has started");
    for (unsigned i = 0; i < t->n_all; i++) {
        const proc *child = &t->all[i];
        if (child->parent != n->process.pid || (with_pipe && !holds(t, &n->pipe, child->pid)))
            continue;
        why_node *next = as_participant(g, child->pid, n->purpose);
        graph_edge(n, next ? next : graph_process(g, n, child, n->purpose, &n->pipe));
    }
    if (n->edges.n == 0 &&
        n->purpose == TO_WRITE) /* else: it came, or went, since the table was made: a sign of life */
        end_at_process(g, n, "waits for a child", false);
}

void pipes_end_at_held(why_graph *g, why_node *n, const proc *p)
{
    why_root *r = graph_root_for(g, p->state == 'T' ? WHY_STOPPED : WHY_TRACED, graph_subject(n), p);
    proc tracer;
    if (p->state == 't' && proc_read(proc_tracer(p->pid), &tracer))
        snprintf(r->detail, sizeof r->detail, "`%s` (pid %d)", tracer.name, (int)tracer.pid);
    graph_end(n, r);
}

enum { OTHER_PIPES_MAX = 64 };

/* Who waits for any of several things, with poll(2) or in threads, may wait for a pipe on its other side: if nobody
 * serves that, it is the likely one. */
static void to_its_other_pipes(why_graph *g, why_node *n)
{
    proc_end ends[OTHER_PIPES_MAX];
    const unsigned n_ends = proc_table_of(world_table(graph_world(g)), n->process.pid, ends, OTHER_PIPES_MAX);
    n->leads_on = true;
    for (unsigned i = 0; i < n_ends; i++) {
        const proc_end *e = &ends[i];
        if ((e->reads && e->writes) || (e->ino == n->pipe.ino && e->dev == n->pipe.dev))
            continue;
        const proc_target pipe = proc_target_of(e->pid, e->fd);
        if ((n->purpose == TO_READ ? e->writes : e->reads) && pipe.kind == PROC_PIPE)
            to_other_end(g, n, &pipe, n->purpose);
    }
}

void pipes_from_process(why_graph *g, why_node *n)
{
    const proc *p = &n->process;
    if (p->state == 'Z' || p->state == 'X')
        return;
    if (p->state == 'T' || p->state == 't') {
        pipes_end_at_held(g, n, p);
        return;
    }
    /* What was started a moment ago is a sign of life of whoever started it: a loop that reads a record in each round,
     * perhaps slowly.  One that writes has written nothing for that long, or its producer would have heard. */
    if (p->age_ns < graph_patience(g)) {
        if (n->purpose == TO_WRITE)
            end_at_process(g, n, "was started a moment ago", false);
        return;
    }
    const proc_wait w = proc_waits(p->pid);
    if (w.kind == PROC_CHILD || (w.kind == PROC_UNKNOWN && shares(world_table(graph_world(g)), n))) {
        to_children(g, n);
    } else if (w.kind == PROC_READS || w.kind == PROC_WRITES) {
        to_target(g, n, w);
    } else {
        pipes_say_deed(n->edge, sizeof n->edge, p, w);
        end_at_process(g, n, n->edge, false);
        if (w.kind == PROC_UNKNOWN && n->purpose != TO_END)
            to_its_other_pipes(g, n);
    }
}

/* There is nobody to be seen behind the input or output. */
static void end_at_target(why_graph *g, why_node *n, const proc_target *t, const char *what, bool input)
{
    why_root *r = graph_root_for(g, input ? WHY_INPUT : WHY_DOWNSTREAM, n, NULL);
    r->target = t->kind;
    r->served = *t->mount != 0;
    if (t->kind == PROC_PIPE)
        snprintf(r->detail, sizeof r->detail, "nobody who can be seen holds the other end of %s", what);
    else if (t->kind == PROC_TERMINAL)
        snprintf(r->detail, sizeof r->detail, "the terminal %s %s", what,
                 input ? "is silent" : "takes nothing (Ctrl-S?)");
    else
        snprintf(r->detail, sizeof r->detail, "%s %s", *what ? what : "what it is cannot be seen, and it",
                 input ? "gives nothing" : "takes nothing");
    graph_end(n, r);
}

/* What a participant waits for, in words, too. A call that may sleep is made by a thread of its own, and the
 * descriptor that it has published is that by which it hears of the end of the call. */
static proc_target awaited(const mpp_participant *p, char *what, size_t size)
{
    proc_target t = proc_target_of(p->pid, p->fd);
    const bool of_thread = text_starts(t.path, "anon_inode:");
    const pid_t thread = of_thread ? proc_thread_at_file(p->pid) : 0;
    if (thread) {
        const proc_wait w = proc_waits(thread);
        t = w.kind == PROC_FILES ? (proc_target){.kind = PROC_FILE, .path = "a file that it opens or closes"}
                                 : proc_target_of(thread, w.fd);
    }
    *what = 0;
    if (t.kind != PROC_NOTHING)
        say_target(what, size, &t, thread ? thread : p->pid, thread != 0);
    return t;
}

void pipes_from(why_graph *g, why_node *n, why_purpose purpose)
{
    const bool input = purpose == TO_WRITE;
    char what[MPP_TEXT_MAX / 2];
    const proc_target t = awaited(n->participant, what, sizeof what);
    snprintf(n->edge, sizeof n->edge, "waits for its %s%s%s", input ? "input" : "output", *what ? ", " : "", what);
    if (t.kind != PROC_PIPE || !to_other_end(g, n, &t, purpose))
        end_at_target(g, n, &t, what, input);
}
