/* scenario.h - a small mesh whose participants are the tools themselves, run to its end whatever happens to them
 *
 * A scenario is written down as text: the options of mpp-create, and for each process who it is and its arguments:
 *
 *     "p0 in.0"              mpp-produce -i 0 in.0              FILE in.I has the records of producer I
 *     "p1 <"                 cat in.1 | mpp-produce -i 1
 *     "pA --all -- ./give"   one process of each index          ./give is cat in.$MPP_INDEX
 *     "c0 -- cat"            mpp-consume -i 0 -- cat            its output is out.0 (with --all: of ./take)
 *     "c1 | --tag"           mpp-consume -i 1 --tag | cat
 *     "x0 mpp-stat @"        any command; what ends in @ ends in the mesh's id
 *
 * Every wait has a deadline. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "mpp-look.h"
#include "sandbox.h"

enum { PROCESSES_MAX = 6, WORDS_MAX = 24, SCENARIO_SECONDS = 10 * (HARNESS_SANITIZED ? 10 : 1) };

typedef struct scenario {
    const char *name;
    const char *mesh; /* options of mpp-create, as words; NULL: the processes make their own */
    unsigned producers, consumers;
    split split;
    unsigned enough; /* 0, or the records after which the one consumer of one producer stops */
    const char *processes[PROCESSES_MAX];
} scenario;

typedef struct process {
    char name[8], text[160];
    char role, index; /* as in the name: p, c or x; 0 to 9 or A */
    pid_t pid;        /* 0: not started */
    int status;       /* exit status, 128 + a signal's number; -1: runs */
    int64_t ended_ns;
    bool late; /* it takes the place of another */
} process;

/* One run of a scenario. */
typedef struct observation {
    const scenario *scenario;
    char mesh[MPP_NAME_MAX + 1];
    process processes[2 * PROCESSES_MAX];
    unsigned n_processes;
    char wrong[4096]; /* what was not as promised; empty: nothing */
} observation;

__attribute__((format(printf, 2, 3))) static inline void complain(observation *o, const char *format, ...)
{
    va_list ap;
    size_t n = strlen(o->wrong);
    va_start(ap, format);
    vsnprintf(o->wrong + n, sizeof o->wrong - n, format, ap);
    va_end(ap);
    n = strlen(o->wrong);
    snprintf(o->wrong + n, sizeof o->wrong - n, "\n");
}

/* What a process said on standard error, as a string. */
static inline char *scenario_said(const process *p)
{
    char name[16];
    snprintf(name, sizeof name, "err.%s", p->name);
    bytes b = sandbox_read(name);
    bytes_add(&b, "", 1);
    return (char *)b.data;
}

/* Segments of ours and socket directories that there are; named when `tell`. */
static inline unsigned scenario_left(const observation *o, bool tell)
{
    char path[MPP_NAME_MAX + 32];
    unsigned n = harness_entries("s", "", tell);
    if (harness.private_shm)
        return n + harness_entries("/dev/shm", "mpp_", tell);
    snprintf(path, sizeof path, "/dev/shm/mpp_%s", o->mesh);
    return n + (access(path, F_OK) == 0);
}

/* ---- processes ---------------------------------------------------------------------------------------- */

/* In a child: become the command of these words. */
static inline _Noreturn void scenario_exec(char *text, const observation *o, const char *first, const char *index)
{
    char *words[WORDS_MAX + 4];
    unsigned n = 0;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (first) {
        words[n++] = (char *)first;
        words[n++] = (char *)o->mesh;
    }
    if (index) {
        words[n++] = "-i";
        words[n++] = (char *)index;
    }
    for (char *w = strtok(text, " "); w && n < WORDS_MAX; w = strtok(NULL, " ")) {
        char *at = strchr(w, '@');
        if (at && asprintf(&w, "%.*s%s", (int)(at - w), w, o->mesh) < 0)
            _exit(126);
        words[n++] = w;
    }
    words[n] = NULL;
    execvp(words[0], words);
    _exit(127);
}

static inline void scenario_redirect(const char *name, int flags, int fd)
{
    int from = open(name, flags, 0644);
    if (from < 0 || dup2(from, fd) < 0)
        _exit(126);
    close(from);
}

/* A `cat` at the other end of fd 0 or 1 of the child that calls this, which is to become a tool. */
static inline void scenario_pipe(const char *file, bool input)
{
    int ends[2];
    if (pipe(ends) < 0)
        _exit(126);
    if (fork() == 0) {
        if (fork() > 0) /* an orphan, so that the tool has no child that it does not know */
            _exit(0);
        dup2(ends[input], input);
        close(ends[0]);
        close(ends[1]);
        scenario_redirect(file, input ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND, !input);
        scenario_exec((char[]){"cat"}, NULL, NULL, NULL);
    }
    wait(NULL);
    dup2(ends[!input], !input);
    close(ends[0]);
    close(ends[1]);
}

