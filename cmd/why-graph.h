/* why-graph.h - who waits for whom: participants, and the processes between them
 *
 * A node is a participant of some mesh, or a process that is to read, to write, or to end.  graph_follow() finds out what
 * a node waits for and goes there, until it comes to a root, to a node that goes on, or back to where it has been.
 */
#ifndef CMD_WHY_GRAPH_H
#define CMD_WHY_GRAPH_H

#include "proc.h"
#include "why.h"

typedef struct why_root why_root;

typedef enum why_purpose { TO_READ, TO_WRITE, TO_END } why_purpose;

typedef struct why_node {
    const mpp_snapshot *mesh;           /* of a participant, ... */
    const mpp_participant *participant; /* ... or NULL: a process, ... */
    proc process;                       /* ... that is waited for ... */
    why_purpose purpose;                /* ... to do this */
    proc_target pipe;
    enum { NODE_NEW, NODE_OPEN, NODE_DONE } seen;
    why_root *root;          /* where its chain ends; NULL: it goes on */
    struct why_node *next;   /* whom it waits for; NULL: nobody */
    bool awaited;            /* by one who cannot go on */
    char edge[MPP_TEXT_MAX]; /* "waits for space on 0->1 (1.0M of 1.0M unread)" */
    int64_t waited_ns;       /* a participant: since it does what it does */
} why_node;

struct why_root {
    why_class class;
    why_node *subject; /* the participant that is meant */
    pid_t pid;         /* the process at fault */
    char process[PROC_NAME_MAX];
    char detail[MPP_TEXT_MAX]; /* what that does, or the stream that is not read */
    why_node *head;            /* of a cycle */
    uint64_t work;             /* proc_work() when it was found; looked at again if `look` */
    bool look, moving;
    bool gone; /* it was none after all */
};

typedef struct why_graph why_graph;

/* Follow everybody in the mesh who has been at something for `patience`.  Takes a second look at processes where that
 * decides. */
why_graph *graph_make(const mpp_snapshot *s, int64_t patience_ns);
void graph_free(why_graph **g);

unsigned graph_n_roots(const why_graph *g);
why_root *graph_root(const why_graph *g, unsigned i);
unsigned graph_n_nodes(const why_graph *g);
why_node *graph_node(const why_graph *g, unsigned i);

#endif
