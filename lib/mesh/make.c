/* make.c - a mesh from what was asked for
 *
 * It is long because each option is checked where its field is filled in. */
#include "base/atomics.h"
#include "base/error.h"
#include "base/liveness.h"
#include "mesh/mesh.h"
#include "mesh/name.h"
#include "mesh/open.h"
#include "mesh/sockets.h"
#include "record/key-range.h"
#include "record/key.h"
#include "record/record.h"
#include "ring/mailbox.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

/* Bytes for layout_header.texts, collected while streams are checked. */
typedef struct texts {
    char *data;
    uint32_t size;
} texts;

static bool texts_add(texts *t, const char *text, uint32_t *at, uint32_t *size)
{
    size_t n = text ? strlen(text) : 0;
    *at = t->size;
    *size = (uint32_t)n;
    if (n == 0)
        return true;
    if (n > UINT32_MAX / 2 - t->size)
        return false;
    char *p = realloc(t->data, t->size + n);
    if (!p)
        return false;
    memcpy(p + t->size, text, n);
    t->data = p;
    t->size += (uint32_t)n;
    return true;
}

/* "1M" in bytes; 0: no size, or one beyond 1G. */
static uint32_t block_parse(const char *text)
{
    char *end;
    const unsigned long long n = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (n == 0 || n > 1 << 30)
        return 0;
    const unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return end[shift != 0] != 0 || n << shift > 1 << 30 ? 0 : (uint32_t)(n << shift);
}

static int partition_parse(const mpp_stream_options *o, mpp_partition_kind *kind, const char **bounds, uint32_t *block,
                           mpp_error *err)
{
    static const char in_turn[] = "round-robin:";
    *bounds = NULL;
    *block = 0;
    if (!o->partition) {
        *kind = o->key ? MPP_HASH : MPP_ROUND_ROBIN;
        return 0;
    }
    if (strncmp(o->partition, "range:", 6) == 0) {
        *kind = MPP_RANGE;
        *bounds = o->partition + 6;
        return 0;
    }
    if (strncmp(o->partition, in_turn, sizeof in_turn - 1) == 0) {
        *kind = MPP_ROUND_ROBIN;
        *block = block_parse(o->partition + sizeof in_turn - 1);
        return *block ? 0
                      : error_set(err, MPP_S_USAGE, 0, "stream '%s': '%s': the size of a block is 1 to 1G bytes",
                                  o->name, o->partition);
    }
    for (*kind = MPP_HASH; *kind <= MPP_BROADCAST; ++*kind)
        if (*kind != MPP_RANGE && strcmp(o->partition, mpp_partition_text(*kind)) == 0)
            return 0;
    return error_set(
        err, MPP_S_USAGE, 0,
        "stream '%s': no partition '%s'; there are hash, round-robin, round-robin:SIZE, any, range:B1,B2,... "
        "and broadcast",
        o->name, o->partition);
}

/* What decides where records go has no say where they are overwritten. */
static int buffer_check(const mpp_stream_options *o, mpp_error *err)
{
    if (o->buffer == MPP_BOUNDED)
        return 0;
    if (o->buffer > MPP_MAILBOX)
        return error_set(err, MPP_S_USAGE, 0, "stream '%s': no kind of buffer %u", o->name, o->buffer);
    if (o->key || o->partition)
        return error_set(
            err, MPP_S_USAGE, 0,
            "stream '%s': a buffer of kind '%s' has no %s: every reader sees all of it; give it to bounded "
            "streams only, after their names",
            o->name, mpp_buffer_text(o->buffer), o->key ? "key" : "partition");
    return 0;
}

static mpp_partition_kind partition_of_buffer(mpp_buffer_kind kind)
{
    return kind == MPP_MAILBOX ? MPP_ANY : MPP_BROADCAST;
}

