/* doorbell.pml - one channel: a data ring, a control ring, and the doorbells of both its ends
 *
 * Shows: nobody sleeps for ever; what is published is delivered, whole and in order; a clean end has delivered all of
 * it; after a death of the producer all that it published is delivered, and then the survivor ends; neither a control
 * message nor the end of a stream waits for room in the data ring.
 *
 * The producer waits for START, fills RING frames' room with FRAMES frames and ends; the consumer takes them, and may
 * CANCEL at any time.  At any time, too: a bell for nothing, a failure elsewhere, SIGKILL for either.  The steps bear
 * the labels of lib/: doorbell.h [D1] [D2], ring.h [W1] [S1], control.c [C1] [C3] [C5], outlet.c [E1], endpoint.c [L1].
 *
 * CHECK   -DWEAK                        RING 1, FRAMES 2; what -DWEAK allows is more than what x86 does
 * CHECK   -DRING=2 -DFRAMES=3 -DCALM    nobody dies or fails, no bell for nothing
 * SOAK    -DRING=2 -DFRAMES=3 -DWEAK
 * SOAK    -DRING=1 -DFRAMES=3 -DDEPTH=4
 * SOAK    -DSPURIOUS -DSIGNALS          bells for nothing beside a death; a CANCEL at any moment
 *
 * MUTANT  NO_D1                  the sleeper has no fence between arming and its recheck
 * MUTANT  NO_D2                  the waker has none between publishing and its look at who sleeps
 * MUTANT  PLAIN_CLEAR            the waker clears armed by a store instead of an exchange
 * MUTANT  NO_RECHECK             nothing is looked at between arming and sleeping
 * MUTANT  RECHECK_DATA_ONLY      the consumer rechecks for data, not for the end
 * MUTANT  CONTROL_STALLED        a producer that waits for space rechecks space only
 * MUTANT  CONTROL_BELL_FOR_SPACE a control message rings who wants space only
 * MUTANT  LATE_DRAIN             the doorbell is drained after the recheck, before poll
 * MUTANT  BELL_BEFORE_PUBLISH    the bell rings before the frame is published
 * MUTANT  BELL_BEFORE_RELEASE    the bell rings before the space is released
 * MUTANT  BELL_BEFORE_MESSAGE    the bell rings before the control message is counted
 * MUTANT  NO_BELL_BEFORE_SLEEP   what was published and not told is not told before sleeping
 * MUTANT  NO_RELEASE_BEFORE_SLEEP what was read and not released is not released before sleeping
 * MUTANT  NO_BELL_AT_END         the end's word is not told
 * MUTANT  WANT_AFTER_ARMING      the wanted space is published after the fence
 * MUTANT  WANT_TOO_FAR           more space is wanted than the ring has
 * MUTANT  SPACE_BELL_WHEN_FULL -DCALM -DRING=2 -DFRAMES=3  space is told only when the ring was full
 * MUTANT  NO_RESCAN_AT_DEATH     who finds a death does not look at the ring again
 * MUTANT  CAUSE_AFTER_LOOK       the cause is looked at after the ring, not before
 * MUTANT  NO_PIDFD               nobody is told of a death
 * MUTANT  DEAD_IS_TOLD           who finds a slot DEAD takes it that somebody has said so
 * MUTANT  END_BEFORE_FRAMES      the end's word is stored before the last frame
 * MUTANT  END_NOT_AWAITED        the consumer ends at the word, before it has drained to the end
 * MUTANT  DONE_BEFORE_END        the slot is DONE before the end is said [L1]
 * MUTANT  MAIL_BEFORE_SENT       a message is counted before it can be found [C3]
 * MUTANT  SEEN_AFTER_TAKE        the count of messages is noted after taking them [C4]
 * MUTANT  RELEASE_BEFORE_COPY    a frame is released before it is read [S1]
 * MUTANT  NO_W1 -DWEAK           the position is stored without release
 * MUTANT  NO_C1 -DWEAK           sent is stored without release
 * MUTANT  NO_E1 -DWEAK           the end's word is stored without release
 */
#ifndef FRAMES
#define FRAMES 2
#endif
#ifndef RING
#define RING 1
#endif

