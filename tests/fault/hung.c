/* hung - a file system whose server hangs, for tests of what must go on all the same
 *
 *     hung DIR [CALL...]     mounts a FUSE file system at DIR, in a mount namespace of its own, prints "ready", and
 *                            serves f, a file of 64 KiB of lines that takes what is written to it, and p, a FIFO
 *     hung --try             exit status 0: that is permitted here
 *     hung                   tests itself
 *
 * A CALL (open, getattr, read, write, flush) is never answered, all others are until SIGUSR1; from then on, when
 * "hung" has been printed, nothing is.  Whoever waits for an answer sleeps in state D, and cannot be killed, until
 * the server is: then each fails with ENOTCONN, and the mount is gone.  Nothing is kept in caches: each stat asks
 * the server.
 *
 * It ends by itself after a minute, so that a test that fails cannot leave the machine with processes that hang.
 *
 * Others come to the files by /proc/PID/root/DIR/f, PID being that of hung, or as they would by
 * `nsenter -m -t PID COMMAND`. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROOT = FUSE_ROOT_ID, FILE_NODE, FIFO_NODE, LINE = 16, FILE_SIZE = 64 << 10, WRITE_MAX = 128 << 10, LIFE_S = 60 };

static volatile sig_atomic_t hangs;

static void hang(int signal)
{
    (void)signal;
    hangs = 1;
    if (write(STDOUT_FILENO, "hung\n", 5) < 0)
        hangs = 2;
}

static void answer(int fuse, uint64_t unique, int error, const void *body, size_t n)
{
    struct fuse_out_header head = {.len = (uint32_t)(sizeof head + n), .error = -error, .unique = unique};
    const struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)body, n}};
    if (writev(fuse, parts, n ? 2 : 1) < 0 && errno != ENOENT) /* who asked is gone */
        perror("hung: answering");
}

static struct fuse_attr attributes(uint64_t node)
{
    static const unsigned modes[] = {
        [ROOT] = S_IFDIR | 0777, [FILE_NODE] = S_IFREG | 0666, [FIFO_NODE] = S_IFIFO | 0666};
    return (struct fuse_attr){.ino = node,
                              .size = node == FILE_NODE ? FILE_SIZE : 0,
                              .mode = node <= FIFO_NODE ? modes[node] : 0,
                              .nlink = 1,
                              .blksize = 4096};
}

static void look_up(int fuse, uint64_t unique, const char *name)
{
    struct fuse_entry_out entry = {.nodeid = strcmp(name, "f") == 0 ? FILE_NODE : FIFO_NODE};
    entry.attr = attributes(entry.nodeid);
    if (strcmp(name, "f") == 0 || strcmp(name, "p") == 0)
        answer(fuse, unique, 0, &entry, sizeof entry);
    else
        answer(fuse, unique, ENOENT, NULL, 0);
}

static void give(int fuse, uint64_t unique, const struct fuse_read_in *in)
{
    static char lines[FILE_SIZE + 1];
    for (unsigned at = 0; at < FILE_SIZE; at += LINE)
        snprintf(lines + at, LINE + 1, "%015u\n", at / LINE);
    const uint64_t from = in->offset < FILE_SIZE ? in->offset : FILE_SIZE;
    answer(fuse, unique, 0, lines + from, in->size < FILE_SIZE - from ? in->size : FILE_SIZE - from);
}

