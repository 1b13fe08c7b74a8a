/* Both ends of a data ring: positions, wraps, what a peer may not store, and two threads. */
#include "ring/ring.h"
#include "base/atomics.h"
#include "harness.h"
#include "shm/layout.h"
#include "twice.h"

#include <pthread.h>

enum { SIZE = 64 << 10 };

#define FRAMES SCALED(UINT64_C(1000000), 10)

static layout_channel channel;
static unsigned char *bytes_of_ring; /* mapped twice */

/* An empty ring whose positions stand at `at`, and both its ends. */
static bool open_at(uint64_t at, ring_writer *w, ring_reader *r)
{
    store_relaxed(&channel.write, at);
    store_relaxed(&channel.read, at);
    return ring_writer_open(w, &channel, bytes_of_ring, SIZE) && ring_reader_open(r, &channel, bytes_of_ring, SIZE);
}

static void push(ring_writer *w, uint64_t n)
{
    w->tail += n;
    ring_publish(w, w->tail);
}

static void pull(ring_reader *r, uint64_t n)
{
    r->head += n;
    ring_release(r);
}

/* ---- arithmetic ------------------------------------------------------------------------------------- */

static const uint64_t starts[] = {
    0,
    8,
    SIZE - 8,
    (UINT64_C(1) << 32) - 8,
    (UINT64_C(1) << 63) - SIZE,
    (UINT64_C(1) << 63) - 8,
    UINT64_C(1) << 63,
    UINT64_MAX - SIZE + 1,
    UINT64_MAX - 2 * SIZE + 9,
    UINT64_MAX - 7,
};
enum { N_STARTS = sizeof starts / sizeof *starts };

static void test_empty_and_full(uint64_t at)
{
    ring_writer w;
    ring_reader r;
    bool opened = open_at(at, &w, &r);
    ok(opened && ring_space(&w, SIZE) == SIZE && ring_unread(&r) == 0, "at %#llx a ring is empty",
       (unsigned long long)at);
    push(&w, SIZE);
    ok(ring_space(&w, 1) == 0 && ring_unread(&r) == SIZE, "then it is full");
    pull(&r, 8);
    ok(ring_space(&w, 0) == 0 && ring_space(&w, 8) == 8, "the reader's release is seen when the room is needed");
    pull(&r, SIZE - 8);
    ok(ring_space(&w, 8) == 8 && ring_space(&w, 16) == SIZE && ring_unread(&r) == 0, "and looked for only then");
}

static void test_deferred(void)
{
    ring_writer w;
    ring_reader r;
    open_at(UINT64_MAX - 15, &w, &r);
    w.tail += 64;
    ok(ring_unread(&r) == 0 && ring_space(&w, 0) == SIZE - 64, "what is written is not there before it is published");
    ring_publish(&w, w.tail - 32);
    ok(ring_unread(&r) == 32, "and then as far as that was");
    r.head += 24;
    ok(ring_unread(&r) == 8 && load_relaxed(&channel.read) == UINT64_MAX - 15, "what is read is not free");
    ring_release(&r);
    ok(load_relaxed(&channel.read) == 8, "before it is released");
    store_relaxed(&channel.read, 0);
    ring_release(&r);
    ok(load_relaxed(&channel.read) == 0, "a release of nothing stores nothing");
}

/* ---- a random walk against a plain model ------------------------------------------------------------ */

/* Byte k of all that ever goes through. */
static unsigned char byte_at(uint64_t k)
{
    return (unsigned char)(k * 167 ^ k >> 8 ^ k >> 16);
}

static bool write_some(ring_writer *w, uint64_t start, uint64_t unread)
{
    uint64_t n = 8 * tap_random(tap_random(4) ? 100 : SIZE / 8 + 10);
    uint64_t space = ring_space(w, n);
    if (space == RING_CORRUPT || space > SIZE - unread || (n <= SIZE - unread) != (space >= n))
        return false;
    if (space < n)
        return true;
    unsigned char *to = ring_tail(w);
    for (uint64_t i = 0; i < n; i++)
        to[i] = byte_at(w->tail - start + i);
    push(w, n);
    return true;
}

