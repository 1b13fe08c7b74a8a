/* latency - how long a line is under way
 *
 *   latency feed LINES MILLISECONDS     write a line every few milliseconds, which says when it was written
 *   latency read                        read them; print the median and the 99th percentile, in microseconds
 *
 * What is between the two is what is measured.  The first tenth of the lines does not count: they may have waited for
 * it to start. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINES_MAX = 1 << 20 };

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int feed(long lines, long milliseconds)
{
    for (long n = 0; n < lines; n++) {
        struct timespec pause = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
        nanosleep(&pause, NULL);
        printf("%lld\n", (long long)now());
        if (fflush(stdout) != 0) {
            fprintf(stderr, "latency: cannot write: %s\n", strerror(errno));
            return 1;
        }
    }
    return 0;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int read_all(void)
{
    static int64_t took[LINES_MAX];
    char line[64];
    size_t n = 0;
    while (n < LINES_MAX && fgets(line, sizeof line, stdin))
        took[n++] = now() - strtoll(line, NULL, 10);
    size_t skip = n / 10;
    n -= skip;
    if (n == 0) {
        fputs("latency: no lines came\n", stderr);
        return 1;
    }
    qsort(took + skip, n, sizeof *took, by_size);
    printf("%.1f %.1f %zu\n", (double)took[skip + n / 2] / 1e3, (double)took[skip + n * 99 / 100] / 1e3, n + skip);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "feed") == 0)
        return feed(atol(argv[2]), atol(argv[3]));
    if (argc == 2 && strcmp(argv[1], "read") == 0)
        return read_all();
    fputs("latency: use latency feed LINES MILLISECONDS, or latency read\n", stderr);
    return 2;
}