#define P 0
#define C 1

/* The words of the segment: layout.h. */
#define WRITE   0 /* the channel's */
#define READ    1
#define WANT    2
#define SENT    3
#define TAKEN   4
#define WORD    5
#define END     6
#define MAIL    7 /* the producer's slot's */
#define P_ARMED 8
#define C_ARMED 9
#define P_STATE 10
#define C_STATE 11
#define CAUSE   12 /* the header's */
#define MESSAGE 13 /* two places of the control ring */
#define DATA    15 /* the data ring */

#define THREADS   2
#define LOCATIONS (DATA + RING)
#include "memory.pml"

#define NEVER 255 /* WANT */

#define RUNNING   1 /* WORD */
#define ENDED     2
#define CANCELLED 3

#define LIVE 0 /* P_STATE, C_STATE: both are there when the model begins */
#define DONE 1
#define DEAD 2

#define ASLEEP      1 /* P_ARMED, C_ARMED */
#define WANTS_DATA  2
#define WANTS_SPACE 4

#define START  1 /* MESSAGE */
#define CANCEL 2

/* What the kernel keeps. */
bit bell[2];   /* the doorbell socket has something in it; more would not fit */
bit exited[2]; /* the process is gone: its record lock has dropped, its pidfd is readable */

bit more;     /* the producer has more runs to give: when one has ended it waits for who may ask */
bit p_killed; /* the producer was killed before it left */

/* Stores without the release that a mutant is about. */
#ifdef NO_W1
#define store_W1 store
#else
#define store_W1 store_release
#endif
#ifdef NO_C1
#define store_C1 store
#else
#define store_C1 store_release
#endif
#ifdef NO_E1
#define store_E1 store
#else
#define store_E1 store_release
#endif

/* Steps.  A step is one look at what others see, or one thing that they see, with all that follows it and concerns
 * nobody else: what is computed, and stores, which others see only when they leave the buffer. */

/* ---- doorbell.c ----------------------------------------------------------------------------------------- */

#ifdef NO_D1
#define fence_D1(me) true
#else
#define fence_D1(me) fence(me)
#endif
#ifdef NO_D2
#define fence_D2(me) true
#else
#define fence_D2(me) fence(me)
#endif

inline disarm(me, armed) {
    exchange(me, old, armed, 0);
    old = 0
}

/* Does an armed word say that somebody is to be woken for `what`? */
#define SLEEPS(armed, what) (armed != 0 && (what == 0 || (armed & what) != 0))

/* doorbell_fence(), doorbell_wake() */
inline fence_and_wake(me, peer, armed, what) {
    if
    :: fence_D2(me) && !SLEEPS(load(me, armed), what)
    :: fence_D2(me) && SLEEPS(load(me, armed), what) ->
#ifdef PLAIN_CLEAR
        store(me, armed, 0);
        old = 1;
#else
        exchange(me, old, armed, 0);
#endif
        if
        :: atomic { old != 0 -> old = 0; bell[peer] = 1 } /* of several wakers one rings; it may be full already */
        :: else
        fi
    fi
}

/* ---- wait.c, endpoint.c --------------------------------------------------------------------------------- */

/* LIVE without a lock; or DEAD, and its finder may have died before it could say so: found_dead(). */
#ifdef DEAD_IS_TOLD
#define UNTOLD(state) (state == LIVE)
#else
#define UNTOLD(state) (state != DONE)
#endif

#ifdef NO_PIDFD
#define PIDFD(peer) false
#else
#define PIDFD(peer) (exited[peer] && !told)
#endif

/* poll(), endpoint_heard(): drain, then look at who died, and say so. */
inline sleep(me, peer, peer_state, time_is_up) {
#ifdef LATE_DRAIN
    bell[me] = 0;
#endif
    (bell[me] || PIDFD(peer) || time_is_up);
    bell[me] = 0;
    if
    :: PIDFD(peer) ->
        told = 1;
        if
        :: UNTOLD(load(me, peer_state)) -> /* [L2]; the lock has dropped */
            cas(me, peer_state, LIVE, DEAD);
            cas(me, CAUSE, 0, 1); /* [F1] */
            bell[me] = 1          /* mesh_ring_all(): ourselves too */
        :: else
        fi
    :: else
    fi
}

