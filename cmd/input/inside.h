/* inside.h - what an input keeps: for the files of this room that make the list, share it out and open its pieces */
#ifndef CMD_INPUT_INSIDE_H
#define CMD_INPUT_INSIDE_H

#include "input/input.h"
#include "input/reader.h"

#include <string.h>
#include <sys/stat.h>

/* One entry of the list. */
typedef struct item {
    const char *name;
    int64_t size; /* bytes; 0 where it has none, or says so */
    mode_t mode;  /* 0: stat(2) failed; opening it will say why */
    dev_t dev;
    ino_t ino;
    bool sized;      /* its size can be known */
    bool quick;      /* opening it takes no time: it needs no reader */
    bool cut;        /* of this file we read a range */
    bool descriptor; /* the name of a descriptor of ours, such as that of <(COMMAND): nobody else has it */
} item;

struct input {
    input_options options;
    char *names; /* what was read of files0_from */
    item *items;
    size_t n, next;
    bool measured;     /* size and mode of the items are known */
    off_t stdin_at;    /* where stdin stood at first; -1: it cannot be sought */
    mode_t stdin_mode; /* what stdin was at first */
    bool stdin_sleeps; /* a read of it may, see file_sleeps() */
    unsigned part, parts;
    mpp_format format;
    uint64_t max_record;
    uint32_t what, how; /* see input_identity() */
    input_piece piece;
    char *piece_name; /* of a piece that is not a whole file; NULL: another name serves */
    command command;  /* behind the piece, when piece.command says so */
    reader reader;
};

/* What failed is the caller's choice of options. */
static inline int input_usage(mpp_error *err, int failed)
{
    if (err)
        err->status = MPP_S_USAGE;
    return failed;
}

static inline bool input_is_command(const input *in)
{
    return in->options.argv || in->options.shell;
}

static inline bool item_is_stdin(const item *it)
{
    return strcmp(it->name, "-") == 0;
}

#endif
