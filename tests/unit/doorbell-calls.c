/* The doorbell when system calls are interrupted or refused: those that it makes are ours here, and say what a test
 * wants. Bells that come through, and what comes of those that do not; the descriptors are as many afterwards as
 * before. */
#include "bell.h"
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static struct {
    unsigned interrupted; /* so many calls, EINTR */
    unsigned refused;     /* then so many of sendto, with ... */
    int why;              /* ... this errno; 0: EAGAIN */
    bool no_socket;       /* EMFILE */
} kernel;

static bool is_interrupted(void)
{
    if (kernel.interrupted == 0)
        return false;
    kernel.interrupted--;
    errno = EINTR;
    return true;
}

int socket(int domain, int type, int protocol)
{
    if (!kernel.no_socket)
        return (int)syscall(SYS_socket, domain, type, protocol);
    errno = EMFILE;
    return -1;
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *to, socklen_t to_len)
{
    if (is_interrupted())
        return -1;
    if (kernel.refused == 0)
        return syscall(SYS_sendto, fd, data, n, flags, to, to_len);
    kernel.refused--;
    errno = kernel.why ? kernel.why : EAGAIN;
    return -1;
}

ssize_t recv(int fd, void *data, size_t n, int flags)
{
    return is_interrupted() ? -1 : syscall(SYS_recvfrom, fd, data, n, flags, NULL, NULL);
}

static unsigned descriptors(void)
{
    return harness_entries("/proc/self/fd", "", false);
}

static void test_ring(int from, const char *path, int listener)
{
    const unsigned before = descriptors();
    kernel.interrupted = 3;
    ok(doorbell_ring(from, path) == DOORBELL_RUNG && kernel.interrupted == 0 && doorbell_drain(listener) == 1,
       "a bell is rung once, however often that is interrupted");
    kernel.refused = 1;
    ok(doorbell_ring(from, path) == DOORBELL_RUNG && kernel.refused == 0 && doorbell_drain(listener) == 1,
       "who has sent all that it may rings through another socket");
    kernel.refused = 2;
    ok(doorbell_ring(from, path) == DOORBELL_RUNG && kernel.refused == 0 && doorbell_drain(listener) == 0,
       "a listener that takes no more has been rung: that is all");
    kernel.refused = 1;
    kernel.no_socket = true;
    ok(doorbell_ring(from, path) == DOORBELL_LATER && kernel.refused == 0 && doorbell_drain(listener) == 0,
       "where there is no other socket the bell is owed");
    kernel.no_socket = false;
    ok(doorbell_ring(from, path) == DOORBELL_RUNG && doorbell_drain(listener) == 1 && descriptors() == before,
       "the next one rings, and no descriptor is left");
}

/* A bell that is lost for want of memory would be a sleeper that nobody wakes. */
static void test_no_memory(int from, const char *path, int listener)
{
    static const int errors[] = {ENOBUFS, ENOMEM};
    for (unsigned i = 0; i < 2; i++) {
        kernel.why = errors[i];
        kernel.refused = UINT_MAX;
        const int64_t began = mpp_now();
        const doorbell_outcome outcome = doorbell_ring(from, path);
        ok(outcome == DOORBELL_LATER && UINT_MAX - kernel.refused == 1 && mpp_now() - began < 50000000,
           "%s: the bell is owed, and nobody waits", strerror(errors[i]));
        kernel.refused = 0;
        ok(doorbell_ring(from, path) == DOORBELL_RUNG && doorbell_drain(listener) == 1, "and can be rung later");
    }
    kernel.why = 0;
}

static void test_pipe(void)
{
    const unsigned before = descriptors();
    uint64_t inode;
    const int bell = doorbell_pipe(&inode), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ok(bell >= 0 && descriptors() == before + 2, "the second bell is one descriptor");
    ok(doorbell_ring_pipe(getpid(), bell, inode) == DOORBELL_RUNG &&
           doorbell_ring_pipe(getpid(), bell, inode) == DOORBELL_RUNG && doorbell_drain_pipe(bell) == 2 &&
           doorbell_drain_pipe(bell) == 0,
       "it rings");
    doorbell_outcome outcome = DOORBELL_RUNG;
    for (unsigned i = 0; i < 70000 && outcome == DOORBELL_RUNG; i++)
        outcome = doorbell_ring_pipe(getpid(), bell, inode);
    ok(outcome == DOORBELL_RUNG && doorbell_drain_pipe(bell) > 0, "one that takes no more has been rung");
    ok(doorbell_ring_pipe(getpid(), bell, inode + 1) == DOORBELL_NOBODY && doorbell_drain_pipe(bell) == 0,
       "another pipe under its number is not written to");
    ok(doorbell_ring_pipe(getpid(), null, inode) == DOORBELL_NOBODY, "what is no pipe is not written to");
    close(null);
    ok(doorbell_ring_pipe(getpid(), null, inode) == DOORBELL_NOBODY, "nor what is not open");
    close(bell);
    ok(descriptors() == before, "and no descriptor is left");
}

static void test_drain(int from, const char *path, int listener)
{
    for (unsigned i = 0; i < 3; i++)
        doorbell_ring(from, path);
    kernel.interrupted = 2;
    ok(doorbell_drain(listener) == 3 && kernel.interrupted == 0,
       "what rang is taken, however often that is interrupted");
    ok(doorbell_drain(listener) == 0, "and then there is nothing");
}

static void test_bind(const char *path)
{
    kernel.no_socket = true;
    ok(bell_bound(path) == -1 && errno == EMFILE && access(path, F_OK) == 0,
       "without a socket a bell is left as it was");
    kernel.no_socket = false;
}

int main(void)
{
    char path[LAYOUT_SOCKET_PATH_MAX];
    harness_begin(60);
    if (!doorbell_path(path, harness.directory, 'c', 0, 0, 1))
        bail_out("the path is too long: %s", harness.directory);
    int listener = bell_bound(path), from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || from < 0)
        bail_out("no sockets: %s", strerror(errno));
    test_ring(from, path, listener);
    test_no_memory(from, path, listener);
    test_pipe();
    test_drain(from, path, listener);
    test_bind(path);
    close(from);
    close(listener);
    unlink(path);
    harness_end();
    return done_testing();
}
