#include "stat/json.h"

#include "common/cli.h"
#include "common/utf8.h"
#include "mpp-look.h"
#include "stat/limit.h"
#include "stat/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_SCHEMA = 1 };

static json_t *format(const mpp_format *f)
{
    static const char *const kinds[] = {
        [MPP_DELIMITED] = "delimited", [MPP_FIXED] = "fixed", [MPP_U32LE] = "u32le", [MPP_U32BE] = "u32be"};
    json_t *o = json_object();
    value_set(o, "kind", utf8_json((unsigned)f->kind < sizeof kinds / sizeof *kinds ? kinds[f->kind] : "unknown"));
    value_set(o, "delimiter", f->kind == MPP_DELIMITED ? value_number(f->delimiter) : json_null());
    value_set(o, "size", f->kind == MPP_FIXED ? value_number(f->size) : json_null());
    return o;
}

static json_t *stream(const mpp_stream_info *s)
{
    json_t *o = json_object();
    value_set(o, "name", utf8_json(s->name));
    value_set(o, "format", format(&s->format));
    value_set(o, "partition", utf8_json(mpp_partition_text(s->partition)));
    value_set(o, "block", value_number(s->block));
    value_set(o, "key", value_text_or_null(s->key));
    value_set(o, "separator", value_number((unsigned char)s->separator));
    value_set(o, "lane", value_number(s->lane));
    value_set(o, "buffer", utf8_json(mpp_buffer_text(s->buffer)));
    value_set(o, "max_record", value_number(s->max_record));
    return o;
}

static json_t *share(const stat_mesh *m, const mpp_share *s)
{
    const stat_rates rates = stat_share_rates(m, s);
    json_t *o = json_object(), *counted = json_object();
    value_set(o, "stream", value_number(s->stream));
    value_set(o, "producer", value_number(s->producer));
    value_set(o, "state", utf8_json(mpp_share_text(s->state)));
    value_set(o, "rate", value_rate(rates.bytes));
    value_set(o, "records_rate", value_rate(rates.records));
#define SHARE_COUNTER(name, kind, unit, prose) value_set(counted, #name, value_number(s->counters.name));
#include "counters.def"
    value_set(o, "counters", counted);
    return o;
}

static json_t *endpoint_counters(const mpp_endpoint_counters *c)
{
    json_t *o = json_object();
#define ENDPOINT_COUNTER(name, kind, unit, prose) value_set(o, #name, value_number(c->name));
#include "counters.def"
    return o;
}

static json_t *participant(const mpp_participant *p)
{
    const bool live = p->state == MPP_PLACE_LIVE;
    json_t *o = json_object();
    value_set(o, "role", value_role(p->role));
    value_set(o, "index", value_number(p->index));
    value_set(o, "lane", value_number(p->lane));
    value_set(o, "state", utf8_json(mpp_place_text(p->state)));
    value_set(o, "pid", value_positive(p->pid));
    value_set(o, "label", value_text_or_null(p->label));
    value_set(o, "activity", value_text_or_null(p->activity));
    value_set(o, "waits_for", live && p->channel >= 0 ? value_number((uint64_t)p->channel) : json_null());
    value_set(o, "since_ns", value_positive(p->since_ns));
    value_set(o, "command", value_positive(p->command));
    value_set(o, "counters", endpoint_counters(&p->counters));
    return o;
}

