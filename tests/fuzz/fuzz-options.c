/* fuzz-options - the command lines of the tools, and every kind of value that an option takes
 *
 * Shows that any words end in what take() was told and operands that were on the command line, or in one message and
 * status 2; and that numbers, sizes, durations, bytes, choices, statuses and K/N are what the obvious way makes of
 * them. What ends the process in a tool comes back here. */
#include "fuzz.h"

#include "command/status.h"
#include "common/cli.h"
#include "common/message.h"
#include "input/share.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdio.h>

static FILE *said; /* what the tools print, on either output */
static bool tried; /* a call that may end the process */
static jmp_buf over;
static int status;

/* The linker puts these in the place of exit() and message_write() (-Wl,--wrap). */
_Noreturn void __real_exit(int with);
_Noreturn void __wrap_exit(int with);
bool __wrap_message_write(const char *text, size_t n);

_Noreturn void __wrap_exit(int with)
{
    if (!tried)
        __real_exit(with);
    tried = false;
    status = with;
    longjmp(over, 1);
}

bool __wrap_message_write(const char *text, size_t n)
{
    return fwrite(text, 1, n, said) == n;
}

/* ---- the tools' tables ------------------------------------------------------------------------------- */

#define OPT(id, letter, name, argument, prose, manual) {0, letter, name, argument, prose},
static const cli_option create_options[] = {
#include "create/mpp-create.opt"
};
static const cli_option produce_options[] = {
#include "produce/mpp-produce.opt"
};
static const cli_option consume_options[] = {
#include "consume/mpp-consume.opt"
};
static const cli_option stat_options[] = {
#include "stat/mpp-stat.opt"
};
#undef OPT

#define TOOL(options)                                                                                                  \
    {                                                                                                                  \
        "tool", "MESH\nor not", "Do it.", options, sizeof(options) / sizeof *(options)                                 \
    }
static const cli_tool tools[] = {TOOL(create_options), TOOL(produce_options), TOOL(consume_options),
                                 TOOL(stat_options)};

/* ---- command lines ----------------------------------------------------------------------------------- */

enum { WORDS_MAX = 24 };

typedef struct line {
    char *words[WORDS_MAX + 1], *moved[WORDS_MAX + 1]; /* ours, and what cli_parse() makes of them */
    int n;
    unsigned taken;
} line;

static void take(void *arg, const cli_option *o, const char *value)
{
    line *l = arg;
    l->taken++;
    must(o->letter != 'h' && o->letter != 'V', "--%s is served", o->name);
    must(value || !o->argument[0] || o->argument[0] == '[', "--%s has its value", o->name);
    must(!value || o->argument[0], "--%s has no value", o->name);
}

static bool given(const line *l, const char *word)
{
    for (int i = 1; i < l->n; i++)
        if (strcmp(l->words[i], word) == 0)
            return true;
    return false;
}

static int first_dashes(const line *l)
{
    for (int i = 1; i < l->n; i++)
        if (strcmp(l->words[i], "--") == 0)
            return i;
    return l->n;
}

static void check_rest(const line *l, cli_dashes dashes, const cli_rest *rest)
{
    must(rest->n < (unsigned)l->n, "%u operands of %d words", rest->n, l->n);
    must(!rest->operands[rest->n], "the operands end");
    for (unsigned i = 0; i < rest->n; i++)
        must(given(l, rest->operands[i]), "operand '%s'", rest->operands[i]);
    must(!rest->command || (dashes == CLI_DASHES_COMMAND && rest->command[0]), "a command has a word");
    for (char **word = rest->command; word && *word; word++)
        must(given(l, *word), "word '%s'", *word);
    must(!rest->command || first_dashes(l) < l->n, "a command follows a --");
    must(rest->n + l->taken > 0 || rest->command || l->n == 1 || first_dashes(l) == 1, "something was given");
}

/* false: it ended the process. */
static bool try_line(const cli_tool *tool, line *l, cli_dashes dashes, cli_rest *rest)
{
    status = -1;
    if (setjmp(over) != 0)
        return false;
    tried = true;
    cli_parse(tool, l->n, l->moved, dashes, take, l, rest);
    tried = false;
    return true;
}

