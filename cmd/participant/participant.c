#include "participant/participant.h"

#include "common/signals.h"
#include "mpp-look.h"
#include "participant/all.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *role_name(const participant *p)
{
    return p->role == PRODUCER ? "producer" : "consumer";
}

/* ---- options ------------------------------------------------------------------------------------ */

static named_stream *add_stream(participant *p)
{
    p->streams = cli_must(realloc(p->streams, (p->n_streams + 1) * sizeof *p->streams));
    named_stream *s = &p->streams[p->n_streams++];
    *s = (named_stream){0};
    return s;
}

static void take_index(participant *p, const cli_option *option, const char *value)
{
    p->wanted = (int)cli_number(option, value, 0, MPP_PARTICIPANTS_MAX - 1);
}

static void take_all(participant *p, const cli_option *option, const char *value)
{
    (void)option, (void)value;
    p->all = true;
}

static void take_stream(participant *p, const cli_option *option, const char *value)
{
    (void)option;
    named_stream *s = add_stream(p);
    s->name = cli_must(strdup(value));
    s->other = strchr(s->name, '=');
    if (s->other)
        *s->other++ = 0;
}

static void take_ok(participant *p, const cli_option *option, const char *value)
{
    if (ok_parse(&p->ok, value) < 0)
        cli_bad_value(option, value, "not a list of statuses from 0 to 255, as in 0,1");
}

static void take_barrier(participant *p, const cli_option *option, const char *value)
{
    (void)option, (void)value;
    p->barrier = true;
}

static void take_attach_timeout(participant *p, const cli_option *option, const char *value)
{
    p->attach_timeout = cli_duration(option, value);
}

static void take_timeout(participant *p, const cli_option *option, const char *value)
{
    p->timeout = cli_duration(option, value);
}

static void take_progress(participant *p, const cli_option *option, const char *value)
{
    (void)option, (void)value;
    p->show_progress = true;
}

static void take_summary(participant *p, const cli_option *option, const char *value)
{
    (void)option;
    p->summarize = true;
    p->summary_file = value;
}

bool participant_take(participant *p, const cli_option *option, const char *value)
{
    static const struct {
        const char *name;
        void (*take)(participant *p, const cli_option *option, const char *value);
    } table[] = {
        {"all", take_all},         {"attach-timeout", take_attach_timeout},
        {"barrier", take_barrier}, {"index", take_index},
        {"ok-status", take_ok},    {"progress", take_progress},
        {"stream", take_stream},   {"summary", take_summary},
        {"timeout", take_timeout},
    };
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, option->name) == 0) {
            table[i].take(p, option, value);
            return true;
        }
    return false;
}

/* ---- the mesh ----------------------------------------------------------------------------------- */

static void open_mesh(participant *p)
{
    mpp_error err;
    if (mpp_mesh_open(p->id, &p->mesh, &err) < 0)
        cli_die(&err);
}

static void check_index(const participant *p)
{
    unsigned streams = mpp_mesh_streams(p->mesh);
    if (p->all && p->wanted != MPP_INDEX_ANY)
        cli_usage("--all takes every index: --index cannot be given with it");
    if (p->wanted == MPP_INDEX_ANY && !p->all && p->n_streams && p->n_streams < streams)
        cli_usage("this process serves %u of the mesh's %u streams: say which %s it is with --index", p->n_streams,
                  streams, role_name(p));
    if (p->wanted >= (int)p->of)
        cli_usage("--index '%d': mesh '%s' has %u %ss, 0 to %u", p->wanted, p->id, p->of, role_name(p), p->of - 1);
}

