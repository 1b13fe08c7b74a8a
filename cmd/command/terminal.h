/* terminal.h - lending the terminal to a command
 *
 * A command runs in a process group of its own, which for the terminal is in the background: who reads it there, or
 * changes its settings (less, a password that is asked for), is stopped.  We are a shell to our commands then: while
 * our own group is in the foreground, whoever wants the terminal gets it, one after the other, and we take it back.
 */
#ifndef CMD_COMMAND_TERMINAL_H
#define CMD_COMMAND_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

typedef enum terminal_answer {
    TERMINAL_LENT,    /* the group has it, and goes on */
    TERMINAL_LATER,   /* another command has it, or we have stopped ourselves, as we are in the background: the group is
                         continued when that has changed, and asks again */
    TERMINAL_REFUSED, /* we are in the background, and nobody is there who could change that */
} terminal_answer;

/* The group of one of our commands was stopped by SIGTTIN or SIGTTOU, which is sig.  Our whole job is stopped in the
 * same way while it is in the background. */
terminal_answer terminal_ask(pid_t group, int sig);

/* Does this group have it from us? */
bool terminal_has(pid_t group);

/* The group has ended, or was stopped: we have the terminal again.  Without effect when it does not have it.
 * ended: who waits for it asks again. */
void terminal_take_back(pid_t group, bool ended);

#endif
