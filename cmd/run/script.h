/* script.h - a job as a line of the other commands */
#ifndef CMD_RUN_SCRIPT_H
#define CMD_RUN_SCRIPT_H

#include "common/cli.h"

#include <stdbool.h>

/* Words of a command line; NULL-terminated unless empty. */
typedef struct word_list {
    char **at;
    unsigned n;
} word_list;

typedef struct script {
    unsigned jobs;               /* copies of COMMAND */
    bool dealt;                  /* by a rule that was given; else to whoever has least to do */
    bool sized;                  /* the rings */
    bool dry;                    /* is only to be shown */
    bool keep_order;             /* of the input, by ... */
    const char *block;           /* NULL: BLOCK_DEFAULT */
    const char *output;          /* of each copy, a file; NULL: what the copies print is gathered */
    bool merge;                  /* that, by ... */
    const char *merge_key;       /* NULL: whole records */
    word_list records;           /* options of a mesh: what a record is */
    word_list sizes;             /* of both meshes */
    word_list deal;              /* of the one from which the copies get records */
    word_list read, work, print; /* of who reads the FILEs, of each copy's consumer, of who gathers */
} script;
#define BLOCK_DEFAULT "1M"

/* An option as it was given. */
void script_add(word_list *w, const cli_option *option, const char *value);

/* The command line that does the job, NULL-terminated: the caller's, until the process ends. */
char **script_words(const script *s, const cli_rest *rest);

/* The same on standard output, quoted for the shell. */
void script_print(char *const *words);

#endif