static void serve(int fuse, const struct fuse_in_header *head, const void *body)
{
    const struct fuse_init_out init = {
        .major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096, .max_write = WRITE_MAX};
    const struct fuse_attr_out attr = {.attr = attributes(head->nodeid)};
    const struct fuse_open_out opened = {.open_flags = FOPEN_DIRECT_IO};
    switch (head->opcode) {
    case FUSE_INIT:
        answer(fuse, head->unique, 0, &init, sizeof init);
        break;
    case FUSE_LOOKUP:
        look_up(fuse, head->unique, body);
        break;
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        answer(fuse, head->unique, 0, &attr, sizeof attr);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        answer(fuse, head->unique, 0, &opened, sizeof opened);
        break;
    case FUSE_READ:
        give(fuse, head->unique, body);
        break;
    case FUSE_WRITE: {
        const struct fuse_write_out written = {.size = ((const struct fuse_write_in *)body)->size};
        answer(fuse, head->unique, 0, &written, sizeof written);
        break;
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_READDIR: /* an empty directory */
        answer(fuse, head->unique, 0, NULL, 0);
        break;
    case FUSE_FORGET: /* these are not answered */
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break;
    default:
        answer(fuse, head->unique, ENOSYS, NULL, 0);
    }
}

static bool is_never_answered(uint32_t opcode, char *const *calls)
{
    static const struct {
        const char *name;
        uint32_t opcode;
    } names[] = {{"open", FUSE_OPEN},
                 {"getattr", FUSE_GETATTR},
                 {"read", FUSE_READ},
                 {"write", FUSE_WRITE},
                 {"flush", FUSE_FLUSH}};
    for (; *calls; calls++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (names[i].opcode == opcode && strcmp(names[i].name, *calls) == 0)
                return true;
    return false;
}

/* /dev/fuse, mounted at a directory of a namespace that nobody else is in; -1 with errno. */
static int mount_at(const char *directory)
{
    char options[128];
    const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u,allow_other", fuse, getuid(),
             getgid());
    return mount("hung", directory, "fuse.hung", MS_NOSUID | MS_NODEV, options) < 0 ? -1 : fuse;
}

static int run(const char *directory, char *const *calls)
{
    static _Alignas(8) char request[FUSE_MIN_READ_BUFFER + WRITE_MAX];
    const struct fuse_in_header *head = (const void *)request;
    const int fuse = mount_at(directory);
    if (fuse < 0) {
        fprintf(stderr, "hung: cannot mount at %s: %s\n", directory, strerror(errno));
        return 1;
    }
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = hang, .sa_flags = SA_RESTART}, NULL);
    puts("ready");
    fflush(stdout);
    alarm(LIFE_S);
    for (;;) {
        const ssize_t n = read(fuse, request, sizeof request);
        if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
            return errno != ENODEV; /* ENODEV: unmounted */
        if (n >= (ssize_t)sizeof *head && !hangs && !is_never_answered(head->opcode, calls))
            serve(fuse, head, head + 1);
    }
}

static bool permitted(void)
{
    const pid_t child = fork();
    int status = 1;
    if (child == 0)
        _exit(mount_at("/tmp") < 0);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* ---- the test of itself -------------------------------------------------------------------------- */

typedef struct server {
    pid_t pid;
    FILE *says;
    char directory[32], file[64];
} server;

static bool says(const server *s, const char *word)
{
    char line[16] = "";
    return fgets(line, sizeof line, s->says) && strncmp(line, word, strlen(word)) == 0;
}

static bool begin(server *s)
{
    int ends[2];
    strcpy(s->directory, "/tmp/mppt.hung.XXXXXX");
    if (!mkdtemp(s->directory) || pipe(ends) < 0)
        return false;
    s->pid = fork();
    if (s->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        _exit(run(s->directory, (char *const[]){NULL}));
    }
    close(ends[1]);
    s->says = fdopen(ends[0], "r");
    snprintf(s->file, sizeof s->file, "/proc/%d/root%s/f", (int)s->pid, s->directory);
    return s->pid > 0 && s->says;
}

/* A process that asks for the file's attributes: its exit status is the errno that it gets. */
static pid_t ask(const server *s)
{
    struct stat st;
    const pid_t child = fork();
    if (child == 0)
        _exit(stat(s->file, &st) < 0 ? errno : 0);
    return child;
}

static void test(void)
{
    server s;
    char line[LINE + 1] = "";
    int status = 0;
    ok(begin(&s) && says(&s, "ready"), "it is mounted");
    const int fd = open(s.file, O_RDWR);
    ok(fd >= 0 && pread(fd, line, LINE, 2 * LINE) == LINE && strcmp(line, "000000000000002\n") == 0, "it has lines");
    ok(write(fd, "x", 1) == 1, "it takes what is written");
    waitpid(ask(&s), &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it says what it is");
    kill(s.pid, SIGUSR1);
    ok(says(&s, "hung"), "it hangs when it is told to");
    const pid_t asks = ask(&s);
    usleep(50000);
    kill(asks, SIGKILL);
    usleep(50000);
    ok(waitpid(asks, &status, WNOHANG) == 0, "who asks then waits, and cannot be killed");
    kill(s.pid, SIGKILL);
    waitpid(s.pid, NULL, 0);
    ok(waitpid(asks, &status, 0) == asks, "when it is killed, that is over");
    close(fd);
    fclose(s.says);
    ok(rmdir(s.directory) == 0, "nothing is left");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "--try") == 0 ? !permitted() : run(argv[1], argv + 2);
    if (permitted())
        test();
    else
        ok(true, "a file system that hangs # SKIP not permitted here");
    return done_testing();
}
