/* graph.h - who waits for whom: participants, and the processes between them
 *
 * A node is a participant of some mesh, or a process that is to read, to write, or to end.  What each waits for
 * gives the edges: any of them will do (who waits for data of any producer, or for any who holds a pipe), or all are
 * needed.  A chain ends in a root: nobody is to be seen behind it.  edges.h and pipes.h find the edges, solve.h says
 * what follows. */
#ifndef CMD_WHY_GRAPH_H
#define CMD_WHY_GRAPH_H

#include "mpp-look.h"
#include "proc/proc.h"
#include "why/why.h"
#include "why/world.h"

typedef struct why_root why_root;

typedef enum why_purpose { TO_READ, TO_WRITE, TO_END } why_purpose;

/* Things of one kind, each allocated by itself so that it stays where it is. */
typedef struct why_list {
    void **at;
    unsigned n;
} why_list;

typedef struct why_node {
    const mpp_snapshot *mesh;           /* of a participant, ... */
    const mpp_participant *participant; /* ... or NULL: a process, ... */
    proc process;                       /* ... that is waited for ... */
    why_purpose purpose;                /* ... to do this */
    proc_target pipe;
    struct why_node *subject; /* the participant that a process was come to from */
    why_list edges;           /* of nodes: whom it waits for */
    bool any;                 /* one of them is enough; else all are needed */
    why_root *own;            /* a chain ends here, ... */
    bool leads_on;            /* ... but if an edge leads to one who is stuck */
    bool stuck, reached;      /* reached: by one who is stuck, or a participant who is */
    why_root *root;           /* where its chain ends, when it is stuck */
    struct why_node *next;    /* on the way there; NULL: it is the end */
    struct why_node *on_circle;
    unsigned distance;
    bool awaited;            /* by one who is stuck */
    char edge[MPP_TEXT_MAX]; /* "waits for space on 0->1 (1.0M of 1.0M unread)" */
    int64_t waited_ns;       /* a participant: since it does what it does */
} why_node;

struct why_root {
    why_class class;
    why_node *subject; /* the participant that is meant */
    pid_t pid;         /* the process at fault */
    char process[PROC_NAME_MAX];
    char detail[MPP_TEXT_MAX]; /* what that does */
    int64_t age_ns;            /* of that process; 0: unknown */
    int head_stream;           /* whose records stand first in a lane, ... */
    int asked_stream;          /* ... and who is waited for; -1: unknown */
    proc_target_kind target;   /* what it is that nobody is seen behind */
    bool served;               /* the end is a file of a file system whose server may have to be waited for */
    why_node *head;            /* of a cycle */
    proc_work work;            /* of the process when it was found, or ran; looked at again if `second_look` */
    bool second_look, moving;
    bool gone; /* it was none after all */
};

typedef struct why_graph why_graph;

/* A node for everybody who is in the mesh, or died there; edges_follow() finds whom they wait for.  w: must live as
 * long. */
why_graph *graph_make(why_world *w, const mpp_snapshot *s, int64_t patience_ns);
void graph_free(why_graph **g);

unsigned graph_n_roots(const why_graph *g);
why_root *graph_root(const why_graph *g, unsigned i);
unsigned graph_n_nodes(const why_graph *g);
why_node *graph_node(const why_graph *g, unsigned i);

/* ---- for who finds the edges -------------------------------------------------------------------- */

int64_t graph_patience(const why_graph *g);
const mpp_snapshot *graph_asked(const why_graph *g);
why_world *graph_world(const why_graph *g);

/* The node of a participant; of a process that was come to from `from`, and shall do something with a pipe. */
why_node *graph_participant(why_graph *g, const mpp_snapshot *s, const mpp_participant *p);
why_node *graph_process(why_graph *g, why_node *from, const proc *p, why_purpose purpose, const proc_target *pipe);
/* The participant that a chain came from last. */
why_node *graph_subject(why_node *n);

void graph_edge(why_node *n, why_node *next);
/* It is here that a chain ends. */
void graph_end(why_node *n, why_root *r);
/* A new one; and the one of a class, a subject and a process (or none), which is made where there is none yet. */
why_root *graph_add_root(why_graph *g);
why_root *graph_root_for(why_graph *g, why_class class, why_node *subject, const proc *process);
/* That process may only be slow: it is looked at again after a moment.  p is what it was when it was found. */
void graph_look_twice(why_root *r, const proc *p);

/* A participant's slot; NULL: there is none. */
const mpp_participant *graph_slot(const mpp_snapshot *s, unsigned lane, char role, unsigned index);
/* Is anybody attached? */
bool graph_anybody(const mpp_snapshot *s);
/* Since when it does what it does. */
int64_t graph_age(const mpp_snapshot *s, const mpp_participant *p);

#endif
