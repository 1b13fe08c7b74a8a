/* mpp.h - record streams between processes through shared memory
 *
 * A mesh joins P producers to C consumers.  This header is all that a program needs that takes part; mpp-look.h is for
 * those who look on and tidy up.  mpp(7) explains the words, libmpp(3) has a complete example, lib/README.md the
 * architecture.
 *
 * The library never prints, never exits and never installs a signal handler.  No call blocks but mpp_wait().
 * That is what lets one thread hold a producer and a consumer of the same mesh and read what it writes
 * through a ring smaller than the data: whichever end cannot go on says so, and the thread tends the other.
 *
 * What a caller owes is looked at where that costs nothing: a stream that the handle does not serve, a participant that
 * there is none of, a call that does not fit the one before it is MPP_ERROR with errno EINVAL, and nothing was done.
 *
 * It is long because every call says here what it takes, what each outcome means, who owns what, and how it fails, and
 * because the three strengths of producing have an example each: a program needs no other page beside it.
 *
 * A handle belongs to one thread at a time; different threads may use different handles of one mesh.
 * Create, open and attach before fork() are not inherited: the child must not use its parent's handles.
 */
#ifndef MPP_H
#define MPP_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- outcomes and errors ------------------------------------------------------------------------ */

/* What a call on a hot path says. */
typedef enum mpp_outcome {
    MPP_OK = 0,      /* done */
    MPP_WOULD_BLOCK, /* nothing was done; mpp_wait() returns when it is worth trying again */
    MPP_CLOSED,      /* producer: nobody asks (yet), or every consumer has enough.  consumer: it has ended everywhere */
    MPP_GONE,        /* the mesh is over because something failed; mpp_mesh_cause() says what */
    MPP_ERROR,       /* this call failed, with an mpp_error or errno; the mesh goes on */
} mpp_outcome;

/* Exit status of the tools, and the class of an error. */
typedef enum mpp_status {
    MPP_S_DONE = 0,
    MPP_S_ERROR = 1,   /* a system call failed, input was bad, ... */
    MPP_S_USAGE = 2,   /* the caller asked for something that cannot be */
    MPP_S_FAILED = 3,  /* the other side reported a failure */
    MPP_S_DIED = 4,    /* a peer died */
    MPP_S_TIMEOUT = 5, /* a peer did not come, or nothing came from it, in time */
    MPP_S_NO_MESH = 6, /* no such mesh, or it is over */
    MPP_S_STALLED = 7, /* mpp-stat --why */
    MPP_S_CORRUPT = 8, /* not a mesh, or what it holds is not valid */
} mpp_status;

enum { MPP_TEXT_MAX = 512, MPP_NAME_MAX = 63, MPP_PARTICIPANTS_MAX = 256, MPP_STREAMS_MAX = 65535 };

typedef struct mpp_error {
    mpp_status status;
    int os_error;            /* errno when a system call was at fault, else 0 */
    bool final;              /* nobody else is expected any more (an interrupt): the mesh goes with the last one */
    char text[MPP_TEXT_MAX]; /* what, who, and what to do where that is not obvious; no newline */
} mpp_error;

/* ---- records, keys, partitions ------------------------------------------------------------------ */

typedef enum mpp_format_kind { MPP_DELIMITED = 0, MPP_FIXED, MPP_U32LE, MPP_U32BE } mpp_format_kind;

typedef struct mpp_format {
    mpp_format_kind kind;
    unsigned char delimiter; /* MPP_DELIMITED: the byte that ends a record */
    uint32_t size;           /* MPP_FIXED: bytes in a record, at least 1 */
} mpp_format;

typedef enum mpp_partition_kind {
    MPP_HASH = 0,    /* XXH3-64(key, seed 0) mod C */
    MPP_ROUND_ROBIN, /* producer p's record k (from 0) goes to consumer (p + k) mod C, or its block k of records */
    MPP_ANY,         /* to a consumer that has asked: an idle one first, then the one with least unread */
    MPP_RANGE,       /* consumer i gets the keys k with B[i] <= k < B[i+1] */
    MPP_BROADCAST,   /* to every consumer */
} mpp_partition_kind;

/* What happens when nobody reads.  The kinds that overwrite never make a producer wait: they lie beside the channels,
 * one for each stream and producer (a mailbox for each stream), readers keep cursors of their own, nobody needs to ask
 * for anything, and no partition, key or lane applies.  A reader of theirs that dies or fails does so alone. */
