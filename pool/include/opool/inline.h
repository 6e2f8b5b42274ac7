/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_INLINE_H
#define OPOOL_INLINE_H

/*
 * The fast path, inlined into the program: what stands here is ABI (OPOOL_ABI). The protocol between the owner of a
 * head and the reclaimer is argued in pool/cache/reclaim.c.
 *
 * A hit of get is two relaxed stores to one cache line, one load of the object's pointer and one compare (12
 * instructions on x86-64, no locked one); a put adds the pointer check and a counter. Everything else is out of line
 * and reached by a tail call. Neither reads nor writes the object.
 */

#include "atomic.h"
#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The floor of an armed head: the owner's next operation misses, takes the lock and disarms. */
#define OPOOL_ARMED ((void **)UINTPTR_MAX)

#define OPOOL__LIKELY(x) __builtin_expect(!!(x), 1)
#define OPOOL__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define OPOOL__INLINE static inline __attribute__((__always_inline__, __unused__))

struct opool__magazine;

/**
 * One thread's cache for one pool: a cache line. The idle objects are slots[0] to top[-1] of the loaded magazine, and
 * all of the spare one. The owner thread works on it inside `busy`, or under the lock; a reclaimer under the lock,
 * after it armed the head and saw busy 0 behind a membarrier.
 */
struct opool_head {
    uint32_t busy;        /* 1 while the owner is inside its section */
    uint32_t shared_lock; /* head lock: os/lock.h */
    uint64_t calling;     /* inlined resets of the owner that run inside each other: destroy refuses */
    void **top;           /* one past the top object */
    void **floor;         /* get misses unless top is above; OPOOL_ARMED: it always misses */
    void **limit;         /* put misses unless top is below; NULL: it always misses */
    uint64_t puts;        /* puts into it so far; hits follow from what went in and out by slow paths */
    struct opool__magazine *loaded, *spare;
} __attribute__((__aligned__(64)));

/** What inlined code reads of a pool: the start of struct opool. `offset` goes to 0 when the pool ends. */
struct opool_front {
    uint32_t offset;   /* of the pool's head in a thread's array, in bytes; 0 is a head that always misses */
    uint32_t rotate;   /* trailing zero bits of the stride */
    uintptr_t base;    /* first slot */
    uintptr_t inverse; /* of the odd part of the stride, modulo 2^64 */
    uintptr_t slots;   /* slots from base on whose slab was ever in use; only grows */
    void *arg;         /* opool_options.arg */
};

/* The calling thread's heads, indexed by pool; a shared array of heads that always miss for a thread without. */
#ifdef OPOOL_EXPLORE
#define opool__heads (*opool__explorer_heads())
#else
#ifdef OPOOL_TLS_GLOBAL_DYNAMIC /* a library that musl's dlopen shall load; programs for it define this too */
#define OPOOL_TLS_MODEL "global-dynamic"
#else
#define OPOOL_TLS_MODEL "initial-exec"
#endif
extern OPOOL_API __thread struct opool_head *opool__heads __attribute__((__tls_model__(OPOOL_TLS_MODEL)));
#endif

/* Out of line, after an inlined miss: the same results as opool_get and opool_put. */
OPOOL_API void *opool__get_slow(struct opool *pool);
/* `object` was checked, reset and cleared. */
OPOOL_API void opool__put_slow(struct opool *pool, void *object);
/* `object` was checked and cleared, and its reset refused it. */
OPOOL_API void opool__put_refused(struct opool *pool, struct opool_head *begun, void *object);

OPOOL__INLINE struct opool_head *opool__head(const struct opool_front *front)
{
    return (struct opool_head *)(void *)((char *)opool__heads + opool__load_relaxed(&front->offset));
}

/*
 * Is `object` the start of a slot of this pool? One multiplication: for stride = odd * 2^k, (object - base) is a
 * multiple of the stride if and only if its product with the inverse of odd, rotated right by k, is a small number, and
 * then that number is the slot's index (Granlund and Montgomery, "Division by invariant integers using multiplication",
 * 1994, section 9).
 */
