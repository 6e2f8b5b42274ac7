/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/pool.h"

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

/* From the locked store, waiting if need be; `full` is the error when all are out. */
static void *get_stored(struct opool *pool, int timeout_ms, int full)
{
    void *object;
    switch (opool__bounded_take(&pool->depot.store, timeout_ms, &object)) {
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
    case OPOOL__BOUNDED_FULL:
        opool__count(&pool->shared_capacity_fails);
        return fail(full);
    case OPOOL__BOUNDED_CLOSED:
        break;
    }
    return fail(ESHUTDOWN);
}

/* What the thread's cache and the depot have; else build exactly one. */
static void *get_cached(struct opool *pool)
{
    void *object = opool__cache_get(&pool->cache);
    if (object)
        return object;
    /* Nothing of ours keeps the pool from being closed and freed meanwhile, but a pin. */
    if (!opool__pin(pool))
        return fail(ESHUTDOWN);
    if ((object = opool__depot_pop(&pool->depot)) != NULL || (object = opool__build(pool)) != NULL)
        opool__count(&pool->shared_gets);
    unpin(pool);
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
    return pool->cached ? get_cached(pool) : get_stored(pool, timeout_ms, full);
}

void *opool__get_slow(struct opool *pool)
{
    return get_slow(pool, 0, EAGAIN);
}

void *opool_get(struct opool *pool)
{
    return opool__get_inline(pool);
}

void *opool_get_wait(struct opool *pool, int timeout_ms)
{
    if (pool && pool->cached)
        return opool__get_inline(pool);
    return get_slow(pool, timeout_ms < -1 ? 0 : timeout_ms, ETIMEDOUT);
}

size_t opool_get_batch(struct opool *pool, void *objects[], size_t n)
{
    size_t got = 0;
    while (got < n) {
        size_t run = pool && pool->cached ? opool__cache_get_run(&pool->cache, objects + got, n - got) : 0;
        got += run;
        if (got == n)
            break;
        void *object = opool__get_slow(pool);
        if (!object)
            break;
        objects[got++] = object;
    }
    return got;
}
