#include "mesh/mesh.h"

#include "base/atomics.h"
#include "base/names.h"
#include "record/key-order.h"
#include "record/key-range.h"
#include "record/key.h"
#include "record/record.h"
#include "shm/layout.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool mesh_name_valid(const char *name)
{
    size_t n = strlen(name);
    if (n < 1 || n > MPP_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == '=' || name[i] == 0x7f)
            return false;
    return true;
}

int mesh_key(const char *text, char separator, key *k, mpp_error *err)
{
    if (text && *text)
        return key_parse(text, separator, k, err);
    *k = (key){.separator = (unsigned char)separator};
    return 0;
}

const char *mpp_mesh_id(const mpp_mesh *m)
{
    return m->id;
}

const char *mpp_mesh_directory(const mpp_mesh *m)
{
    return m->socket_dir;
}

unsigned mpp_mesh_producers(const mpp_mesh *m)
{
    return m->l.producers;
}

unsigned mpp_mesh_consumers(const mpp_mesh *m)
{
    return m->l.consumers;
}

unsigned mpp_mesh_streams(const mpp_mesh *m)
{
    return m->l.streams;
}

uint64_t mpp_mesh_max_record(const mpp_mesh *m)
{
    return m->max_record;
}

const mpp_stream_info *mpp_mesh_stream(const mpp_mesh *m, unsigned stream)
{
    return stream < m->l.streams ? &m->streams[stream].info : NULL;
}

int mpp_mesh_find_stream(const mpp_mesh *m, const char *name)
{
    for (unsigned i = 0; i < m->l.streams; i++)
        if (strcmp(m->streams[i].info.name, name) == 0)
            return (int)i;
    return -1;
}

int mpp_mesh_where(const mpp_mesh *m, unsigned stream, const void *bytes, size_t len)
{
    if (stream >= m->l.streams)
        return -1;
    const mesh_stream *s = &m->streams[stream];
    if (s->info.partition == MPP_HASH)
        return (int)key_hash(bytes, len, m->l.consumers);
    if (s->info.partition == MPP_RANGE)
        return (int)key_range_of_bytes(&s->ranges, &s->key, bytes, len);
    return -1;
}

int mpp_record_compare(const mpp_mesh *m, unsigned stream, const void *a, size_t a_len, const void *b, size_t b_len)
{
    assert(stream < m->l.streams);
    const mesh_stream *s = &m->streams[stream];
    const unsigned char *x, *y;
    size_t n, k;
    record_body(&s->info.format, a, a_len, &x, &n);
    record_body(&s->info.format, b, b_len, &y, &k);
    return key_compare(&s->key, x, n, y, k);
}

int mpp_record_order(const mpp_mesh *m, unsigned stream, const void *a, size_t a_len, const void *b, size_t b_len)
{
    int order = mpp_record_compare(m, stream, a, a_len, b, b_len);
    if (order || m->streams[stream].key.n == 0)
        return order;
    static const key whole = {0};
    const unsigned char *x, *y;
    size_t n, k;
    record_body(&m->streams[stream].info.format, a, a_len, &x, &n);
    record_body(&m->streams[stream].info.format, b, b_len, &y, &k);
    return key_compare(&whole, x, n, y, k);
}

void mesh_who(const mpp_mesh *m, unsigned number, char *text, size_t size)
{
    const layout_place place = layout_place_of(&m->l, number);
    const layout_slot *s = mesh_slot(m, number);
    char label[sizeof s->label];
    memcpy(label, s->label, sizeof label);
    label[sizeof label - 1] = 0;
    names_clean(label);
    snprintf(text, size, "%s %u (pid %d%s%s)", names_role(place.role), place.index, (int)load_relaxed(&s->pid),
             *label ? ", " : "", label);
}
