#include "shm/segment.h"

#include "base/error.h"
#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool segment_path(const char *id, char path[SEGMENT_PATH_MAX])
{
    size_t n = strlen(id);
    if (n < 1 || n > MPP_NAME_MAX || id[0] == '.' || id[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", id[i]))
            return false;
    snprintf(path, SEGMENT_PATH_MAX, SEGMENT_DIRECTORY "/" SEGMENT_PREFIX "%s", id);
    return true;
}

static int full(uint64_t wanted, int fd, int e, mpp_error *err)
{
    struct statvfs v;
    if (e == ENOSPC && fstatvfs(fd, &v) == 0)
        return error_set(err, MPP_S_ERROR, e,
                         "shared memory (" SEGMENT_DIRECTORY ") has %llu KiB free and %llu KiB are needed; "
                         "use a smaller --ring-size or fewer participants",
                         (unsigned long long)v.f_bavail * v.f_frsize >> 10, (unsigned long long)wanted >> 10);
    return error_set(err, MPP_S_ERROR, e, "cannot reserve %llu KiB of shared memory", (unsigned long long)wanted >> 10);
}

int segment_reserve(segment *s, uint64_t at, uint64_t n, mpp_error *err)
{
    int e;
    do
        e = posix_fallocate(s->fd, (off_t)at, (off_t)n);
    while (e == EINTR);
    return e ? full(n, s->fd, e, err) : 0;
}

static int set_size(int fd, uint64_t size)
{
    int result;
    while ((result = ftruncate(fd, (off_t)size)) < 0 && errno == EINTR)
        ;
    return result;
}

int segment_create(uint64_t size, uint64_t reserved, segment **out, mpp_error *err)
{
    int fd = open(SEGMENT_DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, MPP_S_ERROR, errno, "cannot make a segment in " SEGMENT_DIRECTORY);
    struct stat st;
    if (fchmod(fd, 0600) < 0 || set_size(fd, size) < 0 || fstat(fd, &st) < 0) {
        error_set(err, MPP_S_ERROR, errno, "cannot make a segment of %llu bytes", (unsigned long long)size);
        close(fd);
        return -1;
    }
    table_enter();
    segment *s = table_add(fd, true, &st);
    table_leave();
    if (!s) {
        close(fd);
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot make a segment");
    }
    if (segment_reserve(s, 0, reserved, err) < 0) {
        segment_close(&s);
        return -1;
    }
    if (segment_map(s, reserved) < 0) {
        error_set(err, MPP_S_ERROR, errno, "cannot map a segment");
        segment_close(&s);
        return -1;
    }
    *out = s;
    return 0;
}

int segment_publish(segment *s, const char *id)
{
    char path[SEGMENT_PATH_MAX], self[40];
    if (!segment_path(id, path)) {
        errno = EINVAL;
        return -1;
    }
    snprintf(self, sizeof self, "/proc/self/fd/%d", s->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Ours: a regular file, our uid, nobody else may touch it. */
static int check_ours(const struct stat *st, const char *id, bool to_write, mpp_error *err)
{
    if (!S_ISREG(st->st_mode))
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s': its segment is not a regular file", id);
    if (st->st_uid != geteuid() && (to_write || geteuid() != 0)) /* root may look at everything */
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' belongs to another user (uid %u)", id, st->st_uid);
    if (to_write ? (st->st_mode & 0777) != 0600 : (st->st_mode & 077) != 0)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s': its segment has mode %o, not 600", id,
                         (unsigned)st->st_mode & 0777);
    return 0;
}

static int no_mesh(int e, const char *id, mpp_error *err)
{
    if (e == ENOENT)
        return error_set(err, MPP_S_NO_MESH, 0, "no mesh '%s' (or it is over); mpp-stat lists those there are", id);
    if (e == ELOOP)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s': its segment is a symbolic link", id);
    return error_set(err, e == EACCES ? MPP_S_CORRUPT : MPP_S_ERROR, e, "cannot open mesh '%s'", id);
}

/* What was open for reading gets a descriptor for writing, under the same number.  Closing the old one, and fd, drops
 * this process's locks: there can be none, for locks are taken by who opened it for writing. */
static segment *widen(segment *s, int fd, const char *id, mpp_error *err)
{
    int number;
    while ((number = dup3(fd, s->fd, O_CLOEXEC)) < 0 && errno == EINTR)
        ;
    const int why = errno;
    close(fd);
    if (number < 0) {
        error_set(err, MPP_S_ERROR, why, "cannot open mesh '%s'", id);
        return NULL;
    }
    s->writable = true;
    s->handles++;
    return s;
}

/* Under the table's lock.  The file may be one that is open already: then the descriptor made here must live as long
 * as the other, for closing it would drop the locks; it is put into the table's entry only when no other is there. */
static segment *open_path(const char *path, const char *id, bool to_write, mpp_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        no_mesh(errno, id, err);
        return NULL;
    }
    segment *s = table_find(&st);
    if (s && (s->writable || !to_write)) {
        s->handles++;
        return s;
    }
    if (check_ours(&st, id, to_write, err) < 0)
        return NULL;
    int fd = open(path, (to_write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        no_mesh(errno, id, err);
        return NULL;
    }
    ino_t seen = st.st_ino;
    bool known = fstat(fd, &st) == 0;
    if (!known)
        no_mesh(errno, id, err);
    if (!known || check_ours(&st, id, to_write, err) < 0 || st.st_ino != seen) {
        /* Replaced between the two looks.  If it is one of ours by now, the descriptor must stay open. */
        if (st.st_ino != seen)
            no_mesh(ENOENT, id, err);
        if (!table_find(&st))
            close(fd);
        return NULL;
    }
    if (s)
        return widen(s, fd, id, err);
    s = table_add(fd, to_write, &st);
    if (!s) {
        close(fd);
        error_set(err, MPP_S_ERROR, ENOMEM, "cannot open mesh '%s'", id);
    }
    return s;
}

static int open_id(const char *id, bool to_write, segment **out, mpp_error *err)
{
    char path[SEGMENT_PATH_MAX];
    if (!segment_path(id, path))
        return error_set(err, MPP_S_NO_MESH, 0, "'%s' cannot be a mesh: letters, digits, '.', '_' and '-', at most %d",
                         id, MPP_NAME_MAX);
    table_enter();
    *out = open_path(path, id, to_write, err);
    table_leave();
    return *out ? 0 : -1;
}

int segment_open(const char *id, segment **out, mpp_error *err)
{
    return open_id(id, true, out, err);
}

int segment_open_to_read(const char *id, segment **out, mpp_error *err)
{
    return open_id(id, false, out, err);
}

ssize_t segment_read(segment *s, uint64_t at, void *to, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(s->fd, (char *)to + have, n - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

int segment_size(const segment *s, uint64_t *size)
{
    struct stat st;
    if (fstat(s->fd, &st) < 0)
        return -1;
    *size = (uint64_t)st.st_size;
    return 0;
}

bool segment_nameless(const segment *s)
{
    struct stat st;
    return fstat(s->fd, &st) == 0 && st.st_nlink == 0;
}

int segment_map(segment *s, uint64_t size)
{
    int result = 0;
    table_enter();
    if (!s->base) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
        if (p == MAP_FAILED) {
            result = -1;
        } else {
            s->base = p;
            s->mapped = size;
        }
    } else if (s->mapped != size) { /* the header has changed since it was mapped */
        errno = EINVAL;
        result = -1;
    }
    table_leave();
    return result;
}

void *segment_base(const segment *s)
{
    return s->base;
}

void segment_close(segment **sp)
{
    segment *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    table_enter();
    if (--s->handles == 0) {
        table_remove(s);
        if (s->base)
            munmap(s->base, s->mapped);
        close(s->fd);
        free(s->held);
        free(s);
    }
    table_leave();
}

unsigned char *segment_map_twice(segment *s, uint64_t at, uint64_t n)
{
    unsigned char *p = mmap(NULL, 2 * n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    for (unsigned half = 0; half < 2; half++) {
        void *mapped = mmap(p + half * n, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->fd, (off_t)at);
        if (mapped == MAP_FAILED) {
            int e = errno;
            munmap(p, 2 * n);
            errno = e;
            return NULL;
        }
    }
    return p;
}

void segment_unmap_twice(unsigned char *p, uint64_t n)
{
    if (p)
        munmap(p, 2 * n);
}