static int stream_make(const mpp_stream_options *o, unsigned consumers, uint64_t max_record, layout_stream *s, texts *t,
                       mpp_error *err)
{
    if (!o->name || !mesh_name_valid(o->name))
        return error_set(err, MPP_S_USAGE, 0, "'%s' cannot be a stream's name: 1 to %d bytes, no blanks, no '='",
                         o->name ? o->name : "", MPP_NAME_MAX);
    if (!record_format_valid(&o->format))
        return error_set(err, MPP_S_USAGE, 0, "stream '%s': not a record format (a fixed record has at least 1 byte)",
                         o->name);
    if (o->format.kind == MPP_FIXED && o->format.size > max_record)
        return error_set(err, MPP_S_USAGE, 0, "stream '%s': records of %u bytes are longer than --max-record %llu",
                         o->name, o->format.size, (unsigned long long)max_record);
    key k;
    key_ranges r;
    mpp_partition_kind kind = MPP_HASH;
    const char *bounds;
    uint32_t block = 0;
    if (buffer_check(o, err) < 0 || mesh_key(o->key, o->separator, &k, err) < 0 ||
        partition_parse(o, &kind, &bounds, &block, err) < 0)
        return -1;
    if (o->buffer != MPP_BOUNDED)
        kind = partition_of_buffer(o->buffer);
    if (kind == MPP_RANGE) {
        if (key_ranges_parse(bounds, &k, consumers, &r, err) < 0)
            return -1;
        key_ranges_free(&r);
    }
    *s = (layout_stream){.kind = (uint32_t)o->format.kind,
                         .block = block,
                         .delimiter = o->format.delimiter,
                         .size = o->format.size,
                         .partition = (uint32_t)kind,
                         .buffer = (uint32_t)o->buffer,
                         .separator = (unsigned char)o->separator};
    strcpy(s->name, o->name);
    if (!texts_add(t, o->key, &s->key_at, &s->key_size) || !texts_add(t, bounds, &s->bounds_at, &s->bounds_size))
        return error_set(err, MPP_S_ERROR, ENOMEM, "stream '%s'", o->name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const layout_stream *const *)a)->name, (*(const layout_stream *const *)b)->name);
}

static int names_differ(const layout_stream *streams, unsigned n, mpp_error *err)
{
    const layout_stream **sorted = calloc(n, sizeof *sorted);
    int result = sorted ? 0 : error_set(err, MPP_S_ERROR, ENOMEM, "cannot make a mesh");
    for (unsigned i = 0; sorted && i < n; i++)
        sorted[i] = &streams[i];
    if (sorted)
        qsort(sorted, n, sizeof *sorted, by_name);
    for (unsigned i = 1; sorted && i < n; i++)
        if (by_name(&sorted[i - 1], &sorted[i]) == 0)
            result = error_set(err, MPP_S_USAGE, 0, "two streams are named '%s'", sorted[i]->name);
    free(sorted);
    return result;
}

static int streams_make(const mpp_mesh_options *o, layout_stream *streams, unsigned n, texts *t, mpp_error *err)
{
    static const mpp_stream_options only = {.name = "0", .format = {.delimiter = '\n'}, .separator = '\t'};
    for (unsigned i = 0; i < n; i++) {
        if (stream_make(o->n_streams ? &o->streams[i] : &only, o->consumers,
                        o->max_record ? o->max_record : LAYOUT_MAX_RECORD, &streams[i], t, err) < 0)
            return -1;
    }
    return names_differ(streams, n, err);
}

static uint64_t ring_size_default(uint64_t channels)
{
    uint64_t size = LAYOUT_RING_DEFAULT;
    while (size > LAYOUT_RING_MIN && channels * size > LAYOUT_RINGS_TOTAL)
        size /= 2;
    return size;
}

static unsigned overwriting(const mpp_mesh_options *o)
{
    unsigned n = 0;
    for (unsigned i = 0; i < o->n_streams; i++)
        n += o->streams[i].buffer != MPP_BOUNDED;
    return n;
}

static int geometry(const mpp_mesh_options *o, uint32_t texts_size, layout *l, mpp_error *err)
{
    unsigned streams = o->n_streams ? o->n_streams : 1;
    if (o->lanes && overwriting(o))
        return error_set(err, MPP_S_USAGE, 0,
                         "--lanes is for meshes whose streams are all bounded: one that is overwritten shares no lane");
    *l = (layout){.producers = o->producers,
                  .consumers = o->consumers,
                  .streams = streams,
                  .lanes = o->lanes ? o->lanes : streams,
                  .ring_size = o->ring_size,
                  .texts_size = texts_size,
                  .buffers = overwriting(o)};
    if (l->ring_size == 0)
        l->ring_size = ring_size_default((uint64_t)l->producers * l->consumers * l->lanes);
    const char *field;
    if (!layout_compute(l, &field))
        return error_set(
            err, MPP_S_USAGE, 0,
            "the number of %s cannot be: 1 to %d producers and consumers, 1 to %d streams, at most as many "
            "lanes as streams, rings of a power of two from 64K to 1G",
            field, MPP_PARTICIPANTS_MAX, MPP_STREAMS_MAX);
    return 0;
}

