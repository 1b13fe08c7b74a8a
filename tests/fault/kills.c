/* kills.c - a random participant, or its command, is killed at a random moment
 *
 * Shows: whatever it was doing, the others deliver what was published, name it, and end: within 100 ms of its death,
 * as the median goes (nobody is blocked on its output here).  Nothing is left after --gc.
 *
 * Each round is a mesh of random size and partition with random inputs and outputs.  MPP_KILLS is how many processes
 * there are to be killed (200; MPP_ROUNDS multiplies it); a failure prints the round's seed, and `kills SEED` repeats
 * it ten times: the mesh is the same then and so is the moment, but not what else the machine does. */
#define RECORDS 12000
#include "judge.h"

enum { SPAN_NS = 25000000 }; /* by when a scenario has ended, mostly */

typedef struct tally {
    _Atomic unsigned next, killed, too_late, failed, n_times;
    _Atomic int64_t times[1 << 20]; /* from a death to the end of the last one that learns of it */
} tally;

static struct {
    tally *s;
    unsigned want, seed;
} all;

/* ---- a random scenario --------------------------------------------------------------------------------- */

typedef struct random_scenario {
    scenario scenario;
    char mesh[64], processes[PROCESSES_MAX][40];
} random_scenario;

static void make_scenario(random_scenario *r)
{
    static const char *const inputs[] = {"in.%u", "<", "-- ./give", "< --eager"};
    static const char *const outputs[] = {"", "|", "-- cat", "| --timeout 1m"};
    static const char *const meshes[] = {
        [ROUND_ROBIN] = "-P round-robin", [BY_HASH] = "-t : -k 2", [BROADCAST] = "-P broadcast"};
    scenario *s = &r->scenario;
    char arguments[16];
    *s = (scenario){.name = "random", .mesh = r->mesh, .producers = 1 + (unsigned)tap_random(3)};
    s->consumers = 1 + (unsigned)tap_random(PROCESSES_MAX - s->producers < 3 ? PROCESSES_MAX - s->producers : 3);
    s->split = (split)tap_random(3);
    snprintf(r->mesh, sizeof r->mesh, "-r 64K %s", meshes[s->split]);
    for (unsigned i = 0; i < s->producers; i++) {
        snprintf(arguments, sizeof arguments, inputs[tap_random(4)], i);
        snprintf(r->processes[i], sizeof r->processes[i], "p%u %s", i, arguments);
    }
    for (unsigned j = 0; j < s->consumers; j++)
        snprintf(r->processes[s->producers + j], sizeof *r->processes, "c%u %s", j, outputs[tap_random(4)]);
    for (unsigned i = 0; i < s->producers + s->consumers; i++)
        s->processes[i] = r->processes[i];
}

/* ---- one round -------------------------------------------------------------------------------------- */

typedef struct death {
    process *victim;
    bool command;  /* its command is to die */
    bool attached; /* when all are there; else before that as well */
    int64_t at_ns; /* after the beginning or that; then, when it was */
    bool happened;
} death;

static void kill_victim(death *d)
{
    pid_t pid = d->command ? scenario_command_of(d->victim->pid) : d->victim->pid;
    d->happened = d->victim->status < 0 && pid > 0 && kill(pid, SIGKILL) == 0;
    d->at_ns = sandbox_now();
}

static void run_with_death(observation *o, death *d)
{
    int status;
    pid_t pid;
    bool due = true;
    int64_t limit = sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000);
    for (unsigned i = 0; i < o->n_processes; i++)
        scenario_start(o, &o->processes[i], NULL);
    if (d->attached)
        scenario_attached(o);
    d->at_ns += sandbox_now();
    while ((pid = scenario_event(due ? d->at_ns : limit, &status)) >= 0) {
        if (pid == 0 && !due)
            break;
        if (pid == 0) {
            due = false;
            kill_victim(d);
            continue;
        }
        process *ended = scenario_ended(o, pid, status);
        if (ended == d->victim && ended->status != 0) /* in case that nobody had seen it */
            scenario_start(o, scenario_add(o, o->scenario->processes[d->victim - o->processes], true), NULL);
    }
    if (pid == 0)
        scenario_explain_hang(o);
    d->happened &= d->victim->status != 0; /* else it had ended, and was not reaped yet */
}

