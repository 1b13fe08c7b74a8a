#include "common/cli.h"

#include "common/io.h"
#include "common/message.h"
#include "common/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 64, LONG_BASE = 256, HELP_COLUMN = 28 };

static const cli_tool *the_tool;

/* ---- messages ----------------------------------------------------------------------------------- */

/* One message is one write to stderr, so that those of several processes do not mix within a line. */
static void say_line(const char *option, const char *value, const char *format, va_list args, const char *advice)
{
    char line[1024], whole[sizeof line + 128];
    size_t n = 0;
    int k = value ? snprintf(line, sizeof line, "--%s '%.200s': ", option, value) : 0;
    if (k > 0)
        n = (size_t)k;
    vsnprintf(line + n, sizeof line - n, format, args);
    text_disarm(line, '?');
    if (advice)
        k = snprintf(whole, sizeof whole, "%s: %s; try '%s %s'\n", the_tool->name, line, the_tool->name, advice);
    else
        k = snprintf(whole, sizeof whole, "%s: %s\n", the_tool->name, line);
    fflush(stdout);
    message_write(whole, (size_t)k);
}

void cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_line(NULL, NULL, format, args, "--help");
    va_end(args);
    exit(MPP_S_USAGE);
}

void cli_bad_value(const cli_option *option, const char *value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_line(option->name, value, format, args, "--help");
    va_end(args);
    exit(MPP_S_USAGE);
}

void cli_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_line(NULL, NULL, format, args, NULL);
    va_end(args);
}

void cli_die(const mpp_error *error)
{
    cli_warn("%s", error->text);
    exit((int)error->status);
}

void *cli_must(void *memory)
{
    if (!memory)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "out of memory"});
    return memory;
}

/* mpp-create and mpp-stat print with stdio, and may be kept waiting for a reader as any filter may: no mesh waits for
 * them, and signals have their default actions there. */
void cli_flush(void)
{
    if (!ferror(stdout) && fflush(stdout) == 0)
        return;
    cli_warn("cannot write standard output: %s", strerror(errno));
    exit(MPP_S_ERROR);
}

/* ---- --help and --version ----------------------------------------------------------------------- */

static bool is_optional(const cli_option *o)
{
    return o->argument[0] == '[';
}

static void print_option(const cli_option *o)
{
    char left[64];
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "      --%s", o->name);
    size_t used = (size_t)n;
    if (is_optional(o))
        snprintf(left + used, sizeof left - used, "[=%.*s]", (int)strlen(o->argument) - 2, o->argument + 1);
    else if (o->argument[0])
        snprintf(left + used, sizeof left - used, "=%s", o->argument);
    if (strlen(left) < HELP_COLUMN)
        printf("%-*s%s\n", HELP_COLUMN, left, o->prose);
    else
        printf("%s\n%*s%s\n", left, HELP_COLUMN, "", o->prose);
}

static _Noreturn void help(void)
{
    const char *lead = "usage:";
    for (const char *line = the_tool->synopsis; line; lead = "      ") {
        size_t n = strcspn(line, "\n");
        printf("%s %s %.*s\n", lead, the_tool->name, (int)n, line);
        line = line[n] ? line + n + 1 : NULL;
    }
    printf("%s\n\n", the_tool->purpose);
    for (unsigned i = 0; i < the_tool->n_options; i++)
        print_option(&the_tool->options[i]);
    printf("\nA MESH is the id that mpp-create printed, or its --name.  See %s(1), mpp(7).\n", the_tool->name);
    cli_flush();
    exit(MPP_S_DONE);
}

static _Noreturn void version(void)
{
    printf("%s (mpp) %s\n", the_tool->name, MPP_VERSION);
    cli_flush();
    exit(MPP_S_DONE);
}

/* ---- parser ------------------------------------------------------------------------------------- */

/* getopt's two ways to declare options.  The `-` makes it hand out operands in order, and never reorder argv:
 * only so does it stop exactly at the first `--`.  The `:` makes a missing value distinct from an unknown option. */
