/* cell.h - cells that several tables of a mesh have
 *
 * A cell's context is the stat_mesh. */
#ifndef CMD_STAT_CELL_H
#define CMD_STAT_CELL_H

#include "mpp-look.h"
#include "stat/table.h"
#include "stat/take.h"

const mpp_snapshot *cell_snapshot(const void *context);

/* ".2" behind what is in the cell: the lane is told where there are several. */
void cell_add_lane(char *out, const mpp_snapshot *s, unsigned lane);

/* The unsigned at c->offset of the row. */
column_cell cell_unsigned;

/* The uint64_t at c->offset of the row, as c->unit asks. */
column_cell cell_counter;

#endif
