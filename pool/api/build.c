/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/pool.h"
#include "os/lock.h"
#include "os/report.h"

/* Callbacks that run inside each other, out of line, on this thread. */
static __thread unsigned callbacks __attribute__((tls_model(OPOOL_TLS_MODEL)));

bool opool__in_callback(void)
{
    return callbacks != 0;
}

void opool__callback_begin(void)
{
    callbacks++;
}

void opool__callback_end(void)
{
    callbacks--;
}

bool opool__refused_in_callback(const char *call)
{
    if (!opool__in_callback() && !opool__cache_calling())
        return false;
    if (opool__checks_default() != OPOOL_CHECKS_OFF)
        opool__say("%s: refused: called from inside a callback", call);
    return true;
}

static int call_init(struct opool *pool, void *object)
{
    if (!pool->type.init)
        return 0;
    callbacks++;
    int r = pool->type.init(object, pool->arg);
    callbacks--;
    return r < 0 ? -r : r;
}

static void call_fini(struct opool *pool, void *object)
{
    if (!pool->type.fini)
        return;
    callbacks++;
    pool->type.fini(object, pool->arg);
    callbacks--;
}

struct opool_footprint opool__footprint(struct opool *pool, const void *object)
{
    callbacks++;
    struct opool_footprint footprint = pool->type.footprint(object, pool->arg);
    callbacks--;
    return footprint;
}

bool opool__reset(struct opool *pool, void *object)
{
    bool keep = true;
    if (pool->type.reset) {
        callbacks++;
        keep = pool->type.reset(object, pool->arg);
        callbacks--;
    }
    if (pool->type.clear)
        pool->type.clear(object);
    return keep;
}

/*
 * live_peak counts what is out, but a thread's cache knows only itself: summing up all of them at each build would
 * make a burst of builds quadratic. Nothing can be above the peak before more objects exist than that, and a peak
 * that is looked at each 1/64 higher is right to 2 %.
 */
static void note_peak(struct opool *pool)
{
    uint64_t exist = opool__load_relaxed(&pool->shared_built) - opool__load_relaxed(&pool->shared_torn_down);
    uint64_t peak = opool__load_relaxed(&pool->shared_live_peak);
    if (exist <= peak + peak / 64)
        return;
    uint64_t idle = opool__depot_idle(&pool->depot).all + (pool->cached ? opool__cache_read(&pool->cache).idle : 0);
    uint64_t live = exist > idle ? exist - idle : 0;
    while (live > peak && !opool__cas_relaxed(&pool->shared_live_peak, &peak, live))
        continue;
}

static void *refuse(uint64_t *counter, int error)
{
    opool__count(counter);
    errno = error;
    return NULL;
}

void *opool__build(struct opool *pool)
{
    void *slot = opool__slab_take(&pool->slab);
    if (!slot)
        return refuse(&pool->shared_memory_fails, ENOMEM);
    if (pool->auditor)
        pool->auditor->built(slot);
    int r = call_init(pool, slot);
    if (r != 0) {
        if (pool->auditor)
            pool->auditor->gone(slot);
        opool__slab_give(&pool->slab, slot);
        return refuse(&pool->shared_init_fails, r);
    }
    opool__count(&pool->shared_built);
    if (pool->type.footprint) {
        opool__lock_take(&pool->fit_lock);
        opool__fit_built(&pool->fit);
        opool__lock_drop(&pool->fit_lock);
    }
    note_peak(pool);
    return slot;
}

void opool__tear_down(struct opool *pool, void *object)
{
    if (pool->type.clear)
        pool->type.clear(object);
    call_fini(pool, object);
    if (pool->auditor)
        pool->auditor->gone(object);
    opool__count(&pool->shared_torn_down);
    opool__slab_give(&pool->slab, object);
    if (opool__by_permit(pool))
        opool__bounded_return(&pool->depot.store);
}
