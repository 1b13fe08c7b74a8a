/* command.h - a command that we have started, with a pipe between it and us; its end
 *
 * It runs in a process group of its own, with the signals that we were started with, and dies with us however
 * we die (guard.h).  It gets the terminal when it wants it (terminal.h).  Everything here returns at once, but for
 * command_finish().  spawn.h starts one, status.h says how it ended.
 *
 * Whether a command can be executed at all is known when it has ended: the file may be on a file system whose server
 * hangs. SIGCHLD makes signals_fd() readable, and then command_due() is true: command_reap() and command_attend() look.
 */
#ifndef CMD_COMMAND_COMMAND_H
#define CMD_COMMAND_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "command/guard.h"
#include "mpp.h"

/* From SIGTERM to SIGKILL, and from there to giving up; HURRY: when a signal wants us to end meanwhile. */
enum { COMMAND_TEXT_MAX = 128, COMMAND_GRACE_MS = 2000, COMMAND_KILL_MS = 300, COMMAND_HURRY_MS = 20 };

typedef enum command_pipe {
    COMMAND_READ,  /* behind a producer: we read its stdout */
    COMMAND_WRITE, /* behind a consumer: we write its stdin; its stdout is ours */
    COMMAND_ALONE, /* no pipe: both are ours */
} command_pipe;

/* What the stdin of a COMMAND_READ is, when not a descriptor. */
enum { COMMAND_STDIN_OURS = -1, COMMAND_STDIN_NULL = -2 };

typedef struct command {
    int input;  /* set before the spawn: its stdin, a descriptor or one of the two above ... */
    int output; /* ... and the stdout of a COMMAND_WRITE, a descriptor, -1: ours */
    /* The same: what its guard does when we were killed, once its group is; NULL: nothing.  Of a process without other
     * threads, whose standard error and descriptors are closed by then. */
    void (*orphaned)(void *arg);
    void *arg;
    int fd;    /* our end of the pipe, non-blocking; -1: closed */
    pid_t pid; /* also its process group; 0: not running */
    guard guard;
    int report; /* gives the errno of what failed before exec; -1: closed */
    int status; /* as waitpid() gave it, once ended */
    command_pipe which;
    bool elsewhere;   /* it was given an output that is not ours */
    bool ended;       /* reaped, or given up: what follows is valid */
    bool stopped;     /* ended because we wanted it to, whatever its status */
    bool killed;      /* SIGKILL was sent */
    bool no_terminal; /* ended because it wants the terminal and cannot have it */
    int not_run;      /* errno of what failed before exec */
    int64_t deadline; /* see command_deadline() */
    unsigned looked;  /* signals_children() when we looked last ... */
    unsigned told;    /* ... and signals_times() when it was told to end */
    int name_len;     /* of text: what cannot be run */
    char text[COMMAND_TEXT_MAX];
} command;

#define COMMAND_INIT                                                                                                   \
    {                                                                                                                  \
        .input = COMMAND_STDIN_OURS, .output = -1, .fd = -1, .report = -1                                              \
    }

/* Is there a reason to look at it: a SIGCHLD since we did so last, a time that is over?  Costs nothing. */
bool command_due(const command *c);

/* Look at it.  It gets the terminal when that is what it was stopped for, and we take that back when it has ended or
 * was stopped.  One that is being ended gets SIGKILL when its time is over, or when a signal wants us to end; and is
 * given up, which is said, when it survives that: it has other credentials, or sleeps where nothing interrupts it. */
void command_attend(command *c);

/* Has it ended, or was it never started, or given up?  It may still be to be reaped, and until then the number of its
 * process group is nobody else's. */
bool command_over(const command *c);

/* Look at it, and whether it is over; reaps it when it is. */
bool command_reap(command *c);

/* Has it been executed, or ended without that?  Where it has not, c->report becomes readable when it is, or
 * signals_fd() when it has ended. */
bool command_begun(const command *c);

/* Close our end: the end of the data for a COMMAND_WRITE, or all was read of a COMMAND_READ. */
void command_close_pipe(command *c);

/* We want nothing more of it: SIGTERM to its group (and SIGCONT, for a stopped one).  From here its end is no
 * failure, unless it had ended by itself before.  Closes the pipe of a COMMAND_READ only: the stdin of a
 * COMMAND_WRITE stays open until it is dead, so that a failure never looks to it like the end of the data. */
void command_stop(command *c);

/* The same of a command and all whom it has left in its group when it is over; it is not reaped, so that the group's
 * number stays its own. */
void command_end(command *c);

/* When to look although nothing will have happened: CLOCK_MONOTONIC, ns; 0: never. */
int64_t command_deadline(const command *c);

/* SIGKILL to its group. */
void command_kill(command *c);

/* Wait until one that was stopped or killed has ended or is given up: no longer than its grace. */
void command_finish(command *c);

/* Kill it when it still runs, finish it, close everything.  Its status stays to be asked.  Closed already or never
 * started: no effect. */
void command_close(command *c);

#endif