static bool read_some(ring_reader *r, uint64_t start, uint64_t unread)
{
    uint64_t there = ring_unread(r);
    if (there == RING_CORRUPT || there > unread || (there == 0) != (unread == 0) || ring_refresh(r) != unread)
        return false;
    uint64_t n = unread ? 8 * tap_random(unread / 8 + 1) : 0;
    const unsigned char *from = ring_head(r);
    for (uint64_t i = 0; i < n; i++)
        if (from[i] != byte_at(r->head - start + i))
            return false;
    r->head += n;
    if (tap_random(2))
        ring_release(r);
    return true;
}

static void test_walk(uint64_t start)
{
    ring_writer w;
    ring_reader r;
    bool good = open_at(start, &w, &r);
    for (unsigned step = 0; step < SCALED(2000, 4) && good; step++)
        good = tap_random(2) ? write_some(&w, start, w.tail - r.read) : read_some(&r, start, w.write - r.head);
    ok(good, "from %#llx on, every byte comes as it was written, and the room adds up (%llu bytes)",
       (unsigned long long)start, (unsigned long long)(r.head - start));
}

/* ---- a corrupt peer --------------------------------------------------------------------------------- */

static void test_bad_reader(uint64_t at)
{
    ring_writer w;
    ring_reader r;
    const struct {
        uint64_t read;
        const char *what;
    } bad[] = {
        {at - 8, "goes back"},           {at + 72, "is beyond what was published"},
        {at + SIZE, "is a ring ahead"},  {at + (UINT64_C(1) << 63), "is half the numbers away"},
        {at - SIZE, "is a ring behind"}, {at + 9, "is inside a frame"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_at(at, &w, &r);
        push(&w, 64);
        w.tail += 8; /* written, not published: not the reader's yet */
        store_relaxed(&channel.read, bad[i].read);
        ok(ring_space(&w, SIZE) == RING_CORRUPT, "a reader's position that %s is corrupt", bad[i].what);
        ok(w.read == at && ring_space(&w, 8) == SIZE - 72, "and not believed");
    }
}

static void test_bad_writer(uint64_t at)
{
    ring_writer w;
    ring_reader r;
    const struct {
        uint64_t write;
        const char *what;
    } bad[] = {
        {at + 56, "goes back"},
        {at + SIZE + 40, "is more than a ring ahead of what was released"},
        {at + SIZE + 72, "is more than a ring ahead"},
        {at + (UINT64_C(1) << 63), "is half the numbers away"},
        {at - 8, "is before what was released"},
        {at + 65, "is inside a frame"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_at(at, &w, &r);
        push(&w, 64);
        ring_refresh(&r);
        r.head += 32;
        ring_release(&r);
        r.head += 32;
        store_relaxed(&channel.write, bad[i].write);
        ok(ring_unread(&r) == RING_CORRUPT && ring_refresh(&r) == RING_CORRUPT,
           "a writer's position that %s is corrupt", bad[i].what);
        store_relaxed(&channel.write, at + 64);
        ok(r.write == at + 64 && ring_unread(&r) == 0, "and not believed");
    }
}

static void test_bad_at_open(void)
{
    const struct {
        uint64_t read, write;
    } bad[] = {{8, 0}, {0, SIZE + 8}, {0, UINT64_MAX - 7}, {UINT64_C(1) << 63, 0}, {1, 9}, {0, 4}};
    ring_writer w;
    ring_reader r;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        store_relaxed(&channel.read, bad[i].read);
        store_relaxed(&channel.write, bad[i].write);
        ok(!ring_writer_open(&w, &channel, NULL, SIZE) && !ring_reader_open(&r, &channel, NULL, SIZE),
           "a ring read to %#llx and written to %#llx is not opened", (unsigned long long)bad[i].read,
           (unsigned long long)bad[i].write);
    }
    store_relaxed(&channel.read, UINT64_MAX - 7);
    store_relaxed(&channel.write, SIZE - 8);
    ok(ring_writer_open(&w, &channel, NULL, SIZE) && ring_reader_open(&r, &channel, NULL, SIZE) &&
           ring_space(&w, 1) == 0 && ring_unread(&r) == SIZE,
       "a full one that reaches over 2^64 is");
}

/* ---- two threads ------------------------------------------------------------------------------------ */

static uint64_t frame_size(uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return 8 + (*state >> 40) % (*state >> 63 ? 64 : SIZE / 32) / 8 * 8;
}

/* Frames of any size, their first and last word their number; published one by one or several at once. */
static void *write_frames(void *arg)
{
    ring_writer w;
    uint64_t state = 1;
    (void)arg;
    if (!ring_writer_open(&w, &channel, bytes_of_ring, SIZE))
        return NULL;
    for (uint64_t n = 0; n < FRAMES; n++) {
        uint64_t size = frame_size(&state);
        while (ring_space(&w, size) < size) {
            ring_publish(&w, w.tail);
            sched_yield();
        }
        memcpy(ring_tail(&w), &n, sizeof n);
        memcpy(ring_tail(&w) + size - sizeof n, &n, sizeof n);
        w.tail += size;
        if (n % 3 == 0)
            ring_publish(&w, w.tail);
    }
    ring_publish(&w, w.tail);
    return NULL;
}

static void *read_frames(void *arg)
{
    ring_reader r;
    uint64_t state = 1, *wrong = arg;
    if (!ring_reader_open(&r, &channel, bytes_of_ring, SIZE))
        return NULL;
    for (uint64_t n = 0; n < FRAMES && *wrong == 0; n++) {
        uint64_t size = frame_size(&state), first, last, unread;
        while ((unread = ring_unread(&r)) == 0) {
            ring_release(&r);
            sched_yield();
        }
        memcpy(&first, ring_head(&r), sizeof first);
        memcpy(&last, ring_head(&r) + size - sizeof last, sizeof last);
        *wrong += unread == RING_CORRUPT || unread < size || first != n || last != n;
        r.head += size;
        if (n % 5 == 0)
            ring_release(&r);
    }
    ring_release(&r);
    return NULL;
}

/* Writer and reader see the ring at the same addresses, so that ThreadSanitizer sees them share it. */
static void test_threads(uint64_t start)
{
    ring_writer w;
    ring_reader r;
    pthread_t writer, reader;
    uint64_t wrong = 0;
    harness.step = "two threads";
    open_at(start, &w, &r);
    if (pthread_create(&writer, NULL, write_frames, NULL) != 0 ||
        pthread_create(&reader, NULL, read_frames, &wrong) != 0)
        bail_out("cannot start a thread");
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    ok(wrong == 0 && load_relaxed(&channel.read) == load_relaxed(&channel.write),
       "two threads pass %llu frames through a ring of 64K, from %#llx on", (unsigned long long)FRAMES,
       (unsigned long long)start);
}

int main(void)
{
    tap_seed();
    watchdog(60, "arithmetic");
    bytes_of_ring = map_twice(SIZE);
    for (unsigned i = 0; i < N_STARTS; i++)
        test_empty_and_full(starts[i]);
    test_deferred();
    for (unsigned i = 0; i < N_STARTS; i++)
        test_walk(starts[i]);
    test_bad_reader(0);
    test_bad_reader(UINT64_MAX - 31);
    test_bad_reader(UINT64_C(1) << 63);
    test_bad_writer(0);
    test_bad_writer(UINT64_MAX - 31);
    test_bad_writer(UINT64_C(1) << 63);
    test_bad_at_open();
    test_threads(0);
    test_threads(UINT64_MAX - 3 * SIZE + 1);
    return done_testing();
}