static void declare(char *letters, struct option *names)
{
    *letters++ = '-';
    *letters++ = ':';
    for (unsigned i = 0; i < the_tool->n_options; i++) {
        const cli_option *o = &the_tool->options[i];
        int kind = !o->argument[0] ? no_argument : is_optional(o) ? optional_argument : required_argument;
        names[i] = (struct option){.name = o->name, .has_arg = kind, .val = LONG_BASE + (int)i};
        if (!o->letter)
            continue;
        *letters++ = (char)o->letter;
        for (int colons = kind; colons > 0; colons--)
            *letters++ = ':';
    }
    *letters = '\0';
}

static const cli_option *find(int code)
{
    if (code >= LONG_BASE)
        return &the_tool->options[code - LONG_BASE];
    for (unsigned i = 0; i < the_tool->n_options; i++)
        if (the_tool->options[i].letter == code)
            return &the_tool->options[i];
    return NULL;
}

/* getopt says only that a long option is wrong: name the candidates of one that is ambiguous. */
static _Noreturn void bad_long(const char *word)
{
    char candidates[256] = "";
    text_line line = TEXT_LINE(candidates);
    const size_t length = strcspn(word + 2, "=");
    for (unsigned i = 0; i < the_tool->n_options; i++)
        if (strncmp(the_tool->options[i].name, word + 2, length) == 0)
            text_add(&line, " --%s", the_tool->options[i].name);
    if (line.used)
        cli_usage("option '%s' could be any of%s", word, candidates);
    cli_usage("no option '%s'", word);
}

/* operand: what stands before it, or NULL. */
static _Noreturn void bad_option(int code, const char *word, const char *operand)
{
    const cli_option *o = optopt ? find(optopt) : NULL;
    if (code == ':' && o)
        cli_usage("--%s needs a value: %s", o->name, o->argument);
    if (o)
        cli_usage("--%s takes no value", o->name);
    if (operand && io_is_command(operand))
        cli_usage("no option '%s'; to run '%s', write -- before it", word, operand);
    if (optopt)
        cli_usage("no option '-%c'", optopt);
    bad_long(word);
}

static void serve(const cli_option *o, const char *value,
                  void (*take)(void *arg, const cli_option *option, const char *value), void *arg)
{
    if (o->letter == 'h')
        help();
    if (o->letter == 'V')
        version();
    take(arg, o, value);
}

/* What follows a `--` at argv[dashes]. */
static void take_rest(int argc, char **argv, int dashes, cli_dashes meaning, cli_rest *rest)
{
    if (meaning == CLI_DASHES_COMMAND && dashes == argc - 1)
        cli_usage("'--' must be followed by a COMMAND");
    if (meaning == CLI_DASHES_COMMAND)
        rest->command = argv + dashes + 1;
    else
        for (int i = dashes + 1; i < argc; i++)
            rest->operands[rest->n++] = argv[i];
}

/* Operands are moved up to the front of argv: getopt does not look back, and there is always room for them and
 * their NULL before the word that getopt looks at next, or in place of the `--`. */