OPOOL__INLINE bool opool__is_slot(const struct opool_front *front, const void *object)
{
    uintptr_t q = ((uintptr_t)object - front->base) * front->inverse;
    q = q >> front->rotate | q << ((0u - front->rotate) & (unsigned)(8 * sizeof q - 1));
    return q < opool__load_relaxed(&front->slots);
}

OPOOL__INLINE void *opool__get_inline(struct opool *pool)
{
    if (OPOOL__UNLIKELY(!pool))
        return opool__get_slow(pool);
    struct opool_head *head = opool__head((const struct opool_front *)(const void *)pool);
    opool__store_relaxed(&head->busy, 1u);
    opool__light_barrier();
    void **top = opool__load_relaxed(&head->top);
    if (OPOOL__UNLIKELY((uintptr_t)top <= (uintptr_t)opool__load_relaxed(&head->floor))) {
        opool__store_release(&head->busy, 0u);
        return opool__get_slow(pool);
    }
    void *object = opool__read_plain(top - 1);
    opool__store_relaxed(&head->top, top - 1);
    opool__store_release(&head->busy, 0u);
    return object;
}

/* What an inlined put looks at before it touches a head: a pool, and one of its slots. NULL is no slot: opool_put
   ignores it. */
OPOOL__INLINE bool opool__puts_inline(const struct opool *pool, const void *object)
{
#ifdef OPOOL_NO_CHECKS
    return OPOOL__LIKELY(pool && object);
#else
    return OPOOL__LIKELY(pool && opool__is_slot((const struct opool_front *)(const void *)pool, object));
#endif
}

/* The head that counts the callbacks which follow now, for opool__put_end or opool__put_refused; NULL: opool_put does
   all of this put. */
OPOOL__INLINE struct opool_head *opool__put_begin(struct opool *pool, const void *object)
{
    if (!opool__puts_inline(pool, object))
        return NULL;
    struct opool_head *head = opool__head((const struct opool_front *)(const void *)pool);
    if (OPOOL__UNLIKELY((uintptr_t)opool__load_relaxed(&head->top) >= (uintptr_t)opool__load_relaxed(&head->limit)))
        return NULL;
    opool__increment_owned(&head->calling);
    return head;
}

OPOOL__INLINE void opool__push(struct opool *pool, struct opool_head *head, void *object)
{
    opool__store_relaxed(&head->busy, 1u);
    opool__light_barrier();
    void **top = opool__load_relaxed(&head->top);
    if (OPOOL__UNLIKELY((uintptr_t)top >= (uintptr_t)opool__load_relaxed(&head->limit)))
        goto miss;
#ifndef OPOOL_NO_CHECKS
    if (OPOOL__UNLIKELY(opool__read_plain(top - 1) == object)) /* put twice in a row: the slow path says so */
        goto miss;
#endif
    opool__write_plain(top, object);
    opool__store_relaxed(&head->top, top + 1);
#ifndef OPOOL_BENCH_NO_COUNTER /* only to measure what the counter costs: hits and puts are wrong without it */
    opool__increment_owned(&head->puts);
#endif
    opool__store_release(&head->busy, 0u);
    return;
miss:
    opool__store_release(&head->busy, 0u);
    opool__put_slow(pool, object);
}

/* The second half of a put that began with opool__put_begin: `object` was reset and cleared. The pool may have been
   closed by the callback: it has another head then. */
OPOOL__INLINE void opool__put_end(struct opool *pool, struct opool_head *begun, void *object)
{
    opool__decrement_owned(&begun->calling);
    opool__push(pool, opool__head((const struct opool_front *)(const void *)pool), object);
}

/* A whole put of a type that has nothing to run at put. */
OPOOL__INLINE void opool__put_inline(struct opool *pool, void *object)
{
    if (opool__puts_inline(pool, object))
        opool__push(pool, opool__head((const struct opool_front *)(const void *)pool), object);
    else
        opool_put(pool, object);
}

#ifdef __cplusplus
}
#endif
#endif
