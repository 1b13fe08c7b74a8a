/* signals.h - what the tools do on a signal
 *
 * INT, TERM, HUP, QUIT are noted, for the event loop to end in order.  TSTP and CONT are passed on to the
 * process groups of the commands that we run, which the terminal does not reach.  PIPE is ignored.  A signal
 * that was ignored when we were started (nohup, a background job of sh) stays so.
 */
#ifndef CMD_SIGNALS_H
#define CMD_SIGNALS_H

#include <stdnoreturn.h>
#include <sys/types.h>

#include "mpp.h"

/* Install the handlers.  tool: our name, for the message of SIGBUS; must stay valid.
 * 0, or -1 with *err.  Call it once; also valid in a child that was forked afterwards: see signals_forked(). */
int signals_init(const char *tool, mpp_error *err);

/* In a forked child that goes on as one of our tools (--all): an event descriptor of its own and no
 * groups; what was caught before stays caught.  0, or -1 with *err. */
int signals_forked(mpp_error *err);

/* Readable once INT, TERM, HUP or QUIT was caught; signals_caught() makes it unreadable again. */
int signals_fd(void);

/* The first signal of these that was caught, and on from then; 0: none. */
int signals_caught(void);
/* The same, and signals_fd() stays as it is: for who is about to return to the event loop. */
int signals_noted(void);

/* Send sig to the process group of every command that runs.  One that has to end needs command_stop() besides:
 * a shell that is just starting something keeps SIGINT to itself. */
void signals_forward(int sig);

/* Die of sig, as if we had not caught it: the shell sees what it expects. */
noreturn void signals_die(int sig);

/* Process groups that signals are passed on to.  Called by command.c.
 * signals_add: 0, or -1 with errno ENOSPC: too many. */
enum { SIGNALS_GROUPS_MAX = 1024 };
int signals_add(pid_t group);
void signals_remove(pid_t group);

/* In a child, before exec, with every signal blocked: the dispositions that we were started with. */
void signals_restore(void);

#endif
