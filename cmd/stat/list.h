/* list.h - the table of meshes */
#ifndef CMD_STAT_LIST_H
#define CMD_STAT_LIST_H

#include "stat/page.h"
#include "stat/take.h"

#include <stdbool.h>
#include <stddef.h>

/* Choose the columns before anything is looked at: one that there is not is a usage error.
 * columns: what -o says, or NULL for the default ones. */
void stat_list_columns(const char *columns);

/* Do the columns that were chosen ask for rates? */
bool stat_list_has_rates(void);

void stat_list_print(const stat_summary *list, size_t n, const stat_page *page);

#endif
