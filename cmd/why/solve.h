/* solve.h - who is stuck, and because of whom: what follows from a graph whose edges are known
 *
 * Who is stuck is the largest set of nodes of which none can go on.  Each of them is led to the worst root that it
 * comes to, by the shortest way; a node that comes to no root is in a circle, or waits for one. */
#ifndef CMD_WHY_SOLVE_H
#define CMD_WHY_SOLVE_H

#include "why/graph.h"

/* Mark who is stuck, as far as one look at the processes tells. */
void solve_settle(const why_graph *g);

/* Should processes be looked at a second time, a little later? */
enum { SOLVE_LOOK_NS = 30000000 };
bool solve_wants_second_look(const why_graph *g);

/* Take the second look, and mark who is stuck, and because of whom. */
void solve_finish(why_graph *g);

#endif
