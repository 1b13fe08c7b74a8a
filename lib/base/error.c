#include "base/error.h"

#include "base/names.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { REASON_MAX = 256 };

static void add_limit(char reason[REASON_MAX], int known, const struct rlimit *limit, const char *unit, const char *see)
{
    const size_t n = strlen(reason);
    if (known == 0 && limit->rlim_cur != RLIM_INFINITY)
        snprintf(reason + n, REASON_MAX - n, " (the limit is %llu%s; see ulimit %s)",
                 (unsigned long long)limit->rlim_cur, unit, see);
}

/* ": No such file or directory", and what a call that fails so may have run into. */
static void reason_of(int os_error, char reason[REASON_MAX])
{
    struct rlimit l;
    snprintf(reason, REASON_MAX, ": %s", strerror(os_error));
    switch (os_error) {
    case EMFILE:
        add_limit(reason, getrlimit(RLIMIT_NOFILE, &l), &l, "", "-n");
        break;
    case EFBIG:
        add_limit(reason, getrlimit(RLIMIT_FSIZE, &l), &l, " bytes", "-f");
        break;
    case EAGAIN:
        add_limit(reason, getrlimit(RLIMIT_NPROC, &l), &l, "", "-u");
        break;
    case ENOMEM:
        add_limit(reason, getrlimit(RLIMIT_AS, &l), &l, " bytes of addresses", "-v");
        add_limit(reason, getrlimit(RLIMIT_DATA, &l), &l, " bytes of data", "-d");
        break;
    default:
        break;
    }
}

/* n bytes into the room of `most`, the end's NUL included; what is too long loses its middle. */
static void fit_text(char *to, size_t most, const char *text, size_t n)
{
    static const char gap[] = "...";
    const size_t head = most / 3, tail = most - head - sizeof gap;
    if (n < most) {
        memcpy(to, text, n + 1);
        return;
    }
    memcpy(to, text, head);
    memcpy(to + head, gap, sizeof gap - 1);
    memcpy(to + head + sizeof gap - 1, text + n - tail, tail + 1);
}

int error_set(mpp_error *err, mpp_status status, int os_error, const char *fmt, ...)
{
    char reason[REASON_MAX] = "", *whole;
    va_list ap, again;
    if (!err)
        return -1;
    *err = (mpp_error){.status = status, .os_error = os_error};
    if (os_error)
        reason_of(os_error, reason);
    const size_t room = sizeof err->text - strlen(reason);
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(err->text, room, fmt, ap);
    if (n >= (int)room && vasprintf(&whole, fmt, again) >= 0) { /* without memory its end is cut off */
        fit_text(err->text, room, whole, (size_t)n);
        free(whole);
    }
    va_end(again);
    va_end(ap);
    strcat(err->text, reason);
    names_clean(err->text);
    return -1;
}

int error_pass(mpp_error *err, const mpp_error *why)
{
    if (err)
        *err = *why;
    return -1;
}

/* Who tells it to everybody says before it who failed, in fewer bytes than this leaves. */
enum { TOLD_MAX = 400 };

mpp_error error_told(const mpp_error *told, const char *otherwise)
{
    mpp_error err = {.status = MPP_S_ERROR};
    const size_t n = told ? strnlen(told->text, sizeof told->text) : 0;
    if (told) {
        err.os_error = told->os_error;
        err.final = told->final;
        err.status = told->status > MPP_S_DONE && told->status <= MPP_S_CORRUPT ? told->status : MPP_S_ERROR;
    }
    if (n == 0)
        snprintf(err.text, sizeof err.text, "%s", otherwise);
    else if (n < sizeof told->text)
        fit_text(err.text, TOLD_MAX, told->text, n);
    else
        snprintf(err.text, TOLD_MAX, "%.*s", TOLD_MAX - 1, told->text);
    names_clean(err.text);
    return err;
}
