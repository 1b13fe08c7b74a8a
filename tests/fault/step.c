/* Killed after any instruction: of attaching, publishing, consuming, ending, leaving, making and removing.
 *
 * A child is stepped through one phase of a participant's life and killed after step k.  The other side, which is this
 * process, sleeps in every second round, and in every third wakes and looks at an earlier step j.  Then it must be
 * told, get all that was published and whole records only, and name the dead one, or find that nothing happened, or
 * that all was done; and nothing may be left.
 *
 * MPP_STEPS=n points in all (3000), of which every instruction of the library has its share; MPP_SEED=n as printed.
 * MPP_STEP=scenario:k or scenario:k:j runs one again, as a failure prints it. */
#include "stepper.h"

#if STEPPER_WORKS && !HARNESS_SANITIZED

#include "makers.h"

#include <sys/resource.h>

typedef struct scenario {
    const char *name;
    void (*ours)(world *w);                     /* who of us is there before it comes, or what it finds */
    void (*before)(victim *v);                  /* what it does before the phase; with marks in between ... */
    unsigned marks;                             /* ... so many, the phase's beginning included */
    void (*meanwhile)(world *w, unsigned mark); /* what we do at each */
    void (*phase)(victim *v);
    void (*judge)(world *w);
} scenario;

static const scenario scenarios[] = {
    {"p-attach", we_consume, NULL, 1, read_along, attach_producer, judge_producer},
    {"p-attach-lanes", we_consume_two_streams, NULL, 1, read_along, attach_producer, judge_producer},
    {"p-attach-alone", nobody_consumes, NULL, 1, leave_it_alone, attach_producer, judge_last},
    {"p-start", we_consume, producer_idle, 1, read_along, take_start, judge_producer},
    {"p-publish", we_consume, producer_warm, 1, read_along, publish, judge_producer},
    {"p-publish-two", we_are_two, producer_warm, 1, read_along, publish, judge_producer},
    {"p-fill", we_consume, producer_with_input, 1, read_along, fill, judge_producer},
    {"p-wait", we_consume, producer_full, 1, leave_it_alone, wait_for_nothing, judge_producer},
    {"p-end", we_are_two, producer_done, 2, read_along, end_streams, judge_producer},
    {"p-again", we_consume, producer_again, 1, ask_again, second_run, judge_producer},
    {"p-leave", we_consume, producer_ended, 2, read_along, leave, judge_producer},
    {"p-leave-lanes", we_consume_two_streams, producer_ended, 2, read_along, leave, judge_producer},
    {"p-leave-early", we_consume, producer_done, 2, read_along, leave, judge_producer},
    {"p-leave-unasked", we_consume, producer_idle, 1, read_along, leave, judge_unasked},
    {"p-leave-last", we_consume, producer_ended, 2, leave_first, leave, judge_last},
    {"p-fail", we_consume, producer_done, 2, read_along, fail_and_leave, judge_producer},
    {"c-attach", we_produce, NULL, 1, read_along, attach_consumer, judge_consumer},
    {"c-attach-lanes", we_produce_two_streams, NULL, 1, read_along, attach_consumer, judge_consumer},
    {"c-attach-alone", nobody_produces, NULL, 1, leave_it_alone, attach_consumer, judge_last},
    {"c-start", we_produce_two_streams, attach_consumer, 1, read_along, ask, judge_consumer},
    {"c-consume", we_produce, consumer_warm, 2, write_along, consume, judge_consumer},
    {"c-consume-full", we_produce, consumer_asked, 1, write_until_full, consume, judge_consumer},
    {"c-consume-end", we_produce, consumer_drained, 3, write_along, consume, judge_consumer},
    {"c-cancel", we_produce, consumer_warm, 2, write_along, cancel, judge_consumer},
    {"c-leave", we_produce, consumer_warm, 2, write_along, leave, judge_consumer},
    {"c-leave-full", we_produce, consumer_asked, 1, write_until_full, leave, judge_consumer},
    {"c-leave-unasked", we_are_the_others, attach_consumer, 1, write_until_full, leave, judge_left_unasked},
    {"c-leave-idle", we_produce, attach_consumer, 1, read_along, leave, judge_consumer},
    {"c-leave-last", we_produce, consumer_asked, 1, leave_first, leave, judge_last},
    {"create", nothing_is_there, NULL, 1, NULL, create, judge_created},
    {"create-tied", nothing_is_there, NULL, 1, NULL, create_tied, judge_collected},
    {"remove", we_consume, NULL, 1, read_along, remove_mesh, judge_removed},
    {"remove-empty", remains_are_there, NULL, 1, NULL, remove_remains, judge_remains},
    {"collect", remains_are_there, NULL, 1, NULL, collect, judge_collected},
};
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios, ALL_POINTS = 3000 };

