#include "doorbell.h"

#include "atomics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
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

int doorbell_bind(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct sockaddr_un a = address(path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

enum { TRIES = 100 };

/* false: somebody's queue is full.  A bell that the kernel has no memory for would be a sleeper that nobody wakes. */
static bool ring_from(int from, const struct sockaddr_un *a)
{
    static const struct timespec moment = {.tv_nsec = 1000000};
    unsigned tries = 0;
    while (sendto(from, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)a, sizeof *a) < 0) {
        bool no_memory = errno == ENOBUFS || errno == ENOMEM;
        if (errno != EINTR && !(no_memory && tries++ < TRIES))
            return errno != EAGAIN;
        if (no_memory)
            nanosleep(&moment, NULL);
    }
    return true;
}

void doorbell_ring(int from, const char *path)
{
    struct sockaddr_un a = address(path);
    if (ring_from(from, &a))
        return;
    /* Either the listener's queue is full, or our own send buffer, with bells that others have not taken yet.  A fresh
     * socket has sent nothing: what is full then is the listener's queue, and it has rung already. */
    int fresh = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fresh < 0)
        return;
    ring_from(fresh, &a);
    close(fresh);
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
