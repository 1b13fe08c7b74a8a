/* records.h - what the scenarios of fault injection send, and whether what came out is right
 *
 * Producer i of a scenario gives the records 1 .. RECORDS, each a line `I:N:...` of a length that varies; one of them
 * is longer than a ring.  What consumer j has to get of producer i follows from the partition, so a consumer's output
 * can be held against it byte by byte: whole records, each producer's in their order, from the first one on. */
#ifndef RECORDS_H
#define RECORDS_H

#include "../unit/harness.h"

#include <xxhash.h>

#ifndef RECORDS
#define RECORDS 1600
#endif

enum { PRODUCERS_MAX = 4, LONG_AT = RECORDS / 2, LONG = 70000 };

typedef enum split { ROUND_ROBIN, BY_HASH, BROADCAST } split;

/* The input of each producer, and where each of its records begins: records_at[i][n - 1] to records_at[i][n]. */
static unsigned char *records_of[PRODUCERS_MAX];
static size_t records_at[PRODUCERS_MAX][RECORDS + 1];

static inline void records_make(void)
{
    for (unsigned i = 0; i < PRODUCERS_MAX; i++) {
        bytes all = {0};
        for (unsigned n = 1; n <= RECORDS; n++) {
            char begin[32];
            size_t pad = n == LONG_AT ? LONG : (n * 7 + i) % 90;
            records_at[i][n - 1] = all.n;
            bytes_add(&all, begin, (size_t)snprintf(begin, sizeof begin, "%u:%u:", i, n));
            for (size_t k = 0; k < pad; k++)
                bytes_add(&all, &(char){(char)('a' + (n + k) % 26)}, 1);
            bytes_add(&all, "\n", 1);
        }
        records_at[i][RECORDS] = all.n;
        records_of[i] = all.data;
    }
}

/* Is record n of producer i for consumer j of `consumers`?  The key is n. */
static inline bool records_meant(split how, unsigned consumers, unsigned i, unsigned n, unsigned j)
{
    char key[16];
    switch (how) {
    case ROUND_ROBIN:
        return (i + n - 1) % consumers == j;
    case BY_HASH:
        return XXH3_64bits(key, (size_t)snprintf(key, sizeof key, "%u", n)) % consumers == j;
    case BROADCAST:
        break;
    }
    return true;
}

/* What a consumer got. */
typedef struct got {
    const char *wrong; /* NULL: whole records in order, as far as they go */
    size_t at;         /* where it is wrong */
    bool torn_tail;    /* its last record is cut short, and right as far as it goes */
    bool complete;     /* every record that was meant for it */
    unsigned records;
} got;

static inline unsigned records_next(split how, unsigned consumers, unsigned i, unsigned n, unsigned j)
{
    do
        n++;
    while (n <= RECORDS && !records_meant(how, consumers, i, n, j));
    return n;
}

static inline got records_check(const bytes *out, split how, unsigned producers, unsigned consumers, unsigned j)
{
    got g = {.complete = true};
    unsigned next[PRODUCERS_MAX];
    for (unsigned i = 0; i < producers; i++)
        next[i] = records_next(how, consumers, i, 0, j);
    while (g.at < out->n && !g.wrong && !g.torn_tail) {
        unsigned i = (unsigned)(out->data[g.at] - '0');
        if (i >= producers || next[i] > RECORDS) {
            g.wrong = i >= producers ? "no such producer" : "more than there was";
            break;
        }
        const unsigned char *want = records_of[i] + records_at[i][next[i] - 1];
        size_t len = records_at[i][next[i]] - records_at[i][next[i] - 1], have = out->n - g.at;
        if (memcmp(out->data + g.at, want, have < len ? have : len) != 0) {
            g.wrong = "not the record that comes next of its producer";
        } else if (have < len) {
            g.torn_tail = true;
        } else {
            g.at += len;
            g.records++;
            next[i] = records_next(how, consumers, i, next[i], j);
        }
    }
    for (unsigned i = 0; i < producers; i++)
        g.complete &= next[i] > RECORDS;
    g.complete &= !g.wrong && !g.torn_tail;
    return g;
}

#endif
