/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/pool.h"
#include "cache/reclaim.h"
#include "os/os.h"

/* A thread that waits looks again so often, while some owner may hide objects in its cache. */
enum { LOOK_AGAIN_NS = 10000000 };

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

/* Take back what threads cache, if need be, so that the store says whether all are out; the pool may be closed
   meanwhile. True: it does. */
static bool tighten(struct opool *pool)
{
    if (!pool->cached)
        return true;
    if (opool__load_acquire(&pool->cache.shared_tight) == OPOOL__TIGHT)
        return true;
    if (!opool__pin(pool))
        return true; /* closed: who waits is told */
    bool all = opool__reclaim_tighten(&pool->cache);
    unpin(pool);
    return all;
}

/* With the waiter in the queue. */
static enum opool__bounded_result await(struct opool *pool, struct opool__waiter *waiter, int timeout_ms, void **object)
{
    uint64_t start = opool__os.now(), deadline = timeout_ms < 0 ? 0 : start + (uint64_t)timeout_ms * 1000000u;
    for (;;) {
        /* Before each sleep: an owner that hides objects may have stopped for good. */
        uint64_t until = tighten(pool) ? 0 : opool__os.now() + LOOK_AGAIN_NS;
        if (deadline && (!until || deadline < until))
            until = deadline;
        enum opool__bounded_result result = opool__bounded_await(waiter, until, object);
        if (result != OPOOL__BOUNDED_FULL)
            return result;
        if (deadline && opool__os.now() >= deadline)
            return opool__bounded_leave(&pool->depot.store, waiter, object);
    }
}

static enum opool__bounded_result take(struct opool *pool, int timeout_ms, void **object)
{
    struct opool__bounded *store = &pool->depot.store;
    struct opool__waiter waiter;
    if (timeout_ms == 0) {
        enum opool__bounded_result result = opool__bounded_take(store, object);
        if (result != OPOOL__BOUNDED_FULL || !pool->cached)
            return result;
        (void)tighten(pool);
        return opool__bounded_take(store, object);
    }
    enum opool__bounded_result result = opool__bounded_queue(store, &waiter, object);
    return result == OPOOL__BOUNDED_FULL ? await(pool, &waiter, timeout_ms, object) : result;
}

/* From the locked store, waiting if need be; `full` is the error when all are out. */
static void *get_stored(struct opool *pool, int timeout_ms, int full)
{
    void *object;
    switch (take(pool, timeout_ms, &object)) {
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

static void tell_auditor(struct opool *pool, void *const *objects, size_t n)
{
    for (size_t i = 0; pool->auditor && i < n; i++)
        pool->auditor->got(pool->audited_as, objects[i]);
}

static void *get_slow(struct opool *pool, int timeout_ms, int full)
{
    if (!pool)
        return fail(EINVAL);
    if (opool__state_of(pool) != OPOOL__OPEN) {
        opool__check_pool(pool, "get", NULL);
        return fail(ESHUTDOWN);
    }
    void *object = pool->cached ? opool__cache_get(&pool->cache) : NULL;
    if (!object)
        object = opool__by_permit(pool) ? get_stored(pool, timeout_ms, full) : get_unlimited(pool);
    if (object) {
        tell_auditor(pool, &object, 1);
        opool__look_around(pool);
    }
    return object;
}

/* What the thread's cache has at hand. */
static size_t get_run(struct opool *pool, void **objects, size_t n)
{
    size_t run = pool && pool->cached ? opool__cache_get_run(&pool->cache, objects, n) : 0;
    if (run)
        tell_auditor(pool, objects, run);
    return run;
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
    void *object;
    if (get_run(pool, &object, 1) == 1)
        return object;
    return get_slow(pool, timeout_ms < -1 ? 0 : timeout_ms, ETIMEDOUT);
}

size_t opool_get_batch(struct opool *pool, void *objects[], size_t n)
{
    size_t got = 0;
    while (got < n) {
        size_t run = get_run(pool, objects + got, n - got);
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
