#include "base/clock.h"

#include "base/atomics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t mpp_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* What a clock's line, "monotonic  SECONDS  NANOSECONDS", says. */
static int64_t offset_in(const char *text, const char *clock)
{
    long long seconds = 0, nanoseconds = 0;
    const char *line = strstr(text, clock);
    if (!line || sscanf(line + strlen(clock), "%lld %lld", &seconds, &nanoseconds) != 2)
        return 0;
    return seconds * INT64_C(1000000000) + nanoseconds;
}

/* The file says what holds for our children, which is what holds for us: a program that is started is in the namespace
 * that was for it.  Where there is no such file there are no offsets. */
static int64_t offset_now(const char *clock)
{
    char text[256];
    const int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    while (fd >= 0 && (n = read(fd, text, sizeof text - 1)) < 0 && errno == EINTR)
        ;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return offset_in(text, clock);
}

/* It is looked for once in a program: an offset is fixed before anybody is in a namespace.  Two threads that are the
 * first find the same. */
static int64_t offset_once(_Atomic int64_t *known, const char *clock)
{
    int64_t offset = load_relaxed(known);
    if (offset == INT64_MIN) {
        offset = offset_now(clock);
        store_relaxed(known, offset);
    }
    return offset;
}

int64_t clock_shared(void)
{
    static _Atomic int64_t offset = INT64_MIN;
    return mpp_now() - offset_once(&offset, "monotonic");
}

int64_t clock_boot_offset(void)
{
    static _Atomic int64_t offset = INT64_MIN;
    return offset_once(&offset, "boottime");
}
