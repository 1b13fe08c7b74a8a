#include "input/file.h"

#include "common/fs.h"

#include <sys/sysmacros.h>
#include <unistd.h>

static bool sleeps_device(const struct stat *st)
{
    enum { MEMORY = 1, NULL_DEVICE = 3, ZERO = 5, FULL = 7, URANDOM = 9 };
    const unsigned which = minor(st->st_rdev);
    return major(st->st_rdev) != MEMORY ||
           !(which == NULL_DEVICE || which == ZERO || which == FULL || which == URANDOM);
}

bool file_sleeps(int fd, const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        return !fs_is_local(fd);
    return S_ISCHR(st->st_mode) && sleeps_device(st) && !isatty(fd);
}

bool file_quick(const char *name, const struct stat *st)
{
    enum { SMALL = 1 << 20 };
    return S_ISREG(st->st_mode) && st->st_size <= SMALL && fs_is_local_at(name);
}

bool file_sized(const char *name, const struct stat *st)
{
    return S_ISREG(st->st_mode) && !fs_is_made_up_at(name);
}
