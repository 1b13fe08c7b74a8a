/* Handovers between two processes through the smallest window that there is, sleeping and not: no wake-up is lost, no
 * record is lost, torn or out of order.
 *
 *     handover [HANDOVERS]       or 2 million times $MPP_ROUNDS, as far as a minute goes for either part.  MPP_SEED=n
 *                                draws the same spins again
 *
 * In the first part a ring of 64K holds three frames, the largest that it takes: each is handed over with its own
 * release of space and its own bell.  In the second a single frame goes to and fro, so that each side waits for the
 * other every time.  A side that cannot go on tries some more times, how often is drawn at random, and then sleeps.  A
 * wake-up counts as lost when a sleep is over by its deadline and what was waited for had been there for long. */
#include "base/atomics.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "shm/layout.h"

#include <sys/mman.h>

enum { RING = 64 << 10, FRAME = RING / 4 - 8, TRIES = 1000, LATE_MS = 3000, PIECES = 20, ENOUGH_S = 60 };

/* What the two sides saw; shared by them. */
static struct seen {
    uint64_t frames, torn, reordered, lost, slept;
} * seen; /* 0: who gives, 1: who takes */

static uint64_t records; /* that a piece of the part passes */

/* ---- waiting ----------------------------------------------------------------------------------------- */

typedef struct side {
    mpp_producer *p; /* NULL: it only takes */
    mpp_consumer *c; /* NULL: it only gives */
    mpp_mesh *given, *taken;
    uint64_t spins; /* tries that are left before it sleeps */
    struct seen *seen;
} side;

static const layout_channel *channel(const mpp_mesh *m)
{
    return mesh_channel(m, 0, 0, 0);
}

/* It cannot go on: try again, or sleep.  false: it slept for too long. */
static bool pause_side(side *s)
{
    if (s->spins > 0) {
        if (s->spins-- % 16 == 0)
            sched_yield(); /* the other may want this very processor */
        return true;
    }
    s->seen->slept++;
    const int64_t late = INT64_C(1000000) * LATE_MS;
    if (mpp_wait(s->p, s->c, MPP_COMPUTING, NULL, 0, mpp_now() + (HARNESS_SANITIZED ? 10 : 1) * late) != 0)
        return true;
    /* Nothing woke us.  Was there anything to wake us for? */
    const int64_t before = mpp_now() - late / 2;
    const layout_channel *in = s->c ? channel(s->taken) : NULL, *out = s->p ? channel(s->given) : NULL;
    const bool data =
        in && load_relaxed(&in->write) != load_relaxed(&in->read) && (int64_t)load_relaxed(&in->last_publish) < before;
    const bool space = out && load_relaxed(&out->write) == load_relaxed(&out->read) &&
                       (int64_t)load_relaxed(&out->last_release) < before && !s->c;
    s->seen->lost += data || space;
    return s->seen->lost == 0;
}

static void draw_spins(side *s)
{
    s->spins = tap_random(4) ? TRIES : tap_random(4);
}

/* ---- giving and taking ------------------------------------------------------------------------------- */

/* One frame, whose first and last bytes are its number. */
static bool give(side *s, uint64_t number, size_t n)
{
    void *room;
    mpp_outcome outcome;
    draw_spins(s);
    while ((outcome = mpp_reserve(s->p, 0, 0, n, &room)) == MPP_WOULD_BLOCK)
        if (!pause_side(s))
            return false;
    if (outcome != MPP_OK)
        return false;
    memcpy(room, &number, sizeof number);
    memcpy((char *)room + n - sizeof number, &number, sizeof number);
    mpp_commit(s->p, 0, 0, n, 1);
    s->seen->frames++;
    return true;
}

static bool take(side *s, uint64_t number, size_t n)
{
    mpp_batch b;
    mpp_outcome outcome;
    draw_spins(s);
    while ((outcome = mpp_next(s->c, 0, MPP_PRODUCER_ANY, &b)) == MPP_WOULD_BLOCK)
        if (!pause_side(s))
            return false;
    if (outcome != MPP_OK)
        return false;
    uint64_t first, last;
    memcpy(&first, b.data, sizeof first);
    memcpy(&last, b.data + b.len - sizeof last, sizeof last);
    s->seen->torn += first != last || b.len != n;
    s->seen->reordered += first != number;
    s->seen->frames++;
    mpp_release(s->c, &b);
    return true;
}

static int start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)stream;
    (void)run;
    (void)err;
    *(bool *)arg = true;
    return 0;
}

static void begin(side *s)
{
    bool begun = false;
    if (s->c && mpp_start(s->c, 0) != MPP_OK)
        bail_out("START");
    if (!s->p)
        return;
    mpp_register(s->p, 0, &(mpp_source){start, NULL, &begun});
    while (mpp_service(s->p) == MPP_OK && !begun)
        mpp_wait(s->p, NULL, MPP_COMPUTING, NULL, 0, 0);
}

/* The stream ends, and nothing comes behind its end. */
static bool end(side *s)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_CLOSED;
    if (s->p)
        mpp_end(s->p, 0);
    while (s->c && (outcome = mpp_next(s->c, 0, MPP_PRODUCER_ANY, &b)) == MPP_WOULD_BLOCK)
        mpp_wait(s->p, s->c, MPP_COMPUTING, NULL, 0, 0);
    mpp_producer_detach(&s->p);
    mpp_consumer_detach(&s->c);
    return outcome == MPP_CLOSED;
}

