/* pipes.h - edges through pipes and processes, as far as /proc shows them */
#ifndef CMD_WHY_PIPES_H
#define CMD_WHY_PIPES_H

#include "why/graph.h"

/* A participant waits for its input (TO_WRITE: for who writes it) or its output. */
void pipes_from(why_graph *g, why_node *n, why_purpose purpose);
/* What a process waits for. */
void pipes_from_process(why_graph *g, why_node *n);
/* The process is stopped, or traced. */
void pipes_end_at_held(why_graph *g, why_node *n, const proc *p);
/* "is asleep", "waits to read /mnt/f (nfs4 at /mnt, nfs_wait_on_request)".  true: for a file system's server. */
bool pipes_say_deed(char *out, size_t size, const proc *p, proc_wait w);

#endif
