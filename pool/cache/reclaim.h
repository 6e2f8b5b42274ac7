/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CACHE_RECLAIM_H
#define OPOOL_CACHE_RECLAIM_H

#include "cache/cache.h"

/*
 * Close the cache: no head of it is taken into use any more, and what the heads hold goes to the depot. `quiet`: the
 * caller promises that no other thread is inside a call on the pool, and orders itself behind the last one.
 *
 * True: all heads are empty, and the number is free again. False: some thread is inside its section and stays there
 * (the wait is 10 ms in all), or no barrier can be had; call again later, as often as needed, from any thread.
 */
bool opool__reclaim_close(struct opool__cache *cache, bool quiet);

/* For fork: the lock that makes reclaimers one at a time. */
extern uint32_t opool__reclaim_lock;

#endif
