/* spawn.h - starting a command */
#ifndef CMD_COMMAND_SPAWN_H
#define CMD_COMMAND_SPAWN_H

#include "command/command.h"

/* Start argv (found by PATH) with the NAME=VALUE pairs of env (NULL-terminated, or NULL) added to our
 * environment.  *c must be COMMAND_INIT or closed; c->input and c->output are kept and stay the caller's.
 * 0, or -1 with *err, status MPP_S_ERROR: no process, descriptor or memory is to be had; *c is as before. */
int command_spawn(command *c, char *const argv[], command_pipe which, const char *const env[], mpp_error *err);

/* The same with sh -c. */
int command_shell(command *c, const char *shell_command, command_pipe which, const char *const env[], mpp_error *err);

#endif