/* The mesh's directory in `base`, and a check that the longest path fits. */
static int directory_in(const char *base, const layout *l, const char *short_id, char *directory, mpp_error *err)
{
    char longest[PATH_MAX + 64];
    unsigned last = (l->producers > l->consumers ? l->producers : l->consumers) - 1;
    int n = l->lanes == 1
                ? snprintf(longest, sizeof longest, "%s/mpp_%s/p%u.sock", base, short_id, last)
                : snprintf(longest, sizeof longest, "%s/mpp_%s/p%u.%u.sock", base, short_id, last, l->lanes - 1);
    if (n >= LAYOUT_SOCKET_PATH_MAX)
        return error_set(err, MPP_S_USAGE, 0,
                         "the socket path '%.200s' has %d bytes and the limit is %d; set XDG_RUNTIME_DIR or TMPDIR to "
                         "a shorter directory",
                         longest, n + 1, LAYOUT_SOCKET_PATH_MAX);
    snprintf(directory, LAYOUT_SOCKET_PATH_MAX, "%.80s/mpp_%s", base, short_id);
    return 0;
}

/* A file system that is full, or takes no directories, says so only when one is made. */
static bool takes_directory(const char *directory)
{
    return mkdir(directory, 0700) == 0 && rmdir(directory) == 0;
}

/* A runtime directory is the system's to set, and often cannot be used (su, cron, a logout): then the next one will
 * do. */
static int socket_directory(const layout *l, const char *short_id, char *directory, mpp_error *err)
{
    char base[PATH_MAX];
    if (mesh_temporary_directory(MESH_XDG_RUNTIME_DIR, base) == 0 &&
        directory_in(base, l, short_id, directory, NULL) == 0 && takes_directory(directory))
        return 0;
    const char *named = getenv("TMPDIR");
    const bool has = named && *named;
    if (mesh_temporary_directory(has ? MESH_TMPDIR : MESH_TMP, base) < 0)
        return error_set(err, MPP_S_ERROR, errno,
                         "cannot put sockets into '%.200s' (XDG_RUNTIME_DIR, else TMPDIR, else /tmp)",
                         has ? named : "/tmp");
    return directory_in(base, l, short_id, directory, err);
}

static int values_fit(const mpp_mesh_options *o, const layout *l, mpp_error *err)
{
    const uint64_t most = layout_quarter(l->ring_size) - sizeof(layout_value);
    for (unsigned i = 0; i < o->n_streams; i++) {
        const mpp_stream_options *s = &o->streams[i];
        if (s->buffer != MPP_BOUNDED && s->format.kind == MPP_FIXED && s->format.size > most)
            return error_set(err, MPP_S_USAGE, 0,
                             "stream '%s': a buffer of kind '%s' holds records of at most %llu bytes (a quarter of "
                             "--ring-size, at most 256K, less 16), not of %u",
                             s->name, mpp_buffer_text(s->buffer), (unsigned long long)most, s->format.size);
    }
    return 0;
}

