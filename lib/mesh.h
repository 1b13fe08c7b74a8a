/* mesh.h - an open mesh: a segment whose geometry and stream table were copied once and validated */
#ifndef MESH_H
#define MESH_H

#include "doorbell.h"
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
    bool elsewhere;    /* we are in another PID namespace than the mesh's creator was ... */
    bool other_mounts; /* ... or in another mount namespace */
    bool keep;
    bool copied; /* base is a copy of our own, that mesh_look() has made */
    mesh_stream *streams;
};

/* Slots whose bell could not be rung, a bit each. */
typedef struct mesh_debts {
    uint64_t *bits; /* MESH_DEBTS_WORDS(slots) of them */
    unsigned n;
} mesh_debts;
#define MESH_DEBTS_WORDS(slots) ((slots) / 64 + 1)

/* true: it was not owed before. */
static inline bool mesh_owe(mesh_debts *owed, unsigned number)
{
    const uint64_t bit = UINT64_C(1) << number % 64;
    const bool anew = !(owed->bits[number / 64] & bit);
    owed->n += anew;
    owed->bits[number / 64] |= bit;
    return anew;
}

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
/* Make `cause`, written into slot `number` by its owner, the root cause, unless there is one, and ring everybody (as
 * mesh_ring_all()).  true: it is. */
bool mesh_cause_set(mpp_mesh *m, unsigned number, const layout_cause *cause, int from, mesh_debts *owed);
/* The root cause's slot + 1, LAYOUT_REMOVED, or 0 [F2]. */
uint32_t mesh_cause_word(const mpp_mesh *m);
/* May the last one out remove a mesh that failed, although somebody never came? */
bool mesh_cause_final(const mpp_mesh *m);

/* Has the process that the mesh is tied to (--pid) gone?  In another PID namespace than the creator's: it is not
 * known, so no. */
bool mesh_watch_gone(const mpp_mesh *m);
/* The same of a mesh that is not open, and not to be kept, by its header alone; false also when that cannot be read. */
bool mesh_tied_gone(const char *id);

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

/* Directories for sockets: $XDG_RUNTIME_DIR, else $TMPDIR, else /tmp.  The one with number `at`, made absolute, for
 * participants may run elsewhere.  0; 1: it is not set; -1 with errno: it cannot be used. */
enum { MESH_XDG_RUNTIME_DIR, MESH_TMPDIR, MESH_TMP, MESH_DIRECTORIES };
int mesh_temporary_directory(unsigned at, char base[PATH_MAX]);
/* Make the mesh's directory, once the mesh has its name.  0, or -1 with errno (EEXIST: there is one). */
int mesh_directory_make(mpp_mesh *m);
/* May sockets be bound there: is the directory that we see the mesh's?  One that is gone is made again by who is in
 * the creator's mount namespace; elsewhere it must be the one that was recorded.  1; 0: it cannot be had, or is
 * another one; -1 with *err: it is not ours alone. */
int mesh_directory_check(mpp_mesh *m, mpp_error *err);
/* Who leaves takes the directory along, if nothing is left in it and it was ours to use, or the mesh has been removed: the
 * last one out may not see it.  Who attaches later makes it again. */
void mesh_directory_tidy(const mpp_mesh *m, bool ours);

/* Ring slot `number` from a datagram socket: by its socket, else by its pipe.  DOORBELL_RUNG, also where nobody
 * lives who could be asleep. */
doorbell_outcome mesh_ring(const mpp_mesh *m, unsigned number, int from);
/* Ring every endpoint of a lane that may be there, ourselves included.  Who could not be rung is added to *owed
 * (NULL: nobody will try again). */
void mesh_ring_lane(const mpp_mesh *m, unsigned lane, int from, mesh_debts *owed);
/* The same for all lanes; from -1: a socket is made for it, if there is a descriptor to be had. */
void mesh_ring_all(const mpp_mesh *m, int from, mesh_debts *owed);

/* "producer 2 (pid 4711, zcat)" */
void mesh_who(const mpp_mesh *m, unsigned number, char *text, size_t size);

#endif
