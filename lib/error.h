/* error.h - filling in an mpp_error */
#ifndef ERROR_H
#define ERROR_H

#include "mpp.h"

/* Fill *err (which may be NULL).  os_error != 0 appends ": " and its text.  Always returns -1. */
__attribute__((format(printf, 4, 5))) int error_set(mpp_error *err, mpp_status status, int os_error, const char *fmt,
                                                    ...);

#endif