/* ---- the two parts ----------------------------------------------------------------------------------- */

typedef struct meshes {
    char id[2][MPP_NAME_MAX + 1]; /* of the second part: there, and back */
} meshes;

static void meshes_make(meshes *m, unsigned n, uint32_t record)
{
    const mpp_stream_options stream = {.name = "0", .format = {MPP_FIXED, 0, record}};
    const mpp_mesh_options o = {
        .producers = 1, .consumers = 1, .streams = &stream, .n_streams = 1, .ring_size = RING, .max_record = RING};
    for (unsigned i = 0; i < n; i++) {
        mpp_mesh *made = harness_mesh(&o);
        snprintf(m->id[i], sizeof m->id[i], "%s", mpp_mesh_id(made));
        mpp_mesh_close(&made);
    }
}

static int takes_all(void *arg)
{
    const meshes *m = arg;
    side s = {.taken = harness_open(m->id[0]), .seen = &seen[1]};
    s.c = harness_consumer(s.taken, 0);
    begin(&s);
    uint64_t i = 0;
    while (i < records && take(&s, i, FRAME))
        i++;
    const bool closed = end(&s);
    mpp_mesh_close(&s.taken);
    return i == records && closed ? 0 : 1;
}

static bool gives_all(const meshes *m)
{
    side s = {.given = harness_open(m->id[0]), .seen = &seen[0]};
    s.p = harness_producer(s.given, 0, 1);
    begin(&s);
    uint64_t i = 0;
    while (i < records && give(&s, i, FRAME))
        i++;
    end(&s);
    mpp_mesh_close(&s.given);
    return i == records;
}

/* Gives in one mesh, takes in the other. */
static bool plays(const meshes *m, unsigned there, bool first, struct seen *saw)
{
    side s = {.given = harness_open(m->id[there]), .taken = harness_open(m->id[!there]), .seen = saw};
    s.p = harness_producer(s.given, 0, 1);
    s.c = harness_consumer(s.taken, 0);
    begin(&s);
    uint64_t i = 0;
    bool good = true;
    for (; good && i < records; i++)
        good = first ? give(&s, i, 8) && take(&s, i, 8) : take(&s, i, 8) && give(&s, i, 8);
    const bool closed = end(&s);
    mpp_mesh_close(&s.given);
    mpp_mesh_close(&s.taken);
    return good && closed;
}

static int plays_back(void *arg)
{
    return plays(arg, 1, false, &seen[1]) ? 0 : 1;
}

static void tell(const char *what, bool good, int status, uint64_t handovers)
{
    ok(good && status == 0 && seen[0].lost + seen[1].lost == 0, "%s: of %llu handovers no wake-up is lost", what,
       (unsigned long long)handovers);
    ok(seen[0].frames + seen[1].frames == 2 * handovers && seen[0].torn + seen[1].torn == 0 &&
           seen[0].reordered + seen[1].reordered == 0,
       "and no record is lost, torn or out of order");
    diag("%s: %llu handovers; slept %llu and %llu times; %llu wake-ups lost, %llu records torn, %llu out of order",
         what, (unsigned long long)handovers, (unsigned long long)seen[0].slept, (unsigned long long)seen[1].slept,
         (unsigned long long)(seen[0].lost + seen[1].lost), (unsigned long long)(seen[0].torn + seen[1].torn),
         (unsigned long long)(seen[0].reordered + seen[1].reordered));
    memset(seen, 0, 2 * sizeof *seen);
}

static bool pass_window(int *status)
{
    meshes m;
    meshes_make(&m, 1, FRAME);
    const pid_t other = harness_fork(takes_all, &m);
    const bool good = gives_all(&m);
    *status = harness_reap(other);
    return good;
}

static bool pass_to_and_fro(int *status)
{
    meshes m;
    meshes_make(&m, 2, 8);
    const pid_t other = harness_fork(plays_back, &m);
    const bool good = plays(&m, 0, true, &seen[0]);
    *status = harness_reap(other);
    return good;
}

/* So many, each of which is so many handovers, in pieces: where others keep the machine busy each sleep takes a time
 * slice of theirs, and what is done by then is enough. */
static void test(const char *what, bool (*pass)(int *status), uint64_t n, unsigned handovers)
{
    const int64_t end = mpp_now() + INT64_C(1000000000) * ENOUGH_S;
    uint64_t done = 0;
    bool good = true;
    int status = 0;
    harness.step = what;
    records = n / PIECES + 1;
    do {
        good = pass(&status);
        done += records * handovers;
    } while (good && status == 0 && done < n * handovers && mpp_now() < end);
    tell(what, good, status, done);
}

int main(int argc, char **argv)
{
    const char *rounds = getenv("MPP_ROUNDS");
    const uint64_t handovers =
        argc > 1 ? strtoull(argv[1], NULL, 10) : SCALED(2000000, 20) * (rounds ? strtoull(rounds, NULL, 10) : 1);
    tap_seed();
    harness_begin(500);
    seen = mmap(NULL, 2 * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        bail_out("mmap: %s", strerror(errno));
    test("a ring of three frames", pass_window, handovers - handovers / 25, 1);
    test("one frame to and fro", pass_to_and_fro, handovers / 50, 2);
    harness_end();
    return done_testing();
}
