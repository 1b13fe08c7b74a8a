/* table.h - all processes, and who holds which end of which pipe
 *
 * To look at everything may take long where there are many: the first few descriptors of every process are looked at
 * first, then the others, and none when the time is over.  Pipes that have a name are files like others until they are
 * asked for: that is done one by one, when somebody wants to know. */
#ifndef CMD_PROC_TABLE_H
#define CMD_PROC_TABLE_H

#include "proc/proc.h"

typedef struct proc_end {
    dev_t dev;
    ino_t ino;
    pid_t pid;
    int fd; /* of that process */
    bool reads, writes;
} proc_end;

/* A descriptor with a path, which may be a pipe. */
typedef struct proc_named {
    pid_t pid;
    int fd;
    bool asked;    /* it is among the ends now, if it is a pipe */
    char name[24]; /* the beginning of the path's last component */
} proc_named;

typedef struct proc_table {
    proc *all; /* by pid */
    unsigned n_all;
    proc_end *ends; /* by dev, ino, pid */
    unsigned n_ends;
    proc_named *named;
    unsigned n_named;
    unsigned unseen; /* processes that were not looked at, or whose descriptors were not, or not all of them */
} proc_table;

/* How much processor time the table may take, and how many descriptors a process, about. */
enum { PROC_TABLE_NS = 250000000, PROC_DESCRIPTORS_MAX = 10000 };

/* false: /proc cannot be read at all; the table is empty then. */
bool proc_table_take(proc_table *t);
void proc_table_free(proc_table *t);

/* The first end of a pipe; the others follow it up to *n.  NULL where *n is 0. Valid until the next call for the
 * table. */
const proc_end *proc_table_ends(proc_table *t, const proc_target *pipe, unsigned *n);

/* What a process holds of all pipes, at most `most`, into ends.  How many. */
unsigned proc_table_of(proc_table *t, pid_t pid, proc_end *ends, unsigned most);

#endif
