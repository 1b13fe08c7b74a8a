/* kinds - how fast a producer is into each kind of buffer, and whether it matters who reads
 *
 *   kinds ROUNDS MILLISECONDS
 *
 * For each kind and size a producer writes for so many milliseconds: alone, with a reader that waits for whatever
 * comes, and with one that sleeps for a millisecond after every hundredth value (a bounded buffer has but the first of
 * these readers: it would be as slow as the second).  Readers check that numbers grow, and that what a ring dropped is
 * what they missed.
 *
 * Prints for tests/bench/report.awk
 *
 *   figure kinds SIZE, KIND  READER  MILLIONS-A-SECOND
 *
 * The mesh has its name from $MESH.  Producer and reader have a CPU each, where there are two. */
#include "cpu.h"
#include "mpp-look.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef enum reader { NOBODY, WAITS, SLEEPS } reader;

static const char *const readers[] = {[NOBODY] = "alone", [WAITS] = "a reader", [SLEEPS] = "one that sleeps"};
static const size_t sizes[] = {32, 4096};

typedef struct setting {
    mpp_buffer_kind kind;
    size_t size;
    reader reader;
    int64_t duration_ns;
} setting;

__attribute__((noreturn)) static void die(const char *what, const char *text)
{
    fprintf(stderr, "kinds: %s: %s\n", what, text);
    exit(1);
}

static mpp_mesh *open_mesh(const setting *s)
{
    mpp_stream_options stream = {
        .name = "0", .format = {.kind = MPP_FIXED, .size = (uint32_t)s->size}, .buffer = s->kind};
    mpp_mesh_options o = {
        .producers = 1, .consumers = 1, .streams = &stream, .n_streams = 1, .name = getenv("MESH"), .pid = getpid()};
    mpp_error err;
    mpp_mesh *m;
    if (mpp_mesh_create(&o, &m, &err) < 0)
        die("mpp_mesh_create", err.text);
    return m;
}

/* ---- the reader ---------------------------------------------------------------------------------- */

static void check(const setting *s, const mpp_batch *b, uint64_t *next)
{
    for (size_t at = 0; at < b->len; at += s->size) {
        uint64_t number;
        memcpy(&number, b->data + at, sizeof number);
        const uint64_t missed = at ? 0 : b->missed;
        if (s->kind == MPP_MAILBOX ? number < *next : number != *next + missed)
            die("the reader", "a value is lost, or out of order");
        *next = number + 1;
    }
}

static void read_all(const setting *s, const char *id)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    mpp_error err;
    mpp_mesh *m;
    mpp_consumer *c;
    mpp_batch b;
    uint64_t next = 0, values = 0;
    if (mpp_mesh_open(id, &m, &err) < 0 || mpp_consumer_attach(m, &(mpp_attach_options){.index = 0}, &c, &err) < 0)
        die("the reader", err.text);
    mpp_outcome outcome = mpp_start(c, 0);
    while (outcome != MPP_CLOSED && outcome != MPP_GONE) {
        outcome = mpp_next(c, 0, MPP_PRODUCER_ANY, &b);
        if (outcome == MPP_OK) {
            check(s, &b, &next);
            mpp_release(c, &b);
        }
        if (outcome == MPP_OK && s->reader == SLEEPS && ++values % 100 == 0)
            nanosleep(&nap, NULL);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
    }
    mpp_consumer_detach(&c);
    mpp_mesh_close(&m);
    exit(outcome == MPP_CLOSED ? 0 : 1);
}

static pid_t start_reader(const setting *s, const char *id)
{
    if (s->reader == NOBODY)
        return 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(20);
        cpu_pin(1);
        read_all(s, id);
    }
    return pid;
}

/* ---- the producer -------------------------------------------------------------------------------- */

static int began(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)stream, (void)run, (void)err;
    *(bool *)arg = true;
    return 0;
}

static void put(mpp_producer *p, mpp_overwriter *w, const unsigned char *value, size_t size)
{
    if (w) {
        mpp_produce(w, value, size);
        return;
    }
    for (;;) {
        const mpp_outcome outcome = mpp_try_produce(p, 0, value, size);
        if (outcome == MPP_OK)
            return;
        if (outcome != MPP_WOULD_BLOCK || mpp_service(p) != MPP_OK)
            die("the producer", "it cannot go on");
        mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
    }
}

/* Values a second. */
static double write_all(const setting *s, mpp_producer *p, mpp_overwriter *w)
{
    static unsigned char value[4096];
    const int64_t begin = mpp_now();
    int64_t now = begin;
    uint64_t number = 0;
    while (number % 64 || (now = mpp_now()) < begin + s->duration_ns) {
        memcpy(value, &number, sizeof number);
        put(p, w, value, s->size);
        number++;
    }
    return (double)number * 1e9 / (double)(now - begin);
}

static double measure(const setting *s)
{
    bool asked = false;
    int status = 0;
    mpp_error err;
    mpp_producer *p;
    mpp_overwriter *w = NULL;
    mpp_mesh *m = open_mesh(s);
    const pid_t pid = start_reader(s, mpp_mesh_id(m));
    if (mpp_producer_attach(m, &(mpp_attach_options){.index = 0, .runs = 1}, &p, &err) < 0 ||
        (s->kind != MPP_BOUNDED && mpp_overwriter_open(p, 0, &w, &err) < 0))
        die("the producer", err.text);
    mpp_register(p, 0, &(mpp_source){began, NULL, &asked});
    while (mpp_service(p) == MPP_OK && !asked)
        mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
    cpu_pin(0);
    const double rate = write_all(s, p, w);
    mpp_end(p, 0);
    if (pid > 0 && (waitpid(pid, &status, 0) < 0 || status != 0))
        die("the reader", "it has failed");
    mpp_producer_detach(&p);
    mpp_mesh_remove(mpp_mesh_id(m), NULL);
    mpp_mesh_close(&m);
    return rate;
}

int main(int argc, char **argv)
{
    const long rounds = argc == 3 ? atol(argv[1]) : 0, milliseconds = argc == 3 ? atol(argv[2]) : 0;
    if (rounds <= 0 || milliseconds <= 0) {
        fputs("kinds: use kinds ROUNDS MILLISECONDS\n", stderr);
        return 2;
    }
    for (long round = 0; round < rounds; round++)
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (unsigned kind = MPP_BOUNDED; kind <= MPP_MAILBOX; kind++)
                for (reader r = NOBODY; r <= SLEEPS; r++) {
                    const setting s = {(mpp_buffer_kind)kind, sizes[i], r, milliseconds * 1000000};
                    if (kind == MPP_BOUNDED && r != WAITS)
                        continue;
                    printf("figure\tkinds\t%zu B, %s\t%s\t%.4f\n", s.size, mpp_buffer_text(s.kind), readers[r],
                           measure(&s) / 1e6);
                }
    return fflush(stdout) == 0 ? 0 : 1;
}
