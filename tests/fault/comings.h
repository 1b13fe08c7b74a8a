/* comings.h - every way of coming to a mesh, being in it and going, with what the documents promise of each
 *
 * What is expected follows, by the rules below, from what ends.h says of an end; they are those of mpp.h, mpp(7) and
 * lib/README.md, and know nothing of what a segment holds.  An outcome is one word: "joins" (it takes part), "ends
 * well" (a producer of which nothing is wanted), or the class of the error that it is told, by attaching or by its
 * first calls. */
#ifndef COMINGS_H
#define COMINGS_H

#include "ends.h"
#include "mpp-look.h"

enum { PATIENCE_MS = 2000 };

typedef enum verdict {
    NONE, /* there is no such cell */
    JOINS,
    ENDS_WELL,
    DONE,
    REMOVES,
    LEAVES_IT,
    STATE_NEW,
    STATE_LIVE,
    STATE_CLOSED,
    STATE_FAILED,
    LATE, /* it waited for what had come already */
    TOLD, /* + mpp_status */
} verdict;

static const char *const words[] = {"-",
                                    "joins",
                                    "ends well",
                                    "done",
                                    "removes it",
                                    "leaves it",
                                    "new",
                                    "live",
                                    "closed",
                                    "failed",
                                    "waits",
                                    "told: done",
                                    "told: error",
                                    "told: usage",
                                    "told: failed",
                                    "told: died",
                                    "told: time-out",
                                    "told: no mesh",
                                    "told: stalled",
                                    "told: corrupt"};

/* ---- what to expect ----------------------------------------------------------------------------- */

/* Which index one comes to. */
typedef enum which { NEVER, USED, HELD, DEAD, BEYOND, ANY } which;

static const char *slots_of(const end *e, char role)
{
    return role == 'p' ? e->p : e->c;
}

static bool spectates(const end *e, char role)
{
    return role == 'c' && e->buffer != MPP_BOUNDED;
}

static int index_of(const end *e, char role, which w)
{
    const char *slots = slots_of(e, role);
    const char *at = w < BEYOND ? strchr(slots, "FDLX"[w]) : NULL;
    return w == BEYOND ? SIDE : w == ANY ? MPP_INDEX_ANY : at ? (int)(at - slots) : -2;
}

static bool somebody(const end *e)
{
    return strchr(e->p, 'L') || strchr(e->c, 'L');
}

/* By name one finds the mesh that has the name now. */
static const end *found_by(const end *e, bool by_name)
{
    return by_name && e->again ? &ends[0] : e;
}

static verdict told(const end *e)
{
    return e->cause ? TOLD + e->cause : JOINS;
}

/* Does nobody want anything of a producer that comes now? */
static bool unwanted(const end *e)
{
    return e->closed || (e->owes && !e->cause);
}

static bool is_over(const end *e)
{
    return e->cause || e->closed;
}

/* Whoever may take part. */
static verdict joins(const end *e, char role)
{
    if (role == 'p' && unwanted(e))
        return ENDS_WELL;
    return e->closed ? TOLD + MPP_S_NO_MESH : told(e);
}

static verdict attaches(const end *e, char role, which w)
{
    const bool readers = spectates(e, role);
    if (w == BEYOND)
        return TOLD + MPP_S_USAGE;
    if (w == NEVER || (w == ANY && strchr(slots_of(e, role), 'F')))
        return joins(e, role);
    if (w == DEAD && !readers)
        return TOLD + MPP_S_DIED;
    if (e->closed || (e->cause && !e->unnoticed))
        return joins(e, role);
    if (role == 'c' && ((w == USED && e->owes) || (readers && w != HELD)))
        return joins(e, role);
    return TOLD + MPP_S_USAGE;
}

/* ---- attaching ---------------------------------------------------------------------------------- */

static verdict cause_of(const mpp_mesh *m)
{
    mpp_error cause = {.status = MPP_S_DONE};
    mpp_mesh_cause(m, &cause);
    return TOLD + cause.status;
}

static verdict refused(char role, const mpp_error *err)
{
    return role == 'p' && err->status == MPP_S_DONE ? ENDS_WELL : TOLD + err->status;
}

