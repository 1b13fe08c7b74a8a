/* syscalls.c - a participant is killed at, or lied to by, any one of its system calls
 *
 * Shows: a process killed between any two system calls leaves whole records, and the others deliver all that was
 * published and exit 4 with its name; an interrupted, refused or short call goes unnoticed; a call that fails is
 * overcome, or is an error that says why, which is everybody's root cause.  Nobody hangs, and nothing is left after
 * --gc.
 *
 * MPP_INJECTIONS is how many there are to be (300; MPP_ROUNDS multiplies it), MPP_SEED which ones.  A failure prints
 * its point; called with that, the program does it again, and with `list` it prints all points. */
#include "judge.h"

static const scenario scenarios[] = {
    {"gather-files", "-r 64K", 2, 1, .processes = {"p0 in.0", "p1 in.1", "c0"}},
    {"gather-pipes", "-r 64K", 2, 1, .processes = {"p0 <", "p1 <", "c0 |"}},
    {"gather-commands", "-r 64K", 2, 1, .processes = {"p0 -- ./give", "p1 -- ./give", "c0 -- cat"}},
    {"gather-eager", "-r 64K", 2, 1, .processes = {"p0 --eager in.0", "p1 < --barrier", "c0 --barrier -- cat"}},
    {"enough", "-r 64K", 1, 1, .enough = 700, .processes = {"p0 -- ./give", "c0 -n 700"}},
    {"shuffle", "-r 64K", 2, 2, .processes = {"p0 in.0", "p1 <", "c0 |", "c1 -- cat"}},
    {"shuffle-key", "-r 64K -t : -k 2", 2, 2, BY_HASH, .processes = {"p0 -- ./give", "p1 in.1", "c0", "c1"}},
    {"broadcast", "-r 64K -P broadcast", 1, 2, BROADCAST, .processes = {"p0 <", "c0", "c1 -- cat"}},
    {"all", "-r 64K", 2, 2, .processes = {"pA --all -- ./give", "cA --all -- ./take"}},
};

/* Run a scenario with one of its processes traced; who comes first is the number's to say.  Was the plan carried
 * out? */
static bool run_traced(observation *o, unsigned victim, trace *t, unsigned number)
{
    const scenario *sc = o->scenario;
    pid_t pid;
    int status;
    unsigned n = 0;
    while (n < PROCESSES_MAX && sc->processes[n])
        n++;
    for (unsigned i = 0; i < n; i++)
        scenario_add(o, sc->processes[i], false);
    for (unsigned i = 0; i < n; i++) {
        unsigned k = (i + number) % n;
        scenario_start(o, &o->processes[k], k == victim ? trace_me : NULL);
    }
    int64_t deadline = sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000);
    while ((pid = scenario_event(deadline, &status)) > 0) { /* until the last process is gone */
        if (WIFSTOPPED(status)) {
            trace_stopped(t, pid, status);
            continue;
        }
        process *ended = scenario_ended(o, pid, status);
        /* Whoever is gone before anybody knew it would be waited for. */
        if (ended == &o->processes[victim] && ended->status != 0)
            scenario_start(o, scenario_add(o, sc->processes[victim], true), NULL);
    }
    if (pid == 0)
        scenario_explain_hang(o);
    return t->done;
}

static bool try(sweep *w, const place *p, unsigned number)
{
    observation o = {.scenario = &w->scenarios[p->scenario]};
    trace t = {.plan = &p->at, .fits = sweep_fits};
    harness.step = sweep_text(w, p);
    scenario_mesh(&o, number % 2);
    bool done = run_traced(&o, p->process, &t, number / 2);
    judge(&o, p->process, done ? &p->at : NULL, number % 2);
    if (!*o.wrong)
        return done;
    w->shared->failed++;
    scenario_explain(&o, sweep_text(w, p));
    return done;
}

/* ---- which calls there are -------------------------------------------------------------------------- */

static void look(sweep *w)
{
    unsigned looked = 0, wrong = 0;
    for (w->scenario = 0; w->scenario < w->n_scenarios; w->scenario++)
        for (w->process = 0; w->process < PROCESSES_MAX && scenarios[w->scenario].processes[w->process]; w->process++)
            for (unsigned order = 0; order < 2; order++) {
                observation o = {.scenario = &scenarios[w->scenario]};
                trace t = {.seen = sweep_seen, .arg = w};
                scenario_mesh(&o, false);
                run_traced(&o, w->process, &t, order);
                judge(&o, w->process, NULL, false);
                looked++;
                if (*o.wrong) {
                    wrong++;
                    scenario_explain(&o, o.scenario->name);
                }
            }
    ok(wrong == 0 && w->n > 0, "%u times a participant is only looked at: all is well, and there are %u points", looked,
       w->n);
}

static const char *const always[] = {
    "gather-files/p0/1/newfstatat/2/error=ENOMEM", /* exit 0 with no more than its name */
    "gather-files/p0/1/newfstatat/3/error=ENOMEM", /* took an unknown size for a wrong one */
    "gather-files/p0/1/pread64/1/error=EIO",       /* took what it could not read for half a mesh */
    "gather-files/p0/1/mmap/3/error=ENOMEM",       /* exit 3, which is for the failures of others */
    "shuffle-key/p1/1/mmap/6/error=ENOMEM",        /* what was accepted was not published before the failure */
    "enough/c0/1/mmap/4/error=ENOMEM",             /* went on after its own failure, and exit 0 */
    "gather-files/p0/1/sendto/5/error=ENOBUFS",    /* a bell that the kernel had no memory for was never rung */
    "enough/p0/9/close_range/1/error=ENOSYS",      /* the guard held on to what it was to let go of */
    "all/pA/81/setpgid/1/kill-after",              /* a guard that is gone was a command's SIGPIPE */
    "all/cA/10/socket/1/kill-before",              /* killed before it was there: the others waited for it */
    "gather-commands/c0/10/dup3/1/error=EINTR",
    /* Bells that ring before the listener is bound. */
    "gather-files/c0/1/bind/1/delay",
    "gather-files/p0/1/bind/1/delay",
    "shuffle/c1/1/bind/1/delay",
    "shuffle/p1/1/bind/1/delay",
    NULL,
};

int main(int argc, char **argv)
{
    const task all = {.scenarios = scenarios,
                      .n_scenarios = N_OF(scenarios),
                      .want = sandbox_number("MPP_INJECTIONS", SCALED(300, 10)) * sandbox_number("MPP_ROUNDS", 1),
                      .look = look,
                      .try = try,
                      .always = always};
    return sweep_main(&all, argc > 1 ? argv[1] : NULL);
}
