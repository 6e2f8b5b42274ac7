/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/pool.h"
#include "opool/pool.h"

/* The pool's first extent, when that holds all it can ever have: others are added only to pools without a limit, and
   where address space is short. */
static int slots_of(const struct opool *pool, struct opool_slots *out)
{
    const struct opool__slab *slab = &pool->slab;
    const uint64_t slots = (uint64_t)slab->extents[0].slabs * slab->layout.slots;
    if (!pool->capacity || slots < pool->capacity)
        return -ENOTSUP;
    *out = (struct opool_slots){.base = opool__slab_base(slab), .stride = slab->layout.stride, .slots = (size_t)slots};
    return 0;
}

int opool_slots_of(struct opool *pool, struct opool_slots *out)
{
    if (!out)
        return -EINVAL;
    *out = (struct opool_slots){.base = NULL};
    if (!pool || !opool__pin(pool))
        return -EINVAL;
    int r = slots_of(pool, out);
    if (r == 0)
        opool__guarded_leave(pool);
    opool__unpin(pool);
    return r;
}
