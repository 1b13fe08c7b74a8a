#include "why/edges.h"

#include "common/text.h"
#include "mpp-look.h"
#include "why/pipes.h"

#include <string.h>

/* A peer that it waits for. */
static void to_peer(why_graph *g, why_node *n, const mpp_participant *peer)
{
    if (peer)
        graph_edge(n, graph_participant(g, n->mesh, peer));
}

/* A consumer that waits for data although some is there: it is of a stream that it does not read now.  (Of one that
 * came a moment ago it does not know yet: that shows when it is looked at again.) */
static bool unread_mate(const why_graph *g, const mpp_snapshot *s, const mpp_channel *ch,
                        const mpp_participant *consumer)
{
    return consumer && consumer->state == MPP_PLACE_LIVE && consumer->doing == MPP_WAITING_DATA && ch->awaited &&
           ch->fill > 0 && s->lanes < s->n_streams && graph_age(s, consumer) >= graph_patience(g);
}

static void end_at_lane_mate(why_graph *g, why_node *n, const mpp_channel *ch, const mpp_participant *consumer)
{
    proc self;
    const bool seen = proc_read(consumer->pid, &self);
    why_root *r = graph_root_for(g, WHY_LANE_MATE, graph_participant(g, n->mesh, consumer), seen ? &self : NULL);
    r->head_stream = ch->head;
    r->asked_stream = ch->asked;
    if (seen)
        graph_look_twice(r, &self);
    graph_end(n, r);
}

static void follow_space(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    const mpp_participant *p = n->participant;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *ch = &s->channels[i];
        const mpp_participant *here = graph_slot(s, ch->lane, 'p', ch->producer);
        if (ch->producer != p->index || !ch->wanted || !here || here->pid != p->pid || here->doing != p->doing)
            continue;
        const mpp_participant *peer = graph_slot(s, ch->lane, 'c', ch->consumer);
        char fill[TEXT_CELL], size[TEXT_CELL];
        text_bytes(fill, ch->fill);
        text_bytes(size, s->ring_size);
        snprintf(n->edge, sizeof n->edge, "waits for space on %u->%u (%.16s of %.16s unread)", ch->producer,
                 ch->consumer, fill, size);
        if (unread_mate(g, s, ch, peer))
            end_at_lane_mate(g, n, ch, peer);
        to_peer(g, n, peer);
    }
}

/* Does the consumer wait for data there?  The lanes of one process wait together. */
static bool awaits(const mpp_snapshot *s, const mpp_channel *ch, const mpp_participant *consumer, bool needed)
{
    const mpp_participant *here = graph_slot(s, ch->lane, 'c', ch->consumer);
    return ch->consumer == consumer->index && (needed ? ch->needed : ch->awaited) && here &&
           here->pid == consumer->pid && here->doing == consumer->doing;
}

static void follow_data(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    bool needs = false, awaited[MPP_PARTICIPANTS_MAX] = {false};
    unsigned last = 0, producers = 0;
    const mpp_channel *behind_another = NULL;
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
        if (unread_mate(g, s, ch, n->participant))
            behind_another = ch; /* whatever its producer does */
        else
            to_peer(g, n, graph_slot(s, ch->lane, 'p', last));
    }
    if (behind_another && (needs || n->edges.n == 0))
        end_at_lane_mate(g, n, behind_another, n->participant);
    if (producers == 1)
        snprintf(n->edge, sizeof n->edge, "waits for data of producer %u", last);
    else
        snprintf(n->edge, sizeof n->edge, "waits for data of %s%u producers", needs ? "" : "any of ", producers);
}

/* One for all of a mesh. */
static why_root *idle_root(why_graph *g, why_node *n)
{
    for (unsigned i = 0; i < graph_n_roots(g); i++) {
        why_root *r = graph_root(g, i);
        if (r->class == WHY_IDLE && r->subject->mesh == n->mesh)
            return r;
    }
    return graph_root_for(g, WHY_IDLE, n, NULL);
}

