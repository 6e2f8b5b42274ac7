/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "api/pool.h"
#include "check/settings.h"
#include "os/report.h"

static const struct opool__label no_pool = {.name = "NULL", .type = "none", .checks = OPOOL_CHECKS_BASIC};

void opool__check_pool(const struct opool *pool, const char *call, const void *object)
{
    const struct opool__label *label = pool ? &pool->label : &no_pool;
    if (!pool && opool__settings_level(NULL) != OPOOL_CHECKS_OFF)
        opool__fault(label, OPOOL__FAULT_NO_POOL, call, object, NULL);
    if (pool && opool__state_of(pool) == OPOOL__DESTROYED && label->checks != OPOOL_CHECKS_OFF)
        opool__fault(label, OPOOL__FAULT_DESTROYED, call, object, NULL);
}

static _Noreturn void foreign(const struct opool *pool, const char *call, const void *object)
{
    uint32_t index;
    size_t offset;
    for (const struct opool *other = NULL; (other = opool__registry_next(other)) != NULL;)
        if (other != pool && opool__slab_find(&other->slab, object, &index, &offset) != OPOOL__FOREIGN)
            opool__fault(&pool->label, OPOOL__FAULT_OTHER_POOL, call, object,
                         &(struct opool__detail){.name = other->label.name, .type = other->label.type});
    opool__fault(&pool->label, OPOOL__FAULT_FOREIGN, call, object, NULL);
}

static _Noreturn void not_out(const struct opool *pool, const char *call, const void *object, uint8_t state)
{
    if (state == OPOOL__SLOT_IDLE)
        opool__fault(&pool->label, OPOOL__FAULT_PUT_TWICE, call, object, NULL);
    opool__fault(&pool->label, OPOOL__FAULT_PUT_FREE, call, object, NULL);
}

void opool__check_out(struct opool *pool, const char *call, const void *object)
{
    uint32_t index;
    size_t offset;
    if (pool->label.checks == OPOOL_CHECKS_OFF)
        return;
    switch (opool__slab_find(&pool->slab, object, &index, &offset)) {
    case OPOOL__FOREIGN:
        foreign(pool, call, object);
    case OPOOL__INTERIOR:
        opool__fault(&pool->label, OPOOL__FAULT_INTERIOR, call, object, &(struct opool__detail){.offset = offset});
    case OPOOL__UNUSED:
        opool__fault(&pool->label, OPOOL__FAULT_NEVER_USED, call, object, NULL);
    case OPOOL__SLOT:
        break;
    }
    uint8_t state = opool__load_relaxed(opool__slab_shared_state(&pool->slab, index));
    if (state != OPOOL__SLOT_OUT)
        not_out(pool, call, object, state);
}

void opool__check_object(struct opool *pool, const char *call, const void *object)
{
    opool__check_out(pool, call, object);
    if (pool->label.checks != OPOOL_CHECKS_OFF && pool->cached && opool__cache_on_top(&pool->cache, object))
        opool__fault(&pool->label, OPOOL__FAULT_PUT_IN_A_ROW, call, object, NULL);
}
