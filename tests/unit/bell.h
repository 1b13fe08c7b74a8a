/* bell.h - a listener's doorbell by its path alone */
#ifndef BELL_H
#define BELL_H

#include "ring/doorbell.h"

#include <errno.h>
#include <unistd.h>

/* A socket that is bound there, or -1 with errno. */
static int bell_bound(const char *path)
{
    const int fd = doorbell_socket();
    if (fd < 0 || doorbell_bind(fd, path) == 0)
        return fd;
    const int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

#endif
