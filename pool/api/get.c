/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>

#include "api/pool.h"
#include "cache/capacity.h"
#include "cache/reclaim.h"
#include "check/settings.h"
#include "os/tools.h"

static void *fail(int error)
{
    errno = error;
    return NULL;
}

/* Settling runs the user's fini, and a get tells its error by errno. */
static void unpin(struct opool *pool)
{
    int error = errno;
    opool__unpin(pool);
    errno = error;
}

/* ---- pools that build by permit ---- */

/* What opool__capacity_take does to a pool's caches. False: some owner hides objects, or the pool ended meanwhile. */
static bool tighten(struct opool__cache *cache)
{
    struct opool *pool = (struct opool *)(void *)((char *)cache - offsetof(struct opool, cache));
    if (!opool__pin(pool))
        return false;
    bool all = opool__reclaim_tighten(cache);
    unpin(pool);
    return all;
}

/* From the locked store, waiting if need be; `full` is the error when all are out. */
static void *get_stored(struct opool *pool, int timeout_ms, int full)
{
    void *object;
    switch (opool__capacity_take(&pool->depot.store, &pool->cache, tighten, timeout_ms, &object)) {
    case OPOOL__BOUNDED_OBJECT:
        opool__count(&pool->shared_gets);
        return object;
    case OPOOL__BOUNDED_PERMIT: /* which keeps a closing pool */
        if ((object = opool__build(pool)) != NULL) {
            opool__count(&pool->shared_gets);
            return object;
        }
        opool__pin_held(pool);
        opool__bounded_return(&pool->depot.store);
        unpin(pool);
        return NULL;
    case OPOOL__BOUNDED_CLOSED:
        return fail(ESHUTDOWN);
    default:
        opool__count(&pool->shared_capacity_fails);
        return fail(full);
    }
}

/* ---- the others ---- */

/* Behind the thread's cache: what other threads left in the depot; else build exactly one. */
static void *get_unlimited(struct opool *pool)
{
    /* Nothing of ours keeps the pool from being closed and freed meanwhile, but a pin. */
    if (!opool__pin(pool))
        return fail(ESHUTDOWN);
    void *object = opool__depot_pop(&pool->depot);
    if (object || (object = opool__build(pool)) != NULL)
        opool__count(&pool->shared_gets);
    unpin(pool);
    return object;
}

/* OPOOL_FAIL: is this get the one in so many that fails? */
static bool fails(const struct opool *pool)
{
    static uint64_t shared_gets;
    uint32_t one_in = pool->label.checks == OPOOL_CHECKS_FULL ? opool__settings_fail() : 0;
    return one_in && opool__add_relaxed(&shared_gets, 1u) % one_in == one_in - 1;
}

static void *get_unguarded(struct opool *pool, int timeout_ms, int full)
{
    void *object = pool->cached ? opool__cache_get(&pool->cache) : NULL;
    if (!object)
        object = opool__by_permit(pool) ? get_stored(pool, timeout_ms, full) : get_unlimited(pool);
    if (object && pool->traced)
        opool__trace_got(pool, object);
    return object;
}

static void *get_slow(struct opool *pool, int timeout_ms, int full)
{
    if (!pool)
        return fail(EINVAL);
    if (opool__state_of(pool) != OPOOL__OPEN) {
        opool__check_pool(pool, "get", NULL);
        return fail(ESHUTDOWN);
    }
    if (pool->traced && fails(pool)) {
        opool__count(&pool->shared_memory_fails);
        return fail(ENOMEM);
    }
    void *object = opool__guarded_some(pool) ? opool__guarded_get(pool) : NULL;
    if (!object)
        object = get_unguarded(pool, timeout_ms, full);
    if (object)
        opool__look_around(pool);
    return object;
}

/* What the thread's cache has at hand; nothing while each get is counted, for guard slots. */
static size_t get_run(struct opool *pool, void **objects, size_t n)
{
    bool counted = pool && opool__guarded_some(pool) && opool__guard_slots_open();
    size_t run = pool && pool->cached && !counted ? opool__cache_get_run(&pool->cache, objects, n) : 0;
    for (size_t i = 0; i < run && pool->traced; i++)
        opool__trace_got(pool, objects[i]);
    return run;
}

void *opool__get_slow(struct opool *pool)
{
    struct opool__call before = opool__call_begin(pool, "get", NULL, __builtin_return_address(0));
    void *object = get_slow(pool, 0, EAGAIN);
    opool__call_end(before);
    return object;
}

void *opool_get(struct opool *pool)
{
    return opool__get_inline(pool);
}

void *opool_get_wait(struct opool *pool, int timeout_ms)
{
    void *object;
    struct opool__call before = opool__call_begin(pool, "get", NULL, __builtin_return_address(0));
    if (get_run(pool, &object, 1) == 0)
        object = get_slow(pool, timeout_ms < -1 ? 0 : timeout_ms, ETIMEDOUT);
    opool__call_end(before);
    return object;
}

size_t opool_get_batch(struct opool *pool, void *objects[], size_t n)
{
    size_t got = 0;
    struct opool__call before = opool__call_begin(pool, "get", NULL, __builtin_return_address(0));
    while (got < n) {
        size_t run = get_run(pool, objects + got, n - got);
        got += run;
        if (got == n)
            break;
        void *object = get_slow(pool, 0, EAGAIN);
        if (!object)
            break;
        objects[got++] = object;
    }
    opool__call_end(before);
    opool__tools_wrote(objects, got * sizeof *objects);
    return got;
}
