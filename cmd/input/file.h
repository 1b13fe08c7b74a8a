/* file.h - what a file is: whether a read of it may sleep, and whether its size says how much there is to read */
#ifndef CMD_INPUT_FILE_H
#define CMD_INPUT_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

/* May read(2) of this file sleep for long, whatever O_NONBLOCK says?  Not a file of a disk, a pipe, a terminal, and
 * /dev/null, zero, full, urandom.  May itself sleep. */
bool file_sleeps(int fd, const struct stat *st);

/* Is it a small regular file on a disk or in memory, which is opened and looked through in no time?  May sleep. */
bool file_quick(const char *name, const struct stat *st);

/* Is this a regular file of which st_size tells the size?  Not one of /proc, sysfs and their like, which are made up
 * when they are read; their size may say 0, or a page.  May sleep. */
bool file_sized(const char *name, const struct stat *st);

#endif
