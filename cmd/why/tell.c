#include "why/tell.h"

#include "common/cli.h"
#include "common/text.h"
#include "mpp-look.h"
#include "why/evidence.h"
#include "why/say.h"

#include <stdlib.h>
#include <string.h>

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
        if (p->role == first->role && p->lane == first->lane && p->state == MPP_PLACE_FREE)
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
        if (p->role == 'c' && p->lane == lane && p->state != MPP_PLACE_FREE)
            indices_add(p->state == MPP_PLACE_LIVE ? &attached : &left, p->index);
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
    crowd c = evidence_crowd(g, r);
    v->for_ns = evidence_age(r, &c);
    tell_text(v, r, asked);
    if (r->class == WHY_CYCLE)
        evidence_add_circle(v, r, asked);
    evidence_add_crowd(v, &c, r, asked);
    free(c.at);
}
