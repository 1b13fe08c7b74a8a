/* leave.pml - coming, leaving and dying: slots, record locks, pidfds, `peers`, `closed`, the barrier
 *
 * One producer and N - 1 consumers come, at any time; perhaps each waits for everybody first (-DBARRIER); the consumers
 * leave, at any time, and the producer waits for somebody to ask, which nobody does.  Shows: when the last consumer has
 * left the mesh is closed, and who comes later finds it so; when all have left the mesh is removed; a death is found by
 * everybody who sleeps, and nobody who left is taken for dead; nobody waits for ever.  The steps are those of endpoint.c
 * and endpoint.h: [P1] [P2] [L1] [L2] [L3] [K1] [K2] [B1] [B2].
 *
 * Bells for who comes and goes ring whether one is armed or not, so armed is not in it: doorbell.pml has that.  They
 * ring everybody whose pid is there, so who comes without the fence [L3] would learn a little later that the mesh is closed.
 *
 * CHECK   -DN=3
 * CHECK   -DN=3 -DBARRIER -DLANES
 * CHECK   -DN=2 -DDEATH              one of them is killed, at any step
 * CHECK   -DN=2 -DDEATH -DBARRIER
 * SOAK    -DN=3 -DDEATH
 * SOAK    -DN=3 -DDEATH -DBARRIER
 *
 * MUTANT  NO_L3_LEAVING              no fence between DONE and the look at the others
 * MUTANT  CLOSED_BEFORE_DONE         whether the others have left is looked at before the slot is DONE
 * MUTANT  NO_BELL_AT_CLOSED -DLANES  nobody is told that the mesh is closed
 * MUTANT  NO_P1 -DN=2 -DDEATH        who comes or leaves is not counted
 * MUTANT  BARRIER_BEFORE_COMING -DBARRIER -DLANES  `barrier` is looked at before it can be seen who comes [B2]
 * MUTANT  BARRIER_AFTER_LOOK -DBARRIER -DLANES `barrier` is raised after the look at who is there
 * MUTANT  UNLOCKED_BEFORE_DONE -DN=2 -DWATCH  the lock is dropped before the slot is DONE
 * MUTANT  NOT_LOOKED_AGAIN -DN=2 -DWATCH      a lock that nobody holds is a death, whatever the slot says by then
 * MUTANT  LEAVING_NOT_FINISHED -DN=2 -DDEATH   of who died while it left nobody does what it had yet to do
 * MUTANT  LIVE_BEFORE_BELL -DN=2 -DDEATH   the bell for who comes rings after LIVE, not before
 * MUTANT  LOCKED_AFTER_BELL -DN=2 -DDEATH  ... and before the lock is held
 * MUTANT  BOUND_AFTER_LOOK -DN=2 -DDEATH   the socket is bound after the look at who is there
 * MUTANT  FREE_NOT_WATCHED -DN=2 -DDEATH   who is coming is not watched yet
 */
#ifndef N
#define N 3 /* participants; 0 is the producer */
#endif
#ifdef DEATH
#define WATCH
#endif
#if N == 3
#define ALL(what) (what(0) && what(1) && what(2))
#define ANY(what) (what(0) || what(1) || what(2))
#else
#define ALL(what) (what(0) && what(1))
#define ANY(what) (what(0) || what(1))
#endif

#define PEERS   0 /* the header's words */
#define CAUSE   1
#define CLOSED  2
#define RAISED  3 /* barrier */
#define STATE   4 /* of each slot */
#define PID     (STATE + N)

#define THREADS   N
#define LOCATIONS (PID + N)
#include "memory.pml"

#define FREE 0 /* STATE */
#define LIVE 1
#define DONE 2
#define DEAD 3

/* What the kernel keeps. */
bit lock[N];
bit bound[N];
bit bell[N];
bit exited[N];
bit away[N]; /* left, not killed */
bit known[N * N]; /* i watches k by a pidfd */
#define KNOWN(i, k) known[(i) * N + (k)]
#define NEWS(i, k)  (KNOWN(i, k) && exited[k])

bit asleep[N];
bit removed, killed;

#ifdef NO_L3_LEAVING
#define fence_leaving true
#else
#define fence_leaving fence(me)
#endif
#ifdef BARRIER_BEFORE_COMING
#define BARRIER_SEEN raised
#else
#define BARRIER_SEEN (load(me, RAISED) != 0)
#endif

