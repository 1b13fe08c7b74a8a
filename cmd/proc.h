/* proc.h - what /proc tells about other processes: their state, what they wait for, who holds the ends of a pipe
 *
 * Linux's own, all of it here.  What may not be read (another user's process) is unknown, never an error; all of it may
 * have changed by the time it is used.
 */
#ifndef CMD_PROC_H
#define CMD_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROC_NAME_MAX = 64, PROC_PATH_MAX = 256 };

typedef struct proc {
    pid_t pid, parent;
    char state; /* 'R', 'S', 'D', 'T', 't', 'Z', ... */
    char name[PROC_NAME_MAX];
    int64_t age_ns; /* since it was started */
    uint64_t ticks; /* processor time it has had */
} proc;

/* false: there is no such process. */
bool proc_look(pid_t pid, proc *p);

/* Does /proc show anything? */
bool proc_readable(void);

/* What a process waits for, as far as its system call says. */
typedef enum proc_wait_kind { PROC_UNKNOWN, PROC_READS, PROC_WRITES, PROC_CHILD, PROC_SLEEPS } proc_wait_kind;
typedef struct proc_wait {
    proc_wait_kind kind;
    int fd; /* that it reads or writes */
} proc_wait;
proc_wait proc_waits(pid_t pid);

/* What a descriptor of a process stands for. */
typedef enum proc_target_kind { PROC_NOTHING, PROC_PIPE, PROC_TERMINAL, PROC_SOCKET, PROC_FILE } proc_target_kind;
typedef struct proc_target {
    proc_target_kind kind;
    dev_t dev;
    ino_t ino;
    char path[PROC_PATH_MAX]; /* as /proc shows it */
} proc_target;
proc_target proc_target_of(pid_t pid, int fd);

/* Who traces it, 0: nobody. */
pid_t proc_tracer(pid_t pid);

/* What a process has done so far: bytes read (by what it has reaped, too), and all that shows that it lives; and is it
 * at it just now? */
typedef struct proc_work {
    uint64_t has_read, all;
    bool runs;
} proc_work;
proc_work proc_has_done(pid_t pid);

/* All processes, and all ends of pipes that can be seen. */
typedef struct proc_end {
    dev_t dev;
    ino_t ino;
    pid_t pid;
    bool reads, writes;
} proc_end;
typedef struct proc_table {
    proc *all; /* by pid */
    unsigned n_all;
    proc_end *ends; /* by dev, ino, pid */
    unsigned n_ends;
} proc_table;

/* false: /proc cannot be read at all; the table is empty then. */
bool proc_table_take(proc_table *t);
void proc_table_free(proc_table *t);
/* The first end of a pipe; the others follow it up to *n.  NULL where *n is 0. */
const proc_end *proc_table_ends(const proc_table *t, const proc_target *pipe, unsigned *n);

#endif
