#include "stat/limit.h"

#include "common/text.h"
#include "mpp-look.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* ---- one life ----------------------------------------------------------------------------------- */

static bool is_of(const mpp_channel *c, const mpp_participant *p)
{
    return c->lane == p->lane && (p->role == 'p' ? c->producer : c->consumer) == p->index;
}

/* When something last came of one who could not say that it left. */
static uint64_t last_seen(const mpp_snapshot *s, const mpp_participant *p)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_channel *c = &s->channels[i];
        const uint64_t then = p->role == 'p' ? c->counters.last_publish : c->counters.last_release;
        if (is_of(c, p) && then > last)
            last = then;
    }
    return last;
}

static uint64_t life(const mpp_snapshot *s, const mpp_participant *p)
{
    const uint64_t begin = p->counters.attached, now = s->taken_ns > 0 ? (uint64_t)s->taken_ns : 0;
    uint64_t end = now;
    if (p->state != MPP_PLACE_LIVE)
        end = p->counters.left ? p->counters.left : last_seen(s, p);
    end = least(end, now);
    return begin > 0 && begin < end ? end - begin : 0;
}

/* What a wait is accounted to; LIMIT_WORK: it is none. */
static stat_limit_part part_of(unsigned doing)
{
    switch (doing) {
    case MPP_READING_INPUT:
        return LIMIT_INPUT;
    case MPP_WRITING_OUTPUT:
        return LIMIT_OUTPUT;
    case MPP_WAITING_COMMAND:
        return LIMIT_COMMAND;
    case MPP_WAITING_SPACE:
    case MPP_WAITING_DATA:
        return LIMIT_CHANNEL;
    default:
        return LIMIT_WORK;
    }
}

static bool not_begun(const mpp_participant *p)
{
    return p->state == MPP_PLACE_LIVE && (p->doing == MPP_WAITING_START || p->doing == MPP_WAITING_PEERS);
}

/* For how long the wait that goes on now has lasted: who sleeps accounts for it when it wakes. */
static uint64_t present(const mpp_snapshot *s, const mpp_participant *p)
{
    const bool since = p->state == MPP_PLACE_LIVE && p->since_ns > 0 && p->since_ns < s->taken_ns;
    return since ? (uint64_t)(s->taken_ns - p->since_ns) : 0;
}

/* Gives a part of what is left of a life. */
static void spend(stat_limit *l, stat_limit_part part, uint64_t ns, uint64_t *left)
{
    const uint64_t take = least(ns, *left);
    l->part_ns[part] += take;
    *left -= take;
}

/* false: it has not begun to live. */
static bool measure(const mpp_snapshot *s, const mpp_participant *p, stat_limit *l)
{
    const mpp_endpoint_counters *c = &p->counters;
    const uint64_t whole = life(s, p), asleep = sum(c->start_ns, not_begun(p) ? present(s, p) : 0);
    *l = (stat_limit){
        .role = p->role, .index = p->index, .lane = p->lane, .pid = p->pid, .live = p->state == MPP_PLACE_LIVE};
    if (asleep >= whole)
        return false;
    uint64_t left = l->life_ns = whole - asleep;
    spend(l, LIMIT_INPUT, c->input_ns, &left);
    spend(l, LIMIT_OUTPUT, c->output_ns, &left);
    spend(l, LIMIT_COMMAND, c->command_ns, &left);
    spend(l, LIMIT_CHANNEL, c->channel_ns, &left);
    const stat_limit_part now = part_of(p->doing);
    if (now != LIMIT_WORK)
        spend(l, now, present(s, p), &left);
    spend(l, LIMIT_WORK, left, &left);
    return true;
}

/* ---- all of them -------------------------------------------------------------------------------- */

/* One process that serves several lanes says the same in each of them. */
static bool is_told(const mpp_snapshot *s, unsigned number)
{
    const mpp_participant *p = &s->participants[number];
    const unsigned both = s->producers + s->consumers;
    for (unsigned i = number; both > 0 && i >= both;) {
        i -= both;
        const mpp_participant *q = &s->participants[i];
        if (q->role == p->role && q->index == p->index && q->pid == p->pid)
            return true;
    }
    return false;
}

/* How much of its life one did not wait for the others.  Who was there for less than half of the time cannot have
 * limited the others by all of its short life. */
static void score(stat_limit *l, int n)
{
    uint64_t longest = 0;
    for (int i = 0; i < n; i++)
        longest = l[i].life_ns > longest ? l[i].life_ns : longest;
    for (int i = 0; i < n; i++) {
        const uint64_t whole = l[i].life_ns > longest / 2 ? l[i].life_ns : longest / 2;
        l[i].weight = (double)(l[i].life_ns - l[i].part_ns[LIMIT_CHANNEL]) / (double)whole;
    }
}

static int by_weight(const void *a, const void *b)
{
    const stat_limit *p = a, *q = b;
    if (p->weight > q->weight || p->weight < q->weight)
        return p->weight > q->weight ? -1 : 1;
    if (p->life_ns != q->life_ns)
        return p->life_ns > q->life_ns ? -1 : 1;
    if (p->role != q->role)
        return p->role == 'p' ? -1 : 1;
    if (p->index != q->index)
        return p->index < q->index ? -1 : 1;
    return (p->lane > q->lane) - (p->lane < q->lane);
}

