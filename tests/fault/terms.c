/* terms.c - each tool gets SIGTERM in each state that it can be in, and is gone at once
 *
 * Shows: whatever a tool waits for, or whoever keeps it waiting, it hears SIGTERM: the median and all but the slowest
 * of twenty are gone within 50 ms (asked for when the machine itself is quick: beside each a sleep(1) is sent SIGTERM,
 * too), each within a second; it dies of the signal, or ends well where its reader has gone; so do those who are told,
 * and nothing is left behind.
 *
 * MPP_TERMS is how many rounds there are to be (200; MPP_ROUNDS multiplies it), MPP_SEED which; a failure prints the
 * seed that repeats its round alone: MPP_TERMS=1 MPP_SEED=SEED.  MPP_STATE=WORD takes the states with WORD in their
 * names. */
#include "judge.h"
#include "mpp-look.h"

#include <sys/ioctl.h>
#include <termios.h>

enum { MOST_MS = 1000 * (HARNESS_SANITIZED ? 5 : 1), SOON_MS = 50, QUICK_MS = 8 };
enum { WHATEVER = -1, SIGNALLED = 128 + SIGTERM };

/* ---- what a process has at its descriptors ------------------------------------------------------------------- */

/* A pipe whose other end the tool holds itself, without knowing; filled when full. */
static void pipe_as(int fd, bool writes, bool full)
{
    int ends[2];
    char nothing[4096] = "";
    if (pipe(ends) < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
        _exit(126);
    while (full && write(ends[1], nothing, sizeof nothing) > 0)
        ;
    if (fcntl(ends[1], F_SETFL, 0) < 0 || dup2(ends[writes], fd) < 0)
        _exit(126);
}

static void idle_input(void)
{
    pipe_as(STDIN_FILENO, false, false);
}

static void full_output(void)
{
    pipe_as(STDOUT_FILENO, true, true);
}

static void full_messages(void)
{
    pipe_as(STDERR_FILENO, true, true);
}

static void unread_output(void)
{
    int ends[2];
    if (pipe(ends) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
        _exit(126);
    close(ends[0]);
    close(ends[1]);
}

/* As Ctrl-S does. */
static void stopped_terminal_as(int fd)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
        (slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0 || tcflow(slave, TCOOFF) < 0 || dup2(slave, fd) < 0)
        _exit(126);
}

static void stopped_terminal(void)
{
    stopped_terminal_as(STDOUT_FILENO);
}

static void stopped_messages(void)
{
    stopped_terminal_as(STDERR_FILENO);
}

/* ---- the states -------------------------------------------------------------------------------------------- */

typedef struct state {
    const char *name;
    const char *processes[3]; /* the victim first */
    int doing;                /* what it does then, or WHATEVER: after a moment */
    void (*prepare[3])(void);
    int status;       /* besides that of the signal: how it may end, 0: only so */
    char crowd[4];    /* which others may be there as well: p, c */
    const char *mesh; /* options, NULL: a random choice */
    bool well;        /* or with 0: its reader has gone, or all is done */
    unsigned missing; /* producers that never come */
} state;

static const state states[] = {
    {.name = "a producer that waits to be asked", .processes = {"p0 in.0"}, .doing = MPP_WAITING_START, .crowd = "p"},
    {.name = "a producer that waits for space",
     .processes = {"p0 -- yes", "c0"},
     .doing = MPP_WAITING_SPACE,
     .prepare = {NULL, full_output},
     .crowd = "p"},
    {.name = "a producer of an idle pipe",
     .processes = {"p0", "c0"},
     .doing = MPP_READING_INPUT,
     .prepare = {idle_input},
     .crowd = "pc"},
    {.name = "a producer of a FIFO that nobody writes",
     .processes = {"p0 fifo", "c0"},
     .doing = MPP_READING_INPUT,
     .crowd = "pc"},
    {.name = "a producer whose command is silent",
     .processes = {"p0 -- sleep 1000", "c0"},
     .doing = MPP_READING_INPUT,
     .crowd = "pc"},
    {.name = "a producer that waits for all",
     .processes = {"p0 --barrier in.0"},
     .doing = MPP_WAITING_PEERS,
     .crowd = "p"},
    {.name = "a producer that looks for a record's boundary",
     .processes = {"p0 --slice=1/2 --slice-by bytes huge", "c0"},
     .doing = WHATEVER,
     .mesh = "--max-record 4G"},
    {.name = "all producers at once", .processes = {"pA --all -- sleep 1000", "c0"}, .doing = WHATEVER},
    {.name = "a producer that has just begun", .processes = {"p0 in.0"}, .doing = WHATEVER, .crowd = "p"},
    {.name = "a consumer that waits for data",
     .processes = {"c0", "p0"},
     .doing = MPP_WAITING_DATA,
     .prepare = {NULL, idle_input},
     .crowd = "pc"},
    {.name = "a consumer that waits for producers", .processes = {"c0"}, .doing = MPP_WAITING_DATA, .crowd = "c"},
    {.name = "a consumer whose output is full",
     .processes = {"c0", "p0 -- yes"},
     .doing = MPP_WRITING_OUTPUT,
     .prepare = {full_output},
     .crowd = "p"},
    {.name = "a consumer whose output is a stopped terminal",
     .processes = {"c0", "p0 -- yes"},
     .doing = MPP_WRITING_OUTPUT,
     .prepare = {stopped_terminal},
     .crowd = "p"},
    {.name = "a consumer of a FIFO that nobody reads",
     .processes = {"c0 -o fifo", "p0 in.0"},
     .doing = MPP_WRITING_OUTPUT,
     .crowd = "pc"},
    {.name = "a consumer of two FIFOs that nobody reads",
     .processes = {"c0 -s a=fifo -s b=fofi", "p0 -s a=in.0 -s b=in.1"},
     .doing = MPP_WRITING_OUTPUT,
     .mesh = "-s a -s b"},
    {.name = "a consumer whose command does not read",
     .processes = {"c0 -- sleep 1000", "p0 -- yes"},
     .doing = MPP_WRITING_OUTPUT,
     .crowd = "p"},
    {.name = "a consumer whose command goes on",
     .processes = {"c0 -- sleep 1000", "p0 /dev/null"},
     .doing = MPP_WAITING_COMMAND},
    {.name = "a consumer that waits for all", .processes = {"c0 --barrier"}, .doing = MPP_WAITING_PEERS, .crowd = "c"},
    {.name = "a consumer that waits for all and for a reader",
     .processes = {"c0 --barrier -o fifo"},
     .doing = WHATEVER,
     .crowd = "c"},
    {.name = "a merge that lacks a producer",
     .processes = {"c0 --merge", "p0 in.0"},
     .doing = MPP_WAITING_DATA,
     .mesh = "-k 1",
     .missing = 1},
    {.name = "one stream after the other, in a lane that the other one fills",
     .processes = {"c0 --sequential -s a=out.a -s b=out.b", "p0 --eager -s a=|./sleep-1000 -s b=|yes"},
     .doing = WHATEVER,
     .mesh = "--lanes 1 -r 64K -s a -s b"},
    {.name = "a consumer whose reader has gone",
     .processes = {"c0 --barrier"},
     .doing = WHATEVER,
     .prepare = {unread_output},
     .crowd = "c",
     .well = true},
    {.name = "a consumer that has just begun", .processes = {"c0"}, .doing = WHATEVER, .crowd = "c"},
    {.name = "a consumer whose words nobody takes",
     .processes = {"c0", "p0 -- false"},
     .doing = WHATEVER,
     .prepare = {full_messages},
     .status = MPP_S_FAILED},
    {.name = "a producer whose words nobody takes",
     .processes = {"p0 -- false", "c0"},
     .doing = WHATEVER,
     .prepare = {full_messages},
     .status = 1},
    {.name = "a producer whose words go to a stopped terminal",
     .processes = {"p0 --progress -- false", "c0"},
     .doing = WHATEVER,
     .prepare = {stopped_messages},
     .status = 1},
    {.name = "a summary for a FIFO that nobody reads",
     .processes = {"c0 --summary=fifo", "p0"},
     .doing = MPP_WAITING_DATA,
     .prepare = {NULL, idle_input}},
    {.name = "mpp-stat --watch", .processes = {"x0 mpp-stat --watch 0.05 @", "p0 in.0"}, .doing = WHATEVER},
    {.name = "mpp-stat whose output is full",
     .processes = {"x0 mpp-stat --watch 0.05 @", "p0 in.0"},
     .doing = WHATEVER,
     .prepare = {full_output}},
    {.name = "mpp-stat --why",
     .processes = {"x0 mpp-stat --why @", "p0 in.0"},
     .doing = WHATEVER,
     .status = MPP_S_STALLED,
     .well = true},
    {.name = "mpp-create", .processes = {"x0 mpp-create --name also-@"}, .doing = WHATEVER, .well = true},
};

/* ---- one round ------------------------------------------------------------------------------------------------ */

static struct {
    int64_t *took, *quick; /* ns of each round: the victim's end, and that of a sleep(1) */
    unsigned n, failed, past;
} all;

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L}, NULL);
}

