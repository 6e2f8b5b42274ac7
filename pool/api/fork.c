/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "api/pool.h"
#include "cache/reclaim.h"
#include "check/settings.h"
#include "depot/magazine.h"
#include "os/asks.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"

/*
 * fork in a threaded program. prepare takes every lock but those of heads, in the order of os/lock.h, so that depots,
 * slabs and lists are whole in the child. Heads of other threads are not waited for: a thread that was inside its
 * section left a head that `top` describes (see adopt_head in cache/cache.c); one that held its head's lock had started
 * to change magazines, and what that head holds is out for ever, and counted.
 *
 * No allocation anywhere: another thread may have held malloc's locks.
 */

/* Those too that another thread was about to destroy: in the child they stay as they are, but the caches of their
   numbers are taken over like all others. */
static void each_pool(void (*act)(struct opool *))
{
    /* The registry lock is held, or nobody else is left. */
    for (struct opool *pool = NULL; (pool = opool__registry_next_of_all(pool)) != NULL;)
        act(pool);
}

static void lock_pool(struct opool *pool)
{
    opool__depot_lock_all(&pool->depot);
    opool__lock_take(&pool->slab.lock);
    opool__footprint_lock(pool);
    opool__lock_take(&pool->fresh.lock);
    opool__lock_take(&pool->life.lock);
    opool__lock_take(&pool->watches.lock);
}

static void unlock_pool(struct opool *pool)
{
    opool__lock_drop(&pool->watches.lock);
    opool__lock_drop(&pool->life.lock);
    opool__lock_drop(&pool->fresh.lock);
    opool__footprint_unlock(pool);
    opool__lock_drop(&pool->slab.lock);
    opool__depot_unlock_all(&pool->depot);
}

static void reset_pool(struct opool *pool)
{
    opool__footprint_reset_locks(pool);
    opool__lock_reset(&pool->fresh.lock);
    opool__lock_reset(&pool->life.lock);
    opool__lock_reset(&pool->slab.lock);
    opool__depot_reset_locks(&pool->depot);
    opool__bounded_adopt(&pool->depot.store, pool->slab.used);
    opool__store_relaxed(&pool->shared_pins, 0u);
    opool__watch_forked(&pool->watches);
}

static void prepare(void)
{
    opool__loader_fork_prepare();
    opool__ticker_lock();
    opool__lock_take(&opool__reclaim_lock);
    opool__registry_lock_handles();
    opool__lock_take(&opool__threads_lock);
    each_pool(lock_pool);
    opool__magazine_lock_all();
    opool__guard_slots_lock();
    opool__settings_lock();
    opool__log_lock();
}

static void parent(void)
{
    opool__log_unlock();
    opool__settings_unlock();
    opool__guard_slots_unlock();
    opool__magazine_unlock_all();
    each_pool(unlock_pool);
    opool__lock_drop(&opool__threads_lock);
    opool__registry_unlock_handles();
    opool__lock_drop(&opool__reclaim_lock);
    opool__ticker_unlock();
    opool__loader_fork_parent();
}

/*
 * A thread that is no more may have had a slot or an object in its hands and not counted it yet: these are out, as what
 * threads had in their hands is. What is not in the depot came out of it into a cache, or by a get without one, and
 * went back likewise:
 *
 *     used - idle in the depot == to caches - from caches + gets without a cache - puts without one
 *
 * The forking thread itself, inside a callback, will count what it is about: then nothing is corrected.
 */
static void correct_counts(struct opool *pool)
{
    struct opool__flows flows = opool__depot_flows(&pool->depot);
    uint64_t outside = pool->slab.used - opool__depot_idle(&pool->depot).all;
    uint64_t puts = opool__load_relaxed(&pool->shared_puts);
    opool__store_relaxed(&pool->shared_gets, outside + flows.from_caches - flows.to_caches + puts);
    opool__store_relaxed(&pool->shared_built, opool__load_relaxed(&pool->shared_torn_down) + pool->slab.used);
}

static void child(void)
{
    opool__loader_fork_child();
    opool__leaks_forked();
    opool__log_reset_lock();
    opool__settings_reset_lock();
    opool__guard_slots_reset();
    opool__magazine_reset_locks();
    each_pool(reset_pool);
    opool__lock_reset(&opool__threads_lock);
    opool__registry_reset_locks();
    opool__lock_reset(&opool__reclaim_lock);
    opool__cache_adopt();
    if (!opool__in_callback())
        each_pool(correct_counts);
    opool__ticker_forget();
}

/* Under the registry lock: twice registered, prepare would wait for itself. */
int opool__fork_init(void)
{
    static bool registered;
    int r = registered ? 0 : opool__os.at_fork(prepare, parent, child);
    registered = r == 0;
    return r;
}

#ifndef OPOOL_EXPLORE
/* Before the first create, during which another thread may fork. Refused: the first create asks again. In a static
   program constructors of others may come first, and start threads that create pools. */
static __attribute__((constructor)) void start(void)
{
    opool__lock_take(&opool__registry_lock);
    (void)opool__fork_init();
    opool__lock_drop(&opool__registry_lock);
}
#endif
