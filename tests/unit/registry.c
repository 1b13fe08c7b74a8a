/* The registry: which messages move it, which it refuses, and who wants what then. */
#include "run/registry.h"
#include "harness.h"
#include "shm/layout.h"

#include <sys/resource.h>

static registry open_registry(unsigned consumers, unsigned runs)
{
    registry r;
    if (registry_init(&r, consumers, runs) < 0)
        bail_out("no memory");
    return r;
}

static bool start(registry *r, unsigned consumer, uint32_t run)
{
    return registry_message(r, consumer, LAYOUT_START, run);
}

static bool cancel(registry *r, unsigned consumer, uint32_t run)
{
    return registry_message(r, consumer, LAYOUT_CANCEL, run);
}

/* What producer.c does when registry_wanted(), and when a source ends. */
static void begin(registry *r)
{
    r->run++;
    r->running = true;
}

static void end(registry *r)
{
    r->running = false;
}

static void test_idle(void)
{
    registry r = open_registry(2, 1);
    ok(!registry_wanted(&r) && !registry_unwanted(&r, 1) && !registry_finished(&r), "at first nobody wants anything");
    ok(!cancel(&r, 0, 0) && !cancel(&r, 0, 1), "a CANCEL of what was not asked for is refused");
    ok(!start(&r, 0, 0) && !start(&r, 0, 2) && !start(&r, 0, UINT32_MAX), "so is a START of any run but the first");
    ok(!registry_message(&r, 0, 0, 1) && !registry_message(&r, 0, 3, 1) && !registry_message(&r, 0, UINT32_MAX, 1),
       "and a message of no known type");
    ok(!registry_wanted(&r) && r.asked[0] == 0 && r.cancelled[0] == 0, "what is refused changes nothing");
    registry_free(&r);
}

static void test_run(void)
{
    registry r = open_registry(2, 0);
    ok(start(&r, 1, 1) && registry_wanted(&r), "a START of run 1 wants it");
    ok(!start(&r, 1, 1) && !start(&r, 1, 2), "it comes once, and the next run's not before this one was begun");
    begin(&r);
    ok(!registry_wanted(&r) && start(&r, 0, 1) && !registry_wanted(&r),
       "while it runs nothing is wanted: another START finds it running");
    ok(!registry_has_enough(&r, 0) && !registry_has_enough(&r, 1), "nobody has enough of it");
    end(&r);
    ok(!registry_wanted(&r) && !registry_finished(&r), "when it has ended there can be another");
    ok(start(&r, 0, 2) && registry_wanted(&r), "which is wanted by who asks for it");
    ok(!start(&r, 0, 3), "but not the one after");
    registry_free(&r);
}

static void test_cancel(void)
{
    registry r = open_registry(2, 0);
    start(&r, 0, 1);
    start(&r, 1, 1);
    begin(&r);
    ok(cancel(&r, 0, 1) && registry_has_enough(&r, 0) && !registry_has_enough(&r, 1) && !registry_unwanted(&r, 1),
       "one of two cancels: it has enough, the other has not");
    ok(!cancel(&r, 0, 1) && !cancel(&r, 0, 2), "a second CANCEL is refused, and one of another run");
    ok(start(&r, 0, 2) && !registry_wanted(&r) && registry_has_enough(&r, 0),
       "it may ask for the next run while this one runs: that begins later");
    ok(cancel(&r, 1, 1) && registry_unwanted(&r, 1), "the last one cancels: nobody wants this run");
    end(&r);
    ok(registry_wanted(&r) && !registry_unwanted(&r, 2), "and the next one begins");
    begin(&r);
    ok(!registry_has_enough(&r, 0) && registry_has_enough(&r, 1) == false, "of which nobody has had anything");
    registry_free(&r);
}

static void test_cancel_before_begin(void)
{
    registry r = open_registry(2, 0);
    ok(start(&r, 0, 1) && cancel(&r, 0, 1) && !registry_wanted(&r), "asked and cancelled: not wanted");
    ok(start(&r, 0, 2) && !registry_wanted(&r), "the next one may be asked for, but is not begun before the first");
    ok(!start(&r, 0, 3) && cancel(&r, 0, 2) && start(&r, 0, 3), "and so on");
    ok(start(&r, 1, 1) && registry_wanted(&r), "until the other asks for the first");
    begin(&r);
    ok(registry_has_enough(&r, 0) && !registry_has_enough(&r, 1), "of which the one ahead has enough");
    cancel(&r, 1, 1);
    end(&r);
    ok(registry_unwanted(&r, 1) && !registry_unwanted(&r, 2) && !registry_wanted(&r),
       "run 2 waits for the other, who has neither asked for it nor cancelled it");
    registry_free(&r);
}

static void test_all_cancel_before_begin(void)
{
    registry r = open_registry(3, 1);
    for (unsigned j = 0; j < 3; j++) {
        ok(!registry_unwanted(&r, 1), "%u of three have cancelled what was never begun", j);
        start(&r, j, 1);
        cancel(&r, j, 1);
    }
    ok(registry_unwanted(&r, 1) && !registry_wanted(&r), "all have: it need not be");
    registry_free(&r);
}

