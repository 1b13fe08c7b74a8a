/* tape.pml - a tape that is written over: one writer that never waits, a reader that copies and then looks
 *
 * Shows: a value that is read is whole, and the one that its number says; values come in order, each once, none but the
 * overwritten are missing; who reads on after the last one was written has had it.  With -DLATEST for a buffer of which
 * only the newest value counts.  The steps are those of lib/tape.c: [O1] [O2] [W1] [W2].  A value is two words that are
 * written and copied one by one; a position counts values; the tape has room for SIZE of them.
 *
 * CHECK   -DWEAK
 * CHECK   -DWEAK -DGIVE_UP=2 -DSIZE=3
 * CHECK   -DWEAK -DLATEST
 * SOAK    -DWEAK -DVALUES=6 -DSIZE=3 -DDEPTH=4
 * SOAK    -DWEAK -DVALUES=6 -DSIZE=3 -DDEPTH=4 -DLATEST
 *
 * MUTANT  NO_O1 -DWEAK               no fence between `oldest` and the bytes
 * MUTANT  OLDEST_AFTER_BYTES         `oldest` is stored behind the bytes that it gives up
 * MUTANT  NO_O2                      `oldest` is looked at before the copy, which the fence forbids
 * MUTANT  NO_VALIDATION              it is not looked at
 * MUTANT  HALF_VALIDATED             ... before the last word is copied
 * MUTANT  ONE_TOO_FEW                a value less is given up than is overwritten
 * MUTANT  NO_W1 -DWEAK               the position is stored without release
 * MUTANT  NEWEST_BEFORE_WRITE -DLATEST  the newest value is named before its bytes are covered by `write`
 * MUTANT  NO_N1 -DWEAK -DLATEST      `newest` is stored without release
 * MUTANT  AGAIN_AT_WRITE             who was overtaken begins again where the writer is
 * MUTANT  SAME_AGAIN -DLATEST        the newest value is taken for unread when it was read
 */
#ifndef VALUES
#define VALUES 4
#endif
#ifndef SIZE
#define SIZE 2
#endif
#ifndef GIVE_UP
#define GIVE_UP 1 /* values at a time, when there is no room */
#endif

#define W 0
#define R 1

#define OLDEST 0 /* layout_share */
#define WRITE  1
#define NEWEST 2
#define TAPE   3
#define NUMBER(position) (TAPE + (position) % SIZE * 2)
#define BYTES(position)  (TAPE + (position) % SIZE * 2 + 1)

#define THREADS   2
#define LOCATIONS (TAPE + SIZE * 2)
#include "memory.pml"

#define EMPTY 255

bit written; /* all of it, and out of the buffer */

#ifdef NO_W1
#define store_W1 store
#else
#define store_W1 store_release
#endif
#ifdef NO_N1
#define store_N1 store
#else
#define store_N1 store_release
#endif

inline give_up() {
    if
    :: write + 1 - oldest > SIZE ->
#ifdef ONE_TOO_FEW
        oldest = write - SIZE;
#else
        oldest = (oldest + GIVE_UP < write -> oldest + GIVE_UP : write);
#endif
        store(W, OLDEST, oldest);
#ifndef NO_O1
        fence(W) /* [O1]: stores only are held back, so an empty buffer is what a release fence is */
#endif
    :: else
    fi
}

proctype writer() {
    byte oldest, write;
    do
    :: write < VALUES ->
#ifndef OLDEST_AFTER_BYTES
        give_up();
#endif
        store(W, NUMBER(write), write);
        store(W, BYTES(write), write);
#ifdef OLDEST_AFTER_BYTES
        give_up();
#endif
        write++;
#ifdef NEWEST_BEFORE_WRITE
        store_N1(W, NEWEST, write);
        store_W1(W, WRITE, write)
#else
        store_W1(W, WRITE, write); /* [W1] */
        store_N1(W, NEWEST, write) /* [W1]: where it begins, + 1 */
#endif
    :: else -> break
    od;
    fence(W);
    written = 1
}

proctype reader() {
    byte position, next, number, bytes, behind, oldest;
    bit began, all;
again: /* tape_read() */
    all = written;
    number = EMPTY;
    bytes = EMPTY;
#ifdef LATEST
    position = load(R, NEWEST); /* [W2] */
#ifdef SAME_AGAIN
    if
    :: position == 0 -> goto nothing
#else
    if
    :: position == 0 || (began && position - 1 < next) -> goto nothing
#endif
    :: else -> position--
    fi;
#else
    if
    :: !began -> position = load(R, OLDEST); began = 1
    :: else
    fi;
    if
    :: position == load(R, WRITE) -> goto nothing /* [W2] */
    :: else
    fi;
#endif
copy: /* copy_value() */
    behind = load(R, WRITE) - position; /* [W2]; modulo 256: far behind, or the writer's word is nonsense */
#ifdef NO_O2
    oldest = load(R, OLDEST);
#endif
    number = load(R, NUMBER(position));
#ifdef HALF_VALIDATED
    oldest = load(R, OLDEST);
#endif
    bytes = load(R, BYTES(position));
#ifndef NO_VALIDATION
#ifndef NO_O2
#ifndef HALF_VALIDATED
    oldest = load(R, OLDEST); /* after [O2] */
#endif
#endif
#endif
    if
    :: position < oldest ->
#ifdef AGAIN_AT_WRITE
        position = load(R, WRITE);
#else
        position = oldest;
#endif
#ifdef LATEST
        goto again
#else
        if
        :: position == load(R, WRITE) -> goto nothing
        :: else -> goto copy
        fi
#endif
    :: else
    fi;
    assert(behind >= 1 && behind <= SIZE);          /* it is not corrupt */
    assert(number == position && bytes == position); /* it is whole, and the one it should be */
    assert(number >= next);                          /* newer than the one before */
    next = number + 1;
    position++;
    began = 1;
    goto again;
nothing:
    if
    :: !all -> goto again
    :: else -> assert(next == VALUES) /* the last one was not missed */
    fi
}

init {
    atomic {
        run memory(W);
        run writer();
        run reader()
    }
}
