/* messages - what the library does with single messages between two processes, beside other ways
 *
 *   messages ROUNDS MILLISECONDS
 *
 * Each way has a turn of so many milliseconds in every round, with each size.  Prints what tests/bench/report.awk
 * reads: FIELDs separated by TAB,
 *
 *   figure GROUP ROW COLUMN VALUE      one measurement
 *   missing WHAT PACKAGE               a way that was not built
 *
 * The two processes have a CPU each, where there are two. */
#include "messages.h"
#include "cpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUND_TRIP_SIZE = 8, PATIENCE_S = 20 };

static const way *const ways[] = {
    &way_mpp,           &way_mpp_batched, &way_mpp_frames,         &way_mpp_spinning, &way_pipe, &way_pipe_batched,
    &way_pipe_spinning, &way_seqpacket,   &way_seqpacket_spinning, &way_ck,           &way_dpdk, &way_dpdk_burst,
};
enum { WAYS = sizeof ways / sizeof *ways };

static const struct {
    size_t size;
    const char *name;
} sizes[] = {{8, "8 B"}, {32, "32 B"}, {128, "128 B"}, {1 << 10, "1 KiB"}, {MESSAGE_MAX, "64 KiB"}};
enum { SIZES = sizeof sizes / sizeof *sizes };

void die(const char *what, const char *text)
{
    fprintf(stderr, "messages: %s: %s\n", what, text ? text : strerror(errno));
    _exit(1);
}

void *share_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap", NULL);
    return memory;
}

void unshare_memory(void *memory, size_t size)
{
    munmap(memory, size);
}

static pid_t start(const way *w, int side, measurement *m)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(PATIENCE_S);
    if (!cpu_pin(side))
        die("a CPU for each side", NULL);
    w->attach(side, m);
    void (*const act[2][2])(measurement *) = {{w->send, w->receive}, {w->ask, w->answer}};
    act[m->round_trips][side](m);
    w->detach(side);
    _exit(0);
}

/* Both sides; when one fails, the other need not go on. */
static void run(const way *w, measurement *m)
{
    w->open(m);
    pid_t sides[2] = {start(w, 0, m), start(w, 1, m)};
    int status = 0;
    for (int i = 0; i < 2 && status == 0; i++)
        if (wait(&status) < 0)
            die("wait", NULL);
    if (status != 0)
        for (int i = 0; i < 2; i++)
            kill(sides[i], SIGKILL);
    w->close();
    if (status != 0)
        die(w->name, "a side has failed");
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void measure_stream(const way *w, measurement *m, const char *size_name)
{
    run(w, m);
    double seconds = (double)(m->end_ns - m->begin_ns) / 1e9, n = (double)(m->messages - 1);
    printf("figure\tmessages-rate\t%s\t%s\t%.4f\n", w->name, size_name, n / seconds / 1e6);
    printf("figure\tmessages-bytes\t%s\t%s\t%.4f\n", w->name, size_name, n * (double)m->size / seconds / 1e9);
}

static void measure_round_trips(const way *w, measurement *m)
{
    run(w, m);
    if (m->n_took == 0)
        die(w->name, "no round trip was made in time");
    qsort(m->took, m->n_took, sizeof *m->took, by_size);
    printf("figure\tmessages-round-trip\t%s\tp50\t%.3f\n", w->name, (double)m->took[m->n_took / 2] / 1e3);
    printf("figure\tmessages-round-trip\t%s\tp99\t%.3f\n", w->name, (double)m->took[m->n_took * 99 / 100] / 1e3);
}

static void prepare(measurement *m, size_t size, long milliseconds, bool round_trips)
{
    m->size = size;
    m->duration_ns = milliseconds * 1000000;
    m->round_trips = round_trips;
    m->messages = 0;
    m->n_took = 0;
}

static void one_round(measurement *m, long milliseconds)
{
    for (unsigned s = 0; s < SIZES; s++)
        for (unsigned i = 0; i < WAYS; i++)
            if (ways[i]->send) {
                prepare(m, sizes[s].size, milliseconds, false);
                measure_stream(ways[i], m, sizes[s].name);
            }
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i]->ask) {
            prepare(m, ROUND_TRIP_SIZE, milliseconds, true);
            measure_round_trips(ways[i], m);
        }
}

int main(int argc, char **argv)
{
    long rounds = argc == 3 ? atol(argv[1]) : 0, milliseconds = argc == 3 ? atol(argv[2]) : 0;
    if (rounds <= 0 || milliseconds <= 0) {
        fputs("messages: use messages ROUNDS MILLISECONDS\n", stderr);
        return 2;
    }
    measurement *m = share_memory(sizeof *m);
    for (long r = 0; r < rounds; r++)
        one_round(m, milliseconds);
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i]->missing)
            printf("missing\t%s\t%s\n", ways[i]->name, ways[i]->missing);
    return fflush(stdout) == 0 ? 0 : 1;
}