/* `prepare` is called in the child before it becomes the tool. */
static inline void scenario_start(observation *o, process *p, void (*prepare)(void))
{
    static const char *const tools[] = {['p'] = "mpp-produce", ['c'] = "mpp-consume", ['x'] = NULL};
    char in[16], out[16], err[16], index[2] = {p->index, 0}, text[sizeof p->text];
    snprintf(in, sizeof in, "in.%c", p->index);
    snprintf(out, sizeof out, "out.%s%c", p->role == 'x' ? "x" : "", p->index);
    snprintf(err, sizeof err, "err.%s", p->name);
    p->status = -1;
    p->pid = fork();
    if (p->pid < 0)
        bail_out("fork: %s", strerror(errno));
    if (p->pid > 0)
        return;
    int fresh = p->late ? 0 : O_TRUNC;
    bool feeds = p->text[0] == '<', drains = p->text[0] == '|';
    strcpy(text, p->text + (feeds || drains));
    scenario_redirect(err, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    scenario_redirect(p->role == 'p' ? "/dev/null" : out, O_WRONLY | O_CREAT | O_APPEND | fresh, STDOUT_FILENO);
    scenario_redirect("/dev/null", O_RDONLY, STDIN_FILENO);
    if (feeds)
        scenario_pipe(in, true);
    if (drains)
        scenario_pipe(out, false);
    if (prepare)
        prepare();
    scenario_exec(text, o, tools[(unsigned char)p->role], p->role == 'x' || p->index == 'A' ? NULL : index);
}

static inline process *scenario_add(observation *o, const char *text, bool late)
{
    process *p = &o->processes[o->n_processes++];
    const char *arguments = strchr(text, ' ');
    *p = (process){.role = text[0], .index = text[1], .late = late};
    snprintf(p->name, sizeof p->name, "%c%c%s", text[0], text[1], late ? "+" : "");
    snprintf(p->text, sizeof p->text, "%s", arguments ? arguments + 1 : "");
    return p;
}

/* The next of our children to change: its pid with *status; 0 at the deadline, -1 when there is none. */
static inline pid_t scenario_event(int64_t deadline, int *status)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t pid = waitpid(-1, status, __WALL | WNOHANG);
        if (pid != 0)
            return pid;
        int64_t left = deadline - sandbox_now();
        if (left <= 0)
            return 0;
        sigtimedwait(&child, NULL, &(struct timespec){left / 1000000000, left % 1000000000});
    }
}

/* Note the end of a child; the process that it was, or NULL. */
static inline process *scenario_ended(observation *o, pid_t pid, int status)
{
    for (unsigned i = 0; i < o->n_processes; i++) {
        process *p = &o->processes[i];
        if (p->pid != pid || p->status >= 0)
            continue;
        p->ended_ns = sandbox_now();
        p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return p;
    }
    return NULL;
}

/* Note all ends until the deadline, or that of the last process: false when some are left then. */
static inline bool scenario_collect(observation *o, int64_t deadline)
{
    int status;
    pid_t pid;
    while ((pid = scenario_event(deadline, &status)) > 0)
        scenario_ended(o, pid, status);
    return pid < 0;
}

static inline bool scenario_running(const observation *o)
{
    for (unsigned i = 0; i < o->n_processes; i++)
        if (o->processes[i].pid && o->processes[i].status < 0)
            return true;
    return false;
}

/* The pids of our children. */
static inline unsigned scenario_children(pid_t *pids, unsigned max)
{
    char path[64];
    int pid;
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    while (f && n < max && fscanf(f, "%d", &pid) == 1)
        pids[n++] = pid;
    if (f)
        fclose(f);
    return n;
}

/* The command behind a tool, 0: there is none now. */
static inline pid_t scenario_command_of(pid_t tool)
{
    char path[64], name[32];
    int pid, found = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)tool, (int)tool);
    FILE *f = fopen(path, "re");
    while (f && !found && fscanf(f, "%d", &pid) == 1) {
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *comm = fopen(path, "re");
        /* Its guard is no command, nor is what has not become one yet. */
        if (comm && fscanf(comm, "%31s", name) == 1 && strncmp(name, "mpp-", 4) != 0)
            found = pid;
        if (comm)
            fclose(comm);
    }
    if (f)
        fclose(f);
    return (pid_t)found;
}

static inline void scenario_kill_all(void)
{
    pid_t pids[64];
    int status;
    while (waitpid(-1, &status, __WALL | WNOHANG) >= 0) {
        for (unsigned n = scenario_children(pids, 64); n > 0; n--)
            kill(pids[n - 1], SIGKILL);
        scenario_event(sandbox_now() + 10000000, &status);
    }
}

