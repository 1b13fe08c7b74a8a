#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* What the error means, and the limit that was met. */
static void add_reason(char *text, size_t size, int os_error)
{
    struct rlimit limit;
    int n = snprintf(text, size, ": %s", strerror(os_error));
    if (n < 0 || (size_t)n >= size)
        return;
    if (os_error == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        snprintf(text + n, size - (size_t)n, " (the limit is %llu; see ulimit -n)", (unsigned long long)limit.rlim_cur);
    if (os_error == EFBIG && getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        snprintf(text + n, size - (size_t)n, " (the limit is %llu bytes; see ulimit -f)",
                 (unsigned long long)limit.rlim_cur);
}

int error_set(mpp_error *err, mpp_status status, int os_error, const char *fmt, ...)
{
    if (!err)
        return -1;
    err->status = status;
    err->os_error = os_error;
    err->final = false;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    if (os_error)
        add_reason(err->text + strlen(err->text), sizeof err->text - strlen(err->text), os_error);
    return -1;
}
