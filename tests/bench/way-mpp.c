/* Messages through a mesh: records of a fixed size. */
#include "messages.h"
#include "mpp-look.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRAME = 64 << 10 };

static char id[MPP_NAME_MAX + 1];
static mpp_mesh *mesh;
static mpp_producer *producer;
static mpp_consumer *consumer;
static unsigned target; /* the other side's consumer */
static bool asked;
static unsigned char *frame;
static size_t frame_len, frame_messages;
static mpp_batch batch;
static size_t batch_at;

static int start(void *arg, unsigned stream, unsigned run, mpp_error *err)
{
    (void)arg;
    (void)stream;
    (void)run;
    (void)err;
    asked = true;
    return 0;
}

static void stop(void *arg, unsigned stream, unsigned run)
{
    (void)arg;
    (void)stream;
    (void)run;
}

static void expect(bool good, const char *what)
{
    mpp_error cause;
    if (!good)
        die(what, mesh && mpp_mesh_cause(mesh, &cause) ? cause.text : "an outcome that should not be");
}

/* One producer and one consumer, or one of each on both sides.  MESH in the environment names it, so that who started
 * us can remove it, whatever becomes of us. */
static void open_mesh(const measurement *m)
{
    mpp_stream_options stream = {.name = "0", .format = {.kind = MPP_FIXED, .size = (uint32_t)m->size}};
    unsigned sides = m->round_trips ? 2 : 1;
    mpp_mesh_options options = {.producers = sides,
                                .consumers = sides,
                                .streams = &stream,
                                .n_streams = 1,
                                .ring_size = MESSAGES_IN_FLIGHT,
                                .name = getenv("MESH"),
                                .pid = getpid()};
    mpp_error err;
    mpp_mesh *made;
    if (mpp_mesh_create(&options, &made, &err) < 0)
        die("mpp_mesh_create", err.text);
    snprintf(id, sizeof id, "%s", mpp_mesh_id(made));
    mpp_mesh_close(&made);
}

static void remove_mesh(void)
{
    mpp_mesh_remove(id, NULL);
}

static void begin(void)
{
    expect(!consumer || mpp_start(consumer, 0) == MPP_OK, "mpp_start");
    while (producer && !asked) {
        expect(mpp_service(producer) == MPP_OK, "mpp_service");
        if (!asked)
            mpp_wait(producer, consumer, MPP_COMPUTING, NULL, 0, 0);
    }
}

static void attach(int side, const measurement *m)
{
    mpp_error err;
    int index = m->round_trips ? side : 0;
    mpp_attach_options options = {.index = index, .runs = 1, .label = "messages"};
    if (mpp_mesh_open(id, &mesh, &err) < 0)
        die("mpp_mesh_open", err.text);
    if ((m->round_trips || side == 0) && mpp_producer_attach(mesh, &options, &producer, &err) < 0)
        die("mpp_producer_attach", err.text);
    if ((m->round_trips || side == 1) && mpp_consumer_attach(mesh, &options, &consumer, &err) < 0)
        die("mpp_consumer_attach", err.text);
    target = m->round_trips ? 1 - (unsigned)side : 0;
    if (producer)
        mpp_register(producer, 0, &(mpp_source){start, stop, NULL});
    begin();
}

static void detach(int side)
{
    (void)side;
    if (producer)
        mpp_end(producer, 0);
    mpp_outcome outcome = MPP_WOULD_BLOCK;
    while (consumer && outcome == MPP_WOULD_BLOCK) {
        if (batch.data)
            mpp_release(consumer, &batch);
        outcome = mpp_next(consumer, 0, MPP_PRODUCER_ANY, &batch);
        if (outcome == MPP_WOULD_BLOCK)
            mpp_wait(producer, consumer, MPP_COMPUTING, NULL, 0, 0);
    }
    expect(!consumer || outcome == MPP_CLOSED, "the end of the stream");
    if (producer)
        mpp_service(producer);
    mpp_consumer_detach(&consumer);
    mpp_producer_detach(&producer);
    mpp_mesh_close(&mesh);
}

