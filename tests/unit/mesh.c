/* Meshes: what can be made of which options, under which names, and for how long it stays. */
#include "mesh/mesh.h"
#include "harness.h"
#include "mesh/sockets.h"
#include "mpp-look.h"
#include "shm/layout.h"

enum { RING = 64 << 10 };

static const mpp_format LINES = {MPP_DELIMITED, '\n', 0};

/* Its status; a mesh that is made is removed again. */
static mpp_status made(const mpp_mesh_options *o, mpp_error *err)
{
    mpp_mesh *m = NULL;
    *err = (mpp_error){.status = MPP_S_DONE};
    if (mpp_mesh_create(o, &m, err) == 0) {
        mpp_mesh_remove(mpp_mesh_id(m), NULL);
        mpp_mesh_close(&m);
    }
    return err->status;
}

/* ---- geometry --------------------------------------------------------------------------------------- */

static void makes(mpp_mesh_options o, const char *what)
{
    mpp_error err;
    mpp_status status = made(&o, &err);
    ok(status == MPP_S_DONE, "%s can be made: %s", what, status ? err.text : "it was");
}

static void refuses(mpp_mesh_options o, const char *what)
{
    mpp_error err;
    ok(made(&o, &err) == MPP_S_USAGE && err.text[0] != 0, "%s cannot be made: %s", what, err.text);
}

static void test_participants(void)
{
    makes((mpp_mesh_options){.producers = 1, .consumers = 1}, "1 x 1");
    makes((mpp_mesh_options){.producers = 256, .consumers = 1}, "256 x 1");
    makes((mpp_mesh_options){.producers = 1, .consumers = 256}, "1 x 256");
    makes((mpp_mesh_options){.producers = 256, .consumers = 256}, "256 x 256");
    refuses((mpp_mesh_options){.producers = 0, .consumers = 1}, "0 x 1");
    refuses((mpp_mesh_options){.producers = 1, .consumers = 0}, "1 x 0");
    refuses((mpp_mesh_options){.producers = 257, .consumers = 1}, "257 x 1");
    refuses((mpp_mesh_options){.producers = 1, .consumers = 257}, "1 x 257");
    refuses((mpp_mesh_options){.producers = UINT32_MAX, .consumers = UINT32_MAX}, "2^32 x 2^32");
}

static void test_rings(void)
{
    mpp_mesh_options o = harness_smallest();
    o.ring_size = 64 << 10;
    makes(o, "a ring of 64K");
    o.ring_size = 1 << 30;
    makes(o, "a ring of 1G");
    o.ring_size = 32 << 10;
    refuses(o, "a ring of 32K");
    o.ring_size = 96 << 10;
    refuses(o, "a ring of 96K");
    o.ring_size = UINT64_C(2) << 30;
    refuses(o, "a ring of 2G");
    o.ring_size = UINT64_C(1) << 63;
    refuses(o, "a ring of 2^63");
    o.ring_size = UINT64_MAX;
    refuses(o, "a ring of 2^64 - 1");
}

