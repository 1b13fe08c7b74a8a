/* messages.h - what messages.c measures: ways for two processes to exchange messages
 *
 * A way provides put and get, which try; the loops around them are here, and inlined into each way's file with its own
 * put and get, so that no call through a pointer is measured with a message of a few nanoseconds.
 *
 * Every message begins with its number, and the receiver checks it: what is fast and wrong is not fast. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { MESSAGE_MAX = 64 << 10, MESSAGES_IN_FLIGHT = 1 << 20, ROUND_TRIPS_MAX = 100000, WARM_UP = 1000 };

/* One measurement, in memory that both processes share. */
typedef struct measurement {
    size_t size;         /* bytes in a message */
    int64_t duration_ns; /* how long to send */
    bool round_trips;    /* messages go both ways */
    uint64_t messages;   /* received */
    int64_t begin_ns, end_ns;
    size_t n_took; /* round trips measured */
    int64_t took[ROUND_TRIPS_MAX];
} measurement;

/* Side 0 sends, or asks; side 1 receives, or answers.  open() is called before the fork and close() after both sides
 * have ended; the others in the process of their side.  They end the process when something fails. */
typedef struct way {
    const char *name;
    const char *missing; /* what would have to be installed to build it; NULL: nothing, or another way says it */
    void (*open)(const measurement *m);
    void (*attach)(int side, const measurement *m);
    void (*send)(measurement *m);    /* these two, NULL: not measured */
    void (*receive)(measurement *m); /* */
    void (*ask)(measurement *m);     /* and so these two */
    void (*answer)(measurement *m);
    void (*detach)(int side);
    void (*close)(void);
} way;

extern const way way_mpp, way_mpp_batched, way_mpp_frames, way_mpp_spinning;
extern const way way_pipe, way_pipe_batched, way_pipe_spinning;
extern const way way_seqpacket, way_seqpacket_spinning;
extern const way way_ck, way_dpdk, way_dpdk_burst;

/* Say what failed, with errno's text unless `text` is given, and end the process. */
__attribute__((noreturn)) void die(const char *what, const char *text);

/* Memory that both processes share, zeroed. */
void *share_memory(size_t size);
void unshare_memory(void *memory, size_t size);

#define INLINED static inline __attribute__((always_inline))

INLINED int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The other side may have been preempted, or have the same CPU. */
INLINED void spin(unsigned *tries)
{
    if (++*tries % 1024 == 0)
        sched_yield();
#if defined __x86_64__ || defined __i386__
    else
        __builtin_ia32_pause();
#endif
}

#define LAST_MESSAGE (UINT64_C(1) << 63)

/* put: copy a message to the other side; false: no room.  flush: whatever put has kept goes now. */
INLINED void send_all(measurement *m, bool (*put)(const void *message, size_t size), void (*flush)(void))
{
    static _Alignas(64) unsigned char message[MESSAGE_MAX];
    unsigned tries = 0;
    uint64_t number = 0;
    int64_t end = now() + m->duration_ns;
    for (bool last = false; !last;) {
        last = number % 64 == 63 && now() >= end;
        uint64_t word = number++ | (last ? LAST_MESSAGE : 0);
        memcpy(message, &word, sizeof word);
        while (!put(message, m->size))
            spin(&tries);
    }
    flush();
}

/* get: copy the next message here; false: there is none. */
INLINED void receive_all(measurement *m, bool (*get)(void *message, size_t size))
{
    static _Alignas(64) unsigned char message[MESSAGE_MAX];
    unsigned tries = 0;
    uint64_t word = 0, number = 0;
    for (; !(word & LAST_MESSAGE); number++) {
        while (!get(message, m->size))
            spin(&tries);
        if (number == 0)
            m->begin_ns = now();
        memcpy(&word, message, sizeof word);
        if ((word & ~LAST_MESSAGE) != number)
            die("messages", "one is lost, or out of order");
    }
    m->end_ns = now();
    m->messages = number;
}

/* wait: until get is worth another try. */
INLINED void await(void *message, size_t size, bool (*get)(void *message, size_t size), void (*wait)(void))
{
    unsigned tries = 0;
    while (!get(message, size)) {
        if (wait)
            wait();
        else
            spin(&tries);
    }
}

INLINED void ask_all(measurement *m, bool (*put)(const void *message, size_t size),
                     bool (*get)(void *message, size_t size), void (*wait)(void))
{
    unsigned char message[64] = {0};
    unsigned tries = 0;
    int64_t before = now(), end = 0, after;
    bool last = false;
    for (uint64_t number = 0; !last; number++) {
        if (number == WARM_UP)
            end = now() + m->duration_ns;
        last = number > WARM_UP && (before >= end || m->n_took == ROUND_TRIPS_MAX);
        uint64_t word = number | (last ? LAST_MESSAGE : 0), answer;
        memcpy(message, &word, sizeof word);
        before = now();
        while (!put(message, m->size))
            spin(&tries);
        await(message, m->size, get, wait);
        after = now();
        memcpy(&answer, message, sizeof answer);
        if (answer != word)
            die("messages", "an answer is not the right one");
        if (number >= WARM_UP && !last)
            m->took[m->n_took++] = after - before;
    }
}

INLINED void answer_all(measurement *m, bool (*put)(const void *message, size_t size),
                        bool (*get)(void *message, size_t size), void (*wait)(void))
{
    unsigned char message[64];
    unsigned tries = 0;
    for (uint64_t word = 0; !(word & LAST_MESSAGE);) {
        await(message, m->size, get, wait);
        memcpy(&word, message, sizeof word);
        while (!put(message, m->size))
            spin(&tries);
    }
}

#endif
