/* stream.pml - the life of a stream: START, CANCEL and the ends of runs, over several runs and participants
 *
 * Shows: every request ends; a clean end has delivered all records of the run; no run delivers anything of another; no
 * message comes that the registry refuses; a control message never waits for room; nobody waits for ever, also when a
 * source fails, a producer is killed between any two stores, comes late or leaves unasked, or a consumer leaves without
 * having asked.  This is the table in lib/README.md, "The life of a stream"; the steps are those of producer.c,
 * registry.c, outlet.c [E1], consumer.c [E2] [L2], control.c [C1].
 *
 * A step here is one access to shared memory, and everybody sees it at once: what weaker memory does to them, and that
 * whoever waits is woken, is for doorbell.pml.  So a wait is its condition, that of producer_ready() or
 * consumer_ready().  Records go to any consumer, RECORDS to each at most in all runs together.
 *
 * CHECK   -DRECORDS=0                            1 producer, 2 consumers, 2 runs: messages and words alone
 * CHECK   -DRECORDS=0 -DPRODUCERS=2 -DCONSUMERS=1
 * CHECK   -DRUNS=1 -DLEAVE -DFAILURE             a consumer may leave without asking, the source may fail
 * CHECK   -DCONSUMERS=1 -DRECORDS=2 -DDEATH -DLATE
 * CHECK   -DCONSUMERS=1 -DRUNS=1 -DASKS=2        more is asked than there is
 * SOAK    -DRECORDS=1
 * SOAK    -DRECORDS=1 -DPRODUCERS=2 -DCONSUMERS=1
 * SOAK    -DRECORDS=3 -DCONSUMERS=1 -DRUNS=3 -DRING=2 -DDEATH -DFAILURE
 *
 * MUTANT  CONTROLS=3 -DRECORDS=0     a control ring of three messages
 * MUTANT  WORD_BEFORE_BEGIN -DCONSUMERS=1 -DRECORDS=2 -DDEATH  a run's word is stored before its begin [E1]
 * MUTANT  WORD_BEFORE_END -DCONSUMERS=1 -DRECORDS=2   the end's word is stored before the end [E1]
 * MUTANT  RUN_NOT_CHECKED -DCONSUMERS=1 -DRECORDS=2   a frame is taken for ours whatever run its channel is in
 * MUTANT  OURS_FOR_EVER -DCONSUMERS=1 -DRECORDS=2 -DRING=2   what was found to be ours stays so in the next run
 * MUTANT  END_NOT_AWAITED -DCONSUMERS=1               the run is over at its word, before it is drained
 * MUTANT  NOT_DRAINED                the next run begins before the one before it was drained
 * MUTANT  ASKED_EARLY -DRECORDS=0 -DRUNS=3 -DCONSUMERS=1    a consumer asks for the next run before this one is over everywhere
 * MUTANT  ASKED_BY_ALL -DRECORDS=0 -DRUNS=1 -DLEAVE   a run begins only when all have asked for it
 * MUTANT  ONE_CANCEL_STOPS -DRECORDS=0  the first CANCEL stops the source
 * MUTANT  CANCEL_UNANSWERED -DRECORDS=0 a CANCEL does not store its word
 * MUTANT  CANCEL_IDLE_UNANSWERED -DRECORDS=0  a CANCEL of a run that was never begun does not store its word
 * MUTANT  CANCELLED_NOT_PASSED -DRECORDS=0  a run that all cancelled before it began is not counted as one
 * MUTANT  NOT_DROPPED -DRECORDS=2    what is meant for a consumer that has enough is not dropped
 * MUTANT  LEFT_UNNOTICED -DRUNS=1 -DLEAVE -DRECORDS=2  a consumer that leaves without asking is not noticed
 * MUTANT  LEFT_BEFORE_MAIL -DRUNS=1 -DLEAVE     ... is noticed before its last messages are taken
 * MUTANT  DONE_AFTER_WORD -DCONSUMERS=1 -DRUNS=1  the slot's state is looked at after the word [L2]
 * MUTANT  DONE_UNNOTICED -DCONSUMERS=1 -DRUNS=1 -DASKS=2   nobody looks whether the producer has left
 * MUTANT  FAILED_IS_ENDED -DCONSUMERS=1 -DRUNS=1 -DFAILURE    a failed run ends as one that has ended
 */
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef RUNS
#define RUNS 2
#endif
#ifndef ASKS
#define ASKS RUNS /* runs that a consumer asks for */
#endif
#ifndef RECORDS
#define RECORDS 1
#endif
#ifndef RING
#define RING 1
#endif
#ifndef CONTROLS
#define CONTROLS 4
#endif

