#include "input/reader.h"

#include "common/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOCKET = 0, BLOCK = 256 << 10 };

/* What the reader says: that an input is open, and, of one that it copies, that it has come to its end. */
typedef struct answer {
    bool failed, end, copied;
    io_kind kind;
    int64_t from, left;
    mpp_error err;
} answer;

/* ---- messages with a descriptor ---------------------------------------------------------------------------- */

typedef union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
} control;

static int send_message(int to, const void *data, size_t n, int fd)
{
    control c = {0};
    struct iovec part = {(void *)data, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &c;
        m.msg_controllen = sizeof c;
        c.header = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&c.header), &fd, sizeof fd);
    }
    ssize_t sent;
    while ((sent = sendmsg(to, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return sent < 0 ? -1 : 0;
}

/* A whole message: its length; -1 with errno, EMFILE where there was no room for its descriptor.
 * *fd: -1 where none came. */
static ssize_t receive_message(int from, void *data, size_t n, int *fd, int flags)
{
    control c = {0};
    struct iovec part = {data, n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    ssize_t got;
    *fd = -1;
    while ((got = recvmsg(from, &m, flags | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    if (got < 0)
        return -1;
    if (m.msg_controllen >= CMSG_LEN(sizeof *fd) && c.header.cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(&c.header), sizeof *fd);
    if (*fd < 0 && m.msg_flags & MSG_CTRUNC) {
        errno = EMFILE;
        return -1;
    }
    return got;
}

/* ---- in the reader ----------------------------------------------------------------------------------------- */

static ssize_t read_some(int fd, void *block, size_t n)
{
    ssize_t got;
    while ((got = read(fd, block, n)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
    return got;
}

/* false: nobody reads it any more. */
static bool write_all(int fd, const char *data, size_t n)
{
    for (ssize_t k = 0; n > 0; n -= (size_t)k, data += k)
        while ((k = write(fd, data, n)) < 0)
            if (errno != EINTR)
                return false;
    return true;
}

/* All of the file, or as many bytes as are left of it; what of them is not there is left in the end. */
static void copy_file(reader_file *f, int to, answer *a)
{
    static char block[BLOCK];
    a->left = 0;
    while (f->left != 0) {
        const size_t want = f->left > 0 && f->left < BLOCK ? (size_t)f->left : BLOCK;
        const ssize_t n = read_some(f->io.fd, block, want);
        if (n < 0) {
            a->failed = true;
            a->err.os_error = errno;
        }
        if (n == 0 && f->left > 0)
            a->left = f->left;
        if (n <= 0 || !write_all(to, block, (size_t)n))
            return;
        f->left -= f->left > 0 ? n : 0;
    }
}

/* What could not even be told ends the reader: that is told by its socket. */
static void answer_without(const answer *a)
{
    if (send_message(SOCKET, a, sizeof *a, -1) < 0)
        _exit(1);
}

/* A descriptor may be one too many, for the user's or the system's limit.  false: then that is the answer. */
static bool answer_with(answer *a, int fd)
{
    if (send_message(SOCKET, a, sizeof *a, fd) == 0)
        return true;
    a->failed = true;
    io_error(&a->err, errno, "cannot hand over what was opened");
    answer_without(a);
    return false;
}

/* The end is told before it is seen in the pipe; and the file is closed last, as that may sleep, too. */
static void answer_with_copy(reader_file *f)
{
    int ends[2];
    answer a = {.copied = true, .kind = IO_NEVER_BLOCKS, .from = f->from, .left = f->left};
    if (pipe2(ends, O_CLOEXEC) < 0) {
        a.failed = true;
        io_error(&a.err, errno, "cannot make a pipe");
        answer_without(&a);
    } else {
        io_enlarge(ends[1]);
        const bool told = answer_with(&a, ends[0]);
        close(ends[0]);
        if (told) {
            a.end = true;
            copy_file(f, ends[1], &a);
            answer_without(&a);
        }
        close(ends[1]);
    }
    close(f->io.fd);
}

static void answer_request(reader_open open_input, const void *arg, size_t which, int given)
{
    reader_file f = {.io = IO_INIT, .left = -1};
    answer a = {.failed = true};
    if (open_input(arg, which, given, &f, &a.err) < 0) {
        answer_without(&a);
    } else if (f.copied) {
        answer_with_copy(&f);
    } else {
        a = (answer){.kind = f.io.kind, .from = f.from, .left = f.left};
        answer_with(&a, f.io.fd);
        close(f.io.fd);
    }
}

/* The terminal stops the reader as it stops us; what ends us is heard by us, who then end the reader. */
static void take_signals(void)
{
    sigset_t ours;
    sigfillset(&ours);
    signals_restore(&ours);
    for (int i = 0; i < 4; i++)
        sigdelset(&ours, (const int[]){SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT}[i]);
    sigprocmask(SIG_SETMASK, &ours, NULL);
}

static _Noreturn void serve(int fd, pid_t parent, reader_open open_input, const void *arg)
{
    size_t which;
    int given;
    take_signals();
    prctl(PR_SET_NAME, "mpp-reader");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || io_dup(fd, SOCKET, O_CLOEXEC) < 0)
        _exit(1);
    closefrom(SOCKET + 1);
    while (receive_message(SOCKET, &which, sizeof which, &given, 0) == sizeof which)
        answer_request(open_input, arg, which, given);
    _exit(0);
}

/* ---- in the loop ------------------------------------------------------------------------------------------- */

/* Signals are held back until the child has left our handlers behind. */
static pid_t fork_reader(const int ends[2], reader_open open_input, const void *arg)
{
    sigset_t all, before;
    const pid_t parent = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t pid = fork();
    if (pid == 0)
        serve(ends[1], parent, open_input, arg);
    const int saved = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

/* One that was killed is reaped if it has gone by now. */
static void reap(reader *r)
{
    if (r->pid > 0 && signals_reap(r->pid, NULL) != 0)
        r->pid = 0;
}

static int start_reader(reader *r, reader_open open_input, const void *arg)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    reap(r);
    const pid_t pid = fork_reader(ends, open_input, arg);
    const int saved = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        errno = saved;
        return -1;
    }
    *r = (reader){.fd = ends[0], .pid = pid};
    return 0;
}

void reader_stop(reader *r)
{
    mpp_error err;
    int64_t missing;
    reader_ended(r, &missing, &err);
    if (r->busy || r->feeds)
        reader_end(r);
}

int reader_ask(reader *r, reader_open open_input, const void *arg, size_t which, const char *name, int given,
               mpp_error *err)
{
    reader_stop(r);
    if (r->fd < 0 && start_reader(r, open_input, arg) < 0)
        return io_error(err, errno, "cannot open '%s', for lack of a process that does it", name);
    r->name = name;
    r->busy = true;
    if (send_message(r->fd, &which, sizeof which, given) == 0)
        return 0;
    const int failure = errno;
    reader_end(r);
    return io_error(err, failure, "cannot open '%s'", name);
}

static const char died[] = "the process that reads it (mpp-reader) has died";

int reader_answer(reader *r, reader_file *f, mpp_error *err)
{
    answer a = {0};
    int fd;
    const ssize_t n = receive_message(r->fd, &a, sizeof a, &fd, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    r->busy = false;
    if (n < 0)
        return io_error(err, errno, "cannot open '%s'", r->name);
    if (n != sizeof a || a.end || (!a.failed && fd < 0)) {
        reader_end(r);
        return io_error(err, 0, "'%s': %s", r->name, died);
    }
    if (a.failed) {
        *err = a.err;
        return -1;
    }
    *f = (reader_file){{fd, a.kind}, a.from, a.left, a.copied};
    r->feeds = a.copied;
    return 1;
}

bool reader_lives(const reader *r)
{
    siginfo_t info = {0};
    int known = -1;
    while (r->pid > 0 && (known = waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT)) < 0 &&
           errno == EINTR)
        ;
    return known == 0 && info.si_pid == 0;
}

int reader_ended(reader *r, int64_t *missing, mpp_error *err)
{
    answer a = {0};
    int fd;
    *missing = 0;
    if (!r->feeds)
        return 0;
    const ssize_t n = receive_message(r->fd, &a, sizeof a, &fd, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 1;
    r->feeds = false;
    if (n != sizeof a) {
        reader_end(r);
        return io_error(err, 0, "'%s': %s", r->name, died);
    }
    *missing = a.left;
    return a.failed ? io_error(err, a.err.os_error, "cannot read '%s'", r->name) : 0;
}

void reader_end(reader *r)
{
    if (r->fd < 0)
        return;
    close(r->fd);
    kill(r->pid, SIGKILL);
    *r = (reader){.name = r->name, .fd = -1, .pid = r->pid};
    reap(r);
}
