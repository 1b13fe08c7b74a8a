/* Messages through a ring of pointers by DPDK, where its headers are installed. */
#include "messages.h"

#if __has_include(<rte_ring.h>)

#include "slots.h"

/* Its headers are for a C with extensions. */
#define asm __asm__
#define typeof __typeof__
#include <rte_ring.h>

static struct rte_ring *ring;
static size_t ring_bytes;
static slots messages;
static void *burst[SLOTS_BURST];
static unsigned burst_len, burst_at;

/* What rte_ring_init() does; with it would come the whole environment that it is linked to. */
static void open_ring(const measurement *m)
{
    unsigned n = slots_ring(m->size);
    ring_bytes = sizeof *ring + n * sizeof(void *);
    ring = share_memory(ring_bytes);
    ring->size = n;
    ring->mask = ring->capacity = n - 1;
    ring->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
    ring->prod.sync_type = ring->cons.sync_type = RTE_RING_SYNC_ST;
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
    unshare_memory(ring, ring_bytes);
    unshare_memory(messages.bytes, messages.n * messages.stride);
}

/* ---- one by one ------------------------------------------------------------------------------------------ */

static bool put(const void *message, size_t size)
{
    if (rte_ring_full(ring))
        return false;
    return rte_ring_sp_enqueue(ring, slots_fill(&messages, message, size)) == 0;
}

static bool get(void *message, size_t size)
{
    void *slot;
    if (rte_ring_sc_dequeue(ring, &slot) != 0)
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

/* ---- in bursts ------------------------------------------------------------------------------------------- */

static void flush_burst(void)
{
    unsigned tries = 0;
    for (unsigned sent = 0; sent < burst_len; spin(&tries))
        sent += rte_ring_sp_enqueue_burst(ring, burst + sent, burst_len - sent, NULL);
    burst_len = 0;
}

static bool put_burst(const void *message, size_t size)
{
    burst[burst_len++] = slots_fill(&messages, message, size);
    if (burst_len == SLOTS_BURST)
        flush_burst();
    return true;
}

static bool get_burst(void *message, size_t size)
{
    if (burst_at == burst_len) {
        burst_at = 0;
        burst_len = rte_ring_sc_dequeue_burst(ring, burst, SLOTS_BURST, NULL);
        if (burst_len == 0)
            return false;
    }
    memcpy(message, burst[burst_at++], size);
    return true;
}

static void send_bursts(measurement *m)
{
    send_all(m, put_burst, flush_burst);
}

static void receive_bursts(measurement *m)
{
    receive_all(m, get_burst);
}

const way way_dpdk = {
    .name = "DPDK rte_ring",
    .open = open_ring,
    .attach = attach,
    .send = send_single,
    .receive = receive,
    .detach = detach,
    .close = close_ring,
};

const way way_dpdk_burst = {
    .name = "DPDK rte_ring, batched",
    .open = open_ring,
    .attach = attach,
    .send = send_bursts,
    .receive = receive_bursts,
    .detach = detach,
    .close = close_ring,
};

#else

const way way_dpdk = {.name = "DPDK rte_ring", .missing = "libdpdk-dev"};
const way way_dpdk_burst = {.name = "DPDK rte_ring, batched"};

#endif
