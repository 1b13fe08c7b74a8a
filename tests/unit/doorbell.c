/* Doorbells: no wake-up is lost, whoever sleeps, and a bell that nobody hears harms nobody.
 *
 * The watchdog is the test: a lost wake-up is a sleep without end.  TOKENS=1000000 prog hands over as many where
 * each costs a wake-up or two (a minute or two). */
#include "ring/doorbell.h"
#include "base/atomics.h"
#include "bell.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "ring/ring.h"
#include "shm/layout.h"

#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { RING = 64 << 10, FRAME_MAX = RING / 4 - 8, PRODUCERS = 4, CONSUMERS = 3 };

static uint64_t handovers = SCALED(50000, 5); /* that mostly sleep */
#define TOKENS SCALED(UINT64_C(1000000), 20)  /* that mostly do not */

static pthread_t thread_of(void *(*run)(void *arg), void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, run, arg) != 0)
        bail_out("cannot start a thread");
    return t;
}

/* ---- one bell --------------------------------------------------------------------------------------- */

static bool readable(int fd)
{
    return poll(&(struct pollfd){fd, POLLIN, 0}, 1, 0) == 1;
}

/* Had it rung? */
static bool heard(int fd)
{
    bool rang = readable(fd);
    doorbell_drain(fd);
    return rang;
}

static void bell_path(char path[LAYOUT_SOCKET_PATH_MAX])
{
    doorbell_path(path, harness.directory, 'c', 7, 0, 1);
}

static void test_paths(void)
{
    char path[LAYOUT_SOCKET_PATH_MAX], directory[LAYOUT_SOCKET_PATH_MAX];
    ok(doorbell_path(path, "/d", 'p', 3, 0, 1) && strcmp(path, "/d/p3.sock") == 0, "of one lane: %s", path);
    ok(doorbell_path(path, "/d", 'c', 255, 12, 13) && strcmp(path, "/d/c255.12.sock") == 0, "of several: %s", path);
    memset(directory, 'd', sizeof directory);
    directory[LAYOUT_SOCKET_PATH_MAX - 1 - strlen("/p3.sock")] = 0;
    ok(doorbell_path(path, directory, 'p', 3, 0, 1) && strlen(path) == LAYOUT_SOCKET_PATH_MAX - 1,
       "the longest path has %d bytes", LAYOUT_SOCKET_PATH_MAX - 1);
    ok(!doorbell_path(path, directory, 'p', 33, 0, 1), "and one more is refused");
}

static void test_nobody_there(int from)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    bell_path(path);
    doorbell_ring(from, path);
    int fd = bell_bound(path);
    ok(fd >= 0 && !heard(fd), "a ring before the listener is bound has no effect");
    doorbell_ring(from, path);
    ok(heard(fd) && !heard(fd), "one that comes after is heard, once");
    close(fd);
    doorbell_ring(from, path);
    fd = bell_bound(path);
    ok(fd >= 0 && !heard(fd), "one for a listener that is gone has no effect, and its place can be taken");
    close(fd);
    unlink(path);
}

static void test_full(int from)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    bell_path(path);
    int fd = bell_bound(path);
    for (unsigned i = 0; i < 5000; i++)
        doorbell_ring(from, path);
    ok(readable(fd), "a full doorbell has rung, and ringing it never waits");
    ok(heard(fd) && !heard(fd), "it is emptied at once");
    doorbell_ring(from, path);
    ok(heard(fd), "and rings again");
    close(fd);
    unlink(path);
}

/* What listeners have not taken yet fills the sender's buffer: no other listener may pay for that. */
static void test_many_full(int from)
{
    enum { LISTENERS = 100 };
    char path[LAYOUT_SOCKET_PATH_MAX];
    int fds[LISTENERS];
    unsigned rang = 0;
    for (unsigned i = 0; i < LISTENERS; i++) {
        doorbell_path(path, harness.directory, 'c', i, 0, 1);
        fds[i] = bell_bound(path);
    }
    for (unsigned i = 0; i < LISTENERS; i++) {
        doorbell_path(path, harness.directory, 'c', i, 0, 1);
        for (unsigned k = 0; k < 20; k++)
            doorbell_ring(from, path);
        unlink(path);
    }
    for (unsigned i = 0; i < LISTENERS; i++) {
        rang += heard(fds[i]);
        close(fds[i]);
    }
    ok(rang == LISTENERS, "of %d listeners that take nothing each has been rung by one sender (%u)", LISTENERS, rang);
}

