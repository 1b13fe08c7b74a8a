#include "shm/lock.h"

#include "shm/layout.h"
#include "shm/segment.h"
#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool held_get(const segment *s, unsigned byte)
{
    return byte / 64 < s->held_words && (s->held[byte / 64] >> byte % 64 & 1);
}

static bool held_set(segment *s, unsigned byte, bool on)
{
    if (byte / 64 >= s->held_words) {
        unsigned words = byte / 64 + 8;
        uint64_t *p = realloc(s->held, words * sizeof *p);
        if (!p)
            return false;
        memset(p + s->held_words, 0, (words - s->held_words) * sizeof *p);
        s->held = p;
        s->held_words = words;
    }
    uint64_t bit = UINT64_C(1) << byte % 64;
    if (on)
        s->held[byte / 64] |= bit;
    else
        s->held[byte / 64] &= ~bit;
    return true;
}

static struct flock byte_lock(short type, unsigned byte)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

static pid_t holder_of(segment *s, unsigned byte)
{
    if (held_get(s, byte))
        return getpid();
    struct flock l = byte_lock(F_WRLCK, byte);
    if (fcntl(s->fd, F_GETLK, &l) < 0)
        return -1;
    if (l.l_type == F_UNLCK)
        return 0;
    if (l.l_pid > 0)
        return l.l_pid;
    errno = ESRCH; /* held, by a process that our PID namespace does not show */
    return -1;
}

pid_t segment_holder(segment *s, unsigned byte)
{
    table_enter();
    pid_t pid = holder_of(s, byte);
    table_leave();
    return pid;
}

static int lock_byte(segment *s, unsigned byte, pid_t *holder)
{
    if (held_get(s, byte)) {
        *holder = getpid();
        errno = EBUSY;
        return -1;
    }
    if (!held_set(s, byte, false)) /* room first: what is locked must be remembered */
        return -1;
    struct flock l = byte_lock(F_WRLCK, byte);
    if (fcntl(s->fd, F_SETLK, &l) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return -1;
        *holder = holder_of(s, byte);
        errno = EBUSY;
        return -1;
    }
    held_set(s, byte, true);
    return 0;
}

int segment_lock(segment *s, unsigned byte, pid_t *holder)
{
    table_enter();
    int result = lock_byte(s, byte, holder);
    int e = errno;
    table_leave();
    errno = e;
    return result;
}

int segment_await_lock(segment *s, unsigned byte)
{
    table_enter();
    const bool room = held_set(s, byte, false);
    table_leave();
    if (!room)
        return -1;
    struct flock l = byte_lock(F_WRLCK, byte);
    while (fcntl(s->fd, F_SETLKW, &l) < 0)
        if (errno != EINTR)
            return -1;
    table_enter();
    held_set(s, byte, true);
    table_leave();
    return 0;
}

void segment_unlock(segment *s, unsigned byte)
{
    table_enter();
    struct flock l = byte_lock(F_UNLCK, byte);
    fcntl(s->fd, F_SETLK, &l);
    held_set(s, byte, false);
    table_leave();
}

bool segment_unlink(segment *s, const char *id, void (*before)(void *arg), void *arg)
{
    char path[SEGMENT_PATH_MAX];
    pid_t holder;
    errno = ENOENT;
    if (!segment_path(id, path) || segment_lock(s, LAYOUT_LOCK_REMOVE, &holder) < 0)
        return false;
    struct stat st;
    bool ours = lstat(path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino;
    if (ours && before)
        before(arg);
    int e = ENOENT;
    if (ours && unlink(path) < 0) {
        ours = false;
        e = errno;
    }
    segment_unlock(s, LAYOUT_LOCK_REMOVE);
    errno = e;
    return ours;
}
