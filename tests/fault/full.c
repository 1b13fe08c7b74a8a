/* Shared memory is full: a mesh is made, attached to and used in a /dev/shm of every size, page by page, from 64 KiB
 * up to what it needs.
 *
 * Either all goes well, or what does not fit is an error that says how much was wanted and how much there is, which
 * everybody in the mesh is told; never SIGBUS, and nothing is left.  Nothing is random: a failure prints the size. */
#include "mpp-look.h"
#include "rig.h"

enum { PAGE = 4 << 10, SMALLEST = 64 << 10, LARGEST = 1 << 20, RECORD = 5000, RECORDS = 60 };

/* How a child ends. */
enum { WRONG, NO_ROOM, ALL_WELL, ENDS };

static bool says_room(const char *text, unsigned size)
{
    unsigned long long there, wanted;
    const char *at = strstr(text, "has ");
    return at && sscanf(at, "has %llu KiB free and %llu KiB are needed", &there, &wanted) == 2 && there < wanted &&
           there <= size >> 10;
}

/* Somebody else takes all that is left, after everybody has attached. */
static bool hog(void)
{
    static const char page[PAGE];
    int fd = open("/dev/shm/hog", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, page, sizeof page) > 0)
        ;
    const bool full = fd >= 0 && errno == ENOSPC;
    close(fd);
    return full;
}

/* Every byte of every ring is written. */
static bool use(rig *r)
{
    static const char record[RECORD];
    bool well = rig_ask(r, 0);
    for (unsigned i = 0; i < RECORDS; i++)
        well &= rig_put(r, 0, record, sizeof record) == MPP_OK;
    well &= rig_finish(r, 0) && r->torn == 0;
    for (unsigned j = 0; j < r->consumers; j++)
        well &= r->got[j][0].n == RECORDS / r->consumers * (RECORD + 1);
    return well;
}

static int attach_and_use(rig *r, unsigned size)
{
    mpp_error err, cause = {.text = ""};
    for (unsigned j = 0; j < r->consumers; j++)
        r->c[j] = harness_consumer(r->mesh, (int)j);
    if (mpp_producer_attach(r->mesh, &(mpp_attach_options){.index = 0, .runs = 1}, &r->p, &err) < 0) {
        const bool told = mpp_mesh_cause(r->mesh, &cause) && says_room(cause.text, size);
        return told && err.status == MPP_S_ERROR && err.os_error == ENOSPC && says_room(err.text, size) ? NO_ROOM
                                                                                                        : WRONG;
    }
    mpp_register(r->p, 0, &(mpp_source){rig_start, rig_stop, r});
    const bool well = hog() && use(r);
    unlink("/dev/shm/hog");
    return well ? ALL_WELL : WRONG;
}

static int in_so_much(void *arg)
{
    const unsigned size = *(const unsigned *)arg;
    const mpp_stream_options lines = {.name = "0", .format = {.delimiter = '\n'}, .separator = '\t'};
    const mpp_mesh_options o = rig_options(&lines, 1, 3);
    mpp_error err;
    rig r = {.streams = 1, .consumers = 3};
    if (mpp_mesh_create(&o, &r.mesh, &err) < 0)
        return WRONG; /* it takes two pages until somebody attaches */
    const int end = attach_and_use(&r, size);
    rig_close(&r);
    return rig_leftovers == 0 && harness_entries("/dev/shm", "", false) == 0 ? end : WRONG;
}

static bool shrink(unsigned size)
{
    char option[32];
    snprintf(option, sizeof option, "size=%u", size);
    return harness.private_shm && mount("none", "/dev/shm", "none", MS_REMOUNT, option) == 0;
}

static void test_sizes(void)
{
    unsigned ends[ENDS] = {0}, wrong = 0, size = SMALLEST;
    harness.step = "sizes of /dev/shm";
    for (int end = WRONG; end != ALL_WELL && wrong == 0 && size < LARGEST; size += PAGE) {
        if (!shrink(size))
            bail_out("cannot remount /dev/shm: %s", strerror(errno));
        end = harness_reap(harness_fork(in_so_much, &size));
        if (end <= WRONG || end >= ENDS)
            diag("in %u KiB: %s", size >> 10, end == WRONG ? "not as promised" : strsignal(end - 128));
        wrong += end <= WRONG || end >= ENDS;
        ends[end < ENDS ? end : WRONG]++;
    }
    ok(wrong == 0, "in a /dev/shm that is too small, what does not fit is said, and there is no SIGBUS");
    ok(ends[NO_ROOM] > 0 && ends[ALL_WELL] == 1,
       "in %u sizes there was no room for a producer; in %u KiB all went well", ends[NO_ROOM], (size - PAGE) >> 10);
}

/* A mesh that is larger than the smallest sizes by itself. */
static void test_large_mesh(void)
{
    mpp_error err;
    mpp_mesh *m = NULL;
    unsigned refused = 0, wrong = 0;
    const mpp_mesh_options o = {.producers = 20, .consumers = 20, .ring_size = RIG_RING};
    harness.step = "a large mesh";
    for (unsigned size = SMALLEST; !m && wrong == 0 && size < LARGEST; size += PAGE) {
        shrink(size);
        const bool made = mpp_mesh_create(&o, &m, &err) == 0;
        refused += !made;
        wrong += (!made && !says_room(err.text, size)) || (!made && harness_count(false) > 0);
    }
    ok(m && refused > 0 && wrong == 0, "a mesh that does not fit is refused in %u sizes: %s", refused, err.text);
    if (m)
        mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

int main(void)
{
    harness_begin(120);
    if (shrink(SMALLEST)) {
        test_sizes();
        test_large_mesh();
    } else {
        ok(true, "# SKIP no mount namespace here");
    }
    harness_end();
    return done_testing();
}
