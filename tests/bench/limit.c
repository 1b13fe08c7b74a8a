/* limit - the floor under mpp's times: the same jobs over shared-memory rings, with nothing else
 *
 *   limit gather FILE...             one process for each file reads it into a ring of its own and publishes at line
 *                                    ends; this process writes the lines of all to stdout
 *   limit shuffle N MODE FILE...     one process for each file deals its lines to N consumers, by the hash of field 2;
 *                                    they count lines in the ring (MODE c), write to `wc -l` each, whose output goes
 *                                    to stderr (w), or write to /dev/null (d)
 *
 * RINGKIB in the environment: KiB in a ring, a power of two, 1024 by default.
 *
 * Both ends spin and trust each other: no doorbells, no frames, no liveness, no handling of errors.  It is a yardstick
 * and not a model of how to write the real thing. */
#define XXH_INLINE_ALL
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILES_MAX = 64, MESH_MAX = 16, READ_MAX = 128 << 10, PUBLISH_AFTER = 64 << 10, SPINS = 200 };

/* Positions only grow; each is written by one side and has a cache line of its own. */
typedef struct ring {
    _Alignas(128) _Atomic uint64_t head; /* the producer's */
    _Alignas(128) _Atomic uint64_t tail; /* the consumer's */
    _Alignas(128) _Atomic bool eof;
    _Alignas(4096) char bytes[];
} ring;

static uint64_t ring_size = 1 << 20;

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

static ring *make_ring(void)
{
    ring *r = mmap(NULL, sizeof *r + ring_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED)
        die("mmap");
    return r;
}

/* There may be fewer CPUs than processes. */
static void spin(void)
{
    static int spins;
    if (++spins > SPINS) {
        sched_yield();
        spins = 0;
    } else {
#if defined __x86_64__ || defined __i386__
        __builtin_ia32_pause();
#endif
    }
}

static void write_all(int fd, const char *p, uint64_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0)
            die("write");
        p += written;
        n -= (uint64_t)written;
    }
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool start_child(void)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    return pid == 0;
}

static int open_input(const char *name)
{
    int fd = open(name, O_RDONLY);
    if (fd < 0)
        die(name);
    return fd;
}

static void end_ring(ring *r, uint64_t head)
{
    atomic_store_explicit(&r->head, head, memory_order_release);
    atomic_store(&r->eof, true);
}

/* ---- consumers ------------------------------------------------------------------------------------------ */

typedef struct output {
    int fd; /* -1: count lines */
    uint64_t lines;
} output;

static void take(output *out, const char *p, uint64_t n)
{
    if (out->fd >= 0) {
        write_all(out->fd, p, n);
        return;
    }
    for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        out->lines++;
}

/* What there is in a ring; false: nothing, and *over when nothing will come. */
static bool drain(ring *r, output *out, bool *over)
{
    bool eof = atomic_load(&r->eof); /* before the position: what is there at the end is all */
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (head == tail) {
        *over = eof;
        return false;
    }
    while (tail < head) {
        uint64_t at = tail % ring_size, n = smaller(ring_size - at, head - tail);
        take(out, r->bytes + at, n);
        tail += n;
    }
    atomic_store_explicit(&r->tail, tail, memory_order_release);
    return true;
}

static void drain_all(ring **rings, int n, output *out)
{
    bool over[FILES_MAX] = {false};
    for (int live = n; live > 0;) {
        bool any = false;
        for (int i = 0; i < n; i++) {
            if (over[i])
                continue;
            any |= drain(rings[i], out, &over[i]);
            live -= over[i];
        }
        if (!any)
            spin();
    }
}

/* ---- gather ------------------------------------------------------------------------------------------------- */

static uint64_t wait_for_space(ring *r, uint64_t head, uint64_t tail)
{
    while (head - tail >= ring_size) {
        tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head - tail >= ring_size)
            spin();
    }
    return tail;
}

static void read_into(ring *r, const char *name)
{
    int fd = open_input(name);
    uint64_t head = 0, tail = 0;
    for (;;) {
        tail = wait_for_space(r, head, tail);
        char *to = r->bytes + head % ring_size;
        uint64_t room = smaller(ring_size - head % ring_size, ring_size - (head - tail));
        ssize_t got = read(fd, to, smaller(room, READ_MAX));
        if (got <= 0)
            break;
        head += (uint64_t)got;
        const char *last = memrchr(to, '\n', (size_t)got);
        if (last)
            atomic_store_explicit(&r->head, head - (uint64_t)(to + got - 1 - last), memory_order_release);
    }
    end_ring(r, head);
}

