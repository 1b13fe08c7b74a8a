#include "run/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- words -------------------------------------------------------------------------------------- */

static void add(word_list *w, const char *word)
{
    w->at = cli_must(realloc(w->at, (w->n + 2) * sizeof *w->at));
    w->at[w->n++] = cli_must(strdup(word));
    w->at[w->n] = NULL;
}

CLI_PRINTF(2, 3) static void add_text(word_list *w, const char *format, ...)
{
    char *text;
    va_list ap;
    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    add(w, cli_must(text));
    free(text);
}

static void add_all(word_list *w, char *const *more)
{
    for (; more && *more; more++)
        add(w, *more);
}

void script_add(word_list *w, const cli_option *option, const char *value)
{
    if (!value)
        add_text(w, "--%s", option->name);
    else if (!option->letter)
        add_text(w, "--%s=%s", option->name, value);
    else {
        add_text(w, "-%c", option->letter);
        add(w, value);
    }
}

/* ---- as the shell reads them --------------------------------------------------------------------- */

/* A word that the shell takes as it is, or one in quotes. */
static void print_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,+@%^-";
    if (*word && word[strspn(word, plain)] == 0) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, 0}, out);
    fputc('\'', out);
}

static void print_words(FILE *out, char *const *words)
{
    for (; words && *words; words++) {
        fputc(' ', out);
        print_word(out, *words);
    }
}

void script_print(char *const *words)
{
    print_word(stdout, *words);
    print_words(stdout, words + 1);
    putchar('\n');
}

/* ---- the job ------------------------------------------------------------------------------------- */

static void print_copies(FILE *out, const script *s, char *const *command)
{
    fputs("    for i in", out);
    for (unsigned i = 0; i < s->jobs; i++)
        fprintf(out, " %u", i);
    fputs("; do\n        mpp-consume $MPP_OUTER -i $i", out);
    fputs(s->keep_order ? " --block" : " --lazy", out);
    print_words(out, s->work.at);
    fputs(" --", out);
    print_words(out, command);
    fputs(" | mpp-produce $MPP_MESH -i $i &\n    done\n", out);
}

static void print_gather(FILE *out, const script *s, char *const *command)
{
    fputs("    mpp-consume $MPP_MESH", out);
    print_words(out, s->print.at);
    fputs(s->keep_order ? " --in-turn &\n" : s->merge ? " --merge &\n" : " &\n", out);
    print_copies(out, s, command);
}

static void print_files(FILE *out, const script *s, char *const *command)
{
    fputs("    mpp-consume $MPP_MESH --all --lazy -o", out);
    print_words(out, (char *[]){(char *)s->output, NULL});
    print_words(out, s->work.at);
    fputs(" --", out);
    print_words(out, command);
    fputs(" &\n", out);
}

/* What the scope's shell does.  The FILEs are its arguments, as there may be many.  Who reads them comes last, as the
 * shell takes standard input away from what it starts in the background. */
static char *shell_text(const script *s, char *const *command, unsigned producers)
{
    char *text = NULL;
    size_t size;
    FILE *out = cli_must(open_memstream(&text, &size));
    fputc('\n', out);
    (s->output ? print_files : print_gather)(out, s, command);
    fprintf(out, "    mpp-produce $%s", s->output ? "MPP_MESH" : "MPP_OUTER");
    print_words(out, s->read.at);
    fputs(producers > 1 ? " --all --slice \"$@\"\n" : " \"$@\"\n", out);
    fputs("    wait", out);
    fclose(out);
    return cli_must(text);
}

/* The mesh from which the copies get their records. */
static void add_deal(word_list *w, const script *s, unsigned producers)
{
    add(w, "mpp-create");
    add_text(w, "-p%u", producers);
    add_text(w, "-c%u", s->jobs);
    if (s->keep_order) {
        add(w, "-P");
        add_text(w, "round-robin:%s", s->block ? s->block : BLOCK_DEFAULT);
    } else if (!s->dealt) {
        add_all(w, (char *[]){"-P", "any", s->sized ? NULL : "-r", "64K", NULL});
    }
    add_all(w, s->deal.at);
    add_all(w, s->records.at);
    add_all(w, s->sizes.at);
}

/* The one to which they give what they print. */
static void add_gather(word_list *w, const script *s)
{
    add_all(w, (char *[]){"--", "mpp-create", NULL});
    add_text(w, "-p%u", s->jobs);
    if (s->merge_key)
        add_all(w, (char *[]){"-k", (char *)s->merge_key, NULL});
    if (s->keep_order)
        add_all(w, (char *[]){"--length-prefixed", "u32le", NULL});
    else
        add_all(w, s->records.at);
    add_all(w, s->sizes.at);
}

/* Which several processes cannot share. */
static bool reads_stdin(const cli_rest *rest)
{
    bool reads = false;
    for (unsigned i = 0; i < rest->n; i++)
        reads |= strcmp(rest->operands[i], "-") == 0;
    return reads;
}

char **script_words(const script *s, const cli_rest *rest)
{
    const unsigned files = rest->n < s->jobs ? rest->n : s->jobs,
                   producers = s->keep_order || !files || reads_stdin(rest) ? 1 : files;
    word_list w = {0};
    add_deal(&w, s, producers);
    if (!s->output)
        add_gather(&w, s);
    add_all(&w, (char *[]){"--", "sh", "-c", NULL});
    char *text = shell_text(s, rest->command, producers);
    add(&w, text);
    free(text);
    add(&w, "mpp-run");
    add_all(&w, rest->operands);
    return w.at;
}
