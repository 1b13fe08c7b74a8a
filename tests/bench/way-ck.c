/* Messages through a ring of pointers by ConcurrencyKit, where its headers are installed. */
#include "messages.h"

#if __has_include(<ck_ring.h>)

#include "slots.h"

#include <ck_ring.h>

typedef struct shared {
    ck_ring_t ring;
    ck_ring_buffer_t entries[SLOTS_RING_MAX];
} shared;

static shared *both;
static slots messages;

static void open_ring(const measurement *m)
{
    both = share_memory(sizeof *both);
    ck_ring_init(&both->ring, slots_ring(m->size));
    messages = slots_make(m->size);
}

static void attach(int side, const measurement *m)
{
    (void)side;
    (void)m;
}

static void detach(int side)
{
    (void)side;
}

static void close_ring(void)
{
    unshare_memory(both, sizeof *both);
    unshare_memory(messages.bytes, messages.n * messages.stride);
}

/* Full is looked for before the copy, which would be in vain. */
static bool put(const void *message, size_t size)
{
    if (ck_ring_size(&both->ring) == ck_ring_capacity(&both->ring) - 1)
        return false;
    return ck_ring_enqueue_spsc(&both->ring, both->entries, slots_fill(&messages, message, size));
}

static bool get(void *message, size_t size)
{
    void *slot;
    if (!ck_ring_dequeue_spsc(&both->ring, both->entries, &slot))
        return false;
    memcpy(message, slot, size);
    return true;
}

static void flush_nothing(void)
{
}

static void send_single(measurement *m)
{
    send_all(m, put, flush_nothing);
}

static void receive(measurement *m)
{
    receive_all(m, get);
}

const way way_ck = {
    .name = "ConcurrencyKit",
    .open = open_ring,
    .attach = attach,
    .send = send_single,
    .receive = receive,
    .detach = detach,
    .close = close_ring,
};

#else

const way way_ck = {.name = "ConcurrencyKit", .missing = "libck-dev"};

#endif
