/* A mailbox by itself, on private memory: each value is taken at most once, whole, by whoever is there; overwritten +
 * taken + what lies in it = put - wherever in a take or a put others act, and with threads.
 *
 * Random parts: MPP_SEED=n replays them (not the threads); MPP_ROUNDS=n: the threads do n times as much. */
#include "ring/mailbox.h"
#include "steps.h"
#include "twice.h"
#include "values.h"

#include "harness.h"

#include <pthread.h>

enum { SIZE = 64 << 10, BOX = SIZE / 4, MOST = BOX - sizeof(layout_value), PRODUCERS = 3, TAKERS = 4, MANY = 100000 };
enum { FULL = 1, BOX_SHIFT = 1, BOX_MASK = 511, COUNT_SHIFT = 18 }; /* the slot's word, as mailbox.h has it */

struct steps steps;
static layout_buffer buffer;
static unsigned char *boxes;
static mailbox writers[PRODUCERS], reader;
static unsigned char *room; /* BOX bytes, on the heap: who writes behind them is found out */

static struct {
    uint64_t put, overwritten, got, wrong;
    unsigned char times[MANY]; /* that a value was taken */
} account;

static void open_with(unsigned producers, uint64_t count)
{
    memset(&account, 0, sizeof account);
    store_relaxed(&buffer.slot, mailbox_empty(producers));
    reader = (mailbox){.shared = &buffer, .boxes = boxes, .box_size = BOX, .producers = producers};
    for (unsigned i = 0; i < PRODUCERS; i++) {
        writers[i] = reader;
        writers[i].producer = writers[i].box = i;
        writers[i].count = count;
    }
}

static void put_length(unsigned producer, size_t n)
{
    static unsigned char value[PRODUCERS][MOST];
    uint64_t gone;
    value_make(value[producer], n, account.put++);
    account.wrong += !mailbox_put(&writers[producer], value[producer], n, &gone);
    account.overwritten += gone;
}

static void put(unsigned producer)
{
    put_length(producer, VALUE_LEAST + tap_random(tap_random(4) ? 300 : MOST - VALUE_LEAST + 1));
}

static mailbox_outcome take(unsigned producer)
{
    layout_value v;
    uint64_t number = 0;
    const mailbox_outcome outcome = mailbox_take(&reader, producer, room, &v);
    if (outcome == MAILBOX_VALUE) {
        account.wrong += !value_whole(room, v.len, &number) || number >= account.put;
        account.got++;
        account.times[number % MANY]++;
    }
    account.wrong += outcome == MAILBOX_CORRUPT;
    return outcome;
}

/* Is everything that was put where it can be? */
static bool adds_up(void)
{
    unsigned left = 0, twice = 0;
    for (unsigned i = 0; i < PRODUCERS; i++)
        left += mailbox_full(&reader, i);
    for (uint64_t i = 0; i < account.put && i < MANY; i++)
        twice += account.times[i] > 1;
    return account.wrong == 0 && twice == 0 && left < 2 && account.overwritten + account.got + left == account.put;
}

/* ---- one after the other ---------------------------------------------------------------------------- */

static void test_lengths(void)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 255, MOST - 1, MOST};
    static unsigned char value[MOST];
    unsigned wrong = 0;
    uint64_t gone;
    layout_value v;
    open_with(PRODUCERS, 0);
    for (unsigned i = 0; i < 8 * 9; i++) {
        const size_t n = lengths[i % 8];
        memset(value, (int)i, sizeof value);
        memset(room, (int)~i, BOX);
        wrong += !mailbox_put(&writers[i % PRODUCERS], value, n, &gone) || gone != 0;
        wrong += mailbox_take(&reader, i % PRODUCERS, room, &v) != MAILBOX_VALUE || v.len != n || v.records != 1;
        wrong += memcmp(room, value, n) != 0 || room[n] != (unsigned char)~i;
    }
    ok(wrong == 0, "values of 0 to %u bytes are taken as they were put", (unsigned)MOST);
}