#define CHANNELS   (PRODUCERS * CONSUMERS)
#define CH(p, c)   ((p) * CONSUMERS + (c))
#define FRAME(ch, at) ((ch) * RECORDS + (at))

mtype = { START, CANCEL };

/* A word is (run, state). */
#define WORD(nth, state) ((nth) * 8 + (state))
#define RUN(word)        ((word) / 8)
#define STATE(word)      ((word) % 8)
#define NONE      0
#define RUNNING   1
#define ENDED     2
#define CANCELLED 3
#define FAILED    4
#define UNASKED   5

/* The channels. */
byte write[CHANNELS];
byte read[CHANNELS];
byte word[CHANNELS];
byte begin[CHANNELS];
byte end[CHANNELS];
byte frame[CHANNELS * RECORDS + 1];               /* each one's run: it does not know it, we do */
chan control[CHANNELS] = [CONTROLS] of { mtype, byte }; /* type, run */

bit p_done[PRODUCERS]; /* the slots */
bit c_done[CONSUMERS];
bit cause;

bit p_killed[PRODUCERS];
byte failed_run[PRODUCERS];
byte put[CHANNELS * ASKS]; /* frames published in each run */
#define PUT(ch, nth) put[(ch) * ASKS + (nth) - 1]

/* ---- the producer ---------------------------------------------------------------------------------------- */

#define HAS_ENOUGH(c) (cancelled[c] >= nth)

#if CONSUMERS == 2
#define UNWANTED(k)    (cancelled[0] >= k && cancelled[1] >= k)
#define WANTS(c)       (asked[c] == nth + 1 && cancelled[c] != nth + 1)
#ifdef ASKED_BY_ALL
#define ASKED          (WANTS(0) && WANTS(1))
#else
#define ASKED          (WANTS(0) || WANTS(1))
#endif
#define MAIL           ((len(control[CH(p, 0)]) > 0) || (len(control[CH(p, 1)]) > 0))
#define OVER_BY(c)     (nth == 0 || asked[c] > nth || cancelled[c] >= nth)
#define DRAINED_BY(c)  (OVER_BY(c) || (asked[c] == nth && read[CH(p, c)] >= end[CH(p, c)]))
#define DRAINED        (DRAINED_BY(0) && DRAINED_BY(1))
#define NOBODY_THERE   (c_done[0] && c_done[1])
#define SOMEBODY_LEFT  ((c_done[0] && !seen_done[0]) || (c_done[1] && !seen_done[1]))
#else
#define UNWANTED(k)    (cancelled[0] >= k)
#define ASKED          (asked[0] == nth + 1 && cancelled[0] != nth + 1)
#define MAIL           (len(control[CH(p, 0)]) > 0)
#define DRAINED        (nth == 0 || asked[0] > nth || cancelled[0] >= nth || (asked[0] == nth && read[CH(p, 0)] >= end[CH(p, 0)]))
#define NOBODY_THERE   c_done[0]
#define SOMEBODY_LEFT  (c_done[0] && !seen_done[0])
#endif
#ifdef NOT_DRAINED
#undef DRAINED
#define DRAINED true
#endif

inline outlet_begin(ch) {
#ifdef WORD_BEFORE_BEGIN
    word[ch] = WORD(nth, RUNNING);
    begin[ch] = write[ch]
#else
    begin[ch] = write[ch];        /* [E1] */
    word[ch] = WORD(nth, RUNNING) /* [E1] */
#endif
}

inline outlet_end(ch, of_run, state) {
    if
    :: RUN(word[ch]) != of_run -> begin[ch] = write[ch]
    :: else
    fi;
#ifdef WORD_BEFORE_END
    word[ch] = WORD(of_run, state);
    end[ch] = write[ch]
#else
    end[ch] = write[ch];           /* [E1] */
    word[ch] = WORD(of_run, state) /* [E1] */
#endif
}

inline end_all(state) {
    for (c : 0 .. CONSUMERS - 1) {
        if
        :: !HAS_ENOUGH(c) -> outlet_end(CH(p, c), nth, state)
        :: else
        fi
    }
    atomic { c = 0; running = 0 }
}