int stat_limit_take(const mpp_snapshot *s, stat_limit **limits)
{
    int n = 0;
    stat_limit *l = *limits = calloc((size_t)s->n_participants + 1, sizeof *l);
    if (!l)
        return -1;
    for (unsigned i = 0; i < s->n_participants; i++)
        if (!is_told(s, i) && measure(s, &s->participants[i], &l[n]))
            n++;
    score(l, n);
    qsort(l, (size_t)n, sizeof *l, by_weight);
    return n;
}

/* ---- text --------------------------------------------------------------------------------------- */

static unsigned percent(const stat_limit *l, stat_limit_part part)
{
    return (unsigned)(100.0 * (double)l->part_ns[part] / (double)l->life_ns + 0.5);
}

/* The greatest part but waiting for the others and `but`. */
static stat_limit_part greatest(const stat_limit *l, int but)
{
    stat_limit_part found = but == LIMIT_INPUT ? LIMIT_OUTPUT : LIMIT_INPUT;
    for (int i = 0; i < LIMIT_CHANNEL; i++)
        if (i != but && l->part_ns[i] > l->part_ns[found])
            found = (stat_limit_part)i;
    return found;
}

/* "producer 2's input 81 %", and the second part where that is more than a rest. */
static void add_limit(text_line *to, const stat_limit *l, bool with_lane)
{
    enum { WORTH_TELLING = 10 };
    static const char *const names[] = {"input", "output", "command", "own work"};
    const stat_limit_part first = greatest(l, -1), second = greatest(l, (int)first);
    text_add(to, "%s %u", text_role(l->role), l->index);
    if (with_lane)
        text_add(to, ".%u", l->lane);
    text_add(to, "'s %s %u %%", names[first], percent(l, first));
    if (percent(l, second) >= WORTH_TELLING)
        text_add(to, " and %s %u %%", names[second], percent(l, second));
}

/* Does anybody take part in several lanes with several processes?  Then an index alone does not say who. */
static bool lanes_matter(const stat_limit *l, int n)
{
    for (int i = 0; i < n; i++)
        if (l[i].lane > 0)
            return true;
    return false;
}

/* While somebody lives, those who have left limit nobody any more. */
static int forget_the_gone(stat_limit *l, int n)
{
    int live = 0;
    for (int i = 0; i < n; i++)
        if (l[i].live)
            l[live++] = l[i];
    return live ? live : n;
}

void stat_limit_text(const mpp_snapshot *s, char *out, size_t size, unsigned top)
{
    text_line to = {.at = out, .size = size};
    stat_limit *l;
    int n = stat_limit_take(s, &l);
    const bool with_lane = lanes_matter(l, n);
    *out = '\0';
    n = forget_the_gone(l, n);
    for (int i = 0; i < n && (unsigned)i < top && percent(&l[i], greatest(&l[i], -1)) > 0; i++) {
        text_add(&to, "%s", i ? ", " : "");
        add_limit(&to, &l[i], with_lane);
    }
    free(l);
}

/* ---- totals ------------------------------------------------------------------------------------- */

static bool is_counted(const mpp_counters *c)
{
    return c->records != UINT64_MAX && (c->records > 0 || c->bytes == 0);
}

static void add_channel(stat_totals *t, const mpp_counters *c)
{
    t->records = is_counted(c) ? sum(t->records, c->records) : UINT64_MAX;
    t->bytes = sum(t->bytes, c->bytes);
    t->frames = sum(t->frames, c->frames);
    t->dropped = sum(t->dropped, c->dropped);
}

/* A moment that lies in the future is none. */
static uint64_t moment(const mpp_snapshot *s, uint64_t ns)
{
    return s->taken_ns > 0 && ns <= (uint64_t)s->taken_ns ? ns : 0;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int64_t duration(const mpp_snapshot *s)
{
    uint64_t first = 0, last = 0;
    for (unsigned i = 0; i < s->n_channels; i++) {
        const mpp_counters *c = &s->channels[i].counters;
        const uint64_t begin = moment(s, c->first_publish);
        if (begin > 0 && (first == 0 || begin < first))
            first = begin;
        last = most(last, most(moment(s, c->last_publish), moment(s, c->last_release)));
    }
    return first > 0 && first < last ? (int64_t)(last - first) : 0;
}

/* From the participants: who waits for any of several channels has that in the counters of each of them. */
static void add_waits(stat_totals *t, const mpp_snapshot *s)
{
    for (unsigned i = 0; i < s->n_participants; i++) {
        stat_limit l;
        if (is_told(s, i) || !measure(s, &s->participants[i], &l))
            continue;
        uint64_t *ns = l.role == 'p' ? &t->space_ns : &t->data_ns;
        *ns = sum(*ns, l.part_ns[LIMIT_CHANNEL]);
    }
}

void stat_limit_totals(const mpp_snapshot *s, stat_totals *t)
{
    *t = (stat_totals){.duration_ns = duration(s)};
    for (unsigned i = 0; i < s->n_channels; i++)
        add_channel(t, &s->channels[i].counters);
    for (unsigned i = 0; i < s->n_shares; i++) {
        t->records = t->records == UINT64_MAX ? UINT64_MAX : sum(t->records, s->shares[i].counters.produced);
        t->bytes = sum(t->bytes, s->shares[i].counters.produced_bytes);
    }
    add_waits(t, s);
}