/* ---- one death --------------------------------------------------------------------------------------- */

typedef struct stepped {
    const scenario *scenario;
    char id[MPP_NAME_MAX + 1];
} stepped;

static int live(void *arg)
{
    const stepped *what = arg;
    victim v = {.mesh = *what->id ? harness_open(what->id) : NULL};
    if (what->scenario->before)
        what->scenario->before(&v);
    stepper_mark();
    what->scenario->phase(&v);
    stepper_mark();
    return 0;
}

/* The victim at the beginning of its phase. */
static void bring(const scenario *s, world *w, stepper *v)
{
    stepped what = {.scenario = s};
    if (w->rig.mesh)
        snprintf(what.id, sizeof what.id, "%s", mpp_mesh_id(w->rig.mesh));
    bool there = stepper_start(v, live, &what);
    for (unsigned mark = 0; there && mark < s->marks; mark++) {
        there = mark == 0 || stepper_to_mark(v);
        if (s->meanwhile)
            s->meanwhile(w, mark);
    }
    if (!there)
        bail_out("%s: the victim ended before its phase", s->name);
    w->victim = v->pid;
}

static void look(world *w)
{
    if (!w->rig.mesh)
        return;
    const bool asleep = w->asleep;
    world_wake(w, false);
    world_tend(w);
    if (asleep)
        world_sleep(w);
}

static struct {
    unsigned rounds, strayed, never, live, done;
    int64_t longest;
} all;

/* Killed after step k; we look at step j (0: not at all). */
static bool death(const scenario *s, const stepper_trace *t, unsigned k, unsigned j)
{
    world w;
    stepper v;
    s->ours(&w);
    bring(s, &w, &v);
    if (k % 2 == 1)
        world_sleep(&w);
    bool there = j == 0 || stepper_run(&v, t, 0, j);
    if (there && j > 0)
        look(&w);
    there = there && stepper_run(&v, t, j, k);
    stepper_kill(&v);
    const int64_t begin = mpp_now();
    world_note(&w);
    s->judge(&w);
    world_end(&w);
    const int64_t took = mpp_now() - begin;
    all.longest = took > all.longest ? took : all.longest;
    all.rounds++;
    all.strayed += !there;
    all.live += w.live;
    all.done += !w.live && w.done;
    all.never += !w.live && !w.done;
    if (w.wrong)
        diag("MPP_STEP=%s:%u:%u %s (dead when %s; cause '%.200s')", s->name, k, j, w.wrong,
             w.live   ? "live"
             : w.done ? "done"
                      : "never there",
             w.cause.text);
    return !w.wrong;
}

static stepper_trace record(const scenario *s)
{
    world w;
    stepper v;
    stepper_trace t = {0};
    s->ours(&w);
    bring(s, &w, &v);
    const mpp_mesh *m = w.rig.mesh;
    stepper_record(&v, &t, m ? m->base : NULL, m ? (size_t)m->l.rings_at : 0);
    stepper_kill(&v);
    world_note(&w);
    s->judge(&w);
    world_end(&w);
    if (w.wrong)
        bail_out("%s: killed when all was done: %s", s->name, w.wrong);
    return t;
}

/* ---- the points -------------------------------------------------------------------------------------- */

extern const char __executable_start, etext;

/* Where a scenario's victim is to be killed. */
typedef struct points {
    stepper_trace trace;
    unsigned *seen, n_seen; /* as soon as others can see something new: the mesh asleep, and awake */
    unsigned *own, n_own;   /* where an instruction of ours is reached for the first time */
} points;

static points points_of(const scenario *s)
{
    const uintptr_t begin = (uintptr_t)&__executable_start, size = (uintptr_t)&etext - begin;
    unsigned char *reached = calloc(size, 1);
    points p = {.trace = record(s)};
    p.seen = malloc((2 * p.trace.n + 2) * sizeof *p.seen);
    p.own = malloc(p.trace.n * sizeof *p.own);
    if (!reached || !p.seen || !p.own)
        bail_out("no memory");
    p.seen[p.n_seen++] = p.trace.n;
    for (unsigned i = 0; i < p.trace.n; i++) {
        const uintptr_t at = p.trace.at[i];
        if (i == 0 || p.trace.seen[i])
            p.seen[p.n_seen++] = i;
        if ((i == 0 || p.trace.seen[i]) && i + 1 < p.trace.n && !p.trace.seen[i + 1])
            p.seen[p.n_seen++] = i + 1;
        if (at >= begin && at < begin + size && !reached[at - begin]++)
            p.own[p.n_own++] = i;
    }
    free(reached);
    return p;
}

