#include "ring/doorbell.h"

#include "base/atomics.h"
#include "shm/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool doorbell_path(char path[LAYOUT_SOCKET_PATH_MAX], const char *directory, char role, unsigned index, unsigned lane,
                   unsigned lanes)
{
    int n = lanes == 1 ? snprintf(path, LAYOUT_SOCKET_PATH_MAX, "%s/%c%u.sock", directory, role, index)
                       : snprintf(path, LAYOUT_SOCKET_PATH_MAX, "%s/%c%u.%u.sock", directory, role, index, lane);
    return (size_t)n < LAYOUT_SOCKET_PATH_MAX;
}

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    static_assert(sizeof a.sun_path >= LAYOUT_SOCKET_PATH_MAX, "the path fits");
    strcpy(a.sun_path, path);
    return a;
}

int doorbell_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int doorbell_bind(int fd, const char *path)
{
    struct sockaddr_un a = address(path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return -1;
    return chmod(path, 0600);
}

int doorbell_pipe(uint64_t *inode)
{
    int ends[2];
    struct stat st;
    char self[40];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    fcntl(ends[1], F_SETPIPE_SZ, 1); /* a page: what a user may have in pipes is bounded */
    snprintf(self, sizeof self, "/proc/self/fd/%d", ends[0]);
    /* Held open for writing, too: with no writer left it would be readable for ever. */
    const int both = open(self, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    const int saved = errno;
    *inode = both >= 0 && fstat(both, &st) == 0 ? (uint64_t)st.st_ino : 0;
    close(ends[0]);
    close(ends[1]);
    errno = saved;
    return both;
}

/* 0: sent, else the errno of what failed. */
static int send_from(int from, const struct sockaddr_un *a)
{
    while (sendto(from, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)a, sizeof *a) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static doorbell_outcome outcome_of(int failure)
{
    switch (failure) {
    case 0:
    case EAGAIN: /* its queue is full: it has rung already */
        return DOORBELL_RUNG;
    case ENOBUFS:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return DOORBELL_LATER;
    default:
        return DOORBELL_NOBODY;
    }
}

doorbell_outcome doorbell_ring(int from, const char *path)
{
    const struct sockaddr_un a = address(path);
    int failure = send_from(from, &a);
    if (failure != EAGAIN)
        return outcome_of(failure);
    /* Either the listener's queue is full, or our own send buffer, with bells that others have not taken yet.  A fresh
     * socket has sent nothing: what is full then is the listener's queue. */
    const int fresh = doorbell_socket();
    if (fresh < 0)
        return outcome_of(errno);
    failure = send_from(fresh, &a);
    close(fresh);
    return outcome_of(failure);
}

doorbell_outcome doorbell_ring_pipe(pid_t pid, int fd, uint64_t inode)
{
    char path[64], target[8];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    /* The number was written by another process: what is no pipe is not opened. */
    if (readlink(path, target, sizeof target) < 6 || memcmp(target, "pipe:[", 6) != 0)
        return DOORBELL_NOBODY;
    /* For reading, too: its owner may close it before we write, which must not be a SIGPIPE of ours. */
    const int to = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (to < 0)
        return outcome_of(errno);
    ssize_t n = -1;
    errno = ENXIO;
    if (fstat(to, &st) == 0 && (uint64_t)st.st_ino == inode)
        while ((n = write(to, "", 1)) < 0 && errno == EINTR)
            ;
    const int failure = n < 0 ? errno : 0;
    close(to);
    return outcome_of(failure);
}

unsigned doorbell_drain(int fd)
{
    char byte;
    unsigned times = 0;
    ssize_t n;
    while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0 || errno == EINTR)
        times += n >= 0;
    return times;
}

unsigned doorbell_drain_pipe(int fd)
{
    char bytes[64];
    unsigned times = 0;
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))
        times += n > 0 ? (unsigned)n : 0;
    return times;
}

void doorbell_arm(layout_slot *s, uint32_t wants)
{
    store_relaxed(&s->armed, LAYOUT_ASLEEP | wants);
    full_fence(); /* [D1] */
}

void doorbell_disarm(layout_slot *s)
{
    /* An exchange, not a store: a store could be delayed past the next arming and erase it. */
    exchange(&s->armed, 0);
}

void doorbell_fence(void)
{
    full_fence(); /* [D2] */
}

bool doorbell_wake(layout_slot *s, uint32_t what)
{
    uint32_t armed = load_relaxed(&s->armed);
    if (armed == 0 || (what && !(armed & what)))
        return false;
    return exchange(&s->armed, 0) != 0; /* of several wakers one rings */
}