/* Run a command of ours to its end, and note what else ends meanwhile. */
static inline int scenario_command(observation *others, const char *text)
{
    observation o = {.mesh = ""};
    char whole[160];
    int status;
    pid_t pid;
    snprintf(whole, sizeof whole, "x9 %s", text);
    process *p = scenario_add(&o, whole, false);
    scenario_start(&o, p, NULL);
    while (p->status < 0 && (pid = scenario_event(sandbox_now() + SCENARIO_SECONDS * INT64_C(1000000000), &status)) > 0)
        if (!WIFSTOPPED(status) && !scenario_ended(&o, pid, status))
            scenario_ended(others, pid, status);
    return p->status;
}

/* ---- beginning and end ---------------------------------------------------------------------------------- */

/* Nothing of the last scenario, and a new mesh. */
static inline void scenario_mesh(observation *o, bool keep)
{
    static unsigned meshes;
    char text[256];
    sandbox_empty(".", "out.");
    sandbox_empty(".", "err.");
    snprintf(o->mesh, sizeof o->mesh, "fault-%d-%u", (int)harness.owner, meshes++);
    if (!o->scenario->mesh)
        return;
    snprintf(text, sizeof text, "mpp-create -p %u -c %u --name %s %s %s", o->scenario->producers,
             o->scenario->consumers, o->mesh, keep ? "--keep" : "", o->scenario->mesh);
    if (scenario_command(o, text) != 0)
        bail_out("%s failed", text);
}

/* Wait until every participant is there, or has been; or is not to be waited for any more. */
static inline void scenario_attached(const observation *o)
{
    mpp_error err;
    int64_t deadline = sandbox_now() + SCENARIO_SECONDS * INT64_C(200000000);
    for (bool missing = true; missing && sandbox_now() < deadline;) {
        mpp_snapshot *now;
        missing = false;
        if (mpp_snapshot_take(o->mesh, &now, &err) < 0)
            return;
        for (unsigned i = 0; i < now->n_participants; i++)
            missing |= now->participants[i].state == MPP_PLACE_FREE;
        mpp_snapshot_free(&now);
        nanosleep(&(struct timespec){.tv_nsec = missing ? 500000 : 0}, NULL);
    }
}

/* Somebody is still there: say who, what mpp-stat makes of it, and make an end of it. */
static inline void scenario_explain_hang(observation *o)
{
    char text[128];
    pid_t pids[64];
    for (unsigned i = 0; i < o->n_processes; i++)
        if (o->processes[i].pid && o->processes[i].status < 0)
            complain(o, "it hangs: %s (pid %d)", o->processes[i].name, (int)o->processes[i].pid);
    if (!scenario_running(o))
        complain(o, "%u processes are left", scenario_children(pids, 64));
    snprintf(text, sizeof text, "timeout 5 mpp-stat --why %s", o->mesh);
    scenario_command(o, text);
    bytes why = sandbox_read("out.x9");
    complain(o, "%.*s", (int)why.n, why.data ? (char *)why.data : "");
    bytes_free(&why);
    scenario_kill_all();
}

/* No process is left; nor is anything else, `dirty`: but what --gc takes. */
static inline void scenario_clear(observation *o, bool dirty)
{
    char text[128];
    if (scenario_left(o, false) == 0)
        return;
    if (!dirty)
        complain(o, "%u things are left before --gc", scenario_left(o, true));
    if (scenario_command(o, "mpp-create --gc") != 0)
        complain(o, "mpp-create --gc fails");
    if (scenario_left(o, false) != 0) {
        complain(o, "%u things are left after --gc", scenario_left(o, true));
        snprintf(text, sizeof text, "mpp-create --remove %s", o->mesh);
        scenario_command(o, text);
        sandbox_empty("s", "");
    }
}

static inline got scenario_got(const observation *o, unsigned j)
{
    char name[16];
    snprintf(name, sizeof name, "out.%u", j);
    bytes out = sandbox_read(name);
    got g = records_check(&out, o->scenario->split, o->scenario->producers, o->scenario->consumers, j);
    bytes_free(&out);
    if (o->scenario->enough)
        g.complete = g.records == o->scenario->enough;
    return g;
}

/* Print what was wrong, and what everybody said. */
static inline void scenario_explain(const observation *o, const char *replay)
{
    flockfile(stdout);
    diag("%s", replay);
    char *copy = strdup(o->wrong);
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        diag("    %s", line);
    free(copy);
    for (unsigned i = 0; i < o->n_processes; i++) {
        char *said = scenario_said(&o->processes[i]);
        said[strcspn(said, "\n")] = 0;
        diag("    %s exits %d: %.300s", o->processes[i].name, o->processes[i].status, said);
        free(said);
    }
    funlockfile(stdout);
}

#endif