inline consumer_has_enough() {
    if
    :: cancelled[c] < nth || (cancelled[c] == nth && !running) -> skip /* it had ended already */
#ifdef CANCEL_UNANSWERED
    :: else
#else
#ifdef CANCEL_IDLE_UNANSWERED
    :: cancelled[c] > nth
#endif
    :: else -> outlet_end(CH(p, c), cancelled[c], CANCELLED)
#endif
    fi
}

/* take_message(), registry_message() */
inline take_message() {
    atomic {
        control[CH(p, c)] ? type, of_run; /* [C2] */
        if
        :: type == START ->
            assert(of_run == asked[c] + 1 && (of_run <= nth + 1 || cancelled[c] == of_run - 1));
            asked[c] = of_run
        :: type == CANCEL ->
            assert(of_run == asked[c] && of_run != cancelled[c]);
            cancelled[c] = of_run
        fi
    }
    if
    :: type == CANCEL -> consumer_has_enough()
    :: type == START && of_run > RUNS -> outlet_end(CH(p, c), of_run, UNASKED)
    :: else
    fi;
    atomic { of_run = 0; type = 0 }
}

inline take_messages() {
    for (c : 0 .. CONSUMERS - 1) {
        do
        :: (len(control[CH(p, c)]) > 0) -> take_message()
        :: (len(control[CH(p, c)]) == 0) -> break
        od
    }
    c = 0
}

/* A consumer that left without asking will not take what is meant for it: look_at_consumers(), registry_left(). */
inline look_at_consumers() {
    for (k : 0 .. CONSUMERS - 1) {
        if
        :: c_done[k] && !seen_done[k] -> /* [L2] */
            seen_done[k] = 1;
#ifndef LEFT_BEFORE_MAIL
            take_messages();
#endif
#ifndef LEFT_UNNOTICED
            if
            :: RUNS == 1 && asked[k] == 0 && cancelled[k] == 0 -> c = k; cancelled[k] = 1; consumer_has_enough(); c = 0
            :: else
            fi
#endif
        :: else
        fi
    }
    k = 0
}

proctype producer(byte p) {
    byte nth; /* the run that it is in, or was */
    byte c, k, of_run, to;
    byte asked[CONSUMERS], cancelled[CONSUMERS];
    bit seen_done[CONSUMERS];
    bit running, over;
    mtype type;
    {
        skip;
service:
        if
        :: cause -> goto gone /* [F2] */
        :: !cause && MAIL -> take_messages() /* [C4] */
        :: else
        fi;
        if
        :: SOMEBODY_LEFT -> look_at_consumers() /* [P2] */
        :: else
        fi;
        atomic { /* move_stream() */
            if
#ifdef ONE_CANCEL_STOPS
            :: running && (cancelled[0] >= nth || cancelled[CONSUMERS - 1] >= nth) -> running = 0
#else
            :: running && UNWANTED(nth) -> running = 0
#endif
            :: else
            fi;
#ifndef CANCELLED_NOT_PASSED
            do
            :: !running && nth < RUNS && UNWANTED(nth + 1) -> nth++
            :: else -> break
            od;
#endif
            if
            :: over || (!running && nth >= RUNS) -> goto gone
            :: !over && !running && nth < RUNS && ASKED && DRAINED -> nth++; running = 1 /* [S2] */
            :: !over && !running && nth < RUNS && !(ASKED && DRAINED) -> goto wait
            :: else -> goto work
            fi
        }
        for (c : 0 .. CONSUMERS - 1) { /* begin() */
            if
            :: !HAS_ENOUGH(c) -> outlet_begin(CH(p, c))
            :: else
            fi
        }
        c = 0;
work:
        if
        :: atomic { select(to : 0 .. CONSUMERS - 1) } /* a record, for whom it may be */
        :: end_all(ENDED); goto service                /* the source ends */
#ifdef FAILURE
        :: failed_run[p] = nth;
#ifdef FAILED_IS_ENDED
            end_all(ENDED);
#else
            end_all(FAILED); /* mpp_producer_fail() */
#endif
            cause = 1; /* [F1] */
            goto gone
#endif
        fi;
record:
#ifdef NOT_DROPPED
        if
        :: write[CH(p, to)] == RECORDS -> to = 0; goto service
        :: else
        fi;
#else
        if
        :: HAS_ENOUGH(to) || write[CH(p, to)] == RECORDS -> to = 0; goto service
        :: else
        fi;
#endif
        if
        :: write[CH(p, to)] - read[CH(p, to)] < RING -> /* [S2] */
            atomic {
                frame[FRAME(CH(p, to), write[CH(p, to)])] = nth;
                PUT(CH(p, to), nth)++;
                write[CH(p, to)]++; /* [W1] */
                to = 0
            }
            goto service
        :: else
        fi;
        /* It waits for space: mpp_wait(), producer_ready(). */
        if
        :: MAIL || cause || SOMEBODY_LEFT -> goto service /* and the record comes again, or another */
        :: write[CH(p, to)] - read[CH(p, to)] < RING -> goto record
        fi;
wait: /* ... or to be asked, or for the run before to be drained. */
        if
        :: MAIL || cause || SOMEBODY_LEFT || (nth < RUNS && ASKED && DRAINED) -> goto service
        :: NOBODY_THERE && !MAIL -> over = 1 /* producer_timed_out() */
#ifdef LATE
        :: nth == 0 && !MAIL -> over = 1 /* it is told to leave */
#endif
        fi;
gone: /* mpp_producer_detach() */
        if
        :: nth == 0 && !cause ->
            for (c : 0 .. CONSUMERS - 1) {
                outlet_end(CH(p, c), 1, UNASKED)
            }
        :: else
        fi;
        p_done[p] = 1 /* [L1] */
    }
#ifdef DEATH
    unless { p_killed[p] }
#endif
}

