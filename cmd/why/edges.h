/* edges.h - edges inside a mesh, as its participants publish what they wait for; and whatever they lead to */
#ifndef CMD_WHY_EDGES_H
#define CMD_WHY_EDGES_H

#include "why/graph.h"

/* Follow everybody who has been at something for the graph's patience, and whomever they come to. */
void edges_follow(why_graph *g);

#endif