/* A frame for each message. */
static bool put(const void *message, size_t size)
{
    void *data;
    mpp_outcome outcome = mpp_reserve(producer, 0, target, size, &data);
    if (outcome != MPP_OK) {
        expect(outcome == MPP_WOULD_BLOCK, "mpp_reserve");
        return false;
    }
    memcpy(data, message, size);
    mpp_commit(producer, 0, target, size, 1);
    return true;
}

/* A frame is published when it is full. */
static bool put_batched(const void *message, size_t size)
{
    mpp_outcome outcome = mpp_try_produce(producer, 0, message, size);
    expect(outcome == MPP_OK || outcome == MPP_WOULD_BLOCK, "mpp_try_produce");
    return outcome == MPP_OK;
}

static void flush(void)
{
    mpp_flush(producer);
}

/* The same by hand: a frame of many messages is reserved, filled, and committed when it is full. */
static void flush_frame(void)
{
    if (frame_len)
        mpp_commit(producer, 0, target, frame_len, frame_messages);
    frame = NULL;
    frame_len = frame_messages = 0;
}

static bool put_in_frame(const void *message, size_t size)
{
    if (frame && frame_len + size > FRAME)
        flush_frame();
    if (!frame) {
        void *data;
        mpp_outcome outcome = mpp_reserve(producer, 0, target, FRAME, &data);
        expect(outcome == MPP_OK || outcome == MPP_WOULD_BLOCK, "mpp_reserve");
        if (outcome != MPP_OK)
            return false;
        frame = data;
    }
    memcpy(frame + frame_len, message, size);
    frame_len += size;
    frame_messages++;
    return true;
}

static bool get(void *message, size_t size)
{
    if (batch_at == batch.len) {
        if (batch.data)
            mpp_release(consumer, &batch);
        batch_at = batch.len = 0;
        mpp_outcome outcome = mpp_next(consumer, 0, MPP_PRODUCER_ANY, &batch);
        if (outcome != MPP_OK) {
            expect(outcome == MPP_WOULD_BLOCK, "mpp_next");
            batch = (mpp_batch){.data = NULL};
            return false;
        }
    }
    memcpy(message, batch.data + batch_at, size);
    batch_at += size;
    return true;
}

static void sleep_until_worth(void)
{
    mpp_wait(producer, consumer, MPP_WAITING_DATA, NULL, 0, 0);
}

static void send_single(measurement *m)
{
    send_all(m, put, flush);
}

static void send_batched(measurement *m)
{
    send_all(m, put_batched, flush);
}

static void send_frames(measurement *m)
{
    send_all(m, put_in_frame, flush_frame);
}

static void receive(measurement *m)
{
    receive_all(m, get);
}

static void ask_spinning(measurement *m)
{
    ask_all(m, put, get, NULL);
}

static void answer_spinning(measurement *m)
{
    answer_all(m, put, get, NULL);
}

static void ask_sleeping(measurement *m)
{
    ask_all(m, put, get, sleep_until_worth);
}

static void answer_sleeping(measurement *m)
{
    answer_all(m, put, get, sleep_until_worth);
}

const way way_mpp = {
    .name = "mpp",
    .open = open_mesh,
    .attach = attach,
    .send = send_single,
    .receive = receive,
    .ask = ask_sleeping,
    .answer = answer_sleeping,
    .detach = detach,
    .close = remove_mesh,
};

const way way_mpp_batched = {
    .name = "mpp, batched",
    .open = open_mesh,
    .attach = attach,
    .send = send_batched,
    .receive = receive,
    .detach = detach,
    .close = remove_mesh,
};

const way way_mpp_frames = {
    .name = "mpp, reserved frames",
    .open = open_mesh,
    .attach = attach,
    .send = send_frames,
    .receive = receive,
    .detach = detach,
    .close = remove_mesh,
};

const way way_mpp_spinning = {
    .name = "mpp, spinning",
    .open = open_mesh,
    .attach = attach,
    .ask = ask_spinning,
    .answer = answer_spinning,
    .detach = detach,
    .close = remove_mesh,
};
