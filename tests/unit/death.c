/* Death: what the others see of it, at once and whatever the dead one was doing; and what only looks like one. */
#include "base/atomics.h"
#include "door.h"
#include "mesh/mesh.h"
#include "shm/layout.h"

#include <sys/prctl.h>

enum { FRAME_MAX = (64 << 10) / 4 - 8, ROUNDS = 5 };

#define PROMPT_NS   (HARNESS_SANITIZED ? INT64_C(1000000000) : INT64_C(100000000))
#define PATIENCE_NS INT64_C(20000000000)

/* ---- deaths ----------------------------------------------------------------------------------------- */

enum { IDLE, WORKING, IN_A_LONG_RECORD, BLOCKED, STATES };
static const char *const states[STATES] = {"while it idles", "in the middle of its work", "inside a long record",
                                           "while it waits"};

static unsigned char text[2 * FRAME_MAX];

/* mpp_fill() has read two frames of a line that has no end yet: its first part is published. */
static void begin_a_long_record(mpp_producer *p)
{
    int fds[2];
    size_t used;
    mpp_error err;
    memset(text, 'x', sizeof text);
    if (pipe(fds) < 0 || write(fds[1], text, sizeof text) != sizeof text)
        _exit(97);
    for (size_t left = sizeof text; left > 0; left -= used)
        if (mpp_fill(p, 0, fds[0], 4096, &used, &err) != MPP_OK)
            _exit(95);
    mpp_flush(p);
}

/* Numbered records; the parent hears when we are where we are to be killed. */
static void produce_until_killed(door *d, mpp_producer *p)
{
    char number[24];
    for (uint64_t n = 0;; n++) {
        size_t len = (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)n);
        while (mpp_try_produce(p, 0, number, len) == MPP_WOULD_BLOCK) {
            if (d->state == BLOCKED)
                say(d, 'b');
            mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
            mpp_service(p);
        }
        if (n != 200)
            continue;
        mpp_flush(p);
        if (d->state == IN_A_LONG_RECORD)
            begin_a_long_record(p);
        if (d->state != BLOCKED)
            say(d, 'w');
        if (d->state == IN_A_LONG_RECORD)
            pause();
    }
}

static void live_as_producer(door *d, mpp_mesh *m)
{
    mpp_producer *p = harness_producer(m, d->index, 1);
    if (d->state == IDLE) {
        say(d, 'i');
        pause();
    }
    while (mpp_service(p) == MPP_OK && mpp_try_produce(p, 0, "", 0) == MPP_CLOSED)
        mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
    produce_until_killed(d, p);
}

static void live_as_consumer(door *d, mpp_mesh *m)
{
    mpp_batch b;
    mpp_consumer *c = harness_consumer(m, d->index);
    if (d->state != IDLE)
        mpp_start(c, 0);
    if (d->state == IDLE || d->state == BLOCKED) { /* it asks, and takes nothing: it is the producer that blocks */
        say(d, 'i');
        pause();
    }
    for (bool said = false;;) {
        while (mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK) {
            if (!said)
                say(d, 'w');
            said = true;
            mpp_release(c, &b);
        }
        mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
    }
}

static int live(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    if (d->role == 'p')
        live_as_producer(d, m);
    else
        live_as_consumer(d, m);
    return 96;
}

/* The survivor's side: what it read, and when it knew. */
typedef struct survivor {
    mpp_mesh *mesh;
    mpp_producer *p;
    mpp_consumer *c;
    uint64_t next;
    unsigned torn;
} survivor;

static void check_numbers(survivor *s, const mpp_batch *b)
{
    const char *at = (const char *)b->data, *end = at + b->len;
    s->torn += b->len == 0 || end[-1] != '\n';
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            return;
        if (newline > at) { /* the empty ones are how the producer asked whether it may begin */
            s->torn += strtoull(at, NULL, 10) != s->next;
            s->next++;
        }
        at = newline + 1;
    }
}

static mpp_outcome tend(survivor *s)
{
    mpp_batch b;
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    if (s->c)
        while ((outcome = mpp_next(s->c, 0, MPP_PRODUCER_ANY, &b)) == MPP_OK) {
            check_numbers(s, &b);
            mpp_release(s->c, &b);
        }
    if (s->p && mpp_service(s->p) == MPP_GONE)
        return MPP_GONE;
    if (s->p)
        while (mpp_try_produce(s->p, 0, "0123456789", 10) == MPP_OK)
            ;
    return outcome;
}

