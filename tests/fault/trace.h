/* trace.h - one process and its children under ptrace(2), and one thing done to one of their system calls
 *
 * Calls are counted from the first line of the tool's main on (the dynamic loader's are not its own), for each
 * process and each call.  A process is numbered by how it came about: the tool is 1, the k-th child of process n is
 * 8n + k.  Who becomes another program by exec is let go. */
#ifndef TRACE_H
#define TRACE_H

#include "scenario.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#ifdef __x86_64__
enum { TRACE_WORKS = 1 };
typedef struct user_regs_struct registers;
#else
enum { TRACE_WORKS = 0 };
typedef char registers;
#endif

typedef enum deed {
    KILL_BEFORE, /* the process, the call is not made */
    KILL_AFTER,  /* the process, when the call was made */
    ERROR,       /* it fails with an error, and is not made */
    ERROR_AFTER, /* it is made, and fails with an error all the same: close(2) */
    SHORTEN,     /* one byte is read or written, or sent */
    DELAY,       /* it is made some time later */
    DEEDS,
} deed;

static const char *const deed_names[DEEDS] = {"kill-before", "kill-after", "error", "error-after", "short", "delay"};

/* Where, and what. */
typedef struct point {
    unsigned tracee;    /* its number */
    unsigned call, nth; /* from 1 */
    deed deed;
    int error;
} point;

/* What a descriptor is, as far as the call's manual cares. */
typedef enum trait {
    A_FILE = 1,
    A_PIPE = 2,
    A_SOCKET = 4,
    NEVER_BLOCKS = 8,
    MANY = 16 /* bytes, not a message */
} trait;

typedef struct tracee {
    pid_t pid;
    unsigned number, children;
    bool waits; /* it has stopped before its parent told of it */
} tracee;

typedef struct trace {
    const point *plan; /* NULL: only look on */
    bool (*fits)(const point *plan, unsigned traits, const uint64_t args[6]);
    void (*seen)(void *arg, const point *at, unsigned traits, const uint64_t args[6]);
    void *arg;
    bool begun, done; /* main runs; the plan was carried out */
    int64_t done_ns;
    bool undo; /* at the end of this call, see `saved` */
    pid_t undo_pid;
    registers saved;
    tracee tracees[32];
    unsigned n_tracees;
    struct {
        unsigned tracee, call, n;
    } counts[512];
    unsigned n_counts;
} trace;

/* In the child, before exec. */
static inline void trace_me(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static inline tracee *trace_find(trace *t, pid_t pid)
{
    for (unsigned i = 0; i < t->n_tracees; i++)
        if (t->tracees[i].pid == pid)
            return &t->tracees[i];
    return NULL;
}

static inline tracee *trace_add(trace *t, pid_t pid, unsigned number)
{
    if (t->n_tracees == sizeof t->tracees / sizeof *t->tracees)
        bail_out("too many processes to trace");
    tracee *e = &t->tracees[t->n_tracees++];
    *e = (tracee){.pid = pid, .number = number};
    return e;
}

static inline void trace_resume(pid_t pid, int sig)
{
    ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)sig); /* ESRCH: killed meanwhile */
}

/* ---- what is done ---------------------------------------------------------------------------------------- */

#ifdef __x86_64__
static inline bool trace_bytes_call(unsigned call)
{
    return call == SYS_read || call == SYS_write || call == SYS_pread64;
}

static inline unsigned trace_traits(pid_t pid, unsigned call, const uint64_t args[6])
{
    char path[64], target[256];
    unsigned flags = 0, traits = 0;
    if (!trace_bytes_call(call) && call != SYS_sendto && call != SYS_recvfrom)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, (int)args[0]);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    traits = target[0] == '/' ? A_FILE : strncmp(target, "pipe:", 5) == 0 ? A_PIPE : 0;
    traits |= strncmp(target, "socket:", 7) == 0 ? A_SOCKET : 0;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)pid, (int)args[0]);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "pos: %*d flags: %o", &flags) == 1 && flags & O_NONBLOCK)
        traits |= NEVER_BLOCKS;
    if (f)
        fclose(f);
    return traits | (args[2] > 64 ? MANY : 0);
}

