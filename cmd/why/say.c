#include "why/say.h"
#include "mpp-look.h"

void say_who(text_line *t, const why_node *n, const mpp_snapshot *asked)
{
    const mpp_participant *p = n->participant;
    char label[TEXT_CELL];
    if (!p) {
        text_add(t, "`%s` (pid %d)", n->process.name, (int)n->process.pid);
        return;
    }
    text_clean(label, sizeof label, p->label);
    text_add(t, "%s %u", text_role(p->role), p->index);
    if (p->pid > 0 && p->state == MPP_PLACE_LIVE)
        text_add(t, " (pid %d%s%s)", (int)p->pid, *label ? ", " : "", label);
    if (n->mesh != asked)
        text_add(t, " of mesh %s", n->mesh->id);
}

void say_short(text_line *t, const why_node *n, const mpp_snapshot *asked)
{
    if (!n->participant) {
        text_add(t, "`%s`", n->process.name);
        return;
    }
    text_add(t, "%s %u", text_role(n->participant->role), n->participant->index);
    if (n->mesh != asked)
        text_add(t, " of mesh %s", n->mesh->id);
}

void indices_add(indices *set, unsigned index)
{
    if (index < MPP_PARTICIPANTS_MAX && !set->has[index]) {
        set->has[index] = true;
        set->n++;
    }
}

void say_indices(text_line *t, char role, const indices *set)
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
