/* segment.h - one file in shared memory: its name, its maps, its record locks
 *
 * A record lock belongs to a process and goes when the process closes ANY descriptor of the file.  So there is one
 * descriptor per segment and process, kept in a table until the last handle closes, and the table refuses a second
 * claim of a byte inside the process, which the kernel would grant.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "mpp.h"

typedef struct segment segment;

#define SEGMENT_DIRECTORY "/dev/shm"
#define SEGMENT_PREFIX    "mpp_"

/* "/dev/shm/mpp_ID"; false: not a valid id (letters, digits, '.', '_', '-', not first '.' or '-', 1 ..
 * MPP_NAME_MAX). */
enum { SEGMENT_PATH_MAX = 96 };
bool segment_path(const char *id, char path[SEGMENT_PATH_MAX]);

/* A nameless segment of `size` bytes of which the first `reserved` are backed by memory and mapped.  It gets its
 * name by segment_publish() when it is complete: a creator that dies before leaves nothing.
 * 0, or -1 with *err: how much was wanted and how much there is when the file system is full. */
int segment_create(uint64_t size, uint64_t reserved, segment **s, mpp_error *err);
/* -1 with errno EEXIST: the name is taken. */
int segment_publish(segment *s, const char *id);

/* Open by id; nothing is mapped yet.  Only a regular file, owned by us, mode 0600, is opened.
 * -1 with *err: MPP_S_NO_MESH, MPP_S_CORRUPT (not ours, not a file), MPP_S_ERROR. */
int segment_open(const char *id, segment **s, mpp_error *err);
/* The same only to read it: mode 0400 will do, and nothing may be mapped, locked or removed. */
int segment_open_to_read(const char *id, segment **s, mpp_error *err);
/* n bytes from `at` on, without mapping them (so that a truncated file is a short read).  Bytes read, or -1. */
ssize_t segment_read(segment *s, uint64_t at, void *to, size_t n);
int segment_size(const segment *s, uint64_t *size); /* 0, or -1 with errno */
/* Map the first `size` bytes, once.  0 or -1 with errno. */
int segment_map(segment *s, uint64_t size);
/* Has its name been removed?  Also when another segment has taken it since. */
bool segment_nameless(const segment *s);
void *segment_base(const segment *s);
void segment_close(segment **s);

/* Back [at, at + n) with memory.  0 or -1 with *err. */
int segment_reserve(segment *s, uint64_t at, uint64_t n, mpp_error *err);
/* Map [at, at + n) twice in a row, n a multiple of the page size.  NULL with errno. */
unsigned char *segment_map_twice(segment *s, uint64_t at, uint64_t n);
void segment_unmap_twice(unsigned char *p, uint64_t n);

#endif
