/* layout.h - what lives in a segment; nothing else declares it
 *
 *   0            header           geometry, written once before magic; a line of shared words
 *   streams      layout_stream    x S
 *   texts        bytes            keys and range boundaries, as they were given to mpp-create
 *   slots        layout_slot      x L x (P + C): lane by lane, producers before consumers
 *   requests     u32              x C x S: the last run that consumer j has asked of stream s
 *   channels     layout_channel   x L x P x C, each followed by its control ring and its ends
 *   buffers      layout_buffer    x O, for the streams whose buffer overwrites, each followed by P x layout_share
 *   rings        bytes            x L x P x C, ring_size each, page aligned; one producer's lie together
 *   areas        bytes            x O x (P + 1), ring_size each: tapes, or boxes of a mailbox
 *
 * Everything before the rings is reserved when the mesh is made, a producer's rings and areas when it attaches.  No
 * pointers: offsets follow from the geometry, by layout_compute() alone.  Each field names its writer (W), its
 * readers (R) and its rule.  A field without a remark is written before magic and never changes.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "shm/segment.h"

#include <assert.h>
#include <stdatomic.h>

#define LAYOUT_MAGIC UINT64_C(0x316873656d70706d) /* "mppmesh1", little endian */
enum { LAYOUT_VERSION = 6 };

enum {
    LAYOUT_RING_MIN = 1 << 16,
    LAYOUT_RING_DEFAULT = 1 << 20,
    LAYOUT_RINGS_TOTAL = 256 << 20, /* all rings by default, where LAYOUT_RING_MIN each allows it */
    LAYOUT_SOCKET_PATH_MAX = 104,   /* with its NUL: the smallest sun_path of the systems we care about */
};
#define LAYOUT_RING_MAX       (UINT64_C(1) << 30) /* a frame's length has 31 bits and takes at most a quarter */
#define LAYOUT_MAX_RECORD     (UINT64_C(64) << 20)
#define LAYOUT_MAX_RECORD_MAX (UINT64_C(1) << 40)

/* Bytes of the segment's file that serve as locks (not as data). */
enum { LAYOUT_LOCK_REMOVE = 1, LAYOUT_LOCK_SLOTS = 16 };

typedef struct layout_header {
    _Atomic uint64_t magic; /* W: creator, last, release [M1].  R: all, acquire [M2] */
    uint32_t version;
    uint32_t keep; /* the last one out leaves the segment */
    uint32_t producers, consumers, streams, lanes;
    uint64_t ring_size, max_record, segment_size;
    uint32_t texts_size;
    uint32_t buffers;     /* streams whose buffer overwrites */
    int32_t watch_pid;    /* 0: none */
    uint32_t scope;       /* its maker tells of failures */
    uint64_t watch_start; /* its start time (liveness.h), so that a reused pid is not mistaken for it */
    int64_t created_ns;   /* CLOCK_REALTIME */
    uint8_t uuid[16];
    char socket_dir[LAYOUT_SOCKET_PATH_MAX];
    char name[MPP_NAME_MAX + 1];
    uint64_t pid_namespace;   /* the creator's, in which watch_pid is a process; 0: unknown */
    uint64_t mount_namespace; /* the creator's, in which socket_dir is the directory that is meant; 0: unknown */
    /* Which directory socket_dir is; inode 0: not made yet.  W: who makes it, inode last, release [G1].  R: who
     * attaches, acquire [G2]; two who make it one after the other may leave a pair that fits no directory: then
     * nobody uses it */
    _Atomic uint64_t directory_device, directory_inode;

    _Alignas(128) _Atomic uint32_t peers; /* W: who attaches or leaves, add release [P1].  R: all, acquire [P2] */
    _Atomic uint32_t cause;   /* 0, or the root cause's slot + 1, or LAYOUT_REMOVED.  W: one CAS ever [F1].  R: [F2] */
    _Atomic uint32_t barrier; /* not 0: somebody waits for everybody.  W: who waits, add release [B1].  R: [B2] */
    _Atomic uint32_t closed;  /* 1: every consumer has finished.  W: who leaves, release [K1].  R: acquire [K2] */
    _Atomic uint32_t sealed;  /* 1: nobody attaches any more.  W: the creator's scope, release [J1].  R: acquire [J2] */
    _Atomic uint32_t late;    /* who came and was refused since.  W: they, add release [J3].  R: the scope [J4] */
} layout_header;
static_assert(sizeof(layout_header) == 512, "header");
static_assert(offsetof(layout_header, peers) == 384, "shared words on a line of their own");