/* From the death to the end of the last of those that have learned of it. */
static void measure(const observation *o, const death *d)
{
    int64_t last = 0;
    for (unsigned i = 0; i < o->n_processes; i++) {
        const process *p = &o->processes[i];
        if (p != d->victim && !p->late && p->status != 0 && p->ended_ns - d->at_ns > last)
            last = p->ended_ns - d->at_ns;
    }
    if (last > 0 && all.s->n_times < N_OF(all.s->times))
        all.s->times[atomic_fetch_add(&all.s->n_times, 1)] = last;
}

static void one_round(unsigned seed)
{
    random_scenario r;
    char replay[64];
    tap.random = seed;
    make_scenario(&r);
    observation o = {.scenario = &r.scenario};
    bool keep = tap_random(2);
    scenario_mesh(&o, keep);
    for (unsigned i = 0; i < PROCESSES_MAX && r.scenario.processes[i]; i++)
        scenario_add(&o, r.scenario.processes[i], false);
    death d = {.victim = &o.processes[tap_random(o.n_processes)]};
    d.command = strstr(d.victim->text, "-- ") && tap_random(2);
    d.attached = tap_random(3);
    d.at_ns = (int64_t)tap_random(d.attached ? SPAN_NS / 2 : SPAN_NS);
    run_with_death(&o, &d);
    /* To the judge a command is what its tool has started, and so not the tool itself. */
    point at = {.tracee = d.command ? 10 : 1, .deed = KILL_BEFORE};
    judge(&o, (unsigned)(d.victim - o.processes), d.happened ? &at : NULL, keep);
    if (d.happened)
        measure(&o, &d);
    all.s->killed += d.happened;
    all.s->too_late += !d.happened;
    if (!*o.wrong)
        return;
    all.s->failed++;
    snprintf(replay, sizeof replay, "kills %u: %s%s is killed", seed, d.victim->name, d.command ? "'s command" : "");
    scenario_explain(&o, replay);
}

static void work(void *arg)
{
    (void)arg;
    while (all.s->killed < all.want && all.s->next < 4 * all.want && all.s->failed < 20)
        one_round(all.seed + atomic_fetch_add(&all.s->next, 1));
}

/* ---- all of them ------------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double milliseconds(unsigned percent)
{
    unsigned n = all.s->n_times;
    return n ? (double)all.s->times[(uint64_t)(n - 1) * percent / 100] / 1e6 : 0;
}

static void tell(void)
{
    unsigned n = all.s->n_times;
    int64_t *sorted = malloc((n + 1) * sizeof *sorted);
    for (unsigned i = 0; sorted && i < n; i++)
        sorted[i] = all.s->times[i];
    if (!sorted)
        bail_out("no memory");
    qsort(sorted, n, sizeof *sorted, by_time);
    for (unsigned i = 0; i < n; i++)
        all.s->times[i] = sorted[i];
    free(sorted);
    ok(all.s->killed >= all.want, "%u processes were killed; %u had ended before", all.s->killed, all.s->too_late);
    ok(all.s->failed == 0,
       "each time the others had whole records, the promised status and word, and nothing was left");
    ok(n >= all.want / 10, "%u times somebody had to learn of it", n);
    ok(milliseconds(50) < (double)harness_late(HARNESS_SANITIZED ? 1000 : 100),
       "from the death to the last exit: p50 %.1f ms, p99 %.1f ms, at most %.1f ms", milliseconds(50), milliseconds(99),
       milliseconds(100));
}

int main(int argc, char **argv)
{
    all.s = sandbox_shared(sizeof *all.s);
    all.want = sandbox_number("MPP_KILLS", SCALED(200, 10)) * sandbox_number("MPP_ROUNDS", 1);
    sandbox_seed();
    all.seed = (unsigned)tap.random;
    if (argc > 1) {
        harness_begin(200);
        sandbox_begin();
        for (unsigned i = 0; i < 10; i++)
            one_round((unsigned)strtoul(argv[1], NULL, 10));
        sandbox_end();
        ok(all.s->failed == 0, "ten times the same: %u were killed", all.s->killed);
        return done_testing();
    }
    all.s->failed += sandbox_workers(2, 60 + all.want / 5, work, NULL);
    tell();
    return done_testing();
}