/* ---- the consumer ------------------------------------------------------------------------------------------ */

inline send(p, type) {
    assert(len(control[CH(p, c)]) < CONTROLS); /* control.h: it never waits */
    control[CH(p, c)] ! type, nth     /* [C1] [C3] */
}

#define LEFT_BEHIND(p, w)                                                                                              \
    (nth == 0 || RUN(w) > nth ||                                                                                       \
     (RUN(w) == nth &&                                                                                                 \
      (STATE(w) == CANCELLED || STATE(w) == UNASKED || (STATE(w) == ENDED && (cancelled || over[p])))))

#ifdef ASKED_EARLY
#define ALL_LEFT_BEHIND (nth == 0 || cancelled || over[0])
#else
#if PRODUCERS == 2
#define ALL_LEFT_BEHIND (LEFT_BEHIND(0, word[CH(0, c)]) && LEFT_BEHIND(1, word[CH(1, c)]))
#else
#define ALL_LEFT_BEHIND LEFT_BEHIND(0, word[CH(0, c)])
#endif
#endif

#if PRODUCERS == 2
#define ALL_OVER (over[0] && over[1])
#else
#define ALL_OVER over[0]
#endif

#ifdef DONE_UNNOTICED
#define HAS_LEFT(p) false
#else
#define HAS_LEFT(p) p_done[p]
#endif

/* Has anything changed that look() could find? */
#define NEWS(p)                                                                                                        \
    (!over[p] && (write[CH(p, c)] > head[p] || RUN(word[CH(p, c)]) > nth || HAS_LEFT(p) ||                             \
                  (RUN(word[CH(p, c)]) == nth && STATE(word[CH(p, c)]) != RUNNING &&                                   \
                   STATE(word[CH(p, c)]) != FAILED)))
#if PRODUCERS == 2
#define ANY_NEWS (NEWS(0) || NEWS(1))
#else
#define ANY_NEWS NEWS(0)
#endif

#ifdef RUN_NOT_CHECKED
#define OURS(p)  (head[p] >= b)
#define STALE(p) (head[p] < b)
#define LATER    false
#else
#define OURS(p)  (RUN(w) == nth && head[p] >= b)
#define STALE(p) (RUN(w) < nth || head[p] < b)
#define LATER    (RUN(w) > nth)
#endif

/* inlet_end_of(): positions that belong to the word, or are already those of the word that comes next. */
inline read_end(p) {
    w = word[CH(p, c)]; /* [E2] */
    b = begin[CH(p, c)];
    e = end[CH(p, c)]
}

/* look(), with a frame at the head: take it, or pass it.  took: one or the other. */
inline look_at_frame(p) {
    atomic {
        read_end(p);
        if
        :: head[p] < ours_until[p] || (OURS(p) && !LATER) ->
            if
            :: head[p] >= ours_until[p] -> ours_until[p] = write[CH(p, c)]
            :: else
            fi;
            assert(frame[FRAME(CH(p, c), head[p])] == nth);
            got[p]++;
            took = 1
        :: head[p] >= ours_until[p] && STALE(p) ->
            assert(frame[FRAME(CH(p, c), head[p])] < nth);
            took = 1
        :: else
        fi;
        w = 0;
        b = 0;
        e = 0;
        if
        :: took -> head[p]++; read[CH(p, c)] = head[p] /* [S1] */
        :: else
        fi
    }
}