typedef enum mpp_buffer_kind {
    MPP_BOUNDED = 0, /* every record; a producer waits while its ring is full */
    MPP_RING,        /* drops the oldest: every record that the reader was in time for, and how many it was not */
    MPP_LATEST,      /* one value for each producer: the newest; a new reader sees the current one once */
    MPP_MAILBOX,     /* one slot: each value at most once, to one of the consumers; a newer one replaces one unread */
} mpp_buffer_kind;
const char *mpp_buffer_text(mpp_buffer_kind kind);       /* "bounded" */
const char *mpp_partition_text(mpp_partition_kind kind); /* "round-robin" */

/* One stream as it is declared.  Strings are borrowed for the call only. */
typedef struct mpp_stream_options {
    const char *name;
    mpp_format format;
    const char *key;       /* as in `mpp-create -k`: "2", "2nr,1"; NULL: the stream has no key */
    char separator;        /* between fields */
    const char *partition; /* as in `mpp-create -P`; NULL: "hash" with a key, else "round-robin" */
    mpp_buffer_kind buffer;
} mpp_stream_options;

/* One stream of an open mesh.  Owned by the mesh handle. */
typedef struct mpp_stream_info {
    const char *name;
    mpp_format format;
    mpp_partition_kind partition;
    uint32_t block;  /* of MPP_ROUND_ROBIN: a turn ends with the record that makes it so many bytes; 0: with each */
    const char *key; /* NULL when the stream has none */
    char separator;
    unsigned lane;
    mpp_buffer_kind buffer;
    uint64_t max_record; /* bytes, framing not counted: the mesh's, or what such a buffer can hold */
} mpp_stream_info;

/* A whole record in [p, p + n).  *len: its bytes, delimiter or length prefix included.
 * MPP_OK; MPP_WOULD_BLOCK: the record goes on past n, *len is 0 or, where a prefix says so, the bytes it
 * will have; MPP_ERROR: it is, or will be, longer than max bytes (framing not counted). */
mpp_outcome mpp_record_next(const mpp_format *f, uint64_t max, const void *p, size_t n, size_t *len);

/* How many whole records there are in [p, p + n), which must hold nothing but whole ones. */
uint64_t mpp_record_count(const mpp_format *f, const void *p, size_t n);

/* ---- mesh --------------------------------------------------------------------------------------- */

typedef struct mpp_mesh mpp_mesh;

typedef struct mpp_mesh_options {
    unsigned producers, consumers; /* 1 .. MPP_PARTICIPANTS_MAX */
    const mpp_stream_options *streams;
    unsigned n_streams;  /* 0: one stream named "0", lines, round-robin */
    unsigned lanes;      /* 0: one for each stream */
    uint64_t ring_size;  /* bytes, power of two, at least 64K; 0: a default by the number of channels */
    uint64_t max_record; /* bytes; 0: 64M */
    const char *name;    /* NULL: a random id */
    pid_t pid;           /* the mesh is aborted when this process dies; 0: none */
    bool keep;           /* the last one out leaves the segment for a post-mortem */
    bool scope;          /* its maker sees to its end, and tells why it has failed: see mpp_mesh_seal() */
} mpp_mesh_options;

/* Make a mesh, or open one by the id or name that mpp-create printed.
 * 0, or -1 with *err (err may be NULL).  The handle is the caller's, to be closed. */
int mpp_mesh_create(const mpp_mesh_options *o, mpp_mesh **mesh, mpp_error *err);
int mpp_mesh_open(const char *id, mpp_mesh **mesh, mpp_error *err);

/* Close and clear *mesh.  Endpoints must have been detached before. */
void mpp_mesh_close(mpp_mesh **mesh);

const char *mpp_mesh_id(const mpp_mesh *m);        /* what mpp_mesh_open() takes */
const char *mpp_mesh_directory(const mpp_mesh *m); /* where its sockets are */
unsigned mpp_mesh_producers(const mpp_mesh *m);
unsigned mpp_mesh_consumers(const mpp_mesh *m);
unsigned mpp_mesh_streams(const mpp_mesh *m);
uint64_t mpp_mesh_max_record(const mpp_mesh *m);
const mpp_stream_info *mpp_mesh_stream(const mpp_mesh *m, unsigned stream);
int mpp_mesh_find_stream(const mpp_mesh *m, const char *name); /* its number, or -1 */