static void test_default_ring(unsigned producers, unsigned consumers, uint64_t size)
{
    mpp_mesh *m = harness_mesh(&(mpp_mesh_options){.producers = producers, .consumers = consumers});
    ok(m->l.ring_size == size, "rings of a %u x %u mesh have %lluK by default", producers, consumers,
       (unsigned long long)m->l.ring_size >> 10);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

static void test_records(void)
{
    mpp_mesh_options o = harness_smallest();
    o.max_record = UINT64_C(1) << 40;
    makes(o, "records of 1T");
    o.max_record++;
    refuses(o, "records of more than 1T");
    mpp_mesh *m = harness_mesh(&(mpp_mesh_options){.producers = 1, .consumers = 1});
    ok(mpp_mesh_max_record(m) == 64 << 20, "64M is the longest record by default");
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

/* ---- streams ---------------------------------------------------------------------------------------- */

static void stream_refused(mpp_stream_options s, unsigned consumers, const char *what)
{
    mpp_mesh_options o = {.producers = 1, .consumers = consumers, .ring_size = RING, .streams = &s, .n_streams = 1};
    refuses(o, what);
}

static void test_stream_options(void)
{
    char long_name[MPP_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name);
    long_name[MPP_NAME_MAX + 1] = 0;
    stream_refused((mpp_stream_options){.name = "", .format = LINES}, 1, "a stream without a name");
    stream_refused((mpp_stream_options){.name = NULL, .format = LINES}, 1, "a stream whose name is NULL");
    stream_refused((mpp_stream_options){.name = "a b", .format = LINES}, 1, "a stream with a blank in its name");
    stream_refused((mpp_stream_options){.name = "a=b", .format = LINES}, 1, "a stream with a '=' in its name");
    stream_refused((mpp_stream_options){.name = long_name, .format = LINES}, 1, "a stream with a name of 64 bytes");
    stream_refused((mpp_stream_options){.name = "a", .format = {MPP_FIXED, 0, 0}}, 1, "a fixed record of 0 bytes");
    stream_refused((mpp_stream_options){.name = "a", .format = {(mpp_format_kind)9, 0, 0}}, 1, "an unknown format");
    stream_refused((mpp_stream_options){.name = "a", .format = LINES, .partition = "hsah"}, 2, "an unknown partition");
    stream_refused((mpp_stream_options){.name = "a", .format = LINES, .key = "0"}, 2, "a key of field 0");
    stream_refused((mpp_stream_options){.name = "a", .format = LINES, .partition = "range:m"}, 3,
                   "one boundary for three consumers");
    stream_refused((mpp_stream_options){.name = "a", .format = LINES, .partition = "range:m,a"}, 3,
                   "boundaries that descend");
    long_name[MPP_NAME_MAX] = 0;
    mpp_stream_options longest = {.name = long_name, .format = LINES};
    makes((mpp_mesh_options){.producers = 1, .consumers = 1, .streams = &longest, .n_streams = 1},
          "a stream with a name of 63 bytes");
}

static mpp_stream_options *many_streams(unsigned n)
{
    mpp_stream_options *s = calloc(n, sizeof *s);
    char(*names)[8] = calloc(n, sizeof *names);
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "s%u", i);
        s[i] = (mpp_stream_options){.name = names[i], .format = LINES};
    }
    return s;
}

static void free_streams(mpp_stream_options *s)
{
    free((char *)s[0].name);
    free(s);
}

static void test_streams(void)
{
    unsigned most = SCALED(MPP_STREAMS_MAX, 1);
    mpp_stream_options *s = many_streams(most + 1);
    mpp_mesh_options o = {.producers = 1, .consumers = 1, .ring_size = RING, .streams = s, .n_streams = most};
    o.lanes = 1;
    makes(o, "65535 streams in one lane");
    o.n_streams++;
    refuses(o, "65536 streams");
    o.n_streams = 10;
    o.lanes = 10;
    makes(o, "ten streams in ten lanes");
    o.lanes = 11;
    refuses(o, "ten streams in eleven lanes");
    o.lanes = 3;
    mpp_mesh *m = harness_mesh(&o);
    ok(mpp_mesh_streams(m) == 10 && mpp_mesh_stream(m, 4)->lane == 1 && mpp_mesh_stream(m, 9)->lane == 0 &&
           mpp_mesh_stream(m, 10) == NULL,
       "stream s travels in lane s mod L");
    ok(mpp_mesh_find_stream(m, "s7") == 7 && mpp_mesh_find_stream(m, "s") == -1, "and is found by its name");
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
    s[3].name = s[8].name;
    refuses(o, "two streams of one name");
    s[3].name = "s3";
    free_streams(s);
}

