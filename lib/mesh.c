#include "mesh.h"

#include "atomics.h"
#include "doorbell.h"
#include "error.h"
#include "liveness.h"
#include "record.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what it says of streams -------------------------------------------------------------------- */

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

const char *mpp_buffer_text(mpp_buffer_kind kind)
{
    static const char *const names[] = {"bounded", "ring", "latest", "mailbox"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

/* ---- the directory for sockets ------------------------------------------------------------------ */

int mesh_temporary_directory(unsigned at, char base[PATH_MAX])
{
    struct stat st;
    const char *name = at == MESH_TMP ? "/tmp" : getenv(at == MESH_TMPDIR ? "TMPDIR" : "XDG_RUNTIME_DIR");
    if (!name || !*name)
        return 1;
    if (!realpath(name, base) || stat(base, &st) < 0)
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode) && access(base, W_OK | X_OK) == 0 ? 0 : -1;
}

int mesh_directory_make(mpp_mesh *m)
{
    struct stat st;
    /* Whatever the umask is, it is ours alone, and ours. */
    if (mkdir(m->socket_dir, 0700) < 0)
        return -1;
    if (chmod(m->socket_dir, 0700) < 0 || lstat(m->socket_dir, &st) < 0) {
        const int saved = errno;
        rmdir(m->socket_dir);
        errno = saved;
        return -1;
    }
    store_relaxed(&m->header->directory_device, (uint64_t)st.st_dev);
    store_release(&m->header->directory_inode, (uint64_t)st.st_ino); /* [G1] pairs with [G2] */
    return 0;
}

static bool is_recorded(const mpp_mesh *m, const struct stat *st)
{
    return load_acquire(&m->header->directory_inode) == (uint64_t)st->st_ino && /* [G2] pairs with [G1] */
           load_relaxed(&m->header->directory_device) == (uint64_t)st->st_dev;
}

int mesh_directory_check(mpp_mesh *m, mpp_error *err)
{
    struct stat st;
    if (!m->other_mounts)
        mesh_directory_make(m); /* if it is gone */
    if (lstat(m->socket_dir, &st) < 0 || (m->other_mounts && !is_recorded(m, &st)))
        return 0;
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return error_set(err, MPP_S_CORRUPT, 0, "the directory for sockets '%s' is not ours alone", m->socket_dir);
    return 1;
}

bool mesh_tied_gone(const char *id)
{
    layout_header h;
    segment *s;
    if (segment_look(id, &s, NULL) < 0)
        return false;
    const ssize_t n = segment_read(s, 0, &h, sizeof h);
    segment_close(&s);
    if (n < (ssize_t)sizeof h || load_acquire(&h.magic) != LAYOUT_MAGIC || h.version != LAYOUT_VERSION || /* [M2] */
        h.keep)
        return false;
    const mpp_mesh m = {.watch_pid = h.watch_pid,
                        .watch_start = h.watch_start,
                        .elsewhere = liveness_elsewhere("pid", h.pid_namespace)};
    return mesh_watch_gone(&m);
}

void mesh_directory_tidy(const mpp_mesh *m, bool ours)
{
    if (ours || segment_nameless(m->segment))
        rmdir(m->socket_dir); /* unless others still have a socket there */
}

/* ---- opening ------------------------------------------------------------------------------------ */

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
                                  .key = s.key_size ? text : NULL,
                                  .separator = (char)s.separator,
                                  .lane = i % m->l.lanes,
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

static int map(mpp_mesh *m, mpp_error *err)
{
    if (segment_map(m->segment, m->l.rings_at) < 0)
        return error_set(err, errno == EINVAL ? MPP_S_CORRUPT : MPP_S_ERROR, errno, "cannot map mesh '%s'", m->id);
    m->base = segment_base(m->segment);
    return 0;
}

static int copy(mpp_mesh *m, mpp_error *err)
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
    if ((m->copied ? copy : map)(m, err) < 0)
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
    if ((copied ? segment_look : segment_open)(id, &m->segment, err) < 0 || mesh_load(m, err) < 0) {
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

int mesh_look(const char *id, mpp_mesh **mesh, mpp_error *err)
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
    const mesh_stream *s = &m->streams[stream];
    if (s->info.partition == MPP_HASH)
        return (int)key_hash(bytes, len, m->l.consumers);
    if (s->info.partition == MPP_RANGE)
        return (int)key_range_of_bytes(&s->ranges, &s->key, bytes, len);
    return -1;
}

int mpp_record_compare(const mpp_mesh *m, unsigned stream, const void *a, size_t a_len, const void *b, size_t b_len)
{
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

/* ---- the root cause ----------------------------------------------------------------------------- */

uint32_t mesh_cause_word(const mpp_mesh *m)
{
    return load_acquire(&m->header->cause); /* [F2] pairs with [F1] */
}

bool mesh_cause_set(mpp_mesh *m, unsigned number, const layout_cause *cause, int from, mesh_debts *owed)
{
    if (mesh_cause_word(m) != 0)
        return false;
    mesh_slot(m, number)->cause = *cause;
    /* [F1] pairs with [F2]: the cause is whole before anybody is sent to read it, and everything that was published
     * before is seen by who sees the cause.  A recorder that dies before this has recorded nothing. */
    uint32_t none = 0;
    bool first = cas(&m->header->cause, &none, number + 1);
    mesh_ring_all(m, from, owed);
    return first;
}

static const layout_cause *cause_of(const mpp_mesh *m)
{
    uint32_t word = mesh_cause_word(m);
    return word == 0 || word > m->l.slots ? NULL : &mesh_slot(m, word - 1)->cause;
}

bool mesh_cause_final(const mpp_mesh *m)
{
    const layout_cause *c = cause_of(m);
    return mesh_cause_word(m) == LAYOUT_REMOVED || (c && c->final);
}

void mesh_cause_copy(const layout_cause *c, bool ours, mpp_error *cause)
{
    const uint32_t status = c->status;
    memset(cause, 0, sizeof *cause);
    cause->status = status >= MPP_S_ERROR && status <= MPP_S_CORRUPT ? (mpp_status)status : MPP_S_FAILED;
    cause->os_error = c->os_error;
    if (cause->status == MPP_S_FAILED && c->os_error && ours)
        cause->status = MPP_S_ERROR; /* it was a call of ours that failed */
    cause->final = c->final != 0;
    memcpy(cause->text, c->text, sizeof c->text - 1);
    for (char *p = cause->text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
}

bool mpp_mesh_cause(const mpp_mesh *m, mpp_error *cause)
{
    const uint32_t word = mesh_cause_word(m);
    if (word == 0)
        return false;
    if (word == LAYOUT_REMOVED) {
        error_set(cause, MPP_S_NO_MESH, 0, "mesh '%s' was removed (mpp-create --remove)", m->id);
        cause->final = true;
        return true;
    }
    const layout_cause *c = cause_of(m);
    if (!c) {
        error_set(cause, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its cause names slot %u", m->id, word - 1);
        return true;
    }
    mesh_cause_copy(c, segment_holder(m->segment, LAYOUT_LOCK_SLOTS + word - 1) == getpid(), cause);
    if (!cause->text[0]) /* whoever sets a cause has written why */
        error_set(cause, MPP_S_CORRUPT, 0, "mesh '%s' is corrupt: its cause, slot %u, says nothing", m->id, word - 1);
    return true;
}

/* ---- coming to an end --------------------------------------------------------------------------- */

bool mesh_watch_gone(const mpp_mesh *m)
{
    if (!m->watch_pid || m->elsewhere)
        return false;
    const uint64_t start = liveness_start_time(m->watch_pid);
    if (start == 0)
        return errno == ESRCH; /* else we cannot look, and that is no death */
    const uint64_t apart = start > m->watch_start ? start - m->watch_start : m->watch_start - start;
    return apart > 1 || liveness_state(m->watch_pid) == 'Z'; /* in another time namespace it may be a tick off */
}

/* Nobody can come for this consumer's end any more when every producer of the lane left it unasked. */
static bool lane_unasked(const mpp_mesh *m, unsigned lane, unsigned consumer)
{
    for (unsigned i = 0; i < m->l.producers; i++) {
        layout_channel *c = mesh_channel(m, lane, i, consumer);
        for (unsigned s = lane; s < m->l.streams; s += m->l.lanes)
            if ((load_acquire(&layout_end_of(&m->l, c, s)->word) & 0xff) != LAYOUT_UNASKED) /* [E2] */
                return false;
    }
    return true;
}

bool mesh_owed(const mpp_mesh *m, unsigned lane, unsigned consumer)
{
    for (unsigned i = 0; i < m->l.producers; i++) {
        layout_channel *c = mesh_channel(m, lane, i, consumer);
        for (unsigned s = lane; s < m->l.streams; s += m->l.lanes) {
            uint64_t word = load_acquire(&layout_end_of(&m->l, c, s)->word); /* [E2] */
            unsigned state = word & 0xff;
            if (word >> 8 > load_relaxed(layout_request_at(&m->l, m->base, consumer, s)) &&
                (state == LAYOUT_RUNNING || state == LAYOUT_ENDED))
                return true;
        }
    }
    return false;
}

/* Will nobody come for this slot (again)? */
static bool slot_used(const mpp_mesh *m, unsigned number)
{
    uint32_t state = load_acquire(&mesh_slot(m, number)->state); /* [L2] */
    unsigned both = m->l.producers + m->l.consumers, index = number % both, lane = number / both;
    if (index < m->l.producers)
        return state != LAYOUT_FREE;
    if (state == LAYOUT_FREE)
        return lane_unasked(m, lane, index - m->l.producers);
    return state != LAYOUT_DONE || mesh_cause_word(m) != 0 || !mesh_owed(m, lane, index - m->l.producers);
}

bool mesh_complete(const mpp_mesh *m)
{
    for (unsigned i = 0; i < m->l.slots; i++)
        if (!slot_used(m, i))
            return false;
    return true;
}

/* Does nothing more come from this slot?  A producer's last run may go on when every consumer has finished it, but
 * where its buffer overwrites: there consumers come and go, and it alone decides. */
static bool slot_over(const mpp_mesh *m, unsigned number)
{
    const layout_slot *s = mesh_slot(m, number);
    const uint32_t state = load_acquire(&s->state); /* [L2] */
    const unsigned both = m->l.producers + m->l.consumers;
    if (mesh_spectates(m, number) && state == LAYOUT_LIVE)
        return segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number) == 0;
    if (number % both >= m->l.producers)
        return state != LAYOUT_LIVE && slot_used(m, number);
    if (mesh_overwrites(m, number / both))
        return state != LAYOUT_LIVE && state != LAYOUT_FREE;
    return state != LAYOUT_LIVE || !load_relaxed(&s->owes);
}

bool mesh_finished(const mpp_mesh *m)
{
    for (unsigned i = 0; i < m->l.slots; i++)
        if (!slot_over(m, i))
            return false;
    return true;
}

bool mesh_deserted(mpp_mesh *m)
{
    for (unsigned i = 0; i < m->l.slots; i++) {
        layout_slot *s = mesh_slot(m, i);
        if (load_acquire(&s->state) != LAYOUT_LIVE) /* [L2] */
            continue;
        if (segment_holder(m->segment, LAYOUT_LOCK_SLOTS + i) != 0)
            return false;
        uint32_t live = LAYOUT_LIVE;
        if (!mesh_spectates(m, i)) /* another may hold it again by now */
            cas(&s->state, &live, LAYOUT_DEAD);
    }
    return true;
}

static bool socket_path(const mpp_mesh *m, unsigned number, char path[LAYOUT_SOCKET_PATH_MAX])
{
    const unsigned both = m->l.producers + m->l.consumers, at = number % both;
    const bool producer = at < m->l.producers;
    return doorbell_path(path, m->socket_dir, producer ? 'p' : 'c', producer ? at : at - m->l.producers, number / both,
                         m->l.lanes);
}

static void sockets_remove(void *arg)
{
    const mpp_mesh *m = arg;
    char path[LAYOUT_SOCKET_PATH_MAX];
    for (unsigned i = 0; i < m->l.slots; i++)
        if (socket_path(m, i, path))
            unlink(path);
    rmdir(m->socket_dir);
}

bool mesh_unlink(mpp_mesh *m)
{
    if (!segment_unlink(m->segment, m->id, sockets_remove, m))
        return false;
    const int saved = errno;
    rmdir(m->socket_dir); /* who attached meanwhile had a socket there, and may have left before the name went */
    errno = saved;
    return true;
}

doorbell_outcome mesh_ring(const mpp_mesh *m, unsigned number, int from)
{
    const layout_slot *s = mesh_slot(m, number);
    char path[LAYOUT_SOCKET_PATH_MAX];
    const doorbell_outcome by_socket = socket_path(m, number, path) ? doorbell_ring(from, path) : DOORBELL_NOBODY;
    if (by_socket == DOORBELL_RUNG)
        return DOORBELL_RUNG;
    const pid_t holder = segment_holder(m->segment, LAYOUT_LOCK_SLOTS + number);
    const int bell = load_relaxed(&s->bell) - 1;
    const doorbell_outcome by_pipe =
        holder > 0 && bell >= 0 ? doorbell_ring_pipe(holder, bell, load_relaxed(&s->bell_inode)) : DOORBELL_NOBODY;
    /* Who has left or died needs no bell, and who is not LIVE yet looks at everything before it sleeps. */
    if (by_pipe == DOORBELL_RUNG || holder == 0 || load_acquire(&s->state) != LAYOUT_LIVE) /* [L2] */
        return DOORBELL_RUNG;
    return by_socket == DOORBELL_LATER || by_pipe == DOORBELL_LATER ? DOORBELL_LATER : DOORBELL_NOBODY;
}

void mesh_ring_lane(const mpp_mesh *m, unsigned lane, int from, mesh_debts *owed)
{
    const unsigned both = m->l.producers + m->l.consumers;
    for (unsigned number = lane * both; number < (lane + 1) * both; number++) {
        const layout_slot *s = mesh_slot(m, number);
        const uint32_t state = load_acquire(&s->state); /* [L2] */
        if ((state == LAYOUT_LIVE || (state == LAYOUT_FREE && load_relaxed(&s->pid))) &&
            mesh_ring(m, number, from) != DOORBELL_RUNG && owed)
            mesh_owe(owed, number);
    }
}

void mesh_ring_all(const mpp_mesh *m, int from, mesh_debts *owed)
{
    full_fence(); /* what we have just stored, before we look at who may be there to miss it: as in announce() */
    const int fd = from >= 0 ? from : doorbell_socket();
    for (unsigned lane = 0; lane < m->l.lanes; lane++)
        mesh_ring_lane(m, lane, fd, owed);
    if (fd != from && fd >= 0)
        close(fd);
}

void mesh_who(const mpp_mesh *m, unsigned number, char *text, size_t size)
{
    unsigned both = m->l.producers + m->l.consumers, index = number % both;
    bool producer = index < m->l.producers;
    layout_slot *s = mesh_slot(m, number);
    char label[sizeof s->label];
    memcpy(label, s->label, sizeof label);
    label[sizeof label - 1] = 0;
    for (char *p = label; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    snprintf(text, size, "%s %u (pid %d%s%s)", producer ? "producer" : "consumer",
             producer ? index : index - m->l.producers, (int)load_relaxed(&s->pid), *label ? ", " : "", label);
}
