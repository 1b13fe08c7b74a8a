/* Every end of a mesh, and every way to come to it, to be in it, and to go: the documented outcome, in time, and
 * nothing is left.
 *
 *     ends                                              every cell, in an order drawn from MPP_SEED
 *     ends --table                                      the table: end, coming, outcome
 *     MPP_CELL='failed/consumer: never used' ends       one cell
 *
 * ends.h has the ends, comings.h the comings, and the rules that say what is expected. */
#include "comings.h"
#include "mpp-look.h"

enum { CELL_MS = 1000 };

/* ---- one cell ----------------------------------------------------------------------------------- */

/* Everybody goes, in any order. */
static unsigned all_leave(scenario *s, guest *g)
{
    unsigned n = g->p || g->c;
    const unsigned first = (unsigned)tap_random(2 * SIDE), with_guest = (unsigned)tap_random(2 * SIDE);
    for (unsigned i = 0; i < 2 * SIDE; i++) {
        const unsigned at = (first + i) % (2 * SIDE), index = at / 2;
        if (i == with_guest)
            guest_goes(g);
        n += at % 2 ? s->c[index] != NULL : s->p[index] != NULL;
        leave(s, at % 2 ? 'c' : 'p', (int)index);
    }
    if (g->mesh != s->held)
        mpp_mesh_close(&g->mesh);
    return n;
}

static bool never_came(const scenario *s, char role)
{
    for (unsigned i = 0; i < SIDE; i++)
        if (load_acquire(&mesh_endpoint_slot(s->held, 0, role, i)->state) == LAYOUT_FREE)
            return true;
    return false;
}

/* Those who never came do, and go at once. */
static unsigned rest_comes(scenario *s)
{
    verdict v;
    unsigned n = 0;
    for (unsigned at = 0; at < 2 * SIDE; at++) {
        const char role = at < SIDE ? 'p' : 'c';
        guest g = {.mesh = s->held};
        if (load_acquire(&mesh_endpoint_slot(s->held, 0, role, at % SIDE)->state) == LAYOUT_FREE)
            n += guest_comes(&g, role, (int)(at % SIDE), &v);
        guest_goes(&g);
    }
    return n;
}

/* What the last one out leaves: the mesh for those who are still expected, and nothing else. */
static bool left_right(const scenario *s, bool named, unsigned left, bool again)
{
    mpp_error cause, err;
    const bool failed = mpp_mesh_cause(s->held, &cause), is_closed = load_acquire(&s->held->header->closed);
    const bool expected = never_came(s, 'p') || (never_came(s, 'c') && !is_closed);
    const bool there = harness_try_open(s->id, &err) != MPP_S_NO_MESH;
    if (s->end->keep || !named || again || left == 0)
        return true;
    if (failed ? !expected || cause.final || s->end->tied : is_closed && !expected) {
        if (there)
            diag("the last one out leaves the mesh");
        return !there && harness_left() == 0;
    }
    if (!there && expected && !is_closed)
        diag("the last one out removes the mesh, and somebody never came");
    return there || !expected || is_closed;
}

/* What is left then is for --gc, or is waited for. */
static bool cleaned(scenario *s)
{
    mpp_error err;
    const bool over = load_acquire(&s->held->header->closed) || mpp_mesh_cause(s->held, &err);
    mpp_mesh_close(&s->held);
    if (mpp_mesh_gc(NULL, NULL, &err) < 0)
        return false;
    if (!over || s->end->again) /* somebody may come still */
        mpp_mesh_remove(s->id, NULL);
    return harness_left() == 0;
}

static bool is_sleeper(const coming *k)
{
    return k->done == do_sleeper;
}

typedef struct asleep {
    door door;
    pid_t pid;
} asleep;

static void asleep_begin(asleep *a, const scenario *s, const coming *k)
{
    a->door = door_open(s->held, k->role, index_of(s->end, k->role, NEVER));
    a->door.state = k->barrier;
    a->pid = harness_fork(sleeper, &a->door);
    await_asleep(s, k->role, a->door.index);
}

static verdict asleep_hear(const asleep *a)
{
    struct pollfd said = {a->door.out[0], POLLIN, 0};
    return poll(&said, 1, 2 * PATIENCE_MS) == 1 ? (verdict)hear(&a->door) : LATE;
}

static void asleep_end(asleep *a)
{
    close(a->door.in[1]);
    a->door.in[1] = -1;
    harness_reap(a->pid);
    door_close(&a->door);
}

static bool first_stays(const scenario *s)
{
    const end *e = s->end;
    const bool seen = !e->cause || e->unnoticed || cause_of(s->held) == TOLD + e->cause;
    if (!seen)
        diag("the cause is another one now: %s", harness_cause(s->held));
    return seen;
}

static bool cell(const end *e, const coming *k)
{
    scenario s;
    asleep a = {0};
    guest g = {0};
    const verdict expected = k->expected(k, e);
    scenario_open(&s, e);
    if (is_sleeper(k))
        asleep_begin(&a, &s, k);
    e->make(&s);
    const int64_t since = mpp_now();
    const verdict v = is_sleeper(k) ? asleep_hear(&a) : k->done(k, &s, &g);
    bool right = v == expected && first_stays(&s);
    const bool named = e->state && !e->again && k->done != do_make && k->done != do_remove && k->done != do_gc &&
                       k->done != do_free_tied;
    unsigned left = all_leave(&s, &g) + is_sleeper(k);
    if (is_sleeper(k))
        asleep_end(&a);
    if (tap_random(2))
        left += rest_comes(&s);
    right &= left_right(&s, named, left, k->done == do_make || e->again);
    const long ms = (long)((mpp_now() - since) / 1000000);
    right &= ms < (HARNESS_SANITIZED ? 10 : 1) * CELL_MS;
    if (k->done == do_make)
        mpp_mesh_remove(s.id, NULL);
    right &= cleaned(&s);
    if (!right)
        diag("%s/%s: %s, expected: %s; %ld ms", e->name, k->name, words[v], words[expected], ms);
    return right;
}