static void points_free(points *p)
{
    stepper_forget(&p->trace);
    free(p->seen);
    free(p->own);
}

/* n of these places, spread evenly; how many went wrong. */
static unsigned kill_at(const scenario *s, const stepper_trace *t, const unsigned *at, unsigned n_at, unsigned n)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t which = ((uint64_t)i * n_at + (n < n_at ? tap_random(n_at) : 0)) / n;
        const unsigned k = at[which < n_at ? which : n_at - 1];
        const unsigned j = k > 1 && tap_random(3) == 0 ? 1 + (unsigned)tap_random(k - 1) : 0;
        wrong += !death(s, t, k, j);
    }
    return wrong;
}

/* First wherever something is to be seen, then at instructions of ours. */
static void test_scenario(const scenario *s, const points *p, unsigned n)
{
    const unsigned seen = n < p->n_seen ? n : p->n_seen;
    harness.step = s->name;
    unsigned wrong = kill_at(s, &p->trace, p->seen, p->n_seen, seen);
    wrong += kill_at(s, &p->trace, p->own, p->n_own, n - seen);
    ok(wrong == 0, "%s: killed at %u of %u steps that others can see, and %u of %u of ours", s->name, seen, p->n_seen,
       n - seen, p->n_own);
}

static void test_all(unsigned total)
{
    static points of[SCENARIOS];
    unsigned seen = 0, own = 0;
    for (unsigned i = 0; i < SCENARIOS; i++) {
        harness.step = scenarios[i].name;
        of[i] = points_of(&scenarios[i]);
        seen += of[i].n_seen;
        own += of[i].n_own;
    }
    for (unsigned i = 0; i < SCENARIOS; i++) {
        const uint64_t share = total < seen ? (uint64_t)total * of[i].n_seen / seen
                                            : of[i].n_seen + (uint64_t)(total - seen) * of[i].n_own / own;
        test_scenario(&scenarios[i], &of[i], (unsigned)share + 1);
        points_free(&of[i]);
    }
}

/* MPP_STEP=scenario:k:j */
static void test_one(const char *which)
{
    for (unsigned i = 0; i < SCENARIOS; i++) {
        const size_t n = strlen(scenarios[i].name);
        unsigned k = 0, j = 0;
        if (strncmp(which, scenarios[i].name, n) != 0 || sscanf(which + n, ":%u:%u", &k, &j) < 1)
            continue;
        stepper_trace t = record(&scenarios[i]);
        ok(k <= t.n && j < k + 1 && death(&scenarios[i], &t, k, j), "%s killed at step %u", scenarios[i].name, k);
        stepper_forget(&t);
        return;
    }
    bail_out("MPP_STEP=%s: no such scenario", which);
}

static double cpu_seconds(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The C library copies by instructions that repeat, which trap for each byte; not if it is told before it starts.  And
 * what the records are made of is made before there are victims. */
static void step_quickly(void)
{
    const char *tunables = "glibc.cpu.x86_rep_movsb_threshold=1000000:glibc.cpu.x86_rep_stosb_threshold=1000000";
    if (!getenv("GLIBC_TUNABLES") && setenv("GLIBC_TUNABLES", tunables, 1) == 0)
        execl("/proc/self/exe", "step", (char *)NULL);
    bytes records = world_expected(0, 1);
    bytes_free(&records);
}

int main(void)
{
    const char *total = getenv("MPP_STEPS"), *one = getenv("MPP_STEP");
    step_quickly();
    tap_seed();
    harness_begin(total ? 100 + (unsigned)atoi(total) / 20 : 350);
    if (one)
        test_one(one);
    else
        test_all(total ? (unsigned)atoi(total) : ALL_POINTS);
    diag("%u deaths: %u in the mesh, %u after leaving, %u elsewhere; the last of all was over %.1f ms after its death "
         "at most",
         all.rounds, all.live, all.done, all.never, (double)all.longest / 1e6);
    diag("%.1f s of CPU; %u went another way than the first time",
         cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN), all.strayed);
    /* On a busy machine more of them: who is first at a lock is not what it was. */
    ok(all.strayed <= all.rounds / 8, "nearly all are killed where they were to be");
    harness_end();
    return done_testing();
}

#else

int main(void)
{
    printf("1..0 # SKIP single steps need x86-64, and no sanitizer whose own code would be stepped\n");
    return 0;
}

#endif