/* Until the survivor knows: nanoseconds since `begin`, or -1. */
static int64_t until_gone(survivor *s, int64_t begin)
{
    while (tend(s) != MPP_GONE) {
        if (mpp_now() > begin + PATIENCE_NS)
            return -1;
        mpp_wait(s->p, s->c, MPP_COMPUTING, NULL, 0, begin + PATIENCE_NS);
    }
    return mpp_now() - begin;
}

/* Until the child is in the state that it was to get into; what we do with its data is part of it. */
static void await_state(survivor *s, const door *d)
{
    struct pollfd said = {d->out[0], POLLIN, 0};
    while (poll(&said, 1, 0) == 0) {
        if (s->p || d->state == WORKING)
            tend(s);
        mpp_wait(s->p, s->c, MPP_COMPUTING, &said, 1, mpp_now() + 1000000);
    }
    hear(d);
}

static bool all_read(const survivor *s)
{
    layout_channel *c = mesh_channel(s->mesh, 0, 0, 0);
    return load_acquire(&c->read) == load_acquire(&c->write);
}

/* One death; nanoseconds until the survivor knew, -1: something was wrong. */
static int64_t one_death(char role, unsigned state)
{
    mpp_error cause = {0};
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, role, 0);
    d.state = (int)state;
    if (role == 'p')
        s.c = harness_consumer(s.mesh, 0);
    else
        s.p = harness_producer(s.mesh, 0, 1);
    if (s.c)
        mpp_start(s.c, 0);
    pid_t pid = harness_fork(live, &d);
    await_state(&s, &d);
    if (state == WORKING)
        for (unsigned turns = (unsigned)tap_random(100); turns > 0; turns--)
            tend(&s);
    int64_t begin = mpp_now();
    kill(pid, SIGKILL);
    int64_t took = until_gone(&s, begin);
    char who[32];
    snprintf(who, sizeof who, "%s 0 (pid %d", role == 'p' ? "producer" : "consumer", (int)pid);
    mpp_mesh_cause(s.mesh, &cause);
    bool right = cause.status == MPP_S_DIED && strstr(cause.text, who) && s.torn == 0;
    if (s.c) {
        mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, 1);
        right &= all_read(&s) && (state == IDLE || s.next > 100);
    }
    if (!right || took < 0)
        diag("status %d, cause '%s', %u torn, %llu records, %s", (int)cause.status, cause.text, s.torn,
             (unsigned long long)s.next, s.c && all_read(&s) ? "all read" : "unread data");
    mpp_consumer_detach(&s.c);
    mpp_producer_detach(&s.p);
    harness_reap(pid);
    door_close(&d);
    mesh_end(&s.mesh);
    return right ? took : -1;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median is judged: what else this machine does can hold up one of them. */
static void test_death(char role, unsigned state)
{
    int64_t took[ROUNDS];
    harness.step = states[state];
    for (unsigned round = 0; round < ROUNDS; round++)
        took[round] = one_death(role, state);
    qsort(took, ROUNDS, sizeof *took, by_size);
    ok(took[0] >= 0, "a %s killed %s is named, and what it had published is read",
       role == 'p' ? "producer" : "consumer", states[state]);
    ok(took[0] >= 0 && took[ROUNDS / 2] < harness_late(PROMPT_NS), "and the other side knows in %.1f ms (at most %.1f)",
       (double)took[ROUNDS / 2] / 1e6, (double)took[ROUNDS - 1] / 1e6);
}

static void test_deaths(void)
{
    for (unsigned state = 0; state < STATES; state++)
        test_death('p', state);
    test_death('c', IDLE);
    test_death('c', WORKING);
    test_death('c', BLOCKED);
}

/* A whole life, short enough that a kill falls into any part of it. */
static int come_and_go(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    if (d->role == 'p') {
        mpp_producer *p = harness_producer(m, 0, 1);
        while (mpp_service(p) == MPP_OK) {
            for (unsigned i = 0; i < 100 && mpp_try_produce(p, 0, "1", 1) == MPP_OK; i++)
                mpp_flush(p);
            mpp_end(p, 0);
            if (mpp_service(p) == MPP_OK)
                mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);
        }
        mpp_producer_detach(&p);
    } else {
        mpp_consumer *c = harness_consumer(m, 0);
        mpp_batch b;
        mpp_start(c, 0);
        for (unsigned i = 0; i < 5; i++)
            if (mpp_next(c, 0, MPP_PRODUCER_ANY, &b) == MPP_OK)
                mpp_release(c, &b);
            else
                mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, mpp_now() + 100000);
        mpp_consumer_detach(&c);
    }
    mpp_mesh_close(&m);
    return 0;
}