/* ---- at the same time --------------------------------------------------------------------------- */

static const char *const rivals[] = {"--remove", "--gc", "what mpp-create frees", "the last one out"};
enum { RIVALS = sizeof rivals / sizeof *rivals, ROUNDS = 6, MOMENT_US = 400 };

typedef struct race {
    scenario *scenario;
    unsigned rival, wait_us;
    char role;
} race;

/* Comes by name, takes part, and goes; what it was told. */
static int claims(void *arg)
{
    const race *r = arg;
    verdict v;
    guest g = {0};
    mpp_error err;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mpp_mesh_open(r->scenario->id, &g.mesh, &err) < 0)
        return TOLD + (int)err.status;
    usleep(r->wait_us);
    if (guest_comes(&g, r->role, index_of(r->scenario->end, r->role, NEVER), &v))
        v = guest_takes_part(&g);
    guest_goes(&g);
    mpp_mesh_close(&g.mesh);
    return (int)v;
}

static void rival_acts(const race *r, guest *last)
{
    if (r->rival == 0)
        mpp_mesh_remove(r->scenario->id, NULL);
    else if (r->rival == 1)
        mpp_mesh_gc(NULL, NULL, NULL);
    else if (r->rival == 2)
        mpp_mesh_free_tied();
    all_leave(r->scenario, last);
}

/* Who claims is told what holds before or after; and a mesh that went has taken its directory along. */
static bool race_once(const end *e, unsigned rival, char role)
{
    scenario s;
    mpp_error err;
    race r = {&s, rival, (unsigned)tap_random(MOMENT_US), role};
    scenario_open(&s, e);
    e->make(&s);
    guest last = {.mesh = s.held};
    const pid_t pid = harness_fork(claims, &r);
    usleep((useconds_t)tap_random(2 * MOMENT_US));
    rival_acts(&r, &last);
    const verdict v = (verdict)harness_reap(pid), before = joins(e, role);
    const bool gone = harness_try_open(s.id, &err) == MPP_S_NO_MESH;
    bool right = v == before || v == TOLD + MPP_S_NO_MESH || (v >= TOLD && v == cause_of(s.held)) ||
                 (!e->cause && (v == JOINS || (role == 'p' && v == ENDS_WELL)));
    const bool clean = !gone || harness_left() == 0;
    right &= clean && cleaned(&s);
    if (!right)
        diag("%s, a %s claims beside %s: %s, before: %s; %s", e->name, role == 'p' ? "producer" : "consumer",
             rivals[rival], words[v], words[before], clean ? "" : "the directory is left");
    return right;
}

static void test_races(unsigned rounds)
{
    unsigned run = 0, wrong = 0;
    for (unsigned i = 0; i < ENDS; i++)
        for (unsigned n = 0; n < rounds; n++) {
            const char role = tap_random(2) ? 'p' : 'c';
            harness.step = ends[i].name;
            if (!ends[i].state || ends[i].again || index_of(&ends[i], role, NEVER) < 0)
                continue;
            run++;
            wrong += !race_once(&ends[i], (unsigned)tap_random(RIVALS), role);
        }
    ok(wrong == 0,
       "who claims an index while the mesh is removed, collected, or left by all: %u times, %u of them wrong", run,
       wrong);
}

/* ---- all of them -------------------------------------------------------------------------------- */

typedef struct place {
    unsigned end, coming;
} place;

static unsigned places(place *at)
{
    char name[160];
    unsigned n = 0;
    const char *only = getenv("MPP_CELL");
    for (unsigned i = 0; i < ENDS; i++)
        for (unsigned k = 0; k < COMINGS; k++) {
            snprintf(name, sizeof name, "%s/%s", ends[i].name, comings[k].name);
            if (comings[k].expected(&comings[k], &ends[i]) != NONE && (!only || strcmp(only, name) == 0))
                at[n++] = (place){i, k};
        }
    return n;
}

static int table(void)
{
    static place at[ENDS * COMINGS];
    const unsigned n = places(at);
    puts("| end | coming | outcome |\n| --- | --- | --- |");
    for (unsigned i = 0; i < n; i++) {
        const coming *k = &comings[at[i].coming];
        const end *e = &ends[at[i].end];
        printf("| %s | %s | %s |\n", e->name, k->name, words[k->expected(k, e)]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static place at[ENDS * COMINGS];
    unsigned cells[ENDS] = {0}, wrong[ENDS] = {0};
    if (argc > 1 && strcmp(argv[1], "--table") == 0)
        return table();
    const char *rounds = getenv("MPP_ROUNDS");
    tap_seed();
    harness_begin(120);
    const unsigned n = places(at);
    for (unsigned left = n; left > 0; left--) {
        const unsigned pick = (unsigned)tap_random(left);
        const place here = at[pick];
        at[pick] = at[left - 1];
        harness.step = ends[here.end].name;
        cells[here.end]++;
        wrong[here.end] += !cell(&ends[here.end], &comings[here.coming]);
    }
    for (unsigned i = 0; i < ENDS; i++)
        if (cells[i])
            ok(wrong[i] == 0, "%s: %u ways of coming and going, %u of them wrong", ends[i].name, cells[i], wrong[i]);
    if (!getenv("MPP_CELL"))
        test_races(rounds ? ROUNDS * (unsigned)atoi(rounds) : ROUNDS);
    harness_end();
    return done_testing();
}
