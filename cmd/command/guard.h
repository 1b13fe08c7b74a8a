/* guard.h - a process that outlives us by as long as it takes to end our command
 *
 * When we are killed the kernel closes our descriptors before anybody can act on our death: a command behind a consumer
 * would see the end of its input and take it for the end of the data, and what the command has started would go on.  So
 * a guard holds the command's pipe open as well, sleeps in a read of a pipe that only we can write, and kills the
 * command's process group when that pipe closes without a word.
 */
#ifndef CMD_COMMAND_GUARD_H
#define CMD_COMMAND_GUARD_H

#include <sys/types.h>

typedef struct guard {
    pid_t pid; /* 0: none */
    int words; /* we write, it reads */
} guard;

/* Fork it.  pipe: the end of ours that it holds open too, -1: none.  orphaned(arg): what it does when it has killed the
 * group, NULL: nothing more.  0, or -1 with errno. */
int guard_start(guard *g, int pipe, void (*orphaned)(void *arg), void *arg);
/* In the command's process, before exec: guard the group that we lead.  0, or -1 with errno: the guard is gone. */
int guard_me(const guard *g);
/* The command shall see the end of its input now: let go of the pipe. */
void guard_release(const guard *g);
/* The command has ended and is still to be reaped, or is given up: the guard goes, and nobody waits for it.  Without
 * effect when there is none. */
void guard_end(guard *g);

#endif
