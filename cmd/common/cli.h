/* cli.h - what the tools' command lines have in common
 *
 * A tool's options are declared once, in its .opt file, one line each:
 *
 *     OPT(ID, 'l' or 0, "long-name", "ARGUMENT", "one line for --help", "more, in mdoc, for the manual only")
 *
 * ARGUMENT is "" for an option without a value and "[ARGUMENT]" where the value may be left out (which then needs
 * `--long-name=VALUE` to be given).  A tool that says
 *
 *     #define CLI_OPTIONS "create/mpp-create.opt"
 *     #include "common/cli.h"
 *
 * gets the identifiers OPT_ID and the table cli_options[]; scripts/man-options makes the manual's OPTIONS from the
 * same file.  Every .opt file ends with cli.opt: -h/--help and -V/--version, which cli_parse() serves itself.  It is
 * run through the C preprocessor for the manual too, so that lists can share what several tools have.
 *
 * What fails here ends the process: one line on stderr, and a status of mpp.h.  Control characters of a line become
 * '?', and nobody waits for ever to be rid of it (message.h).
 */
#ifndef CMD_COMMON_CLI_H
#define CMD_COMMON_CLI_H

#include "mpp.h"

#include <stddef.h>
#include <stdint.h>

typedef struct cli_option {
    int id;     /* OPT_... */
    int letter; /* 0: none */
    const char *name;
    const char *argument; /* "": none; "[...]": optional */
    const char *prose;
} cli_option;

typedef struct cli_tool {
    const char *name;
    const char *synopsis; /* what follows the name on the usage line(s); lines separated by \n */
    const char *purpose;  /* one line */
    const cli_option *options;
    unsigned n_options;
} cli_tool;

/* What is left when the options are gone. */
typedef struct cli_rest {
    char **operands; /* n of them, then NULL; in argv */
    unsigned n;
    char **command; /* what follows the first `--`, ends with NULL and has at least one word; NULL: no `--` */
} cli_rest;

/* Where a tool takes a command: `MESH [FILE...] -- COMMAND [ARG...]`.  Elsewhere `--` only ends the options, and
 * what follows it is operands. */
typedef enum cli_dashes { CLI_DASHES_OPERANDS, CLI_DASHES_COMMAND } cli_dashes;

/* Hands each option to take() in the order of the command line, whether before, between or behind operands.
 * value: NULL where there is none.  argv is changed; tool is kept for the messages.  --help and --version end the
 * process with 0; an unknown or ambiguous option, a missing or superfluous value, and a `--` without COMMAND with 2. */
void cli_parse(const cli_tool *tool, int argc, char **argv, cli_dashes dashes,
               void (*take)(void *arg, const cli_option *option, const char *value), void *arg, cli_rest *rest);

/* Values.  One that is not valid is a usage error that names option, value and what is expected; max is below
 * UINT64_MAX. */
uint64_t cli_number(const cli_option *option, const char *value, uint64_t min, uint64_t max);
uint64_t cli_size(const cli_option *option, const char *value, uint64_t min, uint64_t max); /* bytes; K M G: 1024s */
int64_t cli_duration(const cli_option *option, const char *value);   /* milliseconds; ms s m h, bare: seconds */
#define CLI_DURATION_MAX (INT64_MAX / 1000000 / 4)                   /* 73 years; what is longer is cut to it */
unsigned char cli_byte(const cli_option *option, const char *value); /* one byte, or \n \t \r \0 \\ \xHH */
/* The position of value in names[], which ends with NULL. */
unsigned cli_choice(const cli_option *option, const char *value, const char *const *names);

#define CLI_PRINTF(text, values) __attribute__((format(printf, text, values)))
#define CLI_EXITS                __attribute__((noreturn)) /* and not _Noreturn, which cppcheck does not see */

/* `TOOL: text; try 'TOOL --help'`, exit 2. */
CLI_EXITS void cli_usage(const char *format, ...) CLI_PRINTF(1, 2);
/* The same for an option's value: `TOOL: --NAME 'value': text; try ...`. */
CLI_EXITS void cli_bad_value(const cli_option *option, const char *value, const char *format, ...) CLI_PRINTF(3, 4);
/* `TOOL: text`, and go on. */
void cli_warn(const char *format, ...) CLI_PRINTF(1, 2);
/* `TOOL: text`, exit with error->status. */
CLI_EXITS void cli_die(const mpp_error *error);
/* What an allocation gave; none ends the program. */
void *cli_must(void *memory);

/* Flush stdout; exit 1 with a message when what was printed could not be written. */
void cli_flush(void);

#ifdef CLI_OPTIONS
enum {
#define OPT(id, letter, name, argument, prose, manual) OPT_##id,
#include CLI_OPTIONS
#undef OPT
    CLI_N_OPTIONS
};

static const cli_option cli_options[CLI_N_OPTIONS] = {
#define OPT(id, letter, name, argument, prose, manual) {OPT_##id, letter, name, argument, prose},
#include CLI_OPTIONS
#undef OPT
};
#endif

#endif
