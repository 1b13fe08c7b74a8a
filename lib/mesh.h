/* mesh.h - an open mesh: a segment whose geometry and stream table were copied once and validated */
#ifndef MESH_H
#define MESH_H

#include "key.h"
#include "layout.h"
#include "segment.h"

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
    bool keep;
    bool copied; /* base is a copy of our own, that mesh_look() has made */
    mesh_stream *streams;
};

/* As mpp_mesh_open(), of a mesh that is only to be looked at: a copy of all but its rings at about one moment. */
int mesh_look(const char *id, mpp_mesh **mesh, mpp_error *err);

/* Open a segment that was made just now and has no name yet.  It is the mesh's, and closed when this fails. */
int mesh_adopt(segment *s, const char *id, mpp_mesh **mesh, mpp_error *err);

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
/* Is the slot a reader's end of such a stream? */
static inline bool mesh_spectates(const mpp_mesh *m, unsigned number)
{
    const unsigned both = m->l.producers + m->l.consumers;
    return number % both >= m->l.producers && mesh_overwrites(m, number / both);
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

/* A cause in the words of mpp.h; ours: the process that caused it asks. */
void mesh_cause_copy(const layout_cause *c, bool ours, mpp_error *cause);
/* Make `cause`, written into slot `number` by its owner, the root cause, unless there is one, and ring everybody from the
 * socket `from` (as mesh_ring_all()).  true: it is. */
bool mesh_cause_set(mpp_mesh *m, unsigned number, const layout_cause *cause, int from);
/* The root cause's slot + 1, LAYOUT_REMOVED, or 0 [F2]. */
uint32_t mesh_cause_word(const mpp_mesh *m);
/* May the last one out remove a mesh that failed, although somebody never came? */
bool mesh_cause_final(const mpp_mesh *m);

/* Has the process that the mesh is tied to (--pid) gone? */
bool mesh_watch_gone(const mpp_mesh *m);

/* Has a run begun in this lane for a consumer that has not asked for it yet (it did not cancel it either)? */
bool mesh_owed(const mpp_mesh *m, unsigned lane, unsigned consumer);
/* Is no slot held by a living process?
 * Marks slots that are LIVE and not held as DEAD. */
bool mesh_deserted(mpp_mesh *m);
/* Every slot that anybody could still come for has been used. */
bool mesh_complete(const mpp_mesh *m);
/* Every consumer has finished, no producer owes a run, and where buffers overwrite every producer has come and gone. */
bool mesh_finished(const mpp_mesh *m);

/* Remove segment, sockets and directory; sockets first, the segment's name last, so that a directory never stands
 * without its segment.  true: it was us who did; else errno says why not, as segment_unlink(). */
bool mesh_unlink(mpp_mesh *m);

/* $XDG_RUNTIME_DIR, else $TMPDIR, else /tmp; made absolute, for participants may run elsewhere.
 * 0, or -1 with *err: it cannot be used. */
int mesh_temporary_directory(char base[PATH_MAX], mpp_error *err);

/* Ring every endpoint of a lane that may be there, ourselves included, from a datagram socket. */
void mesh_ring_lane(const mpp_mesh *m, unsigned lane, int from);
/* The same for all lanes; from -1: a socket is made for it, if there is a descriptor to be had. */
void mesh_ring_all(const mpp_mesh *m, int from);

/* "producer 2 (pid 4711, zcat)" */
void mesh_who(const mpp_mesh *m, unsigned number, char *text, size_t size);

#endif