/* What was declared is what everybody who opens the mesh sees. */
static void test_declared(void)
{
    mpp_stream_options s[] = {
        {.name = "lines", .format = LINES},
        {.name = "words", .format = {MPP_DELIMITED, ' ', 0}, .key = "2nr,1", .separator = ':'},
        {.name = "blocks", .format = {MPP_FIXED, 0, 24}, .partition = "broadcast"},
        {.name = "ranges", .format = {MPP_U32BE, 0, 0}, .key = "1", .separator = ',', .partition = "range:g,p"},
    };
    mpp_mesh *m = harness_mesh(&(mpp_mesh_options){.producers = 2, .consumers = 3, .streams = s, .n_streams = 4});
    mpp_mesh *again = harness_open(mpp_mesh_id(m));
    const mpp_stream_info *i = mpp_mesh_stream(again, 1);
    ok(strcmp(i->name, "words") == 0 && i->format.delimiter == ' ' && i->separator == ':' &&
           strcmp(i->key, "2nr,1") == 0 && i->partition == MPP_HASH,
       "name, format, key, separator and partition are kept");
    ok(mpp_mesh_stream(again, 0)->partition == MPP_ROUND_ROBIN && mpp_mesh_stream(again, 0)->key == NULL &&
           mpp_mesh_stream(again, 2)->partition == MPP_BROADCAST && mpp_mesh_stream(again, 2)->format.size == 24 &&
           mpp_mesh_stream(again, 3)->partition == MPP_RANGE && mpp_mesh_stream(again, 3)->format.kind == MPP_U32BE,
       "each stream's own");
    ok(mpp_mesh_where(again, 3, "f", 1) == 0 && mpp_mesh_where(again, 3, "g", 1) == 1 &&
           mpp_mesh_where(again, 3, "z", 1) == 2 && mpp_mesh_where(again, 0, "z", 1) == -1,
       "and its boundaries");
    ok(mpp_mesh_producers(again) == 2 && mpp_mesh_consumers(again) == 3 && memcmp(again->uuid, m->uuid, 16) == 0,
       "so is the geometry");
    mpp_mesh_close(&again);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

/* ---- names ------------------------------------------------------------------------------------------ */

static void test_names(void)
{
    static const char *const good[] = {"a", "A-b_c.9", "9", "_x"};
    static const char *const bad[] = {"", ".", "..", ".a", "-a", "a/b", "/a", "a b", "a\nb", "\xc3\xa4"};
    char longest[MPP_NAME_MAX + 2];
    mpp_error err;
    mpp_mesh_options o = harness_smallest();
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        o.name = good[i];
        ok(made(&o, &err) == MPP_S_DONE, "'%s' is a name", good[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.name = bad[i];
        ok(made(&o, &err) == MPP_S_USAGE, "name %u is refused: %s", i, i == 8 ? "a newline" : err.text);
        ok(harness_try_open(bad[i], &err) == MPP_S_NO_MESH, "and is no mesh");
    }
    memset(longest, 'x', sizeof longest);
    longest[MPP_NAME_MAX + 1] = 0;
    o.name = longest;
    ok(made(&o, &err) == MPP_S_USAGE && harness_try_open(longest, &err) == MPP_S_NO_MESH,
       "a name of 64 bytes is refused");
    longest[MPP_NAME_MAX] = 0;
    ok(made(&o, &err) == MPP_S_DONE, "one of 63 is not");
}

static void test_name_taken(void)
{
    mpp_error err;
    mpp_mesh_options o = harness_smallest();
    o.name = "taken";
    mpp_mesh *m = harness_mesh(&o);
    ok(strcmp(mpp_mesh_id(m), "taken") == 0 && harness_try_open("taken", &err) == MPP_S_DONE,
       "a mesh is opened by its name");
    ok(made(&o, &err) == MPP_S_ERROR && strstr(err.text, "taken"), "which no other can take: %s", err.text);
    ok(harness_try_open("taken", &err) == MPP_S_DONE, "and whose owner stays");
    mpp_mesh_remove("taken", NULL);
    ok(harness_try_open("taken", &err) == MPP_S_NO_MESH, "until it is removed: %s", err.text);
    ok(mpp_mesh_remove("taken", &err) == 0, "removing it again is no error");
    mpp_mesh *second = harness_mesh(&o);
    ok(!mesh_unlink(m) && harness_try_open("taken", &err) == MPP_S_DONE,
       "who still holds the first cannot remove the second of that name");
    mpp_mesh_close(&m);
    mpp_mesh_remove("taken", NULL);
    mpp_mesh_close(&second);
    mpp_mesh *random = harness_mesh(&(mpp_mesh_options){.producers = 1, .consumers = 1});
    ok(strlen(mpp_mesh_id(random)) == 12 && strspn(mpp_mesh_id(random), "0123456789abcdef") == 12,
       "without a name it is 12 random digits: %s", mpp_mesh_id(random));
    mpp_mesh_remove(mpp_mesh_id(random), NULL);
    mpp_mesh_close(&random);
}

static void test_keep(void)
{
    mpp_error err;
    mpp_mesh_options o = harness_smallest();
    o.name = "kept";
    mpp_mesh *m = harness_mesh(&o);
    harness_come_and_go(m);
    mpp_mesh_close(&m);
    ok(harness_try_open("kept", &err) == MPP_S_NO_MESH, "a mesh goes with its last participant");
    o.keep = true;
    m = harness_mesh(&o);
    harness_come_and_go(m);
    ok(harness_try_open("kept", &err) == MPP_S_DONE, "one that is to be kept stays");
    mpp_consumer *c = NULL;
    ok(mpp_consumer_attach(m, &(mpp_attach_options){.index = 0}, &c, &err) < 0,
       "and is over: nobody attaches any more: %s", err.text);
    mpp_mesh_close(&m);
    ok(mpp_mesh_gc(NULL, NULL, &err) == 1 && harness_try_open("kept", &err) == MPP_S_NO_MESH, "until a cleaner comes");
}

static void test_tied(void)
{
    mpp_error err;
    mpp_mesh_options o = harness_smallest();
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    harness_reap(pid);
    o.pid = pid;
    ok(made(&o, &err) == MPP_S_USAGE, "a mesh cannot be tied to a process that is gone: %s", err.text);
    o.pid = getpid();
    ok(made(&o, &err) == MPP_S_DONE, "but to this one");
}

/* ---- the directory for sockets ---------------------------------------------------------------------- */

static void test_socket_directory(void)
{
    mpp_error err;
    char path[200], directory[LAYOUT_SOCKET_PATH_MAX];
    mpp_mesh_options o = harness_smallest();
    memset(path, 'd', sizeof path);
    memcpy(path, harness.directory, strlen(harness.directory));
    path[strlen(harness.directory)] = '/';
    path[LAYOUT_SOCKET_PATH_MAX - 1 - strlen("/mpp_0123456789ab/p0.sock")] = 0;
    mkdir(path, 0700);
    setenv("TMPDIR", path, 1);
    ok(made(&o, &err) == MPP_S_DONE, "a directory whose sockets' paths are just short enough will do");
    o.producers = 11;
    ok(made(&o, &err) == MPP_S_USAGE && strstr(err.text, "104") && strstr(err.text, path),
       "one whose sockets' paths would be too long is refused: %s", err.text);
    o.producers = 1;
    rmdir(path);
    ok(made(&o, &err) == MPP_S_ERROR, "so is one that is not there: %s", err.text);
    setenv("XDG_RUNTIME_DIR", harness.directory, 1);
    mpp_mesh *m = harness_mesh(&o);
    snprintf(directory, sizeof directory, "%s/mpp_%s", harness.directory, mpp_mesh_id(m));
    ok(strcmp(m->socket_dir, directory) == 0, "XDG_RUNTIME_DIR comes before TMPDIR: %s", m->socket_dir);
    unsetenv("XDG_RUNTIME_DIR");
    setenv("TMPDIR", "/tmp", 1);
    mpp_mesh *again = harness_open(mpp_mesh_id(m));
    ok(strcmp(again->socket_dir, directory) == 0, "and who opens it takes what the mesh says");
    mpp_mesh_close(&again);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
    setenv("TMPDIR", harness.directory, 1);
}

/* Ours alone, or it is not used. */
static void test_planted_directory(bool link)
{
    mpp_error err;
    mpp_producer *p = NULL;
    mpp_mesh_options o = harness_smallest();
    mpp_mesh *m = harness_mesh(&o);
    if (rmdir(m->socket_dir) < 0 ||
        (link ? symlink("/tmp", m->socket_dir) : mkdir(m->socket_dir, 0777) || chmod(m->socket_dir, 0777)))
        bail_out("cannot plant a directory: %s", strerror(errno));
    ok(mpp_producer_attach(m, &(mpp_attach_options){.index = 0, .runs = 1}, &p, &err) < 0 &&
           err.status == MPP_S_CORRUPT,
       "%s in the place of the directory for sockets: %s", link ? "a symbolic link" : "a directory open to all",
       err.text);
    ok(strstr(harness_cause(m), "could not attach"), "and nobody waits for who did not attach: %s", harness_cause(m));
    if (link)
        unlink(m->socket_dir);
    else
        rmdir(m->socket_dir);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

/* Somebody removes the segment's name by hand: who is in it goes on, whoever cleans up meanwhile. */
static void test_unlinked(void)
{
    mpp_error err;
    mpp_batch b;
    mpp_mesh_options o = harness_smallest();
    o.name = "unlinked";
    mpp_mesh *m = harness_mesh(&o);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_start(c, 0);
    unlink("/dev/shm/mpp_unlinked");
    mpp_mesh_gc(NULL, NULL, &err);
    mpp_service(p);
    mpp_wait(p, c, MPP_COMPUTING, NULL, 0, 1); /* what rang before */
    bool hungry = mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK && mpp_arm(NULL, c, MPP_COMPUTING);
    mpp_try_produce(p, 0, "x", 1);
    mpp_flush(p);
    struct pollfd fd = {mpp_consumer_fd(c), POLLIN, 0};
    bool rung = poll(&fd, 1, 0) == 1;
    mpp_disarm(NULL, c);
    ok(hungry && rung && mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK,
       "a mesh whose name is gone goes on, and its bells ring, whoever cleans up meanwhile");
    mpp_release(c, &b);
    mpp_end(p, 0);
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
}

/* ---- no room ---------------------------------------------------------------------------------------- */

static void test_no_room(void)
{
    mpp_error err;
    mpp_producer *p = NULL;
    if (!harness.private_shm || mount("none", "/dev/shm", "none", MS_REMOUNT, "size=1m") < 0) {
        diag("/dev/shm cannot be made small here");
        return;
    }
    mpp_mesh_options o = {.producers = 100, .consumers = 100};
    ok(made(&o, &err) == MPP_S_ERROR && strstr(err.text, "KiB free"), "a mesh that does not fit: %s", err.text);
    o = (mpp_mesh_options){.producers = 1, .consumers = 1, .ring_size = 2 << 20};
    mpp_mesh *m = harness_mesh(&o);
    ok(mpp_producer_attach(m, &(mpp_attach_options){.index = 0}, &p, &err) < 0 && err.status == MPP_S_ERROR &&
           strstr(err.text, "KiB free"),
       "a producer whose rings do not fit: %s", err.text);
    ok(strstr(harness_cause(m), "KiB free"), "of which everybody is told");
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    harness.step = "options";
    test_participants();
    test_rings();
    test_default_ring(1, 1, 1 << 20);
    test_default_ring(16, 16, 1 << 20);
    test_default_ring(16, 17, 512 << 10);
    test_default_ring(64, 64, 64 << 10);
    test_default_ring(100, 100, 64 << 10);
    test_records();
    test_stream_options();
    test_streams();
    test_declared();
    test_names();
    test_name_taken();
    test_keep();
    test_tied();
    test_socket_directory();
    test_planted_directory(false);
    test_planted_directory(true);
    test_unlinked();
    test_no_room();
    harness_end();
    return done_testing();
}
