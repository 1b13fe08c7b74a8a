/* last-words.h - which input it was, said by a process that a sanitizer, must() or an alarm ends */
#ifndef LAST_WORDS_H
#define LAST_WORDS_H

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Of sanitizers that know what to do before they end a process. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static char last_words[PATH_MAX]; /* a file, or what was done */

static void last_words_say(void)
{
    static const char text[] = "\n# the input: ";
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 || write(STDOUT_FILENO, last_words, strlen(last_words)) < 0 ||
        write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(2);
}

static void last_words_by(int number)
{
    last_words_say();
    signal(number, SIG_DFL);
    raise(number);
}

static inline void last_words_prepare(void)
{
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(last_words_say);
    signal(SIGABRT, last_words_by);
    signal(SIGALRM, last_words_by);
}

#endif
