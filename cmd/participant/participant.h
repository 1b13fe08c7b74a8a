/* participant.h - what mpp-produce and mpp-consume have in common: being one participant of a mesh, or all of them */
#ifndef CMD_PARTICIPANT_PARTICIPANT_H
#define CMD_PARTICIPANT_PARTICIPANT_H

#include "command/status.h"
#include "common/cli.h"
#include "mpp.h"
#include "participant/progress.h"

typedef enum role { PRODUCER, CONSUMER } role;

/* --stream NAME[=OTHER]: OTHER is a FILE, or a shell command behind '|'. */
typedef struct named_stream {
    char *name;
    char *other;     /* NULL: what the command line names otherwise */
    unsigned number; /* in the mesh, once participant_open() has looked */
} named_stream;

typedef struct participant {
    role role;
    const cli_tool *tool;
    /* what is asked for */
    const char *id; /* the mesh */
    int wanted;     /* --index */
    bool all, barrier, show_progress, summarize;
    const char *summary_file;
    named_stream *streams; /* participant_open() adds the only stream where none is named */
    unsigned n_streams;
    ok_list ok;
    int64_t attach_timeout, timeout;
    cli_rest rest;
    /* what has become of it */
    mpp_mesh *mesh;
    mpp_producer *producer; /* one of the two */
    mpp_consumer *consumer;
    int index;   /* -1: not attached yet */
    unsigned of; /* participants of this role */
    int64_t started;
    progress progress;
    char who[32]; /* that its line begins with */
    int status;   /* that we exit with */
    bool failed;  /* ... because of error */
    bool ours;    /* which is our own */
    mpp_error error;
    unsigned told; /* signals that were heard, as signals_times() */
    int signal;    /* that we die of, 0: none */
} participant;

#define PARTICIPANT_INIT(r, t)                                                                                         \
    {                                                                                                                  \
        .role = (r), .tool = (t), .wanted = MPP_INDEX_ANY, .attach_timeout = 30000, .ok = OK_DEFAULT, .index = -1,     \
        .progress = PROGRESS_INIT                                                                                      \
    }

/* Take an option that both tools have; false: it is the tool's own. */
bool participant_take(participant *p, const cli_option *option, const char *value);

/* After cli_parse(): open the mesh that the first operand names, and look up the streams; usage errors end the process.
 * others: what "other" is called ("source"). */
void participant_open(participant *p, const char *others);
/* Free what the participant holds. */
void participant_close(participant *p);

/* With --all: fork a process for each index.  true: go on, as one of them or as the only one; false: all have ended,
 * and p->status is the first failure's.  Installs the signal handlers. */
bool participant_fork(participant *p);
/* Claim the index, in the lanes of all streams; a failure ends the process, with 0 for a producer that comes when all
 * consumers have finished.  runs: see mpp_attach_options.  label: what is behind us, or NULL. */
void participant_attach(participant *p, unsigned runs, const char *label);
/* --progress, of what will be so many bytes in all, -1: unknown. */
void participant_show(participant *p, int64_t total);
/* The signal that ends us, or 0.  A stop that has ended is heard here, too: time-outs begin anew. */
int participant_signal(const participant *p);
/* --barrier: until everybody is there, a signal, or a failure. */
void participant_barrier(participant *p);

/* Our own failure: everybody is told; `status` is what we exit with when ours is the first. */
void participant_fail(participant *p, int status, const mpp_error *err);
__attribute__((format(printf, 3, 4))) void participant_fail_text(participant *p, mpp_status status, const char *format,
                                                                 ...);
/* We end by a signal: nobody else is expected any more. */
void participant_interrupt(participant *p, int sig);
/* The mesh has failed, and what is its cause is ours to report. */
void participant_take_cause(participant *p);

/* The end: what went wrong, and --summary. */
void participant_report(participant *p, const summary_stream *streams);

/* What the activity that mpp_wait() publishes is about comes first. */
static inline void participant_put_first(struct pollfd *set, unsigned at, bool first)
{
    const struct pollfd was = set[0];
    if (first) {
        set[0] = set[at];
        set[at] = was;
    }
}

#endif
