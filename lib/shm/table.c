#include "shm/table.h"

#include "shm/segment.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The segments that this process has open.  Cold paths only, so one lock for all of it. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static segment *table;
static pid_t table_owner;

/* After fork() the child has neither its parent's locks nor a right to its handles: it begins anew.  (The parent's
 * descriptors are left open: closing them could not harm the parent, but they belong to handles the child copied.) */
void table_enter(void)
{
    pthread_mutex_lock(&table_lock);
    if (table_owner != getpid()) {
        table = NULL;
        table_owner = getpid();
    }
}

void table_leave(void)
{
    pthread_mutex_unlock(&table_lock);
}

segment *table_find(const struct stat *st)
{
    for (segment *s = table; s; s = s->next)
        if (s->dev == st->st_dev && s->ino == st->st_ino)
            return s;
    return NULL;
}

segment *table_add(int fd, bool writable, const struct stat *st)
{
    segment *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (segment){.next = table, .fd = fd, .writable = writable, .handles = 1, .dev = st->st_dev, .ino = st->st_ino};
    table = s;
    return s;
}

void table_remove(segment *s)
{
    segment **at = &table;
    while (*at && *at != s) /* in a forked child it is not there */
        at = &(*at)->next;
    if (*at)
        *at = s->next;
}