/* Why the mesh is over, once a call has said MPP_GONE: the first failure, with the status that a process
 * which did not cause it should exit with (MPP_S_ERROR for the one that did, by a system call of its own that failed).
 * false while nothing has failed; of a reader that failed alone see mpp_consumer_cause(). */
bool mpp_mesh_cause(const mpp_mesh *m, mpp_error *cause);

/* Which consumer a key goes to, by the stream's own partition; -1 when the key does not decide it.
 * key: the key fields joined by the separator, as the hash sees them.  A stream that the mesh has not: -1. */
int mpp_mesh_where(const mpp_mesh *m, unsigned stream, const void *key, size_t len);

/* Compare two records (framing included) by the stream's key and its letters; the whole record when it has
 * none.  <0, 0, >0.  mpp_record_order() goes on with the whole records' bytes where the keys are equal,
 * as sort(1) does. */
int mpp_record_compare(const mpp_mesh *m, unsigned stream, const void *a, size_t a_len, const void *b, size_t b_len);
int mpp_record_order(const mpp_mesh *m, unsigned stream, const void *a, size_t a_len, const void *b, size_t b_len);

/* ---- attaching ---------------------------------------------------------------------------------- */

enum { MPP_INDEX_ANY = -1 };

typedef struct mpp_attach_options {
    int index;               /* MPP_INDEX_ANY: the first that was never used */
    const unsigned *streams; /* which streams this process serves; NULL: all */
    unsigned n_streams;
    unsigned runs;             /* producer: runs it serves of each stream; 0: until the mesh is removed */
    int64_t attach_timeout_ms; /* how long to wait for a peer that never came; 0: for ever */
    int64_t timeout_ms;        /* how long without a record (consumer) or without space (producer); 0: for ever */
    const char *label;         /* what is behind this endpoint ("sort", "a.tsv"), for messages; may be NULL */
} mpp_attach_options;

/* What an endpoint is doing, for mpp-stat and for messages of time-outs. */
typedef enum mpp_activity {
    MPP_COMPUTING = 0,
    MPP_WAITING_START,
    MPP_WAITING_SPACE,
    MPP_WAITING_DATA,
    MPP_READING_INPUT,
    MPP_WRITING_OUTPUT,
    MPP_WAITING_COMMAND,
    MPP_ENDING,
    MPP_WAITING_PEERS, /* for everybody to attach (--barrier) */
} mpp_activity;
const char *mpp_activity_text(unsigned activity); /* "waiting for data" */

/* ---- producer ----------------------------------------------------------------------------------- */

typedef struct mpp_producer mpp_producer;

/* Registration and execution are separate: a source is registered before anyone asks, and started once for
 * each run, by the first START, from mpp_service().  (Where the buffer overwrites: by that or by the first record.)
 *
 * A source may call what it likes, also mpp_end(), mpp_producer_fail() and what produces into its own stream; but
 * of its own producer not mpp_service() (MPP_ERROR with errno EINVAL), mpp_wait() and mpp_producer_detach(). */
typedef struct mpp_source {
    /* Run `run` (from 1) is asked for.  0, or -1 with *err: the producer fails with that, as by mpp_producer_fail().
     * *err comes filled in: a source that has nothing to say may leave it alone. */
    int (*start)(void *arg, unsigned stream, unsigned run, mpp_error *err);
    /* Every consumer has enough of it: stop.  The run is over when this returns. */
    void (*stop)(void *arg, unsigned stream, unsigned run);
    void *arg;
} mpp_source;

/* Claim a producer's index in the lanes of the given streams.
 * 0, or -1 with *err: MPP_S_USAGE no such index or held by another process, MPP_S_DONE the mesh is closed and nothing
 * is wanted of a producer (MPP_S_NO_MESH for a consumer), MPP_S_DIED its last holder died, MPP_S_CORRUPT, MPP_S_ERROR.
 * A mesh that has failed attaches, and says MPP_GONE at the first call. */
int mpp_producer_attach(mpp_mesh *m, const mpp_attach_options *o, mpp_producer **p, mpp_error *err);
unsigned mpp_producer_index(const mpp_producer *p);
/* Detach and clear *p.  A stream that was begun and not ended fails. */
void mpp_producer_detach(mpp_producer **p);

