/* SPDX-License-Identifier: MIT */
#include "api/pool.h"
#include "cache/reclaim.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/report.h"

/*
 * The end of a pool.
 *
 * destroy: the caller promises that nobody else is inside a call. close: nobody promises anything, and the pool goes
 * when its last object came back. Every slow path that leaves something in a closing pool calls opool__settle
 * afterwards; so does every thread that ends, and every create and destroy. Whoever settles empties the threads' caches
 * (again: a thread may have been inside its section when close looked), tears down what is idle, and the last one to
 * leave frees the pool:
 *
 *     free when: closing, all heads empty, no slot used, no permit to build given, no pin but the settler's own
 *
 * A put that is still on its way holds its object's slot, so the pool can not go under it; after its object became idle
 * it touches the handle only (type-stable memory) and settles whatever pool that is by then, which is harmless. Who
 * gives a slot up, settles, or reads figures, pins the pool.
 */

/* Pools in state CLOSING: mostly none, and then nobody walks the table of pools. */
static uint32_t shared_closing_pools;

static void tear_down_idle(struct opool *pool)
{
    for (void *object; (object = opool__depot_pop(&pool->depot)) != NULL;)
        opool__tear_down(pool, object);
}

static void give_memory_back(struct opool *pool)
{
    opool__depot_fini(&pool->depot);
    opool__trace_end(pool);
    opool__slab_fini(&pool->slab);
    opool__fresh_end(pool);
    opool__guard_slots_forget(pool);
    opool__registry_retire(pool);
}

/* ---- destroy ---- */

static bool refused(const struct opool *pool)
{
    if (!opool__in_callback() && !opool__cache_calling())
        return false;
    opool__report(&pool->label, "destroy: refused: called from inside a callback");
    return true;
}

/* Slots with objects stay mapped, so that a late put reads and writes what is still the object's. */
static void leave_objects_out(struct opool *pool, uint64_t out)
{
    if (pool->label.checks != OPOOL_CHECKS_OFF)
        opool__report(&pool->label, "destroy: %llu %s out; the memory stays mapped, a late put will be reported",
                      (unsigned long long)out, out == 1 ? "object is" : "objects are");
    opool__leaks_of(pool);
    opool__slab_abandon(&pool->slab);
    opool__depot_fini(&pool->depot);
    opool__fresh_end(pool);
    opool__guard_slots_forget(pool);
    opool__registry_retire(pool);
}

/* From here on nobody finds the pool; who found it before, to read its figures, is waited for. */
static void hide(struct opool *pool)
{
    opool__lock_take(&opool__registry_lock);
    opool__store_release(&pool->shared_state, (uint32_t)OPOOL__ENDING);
    opool__lock_drop(&opool__registry_lock);
    for (uint32_t pins; (pins = opool__load_acquire(&pool->shared_pins)) != 0;)
        opool__os.wait(&pool->shared_pins, pins, 0);
}

static void destroy(struct opool *pool)
{
    hide(pool);
    opool__store_release(&pool->front.offset, 0u);
    opool__bounded_close(&pool->depot.store);
    (void)opool__reclaim_close(&pool->cache, true);
    tear_down_idle(pool);
    if (pool->slab.used)
        leave_objects_out(pool, pool->slab.used);
    else
        give_memory_back(pool);
}

void opool_destroy(struct opool **pool)
{
    if (!pool || !*pool)
        return;
    opool__check_pool(*pool, "destroy", NULL);
    if (opool__state_of(*pool) != OPOOL__OPEN || refused(*pool))
        return;
    destroy(*pool);
    *pool = NULL;
    opool__settle_all();
}

void opool__discard_pool(struct opool *pool)
{
    (void)opool__reclaim_close(&pool->cache, true);
    if (pool->slab.shared_extents)
        tear_down_idle(pool);
    give_memory_back(pool);
}

/* ---- close ---- */

/* False: not closing (any more). Pins. */
static bool enter_settling(struct opool *pool)
{
    opool__lock_take(&opool__registry_lock);
    bool closing = opool__load_relaxed(&pool->shared_state) == OPOOL__CLOSING;
    if (closing)
        opool__add_relaxed(&pool->shared_pins, 1u);
    opool__lock_drop(&opool__registry_lock);
    return closing;
}

/* True: this was the last settler of a pool that holds nothing; nobody settles it any more. */
static bool leave_settling(struct opool *pool, bool heads_empty)
{
    opool__lock_take(&opool__registry_lock);
    opool__lock_take(&pool->slab.lock);
    bool empty = heads_empty && pool->slab.used == 0;
    opool__lock_drop(&pool->slab.lock);
    /* In this order: see opool__pin_held. */
    empty = empty && (!opool__by_permit(pool) || !opool__bounded_holds(&pool->depot.store));
    bool last = opool__unpin_locked(pool) && empty;
    if (last) {
        opool__store_release(&pool->shared_state, (uint32_t)OPOOL__DESTROYED);
        opool__sub_relaxed(&shared_closing_pools, 1u);
    }
    opool__lock_drop(&opool__registry_lock);
    return last;
}

void opool__settle(struct opool *pool)
{
    if (!enter_settling(pool))
        return;
    bool heads_empty = opool__reclaim_close(&pool->cache, false);
    tear_down_idle(pool);
    if (leave_settling(pool, heads_empty))
        give_memory_back(pool);
}

void opool__settle_all(void)
{
    if (opool__load_relaxed(&shared_closing_pools) == 0)
        return;
    for (struct opool *pool = NULL; (pool = opool__registry_next(pool)) != NULL;)
        if (opool__state_of(pool) == OPOOL__CLOSING)
            opool__settle(pool);
}

void opool_close(struct opool **pool)
{
    if (!pool || !*pool)
        return;
    struct opool *closing = *pool;
    opool__check_pool(closing, "close", NULL);
    *pool = NULL;
    opool__lock_take(&opool__registry_lock);
    bool open = opool__load_relaxed(&closing->shared_state) == OPOOL__OPEN;
    if (open) {
        opool__store_release(&closing->shared_state, (uint32_t)OPOOL__CLOSING);
        opool__add_relaxed(&shared_closing_pools, 1u);
    }
    opool__lock_drop(&opool__registry_lock);
    if (!open)
        return;
    opool__store_release(&closing->front.offset, 0u);
    opool__bounded_close(&closing->depot.store);
    opool__settle(closing);
}
