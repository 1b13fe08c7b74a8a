#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

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
    if (os_error) {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, ": %s", strerror(os_error));
        struct rlimit limit;
        n = strlen(err->text);
        if (os_error == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
            snprintf(err->text + n, sizeof err->text - n, " (the limit is %llu; see ulimit -n)",
                     (unsigned long long)limit.rlim_cur);
    }
    return -1;
}