/* This producer takes its share of an input that others have a share of, too.  what: a hash of which input it is; how:
 * a hash of how it looked (its size) when this producer worked its share out.  Both are compared with what the mesh's
 * other producers of the stream have said, before or later: of two who differ one at least learns it.
 * -1: nobody differs (or we do not serve the stream); else the index of a producer that said the same `what` and
 * another `how`: its share and ours do not fit together. */
int mpp_producer_agree(mpp_producer *p, unsigned stream, uint32_t what, uint32_t how);

/* Register the source of a stream that this producer serves.  *source is copied. */
mpp_outcome mpp_register(mpp_producer *p, unsigned stream, const mpp_source *source);
/* Begin run 1 of a stream without being asked (--eager): the next mpp_service() does.  Before that nothing can be
 * produced (MPP_CLOSED).  A stream whose buffer overwrites needs no asking. */
mpp_outcome mpp_begin(mpp_producer *p, unsigned stream);

/* Take what consumers have asked, start and stop sources.  MPP_OK; MPP_CLOSED: every stream has had its last run, or
 * nobody is left to ask; MPP_GONE; MPP_ERROR with errno EINVAL: a source calls it.  Call it whenever mpp_wait()
 * returns, and now and then between. */
mpp_outcome mpp_service(mpp_producer *p);

/* Producing comes in three strengths.
 *
 *   mpp_produce()        now, and it cannot fail: for streams whose buffer overwrites, by one that must never wait
 *   mpp_try_produce()    now or not at all: for a producer that has something else to do, or can drop the record
 *   mpp_produce_async()  accepted now, through when there is room: for a producer that has many under way and no buffer
 *                        of its own, or a buffer that does I/O
 */

/* mpp_produce(): pick it for telemetry, state, commands - what is worth nothing once there is newer.
 *
 *     mpp_overwriter *w;
 *     if (mpp_overwriter_open(p, stream, &w, &err) < 0)     // a stream that can be full is refused here
 *         die(&err);
 *     for (;;) {
 *         size_t n = measure(text, sizeof text);
 *         mpp_produce(w, text, n);                          // readers that sleep are woken
 *         if (mpp_service(p) != MPP_OK)                     // now and then: is the mesh still there?
 *             break;
 *     }
 *     mpp_end(p, stream);
 *
 * Only such a stream has an overwriter, so that nobody can call it on one that would have to wait: -1 with *err
 * (MPP_S_USAGE).  It belongs to the producer, and goes with it.
 * mpp_produce: one record, published when the call returns.  A record of another format, or longer than
 * mpp_stream_info.max_record bytes, is left out and counted as refused; so is every record after mpp_end(). */
typedef struct mpp_overwriter mpp_overwriter;
int mpp_overwriter_open(mpp_producer *p, unsigned stream, mpp_overwriter **w, mpp_error *err);
void mpp_produce(mpp_overwriter *w, const void *record, size_t len);

/* mpp_try_produce(): pick it when you can do something better than wait.
 *
 *     mpp_service(p);                                       // after mpp_wait(), and now and then: who asks?
 *     switch (mpp_try_produce(p, stream, record, len)) {
 *     case MPP_OK:          break;                          // it is on its way
 *     case MPP_WOULD_BLOCK: mpp_give_up(p, stream);         // it is counted as given up; or keep it and ...
 *                           break;                          // ... mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0)
 *     case MPP_CLOSED:      return 0;                       // nobody has asked yet, or all have enough
 *     case MPP_GONE:        mpp_mesh_cause(m, &err); ...    // something failed
 *     case MPP_ERROR:       perror("not a record");
 *     }
 *
 * One record (without delimiter or prefix), to whom the stream's partition says.  Batched: it travels when a
 * frame is full, at mpp_flush() or in mpp_wait().  MPP_OK, MPP_WOULD_BLOCK (the record stays the caller's; one longer
 * than a frame may be under way in part, then no other can go before it), MPP_CLOSED, MPP_GONE; MPP_ERROR with errno
 * EINVAL: not a record of the stream's format, or not the one that is under way (a long one, or one that mpp_fill()
 * has read in part), or the consumer's room is reserved, EMSGSIZE: longer than the mesh's max_record, ENOMEM: nothing
 * was done.  What mpp_fill() has read goes before: MPP_WOULD_BLOCK while there is no room for that. */
