/* hung-input.c - files on a file system whose server does not answer, or answers wrongly
 *
 * The server is part of this program and speaks FUSE.  Shows: whatever mpp-produce does with such a file, it ends
 * within 50 ms when it gets SIGTERM, when consumers have enough, when a consumer dies, another producer fails, or the
 * mesh is removed, and everybody has the exit status that tells so; no process is left once the server has gone; and
 * what is read is every byte of it, or an error.  Nothing is random. */
#include "harness.h"
#include "sandbox.h"

#include <linux/fuse.h>

enum {
    RECORD = 8,
    LINES = 100000,
    SIZE = RECORD * LINES,
    HALF = SIZE / 2,
    TRIES = 10,
    LIMIT_MS = HARNESS_SANITIZED ? 250 : 50
};

/* ---- the server ------------------------------------------------------------------------------------------------ */

typedef struct file {
    const char *name;
    unsigned hangs;  /* the call that is not answered */
    uint64_t from;   /* ... when it is a read from here on */
    int failure;     /* of reads from HALF on */
    uint64_t length; /* what there is, of the SIZE that it says; 0: all */
} file;

static const file files[] = {
    {.name = "good"},
    {.name = "lookup", .hangs = FUSE_LOOKUP},
    {.name = "open", .hangs = FUSE_OPEN},
    {.name = "first", .hangs = FUSE_READ},
    {.name = "late", .hangs = FUSE_READ, .from = HALF},
    {.name = "flush", .hangs = FUSE_FLUSH},
    {.name = "broken", .failure = EIO},
    {.name = "short", .length = HALF + 3},
};

enum { FILES = sizeof files / sizeof *files, FIRST_NODE = 2 };

static atomic_uint *unanswered;

static void answer(int fd, const struct fuse_in_header *in, int failure, const void *data, size_t n)
{
    static char reply[sizeof(struct fuse_out_header) + (1 << 17)];
    struct fuse_out_header h = {.len = (uint32_t)(sizeof h + n), .error = -failure, .unique = in->unique};
    memcpy(reply, &h, sizeof h);
    if (n)
        memcpy(reply + sizeof h, data, n);
    if (write(fd, reply, h.len) < 0 && errno != ENOENT)
        diag("the server's answer to %u: %s", in->opcode, strerror(errno));
}

static struct fuse_attr attributes(uint64_t node)
{
    const bool root = node == FUSE_ROOT_ID;
    return (struct fuse_attr){.ino = node,
                              .mode = root ? S_IFDIR | 0755 : S_IFREG | 0644,
                              .nlink = 1,
                              .size = root ? 0 : SIZE,
                              .blksize = 4096};
}

static void look_up(int fd, const struct fuse_in_header *in, const char *name)
{
    for (unsigned i = 0; i < FILES; i++)
        if (strcmp(files[i].name, name) == 0) {
            const struct fuse_entry_out entry = {
                .nodeid = FIRST_NODE + i, .attr = attributes(FIRST_NODE + i), .attr_valid = 1000, .entry_valid = 1000};
            if (files[i].hangs == FUSE_LOOKUP)
                ++*unanswered;
            else
                answer(fd, in, 0, &entry, sizeof entry);
            return;
        }
    answer(fd, in, ENOENT, NULL, 0);
}

static void give(int fd, const struct fuse_in_header *in, const file *f, const struct fuse_read_in *what)
{
    static char text[SIZE + 1];
    for (unsigned i = 0; i < LINES && !text[0]; i++)
        for (unsigned k = 0; k < LINES; k++)
            snprintf(text + RECORD * k, RECORD + 1, "%07u\n", k);
    const uint64_t there = f->length ? f->length : f->failure && what->offset < HALF ? HALF : SIZE;
    const uint64_t left = what->offset < there ? there - what->offset : 0;
    const int failure = what->offset >= HALF ? f->failure : 0;
    answer(fd, in, failure, text + what->offset, failure ? 0 : what->size < left ? what->size : left);
}