/* Until it is over in one way or the other: by a death, or by the stream's end. */
static bool comes_to_an_end(survivor *s)
{
    for (int64_t end = mpp_now() + PATIENCE_NS / 10; mpp_now() < end;) {
        mpp_batch b;
        mpp_outcome outcome = s->p ? mpp_service(s->p) : mpp_next(s->c, 0, MPP_PRODUCER_ANY, &b);
        if (outcome == MPP_GONE || outcome == MPP_CLOSED)
            return true;
        if (s->p)
            while (mpp_try_produce(s->p, 0, "0123456789", 10) == MPP_OK)
                ;
        else if (outcome == MPP_OK)
            mpp_release(s->c, &b);
        if (s->p || outcome == MPP_WOULD_BLOCK)
            mpp_wait(s->p, s->c, MPP_COMPUTING, NULL, 0, end);
    }
    return false;
}

/* 'd': died, 'e': ended, 'n': had never been there; 0: the survivor never knew. */
static char one_moment(char role)
{
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, role, 0);
    if (role == 'p')
        s.c = harness_consumer(s.mesh, 0);
    else
        s.p = harness_producer(s.mesh, 0, 1);
    if (s.c)
        mpp_start(s.c, 0);
    int64_t moment = mpp_now() + (int64_t)tap_random(HARNESS_SANITIZED ? 30000000 : 1500000);
    pid_t pid = harness_fork(come_and_go, &d);
    while (mpp_now() < moment && tend(&s) == MPP_WOULD_BLOCK)
        mpp_wait(s.p, s.c, MPP_COMPUTING, NULL, 0, moment);
    kill(pid, SIGKILL);
    harness_reap(pid);
    uint32_t state = load_acquire(&mesh_slot(s.mesh, role == 'p' ? 0 : 1)->state);
    char what = 'n';
    if (state != LAYOUT_FREE)
        what = !comes_to_an_end(&s) ? 0 : strcmp(harness_cause(s.mesh), "none") ? 'd' : 'e';
    else if (tend(&s) == MPP_GONE)
        what = 0;
    mpp_consumer_detach(&s.c);
    mpp_producer_detach(&s.p);
    door_close(&d);
    mesh_end(&s.mesh);
    return what;
}

static void test_any_moment(char role)
{
    unsigned died = 0, ended = 0, never = 0, hung = 0;
    harness.step = "deaths at any moment";
    for (unsigned round = 0; round < SCALED(300, 10); round++)
        switch (one_moment(role)) {
        case 'd':
            died++;
            break;
        case 'e':
            ended++;
            break;
        case 'n':
            never++;
            break;
        default:
            hung++;
        }
    ok(hung == 0, "%ss killed at any moment are seen to have died (%u), ended (%u) or never been there (%u)",
       role == 'p' ? "producer" : "consumer", died, ended, never);
}

/* ---- a death that nobody was there to see ----------------------------------------------------------- */

static void test_dead_before_we_come(void)
{
    mpp_error err;
    harness.step = "a dead one's place";
    mpp_mesh *m = mesh_of(1, 1);
    door d = door_open(m, 'p', 0);
    pid_t pid = harness_fork(live, &d);
    hear(&d);
    kill(pid, SIGKILL);
    harness_reap(pid);
    ok(claim_status(m, 'p', 0, &err) == MPP_S_DIED, "a dead one's place cannot be taken: %s", err.text);
    mpp_error cause;
    ok(mpp_mesh_cause(m, &cause) && cause.status == MPP_S_DIED && strstr(cause.text, "producer 0"),
       "and who finds it says so to all: %s", cause.text);
    door_close(&d);
    mesh_end(&m);
}

