#include "command/status.h"

#include "common/io.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int command_exit_status(const command *c)
{
    if (!c->ended)
        return -1;
    if (c->not_run)
        return c->not_run == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    return WIFSIGNALED(c->status) ? STATUS_SIGNAL + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

int command_failure(const command *c)
{
    int status = command_exit_status(c);
    return status > 0 && !c->no_terminal ? status : MPP_S_ERROR;
}

/* One word that there is no file for, and that holds what a shell would know what to do with. */
static bool looks_like_shell(const command *c)
{
    return c->not_run == ENOENT && strlen(c->text) <= (size_t)c->name_len && strpbrk(c->text, " |<>;&$*") != NULL;
}

const char *command_status_text(const command *c, char *buf, size_t size)
{
    if (!c->ended)
        snprintf(buf, size, "'%s' is running", c->text);
    else if (c->not_run)
        snprintf(buf, size, "cannot run '%.*s': %s%s", c->name_len, c->text, strerror(c->not_run),
                 looks_like_shell(c) ? " (a shell line needs a shell: sh -c 'LINE')" : "");
    else if (c->no_terminal)
        snprintf(buf, size,
                 "'%s' wants the terminal, which is not ours to lend: we are in the background, and no shell is there "
                 "to continue us in the foreground",
                 c->text);
    else if (WIFSIGNALED(c->status))
        snprintf(buf, size, "'%s' was killed by signal %d (%s)", c->text, WTERMSIG(c->status),
                 strsignal(WTERMSIG(c->status)));
    else
        snprintf(buf, size, "'%s' exited with status %d", c->text, WEXITSTATUS(c->status));
    return buf;
}

/* By itself, or as a shell tells it of the last one that it ran. */
static bool lost_reader(const command *c)
{
    return c->which == COMMAND_WRITE && !c->elsewhere && command_exit_status(c) == STATUS_SIGNAL + SIGPIPE &&
           io_abandoned(STDOUT_FILENO);
}

bool command_ok(const command *c, const ok_list *list)
{
    return c->ended && !c->not_run && !c->no_terminal &&
           (c->stopped || list->ok[command_exit_status(c)] || (list->unread && lost_reader(c)));
}

bool ok_more(const ok_list *list)
{
    bool more = false;
    for (unsigned i = 1; i < sizeof list->ok; i++)
        more |= list->ok[i];
    return more;
}

int ok_parse(ok_list *list, const char *text)
{
    bool parsed[sizeof list->ok] = {false};
    for (const char *p = text;; p++) {
        char *after;
        if (*p < '0' || *p > '9')
            return -1;
        unsigned long status = strtoul(p, &after, 10);
        if (status > 255)
            return -1;
        parsed[status] = true;
        p = after;
        if (*p == '\0')
            break;
        if (*p != ',')
            return -1;
    }
    memcpy(list->ok, parsed, sizeof list->ok);
    return 0;
}
