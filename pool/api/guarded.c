/* SPDX-License-Identifier: MIT */
#include "api/guarded.h"

#include <errno.h>

#include "api/pool.h"
#include "epoch/epoch.h"
#include "os/lock.h"
#include "os/tools.h"

void opool__guarded_join(struct opool *pool, bool region)
{
    /* A region's objects are in the region; what no slot can hold has no reason to work out of line; and a memory tool,
       which sees all objects, would have to be told of these too. */
    if (region || pool->type.size > OPOOL__GUARD_OBJECT_MOST || opool__tools_here() || !opool__guard_slots_start())
        return;
    opool__store_relaxed(&pool->shared_sampled, 1u);
}

/*
 * ---- out of line, or inline ----
 *
 * Whether a thread finds its head through front.offset or not makes no difference to anybody else: inlined and out of
 * line, it works on the head inside `busy` or under the head's lock. So the offset may change at any time, and threads
 * that see it late do as they did before: a few more gets are counted, or not.
 */

static void work_out_of_line(struct opool *pool)
{
    opool__store_relaxed(&pool->front.offset, 0u);
}

/* Not beside the end of the pool, after which it is out of line for ever. */
static void work_inline(struct opool *pool)
{
    if (pool->traced || !pool->cached)
        return;
    opool__lock_take(&opool__registry_lock);
    if (opool__load_relaxed(&pool->shared_state) == OPOOL__OPEN)
        opool__store_relaxed(&pool->front.offset, opool__cache_offset(&pool->cache));
    opool__lock_drop(&opool__registry_lock);
}

void opool__guarded_tick(struct opool *pool)
{
    if (opool__guarded_some(pool) && opool__guard_slots_open())
        work_out_of_line(pool);
}

void opool__guarded_leave(struct opool *pool)
{
    if (!opool__guarded_some(pool))
        return;
    opool__store_relaxed(&pool->shared_sampled, 0u);
    work_inline(pool);
}

static bool may_guard(struct opool *pool)
{
    bool is_inline = opool__load_relaxed(&pool->front.offset) != 0;
    bool open = opool__guard_slots_open() || opool__guard_slots_look_in_time(opool__epoch_now());
    if (open && is_inline)
        work_out_of_line(pool);
    else if (!open && !is_inline)
        work_inline(pool);
    return open;
}

/* ---- the slot that stands for it ---- */

static bool take_permit(struct opool *pool)
{
    return !opool__by_permit(pool) || opool__bounded_permit(&pool->depot.store);
}

static void return_permit(struct opool *pool)
{
    if (opool__by_permit(pool))
        opool__bounded_return(&pool->depot.store);
}

static void *take_slot(struct opool *pool)
{
    void *slot = opool__slab_take(&pool->slab);
    if (!slot || !pool->traced || opool__trace_built(pool, slot))
        return slot;
    opool__slab_give(&pool->slab, slot);
    return NULL;
}

static void give_slot(struct opool *pool, void *slot)
{
    if (pool->traced)
        opool__trace_gone(pool, slot);
    opool__slab_give(&pool->slab, slot);
}

/* ---- get ---- */

static bool build_in(struct opool *pool, void *object)
{
    void *slot = take_slot(pool);
    if (!slot)
        return false;
    opool__tools_taken(object, pool->type.size);
    if (opool__call_init(pool, object) != 0) {
        give_slot(pool, slot);
        return false;
    }
    opool__fresh_learn(pool, object);
    opool__note_built(pool);
    if (pool->traced)
        opool__trace_got(pool, slot);
    opool__guard_slots_got(object, slot, opool__caller());
    return true;
}

/* With a permit. */
static void *build(struct opool *pool)
{
    const struct opool__guard_order order = {.pool = pool,
                                             .label = &pool->label,
                                             .size = pool->type.size,
                                             .align = pool->type.align,
                                             .epoch = opool__epoch_now()};
    void *object = opool__guard_slots_take(&order);
    if (!object || build_in(pool, object))
        return object;
    opool__guard_slots_rest(object, opool__epoch_now());
    return NULL;
}

/* What can not be guarded is got as usual, and counted there if that fails too. */
static void *get_pinned(struct opool *pool)
{
    if (!take_permit(pool))
        return NULL;
    void *object = build(pool);
    if (!object) {
        return_permit(pool);
        return NULL;
    }
    opool__count(&pool->shared_gets);
    opool__count(&pool->shared_guarded);
    return object;
}

void *opool__guarded_get(struct opool *pool)
{
    int error = errno;
    if (!may_guard(pool) || !opool__guard_slots_turn() || !opool__pin(pool))
        return NULL;
    void *object = get_pinned(pool);
    opool__unpin(pool);
    errno = error;
    return object;
}

/* ---- put ---- */

static void *claim(struct opool *pool, const char *call, void *object)
{
    void *slot = opool__guard_slots_claim(pool, &pool->label, call, object, opool__caller());
    if (pool->traced)
        opool__trace_claim(pool, call, slot);
    return slot;
}

/* The counter of why it would not be kept; NULL: it would, if it were any other. */
static uint64_t *refusal(struct opool *pool, void *object, void *slot)
{
    if (pool->type.footprint && !opool__footprint_fits(pool, object, slot))
        return &pool->shared_bloated;
    if (!opool__reset(pool, object))
        return &pool->shared_discarded;
    opool__fresh_verify(pool, object);
    return NULL;
}

/* In this order: once its slot is free the object keeps a closing pool no more. */
static void end(struct opool *pool, void *object, void *slot)
{
    if (pool->type.clear)
        pool->type.clear(object);
    opool__call_fini(pool, object);
    opool__tools_released(object);
    opool__guard_slots_rest(object, opool__epoch_now());
    opool__count(&pool->shared_torn_down);
    give_slot(pool, slot);
    return_permit(pool);
}

static void give_up(struct opool *pool, void *object, void *slot, uint64_t *reason)
{
    if (reason)
        opool__count(reason);
    opool__count(&pool->shared_puts);
    end(pool, object, slot);
    opool__watch_look(pool);
}

void opool__guarded_put(struct opool *pool, void *object)
{
    void *slot = claim(pool, "put", object);
    opool__pin_held(pool);
    give_up(pool, object, slot, refusal(pool, object, slot));
    opool__unpin(pool);
}

void opool__guarded_discard(struct opool *pool, void *object)
{
    void *slot = claim(pool, "discard", object);
    opool__pin_held(pool);
    give_up(pool, object, slot, &pool->shared_discarded);
    opool__unpin(pool);
}
