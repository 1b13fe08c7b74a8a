/* Out of descriptors: each call of the library with room for 0, 1, 2, ... more, until it has enough.
 *
 * A call that cannot go on says so with an error that names the limit, or the mesh's cause does; what is there already
 * is whole and goes on without any more; nobody is taken for dead, and nothing is removed, because it could not be
 * looked at.  Nothing is random: a failure prints call and room. */
#include "door.h"
#include "mpp-look.h"
#include "rig.h"

#include <sys/prctl.h>
#include <sys/resource.h>

/* ---- a limit ----------------------------------------------------------------------------------------- */

static struct rlimit usual;

/* Room for n descriptors more than are open now. */
static void allow_only(unsigned n)
{
    const int next = dup(STDIN_FILENO);
    const struct rlimit few = {.rlim_cur = (rlim_t)next + n, .rlim_max = usual.rlim_max};
    if (next < 0 || close(next) < 0 || setrlimit(RLIMIT_NOFILE, &few) < 0)
        bail_out("cannot set a limit: %s", strerror(errno));
}

static void allow_all(void)
{
    setrlimit(RLIMIT_NOFILE, &usual);
}

static bool names_limit(const char *text)
{
    return strstr(text, strerror(EMFILE)) && strstr(text, "ulimit -n");
}

static bool says_limit(const mpp_error *err)
{
    return err->status == MPP_S_ERROR && names_limit(err->text);
}

/* WRONG: not as promised; SHORT: it said that there were too few; ENOUGH: it went well. */
typedef enum { WRONG, SHORT, ENOUGH } verdict;
typedef verdict attempt(unsigned n, mpp_error *err);

static unsigned open_descriptors(void)
{
    return harness_entries("/proc/self/fd", "", false);
}

static void test_call(const char *what, unsigned least, attempt *f)
{
    unsigned n = 0, wrong = 0;
    verdict v;
    harness.step = what;
    do {
        mpp_error err = {.text = ""};
        const unsigned before = open_descriptors();
        v = f(n++, &err);
        allow_all();
        const bool leaked = open_descriptors() != before, left = harness_count(false) > 0;
        if (v == WRONG || leaked || left)
            diag("%s, room for %u: %s%s%s; '%s'", what, n - 1, v == WRONG ? "not as promised" : "right",
                 leaked ? ", leaks" : "", left ? ", leaves files" : "", err.text);
        wrong += v == WRONG || leaked || left;
    } while (v != ENOUGH && n < 40);
    ok(wrong == 0 && v == ENOUGH && n > least, "%s: needs %u descriptors, and with fewer names the limit", what, n - 1);
}

/* ---- meshes ------------------------------------------------------------------------------------------ */

static mpp_mesh_options options(void)
{
    return (mpp_mesh_options){.producers = 2, .consumers = 2, .ring_size = RIG_RING, .name = "few"};
}

static mpp_mesh *mesh(void)
{
    const mpp_mesh_options o = options();
    return harness_mesh(&o);
}

static verdict judge(int result, const mpp_error *err)
{
    return result == 0 ? ENOUGH : says_limit(err) ? SHORT : WRONG;
}

static verdict try_create(unsigned n, mpp_error *err)
{
    mpp_mesh_options o = options();
    mpp_mesh *m = NULL;
    o.pid = getpid(); /* whose start is looked up */
    allow_only(n);
    const verdict v = judge(mpp_mesh_create(&o, &m, err), err);
    allow_all();
    mpp_mesh_close(&m);
    if (v == ENOUGH)
        mpp_mesh_remove("few", NULL);
    return v;
}

static verdict try_open(unsigned n, mpp_error *err)
{
    mpp_mesh *m = mesh(), *again = NULL;
    mpp_mesh_close(&m);
    allow_only(n);
    const verdict v = judge(mpp_mesh_open("few", &again, err), err);
    allow_all();
    mpp_mesh_close(&again);
    mpp_mesh_remove("few", NULL);
    return v;
}

/* ---- attaching --------------------------------------------------------------------------------------- */

static int be_there(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    if (d->role == 'p')
        harness_producer(m, d->index, 1);
    else
        mpp_start(harness_consumer(m, d->index), 0);
    say(d, 'i');
    stay(d);
    return 0;
}

/* Asleep in the same mesh: it has to hear of a failure when who failed has left, if not before. */
static bool sleeps(mpp_consumer *c)
{
    mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    return mpp_arm(NULL, c, MPP_COMPUTING);
}

static bool woken(mpp_consumer *c)
{
    struct pollfd fd = {mpp_consumer_fd(c), POLLIN, 0};
    const bool rang = poll(&fd, 1, 0) == 1;
    mpp_disarm(NULL, c);
    return rang;
}

