/* clock - moments in a segment are the same for who is in another time namespace */
#include "base/clock.h"
#include "base/liveness.h"

#include "tap.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum { SLACK_NS = 1000000000 };

typedef struct seen {
    int64_t own, shared, boot;
    uint64_t started;
} seen;

static seen look(pid_t pid)
{
    return (seen){mpp_now(), clock_shared(), clock_boot_offset(), liveness_start_time(pid)};
}

/* What a process sees whose clocks are so far ahead.  false: it may not have such. */
static bool look_from(const char *offsets, pid_t pid, seen *there)
{
    int status = 1;
    const pid_t child = fork();
    if (child == 0) {
        FILE *file = unshare(CLONE_NEWTIME) == 0 ? fopen("/proc/self/timens_offsets", "w") : NULL;
        if (!file || fputs(offsets, file) < 0 || fclose(file) != 0)
            _exit(1);
        const pid_t inside = fork();
        if (inside == 0) {
            *there = look(pid);
            _exit(0);
        }
        _exit(waitpid(inside, &status, 0) != inside || status != 0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool near(int64_t a, int64_t b)
{
    return a - b < SLACK_NS && b - a < SLACK_NS;
}

static void from(const char *offsets, int64_t monotonic, int64_t boot, const char *words)
{
    seen *both = mmap(NULL, 2 * sizeof *both, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!look_from(offsets, getppid(), &both[1])) {
        ok(true, "%s # SKIP no time namespace is to be had here", words);
        return;
    }
    look_from("", getppid(), &both[0]); /* a process of its own, too: what it has read it keeps */
    const seen here = both[0], there = both[1];
    ok(near(there.own - here.own, monotonic), "%s: its own clock is another", words);
    ok(near(there.shared, here.shared), "%s: the clock of a segment is the same", words);
    ok(there.boot - here.boot == boot, "%s: the boot-time clock's offset is known", words);
    ok(there.started - here.started + 1 <= 2, "%s: a process started at the same time, to a tick (%llu and %llu)",
       words, (unsigned long long)there.started, (unsigned long long)here.started);
    munmap(both, 2 * sizeof *both);
}

int main(void)
{
    from("monotonic 100000 5\nboottime 200000 7\n", INT64_C(100000000000005), INT64_C(200000000000007), "ahead");
    from("monotonic -1 0\nboottime -1 300000000\n", -INT64_C(1000000000), -INT64_C(700000000), "behind");
    ok(look(getpid()).started > 0, "a process has a start time");
    return done_testing();
}