/* ended() */
inline look_at_end(p) {
#ifdef DONE_AFTER_WORD
    atomic { read_end(p) }
#endif
    left = p_done[p]; /* [L2] before [E2] */
    atomic {
#ifndef DONE_AFTER_WORD
        read_end(p);
#endif
        if
        :: RUN(w) > nth -> over[p] = 1
        :: RUN(w) == nth && (STATE(w) == ENDED || STATE(w) == CANCELLED) ->
#ifdef END_NOT_AWAITED
            over[p] = 1
#else
            over[p] = head[p] >= e
#endif
        :: RUN(w) == nth && STATE(w) == UNASKED -> failed = 1
#ifndef DONE_UNNOTICED
        :: left && (RUN(w) < nth || (RUN(w) == nth && STATE(w) == RUNNING)) ->
            assert(cause || RUN(w) < nth); /* who began a run does not leave in it but by a failure */
            failed = 1
#endif
        :: else
        fi;
        if
        :: over[p] -> assert(got[p] == PUT(CH(p, c), nth) && failed_run[p] != nth) /* a clean end */
        :: else
        fi;
        w = 0;
        b = 0;
        e = 0;
        left = 0
    }
}

/* What a producer had published when it died is delivered before its death is told. */
inline note_dead() {
    for (p : 0 .. PRODUCERS - 1) {
        dead[p] = p_killed[p]
    }
    p = 0
}

inline check_dead() {
    atomic {
        for (p : 0 .. PRODUCERS - 1) {
            assert(!dead[p] || got[p] == PUT(CH(p, c), nth))
        }
    }
}

proctype consumer(byte c) {
    byte nth; /* the run that it asked for */
    byte p, w, b, e;
    byte head[PRODUCERS], ours_until[PRODUCERS], got[PRODUCERS];
    bit over[PRODUCERS], dead[PRODUCERS];
    bit cancelled, failed, gone, took, left;
    skip;
ask: /* mpp_start() */
    if
    :: nth == ASKS -> goto leave
#ifdef LEAVE
    :: goto leave
#endif
    :: nth < ASKS
    fi;
    if /* or the wait for it */
    :: ALL_LEFT_BEHIND /* [E2] */
    :: !ALL_LEFT_BEHIND && cause -> goto leave
    fi;
    atomic {
        nth++;
        cancelled = 0;
        for (p : 0 .. PRODUCERS - 1) {
            over[p] = 0;
            got[p] = 0;
#ifndef OURS_FOR_EVER
            ours_until[p] = head[p]
#endif
        }
        p = 0
    }
    for (p : 0 .. PRODUCERS - 1) {
        send(p, START)
    }
    p = 0;
next: /* mpp_next() */
    if
    :: atomic { gone = cause; note_dead() } /* [F2] before [W2] */
    :: goto cancel
    fi;
    for (p : 0 .. PRODUCERS - 1) {
        if
        :: !over[p] && head[p] < write[CH(p, c)] -> look_at_frame(p) /* [W2] */
        :: else
        fi;
        if
        :: took -> atomic { took = 0; p = 0; goto next }
        :: !took && !over[p] -> look_at_end(p)
        :: else
        fi
    }
    p = 0;
    if
    :: ALL_OVER -> goto ask
    :: !ALL_OVER && failed -> cause = 1; goto leave /* endpoint_fail() */
    :: !ALL_OVER && !failed && gone -> check_dead(); goto leave
    :: else
    fi;
    (ANY_NEWS || cause); /* mpp_wait(), consumer_ready() */
    goto next;
cancel: /* mpp_cancel() */
    cancelled = 1;
    for (p : 0 .. PRODUCERS - 1) {
        if
        :: !over[p] -> send(p, CANCEL)
        :: else
        fi
    }
    p = 0;
    goto ask;
leave:
    c_done[c] = 1 /* [L1] */
}

#ifdef DEATH
proctype killer() {
    byte p;
    select(p : 0 .. PRODUCERS - 1);
    if
    :: d_step { !p_done[p] -> p_killed[p] = 1 };
        cause = 1 /* whoever finds it says so */
    :: true
    fi
}
#endif

init {
    byte i;
    atomic {
        for (i : 0 .. PRODUCERS - 1) {
            run producer(i)
        }
        for (i : 0 .. CONSUMERS - 1) {
            run consumer(i)
        }
#ifdef DEATH
        run killer();
#endif
        i = 0
    }
}