static void gather(char **files, int n)
{
    ring *rings[FILES_MAX];
    for (int i = 0; i < n; i++)
        rings[i] = make_ring();
    for (int i = 0; i < n; i++)
        if (start_child()) {
            read_into(rings[i], files[i]);
            _exit(0);
        }
    drain_all(rings, n, &(output){.fd = STDOUT_FILENO});
}

/* ---- shuffle ------------------------------------------------------------------------------------------------ */

/* A producer's end of its ring to one consumer. */
typedef struct target {
    ring *ring;
    uint64_t head, published, tail;
} target;

static void publish(target *t)
{
    if (t->published != t->head)
        atomic_store_explicit(&t->ring->head, t->head, memory_order_release);
    t->published = t->head;
}

static void append(target *t, const char *line, size_t len)
{
    while (t->head + len - t->tail > ring_size) {
        t->tail = atomic_load_explicit(&t->ring->tail, memory_order_acquire);
        if (t->head + len - t->tail <= ring_size)
            break;
        publish(t);
        spin();
    }
    uint64_t at = t->head % ring_size, first = smaller(ring_size - at, len);
    memcpy(t->ring->bytes + at, line, first);
    memcpy(t->ring->bytes, line + first, len - first);
    t->head += len;
    if (t->head - t->published >= PUBLISH_AFTER)
        publish(t);
}

/* Which of n consumers a line goes to, by its second field, or the whole of it when it has only one. */
static unsigned target_of(const char *line, size_t len, bool ended, unsigned n)
{
    const char *tab = memchr(line, '\t', len), *key = tab ? tab + 1 : line;
    size_t rest = (size_t)(line + len - key);
    const char *end = memchr(key, '\t', rest);
    size_t key_len = end ? (size_t)(end - key) : rest - ended;
    return (unsigned)(((unsigned __int128)XXH3_64bits(key, key_len) * n) >> 64);
}

static void deal(const char *name, target *targets, unsigned n)
{
    struct stat st;
    int fd = open_input(name);
    if (fstat(fd, &st) < 0 || st.st_size == 0)
        die(name);
    const char *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (p == MAP_FAILED)
        die("mmap");
    for (const char *end = p + st.st_size; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((newline ? newline + 1 : end) - p);
        append(&targets[target_of(p, len, newline != NULL, n)], p, len);
        p += len;
    }
    for (unsigned j = 0; j < n; j++)
        end_ring(targets[j].ring, targets[j].head);
}

static void consume(ring **rings, int n, char mode)
{
    output out = {.fd = -1};
    FILE *command = NULL;
    if (mode == 'w') {
        command = popen("wc -l >&2", "w");
        if (!command)
            die("wc");
        out.fd = fileno(command);
    } else if (mode == 'd') {
        out.fd = open("/dev/null", O_WRONLY);
    }
    drain_all(rings, n, &out);
    if (command)
        pclose(command);
    else
        fprintf(stderr, "%llu\n", (unsigned long long)out.lines);
}

static void shuffle(unsigned consumers, char mode, char **files, int n)
{
    ring *rings[MESH_MAX][MESH_MAX]; /* of each consumer, by producer */
    for (unsigned j = 0; j < consumers; j++)
        for (int i = 0; i < n; i++)
            rings[j][i] = make_ring();
    for (int i = 0; i < n; i++)
        if (start_child()) {
            target targets[MESH_MAX] = {{.ring = NULL}};
            for (unsigned j = 0; j < consumers; j++)
                targets[j].ring = rings[j][i];
            deal(files[i], targets, consumers);
            _exit(0);
        }
    for (unsigned j = 0; j < consumers; j++)
        if (start_child()) {
            consume(rings[j], n, mode);
            _exit(0);
        }
}

/* ---- */

static int wait_for_children(void)
{
    int status, failed = 0;
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

int main(int argc, char **argv)
{
    const char *kib = getenv("RINGKIB");
    if (kib)
        ring_size = strtoull(kib, NULL, 0) << 10;
    unsigned long consumers = argc > 4 ? strtoul(argv[2], NULL, 0) : 0;
    if (argc > 2 && argc - 2 <= FILES_MAX && strcmp(argv[1], "gather") == 0) {
        gather(argv + 2, argc - 2);
    } else if (argc > 4 && argc - 4 <= MESH_MAX && consumers > 0 && consumers <= MESH_MAX &&
               strcmp(argv[1], "shuffle") == 0) {
        shuffle((unsigned)consumers, argv[3][0], argv + 4, argc - 4);
    } else {
        fputs("limit: use limit gather FILE..., or limit shuffle N c|w|d FILE...\n", stderr);
        return 2;
    }
    return wait_for_children();
}
