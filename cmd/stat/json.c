#include "stat/json.h"

#include "common/cli.h"
#include "stat/limit.h"
#include "stat/words.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_SCHEMA = 1 };

/* jansson reports running out of memory through every call's result; only the end can tell them apart, so what
 * fails on the way is remembered here. */
static bool incomplete;

/* Sets o's field; the value is given away. */
static void set(json_t *o, const char *name, json_t *value)
{
    if (json_object_set_new(o, name, value) < 0)
        incomplete = true;
}

static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) < 0)
        incomplete = true;
}

/* JSON's integers are signed here; only a corrupt mesh has numbers that large. */
static json_t *number(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* A byte string that another process wrote may not be UTF-8, which JSON must be: what is not becomes U+FFFD. */
static json_t *text(const char *s)
{
    json_t *valid = json_string(s);
    if (valid)
        return valid;
    size_t n = strlen(s), used = 0;
    char *copy = malloc(3 * n + 1);
    if (!copy)
        return NULL;
    while (*s) {
        size_t len = 1;
        json_t *ok = NULL;
        for (; len <= 4 && !ok; len++)
            ok = json_stringn(s, strnlen(s, len));
        if (ok) {
            len = json_string_length(ok);
            memcpy(copy + used, s, len);
            used += len;
            s += len;
        } else {
            memcpy(copy + used, "\xef\xbf\xbd", 3);
            used += 3;
            s++;
        }
        json_decref(ok);
    }
    valid = json_stringn(copy, used);
    free(copy);
    return valid;
}

static json_t *text_or_null(const char *s)
{
    return s && *s ? text(s) : json_null();
}

/* A rate; < 0: unknown. */
static json_t *per_second(double rate)
{
    return rate < 0 ? json_null() : json_integer(rate < 1e18 ? (json_int_t)(rate + 0.5) : (json_int_t)1e18);
}

static json_t *positive(int64_t n)
{
    return n > 0 ? json_integer(n) : json_null();
}

static json_t *format(const mpp_format *f)
{
    static const char *const kinds[] = {
        [MPP_DELIMITED] = "delimited", [MPP_FIXED] = "fixed", [MPP_U32LE] = "u32le", [MPP_U32BE] = "u32be"};
    json_t *o = json_object();
    set(o, "kind", text((unsigned)f->kind < sizeof kinds / sizeof *kinds ? kinds[f->kind] : "unknown"));
    set(o, "delimiter", f->kind == MPP_DELIMITED ? number(f->delimiter) : json_null());
    set(o, "size", f->kind == MPP_FIXED ? number(f->size) : json_null());
    return o;
}

static json_t *stream(const mpp_stream_info *s)
{
    json_t *o = json_object();
    set(o, "name", text(s->name));
    set(o, "format", format(&s->format));
    set(o, "partition", text(stat_partition(s->partition)));
    set(o, "key", text_or_null(s->key));
    set(o, "separator", number((unsigned char)s->separator));
    set(o, "lane", number(s->lane));
    set(o, "buffer", text(mpp_buffer_text(s->buffer)));
    set(o, "max_record", number(s->max_record));
    return o;
}

static json_t *share(const stat_mesh *m, const mpp_share *s)
{
    const stat_rates rates = stat_share_rates(m, s);
    json_t *o = json_object(), *counted = json_object();
    set(o, "stream", number(s->stream));
    set(o, "producer", number(s->producer));
    set(o, "state", text(s->state));
    set(o, "rate", per_second(rates.bytes));
    set(o, "records_rate", per_second(rates.records));
#define SHARE_COUNTER(name, kind, unit, prose) set(counted, #name, number(s->counters.name));
#include "counters.def"
    set(o, "counters", counted);
    return o;
}

static json_t *endpoint_counters(const mpp_endpoint_counters *c)
{
    json_t *o = json_object();
#define ENDPOINT_COUNTER(name, kind, unit, prose) set(o, #name, number(c->name));
#include "counters.def"
    return o;
}

static json_t *role(char role)
{
    return role == 'p' ? text("producer") : role == 'c' ? text("consumer") : json_null();
}

static json_t *participant(const mpp_participant *p)
{
    const bool live = p->activity != NULL;
    json_t *o = json_object();
    set(o, "role", role(p->role));
    set(o, "index", number(p->index));
    set(o, "lane", number(p->lane));
    set(o, "state", text(p->state));
    set(o, "pid", positive(p->pid));
    set(o, "label", text_or_null(p->label));
    set(o, "activity", text_or_null(p->activity));
    set(o, "waits_for", live && p->channel >= 0 ? number((uint64_t)p->channel) : json_null());
    set(o, "since_ns", positive(p->since_ns));
    set(o, "command", positive(p->command));
    set(o, "counters", endpoint_counters(&p->counters));
    return o;
}

static json_t *counters(const mpp_counters *c)
{
    json_t *o = json_object();
#define COUNTER(name, kind, unit, side, prose) set(o, #name, c->name == UINT64_MAX ? json_null() : number(c->name));
#include "counters.def"
    return o;
}

static json_t *channel(const stat_mesh *m, const mpp_channel *c)
{
    const stat_rates rates = stat_channel_rates(m, c);
    json_t *o = json_object();
    set(o, "lane", number(c->lane));
    set(o, "producer", number(c->producer));
    set(o, "consumer", number(c->consumer));
    set(o, "fill", number(c->fill));
    set(o, "behind", c->behind == UINT64_MAX ? json_null() : number(c->behind));
    set(o, "rate", per_second(rates.bytes));
    set(o, "records_rate", per_second(rates.records));
    set(o, "counters", counters(&c->counters));
    return o;
}

static json_t *tally(const stat_tally *t)
{
    json_t *o = json_object();
    set(o, "live", number(t->live));
    set(o, "done", number(t->done));
    set(o, "dead", number(t->dead));
    set(o, "missing", number(t->missing));
    return o;
}

static json_t *error(const mpp_error *e)
{
    if (e->status == MPP_S_DONE)
        return json_null();
    json_t *o = json_object();
    set(o, "status", number(e->status));
    set(o, "text", text(e->text));
    return o;
}

static void set_mesh(json_t *o, const stat_summary *m)
{
    set(o, "id", text(m->id));
    set(o, "error", error(&m->error));
    if (m->error.status != MPP_S_DONE)
        return;
    set(o, "uuid", text(m->uuid));
    set(o, "state", text(m->state));
    set(o, "garbage", text_or_null(m->garbage));
    set(o, "cause", error(&m->cause));
    set(o, "created_ns", json_integer(m->created_ns));
    set(o, "age_ns", json_integer(m->age_ns));
    set(o, "segment_size", number(m->size));
    set(o, "producers", number(m->producers));
    set(o, "consumers", number(m->consumers));
    set(o, "participants", tally(&m->participants));
    set(o, "rate", per_second(m->rate));
}

/* ---- verdicts and limits ------------------------------------------------------------------------ */

static json_t *verdict(const why_verdict *v)
{
    json_t *o = json_object(), *evidence = json_array();
    for (unsigned i = 0; i < v->n_evidence; i++)
        append(evidence, text(v->evidence[i]));
    set(o, "class", text(why_name(v->class)));
    set(o, "stalled", json_boolean(v->stalled));
    set(o, "for_ns", positive(v->for_ns));
    set(o, "mesh", text_or_null(v->mesh));
    set(o, "role", role(v->role));
    set(o, "index", v->role ? number(v->index) : json_null());
    set(o, "pid", positive(v->pid));
    set(o, "process", text_or_null(v->process));
    set(o, "text", text_or_null(v->text));
    set(o, "evidence", evidence);
    set(o, "advice", text_or_null(v->advice));
    return o;
}

static json_t *verdicts(const why *w)
{
    json_t *all = json_array();
    for (unsigned i = 0; w && i < w->n; i++)
        append(all, verdict(&w->verdicts[i]));
    return all;
}

static json_t *limit(const stat_limit *l)
{
    json_t *o = json_object();
    set(o, "role", role(l->role));
    set(o, "index", number(l->index));
    set(o, "lane", number(l->lane));
    set(o, "pid", positive(l->pid));
    set(o, "life_ns", number(l->life_ns));
    set(o, "input_ns", number(l->part_ns[LIMIT_INPUT]));
    set(o, "output_ns", number(l->part_ns[LIMIT_OUTPUT]));
    set(o, "command_ns", number(l->part_ns[LIMIT_COMMAND]));
    set(o, "work_ns", number(l->part_ns[LIMIT_WORK]));
    set(o, "channel_ns", number(l->part_ns[LIMIT_CHANNEL]));
    return o;
}

static json_t *limits(const mpp_snapshot *s)
{
    json_t *all = json_array();
    stat_limit *l;
    const int n = stat_limit_take(s, &l);
    incomplete |= n < 0;
    for (int i = 0; i < n; i++)
        append(all, limit(&l[i]));
    free(l);
    return all;
}

static json_t *totals(const mpp_snapshot *s)
{
    stat_totals t;
    stat_limit_totals(s, &t);
    json_t *o = json_object();
    set(o, "records", t.records == UINT64_MAX ? json_null() : number(t.records));
    set(o, "bytes", number(t.bytes));
    set(o, "frames", number(t.frames));
    set(o, "dropped", number(t.dropped));
    set(o, "duration_ns", positive(t.duration_ns));
    set(o, "space_ns", number(t.space_ns));
    set(o, "data_ns", number(t.data_ns));
    return o;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

/* What only the view of one mesh has. */
static void set_detail(json_t *o, const stat_mesh *m)
{
    const mpp_snapshot *s = m->now;
    json_t *streams = json_array(), *endpoints = json_array(), *channels = json_array(), *shares = json_array();
    for (unsigned i = 0; i < s->n_streams; i++)
        append(streams, stream(&s->streams[i]));
    for (unsigned i = 0; i < s->n_participants; i++)
        append(endpoints, participant(&s->participants[i]));
    for (unsigned i = 0; i < s->n_channels; i++)
        append(channels, channel(m, &s->channels[i]));
    for (unsigned i = 0; i < s->n_shares; i++)
        append(shares, share(m, &s->shares[i]));
    set(o, "taken_ns", json_integer(s->taken_ns));
    set(o, "ring_size", number(s->ring_size));
    set(o, "max_record", number(s->max_record));
    set(o, "lanes", number(s->lanes));
    set(o, "watch_pid", s->watch_pid > 0 ? number((uint64_t)s->watch_pid) : json_null());
    set(o, "keep", json_boolean(s->keep));
    set(o, "streams", streams);
    set(o, "endpoints", endpoints);
    set(o, "channels", channels);
    set(o, "buffers", shares);
    set(o, "verdicts", verdicts(m->verdict));
    set(o, "unseen", number(m->verdict ? m->verdict->unseen : 0));
    set(o, "totals", totals(s));
    set(o, "limits", limits(s));
}

/* Prints {"schema": 1, name: value}. */
static void print(const char *name, json_t *value, FILE *out)
{
    json_t *o = json_object();
    set(o, "schema", number(JSON_SCHEMA));
    set(o, name, value);
    if (!incomplete && json_dumpf(o, out, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 && !ferror(out))
        incomplete = true;
    if (incomplete)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "cannot make JSON: out of memory"});
    putc('\n', out);
    json_decref(o);
}

void stat_json_list(const stat_summary *list, size_t n, FILE *out)
{
    json_t *meshes = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        set_mesh(o, &list[i]);
        append(meshes, o);
    }
    print("meshes", meshes, out);
}