/* mesh_ring_lane(), mesh_ring_all(): from a producer's lane or from another, it is the same here.  One step. */
#define MAY_BE_THERE(k) (load(me, STATE + k) == LIVE || (load(me, STATE + k) == FREE && load(me, PID + k)))
inline ring_all() {
    atomic {
        fence(me);
        for (j : 0 .. N - 1) {
            if
            :: MAY_BE_THERE(j) && bound[j] -> bell[j] = 1
            :: else
            fi
        }
        j = 0
    }
}

/* announce(); with -DLANES each is in a lane of its own: nobody watches the others, and only the barrier has all rung. */
inline announce() {
#ifdef NO_P1
    fence(me);
#else
    add(me, PEERS, 1); /* [P1] */
#endif
#ifdef LANES
    if
    :: fence(me) && BARRIER_SEEN -> ring_all() /* [B2] */
    :: fence(me) && !BARRIER_SEEN
    fi
#else
    ring_all()
#endif
}

inline found_dead(k) {
    atomic {
        assert(killed && !away[k]); /* nobody who left is taken for dead */
        cas(me, STATE + k, LIVE, DEAD)
    }
    cas(me, CAUSE, 0, 1); /* [F1] */
    ring_all()
}

#ifdef FREE_NOT_WATCHED
#define NOBODY(k) (s != LIVE)
#else
#define NOBODY(k) (s == DONE || (s == DEAD && load(me, CAUSE)) || (s == FREE && !load(me, PID + k)))
#endif

inline look_at(k) {
    do
    :: s = load(me, STATE + k); /* [L2] */
        if
        :: NOBODY(k) -> KNOWN(me, k) = 0; break
        :: else
        fi;
        if
        :: s == DEAD -> found_dead(k); break
        :: s != DEAD && lock[k] && KNOWN(me, k) -> break
        :: s != DEAD && lock[k] && !KNOWN(me, k) -> KNOWN(me, k) = 1 /* and round again */
        :: s != DEAD && !lock[k] ->
            KNOWN(me, k) = 0;
            if
#ifdef NOT_LOOKED_AGAIN
            :: s == LIVE -> found_dead(k)
#else
            :: load(me, STATE + k) == LIVE -> found_dead(k) /* [L2] again */
#endif
            :: else
            fi;
            break
        fi
    od;
    s = 0
}

/* endpoint_gone(), endpoint_look() */
#ifdef WATCH
inline look() {
    atomic { x = load(me, PEERS); changed = x != seen; seen = x; x = 0 } /* [P2] */
    if
    :: changed ->
        for (i : 0 .. N - 1) {
            if
            :: i != me -> look_at(i)
            :: else
            fi
        }
        i = 0
    :: else
    fi
}
#else
inline look() {
    skip
}
#endif

#define NEWS_OF(k) NEWS(me, k)

/* Whoever watched one that died while it left does for it what it could not do any more. */
inline process_gone(k) {
    KNOWN(me, k) = 0;
    look_at(k);
#ifndef LEAVING_NOT_FINISHED
    if
    :: load(me, STATE + k) == DONE && load(me, PEERS) == seen -> add(me, PEERS, 1) /* [P1] */
    :: else
    fi
#endif
}

/* poll(), endpoint_heard() */
inline sleep() {
#ifdef WATCH
    atomic { (bell[me] || ANY(NEWS_OF)) -> asleep[me] = 0; bell[me] = 0 }
    for (i : 0 .. N - 1) {
        if
        :: NEWS(me, i) -> process_gone(i)
        :: else
        fi
    }
    i = 0;
    look()
#else
    atomic { bell[me] -> asleep[me] = 0; bell[me] = 0 }
#endif
}

/* endpoint_everybody() */
#define HERE(k) (load(me, STATE + k) != FREE || load(me, PID + k))

/* mesh_finished(): no consumer is there or to come, no producer owes a run. */
#define FINISHED_BY(k) (k == 0 || load(me, STATE + k) > LIVE)
#define FINISHED       ALL(FINISHED_BY)

/* mesh_deserted(), mesh_complete() */
#define GONE(k)     (load(me, STATE + k) > LIVE)
#define LAST_OUT    ALL(GONE)

