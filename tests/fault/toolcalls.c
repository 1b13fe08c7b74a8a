/* toolcalls.c - mpp-create and mpp-stat are killed at, or lied to by, any one of their system calls
 *
 * Shows: a mesh is there as a whole or not at all, however mpp-create ends; --remove and --gc that were cut short can
 * be done again; mpp-stat never disturbs whom it looks at.  What fails is overcome, or is an error that says
 * why.  Nothing is left in the end.
 *
 * MPP_TOOL_INJECTIONS is how many there are to be (150; MPP_ROUNDS multiplies it), MPP_SEED which ones.  A failure
 * prints its point; called with that, the program does it again, and with `list` it prints all points. */
#include "judge.h"

#define IDLE "p0 -- sleep 1000", "p1 -- sleep 1000", "c0 -- cat", "c1"

static const scenario scenarios[] = {
    {"create", NULL, 1, 1, .processes = {"x0 mpp-create -r 64K --name @", "p0 in.0", "c0"}},
    {"create-streams", NULL, 1, 1, .processes = {"x0 mpp-create -r 64K --name @ --pid 1 -t : -k 2n", "p0 <", "c0"}},
    {"remove", "-r 64K", 2, 2, .processes = {"x0 mpp-create --remove @", IDLE}},
    {"gc", "-r 64K", 2, 2, .processes = {"x0 mpp-create --gc", IDLE}},
    {"stat", "-r 64K", 2, 2, .processes = {"x0 mpp-stat @", IDLE}},
    {"stat-all", "-r 64K", 2, 2, .processes = {"x0 mpp-stat", IDLE}},
    {"stat-json", "-r 64K", 2, 2, .processes = {"x0 mpp-stat --json @", IDLE}},
    {"stat-why", "-r 64K", 2, 2, .processes = {"x0 mpp-stat --why --for 1m @", IDLE}},
};

static bool is(const observation *o, const char *what)
{
    return strncmp(o->scenario->name, what, strlen(what)) == 0;
}

/* Start all but the victim. */
static void start_others(observation *o)
{
    for (unsigned i = 1; i < o->n_processes; i++)
        scenario_start(o, &o->processes[i], NULL);
}

static void end_by_kill(observation *o)
{
    for (unsigned i = 1; i < o->n_processes; i++)
        kill(o->processes[i].pid, SIGKILL);
    scenario_collect(o, sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000));
}

/* Run the victim to its end. */
static void run_victim(observation *o, trace *t)
{
    int status;
    pid_t pid;
    int64_t deadline = sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000);
    scenario_start(o, &o->processes[0], trace_me);
    while (o->processes[0].status < 0 && (pid = scenario_event(deadline, &status)) > 0)
        if (WIFSTOPPED(status))
            trace_stopped(t, pid, status);
        else
            scenario_ended(o, pid, status);
    if (o->processes[0].status < 0)
        scenario_explain_hang(o);
}

/* ---- what must hold ------------------------------------------------------------------------------------- */

static void judge_victim(observation *o, const point *done)
{
    const process *p = &o->processes[0];
    kind of = done ? sweep_kind(done) : KIND_INVISIBLE;
    judge_words(o, p, of == KIND_KILL);
    if (of == KIND_INVISIBLE && p->status != 0)
        complain(o, "it exits %d, and nothing was done to it", p->status);
    if (of == KIND_KILL && p->status != 128 + SIGKILL)
        complain(o, "it exits %d when it is killed", p->status);
    if (of == KIND_ERROR)
        judge_error(o, p, done->error);
}

/* A mesh that has a name works, and goes. */
static void judge_created(observation *o, bool succeeded)
{
    mpp_mesh *m;
    mpp_error err;
    bytes out = sandbox_read("out.x0");
    if (mpp_mesh_open(o->mesh, &m, &err) < 0) {
        if (succeeded || err.status != MPP_S_NO_MESH)
            complain(o, "the mesh cannot be opened: %s", err.text);
        bytes_free(&out);
        return;
    }
    mpp_mesh_close(&m);
    bytes_add(&out, "", 1);
    if (succeeded && (strncmp((char *)out.data, o->mesh, strlen(o->mesh)) != 0 || out.n != strlen(o->mesh) + 2))
        complain(o, "it prints '%s'", (char *)out.data);
    bytes_free(&out);
    start_others(o);
    if (!scenario_collect(o, sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000)))
        scenario_explain_hang(o);
    for (unsigned i = 1; i < o->n_processes; i++)
        if (o->processes[i].status != 0)
            complain(o, "%s exits %d in what was created", o->processes[i].name, o->processes[i].status);
    if (!scenario_got(o, 0).complete)
        complain(o, "not all went through what was created");
}