mpp_outcome mpp_try_produce(mpp_producer *p, unsigned stream, const void *record, size_t len);
/* After MPP_WOULD_BLOCK: the record will not be offered again.  It is counted, and round robin goes on with the next
 * consumer.  MPP_OK; MPP_WOULD_BLOCK: a part of it is under way, so it must be; MPP_ERROR with errno EINVAL: it is
 * mpp_fill()'s. */
mpp_outcome mpp_give_up(mpp_producer *p, unsigned stream);
/* Before the first record: mpp_fill() gives up what finds no room, and no record is begun before there is room for all
 * of it (so one longer than a ring is always given up).  MPP_OK; MPP_ERROR with errno EINVAL: one is under way. */
mpp_outcome mpp_no_wait(mpp_producer *p, bool on);

/* mpp_produce_async(): pick it to have many records under way and one place where they complete.
 *
 *     mpp_operation op[N];                                  // and their records: lent until each is complete
 *     for (n = 0; n < N; n++)                               // (once source.start was called)
 *         if (mpp_produce_async(p, stream, record[n], len[n], &op[n]) != MPP_OK)
 *             break;                                        // not accepted: closed, gone, not a record
 *     while (n > 0 && mpp_poll(p, &op[n - 1], &err) == MPP_WOULD_BLOCK) { // in order: the last is through when all are
 *         mpp_wait(p, NULL, MPP_COMPUTING, NULL, 0, 0);     // or poll(2) on mpp_producer_fd() between arm and disarm
 *         mpp_service(p);                                   // they may have enough: then the rest is closed
 *     }
 *
 * MPP_OK: accepted; it completes in the order of acceptance, in mpp_poll(), mpp_service(), or here if it can.  Nothing
 * that is produced into the stream later overtakes it: other calls say MPP_WOULD_BLOCK while one is pending.
 * MPP_CLOSED, MPP_GONE, MPP_ERROR with errno as of mpp_try_produce(), EINVAL also while there is no room for what
 * mpp_fill() has read: not accepted, and mpp_poll() says the same.  An operation that is pending may not be given
 * again; the first and the last one are refused.  On a buffer that overwrites it is complete at once, with success. */
typedef struct mpp_operation {
    void *user;         /* the caller's; not looked at */
    const void *record; /* from here on the library's */
    size_t len;
    unsigned stream;
    mpp_outcome outcome; /* MPP_WOULD_BLOCK while pending; read it by mpp_poll() */
    uint64_t step;       /* what a buffer with an async push of its own keeps here */
    unsigned refused;    /* why it was not accepted, for mpp_poll(); 0: it was */
    struct mpp_operation *next;
} mpp_operation;
mpp_outcome mpp_produce_async(mpp_producer *p, unsigned stream, const void *record, size_t len, mpp_operation *op);
/* MPP_OK: it went through (as far as mpp_try_produce() does).  MPP_WOULD_BLOCK: pending; mpp_wait() returns when it is
 * worth another look.  MPP_ERROR: it was not accepted, or it failed, and *err says why; with one that failed so has
 * the producer (mpp_producer_fail()), and what was accepted behind it ends as MPP_GONE.  MPP_CLOSED: cancelled; the
 * run has ended, or every consumer has enough.  After anything but MPP_WOULD_BLOCK, operation and record are the
 * caller's again. */
mpp_outcome mpp_poll(mpp_producer *p, mpp_operation *op, mpp_error *err);
/* Take it back: MPP_CLOSED, and it never appears; or what mpp_poll() would say, when it has come too far.  Either call
 * with one that is not this producer's: MPP_ERROR with errno EINVAL. */
mpp_outcome mpp_operation_cancel(mpp_producer *p, mpp_operation *op);

/* The whole records at the start of [data, data + n), framing included.  *used: the bytes that were taken, by
 * every outcome.  MPP_OK: no whole record is left; otherwise as mpp_try_produce(). */
mpp_outcome mpp_feed(mpp_producer *p, unsigned stream, const void *data, size_t n, size_t *used);

/* One read(2) from fd into the stream, straight into the ring where there is one consumer.  From a read that ended
 * inside a record to the one that ends it, or mpp_fill_end(), nothing else may be produced into the stream, nor its run
 * ended (MPP_ERROR with errno EINVAL).
 * *n: bytes read.  MPP_OK: n > 0, or n == 0 at the end of fd.  MPP_WOULD_BLOCK: *n == 0, no space.
 * MPP_ERROR: *err; err->os_error EAGAIN: fd has nothing now (what was read before is published).
 * limit: at most so many bytes (0: any number). */
