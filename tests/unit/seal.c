/* A mesh that is sealed: of those who come at that moment each is waited for or refused, and nobody neither or both. */
#include "harness.h"
#include "mpp-look.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONSUMERS = 6, ROUNDS = 100 };

/* How a child ends. */
enum { STAYED = 0, REFUSED = 10, GONE = 11, OTHER = 12 };

/* In a child: come at a random moment, stay for a moment, and say so before leaving. */
static _Noreturn void come(const char *id, unsigned index, unsigned wait_us, _Atomic unsigned *left)
{
    mpp_mesh *m;
    mpp_consumer *c;
    mpp_error err;
    usleep(wait_us);
    if (mpp_mesh_open(id, &m, &err) < 0)
        _exit(err.status == MPP_S_NO_MESH ? GONE : OTHER);
    const mpp_attach_options o = {.index = (int)index};
    if (mpp_consumer_attach(m, &o, &c, &err) < 0)
        _exit(err.status == MPP_S_NO_MESH && strstr(err.text, "takes nobody any more") ? REFUSED : OTHER);
    usleep(wait_us);
    (*left)++;
    mpp_consumer_detach(&c);
    _exit(STAYED);
}

static void one_round(unsigned *stayed, unsigned *refused, bool *well)
{
    mpp_mesh_options o = harness_smallest();
    o.consumers = CONSUMERS;
    o.keep = true;
    mpp_mesh *m = harness_mesh(&o);
    _Atomic unsigned *left = mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[CONSUMERS];
    char text[32];
    mpp_error err;
    for (unsigned i = 0; i < CONSUMERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            come(mpp_mesh_id(m), i, (unsigned)tap_random(2000), left);
    }
    usleep((useconds_t)tap_random(3000));
    mpp_mesh_seal(m);
    *well &= mpp_mesh_await_left(m, &err) == 0;
    const unsigned seen = *left; /* who stayed has said so before it left, and none comes from now on */
    unsigned here = 0, late = 0;
    for (unsigned i = 0; i < CONSUMERS; i++) {
        int how;
        waitpid(pids[i], &how, 0);
        const int status = WIFEXITED(how) ? WEXITSTATUS(how) : OTHER;
        here += status == STAYED;
        late += status == REFUSED;
        *well &= status == STAYED || status == REFUSED;
    }
    snprintf(text, sizeof text, "%u process", late);
    *well &=
        here == seen && mpp_mesh_missed(m, &err) == (late > 0) && (!late || strncmp(err.text, text, strlen(text)) == 0);
    *stayed += here;
    *refused += late;
    *well &= mpp_mesh_discard(m, &err) == 0;
    mpp_mesh_close(&m);
    munmap(left, sizeof *left);
}

static void test_race(void)
{
    unsigned stayed = 0, refused = 0;
    bool well = true;
    for (unsigned i = 0; i < ROUNDS && well; i++)
        one_round(&stayed, &refused, &well);
    ok(well, "whoever had attached was waited for, and the others were refused");
    ok(stayed > ROUNDS / 4 && refused > ROUNDS / 4, "there were both: %u and %u", stayed, refused);
}

/* Nobody is there to see its death but who waits for those who are left. */
static void test_last_death(void)
{
    mpp_mesh_options o = harness_smallest();
    o.keep = true;
    mpp_mesh *m = harness_mesh(&o);
    mpp_error err;
    int ready[2];
    if (pipe(ready) < 0)
        bail_out("pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        mpp_consumer *c;
        mpp_mesh *mine;
        const mpp_attach_options a = {.index = 0};
        if (mpp_mesh_open(mpp_mesh_id(m), &mine, &err) < 0 || mpp_consumer_attach(mine, &a, &c, &err) < 0 ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    ok(read(ready[0], &(char){0}, 1) == 1, "a consumer is there");
    kill(pid, SIGKILL);
    mpp_mesh_seal(m);
    ok(mpp_mesh_await_left(m, &err) == 0, "and dies");
    ok(mpp_mesh_cause(m, &err) && err.status == MPP_S_DIED && strstr(err.text, "consumer 0"), "%s", err.text);
    harness_reap(pid);
    mpp_mesh_discard(m, NULL);
    mpp_mesh_close(&m);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    tap_seed();
    harness_begin(60);
    test_race();
    test_last_death();
    harness_end();
    return done_testing();
}
