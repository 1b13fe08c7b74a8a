/* A tape by itself, on private memory: what its readers get is whole, in order, and what they missed is told exactly -
 * wherever the positions stand, wherever in a read the writer overtakes, or in a write it dies.
 *
 * Random parts: MPP_SEED=n replays them (not the threads); MPP_ROUNDS=n: the threads do n times as much. */
#include "reel.h"

#include <pthread.h>

/* ---- positions and lengths -------------------------------------------------------------------------- */

static const size_t lengths[] = {0, 1, 7, 8, 9, 15, 16, 17, 255, 4096, MOST - 9, MOST - 1, MOST};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* Each length several times, so that each lies across the end of the tape once. */
static void test_lengths(uint64_t start, bool newest)
{
    static unsigned char value[MOST];
    unsigned wrong = 0;
    layout_value v;
    uint64_t missed, gone, numbers = 0;
    tape_reader r = open_at(start);
    wrong += tape_unread(&r, true) || (start == 0 && tape_unread(&r, false));
    wrong += read_one(&r, newest, &v, &missed) != TAPE_NOTHING || tape_unread(&r, newest);
    for (unsigned i = 0; i < 20 * N_LENGTHS; i++) {
        const size_t n = lengths[i % N_LENGTHS];
        memset(value, (int)i, sizeof value);
        wrong += !tape_write(&writer, value, n, i % 5, &gone) || !tape_unread(&r, newest);
        memset(room, (int)~i, BOX);
        wrong += read_one(&r, newest, &v, &missed) != TAPE_VALUE || v.len != n || missed != 0;
        wrong += v.number != numbers || v.records != i % 5 || memcmp(room, value, n) != 0 || tape_unread(&r, newest);
        wrong += (n < BOX && room[n] != (unsigned char)~i) || read_one(&r, newest, &v, &missed) != TAPE_NOTHING;
        numbers += i % 5;
    }
    ok(wrong == 0, "from %#llx on values of 0 to %u bytes are read as they were written%s", (unsigned long long)start,
       (unsigned)MOST, newest ? ", the newest" : "");
}

/* ---- being overtaken -------------------------------------------------------------------------------- */

static unsigned writes;

static void write_some(void)
{
    for (unsigned i = 0; i < writes; i++)
        put(any_length(), 1 + (unsigned)tap_random(9));
}

/* A read in which, at step `when`, so many values are written. */
static tape_outcome read_with(tape_reader *r, bool newest, unsigned when, unsigned n, layout_value *v, uint64_t *missed)
{
    writes = n;
    steps.at = 0;
    steps.when = when;
    steps.then = write_some;
    const tape_outcome outcome = read_one(r, newest, v, missed);
    steps.then = NULL;
    return outcome;
}

/* A reader who has read `before` of the values that fill the tape, and is at step `when` of the next when so many more
 * are written. */
static unsigned overtake(uint64_t start, bool newest, unsigned before, unsigned when, unsigned n)
{
    account a = {0};
    layout_value v;
    uint64_t missed;
    tape_reader r = open_at(start);
    while (overwritten == 0) {
        put(any_length(), 1);
        if (before && read_one(&r, newest, &v, &missed) == TAPE_VALUE) {
            take(&a, &v, missed);
            before--;
        }
    }
    const tape_outcome outcome = read_with(&r, newest, when, n, &v, &missed);
    if (outcome == TAPE_VALUE)
        take(&a, &v, missed);
    a.wrong += outcome == TAPE_CORRUPT;
    take_all(&a, &r, newest);
    return a.wrong;
}

static void test_overtaken(bool newest)
{
    enum { STEPS = 12, WRITES = 40 };
    unsigned wrong = 0, times = 0;
    harness.step = "being overtaken";
    for (unsigned i = 0; i < N_STARTS; i++)
        for (unsigned when = 0; when < STEPS; when++)
            for (unsigned n = 1; n < WRITES; n += 1 + n / 8, times++)
                wrong += overtake(starts[i], newest, (unsigned)tap_random(10), when, n) != 0;
    ok(wrong == 0, "%s: overtaken at each step of a read, %u times: whole, in order, and the gap is told exactly",
       newest ? "the newest" : "all of them", times);
}

/* ---- a write in the middle -------------------------------------------------------------------------- */

/* What is on the tape at any moment of a write is what a killed writer leaves. */
static struct {
    tape_reader r[READERS]; /* one that keeps up, one that comes now, one that wants the newest */
    account a[READERS];
} watching;

