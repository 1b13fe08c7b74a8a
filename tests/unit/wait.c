/* mpp_wait(): what ends it, what it says then, and that nothing else does. */
#include "harness.h"
#include "mpp-look.h"

#include <sys/time.h>

enum { MS = 1000000, MANY = 40 };

typedef struct pair {
    mpp_mesh *mesh;
    mpp_producer *p;
    mpp_consumer *c;
} pair;

/* Asked for, and everything that rang on the way heard. */
static pair pair_open(void)
{
    mpp_mesh_options o = harness_smallest();
    pair x = {.mesh = harness_mesh(&o)};
    x.p = harness_producer(x.mesh, 0, 1);
    x.c = harness_consumer(x.mesh, 0);
    mpp_start(x.c, 0);
    mpp_service(x.p);
    mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, 1);
    return x;
}

static void pair_close(pair *x)
{
    mpp_end(x->p, 0);
    mpp_consumer_detach(&x->c);
    mpp_producer_detach(&x->p);
    mpp_mesh_close(&x->mesh);
}

static void test_deadline(void)
{
    pair x = pair_open();
    int64_t before = mpp_now();
    int woken = mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, before + 20 * MS);
    int64_t took = mpp_now() - before;
    ok(woken == 0 && took >= 20 * MS, "a wait for nothing ends with its deadline, not before (%.1f ms)",
       (double)took / MS);
    ok(mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, 1) == 0, "at once when that has passed");
    ok(mpp_wait(NULL, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + MS) == 0, "also without an endpoint");
    pair_close(&x);
}

static void test_descriptors(unsigned n)
{
    pair x = pair_open();
    struct pollfd fds[MANY];
    int ends[MANY][2];
    for (unsigned i = 0; i < n; i++) {
        if (pipe2(ends[i], O_CLOEXEC) < 0)
            bail_out("pipe: %s", strerror(errno));
        fds[i] = (struct pollfd){ends[i][0], POLLIN, POLLERR};
    }
    int woken = mpp_wait(x.p, x.c, MPP_READING_INPUT, fds, n, mpp_now() + MS);
    unsigned set = 0;
    for (unsigned i = 0; i < n; i++)
        set += fds[i].revents != 0;
    ok(woken == 0 && set == 0, "of %u descriptors none is ready: the deadline", n);
    if (write(ends[n - 1][1], "x", 1) != 1)
        bail_out("write: %s", strerror(errno));
    woken = mpp_wait(x.p, x.c, MPP_READING_INPUT, fds, n, 0);
    set = 0;
    for (unsigned i = 0; i < n - 1; i++)
        set += fds[i].revents != 0;
    ok(woken == 1 && set == 0 && fds[n - 1].revents == POLLIN, "the last of %u is: it is named", n);
    mpp_try_produce(x.p, 0, "x", 1);
    mpp_batch b;
    bool hungry = mpp_next(x.c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK;
    woken = mpp_wait(x.p, x.c, MPP_READING_INPUT, fds, n, 0);
    ok(hungry && woken == 1 && mpp_next(x.c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK,
       "data ends a wait for descriptors as well");
    mpp_release(x.c, &b);
    for (unsigned i = 0; i < n; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
    pair_close(&x);
}

static void wake_up(int number)
{
    (void)number;
}

static void test_signal(void)
{
    pair x = pair_open();
    struct sigaction action = {.sa_handler = wake_up}, before;
    sigaction(SIGUSR1, &action, &before);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        for (unsigned i = 0; i < 1000; i++) {
            usleep(5000);
            kill(parent, SIGUSR1);
        }
        _exit(0);
    }
    errno = 0;
    int woken = mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, 0);
    int e = errno;
    kill(pid, SIGKILL);
    harness_reap(pid);
    sigaction(SIGUSR1, &before, NULL);
    ok(woken == -1 && e == EINTR, "a signal ends it with EINTR");
    pair_close(&x);
}

/* Somebody who has a timer of his own, and waits for a peer that never comes. */
static void test_signals_and_patience(void)
{
    enum { PATIENCE = 200 };
    mpp_mesh_options o = harness_smallest();
    mpp_mesh *m = harness_mesh(&o);
    mpp_consumer *c;
    mpp_error err;
    mpp_batch b;
    struct sigaction action = {.sa_handler = wake_up}, before;
    const mpp_attach_options a = {.index = 0, .attach_timeout_ms = PATIENCE};
    const int64_t began = mpp_now();
    if (mpp_consumer_attach(m, &a, &c, &err) < 0)
        bail_out("%s", err.text);
    mpp_start(c, 0);
    sigaction(SIGALRM, &action, &before);
    const struct itimerval often = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    unsigned interrupted = 0;
    while (mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_WOULD_BLOCK && mpp_now() - began < 20 * PATIENCE * (int64_t)MS)
        interrupted += mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0) < 0;
    const int64_t took = mpp_now() - began;
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    ok(interrupted > 0 && mpp_mesh_cause(m, &err) && err.status == MPP_S_TIMEOUT && took >= PATIENCE * (int64_t)MS,
       "a signal every 10 ms does not restart the time-out for attaching (%u signals, %.0f ms)", interrupted,
       (double)took / MS);
    mpp_consumer_detach(&c);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
}