inline leave(me, peer, state) {
    store_release(me, state, DONE); /* [L1] */
    atomic { fence(me); bell[peer] = 1 } /* [L3], announce() */
    d_step { exited[me] = 1; mem_lose(me) }
}

/* ---- the producer: outlet.c, producer.c ------------------------------------------------------------------ */

inline tell_consumer() {
    due = 0;
    fence_and_wake(P, C, C_ARMED, WANTS_DATA) /* [D2] after [W1] */
}

inline end_word(state) {
    store(P, END, written);
    store_E1(P, WORD, state); /* [E1] */
#ifndef NO_BELL_AT_END
    due = 1
#endif
}

inline take_message() {
    message = load(P, MESSAGE + taken);
    taken++;
    store_release(P, TAKEN, taken); /* [C5] */
    if
    :: message == START ->
        store_release(P, WORD, RUNNING); /* [E1] */
        running = 1;
        due = 1
    :: message == CANCEL ->
        if
        :: running -> end_word(CANCELLED); running = 0; finished = 1
        :: else
        fi
    :: else -> assert(false) /* torn: [C1] */
    fi;
    message = 0
}

inline publish() {
#ifdef BELL_BEFORE_PUBLISH
    tell_consumer();
#endif
    atomic {
#ifdef END_BEFORE_FRAMES
        if
        :: written + 1 == FRAMES -> end_word(ENDED)
        :: else
        fi;
#endif
        store(P, DATA + written % RING, written + 1);
        written++;
        store_W1(P, WRITE, written); /* [W1] */
#ifndef BELL_BEFORE_PUBLISH
        due = 1
#endif
    }
}

inline end_run() {
#ifdef DONE_BEFORE_END
    if
    :: !more -> store_release(P, P_STATE, DONE)
    :: else
    fi;
#endif
#ifndef END_BEFORE_FRAMES
    end_word(ENDED);
#endif
    running = 0;
    finished = 1
}

/* Half a ring is wanted, or what is needed when that is more. */
#ifdef WANT_TOO_FAR
#define WANTED (written + 1)
#else
#define WANTED (written + room - RING)
#endif

inline outlet_want() {
    if
    :: need -> store(P, WANT, WANTED)
    :: else
    fi
}

#ifdef CONTROL_STALLED
#define MAIL_READY (!need && load(P, MAIL) != seen)
#else
#define MAIL_READY (load(P, MAIL) != seen)
#endif

proctype producer() {
    byte written, freed, taken, seen, message, room;
    bit running, finished, due, need, told, old, idle;
    {
        skip;
service:
        atomic {
            if
            :: load(P, CAUSE) != 0 -> goto gone /* [F2] */
            :: load(P, CAUSE) == 0 && finished && (!more || idle) && !due -> goto gone
            :: else
            fi
        }
        atomic {
            if
            :: load(P, MAIL) == seen -> goto moved /* [C4] */
            :: else ->
#ifndef SEEN_AFTER_TAKE
                seen = load(P, MAIL)
#endif
            fi
        }
        do
        :: atomic { load(P, SENT) != taken -> take_message() } /* [C2] */
        :: load(P, SENT) == taken -> break
        od;
#ifdef SEEN_AFTER_TAKE
        seen = load(P, MAIL);
#endif
moved:
        atomic {
            if
            :: !running -> goto wait
            :: running && written == FRAMES -> end_run(); goto tell
            :: running && written < FRAMES && written - freed == RING -> freed = load(P, READ) /* [S2] */
            :: else
            fi;
            if
            :: written - freed == RING -> need = 1; room = RING; goto wait
            :: else
            fi
        }
        publish();
        if
        :: goto service
        :: true /* a quarter of the ring is due */
        fi;
tell:
        if
        :: due -> tell_consumer()
        :: else
        fi;
        goto service;
wait: /* mpp_wait() */
#ifndef NO_BELL_BEFORE_SLEEP
        if
        :: due -> tell_consumer() /* mpp_flush() */
        :: else
        fi;
#endif
        atomic {
            if
            :: room > 1 -> room = 1 /* half of it will do */
            :: true
            fi;
#ifndef WANT_AFTER_ARMING
            outlet_want();
#endif
            store(P, P_ARMED, ASLEEP | (need -> WANTS_SPACE : 0))
        }
        fence_D1(P); /* [D1] */
#ifdef WANT_AFTER_ARMING
        outlet_want();
#endif
        /* producer_ready() */
#ifndef NO_RECHECK
        if
        :: MAIL_READY -> goto ready /* [C4] */
        :: else
        fi;
        if
        :: load(P, CAUSE) != 0 -> goto ready /* [F2] */
        :: else
        fi;
        if
        :: need && load(P, READ) >= WANTED -> goto ready /* [S2] */
        :: else
        fi;
#endif
        idle = finished && load(P, C_STATE) != LIVE; /* producer_deadline(): nobody is there to ask [L2] */
        sleep(P, C, C_STATE, idle);
ready:
        atomic {
            disarm(P, P_ARMED);
            if
            :: need -> store(P, WANT, NEVER); need = 0; room = 0 /* outlet_unwant() */
            :: else
            fi
        }
        goto service;
gone:
        leave(P, C, P_STATE)
    } unless { exited[P] }
}

