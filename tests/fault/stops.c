/* stops.c - random participants and commands are stopped for longer than anybody waits, and go on
 *
 * Shows: time alone means nothing.  Whoever is stopped (SIGSTOP), alone, with others or again and again, at whatever
 * it is doing, and whoever waits for it meanwhile: when it goes on every output is byte-exact, each exit status 0,
 * and nobody has said a word.  While a participant is stopped its doorbell is rung until it takes no more, which has
 * no effect either.
 *
 * Outputs are held against what they have to be byte by byte, which is more than a sum of them.  MPP_STOPS is how
 * many rounds there are to be (200), MPP_SEED which; a failure prints the seed that repeats its round alone:
 * MPP_STOPS=1 MPP_SEED=SEED. */
#include "judge.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { PROCESSES = 4, COMMANDS = PROCESSES, MESHES = 16, PIECES = 40 };

/* For so long they wait for others, so many times 600 ms; who is stopped is stopped for longer, mostly.  On a busy
 * machine who is not stopped may be late, too. */
static unsigned slower = 1;

static void set_patience(char text[64])
{
    const double load = harness_load() / 2;
    slower = (HARNESS_SANITIZED ? 5 : 1) * (unsigned)(load < 1 ? 1 : load > 4 ? 4 : load + 0.5);
    snprintf(text, 64, "--timeout %ums --attach-timeout %ums", 600 * slower, 1200 * slower);
}

static scenario flow = {.name = "flow", .mesh = "-r 64K", .producers = 2, .consumers = 2};

static void make_flow(void)
{
    static char texts[PROCESSES][96];
    static const char *const processes[PROCESSES] = {"p0 %s -- ./drip", "p1 %s -- ./drip", "c0 %s", "c1 %s -- cat"};
    char patience[64];
    set_patience(patience);
    for (unsigned i = 0; i < PROCESSES; i++) {
        snprintf(texts[i], sizeof texts[i], processes[i], patience);
        flow.processes[i] = texts[i];
    }
}

typedef struct tally {
    _Atomic unsigned next, stops, full, failed;
} tally;

static struct {
    tally *t;
    unsigned want, seed;
} all;

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* What ./drip does: its input in pieces, with a little time between. */
static int drip(const char *index)
{
    char name[16];
    snprintf(name, sizeof name, "in.%.2s", index);
    bytes in = sandbox_read(name);
    size_t piece = in.n / PIECES + 1;
    for (size_t at = 0; at < in.n; at += piece) {
        for (size_t done = 0, n = in.n - at < piece ? in.n - at : piece; done < n;) {
            ssize_t k = write(STDOUT_FILENO, in.data + at + done, n - done);
            if (k < 0)
                return 1;
            done += (size_t)k;
        }
        pause_ms(10);
    }
    return 0;
}

/* ---- who is stopped --------------------------------------------------------------------------------------- */

/* A choice is a set of processes, and, from bit COMMANDS on, of their commands. */

/* The pids of a choice: of processes, and of commands, which are all children of one but its guard. */
static unsigned chosen(const observation *o, unsigned choice, pid_t *pids, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 0; i < PROCESSES; i++) {
        const process *p = &o->processes[i];
        if (choice >> i & 1 && p->status < 0)
            pids[n++] = p->pid;
        pid_t command = choice >> (COMMANDS + i) & 1 && p->status < 0 ? scenario_command_of(p->pid) : 0;
        if (command && n < max)
            pids[n++] = command;
    }
    return n;
}

static unsigned choose(void)
{
    static const unsigned sets[] = {0x0f, 0x03, 0x0c, 0x05, 0x0a, 0xbf, 0x33};
    unsigned how = (unsigned)tap_random(8);
    if (how < 5)
        return 1u << tap_random(PROCESSES);
    if (how == 5)
        return 1u << COMMANDS << tap_random(PROCESSES);
    return sets[tap_random(N_OF(sets))];
}

/* Ring the doorbells of the participants that are stopped until they are full. */
static void fill_bells(unsigned choice)
{
    static const char *const names[PROCESSES] = {"p0", "p1", "c0", "c1"};
    DIR *d = opendir("s");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (struct dirent *e; d && (e = readdir(d));)
        for (unsigned i = 0; e->d_name[0] != '.' && i < PROCESSES; i++) {
            struct sockaddr_un a = {.sun_family = AF_UNIX};
            if (!(choice >> i & 1))
                continue;
            snprintf(a.sun_path, sizeof a.sun_path, "s/%.32s/%s.sock", e->d_name, names[i]);
            while (sendto(fd, "", 1, MSG_DONTWAIT, (const struct sockaddr *)&a, sizeof a) == 1)
                ;
            all.t->full += errno == EAGAIN;
        }
    if (d)
        closedir(d);
    close(fd);
}

static void stop(const observation *o)
{
    pid_t pids[2 * PROCESSES];
    unsigned choice = choose(), n = chosen(o, choice, pids, 2 * PROCESSES);
    for (unsigned i = 0; i < n; i++)
        kill(pids[i], SIGSTOP);
    if (tap_random(2))
        fill_bells(choice);
    all.t->stops += n > 0;
    pause_ms(slower * (unsigned)(tap_random(4) ? 650 + tap_random(800) : tap_random(200)));
    for (unsigned i = 0; i < n; i++)
        kill(pids[i], SIGCONT);
}

/* ---- one round --------------------------------------------------------------------------------------------- */

static void one_round(unsigned seed)
{
    observation o = {.scenario = &flow};
    char replay[64];
    tap.random = seed;
    scenario_mesh(&o, false);
    for (unsigned i = 0; i < PROCESSES; i++)
        scenario_start(&o, scenario_add(&o, flow.processes[i], false), NULL);
    scenario_attached(&o); /* of one who has not come yet nobody knows that it is stopped */
    for (unsigned times = 1 + (unsigned)tap_random(3); times > 0; times--) {
        pause_ms((unsigned)tap_random(200));
        stop(&o);
        scenario_collect(&o, 0);
    }
    if (!scenario_collect(&o, sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000)))
        scenario_explain_hang(&o);
    judge(&o, 0, NULL, false);
    if (!*o.wrong)
        return;
    all.t->failed++;
    snprintf(replay, sizeof replay, "MPP_STOPS=1 MPP_SEED=%u", seed);
    scenario_explain(&o, replay);
}

static void work(void *arg)
{
    unsigned number;
    sandbox_script("drip", arg);
    while ((number = atomic_fetch_add(&all.t->next, 1)) < all.want && all.t->failed < 20)
        one_round(all.seed + number);
}

int main(int argc, char **argv)
{
    char script[600] = "#!/bin/sh\nexec ";
    size_t n = strlen(script);
    if (argc > 2)
        return drip(argv[2]);
    ssize_t k = readlink("/proc/self/exe", script + n, 512);
    strcpy(script + n + (k > 0 ? k : 0), " drip $MPP_INDEX\n");
    make_flow();
    all.t = sandbox_shared(sizeof *all.t);
    all.want = sandbox_number("MPP_STOPS", SCALED(100, 5)) * sandbox_number("MPP_ROUNDS", 1);
    sandbox_seed();
    all.seed = (unsigned)tap.random;
    all.t->failed += sandbox_workers(all.want < MESHES ? all.want : MESHES, 60 + all.want * 2, work, script);
    ok(all.t->failed == 0 && all.t->stops >= all.want,
       "%u rounds, %u stops, %u doorbells filled: byte-exact, exit 0, not a word", all.want, all.t->stops, all.t->full);
    return done_testing();
}
