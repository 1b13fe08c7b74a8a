/* outfile.h - a regular file that gets its name when it is whole
 *
 * Until then it has none, or, where the file system has no such files, NAME.PID-N.part; and what was there under its
 * name stays.  So who reads the file by its name never sees half of it, whatever becomes of us; a file with .part may
 * stay behind when we are killed.
 *
 * All of this may sleep: an errand calls it. */
#ifndef CMD_CONSUME_OUTFILE_H
#define CMD_CONSUME_OUTFILE_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct outfile {
    char *path;   /* that it is to have, symbolic links followed */
    char *part;   /* that it has until then, NULL: none */
    bool keep;    /* part stays when it never gets its own */
    int fd;       /* it, -1: somebody else is writing it */
    int old;      /* what is there by its name, locked; -1: nothing */
    int claim;    /* a socket whose name keeps others from writing it, too */
    dev_t device; /* these two say which file it is to be */
    ino_t inode;
} outfile;

/* Make a file that is to be named so, empty; with keep, NAME.part.  It is the caller's, with fd -1 where another
 * process, or we, are writing one of that name already.  NULL with errno, and errno 0: what is named so is no regular
 * file, or can only be written in its place. */
outfile *outfile_make(const char *name, bool keep);

/* It is whole: give it its name, in the place of what has that now.  0, or -1 with errno. */
int outfile_name(outfile *f);

/* Lock a file that is to be written: a lock of the open file description, which does not meet those of flock(1), goes
 * when we do, and where there are none nothing is lost.  0, or -1 with errno: EAGAIN or EACCES where another has it. */
int outfile_lock(int fd);

/* Let go of it; one that has not got its name is gone, unless its part is kept.  NULL: no effect. */
void outfile_free(outfile *f);

#endif
