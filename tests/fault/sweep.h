/* sweep.h - every system call of a tool, everything that may be done to it, and a random share of that
 *
 * A scenario is run once with each of its processes traced, so that the calls are known; of all points at which a fault
 * fits so many as asked for are tried, in an order that a seed gives, by two processes at once.  A point is written
 *
 *     SCENARIO/PROCESS/TRACEE/CALL/NTH/DEED[=ERROR]      as in gather-files/p0/1/openat/3/error=EMFILE
 *
 * and the program, called with one, does that alone.  What a run does at the same time as others is not replayed by
 * it: a call may come in another number, or not at all, and such a run counts as none. */
#ifndef SWEEP_H
#define SWEEP_H

#include "trace.h"

enum { POINTS_MAX = 60000, SWEEP_JOBS = 2, KILLS_EACH = 10, ERRORS_EACH = 6, DELAYS_EACH = 2, ANY = -1 };

typedef struct fault {
    unsigned call;
    const char *name;
    deed deed;
    int error;
    unsigned traits; /* all of which the descriptor must have */
    int command;     /* of fcntl(2); ANY: of any call */
} fault;

/* Calls for which younger machines have no number; no call of theirs is traced (trace.h). */
#ifndef SYS_poll
#define SYS_poll       UINT32_MAX
#define SYS_epoll_wait UINT32_MAX
#define SYS_mkdir      UINT32_MAX
#define SYS_unlink     UINT32_MAX
#define SYS_rmdir      UINT32_MAX
#endif

#define FAULT(call, deed, error, traits, command)                                                                      \
    {                                                                                                                  \
        SYS_##call, #call, deed, error, traits, command                                                                \
    }
#define INTERRUPT(call)     FAULT(call, ERROR, EINTR, 0, ANY)
#define REFUSE(call, error) FAULT(call, ERROR, error, 0, ANY)

/* Nobody may notice these.
 *
 * EINTR: the calls that signal(7) and their manuals say are interrupted.  Not fcntl(2): its locks are taken or
 * refused without a wait, on a file system in memory; nor openat(2): what is opened is a file, or does not block.
 * EAGAIN: where the descriptor is one that does not block. */
static const fault invisible[] = {
    INTERRUPT(read),
    INTERRUPT(write),
    INTERRUPT(pread64),
    INTERRUPT(poll),
    INTERRUPT(ppoll),
    INTERRUPT(epoll_wait),
    INTERRUPT(sendto),
    INTERRUPT(recvfrom),
    INTERRUPT(wait4),
    INTERRUPT(waitid),
    INTERRUPT(fallocate),
    INTERRUPT(ftruncate),
    INTERRUPT(getrandom),
    INTERRUPT(dup3),
    FAULT(close, ERROR_AFTER, EINTR, 0, ANY),
    FAULT(read, ERROR, EAGAIN, NEVER_BLOCKS | A_PIPE, ANY),
    FAULT(write, ERROR, EAGAIN, NEVER_BLOCKS | A_PIPE, ANY),
    REFUSE(sendto, EAGAIN),
    REFUSE(recvfrom, EAGAIN),
    FAULT(read, SHORTEN, 0, A_FILE | MANY, ANY),
    FAULT(read, SHORTEN, 0, A_PIPE | MANY, ANY),
    FAULT(write, SHORTEN, 0, A_FILE | MANY, ANY),
    FAULT(write, SHORTEN, 0, A_PIPE | MANY, ANY),
    FAULT(pread64, SHORTEN, 0, A_FILE | MANY, ANY),
};

/* These are overcome, or lead to an error that says what failed. */
static const fault errors[] = {
    REFUSE(openat, EMFILE),
    REFUSE(openat, EACCES),
    REFUSE(openat, ENOMEM),
    REFUSE(read, EIO),
    REFUSE(pread64, EIO),
    FAULT(write, ERROR, EIO, A_FILE, ANY),
    FAULT(write, ERROR, ENOSPC, A_FILE, ANY),
    FAULT(write, ERROR, EIO, A_PIPE, ANY),
    REFUSE(mmap, ENOMEM),
    REFUSE(newfstatat, ENOMEM),
    REFUSE(socket, EMFILE),
    REFUSE(socket, ENOBUFS),
    REFUSE(bind, EACCES),
    REFUSE(bind, ENOSPC),
    REFUSE(sendto, ENOBUFS),
    REFUSE(sendto, ENOMEM),
    REFUSE(recvfrom, ENOMEM),
    REFUSE(mkdir, ENOSPC),
    REFUSE(mkdir, EACCES),
    REFUSE(linkat, ENOSPC),
    REFUSE(unlink, EPERM),
    REFUSE(rmdir, EBUSY),
    REFUSE(fallocate, ENOSPC),
    REFUSE(fallocate, EOPNOTSUPP),
    REFUSE(ftruncate, EFBIG),
    REFUSE(getdents64, EIO),
    REFUSE(epoll_create1, EMFILE),
    REFUSE(epoll_ctl, ENOMEM),
    REFUSE(eventfd2, EMFILE),
    REFUSE(pidfd_open, EMFILE),
    REFUSE(pidfd_open, ENOMEM),
    REFUSE(pipe2, EMFILE),
    REFUSE(clone, EAGAIN),
    REFUSE(clone, ENOMEM),
    REFUSE(execve, ENOMEM),
    REFUSE(dup3, EMFILE),
    REFUSE(poll, ENOMEM),
    REFUSE(ppoll, ENOMEM),
    REFUSE(setpgid, EACCES),
    REFUSE(prctl, EPERM),
    REFUSE(close_range, ENOSYS),
    FAULT(close, ERROR_AFTER, EIO, 0, ANY),
    FAULT(fcntl, ERROR, ENOLCK, 0, F_SETLK),
    FAULT(fcntl, ERROR, ENOLCK, 0, F_GETLK),
    FAULT(fcntl, ERROR, EMFILE, 0, F_DUPFD),
    FAULT(fcntl, ERROR, EPERM, 0, F_SETPIPE_SZ),
};

