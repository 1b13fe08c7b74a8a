/* toolcalls.c - mpp-create and mpp-stat are killed at, or lied to by, any one of their system calls
 *
 * Shows: a mesh is there as a whole or not at all, however mpp-create ends; --remove and --gc that were cut short can be
 * done again; mpp-stat never disturbs whom it looks at.  What fails is overcome, or is an error that says why.  Nothing is
 * left in the end.
 *
 * MPP_TOOL_INJECTIONS is how many there are to be (300), MPP_SEED which ones.  A failure prints its point; called with
 * that, the program does it again, and with `list` it prints all points. */
#include "judge.h"

#define IDLE "p0 -- sleep 1000", "p1 -- sleep 1000", "c0 -- cat", "c1"

static const scene scenes[] = {
    {"create", NULL, 1, 1, .seats = {"x0 mpp-create -r 64K --name @", "p0 in.0", "c0"}},
    {"create-streams", NULL, 1, 1, .seats = {"x0 mpp-create -r 64K --name @ --pid 1 -t : -k 2n", "p0 <", "c0"}},
    {"remove", "-r 64K", 2, 2, .seats = {"x0 mpp-create --remove @", IDLE}},
    {"gc", "-r 64K", 2, 2, .seats = {"x0 mpp-create --gc", IDLE}},
    {"stat", "-r 64K", 2, 2, .seats = {"x0 mpp-stat @", IDLE}},
    {"stat-all", "-r 64K", 2, 2, .seats = {"x0 mpp-stat", IDLE}},
    {"stat-json", "-r 64K", 2, 2, .seats = {"x0 mpp-stat --json @", IDLE}},
    {"stat-why", "-r 64K", 2, 2, .seats = {"x0 mpp-stat --why --for 1m @", IDLE}},
};

static bool is(const show *s, const char *what)
{
    return strncmp(s->scene->name, what, strlen(what)) == 0;
}

/* Start all but the victim. */
static void start_others(show *s)
{
    for (unsigned i = 1; i < s->n_seats; i++)
        scene_start(s, &s->seats[i], NULL);
}

static void end_by_kill(show *s)
{
    for (unsigned i = 1; i < s->n_seats; i++)
        kill(s->seats[i].pid, SIGKILL);
    scene_collect(s, stage_now() + SCENE_SECONDS * INT64_C(1000000000));
}

/* Run the victim to its end. */
static void run_victim(show *s, trace *t)
{
    int status;
    pid_t pid;
    int64_t deadline = stage_now() + SCENE_SECONDS * INT64_C(1000000000);
    scene_start(s, &s->seats[0], trace_me);
    while (s->seats[0].status < 0 && (pid = scene_event(deadline, &status)) > 0)
        if (WIFSTOPPED(status))
            trace_stopped(t, pid, status);
        else
            scene_ended(s, pid, status);
    if (s->seats[0].status < 0)
        scene_show_hang(s);
}

/* ---- what must hold ------------------------------------------------------------------------------------- */

static void judge_victim(show *s, const point *done)
{
    const seat *t = &s->seats[0];
    kind of = done ? sweep_kind(done) : KIND_INVISIBLE;
    judge_words(s, t, of == KIND_KILL);
    if (of == KIND_INVISIBLE && t->status != 0)
        complain(s, "it exits %d, and nothing was done to it", t->status);
    if (of == KIND_KILL && t->status != 128 + SIGKILL)
        complain(s, "it exits %d when it is killed", t->status);
    if (of == KIND_ERROR)
        judge_error(s, t, done->error);
}

