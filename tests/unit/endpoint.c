/* Endpoints: whose an index is, and who is there. */
#include "base/atomics.h"
#include "door.h"
#include "mesh/mesh.h"
#include "shm/layout.h"
#include "shm/lock.h"
#include "shm/segment.h"

enum { CROWD = 64 };

/* ---- claims ----------------------------------------------------------------------------------------- */

static int claim_zero(void *arg)
{
    mpp_error err;
    mpp_mesh *m = harness_open(arg);
    int status = (int)claim_status(m, 'p', 0, &err);
    mpp_mesh_close(&m);
    return status;
}

static void test_taken(void)
{
    mpp_error err;
    char who[32];
    mpp_mesh *m = mesh_of(2, 1);
    mpp_producer *p = harness_producer(m, 0, 1);
    snprintf(who, sizeof who, "process %d", (int)getpid());
    ok(claim_status(m, 'p', 0, &err) == MPP_S_USAGE && strstr(err.text, who),
       "an index that this very process holds is refused: %s", err.text);
    mpp_mesh *again = harness_open(mpp_mesh_id(m));
    ok(claim_status(again, 'p', 0, &err) == MPP_S_USAGE, "also through another handle of the mesh");
    mpp_mesh_close(&again);
    char id[MPP_NAME_MAX + 1];
    snprintf(id, sizeof id, "%s", mpp_mesh_id(m));
    ok(harness_reap(harness_fork(claim_zero, id)) == MPP_S_USAGE, "and in another process");
    ok(claim_status(m, 'p', 2, &err) == MPP_S_USAGE && claim_status(m, 'p', -2, &err) == MPP_S_USAGE &&
           claim_status(m, 'c', 1, &err) == MPP_S_USAGE,
       "so is one that there is not: %s", err.text);
    mpp_producer *second = harness_producer(m, MPP_INDEX_ANY, 1);
    ok(mpp_producer_index(second) == 1, "whoever wants any gets the next");
    ok(claim_status(m, 'p', MPP_INDEX_ANY, &err) == MPP_S_USAGE && strstr(err.text, "all of them"),
       "until there is none: %s", err.text);
    mpp_producer_detach(&p);
    mpp_producer_detach(&second);
    mesh_end(&m);
}

static void test_used(void)
{
    mpp_error err;
    mpp_mesh *m = mesh_of(2, 2);
    mpp_producer *p = harness_producer(m, 0, 1);
    mpp_producer_detach(&p);
    p = harness_producer(m, MPP_INDEX_ANY, 0);
    ok(mpp_producer_index(p) == 1, "an index that was used is nobody's who wants any");
    ok(claim_status(m, 'p', 0, &err) == MPP_S_USAGE && strstr(err.text, "already done"),
       "nor a producer's who asks for it: %s", err.text);
    mpp_consumer *c = harness_consumer(m, 0);
    mpp_consumer_detach(&c);
    c = harness_consumer(m, MPP_INDEX_ANY);
    ok(mpp_consumer_index(c) == 1, "nor a consumer's who wants any");
    ok(claim_status(m, 'c', 0, &err) == MPP_S_DONE, "but a consumer's who asks for it while a producer owes runs");
    mpp_consumer_detach(&c);
    mpp_producer_detach(&p);
    mesh_end(&m);
}

/* ---- a crowd ---------------------------------------------------------------------------------------- */

static int claim_any(void *arg)
{
    door *d = arg;
    mpp_mesh *m = harness_open(d->id);
    mpp_producer *p = harness_producer(m, MPP_INDEX_ANY, 1);
    say(d, (unsigned char)mpp_producer_index(p));
    stay(d);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
    return 0;
}

static void test_crowd(void)
{
    mpp_error err;
    pid_t pids[CROWD];
    unsigned seen[CROWD] = {0}, distinct = 0, failed = 0;
    harness.step = "a crowd that claims indices";
    mpp_mesh *m = mesh_of(CROWD, 1);
    door d = door_open(m, 'p', MPP_INDEX_ANY);
    for (unsigned i = 0; i < CROWD; i++)
        pids[i] = harness_fork(claim_any, &d);
    for (unsigned i = 0; i < CROWD; i++) {
        int index = hear(&d);
        if (index >= 0 && index < CROWD)
            distinct += seen[index]++ == 0;
    }
    ok(distinct == CROWD, "%d processes that claim an index at once get %u different ones", CROWD, distinct);
    ok(claim_status(m, 'p', MPP_INDEX_ANY, &err) == MPP_S_USAGE, "and one more gets none");
    close(d.in[1]);
    d.in[1] = -1;
    for (unsigned i = 0; i < CROWD; i++)
        failed += harness_reap(pids[i]) != 0;
    ok(failed == 0 && strcmp(harness_cause(m), "none") == 0, "all of them leave in peace");
    door_close(&d);
    mesh_end(&m);
}

