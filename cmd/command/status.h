/* status.h - how a command ended, and whether that is success */
#ifndef CMD_COMMAND_STATUS_H
#define CMD_COMMAND_STATUS_H

#include "command/command.h"

#include <stdbool.h>
#include <stddef.h>

/* Statuses of the shell, for what could not be executed, was not found, or (with the signal added) was killed. */
enum { STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127, STATUS_SIGNAL = 128 };

/* How it ended, as the shell's $?: its status, or 128 + signal; 127: there is no such command, 126: it cannot be
 * executed. -1: it has not ended. */
int command_exit_status(const command *c);

/* The same for one that has failed: never 0, also when --ok-status leaves that out. */
int command_failure(const command *c);

/* "'sort -k2' exited with status 3", "'foo' was killed by signal 9 (Killed)", "'foo' is running",
 * "cannot run 'foo': No such file or directory" into buf.  Returns buf. */
const char *command_status_text(const command *c, char *buf, size_t size);

/* Which exit statuses are success. */
typedef struct ok_list {
    bool ok[256];
    bool unread; /* and to die of SIGPIPE when nobody reads what it writes to our standard output */
} ok_list;

#define OK_DEFAULT                                                                                                     \
    {                                                                                                                  \
        {true}, false                                                                                                  \
    } /* 0 alone */

/* Parse "0,1,141" to list->ok.  0, or -1: not a comma-separated list of numbers from 0 to 255; *list is as before. */
int ok_parse(ok_list *list, const char *text);

/* Is any status but 0 in it? */
bool ok_more(const ok_list *list);

/* Whether it ended well: with a status in the list, or because we stopped it. */
bool command_ok(const command *c, const ok_list *list);

#endif