static void test_at_most_once(void)
{
    open_with(PRODUCERS, 0);
    ok(take(0) == MAILBOX_NOTHING && !mailbox_full(&reader, 0), "a new mailbox is empty");
    put(1);
    ok(mailbox_full(&reader, 1) && !mailbox_full(&reader, 0) && take(0) == MAILBOX_NOTHING,
       "a value is its producer's, and nobody else's");
    ok(take(1) == MAILBOX_VALUE && take(1) == MAILBOX_NOTHING && !mailbox_full(&reader, 1), "it is taken once");
    put(0);
    put(2);
    ok(account.overwritten == 1 && take(0) == MAILBOX_NOTHING && take(2) == MAILBOX_VALUE,
       "a newer one replaces it, whosever it is");
    put(2);
    take(2);
    put(2);
    ok(account.overwritten == 1 && adds_up(), "one that was taken is not overwritten");
}

static void test_walk(uint64_t count)
{
    open_with(PRODUCERS, count);
    while (account.put < MANY) {
        const unsigned who = (unsigned)tap_random(PRODUCERS);
        if (tap_random(2))
            put(who);
        else
            take(who);
    }
    ok(adds_up() && account.got > 0 && account.overwritten > 0,
       "from count %#llx on a random walk adds up: %llu put, %llu taken, %llu overwritten", (unsigned long long)count,
       (unsigned long long)account.put, (unsigned long long)account.got, (unsigned long long)account.overwritten);
}

static void test_most_producers(void)
{
    unsigned wrong = 0;
    uint64_t gone;
    layout_value v;
    unsigned char *many = map_twice((MPP_PARTICIPANTS_MAX + 1) * BOX);
    static mailbox all[MPP_PARTICIPANTS_MAX];
    store_relaxed(&buffer.slot, mailbox_empty(MPP_PARTICIPANTS_MAX));
    for (unsigned i = 0; i < MPP_PARTICIPANTS_MAX; i++)
        all[i] = (mailbox){&buffer, many, BOX, MPP_PARTICIPANTS_MAX, i, i, 0};
    for (unsigned i = 0; i < 3 * MPP_PARTICIPANTS_MAX; i++) {
        const unsigned who = i % MPP_PARTICIPANTS_MAX;
        wrong += !mailbox_put(&all[who], &i, sizeof i, &gone) || !mailbox_full(&all[0], who);
        if (i % 2)
            wrong += mailbox_take(&all[0], who, room, &v) != MAILBOX_VALUE || memcmp(room, &i, sizeof i) != 0;
    }
    ok(wrong == 0, "%u producers have a box each, and one is over", MPP_PARTICIPANTS_MAX);
}

/* ---- in the middle ---------------------------------------------------------------------------------- */

static void one_put(void)
{
    put(0);
}
static void put_of_another(void)
{
    put(1);
}
static void many_puts(void)
{
    for (unsigned i = 0; i < 7; i++)
        put(i % 2);
}
static void puts_of_one(void)
{
    for (unsigned i = 0; i < 4; i++)
        put(0);
}
static void one_take(void)
{
    take(0);
}
static void taken_and_put(void)
{
    take(0);
    put(0);
}
static void put_and_taken(void)
{
    put(0);
    take(0);
}
static void all_of_it(void)
{
    take(0);
    many_puts();
    take(0);
    put(1);
    put(0);
    take(0);
}

static void (*const meanwhile[])(void) = {one_put,  put_of_another, many_puts,     puts_of_one,
                                          one_take, taken_and_put,  put_and_taken, all_of_it};
enum { N_MEANWHILE = sizeof meanwhile / sizeof *meanwhile, STEPS = 16 };

