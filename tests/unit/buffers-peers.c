/* Buffers that overwrite, between processes: a writer at full speed and readers who nap, stop or are slow; readers who
 * sleep and are woken; commands that several compete for.
 *
 * MPP_ROUNDS=n does n times as much (1000: the 10^8 values of `latest`).  Nothing is drawn at random but how long the
 * readers nap. */
#include "door.h"
#include "mpp-look.h"
#include "readers.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { CONSUMERS = 4, MS = 1000000, PAGE = 4096 };

static uint64_t rounds = 1;

/* What the children tell, in memory that is shared with them. */
static struct told {
    uint64_t got, missed, next;
    unsigned wrong;
    mpp_outcome outcome;
    _Atomic uint64_t seen; /* the number of the last value, + 1 */
} * told;

typedef struct child {
    char id[MPP_NAME_MAX + 1];
    unsigned index, naps_us;
    uint64_t values;
    _Atomic unsigned char *times; /* that a command was taken */
    int ready[2];
} child;

/* ---- children --------------------------------------------------------------------------------------- */

static int read_all(void *arg)
{
    const child *c = arg;
    struct told *t = &told[c->index];
    uint64_t state = c->index;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(c->id);
    reader r = reader_of(m, (int)c->index);
    mpp_outcome outcome;
    if (write(c->ready[1], "", 1) != 1)
        return 1;
    while ((outcome = reader_take(&r, 1)) == MPP_OK || outcome == MPP_WOULD_BLOCK) {
        atomic_store(&t->seen, r.next[0]);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(NULL, r.c, MPP_COMPUTING, NULL, 0, 0);
        state = state * 6364136223846793005 + 1442695040888963407;
        if (c->naps_us && (state >> 33) % 16 == 0)
            usleep((unsigned)((state >> 40) % c->naps_us));
    }
    t->got = r.got[0];
    t->missed = r.missed[0];
    t->next = r.next[0];
    t->wrong = r.wrong;
    t->outcome = outcome;
    mpp_consumer_detach(&r.c);
    mpp_mesh_close(&m);
    return 0;
}

static pid_t start_reader(child *c, const mpp_mesh *m, unsigned index, unsigned naps_us)
{
    char byte;
    snprintf(c->id, sizeof c->id, "%s", mpp_mesh_id(m));
    c->index = index;
    c->naps_us = naps_us;
    if (pipe2(c->ready, O_CLOEXEC) < 0)
        bail_out("no pipe");
    pid_t pid = harness_fork(read_all, c);
    if (read(c->ready[0], &byte, 1) != 1)
        bail_out("a reader did not come");
    close(c->ready[0]);
    close(c->ready[1]);
    return pid;
}

/* ---- latest ----------------------------------------------------------------------------------------- */

/* 4 KiB values past four readers; one who comes when it is over sees the last one, once. */
static void test_latest(void)
{
    const uint64_t values = SCALED(UINT64_C(100000), 10) * rounds;
    child c[CONSUMERS];
    pid_t pid[CONSUMERS];
    unsigned wrong = 0;
    uint64_t least = UINT64_MAX;
    harness.step = "latest";
    mpp_mesh *m = readers_mesh(MPP_LATEST, 1, CONSUMERS + 1);
    author a = author_of(m, 0);
    for (unsigned j = 0; j < CONSUMERS; j++)
        pid[j] = start_reader(&c[j], m, j, j ? 200 : 0);
    while (a.written < values)
        author_write(&a, PAGE);
    mpp_end(a.p, 0);
    for (unsigned j = 0; j < CONSUMERS; j++) {
        wrong += harness_reap(pid[j]) != 0 || told[j].wrong || told[j].outcome != MPP_CLOSED;
        wrong += told[j].next != values || told[j].got + told[j].missed != values;
        least = told[j].got < least ? told[j].got : least;
    }
    ok(wrong == 0 && mpp_service(a.p) == MPP_CLOSED,
       "%llu values of 4 KiB past 4 readers: none torn, each newer than the one before, the last one seen (one saw "
       "%llu)",
       (unsigned long long)values, (unsigned long long)least);
    reader late = reader_of(m, CONSUMERS);
    ok(reader_take(&late, UINT32_MAX) == MPP_CLOSED && late.wrong == 0 && late.got[0] == 1 && late.next[0] == values,
       "a reader that comes afterwards sees the last one, once");
    mpp_consumer_detach(&late.c);
    mpp_producer_detach(&a.p);
    ok(mesh_went(&m), "and the mesh goes");
}

/* ---- ring ------------------------------------------------------------------------------------------- */

