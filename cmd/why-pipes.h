/* why-pipes.h - edges through pipes and processes, as far as /proc shows them */
#ifndef CMD_WHY_PIPES_H
#define CMD_WHY_PIPES_H

#include "why-graph.h"

/* A participant waits for its input (TO_WRITE: for who writes it) or its output. */
void pipes_from(why_graph *g, why_node *n, why_purpose purpose);
/* What a process waits for. */
void pipes_from_process(why_graph *g, why_node *n);
/* The process is stopped, or traced. */
void pipes_held_still(why_graph *g, why_node *n, const proc *p);
/* "is asleep" */
const char *pipes_does(const proc *p, proc_wait_kind kind);

#endif