static verdict producer_says(const mpp_mesh *m, mpp_outcome outcome)
{
    return outcome == MPP_GONE ? cause_of(m) : outcome == MPP_CLOSED ? ENDS_WELL : JOINS;
}

/* Ask, and take what there is: all that was published comes before the cause. */
static verdict consumer_reads(const mpp_mesh *m, mpp_consumer *c)
{
    mpp_batch b;
    mpp_outcome outcome = mpp_start(c, 0);
    if (outcome == MPP_OK)
        while ((outcome = mpp_next(c, 0, MPP_PRODUCER_ANY, &b)) == MPP_OK)
            mpp_release(c, &b);
    return outcome == MPP_GONE ? cause_of(m) : JOINS;
}

typedef struct guest {
    mpp_mesh *mesh;
    mpp_producer *p;
    mpp_consumer *c;
} guest;

/* true: attached; else *v. */
static bool guest_comes(guest *g, char role, int index, verdict *v)
{
    mpp_error err = {.status = MPP_S_DONE};
    const mpp_attach_options o = {.index = index, .runs = 1};
    const int got =
        role == 'p' ? mpp_producer_attach(g->mesh, &o, &g->p, &err) : mpp_consumer_attach(g->mesh, &o, &g->c, &err);
    *v = got < 0 ? refused(role, &err) : JOINS;
    return got == 0;
}

static verdict guest_takes_part(const guest *g)
{
    return g->p ? producer_says(g->mesh, mpp_service(g->p)) : consumer_reads(g->mesh, g->c);
}

static void guest_goes(guest *g)
{
    mpp_producer_detach(&g->p);
    mpp_consumer_detach(&g->c);
}

/* ---- first calls -------------------------------------------------------------------------------- */

/* What is over needs no waiting; what is not is not waited for. */
static int64_t deadline(const end *e)
{
    return mpp_now() + (is_over(e) ? PATIENCE_MS : 1) * INT64_C(1000000);
}

static verdict first_produces(const end *e, const guest *g)
{
    (void)e;
    const mpp_outcome outcome = mpp_try_produce(g->p, 0, "record", 6);
    return outcome == MPP_GONE ? cause_of(g->mesh) : producer_says(g->mesh, mpp_service(g->p));
}

static unsigned begun;

static int begin(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)arg, (void)stream, (void)run, (void)err;
    begun++;
    return 0;
}

/* Where nothing is wanted, nothing is started. */
static verdict first_begins(const end *e, const guest *g)
{
    begun = 0;
    mpp_register(g->p, 0, &(mpp_source){.start = begin});
    mpp_begin(g->p, 0);
    const verdict v = producer_says(g->mesh, mpp_service(g->p));
    return begun == (unwanted(e) || e->cause ? 0 : 1) ? v : DONE;
}

static verdict first_waits(const end *e, const guest *g)
{
    if (mpp_wait(g->p, NULL, MPP_COMPUTING, NULL, 0, deadline(e)) == 0 && is_over(e))
        return LATE;
    return producer_says(g->mesh, mpp_service(g->p));
}

static verdict first_barrier(const end *e, const guest *g)
{
    mpp_outcome outcome;
    while ((outcome = mpp_barrier(g->p, g->c)) == MPP_WOULD_BLOCK)
        if (mpp_wait(g->p, g->c, MPP_COMPUTING, NULL, 0, deadline(e)) == 0)
            return is_over(e) ? LATE : JOINS;
    return outcome == MPP_GONE ? cause_of(g->mesh) : guest_takes_part(g);
}

/* In a mesh that has failed as well it may ask; not in one that was called off. */
static verdict first_starts(const end *e, const guest *g)
{
    const mpp_outcome outcome = mpp_start(g->c, 0), wanted = e->final || e->tied ? MPP_GONE : MPP_OK;
    mpp_batch b;
    if (outcome != wanted)
        return outcome == MPP_GONE ? DONE : outcome == MPP_OK ? JOINS : LATE;
    return outcome == MPP_GONE || mpp_next(g->c, 0, 2, &b) == MPP_GONE ? cause_of(g->mesh) : JOINS;
}

