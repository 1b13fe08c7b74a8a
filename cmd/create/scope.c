#include "create/scope.h"

#include "command/command.h"
#include "command/spawn.h"
#include "command/status.h"
#include "common/cli.h"
#include "common/errand.h"
#include "common/io.h"
#include "common/signals.h"
#include "mpp-look.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the signal that ends us until we end, whoever is still there; and until those are told once more of the seal who
 * could not be. */
enum { GRACE_MS = 2000, AGAIN_NS = 100000000 };

typedef struct scope {
    mpp_mesh *mesh;
    bool keep;
    char *const *argv; /* the command */
    command command;
    unsigned told;    /* signals that were heard, as signals_times() */
    int signal;       /* the first of them, which ends us; 0: none */
    int64_t deadline; /* once it is there */
    int status;       /* the first failure's */
    mpp_error error;  /* of who could not wait; status MPP_S_DONE: nobody */
} scope;

/* ---- the end ------------------------------------------------------------------------------------ */

static void first_failure(scope *s, int status, const char *text)
{
    if (s->status != MPP_S_DONE || s->signal || status == MPP_S_DONE)
        return;
    s->status = status;
    cli_warn("%s", text);
}

static void discard(scope *s)
{
    mpp_error error;
    if (!s->keep && mpp_mesh_discard(s->mesh, &error) < 0)
        first_failure(s, (int)error.status, error.text);
}

/* The first one ends all that is there; another one says that there is no time for that. */
static void hear(scope *s)
{
    signals_caught();
    const unsigned times = signals_times(); /* behind that: what comes now wakes us again */
    if (s->told == times)
        return;
    s->told = times;
    s->deadline = s->signal ? mpp_now() : mpp_now() + GRACE_MS * INT64_C(1000000);
    if (s->signal)
        return;
    s->signal = signals_noted();
    discard(s);
    command_end(&s->command);
}

/* Until something has happened, or at `again` (0: never), or there is no time left: false. */
static bool pause_for(const scope *s, int fd, int64_t again)
{
    struct pollfd set[] = {{.fd = signals_fd(), .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    const int64_t now = mpp_now(), of_command = command_over(&s->command) ? 0 : command_deadline(&s->command),
                  due = io_earlier(io_earlier(s->deadline, of_command), again);
    if (s->deadline && s->deadline <= now)
        return false;
    poll(set, 2, due == 0 ? -1 : due <= now ? 0 : (int)((due - now) / 1000000) + 1);
    return true;
}

/* ---- those who are in it ------------------------------------------------------------------------- */

static void await_command(scope *s)
{
    do {
        hear(s);
        command_attend(&s->command);
    } while (!command_over(&s->command) && pause_for(s, -1, 0));
}

/* A scope in ours has told of its failure. */
static void command_failed(scope *s, const char *text)
{
    const char *name = strrchr(s->argv[0], '/');
    const bool told =
        strcmp(name ? name + 1 : s->argv[0], "mpp-create") == 0 && !s->command.not_run && WIFEXITED(s->command.status);
    if (!told)
        first_failure(s, command_failure(&s->command), text);
    else if (s->status == MPP_S_DONE && !s->signal)
        s->status = command_failure(&s->command);
}

/* The command is over, but not reaped yet: its process group has no other number than that. */
static void take_status(scope *s)
{
    static const ok_list zero = OK_DEFAULT;
    char text[MPP_TEXT_MAX];
    if (s->signal && s->command.pid > 0)
        kill(-s->command.pid, SIGKILL); /* who was started by it and has not obeyed */
    command_close(&s->command);
    if (!command_ok(&s->command, &zero))
        command_failed(s, command_status_text(&s->command, text, sizeof text));
}

static void await_left(const errand *self, void *arg)
{
    scope *s = arg;
    (void)self;
    mpp_mesh_await_left(s->mesh, &s->error);
}

/* Nobody attaches any more.  Those who are attached end by themselves; we only wait for it. */
static void await_participants(scope *s)
{
    bool sealed = mpp_mesh_seal(s->mesh); /* before we look who is there */
    errand *left = errand_begin(await_left, NULL, s);
    if (!left) {
        first_failure(s, MPP_S_ERROR, "cannot wait for those in the mesh: no thread is to be had");
        return;
    }
    do {
        hear(s);
        if (!sealed)
            sealed = mpp_mesh_seal(s->mesh);
    } while (!errand_done(left) && pause_for(s, errand_fd(left), sealed ? 0 : mpp_now() + AGAIN_NS));
    if (!errand_done(left))
        return; /* we are about to die of the signal, with its thread */
    errand_end(&left);
    if (s->error.status != MPP_S_DONE)
        first_failure(s, (int)s->error.status, s->error.text);
}

/* In the command's guard: we were killed, and so was the command's process group. */
static void tidy_up(void *arg)
{
    const scope *s = arg;
    mpp_mesh *own; /* the descriptors of s->mesh are closed here */
    if (s->keep || mpp_mesh_open(mpp_mesh_id(s->mesh), &own, NULL) < 0)
        return;
    mpp_mesh_discard(s->mesh, NULL);
    if (strcmp(mpp_mesh_directory(own), mpp_mesh_directory(s->mesh)) == 0) /* not another of that name */
        mpp_mesh_await_left(own, NULL);
    mpp_mesh_discard(s->mesh, NULL); /* who was about to remove it was killed, too, and had kept us from it */
}

/* The mesh of a scope around us would be hidden by ours. */
static void set_environment(const mpp_mesh *mesh)
{
    const char *around = getenv("MPP_MESH");
    if (around)
        setenv("MPP_OUTER", around, 1);
    setenv("MPP_MESH", mpp_mesh_id(mesh), 1);
}

/* In the guard of scope_begin(): we were killed, maybe before the mesh could be anybody else's.  It is nobody's as soon
 * as we are gone, which is a moment after our descriptors are closed. */
static void free_mesh(void *arg)
{
    const pid_t *us = arg;
    struct pollfd gone = {.fd = (int)syscall(SYS_pidfd_open, *us, 0), .events = POLLIN};
    if (gone.fd >= 0)
        poll(&gone, 1, GRACE_MS);
    mpp_mesh_free_tied();
}

int scope_begin(guard *maker, mpp_error *err)
{
    pid_t us = getpid();
    return guard_start(maker, -1, free_mesh, &us) < 0 ? io_error(err, errno, "cannot guard the mesh") : 0;
}

int scope_run(mpp_mesh *mesh, bool keep, char *const argv[], guard *maker)
{
    scope s = {.mesh = mesh, .keep = keep, .argv = argv, .command = COMMAND_INIT};
    mpp_error early = {.status = MPP_S_DONE}, late = early, missed = early;
    s.command.orphaned = tidy_up;
    s.command.arg = &s;
    set_environment(mesh);
    if (command_spawn(&s.command, argv, COMMAND_ALONE, NULL, &s.error) < 0) {
        discard(&s);
        cli_die(&s.error);
    }
    guard_end(maker); /* the command has one */
    await_command(&s);
    if (!s.command.no_terminal)
        mpp_mesh_cause(mesh, &early); /* else what fails from here on follows from how the command ended */
    await_participants(&s);
    first_failure(&s, (int)early.status, early.text);
    take_status(&s);
    mpp_mesh_cause(mesh, &late);
    first_failure(&s, (int)late.status, late.text);
    if (mpp_mesh_missed(mesh, &missed))
        first_failure(&s, (int)missed.status, missed.text);
    hear(&s);
    discard(&s);
    if (s.signal)
        signals_die(s.signal);
    return s.status;
}