void cli_parse(const cli_tool *tool, int argc, char **argv, cli_dashes dashes,
               void (*take)(void *arg, const cli_option *option, const char *value), void *arg, cli_rest *rest)
{
    char letters[3 * OPTIONS_MAX + 3];
    struct option names[OPTIONS_MAX + 1] = {0};
    int at, code;

    the_tool = tool;
    if (tool->n_options > OPTIONS_MAX)
        abort();
    declare(letters, names);
    *rest = (cli_rest){.operands = argv + 1};

    opterr = 0;
    while (at = optind, (code = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (code == 1)
            rest->operands[rest->n++] = optarg;
        else if (code == '?' || code == ':')
            bad_option(code, argv[optind - 1],
                       dashes == CLI_DASHES_COMMAND && rest->n ? rest->operands[rest->n - 1] : NULL);
        else
            serve(find(code), optarg, take, arg);
    }
    if (at < argc) /* getopt did not stop at the end, so at a `--` */
        take_rest(argc, argv, at, dashes, rest);
    rest->operands[rest->n] = NULL;
}

/* ---- values ------------------------------------------------------------------------------------- */

/* The decimal number that value begins with, at most UINT64_MAX; false: it begins with none. */
static bool digits(const char *value, uint64_t *number, const char **end)
{
    char *stop;
    if (value[0] < '0' || value[0] > '9') /* strtoull takes blanks and signs */
        return false;
    *number = strtoull(value, &stop, 10);
    *end = stop;
    return true;
}

uint64_t cli_number(const cli_option *option, const char *value, uint64_t min, uint64_t max)
{
    uint64_t number;
    const char *end;
    if (digits(value, &number, &end) && !*end && number >= min && number <= max)
        return number;
    cli_bad_value(option, value, "expected a whole number from %ju to %ju", (uintmax_t)min, (uintmax_t)max);
}

/* The largest unit that leaves a whole number. */
static const char *size_text(uint64_t size, char text[32])
{
    static const char units[] = "\0KMG";
    unsigned u = 0;
    for (; size && size % 1024 == 0 && units[u + 1]; u++)
        size /= 1024;
    snprintf(text, 32, "%ju%.1s", (uintmax_t)size, &units[u]);
    return text;
}

uint64_t cli_size(const cli_option *option, const char *value, uint64_t min, uint64_t max)
{
    static const char units[] = "KMG";
    char least[32], most[32];
    uint64_t size;
    const char *end, *unit = NULL;
    bool valid = digits(value, &size, &end) && (!*end || ((unit = strchr(units, *end)) && !end[1]));
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (valid && size <= max >> shift && size << shift >= min)
        return size << shift;
    cli_bad_value(option, value, "expected a size from %s to %s, in bytes or with K, M or G", size_text(min, least),
                  size_text(max, most));
}

/* More than CLI_DURATION_MAX, to whose end nobody waits, and less than 1 ms, which is not the 0 that may stand for
 * ever, become the nearest that there is. */
int64_t cli_duration(const cli_option *option, const char *value)
{
    static const struct unit {
        const char *name;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}};
    char *end;
    double number = strtod(value, &end);
    bool plain = end > value && strspn(value, "0123456789.") == (size_t)(end - value);

    for (size_t i = 0; plain && i < sizeof units / sizeof *units; i++) {
        double ms = number * units[i].ms;
        if (strcmp(end, units[i].name) == 0)
            return ms >= (double)CLI_DURATION_MAX ? CLI_DURATION_MAX : ms > 0 && ms < 1 ? 1 : (int64_t)(ms + 0.5);
    }
    cli_bad_value(option, value, "expected a duration: 500ms, 1.5, 30s, 2m, 1h");
}

static int hex(char c)
{
    static const char all[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit = c ? strchr(all, c) : NULL;
    return digit ? (int)(digit - all) % 16 : -1;
}

unsigned char cli_byte(const cli_option *option, const char *value)
{
    static const char escapes[] = "ntr0\\", bytes[] = "\n\t\r\0\\";
    size_t n = strlen(value);
    const char *escape;

    if (n == 1)
        return (unsigned char)value[0];
    if (n == 2 && value[0] == '\\' && (escape = strchr(escapes, value[1])))
        return (unsigned char)bytes[escape - escapes];
    if (n == 4 && value[0] == '\\' && value[1] == 'x' && hex(value[2]) >= 0 && hex(value[3]) >= 0)
        return (unsigned char)((unsigned)hex(value[2]) << 4 | (unsigned)hex(value[3]));
    cli_bad_value(option, value, "expected one byte, or one of \\n \\t \\r \\0 \\\\ \\xHH");
}

unsigned cli_choice(const cli_option *option, const char *value, const char *const *names)
{
    char expected[256] = "";
    text_line line = TEXT_LINE(expected);
    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(value, names[i]) == 0)
            return i;
        text_add(&line, "%s%s", i ? ", " : "", names[i]);
    }
    cli_bad_value(option, value, "expected one of: %s", expected);
}
