/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CACHE_CACHE_H
#define OPOOL_CACHE_CACHE_H

/*
 * Thread caches: for each thread and pool a head with two magazines. The fast path is in <opool/inline.h>; here is what
 * it falls back to, always under the head's lock, and the exchange with the depot.
 *
 *     objects of a head == (top - loaded->slots) - loaded->vacant + spare->count
 *                          floor == loaded->slots + loaded->low, limit == loaded->slots + loaded->capacity, vacant == 0
 *     armed:               the same; floor == OPOOL_ARMED, limit == NULL
 *     without barriers:    loaded->count + spare->count; floor == top == limit == NULL
 */

#include "cache/thread.h"
#include "depot/depot.h"

struct opool__cache {
    struct opool__depot *depot;
    uint32_t shared_number;  /* of the head in each thread's array; 0: no thread has a cache for this pool */
    uint32_t shared_closing; /* heads are not taken into use any more, and keep what they have until it is taken */
    /* Under opool__threads_lock: */
    uint64_t retired_puts; /* puts of heads that were given up */
    uint64_t stolen, steal_timeouts;
    uint64_t abandoned; /* heads that a fork left locked */
    /* Under the reclaim lock: */
    uint64_t tightened;  /* how often */
    uint64_t tight_tick; /* epoch and time of the last one */
    uint64_t tight_ns;
    uint64_t idle_at_tick; /* objects that the tick idle_tick saw in heads */
    uint32_t idle_tick;
};

/* How the pool's depot is used: see enum opool__tight. Unless LOOSE slow paths hand in what their head has, and use it
   no more. */
static inline uint32_t *opool__cache_tight(const struct opool__cache *cache)
{
    return &cache->depot->store.shared_tight;
}

/* Take the lowest free number. Without one left, or without memory, the pool works without caches. */
void opool__cache_open(struct opool__cache *cache, struct opool__depot *depot);

/* Offset of the pool's head in an array of heads: opool_front.offset. */
static inline uint32_t opool__cache_offset(const struct opool__cache *cache)
{
    return opool__load_relaxed(&cache->shared_number) * (uint32_t)sizeof(struct opool_head);
}

/* The calling thread's idle object, from its cache or through it from the depot's magazines; NULL: none there. */
void *opool__cache_get(struct opool__cache *cache);

/* Put into the calling thread's cache; false: it has none, or no magazine can be had: nothing happened. */
bool opool__cache_put(struct opool__cache *cache, void *object);

/* Was this object the last that the calling thread put? For the check of slow paths. */
bool opool__cache_on_top(struct opool__cache *cache, const void *object);

/* As many as one step gives, at most n; 0: the caller goes the single way. Objects come newest first. */
size_t opool__cache_get_run(struct opool__cache *cache, void **objects, size_t n);
size_t opool__cache_put_run(struct opool__cache *cache, void *const *objects, size_t n);

/* The calling thread ends: its heads go to the depots, its record is free. */
void opool__cache_leave(struct opool__thread *thread);

/* The calling thread's heads of all pools go to the depots. */
void opool__cache_flush(void);

/* In the child of a fork: take over what other threads' heads hold, as far as they were not locked. */
void opool__cache_adopt(void);

/* Is any head of any thread in use? */
bool opool__cache_any_in_use(void);

struct opool__cache_figures {
    uint64_t idle, puts, heads, stolen, steal_timeouts, abandoned, tightened;
};
struct opool__cache_figures opool__cache_read(struct opool__cache *cache);

/* What the heads held when tick `tick` looked. Under the reclaim lock. */
static inline uint64_t opool__cache_idle_at(const struct opool__cache *cache, uint32_t tick)
{
    return cache->idle_tick == tick ? cache->idle_at_tick : 0;
}

/* Is the calling thread inside an inlined callback, of whichever pool? Looks at all its heads: for rare calls. */
bool opool__cache_calling(void);

/* ---- for reclaim.c: under the head's lock, by whoever may touch the magazines ---- */

/* Every operation of the owner misses until its next slow path. */
void opool__head_arm(struct opool_head *head);

/* Objects in it; of a head that its owner works on, those of some moment. */
uint64_t opool__head_objects(const struct opool_head *head);

/* Give the objects to the depot's shards, leave the head empty, armed and not in use. Under opool__threads_lock too.
   Returns the objects given. */
uint64_t opool__head_give_up(struct opool__thread *thread, uint32_t number);

/* A tick found that the owner made no operation since the last one: the same, but the objects go to the victims. */
uint64_t opool__head_retire(struct opool__thread *thread, uint32_t number, uint32_t tick);

/* A tick finds the head in use: what its owner did not need since the last one goes to the victims. `running`: the
   owner may be inside its section: what stands below the floor is taken, the head is armed, and its owner's first
   operation finds the floor at the top. Else (without barriers) all of it is quiet. Returns the objects taken. */
uint64_t opool__head_age(struct opool__thread *thread, uint32_t number, uint32_t tick, bool running);

/* The cache that has this number; NULL: none. Under opool__threads_lock. */
struct opool__cache *opool__cache_of(uint32_t number);

/* The number can be used by another pool. Under opool__threads_lock, after all heads were emptied. */
void opool__cache_free_number(struct opool__cache *cache);

#endif