static void serve_one(int fd, const struct fuse_in_header *in)
{
    const file *f =
        in->nodeid >= FIRST_NODE && in->nodeid < FIRST_NODE + FILES ? &files[in->nodeid - FIRST_NODE] : files;
    const struct fuse_read_in *reading = (const void *)(in + 1);
    const struct fuse_init_out ready = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 1 << 17};
    const struct fuse_attr_out attr = {.attr_valid = 1000, .attr = attributes(in->nodeid)};
    const struct fuse_open_out opened = {.fh = 1, .open_flags = FOPEN_DIRECT_IO};
    if (f->hangs == in->opcode && (in->opcode != FUSE_READ || reading->offset >= f->from)) {
        ++*unanswered;
        return;
    }
    switch (in->opcode) {
    case FUSE_INIT:
        answer(fd, in, 0, &ready, sizeof ready);
        break;
    case FUSE_LOOKUP:
        look_up(fd, in, (const char *)(in + 1));
        break;
    case FUSE_GETATTR:
        answer(fd, in, 0, &attr, sizeof attr);
        break;
    case FUSE_OPEN:
        answer(fd, in, 0, &opened, sizeof opened);
        break;
    case FUSE_READ:
        give(fd, in, f, reading);
        break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
        answer(fd, in, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: /* a server that hangs does not hear it */
        break;
    default:
        answer(fd, in, ENOSYS, NULL, 0);
    }
}

static int serve(void *arg)
{
    static char request[1 << 18];
    const int fd = *(const int *)arg;
    while (read(fd, request, sizeof request) > 0 || errno == ENOENT || errno == EINTR)
        serve_one(fd, (const struct fuse_in_header *)(const void *)request);
    return 0;
}

/* ---- a scenario -------------------------------------------------------------------------------------------------- */

static pid_t server;

static bool begin_server(void)
{
    char options[64];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    *unanswered = 0;
    const bool mounted = fd >= 0 && mount("hung", "far", "fuse", MS_NOSUID | MS_NODEV, options) == 0;
    if (mounted)
        server = harness_fork(serve, &fd);
    if (fd >= 0)
        close(fd);
    return mounted;
}

/* Who waits for it gets an error. */
static void end_server(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    umount2("far", MNT_DETACH);
}

