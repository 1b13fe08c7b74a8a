/* stat-json.c - the same as JSON; what is here is a promise (mpp-stat(1), JSON): fields may be added, and whatever
 * else changes raises the schema's number */
#include "stat.h"

#include "cli.h"

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
    return o;
}

static json_t *participant(const mpp_participant *p)
{
    const bool live = p->activity != NULL;
    json_t *o = json_object();
    set(o, "role", text(p->role == 'p' ? "producer" : "consumer"));
    set(o, "index", number(p->index));
    set(o, "lane", number(p->lane));
    set(o, "state", text(p->state));
    set(o, "pid", p->pid > 0 ? number((uint64_t)p->pid) : json_null());
    set(o, "label", text_or_null(p->label));
    set(o, "activity", text_or_null(p->activity));
    set(o, "waits_for", live && p->channel >= 0 ? number((uint64_t)p->channel) : json_null());
    set(o, "since_ns", p->since_ns > 0 ? number((uint64_t)p->since_ns) : json_null());
    return o;
}

static json_t *counters(const mpp_counters *c)
{
    json_t *o = json_object();
#define COUNTER(name, kind, unit, side, prose) set(o, #name, c->name == UINT64_MAX ? json_null() : number(c->name));
#include "counters.def"
    return o;
}

static json_t *channel(const mpp_channel *c)
{
    json_t *o = json_object();
    set(o, "lane", number(c->lane));
    set(o, "producer", number(c->producer));
    set(o, "consumer", number(c->consumer));
    set(o, "fill", number(c->fill));
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
}

/* What only the view of one mesh has. */
static void set_detail(json_t *o, const mpp_snapshot *s)
{
    json_t *streams = json_array(), *endpoints = json_array(), *channels = json_array();
    for (unsigned i = 0; i < s->n_streams; i++)
        append(streams, stream(&s->streams[i]));
    for (unsigned i = 0; i < s->n_participants; i++)
        append(endpoints, participant(&s->participants[i]));
    for (unsigned i = 0; i < s->n_channels; i++)
        append(channels, channel(&s->channels[i]));
    set(o, "taken_ns", json_integer(s->taken_ns));
    set(o, "ring_size", number(s->ring_size));
    set(o, "max_record", number(s->max_record));
    set(o, "lanes", number(s->lanes));
    set(o, "watch_pid", s->watch_pid > 0 ? number((uint64_t)s->watch_pid) : json_null());
    set(o, "keep", json_boolean(s->keep));
    set(o, "streams", streams);
    set(o, "endpoints", endpoints);
    set(o, "channels", channels);
}

/* Prints {"schema": 1, name: value}. */
static void print(const char *name, json_t *value)
{
    json_t *o = json_object();
    set(o, "schema", number(JSON_SCHEMA));
    set(o, name, value);
    if (!incomplete && json_dumpf(o, stdout, JSON_COMPACT) < 0 && !ferror(stdout))
        incomplete = true;
    if (incomplete)
        cli_die(&(mpp_error){.status = MPP_S_ERROR, .text = "cannot make JSON: out of memory"});
    putchar('\n');
    json_decref(o);
}

void stat_json_list(const stat_summary *list, size_t n)
{
    json_t *meshes = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        set_mesh(o, &list[i]);
        append(meshes, o);
    }
    print("meshes", meshes);
}

void stat_json_mesh(const mpp_snapshot *s)
{
    stat_summary m;
    json_t *o = json_object();
    stat_summarize(s, &m);
    set_mesh(o, &m);
    set_detail(o, s);
    print("mesh", o);
}