static void test_no_bell(void)
{
    struct rlimit before, none;
    char path[LAYOUT_SOCKET_PATH_MAX];
    ok(bell_bound("/nonexistent/c0.sock") == -1 && errno == ENOENT, "no directory, no doorbell");
    bell_path(path);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    int fd = bell_bound(path), e = errno;
    setrlimit(RLIMIT_NOFILE, &before);
    ok(fd == -1 && e == EMFILE, "no descriptors, no doorbell");
}

static void test_words(void)
{
    static layout_slot slot;
    ok(!doorbell_wake(&slot, 0), "nobody sleeps: nobody is to be rung");
    doorbell_arm(&slot, LAYOUT_WANTS_DATA);
    ok(!doorbell_wake(&slot, LAYOUT_WANTS_SPACE), "who waits for data is not rung for space");
    ok(doorbell_wake(&slot, LAYOUT_WANTS_DATA) && !doorbell_wake(&slot, LAYOUT_WANTS_DATA),
       "but for data, and by one waker");
    doorbell_arm(&slot, LAYOUT_WANTS_SPACE);
    ok(doorbell_wake(&slot, 0), "control wakes whoever sleeps");
    doorbell_arm(&slot, 0);
    doorbell_disarm(&slot);
    ok(!doorbell_wake(&slot, 0), "who has disarmed is awake");
}

static void test_bells(void)
{
    harness.step = "single doorbells";
    int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    test_paths();
    test_nobody_there(from);
    test_full(from);
    test_many_full(from);
    test_no_bell();
    test_words();
    close(from);
}

/* ---- the fences ------------------------------------------------------------------------------------- */

/* Two threads meet in each round, one falling asleep as the other publishes.  Without both fences a processor with a
 * store buffer soon has a round in which neither saw the other: the sleeper no news, the waker nobody asleep. */
typedef struct meeting {
    _Alignas(128) _Atomic uint64_t published;
    _Alignas(128) _Atomic uint64_t arrived[2];
    _Alignas(128) layout_slot slot;
    uint64_t rounds;
    bool *heard, *rang;
} meeting;

static void meet(meeting *m, unsigned self, uint64_t round)
{
    store_release(&m->arrived[self], round);
    for (unsigned tries = 0; load_acquire(&m->arrived[!self]) < round; tries++)
        if (tries > 1000)
            sched_yield(); /* it has no processor */
}

static void *fall_asleep(void *arg)
{
    meeting *m = arg;
    for (uint64_t round = 1; round <= m->rounds; round++) {
        meet(m, 0, 2 * round);
        doorbell_arm(&m->slot, LAYOUT_WANTS_DATA);
        m->heard[round] = load_acquire(&m->published) == round;
        meet(m, 0, 2 * round + 1);
        doorbell_disarm(&m->slot);
    }
    return NULL;
}

static void *publish_and_wake(void *arg)
{
    meeting *m = arg;
    for (uint64_t round = 1; round <= m->rounds; round++) {
        meet(m, 1, 2 * round);
        store_release(&m->published, round);
        doorbell_fence();
        m->rang[round] = doorbell_wake(&m->slot, LAYOUT_WANTS_DATA);
        meet(m, 1, 2 * round + 1);
    }
    return NULL;
}

static void test_fences(void)
{
    static meeting m;
    harness.step = "falling asleep while the other side publishes";
    m.rounds = TOKENS;
    m.heard = calloc(m.rounds + 1, sizeof *m.heard);
    m.rang = calloc(m.rounds + 1, sizeof *m.rang);
    pthread_t sleeper = thread_of(fall_asleep, &m), waker = thread_of(publish_and_wake, &m);
    pthread_join(sleeper, NULL);
    pthread_join(waker, NULL);
    uint64_t lost = 0, both = 0;
    for (uint64_t round = 1; round <= m.rounds; round++) {
        lost += !m.heard[round] && !m.rang[round];
        both += m.heard[round] && m.rang[round];
    }
    ok(lost == 0, "of a sleeper and a waker that meet %llu times one always sees the other (both: %llu times)",
       (unsigned long long)m.rounds, (unsigned long long)both);
    free(m.heard);
    free(m.rang);
}

