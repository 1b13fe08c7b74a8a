/* opening.h - an output that an errand opens: the server of a file system may hang, and a FIFO waits for its reader */
#ifndef CMD_CONSUME_OPENING_H
#define CMD_CONSUME_OPENING_H

#include "common/errand.h"
#include "common/io.h"
#include "consume/outfile.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* What the errand finds out. */
typedef struct opening {
    char *name;          /* NULL: standard output */
    _Atomic bool unread; /* it is a FIFO, whose reader we wait for */
    io out;
    int failure; /* errno, 0: it is open */
    dev_t device;
    ino_t inode;
    bool contended;
    bool in_place;     /* no other file takes its place */
    bool keep_partial; /* what it is when it is not whole has a name */
    outfile *file;     /* NULL: it is written where it is */
} opening;

/* Begin to open a file for writing; name NULL: to look at standard output.  A regular file is a new one, which gets
 * its name when it is whole (outfile.h); with in_place it is locked, and made empty.  *made is the errand's, valid
 * until errand_end(); all of it but `unread` is to be looked at when the errand is done.  NULL with errno: no thread,
 * descriptor or memory is to be had. */
errand *opening_begin(const char *name, bool in_place, bool keep_partial, opening **made);

#endif
