#include "base/liveness.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int liveness_watch(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by nature */
}

uint64_t liveness_namespace(const char *kind)
{
    struct stat st;
    char path[40];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

bool liveness_elsewhere(const char *kind, uint64_t other)
{
    const uint64_t ours = liveness_namespace(kind);
    return ours && other && ours != other;
}

/* All of a file that fits: bytes, or -1 with errno. */
static ssize_t read_whole(int fd, char *buffer, size_t size)
{
    size_t have = 0;
    for (ssize_t n = 1; n != 0 && have < size;) {
        n = read(fd, buffer + have, size - have);
        if (n < 0 && errno != EINTR)
            return -1;
        have += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)have;
}

/* /proc/PID/WHAT, with a NUL behind it.  false with errno. */
static bool read_proc(pid_t pid, const char *what, char *buffer, size_t size)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        errno = errno == ENOENT ? ESRCH : errno;
        return false;
    }
    ssize_t n = read_whole(fd, buffer, size - 1);
    int saved = errno;
    close(fd);
    errno = n < 0 ? saved : ESRCH;
    buffer[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* /proc/PID/stat behind the command's name, which may hold anything: "S 1 2 ...".  NULL with errno. */
static const char *stat_fields(pid_t pid, char *buffer, size_t size)
{
    const char *end = read_proc(pid, "stat", buffer, size) ? strrchr(buffer, ')') : NULL;
    return end && end[1] == ' ' ? end + 2 : NULL;
}

/* /proc/PID/stat would say it, too, but of a process in execve(2) some kernels let us wait for that, and it may wait
 * for the server of a file system. */
char liveness_state(pid_t pid)
{
    char buffer[1024];
    const char *line = read_proc(pid, "status", buffer, sizeof buffer) ? strstr(buffer, "\nState:\t") : NULL;
    return line ? line[sizeof "\nState:\t" - 1] : 0;
}

uint64_t liveness_start_time(pid_t pid)
{
    char buffer[1024];
    const char *p = stat_fields(pid, buffer, sizeof buffer);
    for (unsigned field = 3; p && field < 22; field++) { /* field 3 is the state, 22 the start time (proc(5)) */
        p = strchr(p, ' ');
        if (p)
            p++;
    }
    /* The kernel shows it by the boot-time clock of who reads. */
    const int64_t ticks_in_s = sysconf(_SC_CLK_TCK), offset = clock_boot_offset() / (1000000000 / ticks_in_s);
    return p ? strtoull(p, NULL, 10) - (uint64_t)offset + 1 : 0; /* the first process may have started in tick 0 */
}
