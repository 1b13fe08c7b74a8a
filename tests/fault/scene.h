/* scene.h - a small mesh whose participants are the tools themselves, run to its end whatever happens to them
 *
 * A scene is written down as text: the options of mpp-create, and for each seat who it is and its arguments:
 *
 *     "p0 in.0"              mpp-produce -i 0 in.0              FILE in.I has the records of producer I
 *     "p1 <"                 cat in.1 | mpp-produce -i 1
 *     "pA --all -- ./give"   one process of each index          ./give is cat in.$MPP_INDEX
 *     "c0 -- cat"            mpp-consume -i 0 -- cat            its output is out.0 (with --all: of ./take)
 *     "c1 | --tag"           mpp-consume -i 1 --tag | cat
 *     "x0 mpp-stat @"        any command; @ is the mesh
 *
 * Every wait has a deadline. */
#ifndef SCENE_H
#define SCENE_H

#include "stage.h"

enum { SEATS_MAX = 6, WORDS_MAX = 24, SCENE_SECONDS = 10 * (HARNESS_SANITIZED ? 10 : 1) };

typedef struct scene {
    const char *name;
    const char *mesh; /* options of mpp-create, as words; NULL: the seats make their own */
    unsigned producers, consumers;
    split split;
    unsigned enough; /* 0, or the records after which the one consumer of one producer stops */
    const char *seats[SEATS_MAX];
} scene;

typedef struct seat {
    char name[8], text[160];
    char role, index; /* as in the name: p, c or x; 0 to 9 or A */
    pid_t pid;        /* 0: not started */
    int status;       /* exit status, 128 + a signal's number; -1: runs */
    int64_t ended_ns;
    bool late; /* it takes the place of another */
} seat;

typedef struct show {
    const scene *scene;
    char mesh[MPP_NAME_MAX + 1];
    seat seats[2 * SEATS_MAX];
    unsigned n_seats;
    char wrong[4096]; /* what was not as promised; empty: nothing */
} show;

__attribute__((format(printf, 2, 3))) static inline void complain(show *s, const char *format, ...)
{
    va_list ap;
    size_t n = strlen(s->wrong);
    va_start(ap, format);
    vsnprintf(s->wrong + n, sizeof s->wrong - n, format, ap);
    va_end(ap);
    n = strlen(s->wrong);
    snprintf(s->wrong + n, sizeof s->wrong - n, "\n");
}

/* What a seat said on standard error, as a string. */
static inline char *scene_said(const seat *t)
{
    char name[16];
    snprintf(name, sizeof name, "err.%s", t->name);
    bytes b = stage_read(name);
    bytes_add(&b, "", 1);
    return (char *)b.data;
}

/* Segments of ours and socket directories that there are; named when `tell`. */
static inline unsigned scene_left(const show *s, bool tell)
{
    char path[MPP_NAME_MAX + 32];
    unsigned n = harness_entries("s", "", tell);
    if (harness.private_shm)
        return n + harness_entries("/dev/shm", "mpp_", tell);
    snprintf(path, sizeof path, "/dev/shm/mpp_%s", s->mesh);
    return n + (access(path, F_OK) == 0);
}

/* ---- processes ---------------------------------------------------------------------------------------- */

/* In a child: become the command of these words. */
static inline _Noreturn void scene_exec(char *text, const show *s, const char *first, const char *index)
{
    char *words[WORDS_MAX + 4];
    unsigned n = 0;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (first) {
        words[n++] = (char *)first;
        words[n++] = (char *)s->mesh;
    }
    if (index) {
        words[n++] = "-i";
        words[n++] = (char *)index;
    }
    for (char *w = strtok(text, " "); w && n < WORDS_MAX; w = strtok(NULL, " "))
        words[n++] = strcmp(w, "@") == 0 ? (char *)s->mesh : w;
    words[n] = NULL;
    execvp(words[0], words);
    _exit(127);
}

static inline void scene_redirect(const char *name, int flags, int fd)
{
    int from = open(name, flags, 0644);
    if (from < 0 || dup2(from, fd) < 0)
        _exit(126);
    close(from);
}

/* A `cat` at the other end of fd 0 or 1 of the child that calls this, which is to become a tool. */
static inline void scene_pipe(const char *file, bool input)
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
        scene_redirect(file, input ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND, !input);
        scene_exec((char[]){"cat"}, NULL, NULL, NULL);
    }
    wait(NULL);
    dup2(ends[!input], !input);
    close(ends[0]);
    close(ends[1]);
}

