/* mpp-stat - look at meshes without disturbing them */
#define CLI_OPTIONS "mpp-stat.opt"
#include "cli.h"
#include "stat.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_tool tool = {
    .name = "mpp-stat",
    .synopsis = "[-J | -o COLS]\n[-A] [-J | -o COLS] MESH\n[-s NAME] --where=KEY MESH",
    .purpose = "Show all meshes, or one mesh's participants and channels, without disturbing them.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

/* The command line, understood. */
typedef struct request {
    const char *mesh;    /* NULL: all */
    const char *columns; /* NULL: the default ones */
    const char *where;
    const char *stream; /* NULL: the only one */
    bool json, all;
} request;

static void take(void *arg, const cli_option *option, const char *value)
{
    request *r = arg;
    switch (option->id) {
    case OPT_JSON:
        r->json = true;
        break;
    case OPT_OUTPUT:
        r->columns = value;
        break;
    case OPT_WHERE:
        r->where = value;
        break;
    case OPT_STREAM:
        r->stream = value;
        break;
    case OPT_ALL:
        r->all = true;
        break;
    }
}

static void check(request *r, const cli_rest *rest)
{
    if (rest->n > 1)
        cli_usage("one MESH at a time, and not '%s'", rest->operands[1]);
    r->mesh = rest->n ? rest->operands[0] : NULL;
    if (r->json && r->columns)
        cli_usage("--json prints every field; --output is for tables");
    if (r->where && (r->json || r->columns))
        cli_usage("--where prints an index and nothing else");
    if (r->where && !r->mesh)
        cli_usage("--where needs a MESH");
    if (r->stream && !r->where)
        cli_usage("--stream is for --where");
}

/* ---- --where ------------------------------------------------------------------------------------ */

static unsigned stream_number(const request *r, const mpp_mesh *m)
{
    if (!r->stream && mpp_mesh_streams(m) > 1)
        cli_usage("mesh %s has %u streams: say which with --stream", r->mesh, mpp_mesh_streams(m));
    int number = r->stream ? mpp_mesh_find_stream(m, r->stream) : 0;
    if (number < 0)
        cli_usage("mesh %s has no stream '%s'", r->mesh, r->stream);
    return (unsigned)number;
}

static void print_where(const request *r)
{
    mpp_snapshot *taken;
    mpp_error error;
    if (stat_take(r->mesh, &taken, &error) < 0)
        cli_die(&error);
    const mpp_mesh *m = taken->mesh;
    const unsigned number = stream_number(r, m);
    const mpp_stream_info *s = mpp_mesh_stream(m, number);
    int consumer = mpp_mesh_where(m, number, r->where, strlen(r->where));
    if (consumer < 0)
        cli_usage("the key does not decide where records of stream '%s' go: its partition is %s", s->name,
                  stat_partition(s->partition));
    printf("%d\n", consumer);
    mpp_snapshot_free(&taken);
}

/* ---- list and mesh ------------------------------------------------------------------------------ */

static void print_list(const request *r)
{
    stat_summary *list;
    stat_list_columns(r->columns);
    int n = stat_list_take(&list);
    if (n < 0) {
        mpp_error error = {.status = MPP_S_ERROR};
        snprintf(error.text, sizeof error.text, "cannot list the meshes: %s", strerror(errno));
        cli_die(&error);
    }
    if (r->json)
        stat_json_list(list, (size_t)n);
    else
        stat_list_print(list, (size_t)n);
    free(list);
}

static void print_mesh(const request *r)
{
    mpp_snapshot *s;
    mpp_error error;
    stat_mesh_columns(r->columns);
    if (stat_take(r->mesh, &s, &error) < 0)
        cli_die(&error);
    if (r->json)
        stat_json_mesh(s);
    else
        stat_mesh_print(s, r->all);
    mpp_snapshot_free(&s);
}

int main(int argc, char **argv)
{
    request r = {0};
    cli_rest rest;
    setlocale(LC_CTYPE, "");
    cli_parse(&tool, argc, argv, CLI_DASHES_OPERANDS, take, &r, &rest);
    check(&r, &rest);
    if (r.where)
        print_where(&r);
    else if (r.mesh)
        print_mesh(&r);
    else
        print_list(&r);
    cli_flush();
    return MPP_S_DONE;
}
