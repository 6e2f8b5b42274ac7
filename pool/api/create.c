/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/pool.h"
#include "check/settings.h"
#include "os/os.h"
#include "os/report.h"
#include "os/tools.h"

enum {
    MAGAZINE_BYTES = 64 << 10, /* most bytes of objects a magazine holds */
    CAPACITY_SHARE = 16        /* and most of a pool's capacity: one 16th */
};

static void *fail(int error)
{
    errno = error;
    return NULL;
}

/* ---- arguments ---- */

/* A line and -EINVAL. */
static int refuse(const struct opool_type *type, const struct opool_options *options, const char *why)
{
    enum opool_checks checks = options->checks ? options->checks : opool__settings_level(NULL);
    const char *name = options->name ? options->name : type->name ? type->name : "?";
    struct opool__label label = {.name = name, .type = type->type ? type->type : name, .checks = checks};
    if (checks != OPOOL_CHECKS_OFF)
        opool__report(&label, "create: %s", why);
    return -EINVAL;
}

static const char *wrong_type(const struct opool_type *type)
{
    if (!type->shape)
        return "the type states no shape: OPOOL_SHAPE_TRUSTED(\"why its size is fixed\")";
    if (type->size == 0 || type->size > OPOOL_SIZE_MAX)
        return "objects are 1 byte to 16 MiB";
    if (type->align == 0 || (type->align & (type->align - 1)) != 0 || type->align > OPOOL_ALIGN_MAX)
        return "the alignment is no power of two up to 4096";
    return NULL;
}

static const char *wrong_options(const struct opool_options *options, const struct opool_type *type)
{
    if (options->footprint_max && !type->footprint)
        return "footprint_max is for owning types, which have a footprint callback";
    if (options->capacity && options->prefill > options->capacity)
        return "prefill is above the capacity";
    if (options->prefill >= OPOOL__SLOT_NONE)
        return "prefill is above 2147483646 objects";
    if (options->capacity && options->keep > options->capacity)
        return "keep is above the capacity";
    if (options->magazine > OPOOL__MAGAZINE_MOST)
        return "a magazine holds 1 to 128 objects";
    if (options->checks > OPOOL_CHECKS_FULL)
        return "checks is none of enum opool_checks";
    if (!options->region != !options->region_size)
        return "region and region_size go together";
    return NULL;
}

/* Copy a struct of the program's size over ours; members it does not know are zero. False: it knows more than we do,
   and uses it. */
static bool copy_sized(void *to, size_t to_size, const void *from, size_t from_size)
{
    memset(to, 0, to_size);
    memcpy(to, from, from_size < to_size ? from_size : to_size);
    for (size_t i = to_size; i < from_size; i++)
        if (((const char *)from)[i])
            return false;
    return true;
}

/* ---- making ---- */

/* Copied: a plug-in with the definition may be gone when a late put is reported. */
static void set_names(struct opool *pool, const struct opool_options *options)
{
    const char *name = options->name ? options->name : pool->type.name ? pool->type.name : "unnamed";
    snprintf(pool->name, sizeof pool->name, "%s", name);
    snprintf(pool->type_name, sizeof pool->type_name, "%s", pool->type.type ? pool->type.type : name);
    pool->label.name = pool->name;
    pool->label.type = pool->type_name;
    pool->label.checks = options->checks ? options->checks : opool__settings_level(pool->name);
#ifdef OPOOL_NO_CHECKS
    pool->label.checks = OPOOL_CHECKS_OFF;
#endif
}

/* Small ones for a small capacity, so that a few threads that cache do not meet it at once. */
static uint32_t magazine_capacity(const struct opool *pool, unsigned wanted)
{
    size_t fits = MAGAZINE_BYTES / pool->type.size;
    size_t most = wanted ? wanted : OPOOL__MAGAZINE_MOST, share = pool->capacity / CAPACITY_SHARE;
    if (!wanted && pool->capacity && share < most)
        most = share ? share : 1;
    return fits == 0 ? 1 : (uint32_t)(fits < most ? fits : most);
}

static int make_slab(struct opool *pool, const struct opool_options *options)
{
    const struct opool_type *type = &pool->type;
    size_t zone = opool__trace_zone(pool, options->region != NULL);
    size_t size = type->size + (type->footprint ? OPOOL__HELD_BYTES : 0) + zone;
    size_t align = opool__tools_guard() && type->align < OPOOL__TOOLS_ALIGN ? OPOOL__TOOLS_ALIGN : type->align;
    if (!options->region) {
        int r = opool__slab_init(&pool->slab, size, align, options->capacity, &pool->front.slots);
        pool->slab.zeroed -= zone; /* a neighbour may be looking at it just then */
        return r;
    }
    int r = opool__slab_init_region(&pool->slab, size, type->align, options->region, options->region_size,
                                    &pool->front.slots);
    if (opool__trace_zone(pool, false) != 0) /* the held bytes are elsewhere, and their place a neighbour's zone */
        pool->slab.zeroed = type->size;
    size_t fits = pool->slab.layout.slots;
    pool->capacity = options->capacity && options->capacity < fits ? options->capacity : fits;
    return r;
}

