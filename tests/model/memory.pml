/* memory.pml - shared memory between processors that keep their stores back; included by the models
 *
 * Each thread has a buffer of stores that others do not see yet.  load() sees its own thread's buffer first, store()
 * appends to it, a full fence waits until it is empty, and so does a read-modify-write before it changes memory.  When
 * stores leave the buffer is anybody's guess:
 *
 *   by default    in their order: x86 (TSO)
 *   -DWEAK        in any order, but two stores to one place keep theirs, and a release store goes after all that
 *                 were made before it: what C11 promises of stores, and what ARM and POWER do with them
 *
 * Loads are never early; where an acquire matters the models have a mutant that does what its absence would allow.
 * The includer defines THREADS and LOCATIONS. */

#ifndef DEPTH
#define DEPTH 2 /* stores that a buffer holds: 2 or 4 */
#endif

typedef stores {
    byte n;
    byte at[DEPTH];
    byte to[DEPTH];
#ifdef WEAK
    bit release[DEPTH];
#endif
}

stores buffer[THREADS];
byte mem[LOCATIONS];
hidden byte mem_i;

/* The newest of our own stores to that place, else what memory has. */
#define OWN(me, k, where, older) ((k < buffer[me].n && buffer[me].at[k] == (where)) -> buffer[me].to[k] : older)
#if DEPTH == 2
#define load(me, where) OWN(me, 1, where, OWN(me, 0, where, mem[where]))
#else
#define load(me, where) OWN(me, 3, where, OWN(me, 2, where, OWN(me, 1, where, OWN(me, 0, where, mem[where]))))
#endif

inline mem_store(me, where, v, is_release) {
    d_step {
        buffer[me].n < DEPTH ->
        buffer[me].at[buffer[me].n] = where;
        buffer[me].to[buffer[me].n] = v;
#ifdef WEAK
        buffer[me].release[buffer[me].n] = is_release;
#endif
        buffer[me].n++
    }
}

#define store(me, where, v)         mem_store(me, where, v, 0)
#define store_release(me, where, v) mem_store(me, where, v, 1)

#define fence(me) (buffer[me].n == 0)

inline exchange(me, x, where, v) {
    d_step { fence(me) -> x = mem[where]; mem[where] = v }
}

inline add(me, where, v) {
    d_step { fence(me) -> mem[where] = mem[where] + v }
}

inline cas(me, where, want, v) {
    d_step { fence(me) -> if :: mem[where] == want -> mem[where] = v :: else fi }
}

/* Take store k out of the buffer. */
inline mem_remove(me, k) {
    for (mem_i : k .. DEPTH - 2) {
        buffer[me].at[mem_i] = buffer[me].at[mem_i + 1];
        buffer[me].to[mem_i] = buffer[me].to[mem_i + 1];
#ifdef WEAK
        buffer[me].release[mem_i] = buffer[me].release[mem_i + 1];
#endif
    }
    buffer[me].at[DEPTH - 1] = 0;
    buffer[me].to[DEPTH - 1] = 0;
#ifdef WEAK
    buffer[me].release[DEPTH - 1] = 0;
#endif
    buffer[me].n--;
    mem_i = 0
}

/* What a thread that was killed has in its buffer is lost from some moment on. */
inline mem_lose(me) {
    for (mem_i : 0 .. DEPTH - 1) {
        buffer[me].at[mem_i] = 0;
        buffer[me].to[mem_i] = 0;
#ifdef WEAK
        buffer[me].release[mem_i] = 0;
#endif
    }
    buffer[me].n = 0;
    mem_i = 0
}

#ifdef WEAK
#define OLDER(me, i, k) (i < k && buffer[me].at[i] == buffer[me].at[k])
#define MAY_GO(me, k)                                                                                                  \
    (k < buffer[me].n && (k == 0 || !buffer[me].release[k]) && !OLDER(me, 0, k) && !OLDER(me, 1, k) &&                 \
     !OLDER(me, DEPTH - 2, k))
#else
#define MAY_GO(me, k) (k == 0 && buffer[me].n > 0)
#endif

#define GO(me, k)                                                                                                      \
    d_step { MAY_GO(me, k) -> mem[buffer[me].at[k]] = buffer[me].to[k]; mem_remove(me, k) }

proctype memory(byte me) {
end:
    do
    :: GO(me, 0)
#ifdef WEAK
    :: GO(me, 1)
#if DEPTH == 4
    :: GO(me, 2)
    :: GO(me, 3)
#endif
#endif
    od
}
