/* What errors say: one line whatever things are called, with the reason at its end and the limit that was run into; the
 * same class and reason for everybody, whoever passed an mpp_error; and of a failing callback something in any case. */
#include "base/error.h"
#include "mesh/mesh.h"
#include "mpp-look.h"
#include "rig.h"

#include <sys/resource.h>

/* ---- the text --------------------------------------------------------------------------------------- */

static void test_plain(void)
{
    mpp_error err;
    mpp_mesh *m = NULL;
    error_set(&err, MPP_S_ERROR, 0, "a%cb%cc%cd", '\n', 0x1b, 0x7f);
    ok(strcmp(err.text, "a?b?c?d") == 0, "control characters of names become '?': %s", err.text);
    const bool open = mpp_mesh_open("a\033[2Jb\n", &m, &err) == 0;
    ok(!open && strstr(err.text, "'a?[2Jb?'") && !strchr(err.text, '\n'), "also of a mesh's id: %s", err.text);
    mpp_stream_options stream = {.name = "a\tb", .format = {MPP_DELIMITED, '\n', 0}};
    mpp_mesh_options o = rig_options(&stream, 1, 1);
    ok(mpp_mesh_create(&o, &m, &err) < 0 && strstr(err.text, "'a?b'"), "and of a stream's name: %s", err.text);
}

static bool ends(const char *text, const char *with)
{
    const size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

static void test_long(size_t n)
{
    char name[5000];
    mpp_error err;
    mpp_mesh *m = NULL;
    memset(name, 'x', n);
    name[n] = 0;
    error_set(&err, MPP_S_ERROR, ENOENT, "cannot open '%s'", name);
    ok(strncmp(err.text, "cannot open 'xx", 15) == 0 && ends(err.text, "x': No such file or directory") &&
           (n + 100 > sizeof err.text) == (strstr(err.text, "...") != NULL),
       "a name of %zu bytes leaves room for the reason (%zu)", n, strlen(err.text));
    ok(mpp_mesh_open(name, &m, &err) < 0 && strncmp(err.text, "'xxx", 4) == 0 && ends(err.text, "at most 63"),
       "also where the reason is a part of the text");
    const mpp_error told = error_told(&(mpp_error){.status = MPP_S_TIMEOUT, .os_error = 7, .final = true}, name);
    ok(told.status == MPP_S_TIMEOUT && told.os_error == 7 && told.final && told.text[0] == 'x',
       "one that was told without a text gets one");
}

static void test_limit(int os_error, int resource, const char *see)
{
    struct rlimit old, low;
    mpp_error err;
    if (getrlimit((__rlimit_resource_t)resource, &old) < 0)
        bail_out("getrlimit: %s", strerror(errno));
    low = old;
    low.rlim_cur = old.rlim_max < 123456789 ? old.rlim_max : 123456789;
    setrlimit((__rlimit_resource_t)resource, &low);
    error_set(&err, MPP_S_ERROR, os_error, "cannot");
    char number[32];
    snprintf(number, sizeof number, " is %llu", (unsigned long long)low.rlim_cur);
    ok(strstr(err.text, number) && strstr(err.text, see) && err.os_error == os_error, "%s", err.text);
    low.rlim_cur = old.rlim_max;
    setrlimit((__rlimit_resource_t)resource, &low);
    error_set(&err, MPP_S_ERROR, os_error, "cannot");
    if (old.rlim_max == RLIM_INFINITY)
        ok(!strstr(err.text, see), "and where none is set, none is named: %s", err.text);
    setrlimit((__rlimit_resource_t)resource, &old);
}

/* ---- failing to attach ------------------------------------------------------------------------------ */

static void test_attach(char role, bool passes)
{
    mpp_error err = {0}, cause = {0};
    mpp_producer *p = NULL;
    mpp_consumer *c = NULL;
    mpp_mesh_options o = harness_smallest();
    mpp_mesh *m = harness_mesh(&o);
    const mpp_attach_options options = {.index = 0, .runs = 1};
    mesh_channel(m, 0, 0, 0)->write = 3; /* no position */
    const int attached = role == 'p' ? mpp_producer_attach(m, &options, &p, passes ? &err : NULL)
                                     : mpp_consumer_attach(m, &options, &c, passes ? &err : NULL);
    const bool told = mpp_mesh_cause(m, &cause);
    ok(attached < 0 && told && cause.status == MPP_S_CORRUPT && strstr(cause.text, "positions") &&
           (!passes || (err.status == MPP_S_CORRUPT && strstr(err.text, "positions"))),
       "%s that cannot attach, %s an mpp_error: everybody learns why, and of what class: %s",
       role == 'p' ? "a producer" : "a consumer", passes ? "with" : "without", cause.text);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

/* ---- removing --------------------------------------------------------------------------------------- */

static void test_remove(void)
{
    mpp_error opened, removed;
    mpp_mesh *m = NULL;
    mpp_mesh_options o = harness_smallest();
    o.name = "errors";
    m = harness_mesh(&o);
    mpp_mesh_close(&m);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    const int open = mpp_mesh_open("errors", &m, &opened), remove = mpp_mesh_remove("errors", &removed);
    const int collected = mpp_mesh_gc(NULL, NULL, NULL);
    setrlimit(RLIMIT_NOFILE, &old);
    ok(open < 0 && remove < 0 && removed.os_error == EMFILE && removed.status == opened.status &&
           strcmp(removed.text, opened.text) == 0 && collected < 0,
       "what keeps a mesh from being removed is handed on whole: %s", removed.text);
    mpp_mesh_remove("errors", NULL);
}

int main(void)
{
    harness_begin(60);
    harness.step = "errors";
    test_plain();
    for (size_t n = 100; n < 5000; n = n * 2 - 1)
        test_long(n);
    test_limit(EMFILE, RLIMIT_NOFILE, "ulimit -n");
    test_limit(EFBIG, RLIMIT_FSIZE, "ulimit -f");
    test_limit(EAGAIN, RLIMIT_NPROC, "ulimit -u");
    test_limit(ENOMEM, RLIMIT_DATA, "ulimit -d");
    if (!HARNESS_SANITIZED)
        test_limit(ENOMEM, RLIMIT_AS, "ulimit -v");
    for (unsigned i = 0; i < 4; i++)
        test_attach(i % 2 ? 'p' : 'c', i / 2);
    test_remove();
    harness_end();
    return done_testing();
}
