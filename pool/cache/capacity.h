/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CACHE_CAPACITY_H
#define OPOOL_CACHE_CAPACITY_H

/* Exact capacity: a get from the locked store that fails only when all objects are out. */

#include "cache/cache.h"

/*
 * `tighten` is asked when caches may hold what the store has not: opool__reclaim_tighten, with whatever keeps the pool
 * around it. timeout_ms: 0: does not wait, -1: no limit. Waits in the order of calls.
 *
 * FULL: all objects were out, at the end of the time; or some could not be had for 10 ms, as their owner was stopped in
 * the middle of an operation, or as their fini took longer.
 */
enum opool__bounded_result opool__capacity_take(struct opool__bounded *store, struct opool__cache *cache,
                                                bool (*tighten)(struct opool__cache *), int timeout_ms, void **object);

#endif