/* Whatever ends a wait: nothing of it may end the next one. */
static void test_quiet_afterwards(void)
{
    pair x = pair_open();
    mpp_batch b;
    unsigned woken = 0;
    for (unsigned i = 0; i < 20; i++) {
        mpp_next(x.c, 0, MPP_PRODUCER_ANY, &b);
        mpp_try_produce(x.p, 0, "x", 1);
        mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, 0);
        if (mpp_next(x.c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK)
            mpp_release(x.c, &b);
        mpp_next(x.c, 0, MPP_PRODUCER_ANY, &b);
        woken += mpp_wait(x.p, x.c, MPP_COMPUTING, NULL, 0, mpp_now() + MS) != 0;
    }
    ok(woken == 0, "what ended one wait does not end the next (%u of 20 times)", woken);
    pair_close(&x);
}

static unsigned fill_ring(pair *x)
{
    static const char record[1000];
    unsigned n = 0;
    while (mpp_try_produce(x->p, 0, record, sizeof record - 1) == MPP_OK)
        n++;
    return n;
}

/* A producer that was blocked is woken for much, not for every frame. */
static void test_woken_for_much(void)
{
    pair x = pair_open();
    mpp_batch b;
    unsigned woken = 0, batches = 0, records = fill_ring(&x);
    mpp_wait(x.p, NULL, MPP_COMPUTING, NULL, 0, 1);
    for (unsigned round = 0; round < 20; round++) {
        records += fill_ring(&x);
        mpp_arm(x.p, NULL, MPP_COMPUTING);
        bool rung = false;
        while (!rung && mpp_next(x.c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK) {
            mpp_release(x.c, &b);
            batches++;
            mpp_wait(NULL, x.c, MPP_COMPUTING, NULL, 0, 1); /* gives back at once what was released */
            struct pollfd fd = {mpp_producer_fd(x.p), POLLIN, 0};
            rung = poll(&fd, 1, 0) == 1;
        }
        mpp_disarm(x.p, NULL);
        woken += rung;
    }
    ok(woken == 20 && batches >= 2 * woken, "a blocked producer was woken %u times for %u frames of %u records", woken,
       batches, records);
    pair_close(&x);
}

int main(void)
{
    harness_begin(60);
    harness.step = "waits";
    test_deadline();
    test_descriptors(1);
    test_descriptors(16);
    test_descriptors(MANY);
    test_signal();
    test_signals_and_patience();
    test_quiet_afterwards();
    test_woken_for_much();
    harness_end();
    return done_testing();
}
