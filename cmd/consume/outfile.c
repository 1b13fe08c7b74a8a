#include "consume/outfile.h"

#include "common/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- which file is meant ------------------------------------------------------------------------- */

/* The bytes of a path that name its directory, with the slash. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* To be freed; NULL: no memory. */
static char *directory_of(const char *path)
{
    const size_t n = directory_length(path);
    return n ? strndup(path, n) : strdup(".");
}

/* Where the symbolic link at path leads to; NULL with errno: EINVAL where it is none. */
static char *link_target(const char *path)
{
    char target[PATH_MAX], *whole;
    const ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return NULL;
    target[n] = 0;
    const int kept = target[0] == '/' ? 0 : (int)directory_length(path);
    if (asprintf(&whole, "%.*s%s", kept, path, target) < 0)
        whole = NULL;
    return whole;
}

/* Does a link lead somewhere by itself, whatever its text says, as /proc/self/fd/1 does? */
static bool is_magic(const char *path)
{
    char *directory = directory_of(path);
    const bool magic = directory && fs_is_made_up_at(directory);
    free(directory);
    return magic;
}

/* The path behind all links, also behind one that leads to nothing yet; to be freed.  NULL with errno, and errno 0: no
 * path leads there. */
static char *follow(const char *name)
{
    enum { LINKS_MAX = 40 };
    char *path = strdup(name);
    for (unsigned n = 0; path; n++) {
        char *next = link_target(path);
        if (!next && errno != ENOMEM)
            return path; /* no link, or nothing */
        const int no_path = next && is_magic(path) ? 0 : n == LINKS_MAX ? ELOOP : -1;
        free(path);
        path = next;
        if (no_path >= 0) {
            free(path);
            errno = no_path;
            return NULL;
        }
    }
    return NULL;
}

static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

/* Who it is to be: its directory and its name there.  0, or -1 with errno. */
static int identify(outfile *f)
{
    struct stat st;
    char *directory = directory_of(f->path);
    const int found = directory ? stat(directory, &st) : -1;
    free(directory);
    if (found < 0)
        return -1;
    f->device = st.st_dev;
    f->inode = st.st_ino ^ hash(f->path + directory_length(f->path));
    return 0;
}

/* ---- nobody else writes it ------------------------------------------------------------------------ */

/* By a name that goes with us: of a socket, which no file system knows.  0, or -1 with errno: EADDRINUSE where another
 * has it.  Where there are no such names there is no claim. */
static int claim(outfile *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = address.sun_path + 1;
    const int n = snprintf(name, sizeof address.sun_path - 1, "mpp-output/%u/%llx/%llx", (unsigned)getuid(),
                           (unsigned long long)f->device, (unsigned long long)f->inode);
    f->claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (f->claim < 0)
        return 0;
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return bind(f->claim, (struct sockaddr *)&address, size) < 0 && errno == EADDRINUSE ? -1 : 0;
}

int outfile_lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &whole) < 0 && (errno == EAGAIN || errno == EACCES) ? -1 : 0;
}

/* ---- making it ------------------------------------------------------------------------------------ */

enum { FLAGS = O_WRONLY | O_APPEND | O_CLOEXEC };

/* NAME.part is for those who want to keep it; else it is a name that nobody has. */
static bool name_part(outfile *f, unsigned attempt)
{
    free(f->part);
    f->part = NULL;
    const int n = f->keep ? asprintf(&f->part, "%s.part", f->path)
                          : asprintf(&f->part, "%s.%d-%u.part", f->path, (int)getpid(), attempt);
    if (n < 0)
        f->part = NULL;
    return n >= 0;
}

enum { ATTEMPTS = 100 };

static int make_part(outfile *f)
{
    int fd = -1;
    for (unsigned i = 0; fd < 0 && i < (f->keep ? 1 : ATTEMPTS); i++)
        if (!name_part(f, i) ||
            ((fd = open(f->part, FLAGS | O_CREAT | O_NOFOLLOW | (f->keep ? 0 : O_EXCL), 0666)) < 0 && errno != EEXIST))
            return -1;
    if (fd >= 0 && (outfile_lock(fd) < 0 || ftruncate(fd, 0) < 0)) {
        const int why = errno;
        close(fd);
        fd = -1;
        errno = why;
    }
    return fd;
}

