/* tape.h - a tape of values that is written over: one writer that never waits, readers that copy and then look
 *
 *      ... overwritten | value | value | value | free ...
 *                      ^ oldest        ^ newest  ^ write
 *
 * A value is a header and whole records, padded to 8 bytes; the tape is mapped twice in a row, and positions only grow,
 * as a ring's do.  Nobody tells the writer what was read: when it needs room it moves `oldest` over what it is about to
 * overwrite, and a reader that has copied bytes looks whether `oldest` has passed them meanwhile.
 *
 *   writer: oldest; release fence [O1]; bytes; write [W1]; newest [W1]
 *   reader: write or newest [W2]; copy; acquire fence [O2]; oldest: not past the copy?  It is whole.
 *
 * A reader that copied any byte of a later value sees, behind [O2], the `oldest` that was stored before it.  The scheme
 * is that of a sequence lock, with the position for its number; see H.-J. Boehm, "Can seqlocks get along with
 * programming language memory models?", MSPC 2012.  Each value carries the number of its first record: what a reader
 * has missed is a difference of two numbers, exactly.
 *
 * The writer gives up an eighth of the tape at a time, so that a reader that was overtaken and begins again at `oldest`
 * has that much of a start.  A writer killed between any two of its stores has published whole values only; what it
 * gave up for the one under way is gone.
 */
#ifndef TAPE_H
#define TAPE_H

#include "shm/layout.h"

typedef struct tape_writer {
    layout_share *shared;
    unsigned char *bytes; /* mapped twice */
    uint64_t size, oldest, write, records;
} tape_writer;

typedef struct tape_reader {
    const layout_share *shared;
    const unsigned char *bytes;
    uint64_t size;
    uint64_t position; /* behind the last value that was read */
    uint64_t next;     /* the number of the record behind it */
    bool began;
} tape_reader;

/* Begin where the shared words stand. */
void tape_writer_open(tape_writer *w, layout_share *shared, unsigned char *bytes, uint64_t size);

/* A value of `records` whole records, at most layout_quarter() with its header.  Never waits.  *overwritten: the
 * records that it was written over.  false: what another process wrote into the tape cannot be; all of it was given up.
 */
bool tape_write(tape_writer *w, const void *data, size_t n, unsigned records, uint64_t *overwritten);

typedef enum tape_outcome { TAPE_NOTHING, TAPE_VALUE, TAPE_AGAIN, TAPE_CORRUPT } tape_outcome;

/* The next value, or with `newest` the last one, copied to `to`, which has layout_quarter() bytes.  *missed: records
 * between the value before and this one.  TAPE_AGAIN: the writer overtook us again and again. */
tape_outcome tape_read(tape_reader *r, bool newest, unsigned char *to, layout_value *value, uint64_t *missed);
/* Is there one? */
bool tape_unread(const tape_reader *r, bool newest);

#endif