#define N_OF(array) ((unsigned)(sizeof(array) / sizeof *(array)))

typedef enum kind { KIND_INVISIBLE, KIND_ERROR, KIND_KILL, KINDS } kind;

static inline const fault *sweep_find(const fault *table, unsigned n, const point *p)
{
    for (unsigned i = 0; i < n; i++)
        if (table[i].call == p->call && table[i].deed == p->deed && table[i].error == p->error)
            return &table[i];
    return NULL;
}

static inline kind sweep_kind(const point *p)
{
    if (p->deed == KILL_BEFORE || p->deed == KILL_AFTER)
        return KIND_KILL;
    return p->deed == DELAY || sweep_find(invisible, N_OF(invisible), p) ? KIND_INVISIBLE : KIND_ERROR;
}

/* ---- the points ------------------------------------------------------------------------------------------ */

typedef struct place {
    unsigned scenario, process;
    point at;
} place;

typedef struct sweep sweep;

struct sweep {
    bool (*try)(sweep *w, const place *p, unsigned number); /* was the fault made to happen? */
    unsigned want;
    const scenario *scenarios;
    unsigned n_scenarios, scenario, process; /* what is looked at */
    place *places;
    unsigned n;
    struct shared { /* by those that work on it */
        _Atomic unsigned next, tried, done[KINDS], failed, by_deed[DEEDS];
    } * shared;
};

static inline bool sweep_suits(const fault *f, unsigned traits, const uint64_t args[6])
{
    if (HARNESS_SANITIZED && f->call == SYS_mmap)
        return false; /* a sanitizer's allocator ends the program */
    return (f->traits & ~traits) == 0 && (f->command == ANY || (uint64_t)f->command == args[1]);
}

static inline bool sweep_fits(const point *p, unsigned traits, const uint64_t args[6])
{
    bool known = false;
    for (unsigned k = 0; k < 2; k++) {
        const fault *table = k ? errors : invisible;
        for (unsigned i = 0; i < (k ? N_OF(errors) : N_OF(invisible)); i++)
            if (table[i].call == p->call && table[i].deed == p->deed && table[i].error == p->error) {
                known = true;
                if (sweep_suits(&table[i], traits, args))
                    return true;
            }
    }
    return !known;
}

static inline void sweep_add(sweep *w, const point *at, deed what, int error)
{
    place new = {w->scenario, w->process, *at};
    new.at.deed = what;
    new.at.error = error;
    for (unsigned i = 0; i < w->n; i++)
        if (memcmp(&w->places[i], &new, sizeof new) == 0)
            return;
    if (w->n < POINTS_MAX)
        w->places[w->n++] = new;
}

/* A call was seen: what may be done to it? */
static inline void sweep_seen(void *arg, const point *at, unsigned traits, const uint64_t args[6])
{
    sweep *w = arg;
    if (at->nth <= KILLS_EACH && at->call != SYS_exit_group) {
        sweep_add(w, at, KILL_BEFORE, 0);
        sweep_add(w, at, KILL_AFTER, 0);
    }
    if (at->nth <= DELAYS_EACH)
        sweep_add(w, at, DELAY, 0);
    for (unsigned i = 0; at->nth <= ERRORS_EACH && i < N_OF(invisible); i++)
        if (invisible[i].call == at->call && sweep_suits(&invisible[i], traits, args))
            sweep_add(w, at, invisible[i].deed, invisible[i].error);
    for (unsigned i = 0; at->nth <= ERRORS_EACH && i < N_OF(errors); i++)
        if (errors[i].call == at->call && sweep_suits(&errors[i], traits, args))
            sweep_add(w, at, errors[i].deed, errors[i].error);
}

static inline void sweep_shuffle(sweep *w)
{
    for (unsigned i = w->n; i > 1; i--) {
        unsigned k = (unsigned)tap_random(i);
        place other = w->places[k];
        w->places[k] = w->places[i - 1];
        w->places[i - 1] = other;
    }
}

/* ---- a point as text ------------------------------------------------------------------------------------------- */

