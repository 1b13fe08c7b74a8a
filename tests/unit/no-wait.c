/* Not waiting for room: mpp_try_produce() and mpp_give_up(), and mpp_fill() that gives up by itself.  What is dropped
 * is counted, what comes is whole and in order. */
#include "pending.h"

#include <sys/mman.h>

/* ---- giving up -------------------------------------------------------------------------------------- */

static void test_give_up(void)
{
    static unsigned char value[PENDING_LEN];
    mpp_totals t;
    unsigned given_up = 0;
    pending *x = pending_open(1, 0);
    for (unsigned i = 0; i < 900; i++) {
        value_make(value, sizeof value, i);
        const mpp_outcome outcome = mpp_try_produce(x->rig.p, 0, value, sizeof value);
        x->wrong += outcome != MPP_OK && outcome != MPP_WOULD_BLOCK;
        if (outcome == MPP_WOULD_BLOCK) {
            x->wrong += mpp_give_up(x->rig.p, 0) != MPP_OK;
            given_up++;
        }
        if (i % 3 == 0) {
            pending_take(x, 0, 1);
            mpp_wait(NULL, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
        }
    }
    mpp_end(x->rig.p, 0);
    const mpp_outcome outcome = pending_take(x, 0, UINT32_MAX);
    for (unsigned i = 1; i < x->n_came; i++)
        x->wrong += x->came[i] <= x->came[i - 1];
    mpp_producer_totals(x->rig.p, 0, &t);
    ok(outcome == MPP_CLOSED && x->wrong == 0 && given_up > 0 && x->n_came + given_up == 900 && t.given_up == given_up,
       "of 900 records %u are given up and counted, the others come in order", given_up);
    pending_close(x);
}

/* The ring is full, and stream `gives_up` does not wait any more; does room in it wake the producer, who sleeps? */
static bool woken_by_room(pending *x, unsigned gives_up)
{
    static unsigned char value[PENDING_LEN];
    struct pollfd fd = {.fd = mpp_producer_fd(x->rig.p), .events = POLLIN};
    mpp_wait(x->rig.p, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
    value_make(value, sizeof value, 0);
    while (mpp_try_produce(x->rig.p, 0, value, sizeof value) == MPP_OK)
        ;
    if (gives_up > 0)
        x->wrong += mpp_try_produce(x->rig.p, gives_up, value, sizeof value) != MPP_WOULD_BLOCK;
    x->wrong += mpp_give_up(x->rig.p, gives_up) != MPP_OK || !mpp_arm(x->rig.p, NULL, MPP_COMPUTING);
    x->wrong += poll(&fd, 1, 0) != 0;
    pending_take(x, 0, UINT32_MAX);
    mpp_wait(NULL, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
    const bool woken = poll(&fd, 1, 0) == 1;
    mpp_disarm(x->rig.p, NULL);
    return woken;
}

static void test_given_up_is_not_waited_for(void)
{
    pending *x = pending_open(1, 0);
    const bool woken = woken_by_room(x, 0);
    ok(!woken && x->wrong == 0 && x->n_came > 0, "room for a record that was given up wakes nobody");
    pending_close(x);
}

/* Two streams in one lane. */
static void test_lane_mates(void)
{
    pending *x = pending_open(2, 1);
    const bool woken = woken_by_room(x, 1);
    ok(woken && x->wrong == 0 && x->n_came > 0, "what one stream gives up its lane mate still waits for");
    pending_close(x);
}

static void test_under_way(void)
{
    static unsigned char value[200000];
    pending *x = pending_open(1, 0);
    value_make(value, sizeof value, 7);
    const mpp_outcome begun = mpp_try_produce(x->rig.p, 0, value, sizeof value);
    ok(begun == MPP_WOULD_BLOCK && mpp_give_up(x->rig.p, 0) == MPP_WOULD_BLOCK,
       "a record of which a part is out cannot be given up");
    for (unsigned i = 0; i < 100 && mpp_try_produce(x->rig.p, 0, value, sizeof value) == MPP_WOULD_BLOCK; i++) {
        pending_take(x, 0, 1);
        mpp_wait(x->rig.p, x->rig.c[0], MPP_COMPUTING, NULL, 0, 1);
    }
    mpp_flush(x->rig.p);
    pending_take(x, 0, 1);
    ok(x->n_came == 1 && x->came[0] == 7 && x->wrong == 0, "and comes whole");
    pending_close(x);
}

/* With mpp_no_wait() none is begun that has no room: 100 bytes do, then 40,000 do not. */
static void test_never_under_way(void)
{
    static unsigned char value[40000];
    pending *x = pending_open(1, 0);
    mpp_no_wait(x->rig.p, true);
    value_make(value, sizeof value, 1);
    const mpp_outcome first = mpp_try_produce(x->rig.p, 0, value, sizeof value);
    const mpp_outcome second = mpp_try_produce(x->rig.p, 0, value, sizeof value);
    const mpp_outcome dropped = mpp_give_up(x->rig.p, 0);
    value_make(value, 100, 2);
    const mpp_outcome third = mpp_try_produce(x->rig.p, 0, value, 100);
    mpp_flush(x->rig.p);
    pending_take(x, 0, UINT32_MAX);
    ok(first == MPP_OK && second == MPP_WOULD_BLOCK && dropped == MPP_OK && third == MPP_OK && x->n_came == 2 &&
           x->came[1] == 2 && x->wrong == 0,
       "who does not wait begins no record that has no room, and a shorter one goes");
    pending_close(x);
}

/* ---- read(2) ---------------------------------------------------------------------------------------- */

static int file_of(unsigned records, size_t len)
{
    static unsigned char framed[300000];
    int fd = memfd_create("records", MFD_CLOEXEC);
    for (unsigned i = 0; i < records; i++) {
        /* every tenth is longer than a frame, every hundredth than the ring */
        const size_t n = i % 100 == 99 ? 200000 : i % 10 == 9 ? 30000 : len + i % 17;
        for (unsigned k = 0; k < 4; k++)
            framed[k] = (unsigned char)(n >> 8 * k);
        value_make(framed + 4, n, i);
        if (fd < 0 || write(fd, framed, n + 4) != (ssize_t)n + 4)
            bail_out("memfd: %s", strerror(errno));
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void test_fill(const char *partition, unsigned consumers, unsigned every)
{
    enum { RECORDS = 900 };
    const mpp_stream_options s = {.name = "a", .format = {MPP_U32LE, 0, 0}, .partition = partition};
    const mpp_mesh_options o = rig_options(&s, 1, consumers);
    pending *x = calloc(1, sizeof *x);
    mpp_totals t;
    mpp_error err;
    size_t n = 1;
    unsigned came = 0, waits = 0, turn = 0;
    rig_open(&x->rig, &o, 1, false);
    rig_ask(&x->rig, 0);
    mpp_no_wait(x->rig.p, true);
    int fd = file_of(RECORDS, 500);
    mpp_consumer *all[RIG_CONSUMERS];
    memcpy(all, x->rig.c, sizeof all);
    while (n > 0) {
        const mpp_outcome outcome = mpp_fill(x->rig.p, 0, fd, 4096, &n, &err);
        waits += outcome == MPP_WOULD_BLOCK;
        x->wrong += outcome != MPP_OK;
        if (outcome != MPP_OK)
            break;
        for (unsigned j = 0; ++turn % every == 0 && j < consumers; j++) {
            x->rig.c[0] = all[j];
            x->n_came = 0;
            pending_take(x, 0, 1);
            came += x->n_came;
            mpp_wait(NULL, all[j], MPP_COMPUTING, NULL, 0, 1);
        }
    }
    x->wrong += mpp_fill_end(x->rig.p, 0, &err) != MPP_OK;
    mpp_end(x->rig.p, 0);
    for (unsigned j = 0; j < consumers; j++) {
        x->rig.c[0] = all[j];
        x->n_came = 0;
        x->wrong += pending_take(x, 0, UINT32_MAX) != MPP_CLOSED;
        for (unsigned i = 1; i < x->n_came; i++)
            x->wrong += x->came[i] <= x->came[i - 1];
        came += x->n_came;
    }
    memcpy(x->rig.c, all, sizeof all);
    mpp_producer_totals(x->rig.p, 0, &t);
    const bool broadcast = strcmp(partition, "broadcast") == 0;
    ok(x->wrong == 0 && waits == 0 && t.given_up > 0 && t.records + t.given_up == RECORDS &&
           came == t.records * (broadcast ? consumers : 1),
       "%s to %u: mpp_fill() never waits; %llu of %u records come whole and in order, %llu are dropped and counted",
       partition, consumers, (unsigned long long)t.records, RECORDS, (unsigned long long)t.given_up);
    close(fd);
    pending_close(x);
}

int main(void)
{
    harness_begin(60);
    test_give_up();
    test_given_up_is_not_waited_for();
    test_lane_mates();
    test_under_way();
    test_never_under_way();
    test_fill("round-robin", 1, 3);
    test_fill("round-robin", 3, 10);
    test_fill("broadcast", 2, 3);
    test_fill("any", 3, 10);
    harness_end();
    return done_testing();
}
