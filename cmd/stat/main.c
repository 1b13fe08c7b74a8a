/* mpp-stat - look at meshes without disturbing them */
#define CLI_OPTIONS "stat/mpp-stat.opt"
#include "common/cli.h"
#include "mpp-look.h"
#include "stat/view.h"
#include "stat/watch.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define STAT_PATIENCE_NS     INT64_C(1000000000) /* of --for */
#define STAT_INTERVAL_MIN_NS INT64_C(10000000)   /* of --watch */

static const cli_tool tool = {
    .name = "mpp-stat",
    .synopsis = "[-J | -o COLS] [-w SECS]\n"
                "[-A] [-J | -o COLS] [--for=DUR] [-w SECS] MESH\n"
                "-W [-J] [--for=DUR] [-w SECS] [MESH]\n"
                "[-s NAME] --where=KEY MESH",
    .purpose = "Show all meshes, or one mesh's participants and channels, or why one stands still; disturb nothing.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

static int64_t duration_ns(const cli_option *option, const char *value)
{
    return cli_duration(option, value) * 1000000;
}

static int64_t interval_ns(const cli_option *option, const char *value)
{
    const int64_t ns = duration_ns(option, value);
    if (ns < STAT_INTERVAL_MIN_NS)
        cli_bad_value(option, value, "expected at least 0.01 (seconds)");
    return ns;
}

static void take_option(void *arg, const cli_option *option, const char *value)
{
    stat_request *r = arg;
    switch (option->id) {
    case OPT_WHY:
        r->why = true;
        break;
    case OPT_FOR:
        r->patience_ns = duration_ns(option, value);
        break;
    case OPT_WATCH:
        r->interval_ns = interval_ns(option, value);
        break;
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

static void check(stat_request *r, const cli_rest *rest)
{
    if (rest->n > 1)
        cli_usage("one MESH at a time, and not '%s'", rest->operands[1]);
    r->mesh = rest->n ? rest->operands[0] : NULL;
    if (r->json && r->columns)
        cli_usage("--json prints every field; --output is for tables");
    if (r->why && r->columns)
        cli_usage("--why prints the verdict and no table; --output is for tables");
    if (r->where && (r->json || r->columns || r->why || r->interval_ns))
        cli_usage("--where prints an index and nothing else");
    if (r->where && !r->mesh)
        cli_usage("--where needs a MESH");
    if (r->stream && !r->where)
        cli_usage("--stream is for --where");
    if (r->patience_ns >= 0 && !r->why && (!r->mesh || r->columns || r->where))
        cli_usage("--for is for the verdict: give --why, or a MESH without --output");
    if (r->patience_ns < 0)
        r->patience_ns = STAT_PATIENCE_NS;
}

/* ---- --where ------------------------------------------------------------------------------------ */

static unsigned stream_number(const stat_request *r, const mpp_mesh *m)
{
    if (!r->stream && mpp_mesh_streams(m) > 1)
        cli_usage("mesh %s has %u streams: say which with --stream", r->mesh, mpp_mesh_streams(m));
    int number = r->stream ? mpp_mesh_find_stream(m, r->stream) : 0;
    if (number < 0)
        cli_usage("mesh %s has no stream '%s'", r->mesh, r->stream);
    return (unsigned)number;
}

static void print_where(const stat_request *r)
{
    mpp_snapshot *taken;
    mpp_error error;
    if (mpp_snapshot_take(r->mesh, &taken, &error) < 0)
        cli_die(&error);
    const mpp_mesh *m = taken->mesh;
    const unsigned number = stream_number(r, m);
    const mpp_stream_info *s = mpp_mesh_stream(m, number);
    int consumer = mpp_mesh_where(m, number, r->where, strlen(r->where));
    if (consumer < 0)
        cli_usage("the key does not decide where records of stream '%s' go: its partition is %s", s->name,
                  mpp_partition_text(s->partition));
    printf("%d\n", consumer);
    mpp_snapshot_free(&taken);
}

/* ---- once, or again and again ------------------------------------------------------------------- */

static void look_or_die(stat_view *v)
{
    mpp_error error;
    if (stat_view_take(v, false, &error) < 0)
        cli_die(&error);
}

/* Rates take a second look. */
static void show_once(stat_view *v, const stat_request *r)
{
    stat_page page = {.out = stdout, .all = r->all};
    stat_page_measure(&page);
    page.height = 0;
    look_or_die(v);
    if (stat_view_wants_glance(v)) {
        stat_watch_pause(STAT_GLANCE_NS);
        look_or_die(v);
    }
    stat_view_show(v, &page);
}

int main(int argc, char **argv)
{
    stat_request r = {.patience_ns = -1};
    cli_rest rest;
    mpp_status status = MPP_S_DONE;
    setlocale(LC_CTYPE, "");
    signal(SIGXFSZ, SIG_IGN); /* the call that met the limit says so */
    cli_parse(&tool, argc, argv, CLI_DASHES_OPERANDS, take_option, &r, &rest);
    check(&r, &rest);
    if (r.where)
        print_where(&r);
    else {
        stat_view *v = stat_view_open(&r);
        if (r.interval_ns)
            stat_watch(v, &r);
        else {
            show_once(v, &r);
            status = stat_view_status(v);
        }
        stat_view_close(&v);
    }
    cli_flush();
    return (int)status;
}
