/* mesh.h - an open mesh: a segment whose geometry and stream table were copied once and validated */
#ifndef MESH_H
#define MESH_H

#include "record/key-range.h"
#include "record/key.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <limits.h>

typedef struct mesh_stream {
    mpp_stream_info info; /* strings are ours */
    key key;
    key_ranges ranges; /* MPP_RANGE */
    unsigned buffer;   /* the number of its layout_buffer, when its buffer overwrites */
} mesh_stream;

struct mpp_mesh {
    segment *segment;
    void *base;
    layout_header *header; /* shared: only its atomic words may be read after opening */
    layout l;
    char id[MPP_NAME_MAX + 1];
    char socket_dir[LAYOUT_SOCKET_PATH_MAX];
    uint8_t uuid[16];
    uint64_t max_record;
    int64_t created_ns;
    pid_t watch_pid;
    uint64_t watch_start;
    bool elsewhere;    /* we are in another PID namespace than the mesh's creator was ... */
    bool other_mounts; /* ... or in another mount namespace */
    bool keep;
    bool scope;
    bool copied; /* base is a copy of our own, that mesh_open_copy() has made */
    mesh_stream *streams;
};

/* Can it be a stream's? */
bool mesh_name_valid(const char *name);
/* The key that was declared; no text: none, the whole record. */
int mesh_key(const char *text, char separator, key *k, mpp_error *err);

static inline layout_slot *mesh_slot(const mpp_mesh *m, unsigned number)
{
    return layout_slot_at(&m->l, m->base, number);
}
static inline layout_slot *mesh_endpoint_slot(const mpp_mesh *m, unsigned lane, char role, unsigned index)
{
    return mesh_slot(m, layout_slot_number(&m->l, lane, role, index));
}
static inline layout_channel *mesh_channel(const mpp_mesh *m, unsigned lane, unsigned producer, unsigned consumer)
{
    return layout_channel_at(&m->l, m->base, layout_channel_number(&m->l, lane, producer, consumer));
}

/* Does the buffer of the lane's stream overwrite?  Such a stream has its lane to itself. */
static inline bool mesh_overwrites(const mpp_mesh *m, unsigned lane)
{
    return m->l.buffers && m->streams[lane].info.buffer != MPP_BOUNDED;
}
static inline layout_buffer *mesh_buffer(const mpp_mesh *m, unsigned stream)
{
    return layout_buffer_at(&m->l, m->base, m->streams[stream].buffer);
}
/* Where the values of such a stream lie, and how many bytes: this producer's tape, or the boxes of all. */
static inline bool mesh_boxes(const mpp_mesh *m, unsigned stream)
{
    return m->streams[stream].info.buffer == MPP_MAILBOX;
}
static inline uint64_t mesh_area_offset(const mpp_mesh *m, unsigned stream, unsigned producer)
{
    return layout_area_offset(&m->l, m->streams[stream].buffer, mesh_boxes(m, stream) ? 0 : producer);
}
static inline uint64_t mesh_area_size(const mpp_mesh *m, unsigned stream)
{
    return mesh_boxes(m, stream) ? (m->l.producers + 1) * layout_quarter(m->l.ring_size) : m->l.ring_size;
}

/* "producer 2 (pid 4711, zcat)" */
void mesh_who(const mpp_mesh *m, unsigned number, char *text, size_t size);

#endif
