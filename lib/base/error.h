/* error.h - filling in an mpp_error */
#ifndef ERROR_H
#define ERROR_H

#include "mpp.h"

/* Fill *err (which may be NULL).  os_error != 0 appends ": " and its text, and the limit that it may mean, where one is
 * set.  Whatever names and files are called, the text is one line, and its end, which says why, is not cut off: what is
 * too long is left out of its middle.  Always returns -1. */
__attribute__((format(printf, 4, 5))) int error_set(mpp_error *err, mpp_status status, int os_error, const char *fmt,
                                                    ...);

/* Hand on all of an error that another call has filled in.  Always returns -1. */
int error_pass(mpp_error *err, const mpp_error *why);

/* A failure that was told by somebody else's code, made fit to be told to everybody: its status is one of a failure,
 * its text one line, and `otherwise` where it has none (told may be NULL). */
mpp_error error_told(const mpp_error *told, const char *otherwise);

#endif