static void watch(void)
{
    layout_value v;
    uint64_t missed;
    tape_reader late = {.shared = &share, .bytes = memory, .size = SIZE};
    for (unsigned j = 0; j < READERS; j++) {
        account *a = &watching.a[j];
        tape_reader *r = j == 1 ? &late : &watching.r[j];
        tape_outcome outcome;
        if (j == 1)
            a->next = 0;
        while ((outcome = read_one(r, j == 2, &v, &missed)) == TAPE_VALUE)
            take(a, &v, missed);
        a->wrong += outcome != TAPE_NOTHING || a->next > writer.records;
    }
}

/* Values are written until the tape has been filled twice, and at one step of each the readers look. */
static unsigned watch_at(uint64_t start, unsigned when)
{
    memset(&watching, 0, sizeof watching);
    for (unsigned j = 0; j < READERS; j++)
        watching.r[j] = open_at(start);
    while (overwritten < 300) {
        const uint64_t before = writer.records;
        steps.at = 0;
        steps.when = when;
        steps.then = watch;
        put(any_length(), 1);
        if (steps.then == NULL) /* they looked: all that was published before this one is there */
            watching.a[0].wrong += watching.a[0].next < before;
        steps.then = NULL;
    }
    return watching.a[0].wrong + watching.a[1].wrong + watching.a[2].wrong;
}

static void test_watched(void)
{
    enum { STEPS = 30 };
    unsigned wrong = 0;
    for (unsigned i = 0; i < N_STARTS; i++)
        for (unsigned when = 0; when < STEPS; when++)
            wrong += watch_at(starts[i], when) != 0;
    ok(wrong == 0, "at each step of a write there are whole values, all that were published, and nothing else");
}

/* ---- coming late ------------------------------------------------------------------------------------ */

static void test_late(void)
{
    layout_value v;
    uint64_t missed = 0;
    account a = {0}, b = {0};
    open_at(0);
    for (unsigned i = 0; i < 10000; i++)
        put(any_length(), 1);
    tape_reader r = {.shared = &share, .bytes = memory, .size = SIZE}, n = r;
    const uint64_t there = writer.records - overwritten;
    ok(tape_unread(&r, false) && read_one(&r, false, &v, &missed) == TAPE_VALUE && missed == overwritten,
       "who comes late is told of all that it missed: %llu", (unsigned long long)missed);
    take(&a, &v, missed);
    take_all(&a, &r, false);
    ok(a.wrong == 0 && a.got == there, "and has all that is there: %llu", (unsigned long long)there);
    ok(tape_unread(&n, true) && read_one(&n, true, &v, &missed) == TAPE_VALUE && v.number == 9999 && missed == 9999,
       "who wants the newest has that");
    take(&b, &v, missed);
    ok(b.wrong == 0 && !tape_unread(&n, true) && read_one(&n, true, &v, &missed) == TAPE_NOTHING, "once");
}

/* How much the writer gives up at a time: a reader that begins again at the oldest has a start of an eighth. */
static void test_start(void)
{
    unsigned wrong = 0;
    open_at(0);
    for (unsigned i = 0; i < 10000; i++) {
        const uint64_t before = overwritten, free_before = SIZE - (writer.write - writer.oldest);
        put(any_length(), 1);
        const uint64_t held = writer.write - writer.oldest;
        wrong += held > SIZE || (overwritten > before && (held > SIZE - SIZE / 8 || held < SIZE / 4));
        wrong += overwritten > before && free_before > BOX;
    }
    ok(wrong == 0, "the writer gives up an eighth of the tape at a time, and not before it needs the room");
}

/* ---- a random walk ---------------------------------------------------------------------------------- */

static void test_walk(uint64_t start)
{
    tape_reader r[READERS];
    account a[READERS] = {0};
    unsigned wrong = 0;
    layout_value v;
    uint64_t missed;
    r[0] = open_at(start);
    for (unsigned j = 1; j < READERS; j++)
        r[j] = r[0];
    for (unsigned i = 0; i < 20000; i++) {
        const unsigned j = (unsigned)tap_random(READERS + 1);
        if (j == READERS || tap_random(8) == 0)
            put(any_length(), (unsigned)tap_random(5));
        else if (read_one(&r[j], false, &v, &missed) == TAPE_VALUE)
            take(&a[j], &v, missed);
    }
    for (unsigned j = 0; j < READERS; j++) {
        take_all(&a[j], &r[j], false);
        wrong += a[j].wrong;
    }
    ok(wrong == 0, "a random walk from %#llx with %u readers: got + missed = written for each",
       (unsigned long long)start, READERS);
}