/* A mesh that has a name works, and goes. */
static void judge_created(show *s, bool succeeded)
{
    mpp_mesh *m;
    mpp_error err;
    bytes out = stage_read("out.x0");
    if (mpp_mesh_open(s->mesh, &m, &err) < 0) {
        if (succeeded || err.status != MPP_S_NO_MESH)
            complain(s, "the mesh cannot be opened: %s", err.text);
        bytes_free(&out);
        return;
    }
    mpp_mesh_close(&m);
    bytes_add(&out, "", 1);
    if (succeeded && (strncmp((char *)out.data, s->mesh, strlen(s->mesh)) != 0 || out.n != strlen(s->mesh) + 2))
        complain(s, "it prints '%s'", (char *)out.data);
    bytes_free(&out);
    start_others(s);
    if (!scene_collect(s, stage_now() + SCENE_SECONDS * INT64_C(1000000000)))
        scene_show_hang(s);
    for (unsigned i = 1; i < s->n_seats; i++)
        if (s->seats[i].status != 0)
            complain(s, "%s exits %d in what was created", s->seats[i].name, s->seats[i].status);
    if (!scene_got(s, 0).complete)
        complain(s, "not all went through what was created");
}

/* Whom it looked at is still there, undisturbed; they go when they are removed, which another one may have begun. */
static void judge_removed(show *s, bool begun)
{
    char text[128];
    scene_collect(s, 0);
    for (unsigned i = 1; i < s->n_seats && !begun; i++)
        if (s->seats[i].status >= 0)
            complain(s, "%s has ended, with %d", s->seats[i].name, s->seats[i].status);
    snprintf(text, sizeof text, "mpp-create --remove %s", s->mesh);
    if (scene_command(s, text) != 0)
        complain(s, "it cannot be removed");
    if (!scene_collect(s, stage_now() + SCENE_SECONDS * INT64_C(1000000000)))
        scene_show_hang(s);
    for (unsigned i = 1; i < s->n_seats; i++)
        if (s->seats[i].status != MPP_S_NO_MESH)
            complain(s, "%s exits %d when the mesh is removed", s->seats[i].name, s->seats[i].status);
}

/* ---- one run -------------------------------------------------------------------------------------------- */

static bool perform(show *s, trace *t, const point *plan)
{
    for (unsigned i = 0; i < SEATS_MAX && s->scene->seats[i]; i++)
        scene_seat(s, s->scene->seats[i], false);
    if (!is(s, "create")) {
        start_others(s);
        scene_attached(s);
    }
    if (is(s, "gc"))
        end_by_kill(s);
    run_victim(s, t);
    judge_victim(s, t->done ? plan : NULL);
    if (is(s, "create"))
        judge_created(s, s->seats[0].status == 0);
    else if (!is(s, "gc"))
        judge_removed(s, is(s, "remove"));
    scene_clear(s, t->done && sweep_kind(plan) != KIND_INVISIBLE);
    return t->done;
}

static bool try(sweep *w, const place *p, unsigned number)
{
    show s = {.scene = &w->scenes[p->scene]};
    trace t = {.plan = &p->at, .fits = sweep_fits};
    (void)number;
    harness.step = sweep_text(w, p);
    scene_mesh(&s, false);
    bool done = perform(&s, &t, &p->at);
    if (*s.wrong) {
        w->shared->failed++;
        scene_explain(&s, sweep_text(w, p));
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
    for (w->scene = 0; w->scene < w->n_scenes; w->scene++) {
        show s = {.scene = &scenes[w->scene]};
        trace t = {.seen = sweep_seen, .arg = w};
        scene_mesh(&s, false);
        perform(&s, &t, NULL);
        if (*s.wrong) {
            wrong++;
            scene_explain(&s, s.scene->name);
        }
    }
    forget_interrupted_output(w);
    ok(wrong == 0 && w->n > 0, "%u tools are only looked at: all is well, and there are %u points", w->n_scenes, w->n);
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
    const task all = {.scenes = scenes,
                      .n_scenes = N_OF(scenes),
                      .want = stage_number("MPP_TOOL_INJECTIONS", SCALED(300, 10)),
                      .look = look,
                      .try = try,
                      .always = always};
    return sweep_main(&all, argc > 1 ? argv[1] : NULL);
}