/* To a mesh that is tied to a process, with a peer in another, and one that sleeps. */
static verdict try_attach(char role, unsigned n, mpp_error *err)
{
    mpp_mesh_options o = options();
    mpp_producer *p = NULL;
    mpp_consumer *c = NULL;
    mpp_error cause = {.text = ""};
    const mpp_attach_options a = {.index = 0, .runs = 1};
    o.pid = getppid();
    mpp_mesh *m = harness_mesh(&o);
    door d = door_open(m, role == 'p' ? 'c' : 'p', 0);
    const pid_t pid = harness_fork(be_there, &d);
    hear(&d);
    mpp_consumer *sleeper = harness_consumer(m, 1);
    const bool asleep = sleeps(sleeper);
    allow_only(n);
    const int attached = role == 'p' ? mpp_producer_attach(m, &a, &p, err) : mpp_consumer_attach(m, &a, &c, err);
    if (p) {
        mpp_service(p);
        mpp_end(p, 0);
    }
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    allow_all();
    const bool heard = woken(sleeper);
    const bool told = mpp_mesh_cause(m, &cause);
    if (attached == 0)
        *err = cause;
    verdict v = attached == 0 && !told ? ENOUGH : SHORT;
    if (!asleep || (attached < 0 && !says_limit(err)) || (told && !(heard && names_limit(cause.text))))
        v = WRONG;
    if (attached < 0 && !told && claim_status(m, role, 0, &cause) != MPP_S_DONE) /* nobody was there */
        v = WRONG;
    mpp_consumer_detach(&sleeper);
    kill(pid, SIGKILL);
    harness_reap(pid);
    door_close(&d);
    mesh_end(&m);
    return v;
}

static verdict try_attach_producer(unsigned n, mpp_error *err)
{
    return try_attach('p', n, err);
}

static verdict try_attach_consumer(unsigned n, mpp_error *err)
{
    return try_attach('c', n, err);
}

/* ---- looking and cleaning up ------------------------------------------------------------------------- */

/* Who sleeps in a mesh that is removed is woken, or it was not removed. */
static verdict try_remove(unsigned n, mpp_error *err)
{
    mpp_mesh *m = mesh();
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_batch b;
    mpp_start(c, 0);
    mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    bool asleep = mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK && mpp_arm(NULL, c, MPP_COMPUTING);
    door d = door_open(m, 'c', 0);
    fflush(stdout);
    const pid_t pid = fork(); /* not from here, where the mesh is open already */
    if (pid == 0) {
        allow_only(n);
        const verdict v = judge(mpp_mesh_remove(d.id, err), err);
        _exit((int)v);
    }
    verdict v = (verdict)harness_reap(pid);
    struct pollfd fd = {mpp_consumer_fd(c), POLLIN, 0};
    const bool heard = poll(&fd, 1, v == ENOUGH ? 2000 : 0) == 1;
    mpp_disarm(NULL, c);
    if (!asleep || (v == ENOUGH && !heard))
        v = WRONG;
    snprintf(err->text, sizeof err->text, "%s, %s", asleep ? "asleep" : "awake", heard ? "woken" : "not woken");
    mpp_consumer_detach(&c);
    door_close(&d);
    mesh_end(&m);
    return v;
}

/* Whoever it is tied to lives, also when that cannot be looked up. */
static verdict try_snapshot(unsigned n, mpp_error *err)
{
    mpp_snapshot *s = NULL;
    mpp_mesh_options o = options();
    o.pid = getppid();
    mpp_mesh *m = harness_mesh(&o);
    mpp_mesh_close(&m);
    allow_only(n);
    verdict v = judge(mpp_snapshot_take("few", &s, err), err);
    allow_all();
    if (v == ENOUGH && s->garbage) {
        snprintf(err->text, sizeof err->text, "%s", s->garbage);
        v = WRONG;
    }
    mpp_snapshot_free(&s);
    mpp_mesh_remove("few", NULL);
    return v;
}

/* One mesh that is finished, and one that is not and belongs to a process that lives. */
static verdict try_gc(unsigned n, mpp_error *err)
{
    mpp_mesh_options o = {.producers = 1, .consumers = 1, .ring_size = RIG_RING, .keep = true};
    mpp_mesh *over = harness_mesh(&o);
    harness_come_and_go(over);
    mpp_mesh_close(&over);
    o = options();
    o.pid = getppid();
    mpp_mesh *m = harness_mesh(&o);
    mpp_mesh_close(&m);
    allow_only(n);
    const int removed = mpp_mesh_gc(NULL, NULL, err);
    allow_all();
    mpp_error why = {.text = ""};
    verdict v = removed == 1 ? ENOUGH : removed < 0 && says_limit(err) ? SHORT : WRONG;
    if (harness_try_open("few", &why) != MPP_S_DONE) {
        *err = why;
        v = WRONG;
    }
    mpp_mesh_gc(NULL, NULL, NULL);
    mpp_mesh_remove("few", NULL);
    return v;
}

/* ---- what is there goes on --------------------------------------------------------------------------- */

static void test_going_on(void)
{
    rig r;
    mpp_mesh_options o = rig_options(NULL, 0, 2);
    harness.step = "going on without descriptors";
    rig_open(&r, &o, 1, false);
    bool asked = rig_ask(&r, 0), put = true;
    allow_only(0);
    for (unsigned i = 0; i < 1000; i++)
        put &= rig_put(&r, 0, "0123456789", i % 10) == MPP_OK;
    const bool finished = rig_finish(&r, 0);
    allow_all();
    ok(asked && put && finished && r.got[0][0].n + r.got[1][0].n == 1000 * 9 / 2 + 1000,
       "what is attached goes on when there are no descriptors left");
    rig_close(&r);
    ok(rig_leftovers == 0, "and is gone at its end");
}

int main(void)
{
    harness_begin(120);
    getrlimit(RLIMIT_NOFILE, &usual);
    test_call("making a mesh", 1, try_create);
    test_call("opening one", 1, try_open);
    test_call("attaching a producer", 3, try_attach_producer);
    test_call("attaching a consumer", 3, try_attach_consumer);
    test_call("removing a mesh", 1, try_remove);
    test_call("a snapshot", 1, try_snapshot);
    test_call("collecting", 1, try_gc);
    test_going_on();
    harness_end();
    return done_testing();
}