/* ---- threads ---------------------------------------------------------------------------------------- */

typedef struct party {
    pthread_t thread;
    bool newest, naps;
    tape_reader reader;
    account a;
    unsigned char *room;
    uint64_t state;
} party;

static _Atomic bool written_all;

static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

static void *write_values(void *arg)
{
    const uint64_t values = *(const uint64_t *)arg;
    static unsigned char value[MOST];
    uint64_t gone, state = 1;
    for (uint64_t i = 0; i < values; i++) {
        const size_t n = VALUE_LEAST + draw(&state) % (draw(&state) % 16 ? 200 : MOST - VALUE_LEAST + 1);
        value_make(value, n, writer.records);
        tape_write(&writer, value, n, 1 + (unsigned)(i % 3), &gone);
        overwritten += gone;
    }
    store_release(&written_all, true);
    return NULL;
}

static void take_into(party *p, const layout_value *v, uint64_t missed)
{
    uint64_t number = 0;
    account *a = &p->a;
    a->wrong += !value_whole(p->room, v->len, &number) || number != v->number || v->number != a->next + missed ||
                (a->next > 0 && v->number < a->next);
    a->next = v->number + v->records;
    a->got += v->records;
    a->missed += missed;
}

static void *read_values(void *arg)
{
    party *p = arg;
    layout_value v;
    uint64_t missed;
    for (bool last = false;;) {
        const bool over = atomic_load_explicit(&written_all, memory_order_acquire);
        const tape_outcome outcome = tape_read(&p->reader, p->newest, p->room, &v, &missed);
        if (outcome == TAPE_VALUE)
            take_into(p, &v, missed);
        p->a.wrong += outcome == TAPE_CORRUPT;
        if (outcome == TAPE_NOTHING && last)
            return NULL;
        if (p->naps && draw(&p->state) % 64 == 0)
            usleep((useconds_t)(draw(&p->state) % 2000));
        last = over;
    }
}

static void test_threads(uint64_t start, unsigned readers, bool newest, uint64_t values)
{
    party party_of[READERS];
    pthread_t writing;
    unsigned wrong = 0;
    uint64_t least = UINT64_MAX;
    harness.step = "threads";
    tape_reader r = open_at(start);
    store_relaxed(&written_all, false);
    for (unsigned j = 0; j < readers; j++) {
        party_of[j] = (party){.newest = newest, .naps = j > 0, .reader = r, .room = malloc(BOX), .state = j};
        if (pthread_create(&party_of[j].thread, NULL, read_values, &party_of[j]) != 0)
            bail_out("cannot start a thread");
    }
    if (pthread_create(&writing, NULL, write_values, &values) != 0)
        bail_out("cannot start a thread");
    pthread_join(writing, NULL);
    for (unsigned j = 0; j < readers; j++) {
        const account *a = &party_of[j].a;
        pthread_join(party_of[j].thread, NULL);
        wrong += a->wrong || (newest ? a->next : a->got + a->missed) != writer.records;
        least = a->got < least ? a->got : least;
        free(party_of[j].room);
    }
    ok(wrong == 0 && overwritten > 0,
       "%llu values past %u readers of %s from %#llx: whole, in order, none lost untold "
       "(one got %llu of %llu)",
       (unsigned long long)values, readers, newest ? "the newest" : "all", (unsigned long long)start,
       (unsigned long long)least, (unsigned long long)writer.records);
}

int main(void)
{
    const char *rounds = getenv("MPP_ROUNDS");
    const uint64_t values = SCALED(UINT64_C(300000), 10) * (rounds ? strtoull(rounds, NULL, 10) : 1);
    tap_seed();
    watchdog(rounds ? 36000 : 60, "lengths");
    memory = map_twice(SIZE);
    room = malloc(BOX);
    for (unsigned i = 0; i < N_STARTS; i++) {
        test_lengths(starts[i], false);
        test_lengths(starts[i], true);
    }
    test_overtaken(false);
    test_overtaken(true);
    test_watched();
    test_late();
    test_start();
    for (unsigned i = 0; i < N_STARTS; i++)
        test_walk(starts[i]);
    test_threads(0, 1, false, values);
    test_threads(UINT64_MAX - 3 * SIZE + 1, READERS, false, values);
    test_threads((UINT64_C(1) << 32) - SIZE, READERS, true, values);
    free(room);
    return done_testing();
}