static void set_front(struct opool *pool)
{
    struct opool_front *front = &pool->front;
    front->arg = pool->arg;
    front->base = (uintptr_t)opool__slab_base(&pool->slab);
    front->rotate = pool->slab.layout.rotate;
    front->inverse = pool->slab.layout.inverse;
    if (pool->label.checks == OPOOL_CHECKS_OFF && !opool__guarded_some(pool)) {
        /* The inlined check passes every pointer but NULL: (pointer - 1) * 1 is below UINTPTR_MAX. */
        pool->slab.shared_bound = NULL;
        front->base = 1;
        front->inverse = 1;
        front->rotate = 0;
        front->slots = UINTPTR_MAX;
    }
    front->offset = pool->traced || opool__guarded_some(pool) ? 0 : opool__cache_offset(&pool->cache);
}

static int make(struct opool *pool, const struct opool_options *options)
{
    pool->arg = options->arg;
    pool->capacity = options->capacity;
    pool->keep = options->keep;
    pool->epoch_ns = (uint64_t)options->epoch_ms * 1000000u;
    set_names(pool, options);
    int r = make_slab(pool, options);
    if (r == -EINVAL)
        return refuse(&pool->type, options,
                      options->region ? "the region holds not even one object and its metadata"
                                      : "a capacity above 2147483646 objects, or than address space holds");
    if (r != 0)
        return r;
    opool__slab_own(&pool->slab, &pool->label, pool->label.checks == OPOOL_CHECKS_OFF ? 0 : opool__os.seed());
    opool__depot_init(&pool->depot, &pool->slab, &pool->label, magazine_capacity(pool, options->magazine),
                      pool->capacity);
    opool__footprint_start(&pool->guard, options->footprint_max);
    r = opool__fresh_start(pool);
    if (r == 0)
        r = opool__trace_start(pool);
    if (r != 0)
        return r;
    if (!options->region && pool->label.checks != OPOOL_CHECKS_FULL)
        opool__cache_open(&pool->cache, &pool->depot);
    pool->cached = pool->cache.shared_number != 0;
    opool__audit_join(pool);
    opool__guarded_join(pool, options->region != NULL);
    set_front(pool);
    return 0;
}

/* ---- prefill ---- */

static void stock(struct opool *pool, struct opool__magazine **magazine, void *object)
{
    if (pool->traced)
        opool__trace_idle(pool, object);
    if (pool->cached && !*magazine)
        *magazine = opool__depot_empty(&pool->depot, 0);
    if (!*magazine) {
        opool__bounded_give(&pool->depot.store, object);
        return;
    }
    struct opool__magazine *filling = *magazine;
    filling->slots[filling->count++] = object;
    if (filling->count == filling->capacity) {
        opool__depot_stock(&pool->depot, filling);
        *magazine = NULL;
    }
}

/* Build n idle objects: in magazines, for threads to take many at once, as far as magazines can be had. */
static int prefill(struct opool *pool, size_t n)
{
    struct opool__magazine *magazine = NULL;
    int r = 0;
    for (; n > 0 && r == 0; n--) {
        bool permit = opool__bounded_permit(&pool->depot.store);
        void *object = permit ? opool__build(pool) : fail(EINVAL);
        if (!permit && pool->label.checks != OPOOL_CHECKS_OFF)
            opool__report(&pool->label, "create: prefill is above what the region holds");
        if (object)
            stock(pool, &magazine, object);
        else
            r = -errno;
    }
    if (magazine)
        opool__depot_stock(&pool->depot, magazine);
    opool__store_relaxed(&pool->shared_live_peak, 0u); /* none of them was out */
    return r;
}

/* ---- calls ---- */

static int create(struct opool **out, const struct opool_type *type, const struct opool_options *options)
{
    const char *wrong = wrong_type(type);
    if (!wrong)
        wrong = wrong_options(options, type);
    if (wrong)
        return refuse(type, options, wrong);
    int r = opool__process_init();
    struct opool *pool = r == 0 ? opool__registry_claim() : NULL;
    if (!pool)
        return -ENOMEM;
    pool->type = *type;
    r = make(pool, options);
    if (r == 0)
        r = prefill(pool, options->prefill);
    if (r != 0) {
        opool__discard_pool(pool);
        return r;
    }
    opool__registry_publish(pool);
    opool__settle_all();
    *out = pool;
    opool__tools_wrote(out, sizeof *out);
    return 0;
}

static int refuse_null(const char *argument)
{
    if (opool__settings_level(NULL) != OPOOL_CHECKS_OFF)
        opool__say("create: %s is NULL", argument);
    return -EINVAL;
}

int opool__create(struct opool **out, const struct opool_type *type, size_t type_size,
                  const struct opool_options *options, size_t options_size, unsigned abi)
{
    struct opool_type own_type;
    struct opool_options own_options = {0};
    if (!out)
        return refuse_null("out");
    *out = NULL;
    opool__tools_wrote(out, sizeof *out);
    if (abi != OPOOL_ABI)
        return -ENOTSUP;
    if (!type)
        return refuse_null("type");
    if (!copy_sized(&own_type, sizeof own_type, type, type_size) || (own_type.abi != 0 && own_type.abi != OPOOL_ABI))
        return -ENOTSUP;
    if (options && !copy_sized(&own_options, sizeof own_options, options, options_size))
        return -ENOTSUP;
    return create(out, &own_type, &own_options);
}

/* For other languages: the sizes are those of this version. */
#undef opool_create
int opool_create(struct opool **out, const struct opool_type *type, const struct opool_options *options)
{
    return opool__create(out, type, sizeof *type, options, sizeof *options, OPOOL_ABI);
}

const char *opool_version(void)
{
    return OPOOL_VERSION;
}

void opool_log_set(void (*log)(const char *line, void *arg), void *arg)
{
    opool__log_set(log, arg);
}
