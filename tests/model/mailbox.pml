/* mailbox.pml - one slot that producers replace, and of several takers one takes; and the bell of all that overwrite
 *
 * Shows: a value is taken once at most, and whole; overwritten + taken + what lies in the slot = put; nobody sleeps while
 * a value lies there.  The steps are those of lib/mailbox.c [X1] [X2] and of bell() and overwriting_await() in
 * lib/overwriting.c [D1] [D2]; what becomes of them without those fences is for doorbell.pml.  A value is two words, written
 * and copied one by one.
 *
 * CHECK   -DWEAK                                 1 producer, 2 takers, 2 values
 * CHECK   -DWEAK -DPRODUCERS=2 -DTAKERS=1 -DVALUES=1
 * CHECK   -DWEAK -DTAKERS=1 -DVALUES=3
 * SOAK    -DWEAK -DPRODUCERS=2 -DVALUES=1
 * SOAK    -DWEAK -DVALUES=3
 *
 * MUTANT  LOAD_AND_STORE -DPRODUCERS=2 -DTAKERS=1 -DVALUES=1   the slot is replaced by a load and a store
 * MUTANT  RELAXED_X1 -DWEAK          the bytes may come after the word
 * MUTANT  STORE_X2                   the slot is emptied by a store
 * MUTANT  COPY_AFTER_X2 -DTAKERS=1 -DVALUES=3     the box is copied when the value has been taken
 * MUTANT  NO_COUNT -DTAKERS=1 -DVALUES=3          the word does not count the values
 * MUTANT  BOX_KEPT -DTAKERS=1        a producer writes into the box that it has put
 * MUTANT  AWAITED_BEFORE_ARMED       a sleeper says that it waits before it is armed, and a writer takes that back between
 * MUTANT  ONE_IS_TOLD                the first sleeper that is found is the only one that is woken
 */
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef VALUES
#define VALUES 2 /* of each producer */
#endif

#define SLOT     0 /* layout_buffer */
#define AWAITED  1
#define ARMED    2 /* of each taker */
#define BOX      (ARMED + TAKERS)
#define HEAD(box) (BOX + (box) * 2)
#define TAIL(box) (BOX + (box) * 2 + 1)

#define THREADS   (PRODUCERS + TAKERS)
#define LOCATIONS (BOX + (PRODUCERS + 1) * 2)
#include "memory.pml"

/* The slot's word: which value, in which box, whether it is there. */
#ifdef NO_COUNT
#define WORD(value, box) ((box) * 2 + 1)
#else
#define WORD(value, box) ((value) * 8 + (box) * 2 + 1)
#endif
#define BOX_OF(word) ((word) / 2 % 4)
#define FULL(word)   (word % 2 == 1)

bit bell[TAKERS];
bit taken[PRODUCERS * VALUES + 1];
byte overwritten, puts, takes, asleep;

/* ---- the producer ---------------------------------------------------------------------------------------- */

/* bell() */
inline ring_all() {
    if
    :: fence(me) && load(me, AWAITED) == 0 /* [D2] */
    :: fence(me) && load(me, AWAITED) != 0 ->
        exchange(me, x, AWAITED, 0);
        for (j : 0 .. TAKERS - 1) {
            if
            :: load(me, ARMED + j) != 0 ->
                exchange(me, x, ARMED + j, 0);
                if
                :: x != 0 -> bell[j] = 1
                :: else
                fi;
#ifdef ONE_IS_TOLD
                break
#endif
            :: else
            fi
        }
        x = 0;
        j = 0
    fi
}

proctype producer(byte me) {
    byte box, value, n, x, j;
    box = me;
    do
    :: n < VALUES ->
        n++;
        value = me * VALUES + n;
        store(me, HEAD(box), value); /* mailbox_put() */
        store(me, TAIL(box), value);
#ifdef LOAD_AND_STORE
        x = load(me, SLOT);
        store_release(me, SLOT, WORD(value, box));
#else
#ifdef RELAXED_X1
        d_step { x = mem[SLOT]; mem[SLOT] = WORD(value, box) }
#else
        exchange(me, x, SLOT, WORD(value, box)); /* [X1] */
#endif
#endif
        atomic {
            puts++;
            overwritten = overwritten + FULL(x);
            assert(BOX_OF(x) != box);
#ifndef BOX_KEPT
            box = BOX_OF(x);
#endif
            x = 0
        }
        ring_all()
    :: else -> break
    od
}

/* ---- the taker ------------------------------------------------------------------------------------------- */

proctype taker(byte me; byte self) {
    byte word, head, tail, x;
take: /* mailbox_take() */
    word = load(me, SLOT); /* [X2] */
    if
    :: !FULL(word) -> goto wait
    :: else
    fi;
#ifdef COPY_AFTER_X2
    if
    :: d_step { mem[SLOT] == word -> mem[SLOT] = word - 1 }
    :: d_step { mem[SLOT] != word -> word = 0 }; goto take
    fi;
#endif
    head = load(me, HEAD(BOX_OF(word)));
    tail = load(me, TAIL(BOX_OF(word)));
#ifndef COPY_AFTER_X2
#ifdef STORE_X2
    mem[SLOT] = word - 1;
#else
    if
    :: d_step { mem[SLOT] == word -> mem[SLOT] = word - 1 } /* [X2] */
    :: d_step { mem[SLOT] != word -> word = 0; head = 0; tail = 0 }; goto take
    fi;
#endif
#endif
    atomic {
        assert(head == tail);  /* whole */
        assert(!taken[head]); /* and by nobody else */
        taken[head] = 1;
        takes++;
        word = 0;
        head = 0;
        tail = 0
    }
    if
    :: goto take
    :: goto gone /* and it never comes again */
    fi;
wait: /* mpp_wait() */
#ifdef AWAITED_BEFORE_ARMED
    store(me, AWAITED, 1);
    store(me, ARMED + self, 1);
    fence(me); /* [D1] */
#else
    store(me, ARMED + self, 1);
    fence(me);                   /* [D1] */
    exchange(me, x, AWAITED, 1); /* overwriting_await(), [D1] again */
#endif
    if
    :: FULL(load(me, SLOT)) -> goto ready
    :: else
    fi;
    asleep++;
end_asleep:
    atomic { bell[self] -> bell[self] = 0; asleep-- }
ready:
    exchange(me, x, ARMED + self, 0);
    x = 0;
    goto take;
gone:
    skip
}

/* When nothing goes on: everything is accounted for, and who sleeps does so for lack of a value. */
proctype watch() {
    timeout;
    assert(overwritten + takes + FULL(mem[SLOT]) == puts);
    assert(!FULL(mem[SLOT]) || asleep == 0)
}

init {
    byte i;
    atomic {
        mem[SLOT] = PRODUCERS * 2; /* mailbox_empty() */
        for (i : 0 .. PRODUCERS - 1) {
            run producer(i)
        }
        for (i : 0 .. TAKERS - 1) {
            run taker(PRODUCERS + i, i)
        }
        for (i : 0 .. THREADS - 1) {
            run memory(i)
        }
        run watch();
        i = 0
    }
}
