/* Meshes: what can be made, what is opened, and what is left of them. */
#include "mesh.h"
#include "atomics.h"
#include "harness.h"

enum { RING = 64 << 10, CROWD = 50, GARBAGE = 20 };

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

static mpp_status opened(const char *id, mpp_error *err)
{
    mpp_mesh *m = NULL;
    *err = (mpp_error){.status = MPP_S_DONE};
    if (mpp_mesh_open(id, &m, err) == 0)
        mpp_mesh_close(&m);
    return err->status;
}

static mpp_mesh_options one_by_one(void)
{
    return (mpp_mesh_options){.producers = 1, .consumers = 1, .ring_size = RING};
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
    mpp_mesh_options o = one_by_one();
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
    mpp_mesh_options o = one_by_one();
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
    mpp_mesh_options o = one_by_one();
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        o.name = good[i];
        ok(made(&o, &err) == MPP_S_DONE, "'%s' is a name", good[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.name = bad[i];
        ok(made(&o, &err) == MPP_S_USAGE, "name %u is refused: %s", i, i == 8 ? "a newline" : err.text);
        ok(opened(bad[i], &err) == MPP_S_NO_MESH, "and is no mesh");
    }
    memset(longest, 'x', sizeof longest);
    longest[MPP_NAME_MAX + 1] = 0;
    o.name = longest;
    ok(made(&o, &err) == MPP_S_USAGE && opened(longest, &err) == MPP_S_NO_MESH, "a name of 64 bytes is refused");
    longest[MPP_NAME_MAX] = 0;
    ok(made(&o, &err) == MPP_S_DONE, "one of 63 is not");
}

static void test_name_taken(void)
{
    mpp_error err;
    mpp_mesh_options o = one_by_one();
    o.name = "taken";
    mpp_mesh *m = harness_mesh(&o);
    ok(strcmp(mpp_mesh_id(m), "taken") == 0 && opened("taken", &err) == MPP_S_DONE, "a mesh is opened by its name");
    ok(made(&o, &err) == MPP_S_ERROR && strstr(err.text, "taken"), "which no other can take: %s", err.text);
    ok(opened("taken", &err) == MPP_S_DONE, "and whose owner stays");
    mpp_mesh_remove("taken", NULL);
    ok(opened("taken", &err) == MPP_S_NO_MESH, "until it is removed: %s", err.text);
    ok(mpp_mesh_remove("taken", &err) == 0, "removing it again is no error");
    mpp_mesh *second = harness_mesh(&o);
    ok(!mesh_unlink(m) && opened("taken", &err) == MPP_S_DONE,
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

static void leave(mpp_mesh *m)
{
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_consumer_detach(&c);
    mpp_service(p);
    mpp_producer_detach(&p);
}

static void test_keep(void)
{
    mpp_error err;
    mpp_mesh_options o = one_by_one();
    o.name = "kept";
    mpp_mesh *m = harness_mesh(&o);
    leave(m);
    mpp_mesh_close(&m);
    ok(opened("kept", &err) == MPP_S_NO_MESH, "a mesh goes with its last participant");
    o.keep = true;
    m = harness_mesh(&o);
    leave(m);
    ok(opened("kept", &err) == MPP_S_DONE, "one that is to be kept stays");
    mpp_consumer *c = NULL;
    ok(mpp_consumer_attach(m, &(mpp_attach_options){.index = 0}, &c, &err) < 0,
       "and is over: nobody attaches any more: %s", err.text);
    mpp_mesh_close(&m);
    ok(mpp_mesh_gc(NULL, NULL, &err) == 1 && opened("kept", &err) == MPP_S_NO_MESH, "until a cleaner comes");
}

static void test_tied(void)
{
    mpp_error err;
    mpp_mesh_options o = one_by_one();
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
    mpp_mesh_options o = one_by_one();
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
    mpp_mesh_options o = one_by_one();
    mpp_mesh *m = harness_mesh(&o);
    if (link ? symlink("/tmp", m->socket_dir) : mkdir(m->socket_dir, 0777) || chmod(m->socket_dir, 0777))
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
    mpp_mesh_options o = one_by_one();
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

/* ---- what is not a mesh ----------------------------------------------------------------------------- */

#define PLANTED "/dev/shm/mpp_planted"

static void plant(const void *data, size_t n, mode_t mode)
{
    int fd = open(PLANTED, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n || fchmod(fd, mode) < 0)
        bail_out("cannot plant a file: %s", strerror(errno));
    close(fd);
}

static void planted_is(mpp_status status, const char *what)
{
    mpp_error err;
    mpp_snapshot *s = NULL;
    ok(opened("planted", &err) == status, "%s: %s", what, err.text);
    ok(mpp_snapshot_take("planted", &s, &err) < 0 && err.status == status, "mpp-stat says the same");
    mpp_snapshot_free(&s);
}

static void test_planted(void)
{
    static const char zeros[100000];
    mpp_error err;
    plant(NULL, 0, 0600);
    planted_is(MPP_S_CORRUPT, "an empty file");
    ok(mpp_mesh_gc(NULL, NULL, &err) == 1, "is half made, and collected");
    plant(zeros, 100, 0600);
    planted_is(MPP_S_CORRUPT, "a file shorter than a header");
    ok(mpp_mesh_gc(NULL, NULL, &err) == 1, "is half made, and collected");
    plant(zeros, sizeof zeros, 0600);
    planted_is(MPP_S_CORRUPT, "a file of zeros");
    ok(mpp_mesh_gc(NULL, NULL, &err) == 1, "is half made, and collected");
    plant("something else altogether", 25, 0600);
    planted_is(MPP_S_CORRUPT, "a file that is something else");
    unlink(PLANTED);
    plant(zeros, sizeof zeros, 0644);
    planted_is(MPP_S_CORRUPT, "a file that others may read");
    ok(mpp_mesh_gc(NULL, NULL, &err) == 0 && mpp_mesh_remove("planted", &err) < 0, "is not collected, nor removed: %s",
       err.text);
    unlink(PLANTED);
}

static void test_planted_others(void)
{
    mpp_error err;
    mpp_mesh_options o = one_by_one();
    mpp_mesh *m = harness_mesh(&o);
    char path[SEGMENT_PATH_MAX];
    segment_path(mpp_mesh_id(m), path);
    if (symlink(path, PLANTED) == 0)
        planted_is(MPP_S_CORRUPT, "a symbolic link to a mesh");
    ok(mpp_mesh_remove("planted", &err) < 0, "it is not removed: %s", err.text);
    unlink(PLANTED);
    if (symlink("/nonexistent", PLANTED) == 0)
        planted_is(MPP_S_CORRUPT, "a symbolic link to nothing");
    unlink(PLANTED);
    if (mkfifo(PLANTED, 0600) == 0)
        planted_is(MPP_S_CORRUPT, "a FIFO");
    unlink(PLANTED);
    if (mkdir(PLANTED, 0700) == 0)
        planted_is(MPP_S_CORRUPT, "a directory");
    ok(mpp_mesh_remove("planted", &err) < 0 && mpp_mesh_gc(NULL, NULL, &err) == 0, "it is not removed");
    rmdir(PLANTED);
    mpp_mesh_close(&m);
    if (rename(path, PLANTED) == 0 && chown(PLANTED, 1, 1) == 0)
        planted_is(MPP_S_CORRUPT, "a segment of another user");
    unlink(PLANTED);
}

/* ---- corrupt headers -------------------------------------------------------------------------------- */

/* A process that opens a mesh has it open once: what others would read is seen after our handle is closed. */
typedef struct image {
    char path[SEGMENT_PATH_MAX];
    unsigned char *base;
    size_t size;
} image;

static const mpp_stream_options image_streams[] = {
    {.name = "a", .format = {MPP_DELIMITED, '\n', 0}, .key = "2,1", .separator = '\t'},
    {.name = "b", .format = {MPP_FIXED, 0, 8}, .key = "1", .separator = '\t', .partition = "range:k"},
};

static image image_open(void)
{
    image i;
    mpp_mesh *m = harness_mesh(&(mpp_mesh_options){
        .producers = 2, .consumers = 2, .ring_size = RING, .streams = image_streams, .n_streams = 2, .name = "image"});
    segment_path("image", i.path);
    i.size = m->l.rings_at;
    i.base = malloc(i.size);
    memcpy(i.base, m->base, i.size);
    mpp_mesh_close(&m);
    return i;
}

static void image_write(const image *i, const void *data, size_t at, size_t n)
{
    int fd = open(i->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, data, n, (off_t)at) != (ssize_t)n)
        bail_out("cannot write to %s: %s", i->path, strerror(errno));
    close(fd);
}

static void image_close(image *i)
{
    free(i->base);
    unlink(i->path);
}

/* One field with another value: its status. */
static mpp_status with(const image *i, size_t at, size_t n, uint64_t value, mpp_error *err)
{
    image_write(i, &value, at, n);
    mpp_status status = opened("image", err);
    image_write(i, i->base + at, at, n);
    return status;
}

#define FIELD(name) #name, offsetof(layout_header, name), sizeof((layout_header *)0)->name

static const struct {
    const char *name;
    size_t at, size;
    uint64_t value;
} bad_fields[] = {
    {FIELD(magic), 0},
    {FIELD(magic), LAYOUT_MAGIC + 1},
    {FIELD(version), 0},
    {FIELD(version), LAYOUT_VERSION + 1},
    {FIELD(version), UINT32_MAX},
    {FIELD(producers), 0},
    {FIELD(producers), 1},
    {FIELD(producers), 3},
    {FIELD(producers), 257},
    {FIELD(producers), UINT32_MAX},
    {FIELD(consumers), 0},
    {FIELD(consumers), 1},
    {FIELD(consumers), 257},
    {FIELD(consumers), UINT32_MAX},
    {FIELD(streams), 0},
    {FIELD(streams), 1},
    {FIELD(streams), 3},
    {FIELD(streams), 65536},
    {FIELD(streams), UINT32_MAX},
    {FIELD(lanes), 0},
    {FIELD(lanes), 1},
    {FIELD(lanes), 3},
    {FIELD(lanes), UINT32_MAX},
    {FIELD(ring_size), 0},
    {FIELD(ring_size), RING / 2},
    {FIELD(ring_size), RING + 8},
    {FIELD(ring_size), RING * 2},
    {FIELD(ring_size), UINT64_C(1) << 63},
    {FIELD(ring_size), UINT64_MAX},
    {FIELD(max_record), 0},
    {FIELD(max_record), UINT64_MAX},
    {FIELD(segment_size), 0},
    {FIELD(segment_size), UINT64_MAX},
    {FIELD(texts_size), UINT32_MAX},
};

static void test_header(const image *i)
{
    mpp_error err;
    for (unsigned k = 0; k < sizeof bad_fields / sizeof *bad_fields; k++) {
        mpp_status status = with(i, bad_fields[k].at, bad_fields[k].size, bad_fields[k].value, &err);
        ok(status == MPP_S_CORRUPT, "a header's %s of %#llx: %s", bad_fields[k].name,
           (unsigned long long)bad_fields[k].value, err.text);
    }
    ok(with(i, offsetof(layout_header, socket_dir), 1, 'x', &err) == MPP_S_CORRUPT, "a socket_dir that is no path: %s",
       err.text);
    char endless[LAYOUT_SOCKET_PATH_MAX];
    memset(endless, '/', sizeof endless);
    image_write(i, endless, offsetof(layout_header, socket_dir), sizeof endless);
    ok(opened("image", &err) == MPP_S_CORRUPT, "a socket_dir without end: %s", err.text);
    image_write(i, i->base, 0, sizeof(layout_header));
    ok(opened("image", &err) == MPP_S_DONE, "as it was made it opens");
}

/* Whole again after each: only what this one changes is wrong. */
static void test_flips(const image *i, size_t from, size_t to, const char *what)
{
    unsigned fine = 0, corrupt = 0, other = 0;
    mpp_error err;
    for (size_t at = from; at < to; at++)
        for (unsigned bit = 0; bit < 8; bit += HARNESS_SANITIZED ? 4 : 1) {
            mpp_status status = with(i, at, 1, i->base[at] ^ 1u << bit, &err);
            fine += status == MPP_S_DONE;
            corrupt += status == MPP_S_CORRUPT;
            other += status != MPP_S_DONE && status != MPP_S_CORRUPT;
            if (status != MPP_S_DONE && status != MPP_S_CORRUPT)
                diag("byte %zu, bit %u: status %d: %s", at, bit, (int)status, err.text);
        }
    ok(other == 0, "every bit of %s flipped: %u meshes open, %u are corrupt", what, fine, corrupt);
}

static void test_random_streams(const image *i)
{
    unsigned fine = 0, other = 0;
    mpp_error err;
    size_t at = sizeof(layout_header), n = 2 * sizeof(layout_stream) + 64;
    unsigned char *table = malloc(n);
    for (unsigned k = 0; k < SCALED(5000, 5); k++) {
        memcpy(table, i->base + at, n);
        for (unsigned changes = 1 + (unsigned)tap_random(4); changes > 0; changes--) {
            uint32_t value = (uint32_t)(tap_random(2) ? tap_random(300) : tap_random(UINT64_C(1) << 32));
            memcpy(table + 4 * tap_random(n / 4), &value, sizeof value);
        }
        image_write(i, table, at, n);
        mpp_status status = opened("image", &err);
        fine += status == MPP_S_DONE;
        other += status != MPP_S_DONE && status != MPP_S_CORRUPT;
    }
    image_write(i, i->base + at, at, n);
    free(table);
    ok(other == 0, "of %u stream tables with random words %u open, the others are corrupt", SCALED(5000, 5), fine);
}

static void test_stream_fields(const image *i)
{
    static const struct {
        const char *what;
        size_t at;
        uint32_t value;
    } bad[] = {
        {"a name without bytes", offsetof(layout_stream, name), 0},
        {"a name with a blank", offsetof(layout_stream, name), ' '},
        {"an unknown format", offsetof(layout_stream, kind), 99},
        {"a delimiter of more than a byte", offsetof(layout_stream, delimiter), 300},
        {"an unknown partition", offsetof(layout_stream, partition), MPP_BROADCAST + 1},
        {"a separator of more than a byte", offsetof(layout_stream, separator), 300},
        {"a key behind the texts", offsetof(layout_stream, key_at), UINT32_MAX},
        {"a key that goes on behind the texts", offsetof(layout_stream, key_size), UINT32_MAX},
        {"boundaries behind the texts", offsetof(layout_stream, bounds_at), UINT32_MAX},
        {"boundaries that go on behind the texts", offsetof(layout_stream, bounds_size), 1000},
        {"a range without boundaries", offsetof(layout_stream, partition), MPP_RANGE},
    };
    mpp_error err;
    for (unsigned k = 0; k < sizeof bad / sizeof *bad; k++)
        ok(with(i, sizeof(layout_header) + bad[k].at, 4, bad[k].value, &err) == MPP_S_CORRUPT,
           "a stream table with %s: %s", bad[k].what, err.text);
    ok(with(i, sizeof(layout_header) + sizeof(layout_stream) + offsetof(layout_stream, size), 4, 0, &err) ==
           MPP_S_CORRUPT,
       "with fixed records of 0 bytes: %s", err.text);
}

static void test_truncated(const image *i)
{
    mpp_error err;
    struct stat st;
    stat(i->path, &st);
    const off_t sizes[] = {0, 100, sizeof(layout_header) - 1, sizeof(layout_header), 4096, st.st_size - 1};
    for (unsigned k = sizeof sizes / sizeof *sizes; k-- > 0;) {
        if (truncate(i->path, sizes[k]) < 0)
            bail_out("truncate: %s", strerror(errno));
        ok(opened("image", &err) == MPP_S_CORRUPT, "a segment cut to %lld bytes: %s", (long long)sizes[k], err.text);
    }
    ok(mpp_mesh_remove("image", &err) == 0 && opened("image", &err) == MPP_S_NO_MESH, "it can be removed");
}

/* Who has a mesh open already does not trust a header that has changed since. */
static void test_grown(void)
{
    mpp_error err;
    mpp_mesh_options o = one_by_one();
    o.name = "grown";
    mpp_mesh *m = harness_mesh(&o);
    m->header->texts_size += 1 << 20;
    m->header->segment_size += 1 << 20;
    if (truncate("/dev/shm/mpp_grown", (off_t)m->header->segment_size) < 0)
        bail_out("truncate: %s", strerror(errno));
    mpp_mesh *again = NULL;
    bool refused = mpp_mesh_open("grown", &again, &err) < 0;
    ok(refused && err.status == MPP_S_CORRUPT, "a mesh that has changed since it was opened: %s",
       refused ? err.text : "opened");
    mpp_mesh_close(&m);
    unlink("/dev/shm/mpp_grown");
}

static void test_corrupt(void)
{
    harness.step = "corrupt segments";
    image i = image_open();
    test_header(&i);
    test_stream_fields(&i);
    test_flips(&i, 0, sizeof(layout_header), "the header");
    test_flips(&i, sizeof(layout_header), sizeof(layout_header) + 2 * sizeof(layout_stream), "the stream table");
    test_random_streams(&i);
    test_truncated(&i);
    image_close(&i);
    test_grown();
}

/* ---- crowds ----------------------------------------------------------------------------------------- */

typedef struct crowd {
    int gate[2], out[2];
    int (*act)(void);
} crowd;

static int create_the_one(void)
{
    mpp_error err;
    mpp_mesh *m = NULL;
    mpp_mesh_options o = one_by_one();
    o.name = "the-one";
    int made_it = mpp_mesh_create(&o, &m, &err) == 0;
    mpp_mesh_close(&m);
    return made_it ? 1 : err.status == MPP_S_ERROR ? 0 : 100;
}

static int collect(void)
{
    mpp_error err;
    int n = mpp_mesh_gc(NULL, NULL, &err);
    return n >= 0 ? n : 100;
}

static int remove_the_one(void)
{
    mpp_error err;
    return mpp_mesh_remove("the-one", &err) == 0 ? 0 : 100;
}

static int unlink_the_one(void)
{
    mpp_mesh *m;
    if (mpp_mesh_open("the-one", &m, NULL) < 0)
        return 0;
    int removed = mesh_unlink(m);
    mpp_mesh_close(&m);
    return removed;
}

static int in_a_crowd(void *arg)
{
    crowd *c = arg;
    char byte;
    close(c->gate[1]);
    if (read(c->gate[0], &byte, 1) != 0)
        return 99;
    return c->act();
}

/* CROWD processes do it at the same time; the sum of what they return. */
static unsigned all_at_once(int (*act)(void))
{
    crowd c = {.act = act};
    pid_t pids[CROWD];
    unsigned sum = 0;
    if (pipe2(c.gate, O_CLOEXEC) < 0)
        bail_out("pipe: %s", strerror(errno));
    for (unsigned i = 0; i < CROWD; i++)
        pids[i] = harness_fork(in_a_crowd, &c);
    close(c.gate[0]);
    close(c.gate[1]);
    for (unsigned i = 0; i < CROWD; i++)
        sum += (unsigned)harness_reap(pids[i]);
    return sum;
}

static int attach_and_die(void *arg)
{
    mpp_mesh *m = harness_open(arg);
    harness_producer(m, 0, 1);
    kill(getpid(), SIGKILL);
    return 0;
}

/* Meshes with a dead participant, finished ones that were kept, half-made ones. */
static void make_garbage(unsigned n)
{
    static const char zeros[1000];
    for (unsigned i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, i % 3 == 2 ? "/dev/shm/mpp_half-%u" : "garbage-%u", i);
        if (i % 3 == 2) {
            int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
            if (write(fd, zeros, sizeof zeros) != sizeof zeros)
                bail_out("cannot make a half-made mesh");
            close(fd);
            continue;
        }
        mpp_mesh_options o = one_by_one();
        o.name = name;
        o.keep = true;
        mpp_mesh *m = harness_mesh(&o);
        if (i % 3 == 0)
            harness_reap(harness_fork(attach_and_die, name));
        else
            leave(m);
        mpp_mesh_close(&m);
    }
}

static void test_creators(void)
{
    mpp_error err;
    for (unsigned round = 0; round < 5; round++) {
        unsigned winners = all_at_once(create_the_one);
        ok(winners == 1 && opened("the-one", &err) == MPP_S_DONE, "of %d creators of one name exactly one wins (%u)",
           CROWD, winners);
        unsigned removers = all_at_once(round % 2 ? remove_the_one : unlink_the_one);
        ok(removers == (round % 2 ? 0 : 1) && opened("the-one", &err) == MPP_S_NO_MESH,
           "of %d removers exactly one removes it, and none complains", CROWD);
    }
}

static void test_cleaners(void)
{
    mpp_error err;
    mpp_mesh_options o = one_by_one();
    o.name = "fresh";
    mpp_mesh *fresh = harness_mesh(&o);
    o.name = "live";
    mpp_mesh *live = harness_mesh(&o);
    mpp_producer *p = harness_producer(live, 0, 1);
    for (unsigned round = 0; round < 3; round++) {
        make_garbage(GARBAGE);
        unsigned removed = all_at_once(collect);
        ok(removed == GARBAGE, "%d cleaners remove each of %d meshes exactly once (%u)", CROWD, GARBAGE, removed);
    }
    ok(opened("fresh", &err) == MPP_S_DONE, "and never one that waits for its first participant");
    ok(opened("live", &err) == MPP_S_DONE && mpp_service(p) == MPP_OK, "nor one that lives");
    mpp_mesh_remove("fresh", NULL);
    mpp_mesh_remove("live", NULL);
    ok(mpp_service(p) == MPP_GONE && mpp_mesh_cause(live, &err) && err.status == MPP_S_NO_MESH,
       "who is in a mesh that is removed is told: %s", err.text);
    mpp_producer_detach(&p);
    mpp_mesh_close(&fresh);
    mpp_mesh_close(&live);
}

static void told(void *arg, const char *id, const char *why)
{
    diag("%s: %s", id, why);
    ++*(unsigned *)arg;
}

static void test_tied_to_the_dead(void)
{
    mpp_error err;
    unsigned n = 0;
    int fds[2];
    if (pipe(fds) < 0)
        bail_out("pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(fds[1]);
        _exit((int)read(fds[0], &byte, 1));
    }
    mpp_mesh_options o = one_by_one();
    o.name = "tied";
    o.pid = pid;
    mpp_mesh *m = harness_mesh(&o);
    mpp_mesh_close(&m);
    ok(mpp_mesh_gc(told, &n, &err) == 0 && n == 0, "a mesh that is tied to a living process is not collected");
    close(fds[0]);
    close(fds[1]);
    harness_reap(pid);
    ok(mpp_mesh_gc(told, &n, &err) == 1 && n == 1, "one that is tied to a dead one is");
}

/* ---- no room ---------------------------------------------------------------------------------------- */

static void test_no_room(void)
{
    mpp_error err;
    mpp_producer *p = NULL;
    if (!harness.private_shm || mount(NULL, "/dev/shm", NULL, MS_REMOUNT, "size=1m") < 0) {
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
    harness.step = "what is not a mesh";
    test_planted();
    test_planted_others();
    test_corrupt();
    harness.step = "crowds";
    test_creators();
    test_cleaners();
    test_tied_to_the_dead();
    test_no_room();
    harness_end();
    return done_testing();
}
