/* share.h - which part of its files an input reads, when several participants share them */
#ifndef CMD_INPUT_SHARE_H
#define CMD_INPUT_SHARE_H

#include "input/input.h"
#include "input/reader.h"

#include <sys/stat.h>

/* "K/N" of --slice: 0 and both numbers, or -1 when it is not that or K is not below N. */
int input_parse_slice(const char *text, unsigned *part, unsigned *parts);

/* Reduce the list to share `part` (from 0) of `parts`, records being of format f and at most max_record bytes.
 * Once, before the first piece.  *f is copied.
 * 0, or -1 with *err (MPP_S_USAGE: a file that is not regular cannot be cut in ranges). */
int input_slice(input *in, unsigned part, unsigned parts, const mpp_format *f, uint64_t max_record, mpp_error *err);

/* Once sliced: which files all shares are of, in whatever order they were given, and how they were shared out.
 * Shares of the same files fit together only when they were shared out in the same way.  Not sliced: both 0. */
void input_identity(const input *in, uint32_t *what, uint32_t *how);

/* For who opens a file of the list. */
struct item;

/* Is the file still what was shared out?  0, or -1 with *err. */
int share_check(const struct item *it, const struct stat *st, bool sleeps, mpp_error *err);

/* Move to our share of an open file.  0, or -1 with *err. */
int share_seek(const input *in, const struct item *it, reader_file *f, mpp_error *err);

#endif
