/* twice.h - memory that is mapped twice in a row, as a ring or a tape is; what is touched beside it ends the test */
#ifndef TWICE_H
#define TWICE_H

#include "tap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* size: a multiple of the page size. */
static inline unsigned char *map_twice(size_t size)
{
    const size_t guard = 64 << 10; /* the largest page there is */
    int fd = memfd_create("twice", MFD_CLOEXEC);
    unsigned char *p = mmap(NULL, 2 * size + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool mapped = fd >= 0 && ftruncate(fd, (off_t)size) == 0 && p != MAP_FAILED;
    for (unsigned half = 0; mapped && half < 2; half++)
        mapped =
            mmap(p + guard + half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
    if (!mapped) {
        puts("Bail out! no memory to be mapped twice");
        exit(1);
    }
    close(fd);
    return p + guard;
}

#endif