/* As in a process that has not called getopt() yet: it starts over when optind is 0, and cli_parse() may expect 1. */
static void begin_again(void)
{
    static char name[] = "tool";
    char *none[] = {name, NULL};
    optind = 0;
    getopt(1, none, "-:");
    optind = 1;
}

static void check_line(food *f)
{
    line l = {.n = 1};
    cli_rest rest;
    const cli_tool *tool = &tools[food_below(f, 4)];
    const cli_dashes dashes = food_below(f, 2) ? CLI_DASHES_COMMAND : CLI_DASHES_OPERANDS;
    l.words[0] = food_string((food){(const uint8_t *)"tool", 4});
    while (f->n > 0 && l.n < WORDS_MAX) {
        l.words[l.n++] = food_string(*f);
        food_part(f, strlen(l.words[l.n - 1]) + 1);
    }
    memcpy(l.moved, l.words, sizeof l.moved);
    begin_again();
    if (try_line(tool, &l, dashes, &rest)) {
        check_rest(&l, dashes, &rest);
        must(ftell(said) == 0, "silence");
    } else {
        must(status == MPP_S_USAGE || status == MPP_S_DONE, "status %d", status);
        must(ftell(said) > 0, "it is told why");
    }
    for (int i = 0; i < l.n; i++)
        free(l.words[i]);
}

/* ---- values ------------------------------------------------------------------------------------------ */

/* The whole number that the text begins with, as long as that is below 2^63; -1: none. */
static int64_t naive_number(const char *text, size_t *used)
{
    int64_t v = 0;
    for (*used = 0; text[*used] >= '0' && text[*used] <= '9'; ++*used)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text[*used] - '0', &v))
            return -1;
    return *used ? v : -1;
}

/* Bytes; -1: not a size, or not below 2^63. */
static int64_t naive_size(const char *text)
{
    static const char units[] = "KMG";
    size_t used;
    int64_t v = naive_number(text, &used);
    const char *unit = text[used] ? strchr(units, text[used]) : NULL;
    if (v < 0 || (text[used] && (!unit || text[used + 1])))
        return -1;
    for (long i = unit ? unit - units : -1; i >= 0; i--)
        if (__builtin_mul_overflow(v, 1024, &v))
            return -1;
    return v;
}

/* -1: not a byte. */
static int naive_byte(const char *text)
{
    static const struct {
        const char *text;
        int byte;
    } escapes[] = {{"\\n", '\n'}, {"\\t", '\t'}, {"\\r", '\r'}, {"\\0", 0}, {"\\\\", '\\'}};
    unsigned byte;
    if (text[0] && !text[1])
        return (unsigned char)text[0];
    for (unsigned i = 0; i < sizeof escapes / sizeof *escapes; i++)
        if (strcmp(text, escapes[i].text) == 0)
            return escapes[i].byte;
    if (strlen(text) == 4 && text[0] == '\\' && text[1] == 'x' && strspn(text + 2, "0123456789abcdefABCDEF") == 2)
        return sscanf(text + 2, "%x", &byte) == 1 ? (int)byte : -1;
    return -1;
}

static void check_slice(const char *text)
{
    unsigned part, parts;
    size_t used, more = 0;
    const int64_t k = naive_number(text, &used);
    const int64_t n = text[used] == '/' ? naive_number(text + used + 1, &more) : -1;
    const bool good = k >= 0 && n > k && n <= UINT32_MAX && !text[used + 1 + more];
    const int got = input_parse_slice(text, &part, &parts);
    must(good || got < 0, "'%s' is taken for %u/%u", text, part, parts);
    must(got < 0 || (part == k && parts == n), "'%s' is %u/%u", text, part, parts);
    must(!good || got == 0 || n >= 100000 || used + more > 11, "'%s' is refused", text);
}

static void check_statuses(const char *text)
{
    ok_list list = OK_DEFAULT;
    bool wanted[256] = {false}, good = true;
    for (const char *p = text; good; p++) {
        size_t used;
        const int64_t v = naive_number(p, &used);
        good = v >= 0 && v <= 255;
        if (good)
            wanted[v] = true;
        p += used;
        good &= *p == 0 || *p == ',';
        if (*p == 0)
            break;
    }
    must((ok_parse(&list, text) == 0) == good, "'%s'", text);
    for (unsigned i = 0; i < 256; i++)
        must(list.ok[i] == (good ? wanted[i] : i == 0), "status %u in '%s'", i, text);
}

