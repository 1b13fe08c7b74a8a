/* reel.h - the library's own tape on private memory, taken in steps (steps.h) */
#ifndef REEL_H
#define REEL_H

#include "ring/tape.h"
#include "steps.h"
#include "twice.h"
#include "values.h"

#include "harness.h"

enum { SIZE = 64 << 10, BOX = SIZE / 4, MOST = BOX - sizeof(layout_value), READERS = 3 };

struct steps steps;
static layout_share share;
static unsigned char *memory;
static unsigned char *room; /* a reader's BOX bytes, on the heap: who writes behind them is found out */
static tape_writer writer;
static uint64_t overwritten; /* as the writer says */

/* An empty tape whose positions stand at `at`, and a reader who comes now. */
static tape_reader open_at(uint64_t at)
{
    store_relaxed(&share.oldest, at);
    store_relaxed(&share.write, at);
    store_relaxed(&share.newest, 0);
    overwritten = 0;
    tape_writer_open(&writer, &share, memory, SIZE);
    return (tape_reader){.shared = &share, .bytes = memory, .size = SIZE};
}

/* A value of n bytes that says for itself which record it begins with. */
static bool put(size_t n, unsigned records)
{
    static unsigned char value[MOST];
    uint64_t gone;
    value_make(value, n, writer.records);
    const bool good = tape_write(&writer, value, n, records, &gone);
    overwritten += gone;
    return good;
}

static size_t any_length(void)
{
    return VALUE_LEAST + tap_random(tap_random(4) ? 300 : MOST - VALUE_LEAST + 1);
}

static tape_outcome read_one(tape_reader *r, bool newest, layout_value *v, uint64_t *missed)
{
    return tape_read(r, newest, room, v, missed);
}

static const uint64_t starts[] = {
    0,
    8,
    SIZE - 8,
    (UINT64_C(1) << 32) - 8,
    (UINT64_C(1) << 32) - SIZE,
    (UINT64_C(1) << 63) - 8,
    (UINT64_C(1) << 63) - SIZE / 2,
    UINT64_MAX - 7,
    UINT64_MAX - 2 * SIZE + 1,
    UINT64_MAX - 15,
};
enum { N_STARTS = sizeof starts / sizeof *starts };

/* What a reader has, in the end, of all that was written. */
typedef struct account {
    uint64_t got, missed, next;
    unsigned wrong;
} account;

static void take(account *a, const layout_value *v, uint64_t missed)
{
    uint64_t number = 0;
    a->wrong += !value_whole(room, v->len, &number) || number != v->number || v->number != a->next + missed;
    a->next = v->number + v->records;
    a->got += v->records;
    a->missed += missed;
}

static void take_all(account *a, tape_reader *r, bool newest)
{
    layout_value v;
    uint64_t missed;
    tape_outcome outcome;
    while ((outcome = read_one(r, newest, &v, &missed)) == TAPE_VALUE)
        take(a, &v, missed);
    a->wrong += outcome != TAPE_NOTHING || tape_unread(r, newest);
    if (!newest)
        a->wrong += a->got + a->missed != writer.records;
    else
        a->wrong += a->next != writer.records;
}

#endif
