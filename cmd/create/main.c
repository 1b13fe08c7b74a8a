/* mpp-create - make a mesh and print its id; remove meshes */
#define CLI_OPTIONS "create/mpp-create.opt"
#include "common/cli.h"
#include "common/io.h"
#include "common/signals.h"
#include "create/scope.h"
#include "mpp-look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_tool tool = {
    .name = "mpp-create",
    .synopsis = "[-p N] [-c N] [-k LIST] [OPTION...]\n[OPTION...] -- COMMAND [ARG...]\n--remove MESH...\n--gc",
    .purpose = "Make a mesh, in which producers pass streams of records to consumers, and print its id; or run a\n"
               "COMMAND that uses it as $MPP_MESH, and exit with the first failure of all that took part.",
    .options = cli_options,
    .n_options = CLI_N_OPTIONS,
};

typedef enum job { CREATE, REMOVE, GC } job;

/* The command line, understood. */
typedef struct request {
    mpp_mesh_options mesh;
    mpp_stream_options defaults; /* what options before the first -s said, for all streams */
    mpp_stream_options *streams; /* mesh.n_streams of them */
    bool keyed;                  /* has what options describe now been given a -k of its own? */
    job job;
    const char *creating;      /* an option that only means something when a mesh is made, or NULL */
    void (*on_limit)(int sig); /* what SIGXFSZ did when we were started */
} request;

/* ---- options ------------------------------------------------------------------------------------ */

static void add_stream(request *r, const char *name)
{
    size_t n = r->mesh.n_streams + 1;
    mpp_stream_options *grown = cli_must(realloc(r->streams, n * sizeof *grown));
    grown[n - 1] = r->defaults;
    grown[n - 1].name = name;
    r->streams = grown;
    r->mesh.n_streams = (unsigned)n;
    r->keyed = false;
}

/* Whom an option that describes a stream is about. */
static mpp_stream_options *described(request *r)
{
    return r->mesh.n_streams ? &r->streams[r->mesh.n_streams - 1] : &r->defaults;
}

static mpp_format delimited(unsigned char byte)
{
    return (mpp_format){.kind = MPP_DELIMITED, .delimiter = byte};
}

static mpp_format fixed(uint64_t size)
{
    return (mpp_format){.kind = MPP_FIXED, .size = (uint32_t)size};
}

static mpp_format prefixed(unsigned choice)
{
    return (mpp_format){.kind = choice == 0 ? MPP_U32LE : MPP_U32BE};
}

static uint64_t power_of_two(const cli_option *option, const char *value)
{
    uint64_t size = cli_size(option, value, 64 << 10, 1 << 30);
    if (size & (size - 1))
        cli_bad_value(option, value, "not a power of two; try 64K, 1M");
    return size;
}

/* sort(1) has a -k for each field of its key, and here a second one would replace the first. */
static const char *key_list(request *r, const cli_option *option, const char *value)
{
    if (!*value)
        cli_bad_value(option, value, "expected fields, as in 2 or 2nr,1");
    if (r->keyed)
        cli_bad_value(option, value,
                      "a second -k: a key is one list of its fields; for sort's -k 2,2n -k 1,1 write -k 2n,1");
    r->keyed = true;
    return value;
}

static void choose_job(request *r, job chosen)
{
    if (r->job != CREATE && r->job != chosen)
        cli_usage("--remove and --gc exclude each other");
    r->job = chosen;
}

static void take_option(void *arg, const cli_option *option, const char *value)
{
    static const char *const endian[] = {"u32le", "u32be", NULL};
    const char *const buffers[] = {mpp_buffer_text(MPP_BOUNDED), mpp_buffer_text(MPP_RING), mpp_buffer_text(MPP_LATEST),
                                   mpp_buffer_text(MPP_MAILBOX), NULL};
    request *r = arg;

    if (option->id != OPT_REMOVE && option->id != OPT_GC)
        r->creating = option->name;
    switch (option->id) {
    case OPT_PRODUCERS:
        r->mesh.producers = (unsigned)cli_number(option, value, 1, MPP_PARTICIPANTS_MAX);
        break;
    case OPT_CONSUMERS:
        r->mesh.consumers = (unsigned)cli_number(option, value, 1, MPP_PARTICIPANTS_MAX);
        break;
    case OPT_STREAM:
        add_stream(r, value);
        break;
    case OPT_ZERO_TERMINATED:
        described(r)->format = delimited('\0');
        break;
    case OPT_DELIMITER:
        described(r)->format = delimited(cli_byte(option, value));
        break;
    case OPT_FIXED:
        described(r)->format = fixed(cli_size(option, value, 1, UINT32_MAX));
        break;
    case OPT_LENGTH_PREFIXED:
        described(r)->format = prefixed(cli_choice(option, value, endian));
        break;
    case OPT_KEY:
        described(r)->key = key_list(r, option, value);
        break;
    case OPT_FIELD_SEPARATOR:
        described(r)->separator = (char)cli_byte(option, value);
        break;
    case OPT_PARTITION:
        described(r)->partition = value;
        break;
    case OPT_BUFFER:
        described(r)->buffer = (mpp_buffer_kind)cli_choice(option, value, buffers);
        break;
    case OPT_RING_SIZE:
        r->mesh.ring_size = power_of_two(option, value);
        break;
    case OPT_LANES:
        r->mesh.lanes = (unsigned)cli_number(option, value, 1, MPP_STREAMS_MAX);
        break;
    case OPT_NAME:
        r->mesh.name = value;
        break;
    case OPT_MAX_RECORD:
        r->mesh.max_record = cli_size(option, value, 1, UINT64_C(1) << 40);
        break;
    case OPT_PID:
        r->mesh.pid = (pid_t)cli_number(option, value, 1, INT_MAX);
        break;
    case OPT_KEEP:
        r->mesh.keep = true;
        break;
    case OPT_REMOVE:
        choose_job(r, REMOVE);
        break;
    case OPT_GC:
        choose_job(r, GC);
        break;
    }
}