static void test_ring(void)
{
    const uint64_t values = SCALED(UINT64_C(300000), 10) * rounds;
    child c[3];
    pid_t pid[3];
    unsigned wrong = 0;
    harness.step = "ring";
    mpp_mesh *m = readers_mesh(MPP_RING, 1, 3);
    author a = author_of(m, 0);
    for (unsigned j = 0; j < 3; j++)
        pid[j] = start_reader(&c[j], m, j, j * 1000);
    kill(pid[2], SIGSTOP);
    while (a.written < values / 2)
        author_write(&a, VALUE_LEAST + a.written % 300);
    kill(pid[2], SIGCONT);
    while (a.written < values)
        author_write(&a, VALUE_LEAST + a.written % 300);
    mpp_end(a.p, 0);
    for (unsigned j = 0; j < 3; j++) {
        wrong += harness_reap(pid[j]) != 0 || told[j].wrong || told[j].outcome != MPP_CLOSED;
        wrong += told[j].got + told[j].missed != values;
    }
    ok(wrong == 0 && told[2].missed > 0,
       "a ring at full speed, readers that nap and one that is stopped: whole, in order, got + missed = %llu written "
       "(missed %llu, %llu, %llu)",
       (unsigned long long)values, (unsigned long long)told[0].missed, (unsigned long long)told[1].missed,
       (unsigned long long)told[2].missed);
    mpp_producer_detach(&a.p);
    ok(mesh_went(&m), "and the mesh goes");
}

/* ---- mailbox ---------------------------------------------------------------------------------------- */

static int take_commands(void *arg)
{
    const child *c = arg;
    struct told *t = &told[c->index];
    mpp_batch b;
    mpp_outcome outcome;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(c->id);
    mpp_consumer *consumer = harness_consumer(m, (int)c->index);
    mpp_start(consumer, 0);
    while ((outcome = mpp_next(consumer, 0, MPP_PRODUCER_ANY, &b)) != MPP_CLOSED && outcome != MPP_GONE) {
        uint64_t number = 0;
        if (outcome == MPP_WOULD_BLOCK) {
            mpp_wait(NULL, consumer, MPP_COMPUTING, NULL, 0, 0);
            continue;
        }
        const bool whole = value_whole(b.data + 4, b.len - 4, &number) && number < c->values;
        t->wrong += !whole || number < t->next || atomic_fetch_add(&c->times[whole ? number : 0], 1) != 0;
        t->next = number + 1;
        t->got++;
        mpp_release(consumer, &b);
    }
    t->outcome = outcome;
    mpp_consumer_detach(&consumer);
    mpp_mesh_close(&m);
    return 0;
}

static void *shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        bail_out("no memory");
    return p;
}

static void test_mailbox(void)
{
    child c[CONSUMERS];
    pid_t pid[CONSUMERS];
    unsigned wrong = 0;
    uint64_t got = 0;
    const uint64_t commands = SCALED(UINT64_C(1000000), 20) * rounds;
    harness.step = "mailbox";
    mpp_mesh *m = readers_mesh(MPP_MAILBOX, 1, CONSUMERS);
    author a = author_of(m, 0);
    _Atomic unsigned char *times = shared(commands);
    memset(told, 0, CONSUMERS * sizeof *told);
    for (unsigned j = 0; j < CONSUMERS; j++) {
        c[j] = (child){.index = j, .values = commands, .times = times};
        snprintf(c[j].id, sizeof c[j].id, "%s", mpp_mesh_id(m));
        pid[j] = harness_fork(take_commands, &c[j]);
    }
    while (a.written < commands) {
        author_write(&a, 32);
        if (a.written % 256 == 0)
            sched_yield(); /* on a machine with few processors they would hardly see any */
    }
    mpp_end(a.p, 0);
    for (unsigned j = 0; j < CONSUMERS; j++) {
        wrong += harness_reap(pid[j]) != 0 || told[j].wrong || told[j].outcome != MPP_CLOSED;
        got += told[j].got;
    }
    const mpp_share_counters counters = author_counters(m, 0);
    ok(wrong == 0 && counters.produced == commands && got + counters.overwritten == commands &&
           times[commands - 1] == 1,
       "%llu commands, 4 consumers: none is taken twice, %llu taken + %llu overwritten, and the last is taken",
       (unsigned long long)commands, (unsigned long long)got, (unsigned long long)counters.overwritten);
    munmap((void *)times, commands);
    mpp_producer_detach(&a.p);
    ok(mesh_went(&m), "and the mesh goes");
}

/* ---- sleeping and being woken ----------------------------------------------------------------------- */