static verdict first_reads(const end *e, const guest *g)
{
    mpp_batch b;
    (void)e;
    return mpp_next(g->c, 0, MPP_PRODUCER_ANY, &b) == MPP_GONE ? cause_of(g->mesh) : JOINS;
}

/* Enough of what was not asked for is nothing. */
static verdict first_cancels(const end *e, const guest *g)
{
    (void)e;
    mpp_cancel(g->c, 0);
    return consumer_reads(g->mesh, g->c);
}

/* ---- asleep when the end comes ------------------------------------------------------------------ */

static verdict sleeps(const mpp_mesh *m, mpp_producer *p, mpp_consumer *c, bool barrier)
{
    const int64_t until = mpp_now() + 2 * PATIENCE_MS * INT64_C(1000000);
    mpp_batch b;
    if (c && !barrier)
        mpp_start(c, 0);
    while (mpp_now() < until) {
        mpp_outcome outcome = barrier ? mpp_barrier(p, c) : MPP_OK;
        if (outcome == MPP_OK)
            outcome = p ? mpp_service(p) : mpp_next(c, 0, SIDE - 1, &b); /* who never came */
        if (outcome == MPP_GONE)
            return cause_of(m);
        if (outcome == MPP_CLOSED)
            return p ? ENDS_WELL : DONE;
        if (outcome == MPP_OK && c)
            mpp_release(c, &b);
        else
            mpp_wait(p, c, MPP_COMPUTING, NULL, 0, until);
    }
    return LATE;
}

static int sleeper(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    mpp_producer *p = d->role == 'p' ? harness_producer(m, d->index, 1) : NULL;
    mpp_consumer *c = d->role == 'c' ? harness_consumer(m, d->index) : NULL;
    say(d, (unsigned char)sleeps(m, p, c, d->state != 0));
    stay(d);
    mpp_producer_detach(&p);
    mpp_consumer_detach(&c);
    mpp_mesh_close(&m);
    return 0;
}

static void await_asleep(const scenario *s, char role, int index)
{
    const layout_slot *slot = mesh_endpoint_slot(s->held, 0, role, (unsigned)index);
    for (unsigned tries = 0; tries < 20000 && !load_relaxed(&slot->armed); tries++)
        usleep(100);
}

/* ---- comings ------------------------------------------------------------------------------------ */

typedef struct coming coming;
struct coming {
    const char *name;
    verdict (*expected)(const coming *k, const end *e);
    verdict (*done)(const coming *k, scenario *s, guest *g);
    char role;
    which which;
    bool by_name; /* it opens the mesh after the end; else it did before */
    verdict (*first)(const end *e, const guest *g);
    bool barrier;
};

static verdict expect_attach(const coming *k, const end *e)
{
    const end *to = found_by(e, k->by_name);
    if (k->which < BEYOND && index_of(to, k->role, k->which) < 0)
        return NONE;
    if (k->first == first_barrier && e->owes && !e->cause)
        return JOINS; /* not over, and somebody is missing */
    return k->by_name && !to->state ? TOLD + MPP_S_NO_MESH : attaches(to, k->role, k->which);
}

static verdict do_attach(const coming *k, scenario *s, guest *g)
{
    verdict v;
    mpp_error err;
    const end *to = found_by(s->end, k->by_name);
    if (mpp_mesh_open(k->by_name ? s->id : "none", &g->mesh, &err) < 0 && k->by_name)
        return TOLD + err.status;
    if (!k->by_name)
        g->mesh = s->held;
    if (!guest_comes(g, k->role, index_of(to, k->role, k->which), &v))
        return v;
    return k->first ? k->first(to, g) : guest_takes_part(g);
}

/* It attaches and is killed; another comes to its place. */
static verdict expect_killed(const coming *k, const end *e)
{
    const end *to = found_by(e, true);
    if (!to->state || index_of(to, k->role, NEVER) < 0)
        return NONE;
    if (to->closed)
        return joins(to, k->role);
    return spectates(to, k->role) ? told(to) : TOLD + MPP_S_DIED;
}

static verdict do_killed(const coming *k, scenario *s, guest *g)
{
    verdict v;
    const int index = index_of(found_by(s->end, true), k->role, NEVER);
    killed(s, k->role, index);
    g->mesh = harness_open(s->id);
    return guest_comes(g, k->role, index, &v) ? guest_takes_part(g) : v;
}

