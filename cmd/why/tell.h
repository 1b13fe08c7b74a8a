/* tell.h - a root of the graph in words: the cause, the evidence, what can be done */
#ifndef CMD_WHY_TELL_H
#define CMD_WHY_TELL_H

#include "mpp-look.h"
#include "why/graph.h"

/* Fill in text, advice, evidence and for_ns.  asked: the mesh that is asked about; participants of others are told with
 * theirs. */
void tell_root(why_verdict *v, const why_graph *g, const why_root *r, const mpp_snapshot *asked);

#endif
