/* json.h - the same as one line of JSON; the fields stand in mpp-stat(1)
 *
 * What is here is a promise (mpp-stat(1), JSON): fields may be added, and whatever else changes raises the schema's
 * number. */
#ifndef CMD_STAT_JSON_H
#define CMD_STAT_JSON_H

#include "stat/take.h"
#include "stat/why.h"

#include <stddef.h>
#include <stdio.h>

void stat_json_list(const stat_summary *list, size_t n, FILE *out);
void stat_json_mesh(const stat_mesh *m, FILE *out);
void stat_json_why(const stat_why *list, size_t n, FILE *out);
/* Of a mesh that there is no more. */
void stat_json_gone(const char *id, const mpp_error *error, FILE *out);

#endif
