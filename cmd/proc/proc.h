/* proc.h - what /proc tells about other processes: their state, what they wait for, who holds the ends of a pipe
 *
 * Linux's own, all of it here.  What may not be read (another user's process) is unknown, never an error; all of it may
 * have changed by the time it is used.
 *
 * The files that others hold are never asked anything, for the server of a network or FUSE file system may hang:
 * links of /proc say what they are, and only a file of a file system that has all it needs to know in this machine is
 * asked for its kind.  Of /proc itself,
 *
 *     status, fdinfo, mountinfo, what is in fd, task   take no lock under which a process waits for a server
 *     stat, wchan, syscall, io, the links of fd        may: read between glance_begin() and glance_end()
 *     cmdline, environ, maps, mem                      need the process's memory, and are not read */
#ifndef CMD_PROC_PROC_H
#define CMD_PROC_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROC_NAME_MAX = 64, PROC_PATH_MAX = 256, PROC_MOUNT_MAX = 128 };

typedef struct proc {
    pid_t pid, parent;
    char state; /* 'R', 'S', 'D', 'T', 't', 'Z', ... */
    char name[PROC_NAME_MAX];
    int64_t age_ns; /* since it was started */
    uint64_t ticks; /* processor time it has had */
    bool execs;     /* it is about to become another program, and held up in that; no more is known of it */
} proc;

/* false: there is no such process. */
bool proc_read(pid_t pid, proc *p);

/* Does /proc show anything? */
bool proc_readable(void);

/* What a process waits for, as far as its system call says. */
typedef enum proc_wait_kind {
    PROC_UNKNOWN,
    PROC_READS,
    PROC_WRITES,
    PROC_CHILD,
    PROC_SLEEPS,
    PROC_FILES, /* opens, closes or looks for a file */
} proc_wait_kind;
typedef struct proc_wait {
    proc_wait_kind kind;
    int fd; /* that it reads or writes */
} proc_wait;
proc_wait proc_waits(pid_t pid);

/* Where in the kernel it sleeps, "request_wait_answer"; false: it does not, or that is not told. */
bool proc_where(pid_t pid, char *where, size_t size);

/* A thread of a process, but the first, that is in a call that a file can keep waiting; 0: none is to be seen. */
pid_t proc_thread_at_file(pid_t pid);

/* What a descriptor of a process stands for. */
typedef enum proc_target_kind { PROC_NOTHING, PROC_PIPE, PROC_TERMINAL, PROC_SOCKET, PROC_FILE } proc_target_kind;
typedef struct proc_target {
    proc_target_kind kind;      /* PROC_FILE: or it cannot be known without asking the file system */
    dev_t dev;                  /* of a named pipe; 0: it has no name */
    ino_t ino;                  /* of a pipe */
    char path[PROC_PATH_MAX];   /* as /proc shows it */
    char mount[PROC_MOUNT_MAX]; /* "nfs4 at /home": a file system that may wait for others; else "" */
} proc_target;
proc_target proc_target_of(pid_t pid, int fd);

/* Where a link of /proc leads, as readlinkat(2), with a NUL behind it. */
ssize_t proc_link(pid_t pid, int directory, const char *link, char *path, size_t size);

/* Who traces it, 0: nobody. */
pid_t proc_tracer(pid_t pid);

/* What a process has done so far: bytes read (by what it has reaped, too), and all that shows that it lives; and is it
 * at it just now? */
typedef struct proc_work {
    uint64_t has_read, all;
    bool runs;
} proc_work;
proc_work proc_has_done(pid_t pid);

#endif
