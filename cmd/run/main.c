/* mpp-run - deal records to copies of a command, and gather what they print
 *
 * It is short for the other commands, which it becomes: a mesh from which the copies get their records, and in its
 * scope another one, to which they give what they print.  What fails is theirs to tell, and so is the exit status. */
#define CLI_OPTIONS "run/mpp-run.opt"
#include "common/cli.h"
#include "common/io.h"
#include "run/script.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_tool tool = {
    .name = "mpp-run",
    .synopsis = "[OPTION...] [FILE...] -- COMMAND [ARG...]",
    .purpose = "Deal the records of FILEs, or of standard input, to several copies of a COMMAND, and gather what they\n"
               "print, whole records, on standard output.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* ---- options ------------------------------------------------------------------------------------ */

/* Whoever comes from parallel(1) means something else by -k. */
static void check_key(const cli_option *option, const char *value)
{
    if (*value < '1' || *value > '9')
        cli_bad_value(option, value, "not a key, as in 2 or 2n,1; for input order: --keep-order");
}

static void take_option(void *arg, const cli_option *option, const char *value)
{
    script *s = arg;
    switch (option->id) {
    case OPT_JOBS:
        s->jobs = (unsigned)cli_number(option, value, 1, MPP_PARTICIPANTS_MAX);
        break;
    case OPT_KEY:
        check_key(option, value);
        s->dealt = true;
        script_add(&s->deal, option, value);
        break;
    case OPT_PARTITION:
        s->dealt = true;
        script_add(&s->deal, option, value);
        break;
    case OPT_OUTPUT:
        s->output = value;
        break;
    case OPT_MERGE:
        s->merge = true;
        s->merge_key = value;
        break;
    case OPT_TAG:
        script_add(&s->print, option, value);
        break;
    case OPT_FILTER:
    case OPT_PROGRESS:
        script_add(&s->read, option, value);
        break;
    case OPT_OK_STATUS:
        script_add(&s->work, option, value);
        break;
    case OPT_RING_SIZE:
        s->sized = true;
        script_add(&s->sizes, option, value);
        break;
    case OPT_MAX_RECORD:
        script_add(&s->sizes, option, value);
        break;
    case OPT_KEEP_ORDER:
        s->keep_order = true;
        break;
    case OPT_BLOCK:
        cli_size(option, value, 1, 1 << 30);
        s->block = value;
        break;
    case OPT_DRY_RUN:
        s->dry = true;
        break;
    default: /* what a record is */
        script_add(&s->records, option, value);
    }
}

static void check_output(const script *s)
{
    if (s->output && (s->merge || s->print.n))
        cli_usage("--output gives each copy a FILE of its own: nothing is gathered that --%s could be about",
                  s->merge ? "merge" : "tag");
    if (s->output && s->jobs > 1 && !strchr(s->output, '%'))
        cli_usage("--output '%s': %u copies would write the same FILE; write '%s.%%', where %% is a copy's index",
                  s->output, s->jobs, s->output);
}

static void check_order(const script *s)
{
    if (s->block && !s->keep_order)
        cli_usage("--block is for --keep-order");
    if (s->keep_order && (s->dealt || s->merge || s->print.n || s->output))
        cli_usage("--keep-order deals out blocks in turn, and takes them back in turn: not with %s",
                  s->dealt    ? "--key or --partition"
                  : s->merge  ? "--merge"
                  : s->output ? "--output"
                              : "--tag");
}

static unsigned processors(void)
{
    cpu_set_t ours;
    const int n = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : 1;
    return n < MPP_PARTICIPANTS_MAX ? (unsigned)n : MPP_PARTICIPANTS_MAX;
}

/* The commands that belong to us are those beside us, also where nobody has put them into PATH. */
static void prefer_own_commands(void)
{
    char own[PATH_MAX];
    const char *path = getenv("PATH");
    char *longer;
    const ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    own[n > 0 ? n : 0] = 0;
    char *slash = strrchr(own, '/');
    if (!slash)
        return;
    *slash = 0;
    if (asprintf(&longer, "%s%s%s", own, path ? ":" : "", path ? path : "") < 0)
        longer = NULL;
    setenv("PATH", cli_must(longer), 1);
    free(longer);
}

int main(int argc, char **argv)
{
    script s = {0};
    cli_rest rest;
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take_option, &s, &rest);
    if (!rest.command)
        cli_usage("which COMMAND? it stands behind --");
    s.jobs = s.jobs ? s.jobs : processors();
    check_output(&s);
    check_order(&s);
    char **words = script_words(&s, &rest);
    if (s.dry) {
        script_print(words);
        cli_flush();
        return MPP_S_DONE;
    }
    prefer_own_commands();
    execvp(words[0], words);
    mpp_error err;
    io_error(&err, errno, "cannot run '%s'", words[0]);
    cli_die(&err);
}