/* What everybody is told who was there before.  A consumer that is there keeps a mesh from being over. */
static verdict expect_sleeper(const coming *k, const end *e)
{
    const bool comes_to_it = is_over(e) && !e->unnoticed && !e->owes && somebody(e);
    const bool hinders = k->role == 'c' && (e->closed || e->cause == MPP_S_TIMEOUT);
    return comes_to_it && !hinders && strchr(slots_of(e, k->role), 'F') ? joins(e, k->role) : NONE;
}

/* The end came when it slept: what it says was heard in main's loop. */
static verdict do_sleeper(const coming *k, scenario *s, guest *g)
{
    (void)k, (void)s, (void)g;
    return NONE;
}

static verdict expect_open(const coming *k, const end *e)
{
    (void)k;
    return e->state ? JOINS : TOLD + MPP_S_NO_MESH;
}

static verdict do_open(const coming *k, scenario *s, guest *g)
{
    mpp_error err = {.status = MPP_S_DONE};
    (void)k;
    return mpp_mesh_open(s->id, &g->mesh, &err) == 0 ? JOINS : TOLD + err.status;
}

static verdict expect_remove(const coming *k, const end *e)
{
    (void)k, (void)e;
    return DONE;
}

/* Also one that is not there; then nobody finds it. */
static verdict do_remove(const coming *k, scenario *s, guest *g)
{
    mpp_error err = {.status = MPP_S_DONE};
    (void)k, (void)g;
    if (mpp_mesh_remove(s->id, &err) < 0)
        return TOLD + err.status;
    return harness_try_open(s->id, &err) == MPP_S_NO_MESH ? DONE : LEAVES_IT;
}

static bool garbage(const end *e)
{
    return !somebody(e) && (e->closed || e->cause);
}

static verdict expect_gc(const coming *k, const end *e)
{
    const end *to = found_by(e, true);
    (void)k;
    return !to->state ? NONE : garbage(to) ? REMOVES : LEAVES_IT;
}

static verdict found_after(const scenario *s)
{
    mpp_error err;
    return harness_try_open(s->id, &err) == MPP_S_NO_MESH ? REMOVES : LEAVES_IT;
}

static verdict do_gc(const coming *k, scenario *s, guest *g)
{
    mpp_error err;
    (void)k, (void)g;
    return mpp_mesh_gc(NULL, NULL, &err) < 0 ? TOLD + err.status : found_after(s);
}

static verdict expect_free_tied(const coming *k, const end *e)
{
    const end *to = found_by(e, true);
    (void)k;
    return !to->state ? NONE : to->tied && !somebody(to) && !to->keep ? REMOVES : LEAVES_IT;
}

static verdict do_free_tied(const coming *k, scenario *s, guest *g)
{
    (void)k, (void)g;
    mpp_mesh_free_tied();
    return found_after(s);
}

static verdict state_called(const char *state)
{
    for (verdict v = STATE_NEW; v <= STATE_FAILED; v++)
        if (strcmp(words[v], state) == 0)
            return v;
    return NONE;
}

static verdict expect_snapshot(const coming *k, const end *e)
{
    (void)k;
    return e->state ? state_called(e->state) : TOLD + MPP_S_NO_MESH;
}

static verdict do_snapshot(const coming *k, scenario *s, guest *g)
{
    mpp_snapshot *shot;
    mpp_error err;
    (void)k, (void)g;
    if (mpp_snapshot_take(s->id, &shot, &err) < 0)
        return TOLD + err.status;
    const verdict v = state_called(mpp_mesh_state_text(shot->state));
    mpp_snapshot_free(&shot);
    return v;
}

static verdict expect_make(const coming *k, const end *e)
{
    (void)k;
    return e->state ? TOLD + MPP_S_ERROR : DONE;
}

static verdict do_make(const coming *k, scenario *s, guest *g)
{
    mpp_error err;
    (void)k;
    return mpp_mesh_create(&(mpp_mesh_options){.producers = 1, .consumers = 1, .ring_size = 64 << 10, .name = s->id},
                           &g->mesh, &err) < 0
               ? TOLD + err.status
               : DONE;
}

