/* gen - deterministic data for benchmarks
 *
 *   gen lines BYTES [SEED]     id TAB key TAB filler: lines of 60 to 140 bytes, 100 on average; 100,000 keys, of which
 *                              number k is used in proportion to 1/k
 *   gen seq BYTES              the numbers from 10000000000 on, 12 bytes a line
 *
 * At least BYTES, in whole lines.  The same arguments give the same bytes, on every machine: figures taken at different
 * times are of the same data. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 100000, FILLER = 4096, FILLER_STARTS = 3900, SHORTEST = 60, LENGTHS = 81, LONGEST = 140, DIGITS = 11 };

static uint64_t state = 88172645463325252u;

/* xorshift64* */
static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Du;
}

static double cumulated[KEYS];
static char filler[FILLER];

static void prepare(void)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789 .,";
    double total = 0;
    for (int i = 0; i < KEYS; i++) {
        total += 1.0 / (i + 1);
        cumulated[i] = total;
    }
    for (int i = 0; i < FILLER; i++)
        filler[i] = alphabet[next_random() % (sizeof alphabet - 1)];
}

/* The number of a key, from 0, the small ones often. */
static uint32_t next_key(void)
{
    double u = (double)(next_random() >> 11) * (1.0 / 9007199254740992.0) * cumulated[KEYS - 1];
    uint32_t low = 0, high = KEYS - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (cumulated[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_lines(uint64_t want)
{
    char line[LONGEST + 1];
    prepare();
    for (uint64_t made = 0, id = 0; made < want; id++) {
        /* Multiplied, so that keys that are used alike do not look alike. */
        uint32_t key = next_key() * 2654435761u;
        size_t len = SHORTEST + (size_t)(next_random() % LENGTHS);
        size_t head = (size_t)snprintf(line, sizeof line, "%010llu\tk%08x\t", (unsigned long long)id, key);
        memcpy(line + head, filler + next_random() % FILLER_STARTS, len - 1 - head);
        line[len - 1] = '\n';
        fwrite(line, 1, len, stdout);
        made += len;
    }
}

static void make_seq(uint64_t want)
{
    char line[] = "10000000000\n";
    for (uint64_t made = 0; made < want; made += DIGITS + 1) {
        fwrite(line, 1, DIGITS + 1, stdout);
        int i = DIGITS - 1;
        while (line[i] == '9')
            line[i--] = '0';
        line[i]++;
    }
}

int main(int argc, char **argv)
{
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    uint64_t want = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    if (argc == 3 && strcmp(argv[1], "seq") == 0) {
        make_seq(want);
    } else if ((argc == 3 || argc == 4) && strcmp(argv[1], "lines") == 0) {
        if (argc == 4)
            state = strtoull(argv[3], NULL, 0) * 0x9E3779B97F4A7C15u + 1;
        make_lines(want);
    } else {
        fputs("gen: use gen lines BYTES [SEED], or gen seq BYTES\n", stderr);
        return 2;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "gen: cannot write: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