static inline const char *sweep_call(unsigned call)
{
    static char number[16];
    for (unsigned i = 0; i < N_OF(invisible); i++)
        if (invisible[i].call == call)
            return invisible[i].name;
    for (unsigned i = 0; i < N_OF(errors); i++)
        if (errors[i].call == call)
            return errors[i].name;
    snprintf(number, sizeof number, "%u", call);
    return number;
}

static inline const char *sweep_text(const sweep *w, const place *p)
{
    static char text[256];
    const scenario *s = &w->scenarios[p->scenario];
    snprintf(text, sizeof text, "%s/%.2s/%u/%s/%u/%s%s%s", s->name, s->processes[p->process], p->at.tracee,
             sweep_call(p->at.call), p->at.nth, deed_names[p->at.deed], p->at.error ? "=" : "",
             p->at.error ? strerrorname_np(p->at.error) : "");
    return text;
}

static inline const place *sweep_named(const sweep *w, const char *text)
{
    for (unsigned i = 0; i < w->n; i++)
        if (strcmp(sweep_text(w, &w->places[i]), text) == 0)
            return &w->places[i];
    return NULL;
}

/* ---- working on it
 * ------------------------------------------------------------------------------------------------ */

static inline void sweep_work(void *arg)
{
    sweep *w = arg;
    for (;;) {
        unsigned done = 0, number = atomic_fetch_add(&w->shared->next, 1);
        for (unsigned k = 0; k < KINDS; k++)
            done += w->shared->done[k];
        if (done >= w->want || number >= 4 * w->want || w->shared->failed >= 20)
            return;
        const place *p = &w->places[number % w->n];
        w->shared->tried++;
        if (w->try(w, p, number)) {
            w->shared->done[sweep_kind(&p->at)]++;
            w->shared->by_deed[p->at.deed]++;
        }
    }
}

/* What main does with an argument: a point, or `list`. */
static inline int sweep_by_hand(sweep *w, const char *text)
{
    const place *p = sweep_named(w, text);
    for (unsigned i = 0; strcmp(text, "list") == 0 && i < w->n; i++)
        diag("%s", sweep_text(w, &w->places[i]));
    for (unsigned number = 0; p && number < 4; number++) {
        unsigned failed = w->shared->failed;
        bool done = w->try(w, p, number);
        ok(w->shared->failed == failed, "%s%s", text, done ? "" : " (it did not come to that)");
    }
    if (!p && strcmp(text, "list") != 0)
        bail_out("no such point: %s", text);
    sandbox_end();
    free(w->places);
    return done_testing();
}

static inline void sweep_tell(const sweep *w)
{
    const struct shared *s = w->shared;
    unsigned done = s->done[KIND_INVISIBLE] + s->done[KIND_ERROR] + s->done[KIND_KILL];
    ok(done >= w->want && w->n > 0, "of %u points %u were tried, and the fault happened %u times", w->n, s->tried,
       done);
    diag("%u kills, %u errors, %u that nobody may notice", s->done[KIND_KILL], s->done[KIND_ERROR],
         s->done[KIND_INVISIBLE]);
    for (unsigned d = 0; d < DEEDS; d++)
        diag("%s: %u", deed_names[d], s->by_deed[d]);
    ok(s->failed == 0, "each time all ended, with whole records, the promised status and word, and nothing was left");
}

/* What a program is about. */
typedef struct task {
    const scenario *scenarios;
    unsigned n_scenarios, want;
    void (*look)(sweep *w); /* finds the points */
    bool (*try)(sweep *w, const place *p, unsigned number);
    const char *const *always; /* points that once found a defect, and come first; NULL behind them */
} task;

static inline void sweep_first(sweep *w, const char *const *always)
{
    for (unsigned n = 0; *always; always++) {
        place *p = (place *)sweep_named(w, *always);
        if (!p) /* the tool has no such call, here or any more */
            continue;
        place other = *p;
        *p = w->places[n];
        w->places[n++] = other;
    }
}

/* All of it; of `by_hand` alone, if there is such a point. */
static inline int sweep_main(const task *t, const char *by_hand)
{
    sweep w = {.try = t->try, .want = t->want, .scenarios = t->scenarios, .n_scenarios = t->n_scenarios};
    if (!TRACE_WORKS)
        return printf("1..0 # SKIP system calls are changed on x86-64 only\n") < 0;
    w.places = calloc(POINTS_MAX, sizeof *w.places);
    w.shared = sandbox_shared(sizeof *w.shared);
    if (!w.places)
        bail_out("no memory");
    harness_begin(100);
    sandbox_begin();
    sandbox_seed();
    t->look(&w);
    if (by_hand)
        return sweep_by_hand(&w, by_hand);
    sandbox_end();
    sweep_shuffle(&w);
    sweep_first(&w, t->always);
    w.shared->failed += sandbox_workers(SWEEP_JOBS, 60 + t->want / 5, sweep_work, &w);
    sweep_tell(&w);
    free(w.places);
    return done_testing();
}

#endif
