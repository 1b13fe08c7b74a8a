/* mesh.h - one mesh: what it is, its participants, its channels, its buffers */
#ifndef CMD_STAT_MESH_H
#define CMD_STAT_MESH_H

#include "stat/page.h"
#include "stat/take.h"

#include <stdbool.h>

/* Choose the columns before anything is looked at: one that there is not is a usage error.
 * columns: what -o says, or NULL for the default ones.  rates: the default ones have rates. */
void stat_mesh_columns(const char *columns, bool rates);

/* Do the columns that were chosen ask for rates? */
bool stat_mesh_has_rates(void);

void stat_mesh_print(const stat_mesh *m, const stat_page *page);

#endif
