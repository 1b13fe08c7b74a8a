/* open.c - an open mesh from what is in its segment, of which nothing is believed that is not checked */
#include "mesh/open.h"

#include "base/atomics.h"
#include "base/error.h"
#include "base/liveness.h"
#include "mesh/mesh.h"
#include "record/key-range.h"
#include "record/key.h"
#include "record/record.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int header_check(mpp_mesh *m, const layout_header *h, mpp_error *err)
{
    uint64_t magic = load_acquire(&h->magic); /* [M2] of a copy: a mesh has a name only when it is complete */
    if (magic == 0)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is half made; mpp-create --gc removes it", m->id);
    if (magic != LAYOUT_MAGIC)
        return error_set(err, MPP_S_CORRUPT, 0, "'%s' is not a mesh (no magic)", m->id);
    if (h->version != LAYOUT_VERSION)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' has layout version %u, this program knows %d", m->id,
                         h->version, LAYOUT_VERSION);
    m->l = (layout){.producers = h->producers,
                    .consumers = h->consumers,
                    .streams = h->streams,
                    .lanes = h->lanes,
                    .ring_size = h->ring_size,
                    .texts_size = h->texts_size,
                    .buffers = h->buffers};
    const char *field;
    if (!layout_compute(&m->l, &field))
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its header's %s is out of bounds", m->id, field);
    uint64_t size;
    if (segment_size(m->segment, &size) < 0)
        return error_set(err, MPP_S_ERROR, errno, "cannot look at mesh '%s'", m->id);
    if (h->segment_size != m->l.segment_size || size < m->l.segment_size)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its segment has %llu bytes and should have %llu",
                         m->id, (unsigned long long)size, (unsigned long long)m->l.segment_size);
    if (h->max_record < 1 || h->max_record > LAYOUT_MAX_RECORD_MAX)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its header's max_record is out of bounds",
                         m->id);
    if (h->socket_dir[0] != '/' || !memchr(h->socket_dir, 0, sizeof h->socket_dir))
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its header's socket_dir is not a path", m->id);
    memcpy(m->socket_dir, h->socket_dir, sizeof m->socket_dir);
    memcpy(m->uuid, h->uuid, sizeof m->uuid);
    m->max_record = h->max_record;
    m->created_ns = h->created_ns;
    m->watch_pid = h->watch_pid;
    m->watch_start = h->watch_start;
    m->elsewhere = liveness_elsewhere("pid", h->pid_namespace);
    m->other_mounts = liveness_elsewhere("mnt", h->mount_namespace);
    m->keep = h->keep != 0;
    m->scope = h->scope != 0;
    return 0;
}

static bool text_within(const mpp_mesh *m, uint32_t at, uint32_t size)
{
    return at <= m->l.texts_size && size <= m->l.texts_size - at;
}

static char *text_copy(const mpp_mesh *m, uint32_t at, uint32_t size)
{
    return strndup((char *)m->base + m->l.texts_at + at, size);
}

/* Key and partition of a stream, from its texts.  NULL in place of one: there was no memory for it. */
static int stream_parse(const mpp_mesh *m, const layout_stream *s, const char *text, const char *bounds,
                        mesh_stream *out, mpp_error *err)
{
    mpp_error why;
    if (!text || !bounds || !out->info.name)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot open mesh '%s'", m->id);
    if (mesh_key(text, (char)s->separator, &out->key, &why) == 0 &&
        (s->partition != MPP_RANGE || key_ranges_parse(bounds, &out->key, m->l.consumers, &out->ranges, &why) == 0))
        return 0;
    if (why.os_error)
        return error_set(err, MPP_S_ERROR, why.os_error, "cannot open mesh '%s'", m->id);
    return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: key or partition of stream '%s'", m->id, s->name);
}

static int stream_open(mpp_mesh *m, unsigned i, mpp_error *err)
{
    layout_stream s;
    mesh_stream *out = &m->streams[i];
    memcpy(&s, (char *)m->base + m->l.streams_at + i * sizeof s, sizeof s);
    s.name[MPP_NAME_MAX] = 0;
    mpp_format format = {(mpp_format_kind)s.kind, (unsigned char)s.delimiter, s.size};
    if (!mesh_name_valid(s.name) || !record_format_valid(&format) || s.partition > MPP_BROADCAST || s.separator > 255 ||
        s.delimiter > 255 || s.buffer > MPP_MAILBOX)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: entry %u of its stream table", m->id, i);
    if (!text_within(m, s.key_at, s.key_size) || !text_within(m, s.bounds_at, s.bounds_size))
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: key or partition of stream '%s'", m->id, s.name);
    char *text = text_copy(m, s.key_at, s.key_size);
    char *bounds = text_copy(m, s.bounds_at, s.bounds_size);
    out->info = (mpp_stream_info){.name = strdup(s.name),
                                  .format = format,
                                  .partition = (mpp_partition_kind)s.partition,
                                  .block = s.block,
                                  .key = s.key_size ? text : NULL,
                                  .separator = (char)s.separator,
                                  .lane = layout_lane_of(&m->l, i),
                                  .buffer = (mpp_buffer_kind)s.buffer,
                                  .max_record = m->max_record};
    const int result = stream_parse(m, &s, text, bounds, out, err);
    free(bounds);
    if (!s.key_size)
        free(text);
    return result;
}

