/* stepper.h - a child that is stopped after any instruction of a phase that it marks
 *
 *     static int child(void *arg) { prepare(); stepper_mark(); what_is_stepped(); stepper_mark(); ... }
 *
 *     stepper_start(&s, child, arg);       the child runs
 *     stepper_to_mark(&s);                 ... to its next mark
 *     stepper_record(&s, &t);              step by step to the mark after that: where each step ends
 *     stepper_run(&s, &t, 0, k);           in another child at the same mark: to where k steps had led
 *     stepper_kill(&s);
 *
 * A step costs a trap and two switches of process, some 30 us.  So a child is let run to an instruction near k that was
 * rarely reached before, by a breakpoint, and steps from there.  For that it must take the same way each time; where it
 * does not, it is found at its next mark.  Children are forked and not executed: their code stands where ours does. */
#ifndef STEPPER_H
#define STEPPER_H

#include "harness.h"

#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#if defined(__x86_64__)
#define STEPPER_WORKS 1
#else
#define STEPPER_WORKS 0
#endif

typedef struct stepper {
    pid_t pid;
} stepper;

/* at[i]: where the child is after i steps; the n-th leads over the mark.  seen[i]: others can see that the i-th was
 * done, for it was a system call or has changed what is watched. */
typedef struct stepper_trace {
    uintptr_t *at;
    bool *seen;
    unsigned n, room;
} stepper_trace;

#if STEPPER_WORKS

static inline void stepper_forget(stepper_trace *t)
{
    free(t->at);
    free(t->seen);
    *t = (stepper_trace){0};
}

static inline void stepper_mark(void)
{
    __asm__ volatile("int3" ::: "memory");
}

static inline uintptr_t stepper_at(const stepper *s)
{
    return (uintptr_t)ptrace(PTRACE_PEEKUSER, s->pid, offsetof(struct user_regs_struct, rip), NULL);
}

static inline void stepper_set_at(const stepper *s, uintptr_t at)
{
    ptrace(PTRACE_POKEUSER, s->pid, offsetof(struct user_regs_struct, rip), at);
}

/* Does this instruction enter the kernel? */
static inline bool stepper_is_syscall(uintptr_t at)
{
    return ((const unsigned char *)at)[0] == 0x0f && ((const unsigned char *)at)[1] == 0x05;
}

/* true: stopped by a trap; false: it has ended, and is reaped. */
static inline bool stepper_await(stepper *s)
{
    int status;
    if (waitpid(s->pid, &status, 0) != s->pid)
        bail_out("waitpid: %s", strerror(errno));
    if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP)
        bail_out("the child that is stepped got signal %d", WSTOPSIG(status));
    if (WIFSTOPPED(status))
        return true;
    s->pid = 0;
    return false;
}

static inline bool stepper_to_mark(stepper *s)
{
    return ptrace(PTRACE_CONT, s->pid, NULL, NULL) == 0 && stepper_await(s);
}

/* One step.  false: it has come to a mark, or ended. */
static inline bool stepper_step(stepper *s)
{
    siginfo_t why;
    return ptrace(PTRACE_SINGLESTEP, s->pid, NULL, NULL) == 0 && stepper_await(s) &&
           ptrace(PTRACE_GETSIGINFO, s->pid, NULL, &why) == 0 && why.si_code != SI_KERNEL;
}

/* To the first mark.  false: children cannot be traced here. */
static inline bool stepper_start(stepper *s, int (*f)(void *arg), void *arg)
{
    fflush(stdout);
    s->pid = fork();
    if (s->pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(77);
        _exit(f(arg));
    }
    if (s->pid < 0)
        bail_out("fork: %s", strerror(errno));
    return stepper_await(s) && ptrace(PTRACE_SETOPTIONS, s->pid, NULL, PTRACE_O_EXITKILL) == 0;
}

static inline void stepper_kill(stepper *s)
{
    int status;
    if (!s->pid)
        return;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, &status, 0) == s->pid && WIFSTOPPED(status))
        ;
    s->pid = 0;
}

static inline void stepper_grow(stepper_trace *t)
{
    t->room = t->room ? 2 * t->room : 4096;
    t->at = realloc(t->at, t->room * sizeof *t->at);
    t->seen = realloc(t->seen, t->room * sizeof *t->seen);
    if (!t->at || !t->seen)
        bail_out("no memory");
}

/* To the next mark; what others can see of it, but for files, are `size` bytes of memory that we share with it. */
static inline void stepper_record(stepper *s, stepper_trace *t, const void *watched, size_t size)
{
    bytes before = {0};
    bytes_add(&before, watched, size);
    do {
        if (t->n == t->room)
            stepper_grow(t);
        t->at[t->n] = stepper_at(s);
        t->seen[t->n] =
            (t->n > 0 && stepper_is_syscall(t->at[t->n - 1])) || (size > 0 && memcmp(before.data, watched, size) != 0);
        if (size > 0 && t->seen[t->n])
            memcpy(before.data, watched, size);
        t->n++;
    } while (stepper_step(s));
    bytes_free(&before);
}

/* How often at[j] is reached in the steps from + 1 .. j, as far as that is less than most. */
static inline unsigned stepper_times(const stepper_trace *t, unsigned from, unsigned j, unsigned most)
{
    unsigned times = 0;
    for (unsigned i = from + 1; i <= j && times < most; i++)
        times += t->at[i] == t->at[j];
    return times;
}

/* The place to run to that makes the way to step `to` the cheapest; `from`: none. */
static inline unsigned stepper_near(const stepper_trace *t, unsigned from, unsigned to, unsigned *times)
{
    enum { HIT = 3 }; /* what reaching a breakpoint once more costs, in steps */
    unsigned best = from, cost = to - from;
    for (unsigned j = to; j > from && to - j < cost; j--) {
        unsigned n = stepper_times(t, from, j, 16);
        if (n < 16 && to - j + HIT * n < cost) {
            best = j;
            cost = to - j + HIT * n;
            *times = n;
        }
    }
    return best;
}

/* Run to an instruction and reach it so many times.  false: it has come to a mark before. */
static inline bool stepper_reach(stepper *s, uintptr_t at, unsigned times)
{
    errno = 0;
    const long word = ptrace(PTRACE_PEEKTEXT, s->pid, at, NULL);
    if (errno)
        bail_out("cannot read the child's code: %s", strerror(errno));
    while (times--) {
        if (stepper_at(s) == at && !stepper_step(s)) /* off it first */
            return false;
        if (ptrace(PTRACE_POKETEXT, s->pid, at, (word & ~0xffL) | 0xcc) < 0)
            bail_out("cannot set a breakpoint: %s", strerror(errno));
        const bool stopped = stepper_to_mark(s);
        ptrace(PTRACE_POKETEXT, s->pid, at, word);
        if (!stopped || stepper_at(s) != at + 1)
            return false;
        stepper_set_at(s, at);
    }
    return true;
}

/* From step `from` of the trace, where the child is, to step `to`.  false: it took another way, to a mark or its
 * end. */
static inline bool stepper_run(stepper *s, const stepper_trace *t, unsigned from, unsigned to)
{
    if (to == t->n)
        return stepper_to_mark(s);
    unsigned times = 0;
    const unsigned near = stepper_near(t, from, to, &times);
    if (near != from && !stepper_reach(s, t->at[near], times))
        return false;
    for (unsigned i = near; i < to; i++)
        if (!stepper_step(s))
            return false;
    return true;
}

#endif
#endif