#define LAYOUT_REMOVED UINT32_MAX

typedef struct layout_stream {
    char name[MPP_NAME_MAX + 1];
    uint32_t kind, delimiter, size; /* mpp_format */
    uint32_t partition;             /* mpp_partition_kind */
    uint32_t separator;
    uint32_t key_at, key_size;       /* in texts; 0 bytes: no key */
    uint32_t bounds_at, bounds_size; /* in texts: the boundaries of a range partition */
    uint32_t buffer;                 /* mpp_buffer_kind */
    uint32_t block;                  /* bytes of a turn; 0: it is a record */
    uint8_t pad[128 - 64 - 11 * 4];
} layout_stream;
static_assert(sizeof(layout_stream) == 128, "stream");

/* An endpoint: one participant's end of one lane.  Its owner is the process that holds the record lock on the
 * file's byte LAYOUT_LOCK_SLOTS + number; only the owner writes, but where W says so. */
enum { LAYOUT_FREE = 0, LAYOUT_LIVE, LAYOUT_DONE, LAYOUT_DEAD };

/* What a sleeping endpoint wants to be woken for (armed != 0: it sleeps; control is always wanted). */
enum { LAYOUT_ASLEEP = 1, LAYOUT_WANTS_DATA = 2, LAYOUT_WANTS_SPACE = 4 };

typedef struct layout_cause {
    uint32_t status; /* mpp_status of a process that did not cause it */
    int32_t os_error;
    uint32_t final; /* nobody is expected any more: the last one out removes the mesh whoever is missing */
    char text[MPP_TEXT_MAX - 12];
} layout_cause;

typedef struct layout_slot {
    _Atomic uint32_t state; /* W: owner; a finder of its death LIVE -> DEAD by CAS.  release [L1].  R: acquire [L2] */
    _Atomic int32_t pid;    /* for messages, and a hint that somebody is claiming; never a proof of anything */
    _Atomic uint32_t owes;  /* producer: 1 while it has runs left beyond the first */
    _Atomic uint32_t mail;  /* producer: control messages sent to it.  W: consumers, add release [C3].  R: [C4] */
    uint8_t pad0[48];

    _Atomic uint32_t armed;     /* W: owner arms [D1]; any waker exchanges to 0 [D2] */
    _Atomic uint32_t activity;  /* mpp_activity, relaxed, for the snapshot */
    _Atomic uint64_t since_ns;  /* clock_shared(), relaxed */
    _Atomic uint32_t waits_for; /* the peer's index + 1 when it waits for space or data of one, else 0 */
    _Atomic int32_t command;    /* the process behind it, 0: none; as pid: for messages and questions only */
    char label[32];             /* R: snapshot; bytes may be torn, never trusted to end */
    _Atomic int32_t fd;         /* the owner's descriptor that it waits for, -1: none */
    _Atomic int32_t bell;       /* the owner's pipe that wakes it, too: its descriptor + 1; 0: none (doorbell.h) */

    /* The owner's counters: written when it wakes, read by the snapshot. */
#define ENDPOINT_COUNTER(name, kind, unit, prose) _Atomic uint64_t name;
#include "counters.def"

    _Atomic uint64_t share; /* producer: what it takes its share of, as mpp_producer_agree() was told; 0: nothing */
    _Atomic uint64_t bell_inode; /* of the owner's pipe, before pid and state: a number may come to mean another one */
    uint8_t pad2[40];

    layout_cause cause; /* written before [F1], read after [F2]; never changes once header.cause names it */
} layout_slot;
static_assert(sizeof(layout_slot) == 768, "slot");
static_assert(offsetof(layout_slot, armed) == 64, "the doorbell's line");

/* A control message: consumer -> producer.  stream_id is the PHYSICAL id, (logical << 16) | producer: the
 * producer checks that it is its own. */
enum { LAYOUT_START = 1, LAYOUT_CANCEL = 2 };
typedef struct layout_control {
    uint32_t type;
    uint32_t stream_id;
    uint32_t run;
    uint32_t pad;
} layout_control;

/* How a stream's run stands on a channel; W: producer.  begin before [E1] of a running word, end before [E1] of
 * any other; R: consumer, after [E2].  The word is run/word.h's. */
