/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "api/pool.h"
#include "os/report.h"

static const struct opool__label no_pool = {"NULL", "none", OPOOL_CHECKS_BASIC};

void opool__check_pool(const struct opool *pool, const char *call, const void *object)
{
    const struct opool__label *label = pool ? &pool->label : &no_pool;
    if (!pool && opool__checks_default() != OPOOL_CHECKS_OFF)
        opool__fault(label, call, object, "the pool is NULL: create failed, or destroy set it to NULL");
    if (pool && opool__state_of(pool) == OPOOL__DESTROYED && label->checks != OPOOL_CHECKS_OFF)
        opool__fault(label, call, object, "the pool was destroyed");
}

static _Noreturn void foreign(const struct opool *pool, const char *call, const void *object)
{
    uint32_t index;
    size_t offset;
    for (const struct opool *other = NULL; (other = opool__registry_next(other)) != NULL;)
        if (other != pool && opool__slab_find(&other->slab, object, &index, &offset) != OPOOL__FOREIGN)
            opool__fault(&pool->label, call, object, "not an object of this pool: the address is of pool '%s' (%s)",
                         other->label.name, other->label.type);
    opool__fault(&pool->label, call, object, "not an object of any pool");
}

static _Noreturn void not_out(const struct opool *pool, const char *call, const void *object, uint8_t state)
{
    if (state == OPOOL__SLOT_IDLE)
        opool__fault(&pool->label, call, object, "the object is idle already: put twice");
    opool__fault(&pool->label, call, object, "no object is there: its slot is free (put or discarded before)");
}

void opool__check_object(struct opool *pool, const char *call, const void *object)
{
    uint32_t index;
    size_t offset;
    if (pool->label.checks == OPOOL_CHECKS_OFF)
        return;
    switch (opool__slab_find(&pool->slab, object, &index, &offset)) {
    case OPOOL__FOREIGN:
        foreign(pool, call, object);
    case OPOOL__INTERIOR:
        opool__fault(&pool->label, call, object, "a pointer into the middle: %zu bytes past the start of an object",
                     offset);
    case OPOOL__UNUSED:
        opool__fault(&pool->label, call, object, "no object was ever at this address of the pool");
    case OPOOL__SLOT:
        break;
    }
    uint8_t state = opool__load_relaxed(opool__slab_shared_state(&pool->slab, index));
    if (state != OPOOL__SLOT_OUT)
        not_out(pool, call, object, state);
    if (pool->cached && opool__cache_on_top(&pool->cache, object))
        opool__fault(&pool->label, call, object, "put twice in a row");
}