static void make_files(void)
{
    sandbox_script("sleep-1000", "#!/bin/sh\nexec sleep 1000\n");
    int huge = open("huge", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (mkfifo("fifo", 0644) < 0 || mkfifo("fofi", 0644) < 0 || huge < 0 || ftruncate(huge, INT64_C(1) << 40) < 0)
        bail_out("cannot make a file: %s", strerror(errno));
    close(huge);
}

/* Does it do what it has to be doing?  It may need a moment to get there. */
static bool reached(const observation *o, const state *how)
{
    const process *victim = &o->processes[0];
    mpp_snapshot *now;
    bool so = false;
    if (mpp_snapshot_take(o->mesh, &now, NULL) < 0)
        return false;
    for (unsigned i = 0; i < now->n_participants; i++)
        so |= now->participants[i].role == victim->role &&
              now->participants[i].index == (unsigned)(victim->index - '0') && now->participants[i].activity &&
              (int)now->participants[i].doing == how->doing;
    mpp_snapshot_free(&now);
    return so;
}

static void await_state(const observation *o, const state *how)
{
    const int64_t end = sandbox_now() + INT64_C(5000000000);
    while (how->doing != WHATEVER && !reached(o, how) && sandbox_now() < end)
        pause_us(1000);
    all.past += how->doing != WHATEVER && sandbox_now() >= end;
    pause_us((unsigned)(how->doing == WHATEVER && tap_random(3) == 0 ? tap_random(3000) : tap_random(60000)));
}

/* Nanoseconds from SIGTERM to its end. */
static int64_t end_of(observation *o, process *p)
{
    const int64_t begin = sandbox_now();
    int status;
    pid_t pid;
    kill(p->pid, SIGTERM);
    while (p->status < 0 && (pid = scenario_event(begin + SCENARIO_SECONDS * INT64_C(1000000000), &status)) > 0)
        scenario_ended(o, pid, status);
    return (p->status < 0 ? sandbox_now() : p->ended_ns) - begin;
}

static void check_status(observation *o, const state *how, const process *p, bool running)
{
    const bool right =
        p->status == SIGNALLED || (how->well && p->status == 0) || (how->status && p->status == how->status);
    if (p->status < 0)
        complain(o, "it is still there");
    else if (running ? !right : p->status == MPP_S_USAGE) /* or it was never in that state */
        complain(o, "its status is %d", p->status);
}

/* Those who are left learn of it, or are told as well. */
static void end_others(observation *o)
{
    scenario_collect(o, sandbox_now() + INT64_C(1000000000));
    for (unsigned i = 1; i < o->n_processes; i++)
        if (o->processes[i].pid && o->processes[i].status < 0)
            kill(o->processes[i].pid, SIGTERM);
    if (!scenario_collect(o, sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000)))
        scenario_explain_hang(o);
}

