/* SPDX-License-Identifier: MIT */
#include "api/pool.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/tools.h"

/* Handles live in a slab of their own, which is never given back: type-stable. */
enum { HANDLES_MOST = 1 << 20, QUARANTINE = 64 };

static struct opool__slab handles;
static bool handles_made;
/* Destroyed handles, oldest first: the longer one is not used again, the longer a late put is told from a foreign
   pointer. */
static struct opool *quarantine[QUARANTINE];
static unsigned quarantine_at;
uint32_t opool__registry_lock;

static void *take_handle_locked(void)
{
    if (!handles_made) {
        int r = opool__slab_init(&handles, sizeof(struct opool), _Alignof(struct opool), HANDLES_MOST, NULL);
        handles_made = r == 0;
    }
    return handles_made ? opool__slab_take(&handles) : NULL;
}

struct opool *opool__registry_claim(void)
{
    opool__lock_take(&opool__registry_lock);
    struct opool *pool = take_handle_locked();
    opool__lock_drop(&opool__registry_lock);
    if (pool)
        pool->index = opool__slab_index(&handles, pool);
    return pool;
}

void opool__registry_publish(struct opool *pool)
{
    opool__lock_take(&opool__registry_lock);
    opool__store_release(&pool->shared_state, (uint32_t)OPOOL__OPEN);
    opool__lock_drop(&opool__registry_lock);
}

void opool__registry_retire(struct opool *pool)
{
    opool__lock_take(&opool__registry_lock);
    opool__store_release(&pool->shared_state, (uint32_t)OPOOL__DESTROYED);
    opool__tools_released(pool); /* whoever gives it up did nothing with it */
    struct opool *oldest = quarantine[quarantine_at];
    quarantine[quarantine_at] = pool;
    quarantine_at = (quarantine_at + 1) % QUARANTINE;
    if (oldest)
        opool__slab_give(&handles, oldest);
    opool__lock_drop(&opool__registry_lock);
}

static struct opool *next_from_locked(const struct opool *previous, uint32_t last_state)
{
    uint32_t end = handles_made ? opool__slab_end(&handles) : 0;
    for (uint32_t index = previous ? previous->index + 1 : 0; index < end; index++) {
        struct opool *pool = opool__slab_slot(&handles, index);
        uint32_t state = opool__load_relaxed(&pool->shared_state);
        if (state >= OPOOL__OPEN && state <= last_state)
            return pool;
    }
    return NULL;
}

static struct opool *next_locked(const struct opool *previous)
{
    return next_from_locked(previous, OPOOL__CLOSING);
}

struct opool *opool__registry_next_of_all(const struct opool *previous)
{
    return next_from_locked(previous, OPOOL__ENDING);
}

struct opool *opool__registry_next(const struct opool *previous)
{
    opool__lock_take(&opool__registry_lock);
    struct opool *pool = next_locked(previous);
    opool__lock_drop(&opool__registry_lock);
    return pool;
}

struct opool *opool__registry_walk(struct opool *previous)
{
    opool__lock_take(&opool__registry_lock);
    struct opool *pool = next_locked(previous);
    if (pool)
        opool__add_relaxed(&pool->shared_pins, 1u);
    bool ending =
        previous && opool__unpin_locked(previous) && opool__load_relaxed(&previous->shared_state) == OPOOL__ENDING;
    opool__lock_drop(&opool__registry_lock);
    if (ending)
        opool__os.wake(&previous->shared_pins, 1);
    return pool;
}

void opool__registry_lock_handles(void)
{
    opool__lock_take(&opool__registry_lock);
    opool__lock_take(&handles.lock);
}

void opool__registry_unlock_handles(void)
{
    opool__lock_drop(&handles.lock);
    opool__lock_drop(&opool__registry_lock);
}

void opool__registry_reset_locks(void)
{
    opool__lock_reset(&handles.lock);
    opool__lock_reset(&opool__registry_lock);
}
