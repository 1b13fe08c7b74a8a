/* table.h - the segments that this process has open, one descriptor for each: for the files of this room alone */
#ifndef TABLE_H
#define TABLE_H

#include "shm/segment.h"

#include <sys/stat.h>

struct segment {
    segment *next;
    int fd;
    bool writable;
    unsigned handles;
    dev_t dev;
    ino_t ino;
    void *base;
    uint64_t mapped;
    uint64_t *held; /* bit set: bytes that this process has locked */
    unsigned held_words;
};

/* Enter and leave the table. */
void table_enter(void);
void table_leave(void);
/* Between the two: find, add (NULL: no memory) and take out. */
segment *table_find(const struct stat *st);
segment *table_add(int fd, bool writable, const struct stat *st);
void table_remove(segment *s);

#endif