static void clear(observation *o, bool attached)
{
    char text[128];
    if (attached && scenario_left(o, false) > 0)
        complain(o, "%u things are left", scenario_left(o, true));
    snprintf(text, sizeof text, "mpp-create --remove %s", o->mesh);
    scenario_command(o, text);
    snprintf(text, sizeof text, "mpp-create --remove also-%s", o->mesh);
    scenario_command(o, text);
    if (scenario_left(o, false) > 0)
        complain(o, "%u things are left after --remove", scenario_left(o, true));
}

static int64_t end_of_sleep(void)
{
    observation o = {.mesh = ""};
    process *p = scenario_add(&o, "x8 sleep 1000", false);
    scenario_start(&o, p, NULL);
    pause_us(3000);
    return end_of(&o, p);
}

static void one_round(const state *how, unsigned seed)
{
    static const char *const meshes[] = {"", "-r 64K", "-P broadcast", "-k 1"};
    char replay[64];
    scenario plan = {.name = how->name, .producers = 1 + how->missing, .consumers = 1};
    observation o = {.scenario = &plan};
    plan.mesh = how->mesh ? how->mesh : meshes[tap_random(N_OF(meshes))];
    const bool more_p = strchr(how->crowd, 'p') && tap_random(2), more_c = strchr(how->crowd, 'c') && tap_random(2);
    plan.producers += (unsigned)more_p;
    plan.consumers += (unsigned)more_c;
    if (how->doing == MPP_WAITING_PEERS || strstr(how->processes[0], "--barrier"))
        plan.producers++; /* who never comes */
    scenario_mesh(&o, false);
    for (unsigned i = 0; i < N_OF(how->processes) && how->processes[i]; i++)
        scenario_start(&o, scenario_add(&o, how->processes[i], false), how->prepare[i]);
    if (more_p)
        scenario_start(&o, scenario_add(&o, "p1 in.1", false), NULL);
    if (more_c)
        scenario_start(&o, scenario_add(&o, "c1", false), NULL);
    await_state(&o, how);
    const bool here = reached(&o, how) && o.processes[0].role != 'x';
    scenario_collect(&o, 0);
    const bool running = o.processes[0].status < 0;
    all.took[all.n] = running ? end_of(&o, &o.processes[0]) : 0;
    check_status(&o, how, &o.processes[0], running);
    if (all.took[all.n] > MOST_MS * INT64_C(1000000))
        complain(&o, "it took %.1f ms", (double)all.took[all.n] / 1e6);
    end_others(&o);
    clear(&o, here);
    all.quick[all.n++] = end_of_sleep();
    if (!*o.wrong)
        return;
    all.failed++;
    snprintf(replay, sizeof replay, "MPP_TERMS=1 MPP_SEED=%u: %s", seed, how->name);
    scenario_explain(&o, replay);
}

