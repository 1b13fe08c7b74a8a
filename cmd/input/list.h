/* list.h - the names that an input is made of, and what is known of each file before it is opened */
#ifndef CMD_INPUT_LIST_H
#define CMD_INPUT_LIST_H

#include "input/inside.h"

/* Can the options go together?  0, or -1 with *err. */
int list_check(const input_options *o, mpp_error *err);

/* An item for each file, or one for stdin or the command.  0, or -1 with *err. */
int list_make(input *in, mpp_error *err);

/* Look at all files, once: their sizes and what they are. */
void list_measure(input *in);

void list_look_at_stdin(input *in);

#endif
