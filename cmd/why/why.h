/* why.h - why a mesh stands still: the graph of who waits for whom, and the verdict
 *
 * A participant waits for a peer (space, data, START), or through a pipe for whoever holds the other end, which may be
 * a command or a tool of another mesh; a command waits for what it reads, writes, or has started.  The graph is
 * followed from every participant that has waited for long enough to where the chain ends: that is a root, and all
 * whose chain ends there wait for it.  A chain that comes back to itself is a cycle.
 *
 * Who waits for data of any of several producers is stuck only when all of them are; who has published something, or
 * began to wait, less than `patience` ago is not stuck.  /proc that may not be read gives less detail, no error.
 */
#ifndef CMD_WHY_WHY_H
#define CMD_WHY_WHY_H

#include "mpp-look.h"

#include <stdbool.h>
#include <stdio.h>

/* What a mesh's state is called; the first is the worst.  why_name() has the words. */
typedef enum why_class {
    WHY_FAILED,     /* the mesh has a root cause */
    WHY_DEAD,       /* a participant died, and nobody has noticed yet */
    WHY_CYCLE,      /* each waits for the next, and the last for the first */
    WHY_STOPPED,    /* somebody is stopped (T) */
    WHY_TRACED,     /* somebody is held by a debugger (t) */
    WHY_MISSING,    /* a peer has not attached */
    WHY_LANE_MATE,  /* a stream that nobody reads holds up its lane */
    WHY_DOWNSTREAM, /* a consumer's output is not read */
    WHY_COMMAND,    /* a command does not end */
    WHY_INPUT,      /* a producer's source is slow */
    WHY_SKEW,       /* all flows, but one consumer gets most of it */
    WHY_IDLE,       /* nobody has asked yet */
    WHY_FLOWING,
    WHY_FINISHED, /* over, and kept */
} why_class;
const char *why_name(why_class c); /* "lane-mate" */

typedef struct why_verdict {
    why_class class;
    bool stalled;                /* somebody has waited for longer than the patience */
    int64_t for_ns;              /* for how long; 0: not stalled, or unknown */
    char role;                   /* 'p' or 'c': the participant that is meant, 0: none */
    unsigned index;              /* of it, in the mesh `mesh` */
    pid_t pid;                   /* of it, or of the process that is meant; 0: none */
    char process[64];            /* the name of that process, "" */
    char mesh[MPP_NAME_MAX + 1]; /* the mesh that the participant belongs to, which may be another one */
    char text[MPP_TEXT_MAX];     /* the cause in one line */
    char advice[MPP_TEXT_MAX];   /* what can be done about it, "" */
    char **evidence;             /* n_evidence lines: who waits for whom */
    unsigned n_evidence;
} why_verdict;

typedef struct why {
    why_verdict *verdicts; /* at least one, the worst first */
    unsigned n;
    unsigned unseen; /* processes that were not looked at, or not all that they hold: it would have taken too long */
} why;

/* The verdicts on n meshes, to be freed.  Takes a little longer, for all together, where processes have to be looked at
 * twice.  Out of memory ends the program. */
void why_ask(const mpp_snapshot *const *meshes, size_t n, int64_t patience_ns, why **verdicts);
void why_free(why **w);
/* Is any of it stalled? */
bool why_stalled(const why *w);
/* "stalled 12.4s (downstream): <text>" and, indented, the evidence and the advice; then the other verdicts. */
void why_print(const why *w, FILE *out);

#endif
