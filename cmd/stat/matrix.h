/* matrix.h - the fill of all channels at a glance: a character for each */
#ifndef CMD_STAT_MATRIX_H
#define CMD_STAT_MATRIX_H

#include "mpp-look.h"

#include <stdio.h>

/* A row for each producer, a character for each consumer.  Where there are more of them than fit (width: columns;
 * rows: most rows, but never more than 64 of either), neighbours share one, which then shows the fullest. */
void stat_matrix_print(const mpp_snapshot *s, unsigned width, unsigned rows, FILE *out);

#endif