static double rate_of(const stat_mesh *m)
{
    double all = m->before ? 0 : -1;
    for (unsigned i = 0; m->before && i < m->now->n_channels; i++) {
        const double one = stat_channel_rates(m, &m->now->channels[i]).bytes;
        all += one > 0 ? one : 0;
    }
    for (unsigned i = 0; m->before && i < m->now->n_shares; i++) {
        const double one = stat_share_rates(m, &m->now->shares[i]).bytes;
        all += one > 0 ? one : 0;
    }
    return all;
}

void stat_json_mesh(const stat_mesh *m, FILE *out)
{
    stat_summary summary;
    json_t *o = json_object();
    stat_summarize(m->now, &summary);
    summary.rate = rate_of(m);
    set_mesh(o, &summary);
    set_detail(o, m);
    print("mesh", o, out);
}

void stat_json_why(const stat_why *list, size_t n, FILE *out)
{
    json_t *meshes = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        set(o, "id", text(list[i].id));
        set(o, "error", error(&list[i].error));
        set(o, "verdicts", verdicts(list[i].verdict));
        set(o, "unseen", number(list[i].verdict ? list[i].verdict->unseen : 0));
        append(meshes, o);
    }
    print("meshes", meshes, out);
}

void stat_json_gone(const char *id, const mpp_error *e, FILE *out)
{
    json_t *o = json_object();
    set(o, "id", text(id));
    set(o, "error", error(e));
    print("mesh", o, out);
}
