/* atomics.h - the whole ordering vocabulary: nine wrappers
 *
 * Every ordered access to shared memory goes through one of these and carries a label, [W1] for instance; its
 * partner carries [W2], and lib/README.md lists both with the edge they form. */
#ifndef ATOMICS_H
#define ATOMICS_H

#include "mpp.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define load_relaxed(p)     atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p)     atomic_load_explicit((p), memory_order_acquire)
#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define exchange(p, v)      atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define add_release(p, v)   atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define cas(p, want, v)                                                                                                \
    atomic_compare_exchange_strong_explicit((p), (want), (v), memory_order_acq_rel, memory_order_acquire)

/* A counter has one writer; readers want a value, not an order. */
#define count_add(p, n) store_relaxed((p), load_relaxed(p) + (n))

/* Whether ThreadSanitizer looks on: gcc and clang each say so in their own way. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMICS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ATOMICS_SANITIZED 1
#endif

/* The store-load fence between "I am going to sleep" and the recheck, and between "I published" and the look at who
 * sleeps.  The doorbell needs it, and who says something and then looks at what others have said (endpoint/,
 * mesh/bells.c, mpp_producer_agree()).  ThreadSanitizer does not understand fences; a read-modify-write of a location
 * of its own gives it the same edge. */
#ifdef ATOMICS_SANITIZED
#define full_fence() full_fence_tsan()
static inline void full_fence_tsan(void)
{
    static _Atomic int fence;
    atomic_fetch_add_explicit(&fence, 1, memory_order_seq_cst);
    atomic_signal_fence(memory_order_seq_cst);
}
#else
#define full_fence() atomic_thread_fence(memory_order_seq_cst)
#endif

/* Between a word and bytes that are copied while they may change (tape.c). */
#ifdef ATOMICS_SANITIZED
#define release_fence() full_fence()
#define acquire_fence() full_fence()
#else
#define release_fence() atomic_thread_fence(memory_order_release)
#define acquire_fence() atomic_thread_fence(memory_order_acquire)
#endif

/* Copy bytes that another process may be writing, or reading, at this moment: what comes out may be torn, and is not
 * used before a check has shown that it is not.  shared is aligned to 8 bytes, and so is the room behind it; n is of
 * any length.  For ThreadSanitizer (and for the language) in relaxed words; a machine copies bytes as well. */
#ifdef ATOMICS_SANITIZED
static inline void copy_to_shared(void *shared, const void *from, size_t n)
{
    _Atomic uint64_t *words = shared;
    for (size_t at = 0; at < n; at += sizeof *words) {
        uint64_t word = 0;
        memcpy(&word, (const char *)from + at, n - at < sizeof word ? n - at : sizeof word);
        store_relaxed(&words[at / sizeof word], word);
    }
}
static inline void copy_from_shared(void *to, const void *shared, size_t n)
{
    const _Atomic uint64_t *words = shared;
    for (size_t at = 0; at < n; at += sizeof *words) {
        const uint64_t word = load_relaxed(&words[at / sizeof word]);
        memcpy((char *)to + at, &word, n - at < sizeof word ? n - at : sizeof word);
    }
}
#else
#define copy_to_shared(shared, from, n) memcpy((shared), (from), (n))
static inline void copy_from_shared(void *to, const void *shared, size_t n)
{
    memcpy(to, shared, n);
    __asm__("" ::: "memory"); /* what was copied is what is looked at, and is not loaded again */
}
#endif

#endif