/* Whom it looked at is still there, undisturbed; they go when they are removed, which another one may have begun. */
static void judge_removed(observation *o, bool begun)
{
    char text[128];
    scenario_collect(o, 0);
    for (unsigned i = 1; i < o->n_processes && !begun; i++)
        if (o->processes[i].status >= 0)
            complain(o, "%s has ended, with %d", o->processes[i].name, o->processes[i].status);
    snprintf(text, sizeof text, "mpp-create --remove %s", o->mesh);
    if (scenario_command(o, text) != 0)
        complain(o, "it cannot be removed");
    if (!scenario_collect(o, sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000)))
        scenario_explain_hang(o);
    for (unsigned i = 1; i < o->n_processes; i++)
        if (o->processes[i].status != MPP_S_NO_MESH)
            complain(o, "%s exits %d when the mesh is removed", o->processes[i].name, o->processes[i].status);
}

/* ---- one run -------------------------------------------------------------------------------------------- */

static bool run_traced(observation *o, trace *t, const point *plan)
{
    for (unsigned i = 0; i < PROCESSES_MAX && o->scenario->processes[i]; i++)
        scenario_add(o, o->scenario->processes[i], false);
    if (!is(o, "create")) {
        start_others(o);
        scenario_attached(o);
    }
    if (is(o, "gc"))
        end_by_kill(o);
    run_victim(o, t);
    judge_victim(o, t->done ? plan : NULL);
    if (is(o, "create"))
        judge_created(o, o->processes[0].status == 0);
    else if (!is(o, "gc"))
        judge_removed(o, is(o, "remove"));
    scenario_clear(o, t->done && sweep_kind(plan) != KIND_INVISIBLE);
    return t->done;
}

static bool try(sweep *w, const place *p, unsigned number)
{
    observation o = {.scenario = &w->scenarios[p->scenario]};
    trace t = {.plan = &p->at, .fits = sweep_fits};
    (void)number;
    harness.step = sweep_text(w, p);
    scenario_mesh(&o, false);
    bool done = run_traced(&o, &t, &p->at);
    if (*o.wrong) {
        w->shared->failed++;
        scenario_explain(&o, sweep_text(w, p));
    }
    return done;
}

/* These tools handle no signal while they print, so nothing interrupts that. */
static void forget_interrupted_output(sweep *w)
{
    unsigned n = 0;
    for (unsigned i = 0; i < w->n; i++)
        if (w->places[i].at.call != SYS_write || w->places[i].at.error != EINTR)
            w->places[n++] = w->places[i];
    w->n = n;
}

static void look(sweep *w)
{
    unsigned wrong = 0;
    for (w->scenario = 0; w->scenario < w->n_scenarios; w->scenario++) {
        observation o = {.scenario = &scenarios[w->scenario]};
        trace t = {.seen = sweep_seen, .arg = w};
        scenario_mesh(&o, false);
        run_traced(&o, &t, NULL);
        if (*o.wrong) {
            wrong++;
            scenario_explain(&o, o.scenario->name);
        }
    }
    forget_interrupted_output(w);
    ok(wrong == 0 && w->n > 0, "%u tools are only looked at: all is well, and there are %u points", w->n_scenarios,
       w->n);
}

static const char *const always[] = {
    "remove/x0/1/socket/1/error=ENOBUFS",        /* removed, and nobody was woken */
    "create-streams/x0/1/openat/1/error=EMFILE", /* took a process that it could not look at for gone */
    "create-streams/x0/1/ftruncate/1/error=EINTR",
    "gc/x0/1/newfstatat/1/error=ENOMEM", /* did not say why */
    "gc/x0/1/dup3/1/error=EINTR",
    NULL,
};

int main(int argc, char **argv)
{
    const task all = {.scenarios = scenarios,
                      .n_scenarios = N_OF(scenarios),
                      .want = sandbox_number("MPP_TOOL_INJECTIONS", SCALED(150, 10)) * sandbox_number("MPP_ROUNDS", 1),
                      .look = look,
                      .try = try,
                      .always = always};
    return sweep_main(&all, argc > 1 ? argv[1] : NULL);
}