inline close() {
    if
    :: fence_leaving && !load(me, CLOSED) && FINISHED -> /* [L3] [K2] */
        store_release(me, CLOSED, 1);                    /* [K1] */
#ifndef NO_BELL_AT_CLOSED
        ring_all()
#endif
    :: else
    fi
}

inline leave() {
#ifdef CLOSED_BEFORE_DONE
    close();
#endif
#ifdef UNLOCKED_BEFORE_DONE
    lock[me] = 0;
#endif
    store_release(me, STATE + me, DONE); /* [L1] */
    bound[me] = 0;
#ifndef CLOSED_BEFORE_DONE
    fence_leaving;
    close();
#endif
    announce();
    if
    :: (load(me, CLOSED) || load(me, CAUSE)) && LAST_OUT -> removed = 1
    :: else
    fi;
    atomic { lock[me] = 0; away[me] = 1 }
    exited[me] = 1
}

proctype participant(byte me) {
    byte i, j, s, x, seen;
    byte looked;
    bit changed, enough, raised;
    {
        skip;
        /* endpoint_attach() */
#ifndef LOCKED_AFTER_BELL
        lock[me] = 1;
#endif
#ifndef BOUND_AFTER_LOOK
        bound[me] = 1;
#endif
#ifdef BARRIER_BEFORE_COMING
        raised = load(me, RAISED) != 0;
#endif
        store(me, PID + me, 1);
#ifdef LIVE_BEFORE_BELL
        store_release(me, STATE + me, LIVE);
#endif
        announce();
#ifdef LOCKED_AFTER_BELL
        lock[me] = 1;
#endif
        store_release(me, STATE + me, LIVE); /* [L1] */
        fence(me);                           /* [L3] */
        seen = load(me, PEERS) - 1;
        look();
#ifdef BOUND_AFTER_LOOK
        bound[me] = 1;
#endif
        if
        :: load(me, CLOSED) -> goto out /* [K2] */
        :: else
        fi;
#ifdef BARRIER
#ifndef BARRIER_AFTER_LOOK
        add(me, RAISED, 1); /* [B1] */
#endif
        do /* endpoint_everybody() */
        :: load(me, CAUSE) -> break
        :: !load(me, CAUSE) && ALL(HERE) -> break
        :: else ->
#ifdef BARRIER_AFTER_LOOK
            add(me, RAISED, 1);
#endif
            asleep[me] = 1;
end_everybody:
            sleep()
        od;
#endif
        if
        :: me != 0 -> goto out /* a consumer may leave at any time */
        :: else
        fi;
        do /* mpp_wait(), mpp_service(): those that left without asking have enough, and of all it has nothing to give */
#ifdef WATCH
        :: atomic { looked != seen -> looked = seen; enough = FINISHED } /* look_at_consumers(), registry_left() */
#endif
        :: load(me, CAUSE) || load(me, CLOSED) || enough -> break /* [F2] [K2] */
        :: else ->
            asleep[me] = 1;
end_asked:
            sleep()
        od;
out:
        leave()
    } unless { exited[me] }
}

#ifdef DEATH
proctype killer() {
    byte who;
    select(who : 0 .. N - 1);
    if
    :: d_step { !exited[who] -> killed = 1; exited[who] = 1; lock[who] = 0; bound[who] = 0; asleep[who] = 0; mem_lose(who) }
    :: true
    fi
}
#endif

/* When nothing goes on. */
#define ASLEEP(k)  asleep[k]
#define UNFOUND(k) (exited[k] && mem[STATE + k] == LIVE)
/* Killed before it was there: as if it had not come yet, and others wait for it. */
#define NEVER_CAME(k) (exited[k] && mem[STATE + k] == FREE)

proctype watch() {
    timeout;
    assert(!ANY(ASLEEP) || !ANY(UNFOUND));
    assert(!ANY(ASLEEP) || ANY(NEVER_CAME));
    assert(killed || mem[CAUSE] == 0);
    assert(killed || mem[CLOSED]);
    assert(killed || removed)
}

init {
    byte k;
    atomic {
        for (k : 0 .. N - 1) {
            run memory(k)
        }
        for (k : 0 .. N - 1) {
            run participant(k)
        }
        run watch();
#ifdef DEATH
        run killer();
#endif
        k = 0
    }
}
