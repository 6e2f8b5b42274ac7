/* SPDX-License-Identifier: MIT */
#include "api/pool.h"
#include "os/lock.h"
#include "os/os.h"

/* A pin keeps a pool from being freed: see the head of destroy.c. */

bool opool__pin(struct opool *pool)
{
    opool__lock_take(&opool__registry_lock);
    uint32_t state = opool__load_relaxed(&pool->shared_state);
    bool stays = state == OPOOL__OPEN || state == OPOOL__CLOSING;
    if (stays)
        opool__add_relaxed(&pool->shared_pins, 1u);
    opool__lock_drop(&opool__registry_lock);
    return stays;
}

void opool__pin_held(struct opool *pool)
{
    /* Relaxed: who finds the object's slot free, under the slab's lock, sees the pin that came before it. */
    opool__add_relaxed(&pool->shared_pins, 1u);
}

bool opool__unpin_locked(struct opool *pool)
{
    /* In the child of a fork inside a callback the pin is gone already: fork.c. */
    if (opool__load_relaxed(&pool->shared_pins) == 0)
        return true;
    /* release: destroy waits for 0, and then gives up what the pin's holder read. */
    return opool__sub_release(&pool->shared_pins, 1u) == 1;
}

void opool__unpin(struct opool *pool)
{
    opool__lock_take(&opool__registry_lock);
    uint32_t state = opool__load_relaxed(&pool->shared_state);
    bool last = opool__unpin_locked(pool);
    opool__lock_drop(&opool__registry_lock);
    if (last && state == OPOOL__ENDING)
        opool__os.wake(&pool->shared_pins, 1);
    if (last && state == OPOOL__CLOSING)
        opool__settle(pool);
}