/* Values that end the process when they are wrong. */
enum { NUMBER, SIZE, DURATION, BYTE, CHOICE, KINDS };

/* One that we can compare. */
static int64_t number_of(const cli_option *option, const char *text)
{
    const uint64_t v = cli_number(option, text, 3, UINT64_MAX - 1);
    if (v > INT64_MAX)
        cli_usage("too large for us");
    return (int64_t)v;
}

static int64_t value_of(unsigned kind, const char *text)
{
    static const char *const names[] = {"hash", "any", "", "u32le", NULL};
    static const cli_option option = {0, 'x', "option", "VALUE", "prose"};
    switch (kind) {
    case NUMBER:
        return number_of(&option, text);
    case SIZE:
        return (int64_t)cli_size(&option, text, 3, INT64_MAX);
    case DURATION:
        return cli_duration(&option, text);
    case BYTE:
        return cli_byte(&option, text);
    default:
        return cli_choice(&option, text, names);
    }
}

static void check_duration(const char *text, int64_t got)
{
    size_t used;
    const int64_t number = naive_number(text, &used);
    must(got < 0 || strspn(text, "0123456789.msh") == strlen(text), "duration '%s' is %lld ms", text, (long long)got);
    must(got <= CLI_DURATION_MAX, "duration '%s' is %lld ms", text, (long long)got);
    must(got != 0 || strpbrk(text, "123456789") == NULL, "duration '%s' is 0", text);
    if (number < 0 || number > 1000000 || (text[used] && text[used + 1]))
        return;
    static const char units[] = "smh";
    static const int64_t ms[] = {1000, 60000, 3600000};
    const char *unit = text[used] ? strchr(units, text[used]) : units;
    const int64_t wanted = unit ? number * ms[unit - units] : -1;
    must(!unit || got == (wanted < CLI_DURATION_MAX ? wanted : CLI_DURATION_MAX), "duration '%s' is %lld ms", text,
         (long long)got);
}

static void check_value(unsigned kind, const char *text, int64_t got)
{
    size_t used;
    const int64_t number = naive_number(text, &used), size = naive_size(text);
    if (kind == NUMBER)
        must(got == (text[used] || number < 3 ? -1 : number), "number '%s' is %lld", text, (long long)got);
    else if (kind == SIZE)
        must(got == (size < 3 ? -1 : size), "size '%s' is %lld", text, (long long)got);
    else if (kind == BYTE)
        must(got == naive_byte(text), "byte '%s' is %lld", text, (long long)got);
    else if (kind == DURATION)
        check_duration(text, got);
}

/* -1: it ended the process. */
static int64_t try_value(unsigned kind, const char *text)
{
    int64_t value;
    status = -1;
    if (setjmp(over) != 0)
        return -1;
    tried = true;
    value = value_of(kind, text);
    tried = false;
    return value;
}

static void check_values(food *f)
{
    const unsigned kind = food_below(f, KINDS);
    char *text = food_string(*f);
    check_slice(text);
    check_statuses(text);
    const int64_t got = try_value(kind, text);
    must(got >= 0 || (status == MPP_S_USAGE && ftell(said) > 0), "'%s': status %d", text, status);
    check_value(kind, text, got);
    free(text);
}

/* Messages name the tool whose command line was parsed last. */
static void name_tool(void)
{
    static char name[] = "tool";
    char *words[] = {name, NULL};
    line l = {.n = 1};
    cli_rest rest;
    begin_again();
    cli_parse(&tools[0], 1, words, CLI_DASHES_OPERANDS, take, &l, &rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[1 << 16];
    FILE *const out = stdout;
    food f = {data, size < 2000 ? size : 2000};
    name_tool();
    said = fmemopen(text, sizeof text, "w");
    must(said, "no memory");
    stdout = said;
    if (food_below(&f, 3) == 0)
        check_values(&f);
    else
        check_line(&f);
    stdout = out;
    fclose(said);
    return 0;
}
