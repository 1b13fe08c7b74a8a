/* edges.h - edges inside a mesh, as its participants publish what they wait for */
#ifndef CMD_WHY_EDGES_H
#define CMD_WHY_EDGES_H

#include "why/graph.h"

void edges_from_participant(why_graph *g, why_node *n);

#endif