static inline void trace_entry(trace *t, pid_t pid)
{
    const point *p = t->plan;
    registers now;
    t->done = true;
    t->done_ns = sandbox_now();
    if (p->deed == KILL_BEFORE)
        kill(pid, SIGKILL);
    if (p->deed == DELAY) /* nobody else waits for us: others run on */
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    if (p->deed == KILL_BEFORE || p->deed == DELAY)
        return;
    ptrace(PTRACE_GETREGS, pid, NULL, &t->saved);
    now = t->saved;
    if (p->deed == ERROR)
        now.orig_rax = (unsigned long long)-1;
    if (p->deed == SHORTEN)
        now.rdx = 1;
    ptrace(PTRACE_SETREGS, pid, NULL, &now);
    t->undo = true;
    t->undo_pid = pid;
}

/* The end of the call that was tampered with. */
static inline void trace_exit(trace *t, pid_t pid)
{
    registers now;
    t->undo = false;
    if (t->plan->deed == KILL_AFTER) {
        t->done_ns = sandbox_now();
        kill(pid, SIGKILL);
        return;
    }
    ptrace(PTRACE_GETREGS, pid, NULL, &now);
    now.rdx = t->saved.rdx;
    now.orig_rax = t->saved.orig_rax;
    if (t->plan->deed == ERROR || t->plan->deed == ERROR_AFTER)
        now.rax = (unsigned long long)-t->plan->error;
    ptrace(PTRACE_SETREGS, pid, NULL, &now);
}
#else
static inline unsigned trace_traits(pid_t pid, unsigned call, const uint64_t args[6])
{
    (void)pid, (void)call, (void)args;
    return 0;
}

static inline void trace_entry(trace *t, pid_t pid)
{
    (void)t, (void)pid;
}

static inline void trace_exit(trace *t, pid_t pid)
{
    (void)t, (void)pid;
}
#endif

/* ---- system calls ------------------------------------------------------------------------------------------ */

static inline unsigned trace_count(trace *t, unsigned number, unsigned call)
{
    unsigned i = 0;
    while (i < t->n_counts && (t->counts[i].tracee != number || t->counts[i].call != call))
        i++;
    if (i == sizeof t->counts / sizeof *t->counts)
        bail_out("too many kinds of calls to count");
    if (i == t->n_counts) {
        t->counts[i].tracee = number;
        t->counts[i].call = call;
        t->n_counts++;
    }
    return ++t->counts[i].n;
}

static inline void trace_call(trace *t, const tracee *e)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, e->pid, (void *)sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && t->undo && t->undo_pid == e->pid)
        trace_exit(t, e->pid);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return;
    uint64_t args[6];
    unsigned call = (unsigned)info.entry.nr;
    for (unsigned i = 0; i < 6; i++)
        args[i] = info.entry.args[i];
    /* Each tool first sees to it that descriptors 0 to 2 are open. */
    t->begun |= call == SYS_fcntl && args[0] == 0 && args[1] == F_GETFD;
    if (!t->begun || t->done)
        return;
    point at = {.tracee = e->number, .call = call, .nth = trace_count(t, e->number, call)};
    if (!t->plan) {
        t->seen(t->arg, &at, trace_traits(e->pid, call, args), args);
        return;
    }
    const point *p = t->plan;
    if (at.tracee == p->tracee && at.call == p->call && at.nth == p->nth &&
        t->fits(p, trace_traits(e->pid, call, args), args))
        trace_entry(t, e->pid);
}

/* ---- processes ----------------------------------------------------------------------------------------------- */

static inline void trace_child(trace *t, tracee *parent)
{
    unsigned long message = 0;
    ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &message);
    pid_t pid = (pid_t)message;
    unsigned number = parent->number * 8 + ++parent->children;
    tracee *child = trace_find(t, pid);
    if (!child) {
        trace_add(t, pid, number);
        return;
    }
    child->number = number;
    child->waits = false;
    trace_resume(pid, 0);
}

/* A child of ours has stopped, which only those do that are traced. */
static inline void trace_stopped(trace *t, pid_t pid, int status)
{
    int sig = WSTOPSIG(status), event = status >> 16;
    tracee *e = trace_find(t, pid);
    if (!e && t->n_tracees == 0) { /* the tool, at its exec */
        trace_add(t, pid, 1);
        ptrace(PTRACE_SETOPTIONS, pid, NULL,
               (void *)(intptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                  PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
        trace_resume(pid, 0);
    } else if (!e) {
        trace_add(t, pid, 0)->waits = true;
    } else if (event == PTRACE_EVENT_EXEC) {
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
        trace_child(t, e);
        trace_resume(pid, 0);
    } else if (sig == (SIGTRAP | 0x80)) {
        trace_call(t, e);
        trace_resume(pid, 0);
    } else { /* the first stop of a child is no signal of its own */
        trace_resume(pid, sig == SIGSTOP || sig == SIGTRAP ? 0 : sig);
    }
}

#endif