static void test_dead_when_a_peer_comes(void)
{
    harness.step = "a peer of a dead one";
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, 'p', 0);
    pid_t pid = harness_fork(live, &d);
    hear(&d);
    kill(pid, SIGKILL);
    harness_reap(pid);
    s.c = harness_consumer(s.mesh, 0);
    mpp_start(s.c, 0); /* it may: what was published for it is there to be read */
    mpp_outcome next = tend(&s);
    ok(next == MPP_GONE && strstr(harness_cause(s.mesh), "producer 0"),
       "a consumer that comes when its producer is dead is told: %s", harness_cause(s.mesh));
    mpp_consumer_detach(&s.c);
    door_close(&d);
    mesh_end(&s.mesh);
}

/* ---- what is not a death ---------------------------------------------------------------------------- */

static int sit(void *arg)
{
    (void)arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pause();
    return 0;
}

/* The slot says another pid: of one that lives, and of one that dies. */
static void test_forged_pid(void)
{
    harness.step = "a forged pid";
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, 'p', 0);
    s.c = harness_consumer(s.mesh, 0);
    mpp_start(s.c, 0);
    pid_t pid = harness_fork(live, &d), other = harness_fork(sit, NULL);
    hear(&d);
    tend(&s);
    mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, mpp_now() + 10000000);
    store_relaxed(&mesh_slot(s.mesh, 0)->pid, (int32_t)other);
    add_release(&s.mesh->header->peers, 1);
    tend(&s);
    kill(other, SIGKILL);
    harness_reap(other);
    add_release(&s.mesh->header->peers, 1);
    int64_t end = mpp_now() + 50000000;
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    while (mpp_now() < end && outcome == MPP_WOULD_BLOCK) {
        mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, end);
        outcome = tend(&s);
    }
    ok(outcome == MPP_WOULD_BLOCK, "a pid forged into a slot dies, and nothing happens: %s", harness_cause(s.mesh));
    store_relaxed(&mesh_slot(s.mesh, 0)->pid, (int32_t)getpid());
    add_release(&s.mesh->header->peers, 1);
    tend(&s);
    int64_t begin = mpp_now();
    kill(pid, SIGKILL);
    int64_t took = until_gone(&s, begin);
    ok(took >= 0, "the slot's owner dies behind a living pid, and that is seen: %s", harness_cause(s.mesh));
    harness_reap(pid);
    mpp_consumer_detach(&s.c);
    door_close(&d);
    mesh_end(&s.mesh);
}

/* The owner forks a child that lives on with all its descriptors. */
static int live_with_a_child(void *arg)
{
    door *d = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mpp_mesh *m = harness_open(d->id);
    mpp_producer *p = harness_producer(m, 0, 1);
    if (fork() == 0) {
        pause();
        _exit(0);
    }
    (void)p;
    say(d, 'i');
    pause();
    return 0;
}

static void test_child_lives_on(void)
{
    harness.step = "a child that lives on";
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, 'p', 0);
    s.c = harness_consumer(s.mesh, 0);
    mpp_start(s.c, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t pid = harness_fork(live_with_a_child, &d);
    hear(&d);
    tend(&s);
    int64_t begin = mpp_now();
    kill(pid, SIGKILL);
    int64_t took = until_gone(&s, begin);
    ok(took >= 0 && took < harness_late(PROMPT_NS), "a producer's death is seen although its child lives on: %.1f ms",
       (double)took / 1e6);
    harness_reap(pid);
    char path[64], line[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, line, sizeof line - 1) > 0 && atoi(line) > 0) {
        kill(atoi(line), SIGKILL);
        harness_reap(atoi(line));
    }
    if (fd >= 0)
        close(fd);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    mpp_consumer_detach(&s.c);
    door_close(&d);
    mesh_end(&s.mesh);
}