/* ---- what is no claim ------------------------------------------------------------------------------- */

/* Dies with the lock and before it is LIVE. */
static int claim_half(void *arg)
{
    door *d = arg;
    pid_t holder;
    mpp_mesh *m = harness_open(d->id);
    if (segment_lock(m->segment, LAYOUT_LOCK_SLOTS + 0, &holder) < 0)
        return 1;
    store_relaxed(&mesh_slot(m, 0)->pid, (int32_t)getpid());
    add_release(&m->header->peers, 1);
    say(d, 'h');
    pause();
    return 2;
}

static void test_death_inside_a_claim(void)
{
    mpp_error err;
    harness.step = "a death inside a claim";
    mpp_mesh *m = mesh_of(1, 1);
    door d = door_open(m, 'p', 0);
    mpp_consumer *c = harness_consumer(m, 0);
    pid_t pid = harness_fork(claim_half, &d);
    hear(&d);
    mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 1);
    ok(claim_status(m, 'p', 0, &err) == MPP_S_USAGE, "an index is taken as soon as its lock is: %s", err.text);
    kill(pid, SIGKILL);
    harness_reap(pid);
    mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, mpp_now() + 10000000);
    ok(strcmp(harness_cause(m), "none") == 0, "who dies while it claims one has never been there: %s",
       harness_cause(m));
    ok(claim_status(m, 'p', 0, &err) == MPP_S_DONE, "and another takes its place");
    mpp_consumer_detach(&c);
    door_close(&d);
    mesh_end(&m);
}

static void test_forged_free_slot(void)
{
    mpp_error err;
    mpp_mesh *m = mesh_of(1, 1);
    mpp_consumer *c = harness_consumer(m, 0);
    store_relaxed(&mesh_slot(m, 0)->pid, 1);
    add_release(&m->header->peers, 1);
    mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 1);
    ok(strcmp(harness_cause(m), "none") == 0 && claim_status(m, 'p', MPP_INDEX_ANY, &err) == MPP_S_DONE,
       "a pid forged into a slot that nobody holds keeps nobody away");
    mpp_consumer_detach(&c);
    mesh_end(&m);
}

/* ---- everybody -------------------------------------------------------------------------------------- */

static int come_late(void *arg)
{
    door *d = arg;
    mpp_mesh *m = harness_open(d->id);
    usleep(20000);
    mpp_producer *p = harness_producer(m, 0, 1);
    stay(d);
    mpp_producer_detach(&p);
    mpp_mesh_close(&m);
    return 0;
}

static void test_barrier(void)
{
    harness.step = "a barrier";
    mpp_mesh *m = mesh_of(1, 1);
    door d = door_open(m, 'p', 0);
    mpp_consumer *c = harness_consumer(m, 0);
    ok(mpp_barrier(NULL, c) == MPP_WOULD_BLOCK, "the barrier holds while somebody is missing");
    pid_t pid = harness_fork(come_late, &d);
    mpp_outcome outcome;
    while ((outcome = mpp_barrier(NULL, c)) == MPP_WOULD_BLOCK)
        mpp_wait(NULL, c, MPP_COMPUTING, NULL, 0, 0);
    ok(outcome == MPP_OK, "and opens when everybody is there");
    ok(load_relaxed(&m->header->barrier) == 0, "nobody waits for everybody then");
    close(d.in[1]);
    d.in[1] = -1;
    mpp_consumer_detach(&c);
    harness_reap(pid);
    door_close(&d);
    mesh_end(&m);
}

static void test_barrier_and_half_a_claim(void)
{
    mpp_mesh *m = mesh_of(1, 1);
    door d = door_open(m, 'p', 0);
    mpp_consumer *c = harness_consumer(m, 0);
    pid_t pid = harness_fork(claim_half, &d);
    hear(&d);
    ok(mpp_barrier(NULL, c) == MPP_WOULD_BLOCK, "who claims an index is not there yet");
    kill(pid, SIGKILL);
    harness_reap(pid);
    ok(mpp_barrier(NULL, c) == MPP_WOULD_BLOCK, "nor is who died while it did");
    mpp_consumer_detach(&c);
    ok(load_relaxed(&m->header->barrier) == 0, "who leaves does not wait for everybody any more");
    door_close(&d);
    mesh_end(&m);
}

int main(void)
{
    harness_begin(60);
    harness.step = "claims";
    test_taken();
    test_used();
    test_crowd();
    test_death_inside_a_claim();
    test_forged_free_slot();
    test_barrier();
    test_barrier_and_half_a_claim();
    harness_end();
    return done_testing();
}