/* ---- the consumer: inlet.c, consumer.c ------------------------------------------------------------------- */

inline send(type) {
#ifdef MAIL_BEFORE_SENT
    add(C, MAIL, 1);
#endif
#ifdef BELL_BEFORE_MESSAGE
    fence_and_wake(C, P, P_ARMED, 0)
#endif
    atomic {
        store(C, MESSAGE + sent, type);
        sent++;
        store_C1(C, SENT, sent) /* [C1] */
    }
#ifndef MAIL_BEFORE_SENT
    add(C, MAIL, 1); /* [C3] */
#endif
#ifdef CONTROL_BELL_FOR_SPACE
    fence_and_wake(C, P, P_ARMED, WANTS_SPACE)
#else
#ifndef BELL_BEFORE_MESSAGE
    fence_and_wake(C, P, P_ARMED, 0) /* [D2] after [C3] */
#endif
#endif
}

#ifdef SPACE_BELL_WHEN_FULL
#define REACHED(want) (want != NEVER && was_full && read >= want)
#else
#define REACHED(want) (want != NEVER && read >= want)
#endif

inline tell_producer() {
    if /* [D2] after [S1] */
    :: fence_D2(C) && REACHED(load(C, WANT)) -> fence_and_wake(C, P, P_ARMED, WANTS_SPACE)
    :: fence_D2(C) && !REACHED(load(C, WANT))
    fi
}

inline inlet_release() {
#ifdef SPACE_BELL_WHEN_FULL
    was_full = load(C, WRITE) - read == RING;
#endif
    read = head;
#ifdef BELL_BEFORE_RELEASE
    tell_producer();
    store_release(C, READ, read)
#else
    store_release(C, READ, read); /* [S1] */
    tell_producer()
#endif
}

inline release_all() {
    if
    :: read != head -> inlet_release()
    :: else
    fi
}

/* Has the run been left behind, so that the next could be asked for?  left_behind() */
#define LEFT_BEHIND(word) (word == ENDED || word == CANCELLED)

/* ended(): has the run ended here, and is it drained? */
inline look_at_end() {
    left = load(C, P_STATE) == DONE; /* [L2] before [E2] */
    atomic {
        word = load(C, WORD); /* [E2] */
        assert(!left || LEFT_BEHIND(word) || mem[CAUSE] != 0); /* nothing will come: only after a failure */
        left = 0
    }
    if
    :: LEFT_BEHIND(word) ->
        end = load(C, END);
        atomic {
            write = load(C, WRITE);
            assert(write >= end); /* inlet_end_check() */
#ifdef END_NOT_AWAITED
            over = 1;
#else
            over = head >= end;
#endif
            end = 0
        }
    :: else
    fi;
    word = 0
}