/* Something happens at one step of a take, or of a put by another producer; the latter's box is in nobody's hands. */
static void test_middle(bool of_take)
{
    unsigned wrong = 0, times = 0;
    for (unsigned m = 0; m < N_MEANWHILE; m++)
        for (unsigned when = 0; when < STEPS; when++) {
            open_with(PRODUCERS, 0);
            for (unsigned i = 0; i < 50; i++) {
                if (tap_random(4))
                    put(0);
                steps.at = 0;
                steps.when = when;
                steps.then = meanwhile[m];
                if (of_take)
                    take(0);
                else
                    put(2);
                times += steps.then == NULL;
                steps.then = NULL;
                wrong += !adds_up();
            }
        }
    ok(wrong == 0 && times > 1000, "others act at each step of a %s, %u times: all adds up", of_take ? "take" : "put",
       times);
}

/* ---- what another process may store ----------------------------------------------------------------- */

static layout_value *value_in_slot(void)
{
    const uint64_t box = load_relaxed(&buffer.slot) >> BOX_SHIFT & BOX_MASK;
    return (layout_value *)(void *)(boxes + box * BOX);
}

static bool forged_is_corrupt(void)
{
    layout_value v;
    return mailbox_take(&reader, 0, room, &v) == MAILBOX_CORRUPT;
}

static void test_forged(void)
{
    static const uint32_t lens[] = {MOST + 1, BOX, SIZE, UINT32_C(1) << 31, UINT32_MAX};
    unsigned corrupt = 0;
    uint64_t gone;
    for (unsigned i = 0; i < 5; i++) {
        open_with(PRODUCERS, 0);
        put(0);
        value_in_slot()->len = lens[i];
        corrupt += forged_is_corrupt();
    }
    ok(corrupt == 5, "a value longer than a box is corrupt");
    put(0);
    value_in_slot()->records = 2;
    ok(forged_is_corrupt(), "so is one that is two");
    for (unsigned box = PRODUCERS + 1; box <= BOX_MASK; box++) {
        open_with(PRODUCERS, 0);
        store_relaxed(&buffer.slot, UINT64_C(1) << COUNT_SHIFT | (uint64_t)box << BOX_SHIFT | FULL);
        corrupt += forged_is_corrupt();
        corrupt += !mailbox_put(&writers[0], "", 0, &gone) && writers[0].box == 0;
    }
    ok(corrupt == 5 + 2 * (BOX_MASK - PRODUCERS), "and a box that there is not, for reader and writer");
    open_with(PRODUCERS, 0);
    store_relaxed(&buffer.slot, UINT64_C(1) << BOX_SHIFT);
    ok(!mailbox_put(&writers[1], "", 0, &gone) && mailbox_put(&writers[0], "", 0, &gone),
       "and one's own box, for who has it");
}

static void test_random_words(void)
{
    static const unsigned char value[MOST];
    unsigned corrupt = 0;
    uint64_t gone;
    layout_value v;
    const unsigned times = SCALED(200000, 10);
    open_with(PRODUCERS, 0);
    for (unsigned i = 0; i < times; i++) {
        const unsigned who = (unsigned)tap_random(PRODUCERS);
        if (tap_random(4) == 0)
            store_relaxed(&buffer.slot, load_relaxed(&buffer.slot) ^ UINT64_C(1) << tap_random(64));
        if (tap_random(4) == 0)
            *((uint32_t *)(void *)(boxes + tap_random(PRODUCERS + 1) * BOX) + tap_random(4)) =
                (uint32_t)tap_random(1 << 20);
        if (tap_random(2))
            corrupt += !mailbox_put(&writers[who], value, tap_random(MOST + 1), &gone);
        else
            corrupt += mailbox_take(&reader, who, room, &v) == MAILBOX_CORRUPT;
    }
    ok(corrupt > 0, "%u random words harm nobody; %u are found out", times, corrupt);
}

/* ---- threads ---------------------------------------------------------------------------------------- */

static uint64_t commands; /* of each producer */
static _Atomic unsigned writing;
static _Atomic unsigned char *taken_times; /* of each value */

