/* mutator - somebody scribbles over the shared words of a running mesh, and everybody in it ends
 *
 *     mutator [SECONDS]                      10 by default; MPP_SEED=n plays the same meshes and scribbles again
 *
 * Two producers, two consumers and one who takes snapshots are threads at work, each with its own endpoint of one
 * mesh; a process changes words at random: slots, requests, channels, ends, control rings, the header's shared line,
 * frames.  Shows, under the sanitizers: nothing crashes, nothing is read out of bounds, what is handed out was whole
 * records, and each participant ends within 5 s of being told to. */
#include "last-words.h"
#include "look.h"
#include "mpp-look.h"

#include <pthread.h>
#include <sys/prctl.h>

enum { PRODUCERS = 2, CONSUMERS = 2, STREAMS = 3, BOUND = 5, LIFE_MS = 50, SECOND = 1000000000 };

static struct round {
    mpp_mesh *mesh;
    char id[MPP_NAME_MAX + 1];
    _Atomic bool over;                /* everybody is told to end */
    _Atomic unsigned done;            /* participants that have */
    _Atomic uint64_t records, looked; /* of all rounds */
} now;

/* ---- those who work ---------------------------------------------------------------------------------- */

typedef struct worker {
    unsigned index;
    uint64_t random;
    pthread_t thread;
} worker;

static uint64_t draw(worker *w, uint64_t below)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

static int start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)stream;
    (void)run;
    (void)err;
    ++*(unsigned *)arg;
    return 0;
}

static void stop(void *arg, unsigned stream, unsigned run)
{
    (void)arg;
    (void)stream;
    (void)run;
}

/* A record of the stream's format, some longer than a frame. */
static void produce(mpp_producer *p, worker *w)
{
    static const char zeros[RIG_RING];
    const unsigned stream = (unsigned)draw(w, STREAMS);
    const size_t n = stream == 1 ? 4 : draw(w, 50) ? draw(w, 200) : draw(w, sizeof zeros);
    mpp_try_produce(p, stream, zeros, n);
    if (draw(w, 20) == 0)
        mpp_flush(p);
    if (draw(w, 3000) == 0)
        mpp_end(p, stream);
}

static void *be_producer(void *arg)
{
    worker *w = arg;
    mpp_producer *p;
    unsigned started = 0;
    const mpp_attach_options o = {.index = (int)w->index, .runs = 0};
    if (mpp_producer_attach(now.mesh, &o, &p, NULL) == 0) {
        for (unsigned s = 0; s < STREAMS; s++)
            mpp_register(p, s, &(mpp_source){start, stop, &started});
        for (mpp_outcome outcome = MPP_OK; !now.over && outcome == MPP_OK;) {
            outcome = mpp_service(p);
            for (unsigned i = 0; i < 50; i++)
                produce(p, w);
            mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, mpp_now() + SECOND / 1000);
        }
        mpp_producer_detach(&p);
    }
    now.done++;
    return NULL;
}

/* As careful a user as live_take(), but for bytes that may change while they are looked at. */
static bool read_on(mpp_consumer *c, unsigned stream)
{
    mpp_batch b;
    if (mpp_next(c, stream, MPP_PRODUCER_ANY, &b) != MPP_OK)
        return false;
    must(b.stream == stream && b.producer < PRODUCERS, "stream %u of %u", b.stream, b.producer);
    const mpp_format *f = &mpp_mesh_stream(now.mesh, stream)->format;
    size_t at = 0, len;
    while (at < b.len && mpp_record_next(f, UINT64_MAX / 2, b.data + at, b.len - at, &len) == MPP_OK) {
        at += len;
        now.records++;
    }
    must(at <= b.len, "%zu of %zu bytes", at, b.len);
    mpp_release(c, &b);
    return true;
}

static void *be_consumer(void *arg)
{
    worker *w = arg;
    mpp_consumer *c;
    const mpp_attach_options o = {.index = (int)w->index};
    if (mpp_consumer_attach(now.mesh, &o, &c, NULL) == 0) {
        for (unsigned s = 0; s < STREAMS; s++)
            mpp_start(c, s);
        while (!now.over) {
            const unsigned stream = (unsigned)draw(w, STREAMS);
            if (draw(w, 20) == 0)
                mpp_start(c, stream);
            if (draw(w, 200) == 0)
                mpp_cancel(c, stream);
            for (unsigned n = 0; n < 100 && read_on(c, stream); n++)
                ;
            mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, mpp_now() + SECOND / 1000);
        }
        mpp_consumer_detach(&c);
    }
    now.done++;
    return NULL;
}

static void *look_on(void *arg)
{
    (void)arg;
    while (!now.over)
        now.looked += look(now.id);
    now.done++;
    return NULL;
}

/* ---- who scribbles ----------------------------------------------------------------------------------- */

