/* A tape whose words and headers are not what a writer stores: a reader says corrupt, a writer gives up what it cannot
 * make sense of, nobody touches what is outside, and nobody looks for ever.
 *
 * MPP_SEED=n replays the random part.  Best under SAN=address,undefined as well. */
#include "reel.h"

static uint64_t stands; /* where the reader does */

typedef struct forged {
    const char *what;
    void (*forge)(layout_value *first);
    bool newest;
    bool fresh; /* for who has read one it is nothing that it looks at */
} forged;

static void len_over_the_box(layout_value *v)
{
    v->len = MOST + 1;
}
static void len_of_the_tape(layout_value *v)
{
    v->len = SIZE;
}
static void len_2_31(layout_value *v)
{
    v->len = UINT32_C(1) << 31;
}
static void len_most(layout_value *v)
{
    v->len = UINT32_MAX;
}
static void len_behind_write(layout_value *v)
{
    v->len = 3 * 64 + 1;
    store_relaxed(&share.write, stands + 3 * 64);
}
static void number_and_records_wrap(layout_value *v)
{
    v->number = UINT64_MAX - 1;
    v->records = 2;
}
static void write_too_far(layout_value *v)
{
    (void)v;
    store_relaxed(&share.write, stands + SIZE + 8);
}
static void write_2_63(layout_value *v)
{
    (void)v;
    store_relaxed(&share.write, stands + (UINT64_C(1) << 63));
}
static void write_goes_back(layout_value *v)
{
    (void)v;
    store_relaxed(&share.write, stands - 8);
}
static void write_in_a_header(layout_value *v)
{
    (void)v;
    store_relaxed(&share.write, stands + 8);
}
static void oldest_odd(layout_value *v)
{
    (void)v;
    store_relaxed(&share.oldest, load_relaxed(&share.oldest) + 4);
}
static void newest_odd(layout_value *v)
{
    (void)v;
    store_relaxed(&share.newest, load_relaxed(&share.newest) + 1);
}
static void newest_behind_write(layout_value *v)
{
    (void)v;
    store_relaxed(&share.newest, load_relaxed(&share.write) + 8 + 1);
}
static void newest_is_write(layout_value *v)
{
    (void)v;
    store_relaxed(&share.newest, load_relaxed(&share.write) + 1);
}
static void newest_given_up(layout_value *v)
{
    (void)v;
    store_relaxed(&share.oldest, load_relaxed(&share.newest) + 7);
}
static void newest_2_63(layout_value *v)
{
    (void)v;
    store_relaxed(&share.newest, load_relaxed(&share.newest) + (UINT64_C(1) << 63));
}

static const forged forgeries[] = {
    {"a value longer than values may be", len_over_the_box, false, false},
    {"a value as long as the tape", len_of_the_tape, false, false},
    {"a value of 2^31 bytes", len_2_31, false, false},
    {"a value of 2^32 - 1 bytes", len_most, false, false},
    {"a value that goes on behind what was written", len_behind_write, false, false},
    {"numbers that wrap", number_and_records_wrap, false, false},
    {"a position more than a tape ahead", write_too_far, false, false},
    {"a position 2^63 ahead", write_2_63, false, false},
    {"a position that goes back", write_goes_back, false, false},
    {"a position inside a header", write_in_a_header, false, false},
    {"an oldest inside a header", oldest_odd, false, true},
    {"a newest inside a header", newest_odd, true, false},
    {"a newest that is not written yet", newest_behind_write, true, false},
    {"a newest where nothing is yet", newest_is_write, true, false},
    {"a newest that was given up", newest_given_up, true, false},
    {"a newest 2^63 ahead", newest_2_63, true, true},
};

/* A reader that has read one, or none. */
static tape_outcome read_forged(const forged *f, uint64_t start, bool began)
{
    layout_value v;
    uint64_t missed;
    tape_reader r = open_at(start);
    put(48, 1);
    if (began)
        read_one(&r, f->newest, &v, &missed);
    stands = began ? writer.write : start;
    for (unsigned i = 0; i < 5; i++)
        put(48, 1);
    f->forge((layout_value *)(void *)(memory + (stands & (SIZE - 1))));
    return read_one(&r, f->newest, &v, &missed);
}