static void test_runs(void)
{
    registry r = open_registry(1, 2);
    for (unsigned run = 1; run <= 2; run++) {
        ok(start(&r, 0, run) && registry_wanted(&r) && !registry_finished(&r), "run %u of two", run);
        begin(&r);
        ok(!registry_finished(&r), "is not finished while it runs");
        end(&r);
    }
    ok(registry_finished(&r), "after the last it is finished");
    ok(start(&r, 0, 3) && !registry_wanted(&r), "a third may be asked for, and is not wanted");
    registry_free(&r);
    r = open_registry(1, 0);
    r.run = UINT32_MAX - 1;
    r.asked[0] = UINT32_MAX - 1;
    ok(start(&r, 0, UINT32_MAX) && registry_wanted(&r) && !registry_finished(&r), "without a limit there is no last");
    registry_free(&r);
}

static void test_eager(void)
{
    registry r = open_registry(2, 0);
    r.eager = true;
    ok(registry_wanted(&r), "an eager stream's first run is wanted unasked");
    begin(&r);
    end(&r);
    ok(!registry_wanted(&r), "its second is not");
    ok(start(&r, 0, 1) && !registry_wanted(&r), "who asks for the first finds it over");
    ok(start(&r, 0, 2) && registry_wanted(&r), "who asks for the second gets it");
    registry_free(&r);
}

static void test_left(void)
{
    registry r = open_registry(2, 1);
    ok(registry_left(&r, 0) && !registry_left(&r, 0), "that somebody left is news once");
    ok(registry_has_enough(&r, 0) && !registry_unwanted(&r, 1), "who leaves unasked has enough of the only run");
    registry_left(&r, 1);
    ok(registry_unwanted(&r, 1), "when all have left, nobody wants it");
    registry_free(&r);
    r = open_registry(2, 1);
    start(&r, 0, 1);
    begin(&r);
    registry_left(&r, 0);
    ok(!registry_has_enough(&r, 0), "who asked and left without cancelling has drained it, or died");
    registry_free(&r);
    r = open_registry(1, 3);
    registry_left(&r, 0);
    ok(!registry_unwanted(&r, 1), "where there are more runs, it may come again");
    registry_free(&r);
}

/* Every sequence of so many messages of two consumers: accepted exactly when the rules in words say so. */
static bool allowed(const registry *r, unsigned j, uint32_t type, uint32_t run)
{
    bool is_next = run == r->asked[j] + 1;
    bool before_is_over = run <= r->run + 1 || r->cancelled[j] == run - 1;
    if (type == LAYOUT_START)
        return is_next && before_is_over;
    return type == LAYOUT_CANCEL && run > 0 && run == r->asked[j] && run != r->cancelled[j];
}

static void test_random(void)
{
    unsigned accepted = 0, refused = 0, wrong = 0;
    for (unsigned round = 0; round < SCALED(2000, 10); round++) {
        unsigned consumers = 1 + (unsigned)tap_random(3);
        registry r = open_registry(consumers, (unsigned)tap_random(3));
        for (unsigned step = 0; step < 50; step++) {
            unsigned j = (unsigned)tap_random(consumers);
            uint32_t type = (uint32_t)tap_random(4);
            uint32_t run = (uint32_t)(r.asked[j] + tap_random(4)) - 1;
            bool good = allowed(&r, j, type, run), got = registry_message(&r, j, type, run);
            wrong += good != got;
            accepted += got;
            refused += !got;
            if (r.running && tap_random(3) == 0)
                end(&r);
            if (registry_wanted(&r))
                begin(&r);
            for (unsigned k = 0; k < consumers; k++)
                wrong += r.cancelled[k] > r.asked[k];
        }
        registry_free(&r);
    }
    ok(wrong == 0, "of random messages %u are accepted and %u refused, as the rules say", accepted, refused);
}

/* What is mapped, in bytes. */
static rlim_t mapped(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%lu", &pages) != 1)
        bail_out("no /proc/self/statm");
    fclose(f);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* Each of a registry's two tables then has 256M. */
static bool opens_within(rlim_t room)
{
    struct rlimit before, less;
    registry r;
    getrlimit(RLIMIT_AS, &before);
    less = (struct rlimit){mapped() + room, before.rlim_max};
    if (setrlimit(RLIMIT_AS, &less) < 0)
        bail_out("setrlimit: %s", strerror(errno));
    bool opened = registry_init(&r, 64 << 20, 1) == 0;
    setrlimit(RLIMIT_AS, &before);
    registry_free(&r);
    return opened;
}

static void test_no_memory(void)
{
    ok(opens_within(768 << 20), "with memory for both its tables a registry opens");
    ok(!opens_within(384 << 20), "with memory for one it does not");
    ok(!opens_within(128 << 20), "nor with memory for none");
    ok(opens_within(768 << 20), "and what it had is free again");
}

int main(void)
{
    tap_seed();
    watchdog(60, "the registry");
    if (!HARNESS_SANITIZED) /* a sanitizer lives with no limit */
        test_no_memory();
    test_idle();
    test_run();
    test_cancel();
    test_cancel_before_begin();
    test_all_cancel_before_begin();
    test_runs();
    test_eager();
    test_left();
    test_random();
    return done_testing();
}
