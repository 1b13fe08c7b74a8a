/* signals.h - what the tools do on a signal
 *
 * Those that would end us (INT, TERM, HUP, QUIT, ALRM, XCPU, USR1, ...) are noted, for the event loop to end in order.
 * TSTP and CONT are passed on to the process groups of the commands that we run, which the terminal does not reach.
 * PIPE and XFSZ are ignored: write(2) says why it fails.  CHLD wakes the event loop.  An end or stop that was ignored
 * when we were started (nohup, a background job of sh) stays so; what was blocked then is heard all the same.
 */
#ifndef CMD_COMMON_SIGNALS_H
#define CMD_COMMON_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "mpp.h"

/* Install the handlers.  tool: our name, for the message of SIGBUS; must stay valid.
 * 0, or -1 with *err.  Call it once; also valid in a child that was forked afterwards: see signals_forked(). */
int signals_init(const char *tool, mpp_error *err);

/* In a forked child that goes on as one of our tools (--all): an event descriptor of its own and no
 * groups; what was caught before stays caught.  0, or -1 with *err. */
int signals_forked(mpp_error *err);

/* Readable once there is news of a signal; signals_caught() makes it unreadable again.  So whoever calls that looks at
 * everything that a signal may be about, commands, too, before it sleeps. */
int signals_fd(void);

/* The first signal that ends us, of those that were caught, and on from then; 0: none. */
int signals_caught(void);
/* The same, and signals_fd() stays as it is: for who is about to return to the event loop. */
int signals_noted(void);

/* How often somebody wanted us to end; what follows at once counts as the same. */
unsigned signals_times(void);

/* How often SIGCHLD has said that a child has ended or was stopped. */
unsigned signals_children(void);

/* Were we continued since this was asked last?  Then we may have been stopped. */
bool signals_continued(void);

/* In the handler of SIGTSTP or its like: stop as the signal's default action does, until we are continued.  Then the
 * handler is the same as before.  Async-signal-safe. */
void signals_stop(int sig);

/* Stop our whole process group by SIGTTIN, SIGTTOU or SIGTSTP, as the terminal does, until it is continued.  false:
 * it was not, as nobody is there to continue it. */
bool signals_stop_job(int sig);

/* Send sig to the process group of every command that runs.  One that has to end needs command_stop() besides:
 * a shell that is just starting something keeps SIGINT to itself. */
void signals_forward(int sig);

/* Die of sig, as if we had not caught it: the shell sees what it expects. */
__attribute__((noreturn)) void signals_die(int sig);

/* Process groups that signals are passed on to.  Called by command.c; signals_add() where there is room for one
 * more. */
enum { SIGNALS_GROUPS_MAX = 1024 };
bool signals_room(void);
void signals_add(pid_t group);
void signals_remove(pid_t group);

/* In a child, before exec, with every signal blocked: the dispositions and the mask that we were started with; mask:
 * where nothing was installed. */
void signals_restore(const sigset_t *mask);

/* waitpid(2) of a child that may have ended, and waits for nobody; never EINTR.  status may be NULL. */
pid_t signals_reap(pid_t child, int *status);

#endif
