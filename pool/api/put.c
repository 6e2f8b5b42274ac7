/* SPDX-License-Identifier: MIT */
#include "api/pool.h"
#include "os/report.h"

/* Give up an object that is out, for `reason`; it counts as put. */
static void drop(struct opool *pool, void *object, uint64_t *reason)
{
    /* Once its slot is free the object keeps a closing pool no more, and giving it up goes on after that. */
    opool__pin_held(pool);
    opool__count(reason);
    opool__count(&pool->shared_puts);
    opool__tear_down(pool, object);
    opool__watch_look(pool);
    opool__unpin(pool);
}

/* Everything that a put does before the object is idle. False: the object was given up. */
static bool prepare(struct opool *pool, void *object)
{
    opool__check_pool(pool, "put", object);
    if (!pool)
        return false;
    if (opool__guard_slots_has(object)) {
        opool__guarded_put(pool, object);
        return false;
    }
    opool__check_object(pool, "put", object);
    if (pool->traced)
        opool__trace_claim(pool, "put", object);
    if (pool->type.footprint && !opool__footprint_fits(pool, object, object)) {
        drop(pool, object, &pool->shared_bloated);
        return false;
    }
    if (!opool__reset(pool, object)) {
        drop(pool, object, &pool->shared_discarded);
        return false;
    }
    opool__fresh_verify(pool, object);
    if (pool->traced)
        opool__trace_idle(pool, object);
    return true;
}

/* An object that is prepared becomes anybody's. */
static void give(struct opool *pool, void *object)
{
    if (!pool->cached || !opool__cache_put(&pool->cache, object)) {
        opool__count(&pool->shared_puts);
        opool__bounded_give(&pool->depot.store, object);
    }
    /* The object may have become idle behind the back of a close that had looked here before: it is torn down now.
       Seen, because that look and this put held one lock, and close wrote CLOSING before. */
    if (opool__state_of(pool) == OPOOL__CLOSING)
        opool__settle(pool);
    else
        opool__look_around(pool);
}

void opool__put_slow(struct opool *pool, void *object)
{
    opool__check_pool(pool, "put", object);
    if (pool->traced) /* of a type without anything to do at put, whose inlined put always misses */
        opool_put(pool, object);
    else
        give(pool, object);
}

void opool__put_refused(struct opool *pool, struct opool_head *begun, void *object)
{
    opool__decrement_owned(&begun->calling);
    opool__check_object(pool, "put", object);
    drop(pool, object, &pool->shared_discarded);
}

/* The way of the inlined put, for those who can not inline, with the checks of this one; two puts in a row are found
   at the head, where the inlined put finds them. False: nothing was done. So it is of what is no slot of the pool, as
   an object in a guard slot, and where no head has room: of pools that are looked at, have no caches, or were
   destroyed. */
static bool put_by_head(struct opool *pool, void *object)
{
    struct opool_head *head;
    if (!pool || pool->type.footprint || (head = opool__put_begin(pool, object)) == NULL)
        return false;
    opool__check_out(pool, "put", object);
    if (OPOOL__LIKELY(opool__reset(pool, object)))
        opool__put_end(pool, head, object);
    else
        opool__put_refused(pool, head, object);
    return true;
}

void opool_put(struct opool *pool, void *object)
{
    if (!object || put_by_head(pool, object))
        return;
    struct opool__call before = opool__call_begin(pool, "put", object, __builtin_return_address(0));
    if (prepare(pool, object))
        give(pool, object);
    opool__call_end(before);
}

static void discard(struct opool *pool, void *object)
{
    opool__check_object(pool, "discard", object);
    if (pool->traced)
        opool__trace_claim(pool, "discard", object);
    drop(pool, object, &pool->shared_discarded);
}

void opool_discard(struct opool *pool, void *object)
{
    if (!object)
        return;
    opool__check_pool(pool, "discard", object);
    if (!pool)
        return;
    struct opool__call before = opool__call_begin(pool, "discard", object, __builtin_return_address(0));
    if (opool__guard_slots_has(object))
        opool__guarded_discard(pool, object);
    else
        discard(pool, object);
    opool__call_end(before);
}

/* ---- batches ---- */

enum { RUN = 64 };

static void put_run(struct opool *pool, void *const *objects, size_t n)
{
    for (size_t done = 0; done < n;) {
        size_t run = pool->cached ? opool__cache_put_run(&pool->cache, objects + done, n - done) : 0;
        done += run;
        if (run == 0)
            give(pool, objects[done++]);
    }
}

void opool_put_batch(struct opool *pool, void *const objects[], size_t n)
{
    void *ready[RUN];
    size_t count = 0;
    struct opool__call before = opool__call_begin(pool, "put", n > 0 ? objects[0] : NULL, __builtin_return_address(0));
    for (size_t i = 0; i < n; i++) {
        void *object = objects[i];
        if (!object)
            continue;
        if (count && ready[count - 1] == object && pool && pool->label.checks != OPOOL_CHECKS_OFF)
            opool__fault(&pool->label, OPOOL__FAULT_PUT_IN_A_ROW, "put", object, NULL);
        if (!prepare(pool, object))
            continue;
        ready[count++] = object;
        if (count == RUN) {
            put_run(pool, ready, count);
            count = 0;
        }
    }
    if (count)
        put_run(pool, ready, count);
    opool__call_end(before);
}