static void change(unsigned char *at)
{
    if (tap_random(2)) {
        _Atomic uint32_t *word = (_Atomic uint32_t *)(void *)at;
        store_relaxed(word, (uint32_t)tap_any_word(load_relaxed(word)));
    } else {
        _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(at - (uintptr_t)at % 8);
        store_relaxed(word, tap_any_word(load_relaxed(word)));
    }
}

/* One word; most are there to be read often. */
static void scribble(const layout *l, unsigned char *base, unsigned char *ring)
{
    const unsigned where = (unsigned)tap_random(8);
    if (where == 0)
        change(base + offsetof(layout_header, peers) + 4 * tap_random(4));
    else if (where < 3)
        change(base + l->slots_at + 4 * tap_random((l->channels_at - l->slots_at) / 4));
    else if (where < 6)
        change(base + l->channels_at + 4 * tap_random((l->rings_at - l->channels_at) / 4));
    else
        change(ring + 4 * tap_random(RIG_RING / 4));
}

/* Short bursts, for one is often enough to end a mesh; the first when there was some work. */
static int scribble_on(void *arg)
{
    const mpp_mesh *m = arg;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != harness.owner) /* nobody is left to end it */
        return 1;
    unsigned char *ring = live_ring(m, 0, 0, 0);
    struct timespec t = {.tv_nsec = 10000000 + (long)tap_random(20000000)};
    for (;;) {
        nanosleep(&t, NULL);
        for (uint64_t n = 1 + tap_random(tap_random(3) ? 3 : 200); n > 0; n--)
            scribble(&m->l, m->base, ring);
        t.tv_nsec = (long)tap_random(4000000);
    }
    return 0;
}

/* ---- rounds ------------------------------------------------------------------------------------------ */

static void make_mesh(void)
{
    static const mpp_stream_options streams[STREAMS] = {
        {.name = "a", .format = {MPP_DELIMITED, '\n', 0}, .partition = "any"},
        {.name = "b", .format = {MPP_FIXED, 0, 4}},
        {.name = "c", .format = {MPP_U32LE, 0, 0}, .key = "1", .separator = ' '},
    };
    now.mesh = harness_mesh(&(mpp_mesh_options){.producers = PRODUCERS,
                                                .consumers = CONSUMERS,
                                                .streams = streams,
                                                .n_streams = STREAMS,
                                                .lanes = 1 + (unsigned)tap_random(STREAMS),
                                                .ring_size = RIG_RING,
                                                .max_record = 100000});
    snprintf(now.id, sizeof now.id, "%s", mpp_mesh_id(now.mesh));
}

/* Tell them, and see them end. */
static bool end_all(unsigned all)
{
    const struct timespec t = {.tv_nsec = 1000000};
    const int64_t bound = mpp_now() + INT64_C(1000000000) * (HARNESS_SANITIZED ? 4 * BOUND : BOUND);
    now.over = true;
    while (now.done < all && mpp_now() < bound)
        nanosleep(&t, NULL);
    return now.done == all;
}

static bool play(void)
{
    enum { ALL = PRODUCERS + CONSUMERS + 1 };
    worker workers[ALL];
    void *(*const roles[ALL])(void *) = {be_producer, be_producer, be_consumer, be_consumer, look_on};
    const struct timespec life = {.tv_nsec = LIFE_MS * 1000000};
    now.over = false;
    now.done = 0;
    make_mesh();
    const pid_t scribbler = harness_fork(scribble_on, now.mesh); /* before there are threads */
    for (unsigned i = 0; i < ALL; i++) {
        workers[i] = (worker){.index = i % 2, .random = tap_random(UINT64_MAX)};
        if (pthread_create(&workers[i].thread, NULL, roles[i], &workers[i]) != 0)
            bail_out("cannot start a thread");
    }
    nanosleep(&life, NULL);
    const bool ended = end_all(ALL); /* while it is still scribbled over */
    kill(scribbler, SIGKILL);
    harness_reap(scribbler);
    if (!ended)
        return false;
    for (unsigned i = 0; i < ALL; i++)
        pthread_join(workers[i].thread, NULL);
    mpp_mesh_close(&now.mesh);
    mpp_mesh_remove(now.id, NULL);
    return true;
}

int main(int argc, char **argv)
{
    const int64_t seconds = argc > 1 ? atoll(argv[1]) : 10;
    const int64_t until = mpp_now() + seconds * SECOND;
    unsigned rounds = 0;
    bool ended = true;
    tap_seed();
    harness_begin((unsigned)seconds + 60);
    last_words_prepare();
    while (ended && mpp_now() < until) {
        snprintf(last_words, sizeof last_words, "round %u", ++rounds);
        harness.step = last_words;
        ended = play();
    }
    ok(ended, "%u meshes were scribbled over, and everybody in them ended", rounds);
    ok(now.records > rounds && now.looked > rounds, "%llu records were read meanwhile, and %llu snapshots taken",
       (unsigned long long)now.records, (unsigned long long)now.looked);
    if (!ended) {
        diag("%u participants ended", now.done);
        return done_testing();
    }
    harness_end();
    return done_testing();
}
