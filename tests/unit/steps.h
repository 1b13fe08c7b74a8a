/* steps.h - the words of atomics.h, with a step before each ordered load, each store and each half of a copy
 *
 * The Makefile compiles ring files of lib/ once more behind this header; what they do is done in steps then, so that
 * one thread can let the other side act in the middle of a read or a write.  A test is linked with such an object
 * before the library, whose own object is not taken then, and defines `steps`. */
#ifndef STEPS_H
#define STEPS_H

#include "base/atomics.h"

extern struct steps {
    void (*then)(void); /* what happens at step `when`, once; it has no steps itself */
    unsigned at, when;
} steps;

static inline void step(void)
{
    void (*then)(void) = steps.then;
    if (!then || steps.at++ != steps.when)
        return;
    steps.then = NULL;
    then();
}

static inline void out_in_steps(void *to, const void *shared, size_t n)
{
    const size_t half = n / 2 & ~(size_t)7;
    step();
    copy_from_shared(to, shared, half);
    step();
    copy_from_shared((char *)to + half, (const char *)shared + half, n - half);
    step();
}

static inline void copy_half(void *shared, const void *from, size_t n)
{
    copy_to_shared(shared, from, n);
}

static inline void in_in_steps(void *shared, const void *from, size_t n)
{
    const size_t half = n / 2 & ~(size_t)7;
    step();
    copy_half(shared, from, half);
    step();
    copy_half((char *)shared + half, (const char *)from + half, n - half);
    step();
}

#define copy_from_shared out_in_steps
#undef copy_to_shared
#define copy_to_shared in_in_steps
#undef load_acquire
#define load_acquire(p) (step(), atomic_load_explicit((p), memory_order_acquire))
#undef exchange
#define exchange(p, v) (step(), atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#undef cas
#define cas(p, want, v)                                                                                                \
    (step(), atomic_compare_exchange_strong_explicit((p), (want), (v), memory_order_acq_rel, memory_order_acquire))
#undef store_relaxed
#define store_relaxed(p, v) (step(), atomic_store_explicit((p), (v), memory_order_relaxed))
#undef store_release
#define store_release(p, v) (step(), atomic_store_explicit((p), (v), memory_order_release))

#endif