/* ---- a ring that holds one frame -------------------------------------------------------------------- */

/* The two ends of a ring in which a frame takes more than half, each with the protocol of doorbell.h written out. */
typedef struct handover {
    layout_channel channel;
    layout_slot slots[2]; /* the producer's, the consumer's */
    unsigned char *bytes; /* mapped twice */
    char paths[2][LAYOUT_SOCKET_PATH_MAX];
    int bells[2];
    uint64_t wrong, sleeps[2];
} handover;

enum { FRAME = RING / 2 + 8, PUTTER = 0, TAKER = 1 };

static void wake_other(handover *h, unsigned self)
{
    doorbell_fence();
    if (doorbell_wake(&h->slots[!self], self == PUTTER ? LAYOUT_WANTS_DATA : LAYOUT_WANTS_SPACE))
        doorbell_ring(h->bells[self], h->paths[!self]);
}

/* Sleep unless `ready` holds once it is known that we would be rung. */
static void sleep_unless(handover *h, unsigned self, bool (*ready)(void *end), void *end)
{
    doorbell_arm(&h->slots[self], self == PUTTER ? LAYOUT_WANTS_SPACE : LAYOUT_WANTS_DATA);
    if (!ready(end)) {
        poll(&(struct pollfd){h->bells[self], POLLIN, 0}, 1, -1);
        doorbell_drain(h->bells[self]);
        h->sleeps[self]++;
    }
    doorbell_disarm(&h->slots[self]);
}

static bool has_room(void *end)
{
    return ring_space(end, FRAME) >= FRAME;
}

static bool has_data(void *end)
{
    return ring_unread(end) > 0;
}

static void *put_tokens(void *arg)
{
    handover *h = arg;
    ring_writer w;
    ring_writer_open(&w, &h->channel, h->bytes, RING);
    for (uint64_t token = 0; token < handovers; token++) {
        while (!has_room(&w))
            sleep_unless(h, PUTTER, has_room, &w);
        memcpy(ring_tail(&w), &token, sizeof token);
        memcpy(ring_tail(&w) + FRAME - sizeof token, &token, sizeof token);
        w.tail += FRAME;
        ring_publish(&w, w.tail);
        wake_other(h, PUTTER);
    }
    return NULL;
}

static void *take_tokens(void *arg)
{
    handover *h = arg;
    ring_reader r;
    ring_reader_open(&r, &h->channel, h->bytes, RING);
    for (uint64_t token = 0; token < handovers; token++) {
        while (!has_data(&r))
            sleep_unless(h, TAKER, has_data, &r);
        uint64_t first, last;
        memcpy(&first, ring_head(&r), sizeof first);
        memcpy(&last, ring_head(&r) + FRAME - sizeof last, sizeof last);
        h->wrong += first != token || last != token;
        r.head += FRAME;
        ring_release(&r);
        wake_other(h, TAKER);
    }
    return NULL;
}

