/* names.h - the words for what is an enum or a letter in shared memory, each written once
 *
 * (mpp_activity_text() and mpp_buffer_text() of mpp.h, and those of mpp-look.h, live in names.c as well.) */
#ifndef NAMES_H
#define NAMES_H

/* "producer" for 'p', "consumer" for 'c'. */
const char *names_role(char role);

/* What another process wrote, in one line of printable bytes: control characters become '?'.  So nobody's name begins a
 * line of its own, or moves a terminal's cursor. */
void names_clean(char *text);

#endif