static json_t *counters(const mpp_counters *c)
{
    json_t *o = json_object();
#define COUNTER(name, kind, unit, side, prose)                                                                         \
    value_set(o, #name, c->name == UINT64_MAX ? json_null() : value_number(c->name));
#include "counters.def"
    return o;
}

static json_t *channel(const stat_mesh *m, const mpp_channel *c)
{
    const stat_rates rates = stat_channel_rates(m, c);
    json_t *o = json_object();
    value_set(o, "lane", value_number(c->lane));
    value_set(o, "producer", value_number(c->producer));
    value_set(o, "consumer", value_number(c->consumer));
    value_set(o, "fill", value_number(c->fill));
    value_set(o, "behind", c->behind == UINT64_MAX ? json_null() : value_number(c->behind));
    value_set(o, "rate", value_rate(rates.bytes));
    value_set(o, "records_rate", value_rate(rates.records));
    value_set(o, "counters", counters(&c->counters));
    return o;
}

static json_t *tally(const stat_tally *t)
{
    json_t *o = json_object();
    value_set(o, "live", value_number(t->live));
    value_set(o, "done", value_number(t->done));
    value_set(o, "dead", value_number(t->dead));
    value_set(o, "missing", value_number(t->missing));
    return o;
}

static json_t *error(const mpp_error *e)
{
    if (e->status == MPP_S_DONE)
        return json_null();
    json_t *o = json_object();
    value_set(o, "status", value_number(e->status));
    value_set(o, "text", utf8_json(e->text));
    return o;
}

static void set_mesh(json_t *o, const stat_summary *m)
{
    value_set(o, "id", utf8_json(m->id));
    value_set(o, "error", error(&m->error));
    if (m->error.status != MPP_S_DONE)
        return;
    value_set(o, "uuid", utf8_json(m->uuid));
    value_set(o, "state", utf8_json(m->state));
    value_set(o, "garbage", value_text_or_null(m->garbage));
    value_set(o, "cause", error(&m->cause));
    value_set(o, "created_ns", json_integer(m->created_ns));
    value_set(o, "age_ns", json_integer(m->age_ns));
    value_set(o, "segment_size", value_number(m->size));
    value_set(o, "producers", value_number(m->producers));
    value_set(o, "consumers", value_number(m->consumers));
    value_set(o, "participants", tally(&m->participants));
    value_set(o, "rate", value_rate(m->rate));
}

/* ---- verdicts and limits ------------------------------------------------------------------------ */

static json_t *verdict(const why_verdict *v)
{
    json_t *o = json_object(), *evidence = json_array();
    for (unsigned i = 0; i < v->n_evidence; i++)
        value_append(evidence, utf8_json(v->evidence[i]));
    value_set(o, "class", utf8_json(why_name(v->class)));
    value_set(o, "stalled", json_boolean(v->stalled));
    value_set(o, "for_ns", value_positive(v->for_ns));
    value_set(o, "mesh", value_text_or_null(v->mesh));
    value_set(o, "role", value_role(v->role));
    value_set(o, "index", v->role ? value_number(v->index) : json_null());
    value_set(o, "pid", value_positive(v->pid));
    value_set(o, "process", value_text_or_null(v->process));
    value_set(o, "text", value_text_or_null(v->text));
    value_set(o, "evidence", evidence);
    value_set(o, "advice", value_text_or_null(v->advice));
    return o;
}

static json_t *verdicts(const why *w)
{
    json_t *all = json_array();
    for (unsigned i = 0; w && i < w->n; i++)
        value_append(all, verdict(&w->verdicts[i]));
    return all;
}

static json_t *limit(const stat_limit *l)
{
    json_t *o = json_object();
    value_set(o, "role", value_role(l->role));
    value_set(o, "index", value_number(l->index));
    value_set(o, "lane", value_number(l->lane));
    value_set(o, "pid", value_positive(l->pid));
    value_set(o, "life_ns", value_number(l->life_ns));
    value_set(o, "input_ns", value_number(l->part_ns[LIMIT_INPUT]));
    value_set(o, "output_ns", value_number(l->part_ns[LIMIT_OUTPUT]));
    value_set(o, "command_ns", value_number(l->part_ns[LIMIT_COMMAND]));
    value_set(o, "work_ns", value_number(l->part_ns[LIMIT_WORK]));
    value_set(o, "channel_ns", value_number(l->part_ns[LIMIT_CHANNEL]));
    return o;
}

static json_t *limits(const mpp_snapshot *s)
{
    json_t *all = json_array();
    stat_limit *l;
    const int n = stat_limit_take(s, &l);
    if (n < 0)
        value_lost();
    for (int i = 0; i < n; i++)
        value_append(all, limit(&l[i]));
    free(l);
    return all;
}

static json_t *totals(const mpp_snapshot *s)
{
    stat_totals t;
    stat_limit_totals(s, &t);
    json_t *o = json_object();
    value_set(o, "records", t.records == UINT64_MAX ? json_null() : value_number(t.records));
    value_set(o, "bytes", value_number(t.bytes));
    value_set(o, "frames", value_number(t.frames));
    value_set(o, "dropped", value_number(t.dropped));
    value_set(o, "duration_ns", value_positive(t.duration_ns));
    value_set(o, "space_ns", value_number(t.space_ns));
    value_set(o, "data_ns", value_number(t.data_ns));
    return o;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

/* What only the view of one mesh has. */
static void set_detail(json_t *o, const stat_mesh *m)
{
    const mpp_snapshot *s = m->now;
    json_t *streams = json_array(), *endpoints = json_array(), *channels = json_array(), *shares = json_array();
    for (unsigned i = 0; i < s->n_streams; i++)
        value_append(streams, stream(&s->streams[i]));
    for (unsigned i = 0; i < s->n_participants; i++)
        value_append(endpoints, participant(&s->participants[i]));
    for (unsigned i = 0; i < s->n_channels; i++)
        value_append(channels, channel(m, &s->channels[i]));
    for (unsigned i = 0; i < s->n_shares; i++)
        value_append(shares, share(m, &s->shares[i]));
    value_set(o, "taken_ns", json_integer(s->taken_ns));
    value_set(o, "ring_size", value_number(s->ring_size));
    value_set(o, "max_record", value_number(s->max_record));
    value_set(o, "lanes", value_number(s->lanes));
    value_set(o, "watch_pid", s->watch_pid > 0 ? value_number((uint64_t)s->watch_pid) : json_null());
    value_set(o, "keep", json_boolean(s->keep));
    value_set(o, "streams", streams);
    value_set(o, "endpoints", endpoints);
    value_set(o, "channels", channels);
    value_set(o, "buffers", shares);
    value_set(o, "verdicts", verdicts(m->verdict));
    value_set(o, "unseen", value_number(m->verdict ? m->verdict->unseen : 0));
    value_set(o, "totals", totals(s));
    value_set(o, "limits", limits(s));
}

/* Prints {"schema": 1, name: value}. */
static void print_document(const char *name, json_t *value, FILE *out)
{
    json_t *o = json_object();
    value_set(o, "schema", value_number(JSON_SCHEMA));
    value_set(o, name, value);
    if (value_complete() && json_dumpf(o, out, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 && !ferror(out))
        value_lost();
    if (!value_complete())
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
        value_append(meshes, o);
    }
    print_document("meshes", meshes, out);
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
    print_document("mesh", o, out);
}

void stat_json_why(const stat_why *list, size_t n, FILE *out)
{
    json_t *meshes = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        value_set(o, "id", utf8_json(list[i].id));
        value_set(o, "error", error(&list[i].error));
        value_set(o, "verdicts", verdicts(list[i].verdict));
        value_set(o, "unseen", value_number(list[i].verdict ? list[i].verdict->unseen : 0));
        value_append(meshes, o);
    }
    print_document("meshes", meshes, out);
}

void stat_json_gone(const char *id, const mpp_error *e, FILE *out)
{
    json_t *o = json_object();
    value_set(o, "id", utf8_json(id));
    value_set(o, "error", error(e));
    print_document("mesh", o, out);
}