enum { LAYOUT_NONE = 0, LAYOUT_RUNNING, LAYOUT_ENDED, LAYOUT_CANCELLED, LAYOUT_FAILED, LAYOUT_UNASKED };
typedef struct layout_end {
    _Atomic uint64_t word;
    _Atomic uint64_t begin; /* position of the run's first frame */
    _Atomic uint64_t end;   /* position behind its last one */
    uint64_t pad;
} layout_end;

/* How a consumer awaits data of a producer: that of any producer will do, or nothing but this one's. */
enum { LAYOUT_AWAITS_NOT = 0, LAYOUT_AWAITS_ANY, LAYOUT_AWAITS_THIS };

typedef struct layout_channel {
    /* The producer's line. */
    _Alignas(128) _Atomic uint64_t write; /* bytes ever published.  W: producer, release [W1].  R: consumer [W2] */
    _Atomic uint64_t want;                /* wake the producer when read gets here; UINT64_MAX: never.  before [D1] */
#define COUNTER(name, kind, unit, side, prose) COUNTER_##side(name)
#define COUNTER_producer(name)                 _Atomic uint64_t name;
#define COUNTER_consumer(name)
#include "counters.def"
#undef COUNTER_producer
#undef COUNTER_consumer
    /* The consumer's line. */
    _Alignas(128) _Atomic uint64_t read; /* bytes ever released.  W: consumer, release [S1].  R: producer [S2] */
    _Atomic uint64_t awaited;            /* LAYOUT_AWAITS_...: it sleeps for data of this producer; for the snapshot */
#define COUNTER(name, kind, unit, side, prose) COUNTER_##side(name)
#define COUNTER_producer(name)
#define COUNTER_consumer(name) _Atomic uint64_t name;
#include "counters.def"
#undef COUNTER_producer
#undef COUNTER_consumer
    /* The control ring's words; its messages and the ends follow the struct. */
    _Alignas(128) _Atomic uint64_t sent; /* W: consumer, release [C1].  R: producer, acquire [C2] */
    _Atomic uint64_t taken;              /* W: producer, release.  R: consumer, acquire */
} layout_channel;
static_assert(sizeof(layout_channel) == 384, "channel");
static_assert(offsetof(layout_channel, read) == 128, "the consumer's line");

#define LAYOUT_NEVER UINT64_MAX

/* ---- buffers that overwrite: beside the channels, never in them; each stream has a lane to itself ---- */

/* What a stream's producers share.  slot is a mailbox's (mailbox.h): which box holds the value, whose it is, and
 * whether it has been taken.  W: producers exchange [X1], consumers CAS [X2]. */
typedef struct layout_buffer {
    _Alignas(128) _Atomic uint64_t slot;
    _Atomic uint32_t awaited; /* 1: a reader may be asleep.  W: readers 1 when armed [D1], writers 0 [D2]; exchange */
    uint8_t pad[128 - 12];
} layout_buffer;
static_assert(sizeof(layout_buffer) == 128, "buffer");

/* One producer's share of such a stream.  W: that producer, all of it.  The first three are a tape's (tape.h). */
typedef struct layout_share {
    _Alignas(128) _Atomic uint64_t oldest; /* frames before it may be overwritten.  Before [O1].  R: after [O2] */
    _Atomic uint64_t write;                /* bytes ever published, release [W1].  R: acquire [W2] */
    _Atomic uint64_t newest; /* where the last frame begins, + 1; 0: none.  After write, release [W1].  R: [W2] */
    _Atomic uint32_t state;  /* LAYOUT_NONE, RUNNING, ENDED or FAILED.  release [E1].  R: acquire [E2] */
    uint32_t pad0;
#define SHARE_COUNTER(name, kind, unit, prose) _Atomic uint64_t name;
#include "counters.def"
} layout_share;
static_assert(sizeof(layout_share) == 128, "share");

/* The unit on a tape and in a box, padded to 8 bytes: whole records. */
typedef struct layout_value {
    uint64_t number; /* of its first record, from 0 */
    uint32_t len, records;
} layout_value;
static_assert(sizeof(layout_value) == 16, "value");

static inline uint64_t layout_value_size(uint64_t payload)
{
    return sizeof(layout_value) + ((payload + 7) & ~UINT64_C(7));
}
/* The most that a frame takes in a ring, or a value on a tape, and the size of a mailbox's boxes. */
static inline uint64_t layout_quarter(uint64_t ring_size)
{
    return ring_size / 4 < 256 << 10 ? ring_size / 4 : 256 << 10;
}