/* Stopped for longer than the time-out; everything that comes before and after is in time. */
static void test_stopped(void)
{
    enum { TIMEOUT_MS = HARNESS_SANITIZED ? 3000 : 100 };
    mpp_error err;
    harness.step = "a stopped peer";
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, 'p', 0);
    d.state = WORKING;
    mpp_attach_options o = {.index = 0, .attach_timeout_ms = TIMEOUT_MS, .timeout_ms = TIMEOUT_MS};
    if (mpp_consumer_attach(s.mesh, &o, &s.c, &err) < 0)
        bail_out("%s", err.text);
    mpp_start(s.c, 0);
    pid_t pid = harness_fork(live, &d);
    await_state(&s, &d);
    kill(pid, SIGSTOP);
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    for (int64_t end = mpp_now() + TIMEOUT_MS * INT64_C(2500000); mpp_now() < end && outcome == MPP_WOULD_BLOCK;) {
        outcome = tend(&s);
        mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, end);
    }
    uint64_t before = s.next;
    ok(outcome == MPP_WOULD_BLOCK, "a peer that is stopped past every time-out is neither dead nor late: %s",
       harness_cause(s.mesh));
    kill(pid, SIGCONT);
    for (int64_t end = mpp_now() + PATIENCE_NS; mpp_now() < end && s.next < before + 1000;) {
        tend(&s);
        mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, end);
    }
    ok(s.next >= before + 1000 && s.torn == 0, "and when it goes on, so do we");
    kill(pid, SIGKILL);
    harness_reap(pid);
    mpp_consumer_detach(&s.c);
    door_close(&d);
    mesh_end(&s.mesh);
}

/* ---- other ends ------------------------------------------------------------------------------------- */

static void test_tied(void)
{
    harness.step = "the process that a mesh is tied to";
    pid_t pid = harness_fork(sit, NULL);
    survivor s = {.mesh = harness_mesh(&(mpp_mesh_options){.producers = 1, .consumers = 1, .pid = pid})};
    s.c = harness_consumer(s.mesh, 0);
    mpp_start(s.c, 0);
    int64_t begin = mpp_now();
    kill(pid, SIGKILL);
    int64_t took = until_gone(&s, begin);
    ok(took >= 0 && took < harness_late(PROMPT_NS), "the process that a mesh is tied to dies, and all of it ends: %s",
       harness_cause(s.mesh));
    harness_reap(pid);
    mpp_consumer_detach(&s.c);
    mpp_mesh *still = NULL;
    ok(mpp_mesh_open(mpp_mesh_id(s.mesh), &still, NULL) < 0, "the last one out removes it whoever is missing");
    mpp_mesh_close(&still);
    mesh_end(&s.mesh);
}

static void test_nobody_comes(void)
{
    mpp_error err;
    harness.step = "a peer that never comes";
    survivor s = {.mesh = mesh_of(2, 1)};
    mpp_attach_options o = {.index = 0, .attach_timeout_ms = 50};
    const int64_t begin = mpp_now();
    if (mpp_consumer_attach(s.mesh, &o, &s.c, &err) < 0)
        bail_out("%s", err.text);
    mpp_producer *one = harness_producer(s.mesh, 0, 1);
    mpp_start(s.c, 0);
    const int64_t took = until_gone(&s, begin);
    mpp_mesh_cause(s.mesh, &err);
    ok(took >= 50000000 && err.status == MPP_S_TIMEOUT && strstr(err.text, "producer 1"),
       "a producer that never comes is named after the time-out: %s", err.text);
    mpp_producer_detach(&one);
    mpp_consumer_detach(&s.c);
    mesh_end(&s.mesh);
}

/* Not hungry: it has not said that it would block, and yet has to hear that the mesh is over. */
static void test_told_when_busy(void)
{
    harness.step = "a consumer that waits for something else";
    survivor s = {.mesh = mesh_of(1, 1)};
    door d = door_open(s.mesh, 'p', 0);
    s.c = harness_consumer(s.mesh, 0);
    pid_t pid = harness_fork(live, &d);
    hear(&d);
    mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, 1);
    kill(pid, SIGKILL);
    harness_reap(pid);
    int woken = 1;
    for (int64_t end = mpp_now() + 500000000; woken == 1 && strcmp(harness_cause(s.mesh), "none") == 0;)
        woken = mpp_wait(NULL, s.c, MPP_COMPUTING, NULL, 0, end);
    ok(woken == 1, "a consumer that never asked for anything is woken by a death as well: %s", harness_cause(s.mesh));
    mpp_consumer_detach(&s.c);
    door_close(&d);
    mesh_end(&s.mesh);
}

int main(void)
{
    tap_seed();
    harness_begin(120);
    test_deaths();
    test_any_moment('p');
    test_any_moment('c');
    test_dead_before_we_come();
    test_dead_when_a_peer_comes();
    test_forged_pid();
    test_child_lives_on();
    test_stopped();
    test_tied();
    test_nobody_comes();
    test_told_when_busy();
    harness_end();
    return done_testing();
}