static pid_t start(const char *command)
{
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* As the shell's $?. */
static int ended(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(const char *command)
{
    return ended(start(command));
}

/* Orphans are ours. */
static bool nobody_is_left(void)
{
    for (unsigned i = 0; i < 500; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return true;
        usleep(10000);
    }
    return run("ps -eo pid,ppid,stat,wchan:20,args >&2") < 0;
}

typedef struct ending {
    const char *what;
    const char *consumer, *other; /* the commands beside it */
    int signal;                   /* to the producer, or */
    bool to_consumer;             /* ... the consumer; 0: "go" is given a line, or */
    const char *command;          /* ... this is run */
    int status;                   /* of mpp-produce */
} ending;

#define CONSUME "exec mpp-consume hung"

static const ending endings[] = {
    {"SIGTERM", CONSUME " >out 2>err", NULL, SIGTERM, false, NULL, 128 + SIGTERM},
    {"enough", CONSUME " -- sh -c 'read x <go' 2>err", NULL, 0, false, NULL, 0},
    {"a dead consumer", CONSUME " >out 2>err", NULL, SIGKILL, true, NULL, 4},
    {"another's failure", CONSUME " >out 2>err", "exec mpp-produce -i 1 hung -- sh -c 'read x <go; exit 7' 2>err.1", 0,
     false, NULL, 3},
    {"--remove", CONSUME " >out 2>err", NULL, 0, false, "mpp-create --remove hung", 6},
};

enum { ENDINGS = sizeof endings / sizeof *endings };

/* Returns at once: a process that has still to be waited for, or 0. */
static pid_t bring_about(const ending *e, pid_t producer, pid_t consumer)
{
    if (e->command)
        return start(e->command);
    if (e->signal) {
        kill(e->to_consumer ? consumer : producer, e->signal);
        return 0;
    }
    const int fd = open("go", O_WRONLY | O_CLOEXEC);
    if (write(fd, "\n", 1) != 1)
        diag("nobody waits for the word");
    close(fd);
    return 0;
}

static bool await_unanswered(void)
{
    for (unsigned i = 0; i < 1000 && *unanswered == 0; i++)
        usleep(10000);
    usleep(50000); /* so that it sleeps where it sleeps */
    return *unanswered > 0;
}

/* Milliseconds until mpp-produce has ended; -1: not as promised. */
static int64_t end_by(const char *arguments, const ending *e)
{
    char command[256];
    if (!begin_server())
        return -1;
    snprintf(command, sizeof command, "exec mpp-create -p %u -r 64K --name hung >id", e->other ? 2 : 1);
    run(command);
    snprintf(command, sizeof command, "exec mpp-produce hung -i 0 %s 2>err.0", arguments);
    const pid_t consumer = start(e->consumer), producer = start(command), other = e->other ? start(e->other) : 0;
    const bool hangs = await_unanswered();
    const int64_t began = sandbox_now();
    const pid_t helper = bring_about(e, producer, consumer);
    const int status = ended(producer);
    const int64_t took = (sandbox_now() - began) / 1000000;
    ended(consumer);
    if (other)
        ended(other);
    if (helper)
        ended(helper);
    run("mpp-create --remove hung 2>/dev/null");
    end_server();
    const bool clean = nobody_is_left();
    if (hangs && status == e->status && clean)
        return took;
    diag("%s, %s: %s, status %d for %d, %s", arguments, e->what, hangs ? "hangs" : "does not hang", status, e->status,
         clean ? "clean" : "processes are left");
    run("sed 's/^/# /' err err.0");
    return -1;
}

static void test_endings(void)
{
    static const char *const arguments[] = {
        "far/lookup",
        "far/open",
        "far/first",
        "far/late",
        "--filter cat far/late",
        "far/flush far/late",
        "<far/late -",
        "--slice=1/2 --slice-by bytes far/late",
        "--filter cat far/open",
    };
    for (unsigned a = 0; a < sizeof arguments / sizeof *arguments; a++)
        for (unsigned e = 0; e < ENDINGS; e++) {
            int64_t best = INT64_MAX;
            char step[128];
            snprintf(step, sizeof step, "%s, %s", arguments[a], endings[e].what);
            watchdog(60, step);
            for (unsigned t = 0; t < TRIES && best > LIMIT_MS; t++) {
                const int64_t took = end_by(arguments[a], &endings[e]);
                best = took < best ? took : best;
            }
            ok(best >= 0 && (best <= LIMIT_MS || best * 1000000 <= harness_late(LIMIT_MS * INT64_C(1000000))),
               "mpp-produce %s hears of %s in %lld ms", arguments[a], endings[e].what, (long long)best);
        }
}

/* ---- what is read ---------------------------------------------------------------------------------------------- */

static void reads(const char *arguments, int status, unsigned lines, const char *says)
{
    char command[512];
    watchdog(60, arguments);
    begin_server();
    run("exec mpp-create -p 2 -r 64K --name hung >id");
    const pid_t consumer = start(CONSUME " >out 2>err");
    snprintf(command, sizeof command, "exec mpp-produce hung --all %s 2>err.0", arguments);
    const int produced = run(command);
    ended(consumer);
    end_server();
    snprintf(command, sizeof command,
             "test $(wc -l <out) -%s %u && sort -c -u out && ! grep -qv '^.......$' out && grep -q '%s' err.0",
             status ? "le" : "eq", lines, says);
    ok(produced == status && run(status ? command : "cp out sorted && sort -u -o out sorted") == 0 &&
           (status || run("test $(wc -l <out) -eq 100000 -a $(wc -l <sorted) -eq 100000") == 0),
       "%s: status %d, and %s", arguments, produced, status ? says : "every line");
    ok(nobody_is_left(), "and nobody is left");
    run("sed 's/^/# /' err.0; rm -f out sorted err err.0");
}

static void test_reading(void)
{
    reads("far/good", 0, LINES, "");
    reads("--slice-by bytes far/good", 0, LINES, "");
    reads("--slice-by files far/good", 0, LINES, "");
    reads("--slice-by bytes --filter cat far/good", 0, LINES, "");
    reads("--slice-by files --filter cat far/good", 0, LINES, "");
    reads("--slice-by files far/broken", 1, HALF / RECORD, "broken.*Input.output error");
    reads("--slice-by files --filter cat far/broken", 1, HALF / RECORD, "broken.*Input.output error");
    reads("--slice-by files far/short", 1, HALF / RECORD, "short.*became shorter.*399997 bytes are missing");
}

int main(void)
{
    harness_begin(60);
    sandbox_begin();
    unanswered = sandbox_shared(sizeof *unanswered);
    mkdir("far", 0700);
    mkfifo("go", 0600);
    if (harness.private_shm && begin_server()) {
        end_server();
        test_reading();
        test_endings();
    } else {
        ok(true, "# SKIP no FUSE here");
    }
    rmdir("far");
    sandbox_end();
    return done_testing();
}
