/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CACHE_RECLAIM_H
#define OPOOL_CACHE_RECLAIM_H

#include "cache/cache.h"

/* Reclaimers are one at a time, for the whole of what they do: a tick takes the lock here. */
void opool__reclaim_begin(void);
bool opool__reclaim_try_begin(void);
void opool__reclaim_end(void);

/* Between begin and end: tick `tick` looks at all heads in use; what their owners did not need since the last tick goes
   to the victims of their pools. Never waits for an owner. Afterwards each cache's idle_at_tick is what its heads hold.
   Returns how many heads are still in use. */
uint64_t opool__reclaim_tick(uint32_t tick);

/* Between begin and end: all heads that can be had at once are emptied into the shards, those of running threads too.
 */
void opool__reclaim_all(void);

/*
 * Close the cache: no head of it is taken into use any more, and what the heads hold goes to the depot. `quiet`: the
 * caller promises that no other thread is inside a call on the pool, and orders itself behind the last one.
 *
 * True: all heads are empty, and the number is free again. False: some thread is inside its section and stays there
 * (the wait is 10 ms in all), or no barrier can be had; call again later, as often as needed, from any thread.
 */
bool opool__reclaim_close(struct opool__cache *cache, bool quiet);

/*
 * All was out in the depot's store: put the cache into its tight mode, where each operation goes to the store, and move
 * what heads and shards hold there, to waiters first. True: from now on the store says the truth. False: some owner
 * hides objects, and stayed inside its section for 10 ms: look again later.
 */
bool opool__reclaim_tighten(struct opool__cache *cache);

/* Leave the tight mode, if nobody waits and enough is free, and one whole epoch, or a second, is over. In a tick
   (between begin and end), and now and then in slow paths. */
void opool__reclaim_loosen_at_tick(struct opool__cache *cache, uint64_t tick);
void opool__reclaim_loosen(struct opool__cache *cache);

/* For fork: the lock that makes reclaimers one at a time. */
extern uint32_t opool__reclaim_lock;

#endif
