/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_ATOMIC_H
#define OPOOL_ATOMIC_H

/*
 * Every atomic access of opool, inlined code included, goes through this header: the memory order stands in the
 * name, so that a reader sees it and a test can find it. The test build with OPOOL_EXPLORE swaps all of it for the
 * interleaving explorer (test/explorer), which runs the real protocol code under a weak memory model.
 *
 * There are no fences: ThreadSanitizer does not see them. The one place that needs a store-load order pairs
 * opool__light_barrier() here with membarrier(2) on the other side (pool/cache/reclaim.c).
 *
 * Shapes: `p` points to a uint32_t, uint64_t, size_t or pointer. C11 and C++11; gcc and clang.
 */

#ifdef OPOOL_EXPLORE
#include "explorer_atomic.h" /* test/explorer */
#else

#define opool__load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define opool__load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define opool__store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define opool__store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* Old value. */
#define opool__exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define opool__exchange_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
#define opool__add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define opool__sub_relaxed(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define opool__sub_release(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_RELEASE)
/* True when *p was *expected and is now `desired`; else *expected is what was seen, read relaxed. Never fails
   spuriously. */
#define opool__cas_acquire(p, expected, desired) \
    __atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define opool__cas_release(p, expected, desired) \
    __atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define opool__cas_relaxed(p, expected, desired) \
    __atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

/* Add 1 to, or subtract it from, a uint64_t that only this thread writes and others read: as a relaxed load and a
   relaxed store. */
#if defined(__has_feature)
#define OPOOL__HAS_FEATURE(x) __has_feature(x)
#else
#define OPOOL__HAS_FEATURE(x) 0
#endif
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !OPOOL__HAS_FEATURE(thread_sanitizer)
#define opool__increment_owned(p) __asm__ __volatile__("incq %0" : "+m"(*(p)))
#define opool__decrement_owned(p) __asm__ __volatile__("decq %0" : "+m"(*(p)))
#else
#define opool__decrement_owned(p) opool__store_relaxed((p), opool__load_relaxed(p) - 1)
#define opool__increment_owned(p) opool__store_relaxed((p), opool__load_relaxed(p) + 1)
#endif

/* Memory that another thread may read or write at another time, ordered by what stands around the access: the
   explorer reports it as a race when it is not. */
#define opool__read_plain(p) (*(p))
#define opool__write_plain(p, v) ((void)(*(p) = (v)))

/* Memory that serves something else from now on: the explorer forgets who accessed it. */
#define opool__reused(p, size) ((void)0)

/* Keeps the compiler from moving accesses across; costs nothing. The processor may still move them: the other side
   calls membarrier, which is a full barrier on this side too. */
#define opool__light_barrier() __asm__ __volatile__("" ::: "memory")

/* In a loop that waits for another thread. */
#if defined(__x86_64__) || defined(__i386__)
#define opool__spin_hint() __builtin_ia32_pause()
#elif defined(__aarch64__) || defined(__arm__)
#define opool__spin_hint() __asm__ __volatile__("yield" ::: "memory")
#else
#define opool__spin_hint() __asm__ __volatile__("" ::: "memory")
#endif

#endif /* OPOOL_EXPLORE */
#endif