/* ---- all of them ---------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* In ms: of the n values so many per cent are not longer. */
static double within(int64_t *values, unsigned percent)
{
    qsort(values, all.n, sizeof *values, by_value);
    return (double)values[(all.n - 1) * percent / 100] / 1e6;
}

static const state *choose(unsigned number)
{
    const char *word = getenv("MPP_STATE");
    for (unsigned i = 0; i < N_OF(states); i++) {
        const state *how = &states[(number + i) % N_OF(states)];
        if (!word || strstr(how->name, word))
            return how;
    }
    bail_out("no state has '%s' in its name", word);
}

int main(void)
{
    const unsigned want = sandbox_number("MPP_TERMS", SCALED(200, 5)) * sandbox_number("MPP_ROUNDS", 1);
    harness_begin(60 + want * 2);
    sandbox_begin();
    sandbox_seed();
    make_files();
    all.took = calloc(want, sizeof *all.took);
    all.quick = calloc(want, sizeof *all.quick);
    const unsigned seed = (unsigned)tap.random;
    for (unsigned i = 0; i < want && all.failed < 20; i++) {
        tap.random = seed + i;
        one_round(choose((unsigned)tap_random(N_OF(states))), seed + i);
    }
    const double quick = within(all.quick, 95), most = within(all.took, 100), soon = within(all.took, 95);
    diag("from SIGTERM to the end: median %.2f ms, 95 %% within %.2f ms, most %.2f ms; sleep(1): 95 %% within %.2f ms",
         within(all.took, 50), soon, most, quick);
    ok(all.failed == 0, "%u rounds: gone, as one who was told to, and nothing is left (%u states were not reached)",
       all.n, all.past);
    ok(quick > QUICK_MS || HARNESS_SANITIZED || soon <= SOON_MS, "95 %% of them were gone within %d ms", SOON_MS);
    sandbox_end();
    harness_end();
    return done_testing();
}