mpp_outcome mpp_fill(mpp_producer *p, unsigned stream, int fd, size_t limit, size_t *n, mpp_error *err);
/* The end of one input of the stream: a last record without its delimiter gets one.  MPP_ERROR: it ends inside
 * a record of fixed or prefixed length; what came before it stays accepted, and the stream can go on unless a part of
 * the record is under way. */
mpp_outcome mpp_fill_end(mpp_producer *p, unsigned stream, mpp_error *err);

/* Zero copy, to one consumer and without partition: room for one frame of `len` bytes at *data, valid until
 * the commit; the caller fills it with whole records (framing included) and commits at most len bytes.
 * mpp_reserve: MPP_OK, MPP_WOULD_BLOCK, MPP_CLOSED (this consumer has enough), MPP_GONE;
 * MPP_ERROR with errno EMSGSIZE: longer than mpp_frame_max(); EINVAL: the stream's buffer overwrites, or a record of
 * it is under way in part.  mpp_commit publishes, or drops what the consumer has cancelled since; of no bytes it gives
 * the room back.  MPP_ERROR with errno EINVAL: nothing was reserved, or less.
 * Between the two nothing else may be produced to this consumer in the stream's lane (MPP_ERROR with errno EINVAL). */
size_t mpp_frame_max(const mpp_producer *p);
mpp_outcome mpp_reserve(mpp_producer *p, unsigned stream, unsigned consumer, size_t len, void **data);
mpp_outcome mpp_commit(mpp_producer *p, unsigned stream, unsigned consumer, size_t len, uint64_t records);

/* Publish what is batched. */
void mpp_flush(mpp_producer *p);
/* The run of this stream ends well, after what was produced.  Operations that are pending are closed, so wait for the
 * last of them before.  MPP_OK, also when no run is under way; only after mpp_fill(): MPP_WOULD_BLOCK: there is no room
 * for what it has read, MPP_ERROR with errno EINVAL: that ends inside a record, which mpp_fill_end() finishes. */
mpp_outcome mpp_end(mpp_producer *p, unsigned stream);
/* Something failed on this side: the first failure in a mesh is its root cause.  err->text goes to everybody;
 * what was produced before is delivered.  true: ours is the root cause.  (What err does not say, or NULL, is made
 * up.) */
bool mpp_producer_fail(mpp_producer *p, const mpp_error *err);
/* Count records also where that costs a pass over the data (gather of delimited records). */
void mpp_producer_count(mpp_producer *p, bool on);

/* Of one stream, over all its runs. */
typedef struct mpp_totals {
    uint64_t records;  /* UINT64_MAX: not counted */
    uint64_t bytes;    /* framing included */
    uint64_t no_key;   /* records without a field of the key */
    uint64_t dropped;  /* records for consumers that had enough */
    uint64_t given_up; /* records that mpp_give_up() was told of */
} mpp_totals;
void mpp_producer_totals(const mpp_producer *p, unsigned stream, mpp_totals *t);

/* Say which process is behind this endpoint (its command; 0: none): while that is stopped, time-outs do not count. */
void mpp_producer_command(mpp_producer *p, pid_t pid);

/* ---- consumer ----------------------------------------------------------------------------------- */

typedef struct mpp_consumer mpp_consumer;

/* Whole records of one producer.  Valid until released. */
typedef struct mpp_batch {
    const unsigned char *data; /* may still be in shared memory: check what you read, and read it once */
    size_t len;
    unsigned producer, stream;
    uint64_t missed; /* records of this producer that were overwritten since the last batch, or the beginning */
} mpp_batch;

int mpp_consumer_attach(mpp_mesh *m, const mpp_attach_options *o, mpp_consumer **c, mpp_error *err);
unsigned mpp_consumer_index(const mpp_consumer *c);
/* Detach and clear *c: streams that were started and have not ended are cancelled. */
void mpp_consumer_detach(mpp_consumer **c);

/* Ask every producer for the next run of the stream, once the run before is over or cancelled; where its buffer
 * overwrites nobody needs to be asked, and reading begins with what there is.  MPP_OK, also in a mesh that has
 * failed: what was published for us is ours to have, then mpp_next() says MPP_GONE; MPP_WOULD_BLOCK: the run before
 * is not over everywhere yet; MPP_GONE: it never will be, or the mesh was called off. */
