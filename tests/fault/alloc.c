/* Out of memory: the n-th allocation of a call fails, for every n that it gets to.
 *
 * Each call of the library that allocates says so with an mpp_error (or errno, or the mesh's cause) that names it,
 * neither crashes nor leaks, and leaves a mesh that is whole: what was accepted before and after is delivered.  What
 * allocates is wrapped by the linker (-Wl,--wrap), so the same runs under LeakSanitizer; without it, what is allocated
 * is counted.  Nothing is random: a failure prints call and n. */
#include "door.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "rig.h"

#include <sys/prctl.h>

/* ---- an allocator that fails ------------------------------------------------------------------------- */

static struct {
    unsigned at, seen; /* fail the at-th from now on, 0: none */
    bool failed;
    long live; /* allocated and not freed */
} memory;

static bool denied(void)
{
    if (memory.at == 0 || ++memory.seen != memory.at)
        return false;
    memory.failed = true;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    memory.live += p != NULL;
    return p;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n)
{
    return denied() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return denied() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (denied())
        return NULL;
    return p ? __real_realloc(p, n) : counted(__real_realloc(p, n));
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    return denied() ? NULL : counted(__real_aligned_alloc(alignment, n));
}

char *__wrap_strdup(const char *s)
{
    return denied() ? NULL : counted(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
    return denied() ? NULL : counted(__real_strndup(s, n));
}

void __wrap_free(void *p)
{
    memory.live -= p != NULL;
    __real_free(p);
}

static void deny(unsigned n)
{
    memory.at = n;
    memory.seen = 0;
    memory.failed = false;
}

static void allow(void)
{
    memory.at = 0;
}

/* ---- one call, again and again ----------------------------------------------------------------------- */

enum { CALLS_MAX = 200 };

/* Whether all was as promised; the call is made between deny(n) and allow(), and only then memory.failed tells. */
typedef bool attempt(unsigned n, mpp_error *err);

static bool names_memory(const char *text)
{
    return strstr(text, strerror(ENOMEM)) || strstr(text, "memory");
}

static bool says_memory(const mpp_error *err)
{
    return err->status == MPP_S_ERROR && names_memory(err->text);
}

static void test_call(const char *what, attempt *f)
{
    unsigned n = 0, wrong = 0;
    harness.step = what;
    do {
        mpp_error err = {.text = ""};
        const long before = memory.live;
        const bool right = f(++n, &err);
        if (!right || memory.live != before || harness_count(false) > 0)
            diag("%s, allocation %u: %s; '%s', %ld leaked, %u files left", what, n, right ? "right" : "not as promised",
                 err.text, memory.live - before, harness_count(true));
        wrong += !right || memory.live != before || harness_count(false) > 0;
    } while (memory.failed && n < CALLS_MAX);
    ok(wrong == 0 && n > 1 && n < CALLS_MAX, "%s: any of its %u allocations may fail", what, n - 1);
}

/* ---- meshes ------------------------------------------------------------------------------------------ */

static const mpp_stream_options keyed[] = {
    {.name = "a", .format = {.delimiter = '\n'}, .key = "3,1", .separator = '\t'},
    {.name = "b", .format = {.delimiter = '\n'}, .key = "1", .separator = '\t', .partition = "range:m"},
};

static mpp_mesh_options keyed_options(void)
{
    return (mpp_mesh_options){
        .producers = 1, .consumers = 2, .streams = keyed, .n_streams = 2, .ring_size = RIG_RING, .name = "keyed"};
}

static mpp_mesh *keyed_mesh(void)
{
    const mpp_mesh_options o = keyed_options();
    return harness_mesh(&o);
}

static bool try_create(unsigned n, mpp_error *err)
{
    const mpp_mesh_options o = keyed_options();
    mpp_mesh *m = NULL;
    deny(n);
    const int made = mpp_mesh_create(&o, &m, err);
    allow();
    bool right = memory.failed ? made < 0 && !m && says_memory(err) : made == 0;
    mpp_mesh_close(&m);
    if (!memory.failed)
        mpp_mesh_remove("keyed", NULL);
    return right;
}

static bool try_open(unsigned n, mpp_error *err)
{
    mpp_mesh *m = keyed_mesh(), *again = NULL;
    mpp_mesh_close(&m);
    deny(n);
    const int opened = mpp_mesh_open("keyed", &again, err);
    allow();
    bool right = memory.failed ? opened < 0 && !again && says_memory(err) : opened == 0;
    mpp_mesh_close(&again);
    m = harness_open("keyed");
    harness_come_and_go(m);
    mpp_mesh_close(&m);
    mpp_mesh_remove("keyed", NULL);
    return right;
}

static bool try_remove(unsigned n, mpp_error *err)
{
    mpp_mesh *m = keyed_mesh();
    mpp_mesh_close(&m);
    deny(n);
    const int removed = mpp_mesh_remove("keyed", err);
    allow();
    bool right = memory.failed ? removed < 0 && says_memory(err) : removed == 0;
    return right && mpp_mesh_remove("keyed", NULL) == 0;
}

/* ---- attaching --------------------------------------------------------------------------------------- */

/* Somebody of the other role, in another process, so that there is somebody to watch. */
static int be_there(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    if (d->role == 'p')
        harness_producer(m, d->index, 1);
    else
        harness_consumer(m, d->index);
    say(d, 'i');
    stay(d);
    return 0;
}

static int attach(mpp_mesh *m, char role, mpp_producer **p, mpp_consumer **c, mpp_error *err)
{
    const mpp_attach_options o = {.index = 0, .runs = 1, .label = "x"};
    return role == 'p' ? mpp_producer_attach(m, &o, p, err) : mpp_consumer_attach(m, &o, c, err);
}

/* It fails, and nobody is the wiser, or all are told why; or it succeeds, and all are told what it could not do. */
static bool try_attach(char role, unsigned n, mpp_error *err)
{
    mpp_mesh *m = keyed_mesh();
    mpp_producer *p = NULL;
    mpp_consumer *c = NULL;
    mpp_error cause = {.text = ""};
    door d = door_open(m, role == 'p' ? 'c' : 'p', 0);
    pid_t pid = harness_fork(be_there, &d);
    hear(&d);
    deny(n);
    const int attached = attach(m, role, &p, &c, err);
    allow();
    const bool told = mpp_mesh_cause(m, &cause);
    bool right = attached == 0 && !told && !memory.failed;
    if (memory.failed && attached == 0)
        right = told && names_memory(cause.text);
    else if (memory.failed)
        right = says_memory(err) &&
                (told ? strstr(cause.text, "could not attach") != NULL : attach(m, role, &p, &c, &cause) == 0);
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    kill(pid, SIGKILL);
    harness_reap(pid);
    door_close(&d);
    mesh_end(&m);
    return right;
}

static bool try_attach_producer(unsigned n, mpp_error *err)
{
    return try_attach('p', n, err);
}

static bool try_attach_consumer(unsigned n, mpp_error *err)
{
    return try_attach('c', n, err);
}

/* ---- records ----------------------------------------------------------------------------------------- */

enum { LONG = 40000, SHORT = 300 };
static char text[LONG];

static mpp_outcome put(rig *r, unsigned stream, const void *record, size_t len, mpp_error *err)
{
    mpp_outcome outcome = mpp_try_produce(r->p, stream, record, len);
    if (outcome == MPP_ERROR)
        snprintf(err->text, sizeof err->text, "%s", strerror(errno));
    return outcome;
}

/* A record of `len` bytes into a stream of a mesh of two consumers; then the same again, and one more. */
static bool try_record(unsigned n, unsigned stream, const char *record, size_t len, unsigned target, mpp_error *err)
{
    rig r;
    const mpp_mesh_options o = rig_options(keyed, 2, 2);
    rig_open(&r, &o, 1, false);
    bool right = rig_ask(&r, stream);
    deny(n);
    const mpp_outcome outcome = put(&r, stream, record, len, err);
    allow();
    const unsigned refused = outcome == MPP_ERROR;
    right &= memory.failed ? refused && names_memory(err->text) : !refused;
    if (refused || outcome == MPP_WOULD_BLOCK)
        right &= rig_put(&r, stream, record, len) == MPP_OK;
    right &= rig_put(&r, stream, record, len) == MPP_OK && rig_finish(&r, stream);
    right &= r.got[target][stream].n == 2 * (len + 1) && r.got[1 - target][stream].n == 0;
    rig_close(&r);
    return right;
}

static unsigned target_of(unsigned stream, const char *of)
{
    const mpp_mesh_options o = rig_options(keyed, 2, 2);
    mpp_mesh *m = harness_mesh(&o);
    const int where = mpp_mesh_where(m, stream, of, strlen(of));
    mesh_end(&m);
    return (unsigned)where;
}

static bool try_long_record(unsigned n, mpp_error *err)
{
    return try_record(n, 1, text, LONG, target_of(1, "x"), err);
}

/* Its key is two fields that are joined in memory of our own: without it nobody knows whom it is for. */
static bool try_joined_key(unsigned n, mpp_error *err)
{
    static const char record[] = "one\ttwo\tthree";
    return try_record(n, 0, record, sizeof record - 1, target_of(0, "three\tone"), err);
}

/* The same lines by mpp_fill() to two consumers. */
static bool try_fill(unsigned n, mpp_error *err)
{
    rig r;
    int ends[2];
    size_t got, all = 0;
    const mpp_mesh_options o = rig_options(keyed, 2, 2);
    rig_open(&r, &o, 1, false);
    bool right = rig_ask(&r, 0);
    if (pipe2(ends, O_CLOEXEC) < 0)
        bail_out("pipe: %s", strerror(errno));
    for (unsigned i = 0; i < SHORT; i++)
        all += (size_t)dprintf(ends[1], "%u\tx\t%u\n", i, i % 7);
    all += write(ends[1], "no end", 6) == 6 ? 7 : 0;
    close(ends[1]);
    mpp_outcome outcome = MPP_OK;
    deny(n);
    for (got = 1; outcome == MPP_OK && got > 0;)
        outcome = mpp_fill(r.p, 0, ends[0], 1000, &got, err);
    if (outcome == MPP_OK)
        outcome = mpp_fill_end(r.p, 0, err);
    allow();
    right &= memory.failed ? outcome == MPP_ERROR && says_memory(err) : outcome == MPP_OK;
    bool again = outcome == MPP_ERROR;
    for (got = 1; again && got > 0;)
        right &= mpp_fill(r.p, 0, ends[0], 1000, &got, err) == MPP_OK;
    right &= !again || mpp_fill_end(r.p, 0, err) == MPP_OK;
    right &= rig_finish(&r, 0) && r.got[0][0].n + r.got[1][0].n == all;
    close(ends[0]);
    rig_close(&r);
    return right;
}

/* Parts of a long record are put together by the consumer: when it cannot, it fails, and says why. */
static bool try_next(unsigned n, mpp_error *err)
{
    rig r;
    mpp_batch b = {.data = NULL};
    const mpp_mesh_options o = rig_options(keyed, 2, 2);
    const unsigned target = target_of(1, "x");
    rig_open(&r, &o, 1, false);
    bool right = rig_ask(&r, 1) && rig_put(&r, 1, text, LONG) == MPP_OK;
    mpp_flush(r.p);
    deny(n);
    mpp_outcome outcome = mpp_next(r.c[target], 1, MPP_PRODUCER_ANY, &b);
    allow();
    right &= memory.failed ? outcome != MPP_OK : outcome == MPP_OK && b.len == LONG + 1;
    if (outcome == MPP_OK)
        mpp_release(r.c[target], &b);
    while (outcome != MPP_GONE && memory.failed) /* what can be had after all is to be had */
        if ((outcome = mpp_next(r.c[target], 1, MPP_PRODUCER_ANY, &b)) == MPP_OK)
            mpp_release(r.c[target], &b);
    if (mpp_mesh_cause(r.mesh, err) || memory.failed)
        right &= says_memory(err) && mpp_service(r.p) == MPP_GONE;
    rig_close(&r);
    return right;
}

static bool try_wait(unsigned n, mpp_error *err)
{
    rig r;
    struct pollfd fds[20];
    const mpp_mesh_options o = rig_options(keyed, 2, 2);
    rig_open(&r, &o, 1, false);
    for (unsigned i = 0; i < 20; i++)
        fds[i] = (struct pollfd){.fd = -1};
    mpp_wait(r.p, NULL, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    deny(n);
    errno = 0;
    const int woken = mpp_wait(r.p, NULL, MPP_COMPUTING, fds, 20, 1);
    snprintf(err->text, sizeof err->text, "%s", strerror(errno));
    allow();
    const bool right = memory.failed ? woken < 0 && names_memory(err->text) : woken >= 0;
    rig_close(&r);
    return right;
}

/* ---- looking and cleaning up ------------------------------------------------------------------------- */

static bool try_snapshot(unsigned n, mpp_error *err)
{
    rig r;
    mpp_snapshot *s = NULL;
    mpp_hot_key hot;
    const mpp_mesh_options o = rig_options(keyed, 2, 2);
    rig_open(&r, &o, 1, false);
    bool right = rig_ask(&r, 0) && rig_put(&r, 0, "a\tb\tc", 5) == MPP_OK;
    mpp_flush(r.p);
    deny(n);
    const int taken = mpp_snapshot_take(mpp_mesh_id(r.mesh), &s, err);
    const bool found = taken == 0 && s->n_channels > 0 && mpp_snapshot_hot_key(s, &s->channels[0], &hot);
    allow();
    if (memory.failed)
        right &= !found && (taken == 0 || (!s && says_memory(err)));
    else
        right &= found && strcmp(hot.key, "c\ta") == 0;
    mpp_snapshot_free(&s);
    mpp_end(r.p, 0);
    rig_close(&r);
    return right;
}

static bool try_list(unsigned n, mpp_error *err)
{
    char **ids = NULL;
    mpp_mesh *m = keyed_mesh();
    deny(n);
    errno = 0;
    const int listed = mpp_mesh_list(&ids);
    snprintf(err->text, sizeof err->text, "%d, %s", listed, strerror(errno));
    allow();
    const bool right = memory.failed ? listed < 0 && !ids && names_memory(err->text) : listed == 1;
    for (int i = 0; i < listed; i++)
        free(ids[i]);
    free(ids);
    mesh_end(&m);
    return right;
}

/* What could not be looked at is said, and is there for the next one. */
static bool try_gc(unsigned n, mpp_error *err)
{
    mpp_mesh_options o = keyed_options();
    o.keep = true;
    mpp_mesh *m = harness_mesh(&o);
    harness_come_and_go(m);
    mkdir(m->socket_dir, 0700);
    mpp_mesh_close(&m);
    deny(n);
    const int removed = mpp_mesh_gc(NULL, NULL, err);
    allow();
    bool right = memory.failed ? removed < 0 && says_memory(err) : removed == 1;
    return mpp_mesh_gc(NULL, NULL, NULL) >= 0 && right;
}

int main(void)
{
    harness_begin(120);
    memset(text, 'x', sizeof text);
    test_call("making a mesh", try_create);
    test_call("opening one", try_open);
    test_call("removing one", try_remove);
    test_call("attaching a producer", try_attach_producer);
    test_call("attaching a consumer", try_attach_consumer);
    test_call("a long record", try_long_record);
    test_call("a record whose key is joined", try_joined_key);
    test_call("filling", try_fill);
    test_call("putting a long record together", try_next);
    test_call("waiting for many descriptors", try_wait);
    test_call("a snapshot", try_snapshot);
    test_call("the list of meshes", try_list);
    test_call("collecting", try_gc);
    harness_end();
    return done_testing();
}
