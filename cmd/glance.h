/* glance.h - a file of /proc that may keep its reader waiting, read for a moment
 *
 * /proc/PID/syscall and /proc/PID/io take a lock that a process holds while execve(2) makes another program of it.  What
 * was open until then is closed meanwhile, which may wait for the server of a network or FUSE file system, for ever. */
#ifndef CMD_GLANCE_H
#define CMD_GLANCE_H

#include <stdbool.h>
#include <stddef.h>

enum { GLANCE_MAX = 512 }; /* bytes of a file that are read */

/* The file's beginning, with a NUL behind it; size: of the buffer.  false: it cannot be read, or not now. */
bool glance(const char *path, char *buffer, size_t size);

#endif