static int make_nameless(const outfile *f)
{
    char *directory = directory_of(f->path);
    const int fd = directory ? open(directory, O_TMPFILE | FLAGS, 0666) : -1;
    const int why = errno;
    free(directory);
    errno = why;
    return fd;
}

static bool has_no_nameless(int why)
{
    return why == EOPNOTSUPP || why == EISDIR || why == EINVAL || why == ENOSYS;
}

static void look_like(int fd, const struct stat *old)
{
    if (fchown(fd, old->st_uid, old->st_gid) < 0) {
        /* it is ours then */
    }
    fchmod(fd, old->st_mode & 07777);
}

/* May we not change what is in the directory, or not this?  As in /tmp, where names belong to who made them. */
static bool is_closed(const char *directory, uid_t owner)
{
    struct stat st;
    const uid_t us = geteuid();
    return faccessat(AT_FDCWD, directory, W_OK, AT_EACCESS) < 0 || stat(directory, &st) < 0 ||
           ((st.st_mode & S_ISVTX) && us != 0 && us != st.st_uid && us != owner);
}

/* Is what is there to be written where it is?  In a directory that is closed, and when it is a mount. */
static bool only_in_place(const outfile *f, uid_t owner)
{
    char *directory = directory_of(f->path);
    struct statx st;
    const bool mounted = statx(AT_FDCWD, f->path, 0, 0, &st) == 0 && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT),
               closed = directory && is_closed(directory, owner);
    free(directory);
    return mounted || closed;
}

/* What is there, and what there is to be.  0, or -1 with errno, 0 as outfile_make() says. */
static int make(outfile *f)
{
    struct stat st;
    const bool there = stat(f->path, &st) == 0;
    if ((!there && errno != ENOENT) || (there && !S_ISREG(st.st_mode)) || (there && only_in_place(f, st.st_uid))) {
        errno = 0;
        return -1;
    }
    if (identify(f) < 0)
        return -1;
    if (there && (f->old = open(f->path, FLAGS)) < 0)
        return -1;
    if (claim(f) < 0 || (there && outfile_lock(f->old) < 0))
        return 0;
    f->fd = f->keep ? make_part(f) : make_nameless(f);
    if (f->fd < 0 && !f->keep && has_no_nameless(errno))
        f->fd = make_part(f);
    if (f->fd >= 0 && there)
        look_like(f->fd, &st);
    return f->fd < 0 ? -1 : 0;
}

outfile *outfile_make(const char *name, bool keep)
{
    outfile *f = malloc(sizeof *f);
    if (!f)
        return NULL;
    *f = (outfile){.path = follow(name), .keep = keep, .fd = -1, .old = -1, .claim = -1};
    if (f->path && make(f) == 0)
        return f;
    const int why = errno;
    outfile_free(f);
    errno = why;
    return NULL;
}

/* ---- its end -------------------------------------------------------------------------------------- */

/* A name for what has none.  0, or -1 with errno. */
static int link_as(const outfile *f, const char *name)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
}

int outfile_name(outfile *f)
{
    if (!f->part) {
        int linked = link_as(f, f->path);
        if (linked == 0)
            return 0;
        for (unsigned i = 0; linked < 0 && errno == EEXIST && i < ATTEMPTS; i++)
            if (!name_part(f, i) || ((linked = link_as(f, f->part)) < 0 && errno != EEXIST))
                break;
        if (linked < 0) {
            f->keep = true; /* what has that name is not ours */
            return -1;
        }
    }
    if (rename(f->part, f->path) < 0)
        return -1;
    f->keep = true; /* there is none any more */
    return 0;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void outfile_free(outfile *f)
{
    if (!f)
        return;
    if (f->part && !f->keep && f->fd >= 0)
        unlink(f->part);
    close_if_open(f->fd);
    close_if_open(f->old);
    close_if_open(f->claim);
    free(f->part);
    free(f->path);
    free(f);
}