static void find_streams(participant *p, const char *others)
{
    unsigned of_mesh = mpp_mesh_streams(p->mesh), plain = 0;
    if (p->n_streams == 0 && of_mesh > 1)
        cli_usage("mesh '%s' has %u streams ('%s', '%s', ...): say which with --stream", p->id, of_mesh,
                  mpp_mesh_stream(p->mesh, 0)->name, mpp_mesh_stream(p->mesh, 1)->name);
    if (p->n_streams == 0)
        add_stream(p)->name = cli_must(strdup(mpp_mesh_stream(p->mesh, 0)->name));
    for (unsigned i = 0; i < p->n_streams; i++) {
        named_stream *s = &p->streams[i];
        int number = mpp_mesh_find_stream(p->mesh, s->name);
        if (number < 0)
            cli_usage("mesh '%s' has no stream '%s'", p->id, s->name);
        s->number = (unsigned)number;
        for (unsigned k = 0; k < i; k++)
            if (p->streams[k].number == s->number)
                cli_usage("stream '%s' is named twice", s->name);
        plain += !s->other;
    }
    if (plain > 1 && p->role == PRODUCER)
        cli_usage("%u streams have no %s of their own; write --stream NAME=FILE or NAME='|COMMAND'", plain, others);
    if (plain == 0 && (p->rest.n > 1 || p->rest.command))
        cli_usage("every --stream has a %s of its own: nothing is left for a FILE or COMMAND", others);
}

void participant_open(participant *p, const char *others)
{
    p->started = mpp_now();
    if (p->rest.n == 0)
        cli_usage("which MESH? give the id that mpp-create printed, or its name");
    p->id = p->rest.operands[0];
    open_mesh(p);
    p->of = p->role == PRODUCER ? mpp_mesh_producers(p->mesh) : mpp_mesh_consumers(p->mesh);
    check_index(p);
    find_streams(p, others);
}

void participant_close(participant *p)
{
    mpp_mesh_close(&p->mesh);
    for (unsigned i = 0; i < p->n_streams; i++)
        free(p->streams[i].name);
    free(p->streams);
    p->streams = NULL;
    p->n_streams = 0;
}

/* Has the participant of this index ever been in the mesh?  Also when that cannot be known. */
static bool was_there(const participant *p, unsigned index)
{
    mpp_snapshot *s;
    bool there = false;
    if (mpp_snapshot_take(p->id, &s, NULL) < 0)
        return true;
    for (unsigned i = 0; i < s->n_participants; i++)
        there |= s->participants[i].role == (p->role == PRODUCER ? 'p' : 'c') && s->participants[i].index == index &&
                 s->participants[i].state != MPP_PLACE_FREE;
    mpp_snapshot_free(&s);
    return there;
}

/* What the mesh knows, all its participants will; and they find out that one of them has died. */
static bool others_learn(void *arg, unsigned i, bool killed)
{
    mpp_error cause;
    const participant *p = arg;
    return mpp_mesh_cause(p->mesh, &cause) || (killed && was_there(p, i));
}

bool participant_fork(participant *p)
{
    mpp_error err;
    if (signals_init(p->tool->name, &err) < 0)
        cli_die(&err);
    if (!p->all)
        return true;
    p->wanted = all_fork(p->of, p->show_progress ? p->tool->name : NULL, &p->status, others_learn, p);
    if (p->wanted < 0) {
        p->signal = p->status ? signals_caught() : 0; /* so that the shell sees what it expects */
        return false;
    }
    mpp_mesh_close(&p->mesh); /* the parent's */
    open_mesh(p);
    return true;
}

void participant_attach(participant *p, unsigned runs, const char *label)
{
    mpp_error err;
    unsigned *streams = cli_must(calloc(p->n_streams, sizeof *streams));
    for (unsigned i = 0; i < p->n_streams; i++)
        streams[i] = p->streams[i].number;
    mpp_attach_options o = {.index = p->wanted,
                            .streams = streams,
                            .n_streams = p->n_streams,
                            .runs = runs,
                            .attach_timeout_ms = p->attach_timeout,
                            .timeout_ms = p->timeout,
                            .label = label};
    int attached = p->role == PRODUCER ? mpp_producer_attach(p->mesh, &o, &p->producer, &err)
                                       : mpp_consumer_attach(p->mesh, &o, &p->consumer, &err);
    free(streams);
    if (attached < 0 && err.status == MPP_S_DONE)
        exit(MPP_S_DONE);
    if (attached < 0)
        cli_die(&err);
    p->index = (int)(p->producer ? mpp_producer_index(p->producer) : mpp_consumer_index(p->consumer));
    all_environment(p->id, (unsigned)p->index, p->of);
}

