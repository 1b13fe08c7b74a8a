/* slice.h - who reads what, when several participants share files
 *
 * Each participant works this out for itself, from the same sizes and the same bytes.
 */
#ifndef CMD_INPUT_SLICE_H
#define CMD_INPUT_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mpp.h"

/* Whether a file of this name is compressed, so that it can only be read as a whole: by its suffix. */
bool slice_compressed(const char *name);

/* Deal out n whole files of the given sizes (bytes): largest first, to the one who has least so far, in doubt to
 * the lower number; files of equal size in the order given.  owner[i]: 0 .. parts - 1.
 * 0, or -1 with errno ENOMEM. */
int slice_deal(const int64_t sizes[], size_t n, unsigned parts, unsigned owner[]);

/* Byte `part * size / parts`: where share `part` begins, before it is moved to a record's start. */
int64_t slice_cut(int64_t size, unsigned part, unsigned parts);

/* The records of the file that start in [slice_cut(part), slice_cut(part + 1)): they are in [*from, *to).
 * fd: for pread(2); its offset stays.  size: the file's, as all participants know it.  max_record: bytes, framing
 * not counted.  A record that is longer is whole in the share that it starts in, which goes to the end of the file
 * where the end of the record is not looked for any further; so who reads that share comes to it, and never past it.
 * 0, or -1 with errno. */
int slice_range(int fd, int64_t size, unsigned part, unsigned parts, const mpp_format *f, uint64_t max_record,
                int64_t *from, int64_t *to);

#endif