/* `prepare` is called in the child before it becomes the tool. */
static inline void scene_start(show *s, seat *t, void (*prepare)(void))
{
    static const char *const tools[] = {['p'] = "mpp-produce", ['c'] = "mpp-consume", ['x'] = NULL};
    char in[16], out[16], err[16], index[2] = {t->index, 0}, text[sizeof t->text];
    snprintf(in, sizeof in, "in.%c", t->index);
    snprintf(out, sizeof out, "out.%s%c", t->role == 'x' ? "x" : "", t->index);
    snprintf(err, sizeof err, "err.%s", t->name);
    t->status = -1;
    t->pid = fork();
    if (t->pid < 0)
        bail_out("fork: %s", strerror(errno));
    if (t->pid > 0)
        return;
    int fresh = t->late ? 0 : O_TRUNC;
    bool feeds = t->text[0] == '<', drains = t->text[0] == '|';
    strcpy(text, t->text + (feeds || drains));
    scene_redirect(err, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    scene_redirect(t->role == 'p' ? "/dev/null" : out, O_WRONLY | O_CREAT | O_APPEND | fresh, STDOUT_FILENO);
    scene_redirect("/dev/null", O_RDONLY, STDIN_FILENO);
    if (feeds)
        scene_pipe(in, true);
    if (drains)
        scene_pipe(out, false);
    if (prepare)
        prepare();
    scene_exec(text, s, tools[(unsigned char)t->role], t->role == 'x' || t->index == 'A' ? NULL : index);
}

static inline seat *scene_seat(show *s, const char *text, bool late)
{
    seat *t = &s->seats[s->n_seats++];
    const char *arguments = strchr(text, ' ');
    *t = (seat){.role = text[0], .index = text[1], .late = late};
    snprintf(t->name, sizeof t->name, "%c%c%s", text[0], text[1], late ? "+" : "");
    snprintf(t->text, sizeof t->text, "%s", arguments ? arguments + 1 : "");
    return t;
}

/* The next of our children to change: its pid with *status; 0 at the deadline, -1 when there is none. */
static inline pid_t scene_event(int64_t deadline, int *status)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t pid = waitpid(-1, status, __WALL | WNOHANG);
        if (pid != 0)
            return pid;
        int64_t left = deadline - stage_now();
        if (left <= 0)
            return 0;
        sigtimedwait(&child, NULL, &(struct timespec){left / 1000000000, left % 1000000000});
    }
}

/* Note the end of a child; the seat that it was, or NULL. */
static inline seat *scene_ended(show *s, pid_t pid, int status)
{
    for (unsigned i = 0; i < s->n_seats; i++) {
        seat *t = &s->seats[i];
        if (t->pid != pid || t->status >= 0)
            continue;
        t->ended_ns = stage_now();
        t->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return t;
    }
    return NULL;
}

/* Note all ends until the deadline, or that of the last process: false when some are left then. */
static inline bool scene_collect(show *s, int64_t deadline)
{
    int status;
    pid_t pid;
    while ((pid = scene_event(deadline, &status)) > 0)
        scene_ended(s, pid, status);
    return pid < 0;
}

static inline bool scene_running(const show *s)
{
    for (unsigned i = 0; i < s->n_seats; i++)
        if (s->seats[i].pid && s->seats[i].status < 0)
            return true;
    return false;
}

/* The pids of our children. */
static inline unsigned scene_children(pid_t *pids, unsigned max)
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
static inline pid_t scene_command_of(pid_t tool)
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

static inline void scene_kill_all(void)
{
    pid_t pids[64];
    int status;
    while (waitpid(-1, &status, __WALL | WNOHANG) >= 0) {
        for (unsigned n = scene_children(pids, 64); n > 0; n--)
            kill(pids[n - 1], SIGKILL);
        scene_event(stage_now() + 10000000, &status);
    }
}