typedef struct party {
    pthread_t thread;
    unsigned index;
    uint64_t overwritten, got, wrong, last[2];
} party;

static void *put_all(void *arg)
{
    party *p = arg;
    unsigned char *value = malloc(MOST);
    mailbox *m = &writers[p->index];
    uint64_t state = p->index + 1;
    for (uint64_t i = 0; i < commands; i++) {
        uint64_t gone;
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        const size_t n = VALUE_LEAST + (state >> 33) % (i % 64 ? 100 : MOST - VALUE_LEAST + 1);
        value_make(value, n, i * 2 + p->index);
        p->wrong += !mailbox_put(m, value, n, &gone);
        p->overwritten += gone;
        while (i % 256 == 0 && mailbox_full(m, p->index))
            sched_yield(); /* or, on a machine with few processors, next to none would be taken */
    }
    free(value);
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static bool take_one(party *p, unsigned producer, unsigned char *to)
{
    layout_value v;
    uint64_t number = 0;
    const mailbox_outcome outcome = mailbox_take(&reader, producer, to, &v);
    p->wrong += outcome == MAILBOX_CORRUPT;
    if (outcome != MAILBOX_VALUE)
        return false;
    const bool whole = value_whole(to, v.len, &number) && number % 2 == producer && number / 2 < commands;
    p->wrong += !whole || number + 2 <= p->last[producer] || atomic_fetch_add(&taken_times[whole ? number : 0], 1) != 0;
    p->last[producer] = number + 2;
    p->got++;
    return true;
}

static void *take_all(void *arg)
{
    party *p = arg;
    unsigned char *to = malloc(BOX);
    for (bool over = false; !over || mailbox_full(&reader, 0) || mailbox_full(&reader, 1);) {
        over = atomic_load(&writing) == 0;
        if (!take_one(p, 0, to) && !take_one(p, 1, to))
            sched_yield();
    }
    free(to);
    return NULL;
}

static void test_threads(void)
{
    party p[2 + TAKERS] = {0};
    uint64_t overwritten = 0, got = 0, wrong = 0;
    harness.step = "threads";
    open_with(2, (UINT64_C(1) << 46) - commands / 2); /* its count wraps on the way */
    taken_times = calloc(2 * commands, sizeof *taken_times);
    atomic_store(&writing, 2);
    for (unsigned i = 0; i < 2 + TAKERS; i++) {
        p[i].index = i;
        if (pthread_create(&p[i].thread, NULL, i < 2 ? put_all : take_all, &p[i]) != 0)
            bail_out("cannot start a thread");
    }
    for (unsigned i = 0; i < 2 + TAKERS; i++) {
        pthread_join(p[i].thread, NULL);
        overwritten += p[i].overwritten;
        got += p[i].got;
        wrong += p[i].wrong;
    }
    ok(wrong == 0 && overwritten + got == 2 * commands && got >= commands / 1000,
       "%llu values of two threads, four threads take: none twice, none torn; %llu taken + %llu overwritten",
       (unsigned long long)(2 * commands), (unsigned long long)got, (unsigned long long)overwritten);
    free(taken_times);
}

int main(void)
{
    const char *rounds = getenv("MPP_ROUNDS");
    commands = SCALED(UINT64_C(250000), 10) * (rounds ? strtoull(rounds, NULL, 10) : 1);
    tap_seed();
    watchdog(rounds ? 36000 : 60, "one after the other");
    boxes = map_twice(SIZE); /* PRODUCERS + 1 */
    room = malloc(BOX + 1);
    test_lengths();
    test_at_most_once();
    test_walk(0);
    test_walk((UINT64_C(1) << 46) - MANY / 6);
    test_walk(UINT64_MAX - 5);
    test_most_producers();
    test_middle(true);
    test_middle(false);
    test_forged();
    test_random_words();
    test_threads();
    free(room);
    return done_testing();
}