/* Nobody asks: nobody has come, or who has come cannot; else who is there may ask later. */
static void follow_start(why_graph *g, why_node *n)
{
    const mpp_snapshot *s = n->mesh;
    snprintf(n->edge, sizeof n->edge, "waits to be asked");
    for (unsigned j = 0; j < s->consumers; j++) {
        const mpp_participant *consumer = graph_slot(s, n->participant->lane, 'c', j);
        if (consumer && (consumer->state == MPP_PLACE_LIVE || consumer->state == MPP_PLACE_DEAD))
            to_peer(g, n, consumer);
    }
    if (n->edges.n == 0)
        graph_end(n, idle_root(g, n));
}

static void follow_peers(why_graph *g, why_node *n)
{
    snprintf(n->edge, sizeof n->edge, "waits for everybody to attach (--barrier)");
    for (unsigned i = 0; i < n->mesh->n_participants; i++)
        if (n->mesh->participants[i].state == MPP_PLACE_FREE)
            to_peer(g, n, &n->mesh->participants[i]);
}

static void follow_command(why_graph *g, why_node *n)
{
    static const proc_target no_pipe = {.kind = PROC_NOTHING};
    proc command;
    snprintf(n->edge, sizeof n->edge, "waits for its command to end");
    if (proc_read(n->participant->command, &command)) {
        graph_edge(n, graph_process(g, n, &command, TO_END, &no_pipe));
    } else if (!proc_readable()) {
        why_root *r = graph_root_for(g, WHY_COMMAND, n, NULL);
        snprintf(r->detail, sizeof r->detail, "which cannot be seen");
        graph_end(n, r);
    }
}

/* It says that it works.  What it does outside of the mesh nobody knows; that it gets on is looked at. */
static void end_at_work(why_graph *g, why_node *n, const proc *self)
{
    snprintf(n->edge, sizeof n->edge, "works, and gets nowhere");
    why_root *r = graph_root_for(g, n->participant->role == 'p' ? WHY_INPUT : WHY_DOWNSTREAM, n, self);
    r->served = pipes_say_deed(r->detail, sizeof r->detail, self, proc_waits(self->pid));
    graph_look_twice(r, self);
    graph_end(n, r);
}

static void from_live(why_graph *g, why_node *n)
{
    const mpp_participant *p = n->participant;
    proc self = {.pid = p->pid};
    const bool seen = proc_read(p->pid, &self); /* or it has just left, or /proc does not show it */
    if (self.state == 'T' || self.state == 't') {
        pipes_end_at_held(g, n, &self);
        return;
    }
    if (n->waited_ns < graph_patience(g) || (!seen && p->pid > 0 && proc_readable()))
        return;
    switch (p->doing) {
    case MPP_WAITING_SPACE:
        follow_space(g, n);
        break;
    case MPP_WAITING_DATA:
        follow_data(g, n);
        break;
    case MPP_WAITING_START:
        follow_start(g, n);
        break;
    case MPP_WAITING_PEERS:
        follow_peers(g, n);
        break;
    case MPP_READING_INPUT:
        pipes_from(g, n, TO_WRITE);
        break;
    case MPP_WRITING_OUTPUT:
        pipes_from(g, n, TO_READ);
        break;
    case MPP_WAITING_COMMAND:
        follow_command(g, n);
        break;
    default:
        if (seen)
            end_at_work(g, n, &self);
    }
}

static void from_participant(why_graph *g, why_node *n)
{
    if (n->participant->state == MPP_PLACE_FREE)
        graph_end(n, graph_root_for(g, WHY_MISSING, n, NULL));
    else if (n->participant->state == MPP_PLACE_DEAD)
        graph_end(n, graph_root_for(g, WHY_DEAD, n, NULL));
    else if (n->participant->state == MPP_PLACE_LIVE)
        from_live(g, n);
}

/* The nodes become more while they are gone through. */
void edges_follow(why_graph *g)
{
    for (unsigned i = 0; i < graph_n_nodes(g); i++) {
        why_node *n = graph_node(g, i);
        (n->participant ? from_participant : pipes_from_process)(g, n);
    }
}