static int header_make(const mpp_mesh_options *o, const layout *l, layout_header *h, char *id, mpp_error *err)
{
    char text[37], short_id[13];
    uuid_generate_random(h->uuid);
    uuid_unparse_lower(h->uuid, text);
    snprintf(short_id, sizeof short_id, "%.8s%.4s", text, text + 9);
    snprintf(id, MPP_NAME_MAX + 1, "%s", o->name ? o->name : short_id);
    if (o->name)
        snprintf(h->name, sizeof h->name, "%s", o->name);
    if (socket_directory(l, short_id, h->socket_dir, err) < 0)
        return -1;
    if (o->pid) {
        h->watch_start = liveness_start_time(o->pid);
        if (!h->watch_start && errno == ESRCH)
            return error_set(err, MPP_S_USAGE, 0, "there is no process %d (--pid)", (int)o->pid);
        if (!h->watch_start)
            return error_set(err, MPP_S_ERROR, errno, "cannot look at process %d (--pid)", (int)o->pid);
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    h->version = LAYOUT_VERSION;
    h->keep = o->keep;
    h->scope = o->scope;
    h->producers = l->producers;
    h->consumers = l->consumers;
    h->streams = l->streams;
    h->lanes = l->lanes;
    h->ring_size = l->ring_size;
    h->max_record = o->max_record ? o->max_record : LAYOUT_MAX_RECORD;
    h->segment_size = l->segment_size;
    h->texts_size = l->texts_size;
    h->buffers = l->buffers;
    h->watch_pid = o->pid;
    h->pid_namespace = liveness_namespace("pid");
    h->mount_namespace = liveness_namespace("mnt");
    h->created_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    if (h->max_record > LAYOUT_MAX_RECORD_MAX)
        return error_set(err, MPP_S_USAGE, 0, "--max-record: at most 1T");
    return 0;
}

static void channels_make(const layout *l, void *base)
{
    uint64_t n = (uint64_t)l->lanes * l->producers * l->consumers;
    for (uint64_t i = 0; i < n; i++)
        store_relaxed(&layout_channel_at(l, base, i)->want, LAYOUT_NEVER);
}

static void buffers_make(const layout *l, void *base)
{
    for (unsigned i = 0; i < l->buffers; i++)
        store_relaxed(&layout_buffer_at(l, base, i)->slot, mailbox_empty(l->producers));
}

/* The directory comes after the name, and goes before it: one that is there without its mesh is left over
 * (look/gc.c). */
static int directory_make(mpp_mesh *m, mpp_error *err)
{
    if (mesh_directory_make(m) == 0)
        return 0;
    if (errno == EEXIST && mesh_directory_check(m, NULL) == 1) /* somebody who attached at once was quicker */
        return 0;
    error_set(err, MPP_S_ERROR, errno, "cannot make the directory for sockets '%s'", m->socket_dir);
    mesh_unlink(m);
    return -1;
}

static int make(const mpp_mesh_options *o, layout_stream *streams, texts *t, mpp_mesh **mesh, mpp_error *err)
{
    layout l;
    layout_header header = {0};
    char id[MPP_NAME_MAX + 1];
    segment *s;
    unsigned n = o->n_streams ? o->n_streams : 1;
    if (o->producers < 1 || o->producers > MPP_PARTICIPANTS_MAX || o->consumers < 1 ||
        o->consumers > MPP_PARTICIPANTS_MAX)
        return geometry(o, 0, &l, err);
    if (streams_make(o, streams, n, t, err) < 0 || geometry(o, t->size, &l, err) < 0 || values_fit(o, &l, err) < 0 ||
        header_make(o, &l, &header, id, err) < 0 || segment_create(l.segment_size, l.rings_at, &s, err) < 0)
        return -1;
    char *base = segment_base(s);
    memcpy(base, &header, sizeof header);
    memcpy(base + l.streams_at, streams, n * sizeof *streams);
    if (t->size)
        memcpy(base + l.texts_at, t->data, t->size);
    channels_make(&l, base);
    buffers_make(&l, base);
    store_release(&((layout_header *)base)->magic, LAYOUT_MAGIC); /* [M1] the last word */
    /* Opened before it has a name: what fails leaves nothing behind. */
    if (mesh_adopt(s, id, mesh, err) < 0)
        return -1;
    if (mesh_publish(s, id, err) == 0 && directory_make(*mesh, err) == 0)
        return 0;
    mpp_mesh_close(mesh);
    return -1;
}

int mpp_mesh_create(const mpp_mesh_options *o, mpp_mesh **mesh, mpp_error *err)
{
    texts t = {0};
    assert(o);
    if (o->n_streams > MPP_STREAMS_MAX)
        return error_set(err, MPP_S_USAGE, 0, "at most %d streams", MPP_STREAMS_MAX);
    if (o->name && strlen(o->name) > MPP_NAME_MAX)
        return error_set(err, MPP_S_USAGE, 0, "a mesh's name has at most %d bytes", MPP_NAME_MAX);
    layout_stream *streams = calloc(o->n_streams ? o->n_streams : 1, sizeof *streams);
    int result = streams ? make(o, streams, &t, mesh, err) : error_set(err, MPP_S_ERROR, ENOMEM, "cannot make a mesh");
    free(streams);
    free(t.data);
    return result;
}