/* The unit in a data ring, padded to 8 bytes.  stream_id is the PHYSICAL id.  The top bit of len: the frame's
 * last record goes on in the stream's next frame. */
typedef struct layout_frame {
    uint32_t stream_id;
    uint32_t len;
} layout_frame;
static_assert(sizeof(layout_frame) == 8, "frame");
#define LAYOUT_CONTINUED UINT32_C(0x80000000)

/* The bytes that a frame of so long a payload takes in a ring. */
static inline uint64_t layout_frame_size(uint64_t payload)
{
    return sizeof(layout_frame) + ((payload + 7) & ~UINT64_C(7));
}

/* The geometry of a mesh, private to a process: copied from a header once and validated. */
typedef struct layout {
    unsigned producers, consumers, streams, lanes;
    uint64_t ring_size;
    uint32_t texts_size;
    unsigned buffers;      /* streams whose buffer overwrites; if any, L is S */
    unsigned lane_streams; /* streams in the fullest lane */
    unsigned controls;     /* capacity of a control ring; control.h says why it is enough */
    unsigned slots;        /* L x (P + C) */
    uint64_t streams_at, texts_at, slots_at, requests_at, channels_at, channel_stride, buffers_at, buffer_stride;
    uint64_t rings_at, areas_at, segment_size;
} layout;

/* Fill in what follows from producers .. buffers.  false: out of bounds (field names which). */
bool layout_compute(layout *l, const char **field);

static inline uint32_t layout_physical(unsigned stream, unsigned producer)
{
    return (uint32_t)stream << 16 | producer;
}
static inline unsigned layout_slot_in_lane(const layout *l, unsigned lane, unsigned at) /* producers come first */
{
    return lane * (l->producers + l->consumers) + at;
}
static inline unsigned layout_slot_number(const layout *l, unsigned lane, char role, unsigned index)
{
    return layout_slot_in_lane(l, lane, (role == 'c' ? l->producers : 0) + index);
}
/* The lane that a stream travels in. */
static inline unsigned layout_lane_of(const layout *l, unsigned stream)
{
    return stream % l->lanes;
}
/* Which endpoint a slot is. */
typedef struct layout_place {
    unsigned lane, index;
    char role; /* 'p' or 'c' */
} layout_place;
static inline layout_place layout_place_of(const layout *l, unsigned number)
{
    const unsigned both = l->producers + l->consumers, at = number % both;
    return at < l->producers ? (layout_place){number / both, at, 'p'}
                             : (layout_place){number / both, at - l->producers, 'c'};
}
static inline uint64_t layout_channel_number(const layout *l, unsigned lane, unsigned producer, unsigned consumer)
{
    return ((uint64_t)lane * l->producers + producer) * l->consumers + consumer;
}
static inline layout_slot *layout_slot_at(const layout *l, void *base, unsigned number)
{
    return (layout_slot *)((char *)base + l->slots_at) + number;
}
static inline _Atomic uint32_t *layout_request_at(const layout *l, void *base, unsigned consumer, unsigned stream)
{
    return (_Atomic uint32_t *)((char *)base + l->requests_at) + (uint64_t)consumer * l->streams + stream;
}
static inline layout_channel *layout_channel_at(const layout *l, void *base, uint64_t number)
{
    return (layout_channel *)((char *)base + l->channels_at + number * l->channel_stride);
}
static inline layout_control *layout_controls_of(layout_channel *c)
{
    return (layout_control *)(c + 1);
}
static inline layout_end *layout_end_of(const layout *l, layout_channel *c, unsigned stream)
{
    return (layout_end *)(layout_controls_of(c) + l->controls) + stream / l->lanes;
}
static inline uint64_t layout_ring_offset(const layout *l, uint64_t channel_number)
{
    return l->rings_at + channel_number * l->ring_size;
}
static inline layout_buffer *layout_buffer_at(const layout *l, void *base, unsigned number)
{
    return (layout_buffer *)((char *)base + l->buffers_at + number * l->buffer_stride);
}
static inline layout_share *layout_share_of(layout_buffer *b, unsigned producer)
{
    return (layout_share *)(b + 1) + producer;
}
/* The tape of producer `at`.  A mailbox has boxes of layout_quarter() one after the other from area 0 on. */
static inline uint64_t layout_area_offset(const layout *l, unsigned number, unsigned at)
{
    return l->areas_at + ((uint64_t)number * (l->producers + 1) + at) * l->ring_size;
}

#endif