static void test_forged(const forged *f)
{
    unsigned corrupt = 0, cases = 0;
    for (unsigned i = 0; i < N_STARTS; i++)
        for (unsigned began = 0; began < (f->fresh ? 1 : 2); began++, cases++)
            corrupt += read_forged(f, starts[i], began) == TAPE_CORRUPT;
    ok(corrupt == cases, "%s is corrupt (%u of %u)", f->what, corrupt, cases);
}

static void test_goes_back(void)
{
    layout_value v;
    uint64_t missed;
    tape_reader r = open_at(0);
    put(48, 1);
    put(48, 1);
    read_one(&r, false, &v, &missed);
    ((layout_value *)(void *)(memory + 64))->number = 0;
    ok(read_one(&r, false, &v, &missed) == TAPE_CORRUPT, "a number that goes back is corrupt");
}

/* The writer walks over headers that others may have changed. */
static void test_forged_to_writer(void)
{
    static void (*const forge[])(layout_value *) = {len_of_the_tape, len_2_31, len_most};
    unsigned told = 0, wrong = 0;
    for (unsigned i = 0; i < 3; i++) {
        tape_reader r = open_at(starts[i]);
        account a = {0};
        bool good = true;
        for (unsigned n = 0; n < 20; n++)
            put(48, 1);
        forge[i]((layout_value *)(void *)(memory + (starts[i] & (SIZE - 1))));
        for (unsigned n = 0; n < 2000; n++)
            good &= put(48, 1);
        told += !good;
        take_all(&a, &r, false);
        wrong += a.wrong;
    }
    ok(told == 3 && wrong == 0, "a writer that finds a header that cannot be says so, gives up all, and goes on");
    open_at(0);
    put(48, 1);
    ((layout_value *)(void *)memory)->records = UINT32_MAX;
    bool good = true;
    for (unsigned n = 0; n < 2000; n++)
        good &= put(48, 1);
    ok(!good, "also of one with more records than there were");
}

static void test_forged_at_open(void)
{
    static const uint64_t words[][2] = {{8, 0}, {0, SIZE + 8}, {3, 11}, {0, UINT64_MAX}, {UINT64_MAX, 8}, {0, 5}};
    unsigned wrong = 0;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        open_at(0);
        store_relaxed(&share.oldest, words[i][0]);
        store_relaxed(&share.write, words[i][1]);
        tape_writer_open(&writer, &share, memory, SIZE);
        for (unsigned n = 0; n < 2000; n++)
            put(any_length(), 1);
        tape_reader r = {.shared = &share, .bytes = memory, .size = SIZE};
        account a = {0};
        take_all(&a, &r, false);
        wrong += a.wrong;
    }
    ok(wrong == 0, "a writer that finds positions that cannot be begins anew");
}

/* Whatever is stored anywhere: nothing outside the tape and the reader's room is touched, and no call goes on for
 * ever. */
static void test_random_words(void)
{
    unsigned corrupt = 0;
    const unsigned times = SCALED(20000, 10);
    harness.step = "random words";
    for (unsigned i = 0; i < times; i++) {
        tape_reader r = open_at(starts[tap_random(N_STARTS)]);
        _Atomic uint64_t *const words[] = {&share.oldest, &share.write, &share.newest};
        layout_value v;
        uint64_t missed;
        bool over = false;
        for (unsigned n = 0; n < 30 && !over; n++) {
            put(any_length(), 1);
            _Atomic uint64_t *word =
                tap_random(4) ? (_Atomic uint64_t *)(void *)memory + tap_random(SIZE / 8) : words[tap_random(3)];
            if (tap_random(3) == 0)
                store_relaxed(word, tap_any_position(load_relaxed(word)));
            over = read_one(&r, tap_random(2), &v, &missed) == TAPE_CORRUPT;
        }
        corrupt += over;
    }
    ok(corrupt > 0 && corrupt < times, "random words under %u readers harm nobody; %u found out", times, corrupt);
}

int main(void)
{
    tap_seed();
    watchdog(60, "forgeries");
    memory = map_twice(SIZE);
    room = malloc(BOX);
    for (unsigned i = 0; i < sizeof forgeries / sizeof *forgeries; i++)
        test_forged(&forgeries[i]);
    test_goes_back();
    test_forged_to_writer();
    test_forged_at_open();
    test_random_words();
    free(room);
    return done_testing();
}