mpp_outcome mpp_start(mpp_consumer *c, unsigned stream);
/* The next whole records, of any producer (fairly) or of one.  One batch per stream and producer may be held.
 * MPP_OK, MPP_WOULD_BLOCK, MPP_CLOSED (also of what was not asked for), MPP_GONE (all that was published has been
 * handed out); *batch is filled in by MPP_OK alone. */
enum { MPP_PRODUCER_ANY = -1 };
mpp_outcome mpp_next(mpp_consumer *c, unsigned stream, int producer, mpp_batch *batch);
/* Give a batch of mpp_next() back, once: it is cleared, and what is released twice is MPP_ERROR with errno EINVAL. */
mpp_outcome mpp_release(mpp_consumer *c, mpp_batch *batch);
/* Of a bounded stream that has a lane to itself, when mpp_next() has said MPP_CLOSED: did nobody get a record in this
 * run?  Known to consumer 0, whom producers tell last that it has ended, until the next run begins; false for the
 * others, and after that. */
bool mpp_run_empty(const mpp_consumer *c, unsigned stream);
/* Enough of this run: upstream drops what was meant for us, and stops when every consumer has cancelled. */
mpp_outcome mpp_cancel(mpp_consumer *c, unsigned stream);
/* Instead of mpp_start(): enough of the next run before it was asked for.  It is ours, so who comes after us in our
 * place gets the one behind it; nothing of it is produced for us, and so nothing of it stands in our way in a lane.
 * MPP_OK; MPP_WOULD_BLOCK and MPP_GONE as mpp_start(); MPP_ERROR with errno EINVAL: a run was started and is not
 * over. */
mpp_outcome mpp_skip(mpp_consumer *c, unsigned stream);
void mpp_consumer_command(mpp_consumer *c, pid_t pid);
/* As mpp_producer_fail(), but that a consumer of nothing but buffers that overwrite fails alone: nobody else is
 * told. */
bool mpp_consumer_fail(mpp_consumer *c, const mpp_error *err);
/* Why MPP_GONE: the mesh's cause, or that of this consumer alone.  false: nothing has failed. */
bool mpp_consumer_cause(const mpp_consumer *c, mpp_error *cause);

/* ---- waiting ------------------------------------------------------------------------------------ */

/* One pollable descriptor for an endpoint: readable when a doorbell rang or a peer died.  It tells only between
 * mpp_arm() and mpp_disarm(): mpp_arm() is true when it is safe to sleep, false when there is something to do
 * already; mpp_disarm() must follow either, and takes what was heard.  mpp_wait() does all of it. */
int mpp_producer_fd(const mpp_producer *p);
int mpp_consumer_fd(const mpp_consumer *c);
bool mpp_arm(mpp_producer *p, mpp_consumer *c, mpp_activity activity);
void mpp_disarm(mpp_producer *p, mpp_consumer *c);

/* Is every participant of the mesh there, or has it been?  MPP_OK also when every consumer has finished: nobody needs
 * to come then, and mpp_service() says MPP_CLOSED.  MPP_WOULD_BLOCK: not yet, and mpp_wait() returns when they are;
 * MPP_GONE.  p or c may be NULL. */
mpp_outcome mpp_barrier(mpp_producer *p, mpp_consumer *c);

/* Sleep until something that said MPP_WOULD_BLOCK is worth another try, a consumer asks or cancels, the mesh is
 * over (for a consumer: and it waits for data, or what was published is not wanted any more), one of fds is ready
 * (revents are set), or deadline_ns (CLOCK_MONOTONIC; 0: none) has passed.  p or c
 * may be NULL.  activity: what to publish when the mesh itself is not what we wait for; where
 * that is MPP_READING_INPUT or MPP_WRITING_OUTPUT, fds[0] is the input or output.
 * 1: something happened; 0: the deadline passed; -1 with errno (EINTR). */
int mpp_wait(mpp_producer *p, mpp_consumer *c, mpp_activity activity, struct pollfd *fds, unsigned n_fds,
             int64_t deadline_ns);
int64_t mpp_now(void); /* CLOCK_MONOTONIC, nanoseconds */

/* For a program that catches SIGCONT: we were stopped and go on, and time-outs of who has not come begin anew.
 * (Without that, a stop that lasts past a time-out is seen, and a shorter one counts.)  p or c may be NULL. */
void mpp_continued(mpp_producer *p, mpp_consumer *c);

#ifdef __cplusplus
}
#endif
#endif
