/* What stands in the place of a segment: other things, corrupt ones, and crowds that make and remove the same one. */
#include "shm/segment.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "mesh/sockets.h"
#include "mpp-look.h"
#include "shm/layout.h"

enum { RING = 64 << 10, CROWD = 50, GARBAGE = 20 };

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
    ok(harness_try_open("planted", &err) == status, "%s: %s", what, err.text);
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
    mpp_mesh_options o = harness_smallest();
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
    if (rename(path, PLANTED) == 0 && chown(PLANTED, 1, 1) == 0) { /* so we are root */
        mpp_snapshot *s;
        ok(harness_try_open("planted", &err) == MPP_S_CORRUPT, "a segment of another user: %s", err.text);
        ok(mpp_snapshot_take("planted", &s, &err) == 0, "root may look at it all the same");
        mpp_snapshot_free(&s);
    }
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
    image_write(i, tap_low(&value, n), at, n);
    mpp_status status = harness_try_open("image", err);
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
    ok(harness_try_open("image", &err) == MPP_S_CORRUPT, "a socket_dir without end: %s", err.text);
    image_write(i, i->base, 0, sizeof(layout_header));
    ok(harness_try_open("image", &err) == MPP_S_DONE, "as it was made it opens");
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
        mpp_status status = harness_try_open("image", &err);
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
        ok(harness_try_open("image", &err) == MPP_S_CORRUPT, "a segment cut to %lld bytes: %s", (long long)sizes[k],
           err.text);
    }
    ok(mpp_mesh_remove("image", &err) == 0 && harness_try_open("image", &err) == MPP_S_NO_MESH, "it can be removed");
}

/* Who has a mesh open already does not trust a header that has changed since. */
static void test_grown(void)
{
    mpp_error err;
    mpp_mesh_options o = harness_smallest();
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
    mpp_mesh_options o = harness_smallest();
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
        mpp_mesh_options o = harness_smallest();
        o.name = name;
        o.keep = true;
        mpp_mesh *m = harness_mesh(&o);
        if (i % 3 == 0)
            harness_reap(harness_fork(attach_and_die, name));
        else
            harness_come_and_go(m);
        mpp_mesh_close(&m);
    }
}

static void test_creators(void)
{
    mpp_error err;
    for (unsigned round = 0; round < 5; round++) {
        unsigned winners = all_at_once(create_the_one);
        ok(winners == 1 && harness_try_open("the-one", &err) == MPP_S_DONE,
           "of %d creators of one name exactly one wins (%u)", CROWD, winners);
        unsigned removers = all_at_once(round % 2 ? remove_the_one : unlink_the_one);
        ok(removers == (round % 2 ? 0 : 1) && harness_try_open("the-one", &err) == MPP_S_NO_MESH,
           "of %d removers exactly one removes it, and none complains", CROWD);
    }
}

static void test_cleaners(void)
{
    mpp_error err;
    mpp_mesh_options o = harness_smallest();
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
    ok(harness_try_open("fresh", &err) == MPP_S_DONE, "and never one that waits for its first participant");
    ok(harness_try_open("live", &err) == MPP_S_DONE && mpp_service(p) == MPP_OK, "nor one that lives");
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
    mpp_mesh_options o = harness_smallest();
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

int main(void)
{
    tap_seed();
    harness_begin(60);
    harness.step = "what is not a mesh";
    test_planted();
    test_planted_others();
    test_corrupt();
    harness.step = "crowds";
    test_creators();
    test_cleaners();
    test_tied_to_the_dead();
    harness_end();
    return done_testing();
}