/* Number the buffers that overwrite, and bound what they can hold. */
static int buffers_open(mpp_mesh *m, mpp_error *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->l.streams; i++) {
        mpp_stream_info *info = &m->streams[i].info;
        const uint64_t most = layout_quarter(m->l.ring_size) - sizeof(layout_value) - record_head(&info->format) -
                              record_tail(&info->format);
        if (info->buffer == MPP_BOUNDED)
            continue;
        m->streams[i].buffer = n++;
        info->max_record = info->max_record < most ? info->max_record : most;
        if (info->format.kind == MPP_FIXED && info->format.size > most)
            return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: entry %u of its stream table", m->id, i);
    }
    return n == m->l.buffers ? 0
                             : error_set(err, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its header's buffers", m->id);
}

static int map_segment(mpp_mesh *m, mpp_error *err)
{
    if (segment_map(m->segment, m->l.rings_at) < 0)
        return error_set(err, errno == EINVAL ? MPP_S_CORRUPT : MPP_S_ERROR, errno, "cannot map mesh '%s'", m->id);
    m->base = segment_base(m->segment);
    return 0;
}

static int copy_segment(mpp_mesh *m, mpp_error *err)
{
    /* Aligned as the shared structs are. */
    m->base = aligned_alloc(128, (m->l.rings_at + 127) & ~UINT64_C(127));
    if (!m->base)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot look at mesh '%s'", m->id);
    ssize_t n = segment_read(m->segment, 0, m->base, m->l.rings_at);
    if (n < 0)
        return error_set(err, MPP_S_ERROR, errno, "cannot read mesh '%s'", m->id);
    if ((uint64_t)n < m->l.rings_at)
        return error_set(err, MPP_S_CORRUPT, 0, "mesh '%s': the segment was truncated while it was read", m->id);
    return 0;
}

static int mesh_load(mpp_mesh *m, mpp_error *err)
{
    layout_header h;
    ssize_t n = segment_read(m->segment, 0, &h, sizeof h);
    if (n < 0)
        return error_set(err, MPP_S_ERROR, errno, "cannot read mesh '%s'", m->id);
    if (n < (ssize_t)sizeof h)
        return error_set(err, MPP_S_CORRUPT, 0,
                         "'%s' is not a mesh, or half made: too short; mpp-create --gc removes it", m->id);
    if (header_check(m, &h, err) < 0)
        return -1;
    if ((m->copied ? copy_segment : map_segment)(m, err) < 0)
        return -1;
    m->header = m->base;
    m->streams = calloc(m->l.streams, sizeof *m->streams);
    if (!m->streams)
        return error_set(err, MPP_S_ERROR, ENOMEM, "cannot open mesh '%s'", m->id);
    for (unsigned i = 0; i < m->l.streams; i++)
        if (stream_open(m, i, err) < 0)
            return -1;
    return buffers_open(m, err);
}

static mpp_mesh *mesh_new(const char *id, bool copied, mpp_error *err)
{
    mpp_mesh *m = calloc(1, sizeof *m);
    if (!m) {
        error_set(err, MPP_S_ERROR, ENOMEM, "cannot open mesh '%s'", id);
        return NULL;
    }
    snprintf(m->id, sizeof m->id, "%s", id);
    m->copied = copied;
    return m;
}

static int open_mesh(const char *id, bool copied, mpp_mesh **mesh, mpp_error *err)
{
    mpp_mesh *m = mesh_new(id, copied, err);
    *mesh = NULL;
    if (!m)
        return -1;
    if ((copied ? segment_open_to_read : segment_open)(id, &m->segment, err) < 0 || mesh_load(m, err) < 0) {
        mpp_mesh_close(&m);
        return -1;
    }
    *mesh = m;
    return 0;
}

int mesh_adopt(segment *s, const char *id, mpp_mesh **mesh, mpp_error *err)
{
    mpp_mesh *m = mesh_new(id, false, err);
    *mesh = NULL;
    if (!m) {
        segment_close(&s);
        return -1;
    }
    m->segment = s;
    if (mesh_load(m, err) < 0) {
        mpp_mesh_close(&m);
        return -1;
    }
    *mesh = m;
    return 0;
}

int mpp_mesh_open(const char *id, mpp_mesh **mesh, mpp_error *err)
{
    return open_mesh(id, false, mesh, err);
}

int mesh_open_copy(const char *id, mpp_mesh **mesh, mpp_error *err)
{
    return open_mesh(id, true, mesh, err);
}

void mpp_mesh_close(mpp_mesh **mesh)
{
    mpp_mesh *m = *mesh;
    *mesh = NULL;
    if (!m)
        return;
    for (unsigned i = 0; m->streams && i < m->l.streams; i++) {
        key_ranges_free(&m->streams[i].ranges);
        free((char *)m->streams[i].info.name);
        free((char *)m->streams[i].info.key);
    }
    free(m->streams);
    if (m->copied)
        free(m->base);
    segment_close(&m->segment);
    free(m);
}