static void test_one_frame(void)
{
    static handover h;
    harness.step = "tokens through a ring of one frame";
    int fd = memfd_create("ring", MFD_CLOEXEC);
    h.bytes = mmap(NULL, 2 * RING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fd < 0 || ftruncate(fd, RING) < 0 || h.bytes == MAP_FAILED)
        bail_out("no memory for a ring");
    for (unsigned half = 0; half < 2; half++)
        if (mmap(h.bytes + half * RING, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
            bail_out("mmap: %s", strerror(errno));
    for (unsigned i = 0; i < 2; i++) {
        doorbell_path(h.paths[i], harness.directory, i == PUTTER ? 'p' : 'c', 0, 0, 1);
        h.bells[i] = bell_bound(h.paths[i]);
    }
    int64_t before = mpp_now();
    pthread_t putter = thread_of(put_tokens, &h), taker = thread_of(take_tokens, &h);
    pthread_join(putter, NULL);
    pthread_join(taker, NULL);
    ok(h.wrong == 0, "%llu tokens go through a ring that holds one frame, and nobody sleeps for ever",
       (unsigned long long)handovers);
    diag("%.1f s; the producer slept %llu times, the consumer %llu times", (double)(mpp_now() - before) / 1e9,
         (unsigned long long)h.sleeps[PUTTER], (unsigned long long)h.sleeps[TAKER]);
    for (unsigned i = 0; i < 2; i++) {
        close(h.bells[i]);
        unlink(h.paths[i]);
    }
    munmap(h.bytes, 2 * RING);
    close(fd);
}

/* ---- the same through the public API ---------------------------------------------------------------- */

typedef struct worker {
    mpp_mesh *mesh;
    unsigned index;
    uint64_t tokens; /* a producer's; or what a consumer took */
    size_t size;     /* of a token: a frame, or a short record */
    uint64_t waits, wrong;
    mpp_outcome outcome; /* the last */
} worker;

static mpp_outcome put_token(worker *w, mpp_producer *p, uint64_t token)
{
    char line[32];
    void *room;
    if (w->size == 0)
        return mpp_try_produce(p, 0, line, (size_t)snprintf(line, sizeof line, "%llu", (unsigned long long)token));
    unsigned target = (unsigned)((token + w->index) % mpp_mesh_consumers(w->mesh));
    mpp_outcome outcome = mpp_reserve(p, 0, target, w->size, &room);
    if (outcome == MPP_OK) {
        int n = snprintf(room, w->size, "%llu", (unsigned long long)token);
        ((char *)room)[n] = ' ';
        ((char *)room)[w->size - 1] = '\n';
        mpp_commit(p, 0, target, w->size, 1);
    }
    return outcome;
}

static void *produce_tokens(void *arg)
{
    worker *w = arg;
    mpp_producer *p = harness_producer(w->mesh, (int)w->index, 1);
    uint64_t token = 0;
    while ((w->outcome = mpp_service(p)) == MPP_OK) {
        while (token < w->tokens && (w->outcome = put_token(w, p, token)) == MPP_OK)
            token++;
        if (token == w->tokens)
            mpp_end(p, 0);
        else if (mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0) == 1)
            w->waits++;
    }
    mpp_producer_detach(&p);
    return NULL;
}

/* Each producer's tokens come in order; a consumer of several takes every CONSUMERS'th (round robin). */
static void check_tokens(worker *w, const mpp_batch *b, uint64_t *next, unsigned step)
{
    const char *at = (const char *)b->data, *end = at + b->len;
    while (at < end) {
        w->wrong += strtoull(at, NULL, 10) != next[b->producer];
        next[b->producer] += step;
        w->tokens++;
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    }
}

static void *consume_tokens(void *arg)
{
    worker *w = arg;
    mpp_consumer *c = harness_consumer(w->mesh, (int)w->index);
    unsigned step = mpp_mesh_consumers(w->mesh);
    uint64_t next[PRODUCERS];
    for (unsigned i = 0; i < PRODUCERS; i++)
        next[i] = (w->index + step - i % step) % step;
    mpp_start(c, 0);
    do {
        mpp_batch b;
        while ((w->outcome = mpp_next(c, 0, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
            check_tokens(w, &b, next, step);
            mpp_release(c, &b);
        }
        if (w->outcome == MPP_WOULD_BLOCK && mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0) == 1)
            w->waits++;
    } while (w->outcome == MPP_WOULD_BLOCK);
    mpp_consumer_detach(&c);
    return NULL;
}

static void test_tokens(unsigned producers, unsigned consumers, size_t size, uint64_t tokens)
{
    worker p[PRODUCERS], c[CONSUMERS];
    pthread_t tp[PRODUCERS], tc[CONSUMERS];
    harness.step = "tokens through the public API";
    mpp_mesh_options o = {.producers = producers, .consumers = consumers, .ring_size = RING};
    mpp_mesh *m = harness_mesh(&o);
    int64_t before = mpp_now();
    for (unsigned i = 0; i < producers; i++) {
        p[i] = (worker){.mesh = m, .index = i, .tokens = tokens / producers, .size = size};
        tp[i] = thread_of(produce_tokens, &p[i]);
    }
    for (unsigned j = 0; j < consumers; j++) {
        c[j] = (worker){.mesh = m, .index = j};
        tc[j] = thread_of(consume_tokens, &c[j]);
    }
    uint64_t waits = 0, taken = 0, wrong = 0;
    bool ended = true;
    for (unsigned i = 0; i < producers; i++) {
        pthread_join(tp[i], NULL);
        ended &= p[i].outcome == MPP_CLOSED;
        waits += p[i].waits;
    }
    for (unsigned j = 0; j < consumers; j++) {
        pthread_join(tc[j], NULL);
        ended &= c[j].outcome == MPP_CLOSED;
        waits += c[j].waits;
        wrong += c[j].wrong;
        taken += c[j].tokens;
    }
    ok(ended && wrong == 0 && taken == tokens / producers * producers,
       "%u producers, %u consumers: %llu tokens of %s come in order", producers, consumers, (unsigned long long)taken,
       size ? "a frame" : "a short record");
    diag("%.1f s, %llu waits; cause: %s", (double)(mpp_now() - before) / 1e9, (unsigned long long)waits,
         harness_cause(m));
    mpp_mesh_close(&m);
}

/* ---- a loop of the user's own ----------------------------------------------------------------------- */

static void test_own_loop(void)
{
    harness.step = "a poll loop of the user's own";
    mpp_mesh_options o = {.producers = 1, .consumers = 1, .ring_size = RING};
    mpp_mesh *m = harness_mesh(&o);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_batch b;
    mpp_start(c, 0);
    mpp_service(p);
    mpp_wait(p, c, MPP_COMPUTING, NULL, 0, 1); /* what rang while they attached */
    bool quiet = true, rung = true;
    for (unsigned i = 0; i < 100; i++) {
        bool hungry = mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK;
        quiet &= hungry && mpp_arm(NULL, c, MPP_COMPUTING) && !readable(mpp_consumer_fd(c));
        mpp_try_produce(p, 0, "x", 1);
        mpp_flush(p);
        rung &= readable(mpp_consumer_fd(c));
        mpp_disarm(NULL, c);
        if (mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK)
            mpp_release(c, &b);
    }
    ok(rung, "between mpp_arm and mpp_disarm a record makes the descriptor readable");
    ok(quiet, "and when it was taken, the descriptor is quiet again");
    mpp_end(p, 0);
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
}

static void test_early_ring(void)
{
    harness.step = "what rings before its listener is there";
    mpp_mesh_options o = {.producers = 1, .consumers = 1, .ring_size = RING};
    mpp_mesh *m = harness_mesh(&o);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_begin(p, 0);
    mpp_service(p);
    for (unsigned i = 0; i < 100; i++) {
        mpp_try_produce(p, 0, "x", 1);
        mpp_flush(p);
    }
    mpp_end(p, 0);
    worker w = {.mesh = m};
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_batch b;
    mpp_start(c, 0);
    while ((w.outcome = mpp_next(c, 0, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
        w.tokens += mpp_record_count(&mpp_mesh_stream(m, 0)->format, b.data, b.len);
        mpp_release(c, &b);
    }
    ok(w.outcome == MPP_CLOSED && w.tokens == 100, "what was published before the consumer's bell is bound is found");
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
}

int main(void)
{
    const char *given = getenv("TOKENS");
    if (given)
        handovers = strtoull(given, NULL, 10);
    harness_begin(given ? 3600 : 300);
    test_bells();
    test_own_loop();
    test_early_ring();
    test_fences();
    test_one_frame();
    test_tokens(1, 1, FRAME_MAX, handovers);
    test_tokens(1, 1, 0, TOKENS);
    test_tokens(PRODUCERS, 1, FRAME_MAX, handovers);
    test_tokens(1, CONSUMERS, FRAME_MAX, handovers);
    test_tokens(PRODUCERS, 1, 0, TOKENS);
    test_tokens(1, CONSUMERS, 0, TOKENS);
    test_tokens(PRODUCERS, CONSUMERS, 0, TOKENS);
    harness_end();
    return done_testing();
}