proctype consumer() {
    byte head, read, write, sent, word, end;
    bit left, gone, over, told, old, was_full, cancelled;
    {
        send(START);
next:
        if
        :: !cancelled ->
            send(CANCEL);
            cancelled = 1;
            if
            :: goto enough /* it leaves at once: mpp_consumer_detach() */
            :: true        /* or asks again */
            fi
        :: true
        fi;
again: /* mpp_next(), mpp_start() */
#ifdef CAUSE_AFTER_LOOK
        write = load(C, WRITE);
        gone = load(C, CAUSE) != 0;
#else
        gone = load(C, CAUSE) != 0; /* [F2] before [W2]: what was published before the cause is found */
#ifdef NO_RESCAN_AT_DEATH
        if
        :: gone -> goto drained
        :: else
        fi;
#endif
        if
        :: cancelled ->
            over = LEFT_BEHIND(load(C, WORD)); /* [E2] */
            goto drained
        :: !cancelled && write == head -> write = load(C, WRITE) /* [W2] */
        :: else
        fi;
#endif
        if
        :: write != head && !cancelled -> gone = 0; goto frame
        :: else
        fi;
        look_at_end();
        assert(!over || head == FRAMES);
drained:
        if
        :: over -> goto enough
        :: !over && gone -> assert(cancelled || !p_killed || head == mem[WRITE]); goto enough
        :: else
        fi;
        /* mpp_wait() */
#ifndef NO_RELEASE_BEFORE_SLEEP
        release_all();
#endif
        store(C, C_ARMED, ASLEEP | WANTS_DATA);
        fence_D1(C); /* [D1] */
        /* consumer_ready() */
#ifndef NO_RECHECK
        if
        :: load(C, CAUSE) != 0 -> goto ready /* [F2] */
        :: else
        fi;
        if
        :: cancelled && LEFT_BEHIND(load(C, WORD)) -> goto ready /* [E2] */
        :: cancelled && !LEFT_BEHIND(load(C, WORD)) -> goto asleep
        :: else -> write = load(C, WRITE) /* [W2] */
        fi;
        if
        :: write != head -> goto ready
        :: else
        fi;
#ifndef RECHECK_DATA_ONLY
        look_at_end();
        if
        :: over -> goto ready
        :: else
        fi;
#endif
#endif
asleep:
        sleep(C, P, P_STATE, false);
ready:
        atomic { disarm(C, C_ARMED); gone = 0 }
#ifdef SIGNALS
        goto next;
#else
        goto again;
#endif
frame: /* it is copied, and passed */
#ifdef RELEASE_BEFORE_COPY
        head++;
        inlet_release();
        assert(load(C, DATA + (head - 1) % RING) == head);
#else
        atomic { assert(load(C, DATA + head % RING) == head + 1); head++ } /* whole, and in order */
        if
        :: inlet_release() /* a quarter of the ring is due */
        :: true
        fi;
#endif
        goto next;
enough:
        release_all();
        leave(C, P, C_STATE)
    } unless { exited[C] }
}

/* ---- everybody else --------------------------------------------------------------------------------------- */

/* SIGKILL.  Stores that have not left the buffer are lost: as if it had come a little earlier. */
inline kill(who) {
    d_step { !exited[who] -> exited[who] = 1; p_killed = who == P; mem_lose(who) }
}

proctype world() {
#ifdef SPURIOUS
    if
    :: bell[P] = 1 /* for nothing */
    :: bell[C] = 1
    :: true
    fi;
#endif
    if
    :: bell[P] = 1; bell[C] = 1 /* for nothing */
    :: kill(C)
    :: kill(P);
        if
        :: d_step { mem[P_STATE] == LIVE -> mem[P_STATE] = DEAD }; /* another participant finds it */
            if
            :: d_step { mem[CAUSE] == 0 -> mem[CAUSE] = 1 }; bell[C] = 1
            :: true /* and dies before it can say so */
            fi
        :: true
        fi
    :: d_step { mem[CAUSE] == 0 -> mem[CAUSE] = 1 }; bell[P] = 1; bell[C] = 1 /* a failure elsewhere */
    :: true
    fi
}

init {
    atomic {
        mem[WANT] = NEVER;
        if
        :: more = 1
        :: true
        fi;
        run memory(P);
        run memory(C);
        run producer();
        run consumer();
#ifndef CALM
        run world();
#endif
        skip
    }
}