static void check_operands(const request *r, const cli_rest *rest)
{
    if (r->job != CREATE && r->creating)
        cli_usage("--%s means nothing with --%s", r->creating, r->job == GC ? "gc" : "remove");
    if (r->job == REMOVE && rest->n == 0)
        cli_usage("--remove needs a MESH");
    if (r->job != REMOVE && rest->n > 0)
        cli_usage("operand '%s' not expected; a COMMAND stands behind --", rest->operands[0]);
    if (r->job != CREATE && rest->command)
        cli_usage("--%s takes no COMMAND", r->job == GC ? "gc" : "remove");
    if (rest->command && r->mesh.pid)
        cli_usage("--pid means nothing with a COMMAND: its mesh is tied to mpp-create");
}

/* Records of a keyed stream meet at one consumer; beside it, a stream that is dealt out without regard to the key
 * is more often an option in the wrong place than a wish. */
static void check_keys(const request *r)
{
    const mpp_stream_options *keyed = NULL, *omitted = NULL;
    for (unsigned i = 0; i < r->mesh.n_streams; i++) {
        const mpp_stream_options *s = &r->streams[i];
        if (s->key)
            keyed = s;
        else if (!s->partition && s->buffer == MPP_BOUNDED)
            omitted = s;
    }
    if (r->mesh.consumers > 1 && keyed && omitted)
        cli_usage("stream '%s' has a key and stream '%s' has none: put -k before the first -s, or give '%s' a -P",
                  keyed->name, omitted->name, omitted->name);
}

/* ---- jobs --------------------------------------------------------------------------------------- */

/* The sockets are not where the environment asks for them. */
static void tell_fallback(const char *directory)
{
    char wanted[PATH_MAX];
    const char *name = getenv("XDG_RUNTIME_DIR");
    if (!name || !*name)
        return;
    const char *resolved = realpath(name, wanted),
               *why = resolved ? "nothing can be made there, or its path is too long" : strerror(errno);
    const size_t n = resolved ? strlen(resolved) : 0;
    if (!resolved || strncmp(directory, resolved, n) != 0 || directory[n] != '/')
        cli_warn("XDG_RUNTIME_DIR '%.200s' cannot be used (%s): the mesh's sockets are in '%s'", name, why, directory);
}

static mpp_mesh *make_mesh(request *r)
{
    mpp_mesh *mesh;
    mpp_error error;

    if (r->mesh.n_streams == 0)
        add_stream(r, "0");
    check_keys(r);
    r->mesh.streams = r->streams;
    mpp_mesh_free_tied(); /* what earlier runs of a script left behind, and nobody can use */
    if (mpp_mesh_create(&r->mesh, &mesh, &error) < 0)
        cli_die(&error);
    tell_fallback(mpp_mesh_directory(mesh));
    return mesh;
}

static int run(request *r, char *const command[])
{
    mpp_error error;
    signal(SIGXFSZ, r->on_limit); /* for the command */
    guard early;
    if (signals_init(tool.name, &error) < 0 || scope_begin(&early, &error) < 0)
        cli_die(&error);
    r->mesh.pid = getpid();
    r->mesh.scope = true;
    mpp_mesh *mesh = make_mesh(r);
    const int status = scope_run(mesh, r->mesh.keep, command, &early);
    mpp_mesh_close(&mesh);
    free(r->streams);
    return status;
}

static int create(request *r)
{
    mpp_mesh *mesh = make_mesh(r);
    puts(mpp_mesh_id(mesh));
    if (fflush(stdout) != 0) { /* nobody will ever know its id */
        int why = errno;
        mpp_mesh_remove(mpp_mesh_id(mesh), NULL);
        errno = why;
        cli_flush();
    }
    mpp_mesh_close(&mesh);
    free(r->streams);
    return MPP_S_DONE;
}

static int remove_all(const cli_rest *rest)
{
    int status = MPP_S_DONE;
    for (unsigned i = 0; i < rest->n; i++) {
        mpp_error error;
        if (mpp_mesh_remove(rest->operands[i], &error) == 0)
            continue;
        cli_warn("%s", error.text);
        if (status == MPP_S_DONE)
            status = (int)error.status;
    }
    return status;
}

static void print_removed(void *arg, const char *id, const char *why)
{
    (void)arg;
    printf("%s\t%s\n", id, why);
}

static int gc(void)
{
    mpp_error error;
    if (mpp_mesh_gc(print_removed, NULL, &error) < 0)
        cli_die(&error);
    return MPP_S_DONE;
}

int main(int argc, char **argv)
{
    request r = {
        .mesh = {.producers = 1, .consumers = 1},
        .defaults = {.format = delimited('\n'), .separator = '\t'},
    };
    cli_rest rest;
    bool mute = fcntl(STDOUT_FILENO, F_GETFD) < 0;
    r.on_limit = signal(SIGXFSZ, SIG_IGN); /* the call that met the limit says so */
    io_standard();                         /* or the segment would take its place */
    cli_parse(&tool, argc, argv, CLI_DASHES_COMMAND, take_option, &r, &rest);
    check_operands(&r, &rest);
    if (rest.command)
        return run(&r, rest.command);
    if (mute && r.job == CREATE) {
        cli_warn("standard output is closed: nobody would learn the mesh's id");
        return MPP_S_ERROR;
    }

    int status = r.job == GC ? gc() : r.job == REMOVE ? remove_all(&rest) : create(&r);
    cli_flush();
    return status;
}