/* Run a command of ours to its end, and note what else ends meanwhile. */
static inline int scene_command(show *others, const char *text)
{
    show s = {.mesh = ""};
    char whole[160];
    int status;
    pid_t pid;
    snprintf(whole, sizeof whole, "x9 %s", text);
    seat *t = scene_seat(&s, whole, false);
    scene_start(&s, t, NULL);
    while (t->status < 0 && (pid = scene_event(stage_now() + SCENE_SECONDS * INT64_C(1000000000), &status)) > 0)
        if (!WIFSTOPPED(status) && !scene_ended(&s, pid, status))
            scene_ended(others, pid, status);
    return t->status;
}

/* ---- beginning and end ---------------------------------------------------------------------------------- */

/* Nothing of the last scene, and a new mesh. */
static inline void scene_mesh(show *s, bool keep)
{
    static unsigned meshes;
    char text[256];
    stage_empty(".", "out.");
    stage_empty(".", "err.");
    snprintf(s->mesh, sizeof s->mesh, "fault-%d-%u", (int)harness.owner, meshes++);
    if (!s->scene->mesh)
        return;
    snprintf(text, sizeof text, "mpp-create -p %u -c %u --name %s %s %s", s->scene->producers, s->scene->consumers,
             s->mesh, keep ? "--keep" : "", s->scene->mesh);
    if (scene_command(s, text) != 0)
        bail_out("%s failed", text);
}

/* Wait until every participant is there, or has been; or is not to be waited for any more. */
static inline void scene_attached(const show *s)
{
    mpp_error err;
    int64_t deadline = stage_now() + SCENE_SECONDS * INT64_C(200000000);
    for (bool missing = true; missing && stage_now() < deadline;) {
        mpp_snapshot *now;
        missing = false;
        if (mpp_snapshot_take(s->mesh, &now, &err) < 0)
            return;
        for (unsigned i = 0; i < now->n_participants; i++)
            missing |= strcmp(now->participants[i].state, "free") == 0;
        mpp_snapshot_free(&now);
        nanosleep(&(struct timespec){.tv_nsec = missing ? 500000 : 0}, NULL);
    }
}

/* Somebody is still there: say who, what mpp-stat makes of it, and make an end of it. */
static inline void scene_show_hang(show *s)
{
    char text[128];
    pid_t pids[64];
    for (unsigned i = 0; i < s->n_seats; i++)
        if (s->seats[i].pid && s->seats[i].status < 0)
            complain(s, "it hangs: %s (pid %d)", s->seats[i].name, (int)s->seats[i].pid);
    if (!scene_running(s))
        complain(s, "%u processes are left", scene_children(pids, 64));
    snprintf(text, sizeof text, "timeout 5 mpp-stat --why %s", s->mesh);
    scene_command(s, text);
    bytes why = stage_read("out.x9");
    complain(s, "%.*s", (int)why.n, why.data ? (char *)why.data : "");
    bytes_free(&why);
    scene_kill_all();
}

/* No process is left; nor is anything else, `dirty`: but what --gc takes. */
static inline void scene_clear(show *s, bool dirty)
{
    char text[128];
    if (scene_left(s, false) == 0)
        return;
    if (!dirty)
        complain(s, "%u things are left before --gc", scene_left(s, true));
    if (scene_command(s, "mpp-create --gc") != 0)
        complain(s, "mpp-create --gc fails");
    if (scene_left(s, false) != 0) {
        complain(s, "%u things are left after --gc", scene_left(s, true));
        snprintf(text, sizeof text, "mpp-create --remove %s", s->mesh);
        scene_command(s, text);
        stage_empty("s", "");
    }
}

static inline got scene_got(const show *s, unsigned j)
{
    char name[16];
    snprintf(name, sizeof name, "out.%u", j);
    bytes out = stage_read(name);
    got g = records_check(&out, s->scene->split, s->scene->producers, s->scene->consumers, j);
    bytes_free(&out);
    if (s->scene->enough)
        g.complete = g.records == s->scene->enough;
    return g;
}

/* Print what was wrong, and what everybody said. */
static inline void scene_explain(const show *s, const char *replay)
{
    flockfile(stdout);
    diag("%s", replay);
    char *copy = strdup(s->wrong);
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"))
        diag("    %s", line);
    free(copy);
    for (unsigned i = 0; i < s->n_seats; i++) {
        char *said = scene_said(&s->seats[i]);
        said[strcspn(said, "\n")] = 0;
        diag("    %s exits %d: %.300s", s->seats[i].name, s->seats[i].status, said);
        free(said);
    }
    funlockfile(stdout);
}

#endif