void participant_show(participant *p, int64_t total)
{
    progress_share *share = p->all ? all_share((unsigned)p->wanted) : NULL;
    if (!p->show_progress)
        return;
    snprintf(p->who, sizeof p->who, "%s %d", p->tool->name, p->index);
    if (share)
        progress_start_share(&p->progress, share, total);
    else
        progress_start(&p->progress, p->who, total);
}

int participant_signal(const participant *p)
{
    if (signals_continued())
        mpp_continued(p->producer, p->consumer);
    return signals_caught();
}

void participant_barrier(participant *p)
{
    struct pollfd set = {.fd = signals_fd(), .events = POLLIN};
    while (p->barrier && !participant_signal(p) && mpp_barrier(p->producer, p->consumer) == MPP_WOULD_BLOCK)
        mpp_wait(p->producer, p->consumer, MPP_WAITING_PEERS, &set, 1, 0);
}

/* Why is it over for us? */
static bool cause_of(const participant *p, mpp_error *cause)
{
    return p->consumer ? mpp_consumer_cause(p->consumer, cause) : mpp_mesh_cause(p->mesh, cause);
}

/* ---- failures ----------------------------------------------------------------------------------- */

void participant_fail(participant *p, int status, const mpp_error *err)
{
    if (p->failed)
        return;
    p->failed = true;
    p->error = *err;
    p->status = status;
    bool first = p->producer ? mpp_producer_fail(p->producer, err) : mpp_consumer_fail(p->consumer, err);
    p->ours = first || !cause_of(p, &p->error);
    if (!p->ours)
        p->status = (int)p->error.status;
}

void participant_fail_text(participant *p, mpp_status status, const char *format, ...)
{
    mpp_error err = {.status = status};
    va_list ap;
    va_start(ap, format);
    vsnprintf(err.text, sizeof err.text, format, ap);
    va_end(ap);
    participant_fail(p, (int)status, &err);
}

void participant_interrupt(participant *p, int sig)
{
    mpp_error err = {.status = MPP_S_FAILED, .final = true};
    p->signal = sig;
    snprintf(err.text, sizeof err.text, "ended by signal %d (%s)", sig, strsignal(sig));
    participant_fail(p, 128 + sig, &err);
}

void participant_take_cause(participant *p)
{
    if (p->failed || !cause_of(p, &p->error))
        return;
    p->failed = true;
    p->status = (int)p->error.status;
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void write_summary(const participant *p, const summary_stream *streams)
{
    mpp_error err;
    summary s = {.tool = p->tool->name,
                 .mesh = p->id,
                 .role = role_name(p),
                 .index = p->index,
                 .status = p->status,
                 .cause = p->failed ? p->error.text : NULL,
                 .started = p->started,
                 .streams = streams,
                 .n_streams = p->n_streams};
    if (summary_write(&s, p->summary_file, &err) < 0)
        cli_warn("%s", err.text);
}

/* The others of --all have the same to tell. */
static bool all_learn(const participant *p)
{
    mpp_error cause;
    return mpp_mesh_cause(p->mesh, &cause) && strcmp(cause.text, p->error.text) == 0;
}

void participant_report(participant *p, const summary_stream *streams)
{
    if (p->failed && p->ours && !p->signal) /* of a signal the shell tells */
        cli_warn("%s %d: %s", role_name(p), p->index, p->error.text);
    else if (p->failed && !p->ours && (!all_learn(p) || (!mpp_mesh_scoped(p->mesh) && all_tell())))
        cli_warn("%s", p->error.text);
    if (p->summarize)
        write_summary(p, streams);
}