/* Who leaves a stream under way has failed; a consumer that does has enough. */
static verdict expect_leaves(const coming *k, const end *e)
{
    if (!strchr(slots_of(e, k->role), 'L'))
        return NONE;
    if (e->cause && (!e->unnoticed || k->role == 'p')) /* mpp_service() looks */
        return TOLD + e->cause;
    return k->role == 'p' && e->asked ? TOLD + MPP_S_FAILED : DONE;
}

static verdict do_leaves(const coming *k, scenario *s, guest *g)
{
    mpp_error cause;
    (void)g;
    leave(s, k->role, index_of(s->end, k->role, HELD));
    return mpp_mesh_cause(s->held, &cause) ? TOLD + cause.status : DONE;
}

/* Nobody comes: those who are there go. */
static verdict expect_nobody(const coming *k, const end *e)
{
    (void)k, (void)e;
    return DONE;
}

static verdict do_nobody(const coming *k, scenario *s, guest *g)
{
    (void)k, (void)s, (void)g;
    return DONE;
}

/* clang-format off */
#define TRIES(side, said, at, named) \
    {said, .expected = expect_attach, .done = do_attach, .role = side, .which = at, .by_name = named}
#define ATTACHES(side, said, at) TRIES(side, said, at, true), TRIES(side, said ", opened before", at, false)
#define FIRST(side, said, call) \
    {said, .expected = expect_attach, .done = do_attach, .role = side, .which = NEVER, .first = call}
/* clang-format on */

static const coming comings[] = {
    {"nobody comes", .expected = expect_nobody, .done = do_nobody},
    {"the producer leaves first", .expected = expect_leaves, .done = do_leaves, .role = 'p'},
    {"the consumer leaves first", .expected = expect_leaves, .done = do_leaves, .role = 'c'},
    {"open", .expected = expect_open, .done = do_open},
    ATTACHES('p', "producer: never used", NEVER),
    ATTACHES('p', "producer: used", USED),
    ATTACHES('p', "producer: held", HELD),
    ATTACHES('p', "producer: its holder was killed", DEAD),
    ATTACHES('p', "producer: no such index", BEYOND),
    ATTACHES('p', "producer: any index", ANY),
    ATTACHES('c', "consumer: never used", NEVER),
    ATTACHES('c', "consumer: used", USED),
    ATTACHES('c', "consumer: held", HELD),
    ATTACHES('c', "consumer: its holder was killed", DEAD),
    ATTACHES('c', "consumer: no such index", BEYOND),
    ATTACHES('c', "consumer: any index", ANY),
    FIRST('p', "producer: produces first", first_produces),
    FIRST('p', "producer: --eager", first_begins),
    FIRST('p', "producer: waits first", first_waits),
    FIRST('p', "producer: --barrier", first_barrier),
    FIRST('c', "consumer: asks first", first_starts),
    FIRST('c', "consumer: reads first", first_reads),
    FIRST('c', "consumer: has enough first", first_cancels),
    FIRST('c', "consumer: --barrier", first_barrier),
    {"producer: killed", .expected = expect_killed, .done = do_killed, .role = 'p'},
    {"consumer: killed", .expected = expect_killed, .done = do_killed, .role = 'c'},
    {"producer: asleep before, not asked", .expected = expect_sleeper, .done = do_sleeper, .role = 'p'},
    {"producer: asleep before, --barrier", .expected = expect_sleeper, .done = do_sleeper, .role = 'p',
     .barrier = true},
    {"consumer: asleep before, for data", .expected = expect_sleeper, .done = do_sleeper, .role = 'c'},
    {"consumer: asleep before, --barrier", .expected = expect_sleeper, .done = do_sleeper, .role = 'c',
     .barrier = true},
    {"mpp-create --remove", .expected = expect_remove, .done = do_remove},
    {"mpp-create --gc", .expected = expect_gc, .done = do_gc},
    {"what mpp-create frees", .expected = expect_free_tied, .done = do_free_tied},
    {"mpp-create of the same name", .expected = expect_make, .done = do_make},
    {"mpp-stat", .expected = expect_snapshot, .done = do_snapshot},
};
enum { COMINGS = sizeof comings / sizeof *comings };

#endif
