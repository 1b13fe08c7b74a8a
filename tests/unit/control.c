/* The control ring: its capacity, its order, and counts that cannot be. */
#include "run/control.h"
#include "base/atomics.h"
#include "harness.h"
#include "shm/layout.h"

#include <pthread.h>

#define MESSAGES SCALED(UINT64_C(1000000), 10)

static layout mesh_layout;
static layout_channel *channel;

/* An empty control ring for a lane of so many streams, its counts at `at`. */
static void open_at(unsigned streams, uint64_t at)
{
    const char *field;
    mesh_layout =
        (layout){.producers = 1, .consumers = 1, .streams = streams, .lanes = 1, .ring_size = LAYOUT_RING_MIN};
    if (!layout_compute(&mesh_layout, &field))
        bail_out("layout: %s", field);
    free(channel);
    channel = aligned_alloc(128, mesh_layout.channel_stride);
    memset(channel, 0, mesh_layout.channel_stride);
    store_relaxed(&channel->sent, at);
    store_relaxed(&channel->taken, at);
}

static bool sends(uint32_t run)
{
    return control_send(&mesh_layout, channel, LAYOUT_START, layout_physical(3, 200), run);
}

/* The next message's run, 0: none, UINT32_MAX: corrupt. */
static uint32_t takes(void)
{
    layout_control m;
    int got = control_take(&mesh_layout, channel, &m);
    if (got == 1 && (m.type != LAYOUT_START || m.stream_id != layout_physical(3, 200)))
        return UINT32_MAX - 1;
    return got == 1 ? m.run : got == 0 ? 0 : UINT32_MAX;
}

static void test_capacity(unsigned streams, uint64_t at)
{
    open_at(streams, at);
    uint32_t sent = 0;
    while (sends(sent + 1))
        sent++;
    ok(sent == mesh_layout.controls && sent >= 2 * streams, "a lane of %u streams takes %u messages", streams, sent);
    uint32_t taken = 0;
    while (takes() == taken + 1)
        taken++;
    ok(taken == sent && takes() == 0, "and gives them in order");
    bool good = true;
    for (uint32_t run = 1; run <= 10 * sent; run += 2) {
        good &= sends(run) && sends(run + 1);
        good &= takes() == run && takes() == run + 1 && takes() == 0;
    }
    ok(good, "over and over");
}

static void test_corrupt_counts(void)
{
    open_at(1, 0);
    sends(1);
    store_relaxed(&channel->sent, mesh_layout.controls + 1);
    ok(takes() == UINT32_MAX, "more messages than fit are corrupt");
    ok(load_relaxed(&channel->taken) == 0, "and none is taken");
    store_relaxed(&channel->sent, UINT64_MAX);
    ok(takes() == UINT32_MAX, "so is a count that goes back");
    store_relaxed(&channel->sent, 1);
    ok(takes() == 1, "the message itself is there");
    store_relaxed(&channel->taken, 2);
    ok(!sends(2), "a taker that has taken more than was sent: nothing can be sent");
    store_relaxed(&channel->taken, UINT64_C(1) << 63);
    ok(!sends(2), "nor when it is half the numbers away");
}

static void *send_all(void *arg)
{
    (void)arg;
    for (uint32_t run = 1; run <= MESSAGES;)
        if (sends(run))
            run++;
        else
            sched_yield();
    return NULL;
}

static void test_threads(uint64_t at)
{
    pthread_t sender;
    open_at(2, at);
    if (pthread_create(&sender, NULL, send_all, NULL) != 0)
        bail_out("cannot start a thread");
    uint32_t next = 1;
    bool good = true;
    while (next <= MESSAGES && good) {
        uint32_t run = takes();
        if (run == 0)
            sched_yield();
        else
            good = run == next++;
    }
    pthread_join(sender, NULL);
    ok(good, "two threads pass %llu messages, from count %#llx on", (unsigned long long)MESSAGES,
       (unsigned long long)at);
}

int main(void)
{
    watchdog(60, "control rings");
    test_capacity(1, 0);
    test_capacity(1, UINT64_MAX - 1);
    test_capacity(5, 0);
    test_capacity(1000, 12345);
    test_corrupt_counts();
    test_threads(0);
    test_threads(UINT64_MAX - 1000);
    free(channel);
    return done_testing();
}
