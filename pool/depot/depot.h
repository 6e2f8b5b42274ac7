/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_DEPOT_DEPOT_H
#define OPOOL_DEPOT_DEPOT_H

/*
 * What all threads share of one pool: stacks of filled and of empty magazines, in shards with one short lock each, paid
 * once a magazine; and the locked store for single objects.
 *
 *     objects of a shard == sum of the counts of its filled magazines
 *     every object in the depot is in state IDLE, every other one that exists is OUT
 *
 *                       give   take   pop    count
 *     give   (owner)    lock   lock   lock   lock     lock: both hold the shard's lock, so they are ordered;
 *     take   (owner)           lock   lock   lock     no pair needs more
 *     pop    (any)                    lock   lock
 *
 * A take that looks at `shared_filled` without the lock may miss a magazine that is given at that moment: it then
 * builds an object more than it had to.
 */

#include "depot/bounded.h"
#include "depot/magazine.h"

enum { OPOOL__SHARDS_MOST = 8 };

struct opool__shard {
    uint32_t lock;
    uint32_t shared_filled; /* filled magazines; peeked without the lock */
    struct opool__magazine *filled, *empty;
    uint32_t empties, empties_low; /* and the least since the last tick */
    /* Figures, under the lock: objects in filled magazines; magazines and objects that went to and came from caches. */
    uint64_t objects, refills, flushes, to_caches, from_caches;
} __attribute__((aligned(64)));

struct opool__depot {
    struct opool__shard shards[OPOOL__SHARDS_MOST];
    struct opool__bounded store;
    const struct opool__slab *slab;
    const struct opool__label *label;
    uint32_t shard_mask;
    uint32_t magazine_capacity;
    uint64_t shared_magazines; /* made for this pool, wherever they are */
};

/* `slab` and `label` outlive the depot. magazine_capacity: 1 to OPOOL__MAGAZINE_MOST. */
void opool__depot_init(struct opool__depot *depot, const struct opool__slab *slab, const struct opool__label *label,
                       uint32_t magazine_capacity, size_t capacity);

/* A magazine with at least one object, from the caller's shard or else any other; NULL: none. `shard` is any number. */
struct opool__magazine *opool__depot_take(struct opool__depot *depot, uint32_t shard);

/* Give a magazine with at least one object; one that is idle already is a fault. Returns an empty magazine if one is at
   hand. */
struct opool__magazine *opool__depot_give(struct opool__depot *depot, uint32_t shard, struct opool__magazine *filled);

/* Add a magazine of objects that come from no cache: prefill. */
void opool__depot_stock(struct opool__depot *depot, struct opool__magazine *filled);

/* An empty magazine; NULL: no memory. */
struct opool__magazine *opool__depot_empty(struct opool__depot *depot, uint32_t shard);
void opool__depot_give_empty(struct opool__depot *depot, uint32_t shard, struct opool__magazine *empty);

/* A single object, for threads without a cache; NULL: nothing is idle here. */
void *opool__depot_pop(struct opool__depot *depot);

/* The same for tear-down: it is dying in the store's eyes, until opool__bounded_bury. */
void *opool__depot_condemn(struct opool__depot *depot);

/* ---- ages: see pool/cache/reclaim.c for who calls when ---- */

/* The oldest n objects of a magazine were unused since the tick `seen`: they leave it, to the victims or the doomed of
   `tick`. By whoever may touch them. `from_cache`: they are counted as given by a thread's cache. */
void opool__depot_retire(struct opool__depot *depot, void *const *objects, uint32_t n, uint32_t seen, uint32_t tick,
                         bool from_cache);

/* Tick `tick` looks at a magazine that is not loaded, whose objects are in a cache or (`idle`) in a shard: what was not
   used since the tick before leaves it. Nothing happens when this tick looked already. */
void opool__depot_age_magazine(struct opool__depot *depot, struct opool__magazine *magazine, uint32_t tick, bool idle);

/* Tick `tick` looks at the shards: what was not used since the tick before goes to the victims, magazines that were not
   needed are freed. */
void opool__depot_age(struct opool__depot *depot, uint32_t tick);

/* All of the shards' objects into the locked store, those that were not used since the last tick as victims. */
void opool__depot_drain(struct opool__depot *depot);

/* Idle objects in magazines and store, and how many of these are victims or doomed.
   Exact when no call is in progress. */
struct opool__depot_idle {
    uint64_t all, victims;
};
struct opool__depot_idle opool__depot_idle(struct opool__depot *depot);

/* Sums over the shards. */
struct opool__flows {
    uint64_t refills, flushes, to_caches, from_caches;
};
struct opool__flows opool__depot_flows(struct opool__depot *depot);

/* Free the empty magazines. All objects must have been popped. */
void opool__depot_fini(struct opool__depot *depot);

/* For fork. */
void opool__depot_lock_all(struct opool__depot *depot);
void opool__depot_unlock_all(struct opool__depot *depot);
void opool__depot_reset_locks(struct opool__depot *depot);

#endif
