/* Who goes to sleep for a buffer that overwrites is rung for what is put there afterwards, whatever came and went while
 * it was arming.  The clock is ours: it is looked at between the steps of arming, and that is when things happen
 * here. */
#include "harness.h"

#include <poll.h>
#include <sys/syscall.h>

static struct {
    bool set;
    mpp_overwriter *w;
    mpp_consumer *rival;
    unsigned came; /* values that came and were taken while another consumer was arming */
} meanwhile;

static void put(mpp_overwriter *w)
{
    mpp_produce(w, "value", 5);
}

static bool take(mpp_consumer *c)
{
    mpp_batch batch;
    if (mpp_next(c, 0, MPP_PRODUCER_ANY, &batch) != MPP_OK)
        return false;
    mpp_release(c, &batch);
    return true;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (meanwhile.set) {
        meanwhile.set = false;
        put(meanwhile.w);
        meanwhile.came += take(meanwhile.rival);
    }
    return (int)syscall(SYS_clock_gettime, clock, t);
}

static bool rung(const mpp_consumer *c)
{
    return poll(&(struct pollfd){.fd = mpp_consumer_fd(c), .events = POLLIN}, 1, 0) == 1;
}

static void test_mailbox(void)
{
    mpp_mesh_options o = harness_smallest();
    mpp_stream_options stream = {
        .name = "m", .format = {.kind = MPP_DELIMITED, .delimiter = '\n'}, .buffer = MPP_MAILBOX};
    mpp_error err = {0};
    o.consumers = 2;
    o.streams = &stream;
    o.n_streams = 1;
    mpp_mesh *m = harness_mesh(&o);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_consumer *sleeper = harness_consumer(m, 0);
    meanwhile.rival = harness_consumer(m, 1);
    if (mpp_overwriter_open(p, 0, &meanwhile.w, &err) < 0)
        bail_out("%s", err.text);
    mpp_start(sleeper, 0);
    mpp_start(meanwhile.rival, 0);
    ok(!take(sleeper), "an empty mailbox has nothing to take");
    mpp_disarm(NULL, sleeper); /* the bells of those that came */
    ok(!take(sleeper), "it is still empty");
    meanwhile.set = true;
    ok(mpp_arm(NULL, sleeper, MPP_COMPUTING) && meanwhile.came == 1 && !meanwhile.set,
       "what came while it was arming another consumer took: it may sleep");
    while (rung(sleeper)) { /* perhaps it was told of that */
        mpp_disarm(NULL, sleeper);
        ok(!take(sleeper) && mpp_arm(NULL, sleeper, MPP_COMPUTING),
           "told of what is not there any more, it arms again");
    }
    put(meanwhile.w);
    ok(rung(sleeper), "what comes next rings it");
    mpp_disarm(NULL, sleeper);
    ok(take(sleeper), "and is there for it");
    mpp_end(p, 0);
    mpp_consumer_detach(&sleeper);
    mpp_consumer_detach(&meanwhile.rival);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
}

int main(void)
{
    harness_begin(60);
    test_mailbox();
    harness_end();
    return done_testing();
}