/* One value after the other, each written when all readers have seen the one before: whoever is not woken, hangs. */
static void test_woken(mpp_buffer_kind kind)
{
    const uint64_t values = SCALED(UINT64_C(5000), 10) * rounds;
    child c[CONSUMERS];
    pid_t pid[CONSUMERS];
    const unsigned readers = kind == MPP_MAILBOX ? CONSUMERS : 3;
    unsigned wrong = 0;
    uint64_t got = 0;
    harness.step = "a reader that is not woken";
    mpp_mesh *m = readers_mesh(kind, 1, readers);
    author a = author_of(m, 0);
    memset(told, 0, CONSUMERS * sizeof *told);
    for (unsigned j = 0; j < readers; j++)
        pid[j] = start_reader(&c[j], m, j, 0);
    while (a.written < values) {
        author_write(&a, 32);
        if (mpp_service(a.p) != MPP_OK)
            break;
        for (unsigned seen = 0; seen < (kind == MPP_MAILBOX ? 1 : readers); sched_yield()) {
            seen = 0;
            for (unsigned j = 0; j < readers; j++)
                seen += atomic_load(&told[j].seen) == a.written;
        }
    }
    mpp_end(a.p, 0);
    for (unsigned j = 0; j < readers; j++) {
        wrong += harness_reap(pid[j]) != 0 || told[j].wrong || told[j].outcome != MPP_CLOSED;
        got += told[j].got;
    }
    ok(wrong == 0 && got == values * (kind == MPP_MAILBOX ? 1 : readers),
       "%s: %u readers sleep before each of %llu values and before the end, and are woken", mpp_buffer_text(kind),
       readers, (unsigned long long)values);
    mpp_producer_detach(&a.p);
    ok(mesh_went(&m), "and the mesh goes");
}

/* ---- speed ------------------------------------------------------------------------------------------ */

/* The processor's time that so many values cost their writer. */
static int64_t cost(author *a, unsigned values)
{
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    for (unsigned i = 0; i < values; i++)
        author_write(a, 200);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
}

/* Readers that do not read cost the writer nothing: neither one that sleeps over a value, nor one that is stopped while
 * it sleeps, nor one that is dead. */
static void test_stopped(mpp_buffer_kind kind)
{
    enum { VALUES = 20000, READERS = 3 };
    child c[READERS];
    pid_t pid[READERS];
    int64_t alone = INT64_MAX, with = INT64_MAX;
    harness.step = "a reader that is stopped";
    mpp_mesh *m = readers_mesh(kind, 1, READERS);
    author a = author_of(m, 0);
    for (unsigned i = 0; i < 5; i++) {
        const int64_t took = cost(&a, VALUES);
        alone = took < alone ? took : alone;
    }
    for (unsigned j = 0; j < READERS; j++) {
        pid[j] = start_reader(&c[j], m, j, 0);
        kill(pid[j], j == 2 ? SIGKILL : SIGSTOP);
    }
    harness_reap(pid[2]);
    for (unsigned i = 0; i < 5; i++) {
        const int64_t took = cost(&a, VALUES);
        with = took < with ? took : with;
    }
    ok(with < 3 * alone + MS && mpp_service(a.p) == MPP_OK,
       "%s: readers that are stopped or dead do not slow the writer (%d ns a value, without them %d)",
       mpp_buffer_text(kind), (int)(with / VALUES), (int)(alone / VALUES));
    for (unsigned j = 0; j < 2; j++)
        kill(pid[j], SIGCONT);
    mpp_end(a.p, 0);
    unsigned wrong = 0;
    for (unsigned j = 0; j < 2; j++)
        wrong += harness_reap(pid[j]) != 0 || told[j].wrong || told[j].outcome != MPP_CLOSED;
    ok(wrong == 0, "%s: and read on when they are let", mpp_buffer_text(kind));
    mpp_producer_detach(&a.p);
    mesh_went(&m);
}

int main(void)
{
    static const mpp_buffer_kind kinds[] = {MPP_RING, MPP_LATEST, MPP_MAILBOX};
    const char *given = getenv("MPP_ROUNDS");
    rounds = given ? strtoull(given, NULL, 10) : 1;
    harness_begin(60);
    watchdog(given ? 36000 : 60, "setting up");
    told = shared(CONSUMERS * sizeof *told);
    test_latest();
    test_ring();
    test_mailbox();
    for (unsigned i = 0; i < 3; i++) {
        test_woken(kinds[i]);
        test_stopped(kinds[i]);
    }
    harness_end();
    return done_testing();
}
