/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "api/pool.h"
#include "os/lock.h"
#include "os/os.h"

enum { LOOK_AGAIN_NS = 1000000 };

/* Watermarks: what the figures are now, which marks were crossed, and telling it outside the lock. */

static uint64_t figure_now(struct opool *pool, enum opool_watch_figure figure)
{
    if (figure == OPOOL_WATCH_RESIDENT_BYTES)
        return opool__slab_resident(&pool->slab);
    uint64_t idle = opool__depot_idle(&pool->depot).all + (pool->cached ? opool__cache_read(&pool->cache).idle : 0);
    if (figure == OPOOL_WATCH_IDLE_BYTES)
        return idle * pool->type.size;
    uint64_t exist = opool__load_relaxed(&pool->shared_built) - opool__load_relaxed(&pool->shared_torn_down);
    return exist > idle ? exist - idle : 0;
}

/* True: `told` is what the user has to be told. */
static bool crossed(struct opool *pool, enum opool_watch_figure figure, struct opool__watched *told, uint64_t *value)
{
    struct opool__watched *watched = &pool->watches.figures[figure];
    opool__lock_take(&pool->watches.lock);
    bool watching = watched->watch.high != 0;
    opool__lock_drop(&pool->watches.lock);
    if (!watching)
        return false;
    *value = figure_now(pool, figure);
    opool__lock_take(&pool->watches.lock);
    uint64_t high = watched->watch.high, low = watched->watch.low;
    bool crosses = high && (watched->above ? *value <= low : *value >= high);
    if (crosses)
        watched->above = !watched->above;
    *told = *watched;
    opool__lock_drop(&pool->watches.lock);
    return crosses;
}

static void tell(struct opool *pool, const struct opool__watched *told, uint64_t value)
{
    const struct opool_watch *watch = &told->watch;
    if (watch->event_fd)
        opool__os.event_add(watch->event_fd);
    if (!watch->crossed)
        return;
    int state = opool__crossing_begin();
    watch->crossed(pool, watch->figure, told->above, value, watch->arg);
    opool__crossing_end(state);
}

static void look(struct opool *pool)
{
    for (unsigned figure = 0; figure < OPOOL__WATCH_FIGURES; figure++) {
        struct opool__watched told;
        uint64_t value;
        if (crossed(pool, (enum opool_watch_figure)figure, &told, &value))
            tell(pool, &told, value);
    }
}

/* False: somebody does, and looks again when he is done. */
static bool begin_looking(struct opool__watches *watches)
{
    for (;;) {
        uint32_t nobody = OPOOL__NOBODY_LOOKS, somebody = OPOOL__LOOKS;
        if (opool__cas_acquire(&watches->shared_looking, &nobody, (uint32_t)OPOOL__LOOKS))
            return true;
        if (nobody == OPOOL__LOOKS_AGAIN ||
            opool__cas_acquire(&watches->shared_looking, &somebody, (uint32_t)OPOOL__LOOKS_AGAIN))
            return false;
    }
}

/* False: look again. */
static bool end_looking(struct opool__watches *watches)
{
    if (opool__exchange_release(&watches->shared_looking, (uint32_t)OPOOL__NOBODY_LOOKS) == OPOOL__LOOKS_AGAIN)
        return false;
    opool__add_relaxed(&watches->shared_looks, 1u);
    return true;
}

void opool__watch_look(struct opool *pool)
{
    struct opool__watches *watches = &pool->watches;
    if (opool__load_relaxed(&watches->shared_count) == 0)
        return;
    int error = errno;
    /* A callback comes here too when it uses the pool. */
    while (begin_looking(watches)) {
        look(pool);
        if (end_looking(watches))
            break;
    }
    errno = error;
}

/* Until whoever looked with what was set before is done. */
static void await_look(struct opool__watches *watches)
{
    uint32_t looks = opool__load_relaxed(&watches->shared_looks);
    while (opool__load_acquire(&watches->shared_looking) != OPOOL__NOBODY_LOOKS &&
           opool__load_relaxed(&watches->shared_looks) == looks)
        opool__os.wait(&watches->shared_looks, looks, opool__os.now() + LOOK_AGAIN_NS); /* nobody wakes */
}

static int judge(const struct opool_watch *watch)
{
    if ((unsigned)watch->figure >= OPOOL__WATCH_FIGURES || watch->event_fd < 0)
        return -EINVAL;
    if (watch->high == 0)
        return 0;
    if (watch->low >= watch->high || (!watch->crossed && !watch->event_fd))
        return -EINVAL;
    return watch->event_fd ? opool__os.event_check(watch->event_fd) : 0;
}

void opool__watch_forked(struct opool__watches *watches)
{
    opool__lock_reset(&watches->lock);
    opool__store_relaxed(&watches->shared_looking, (uint32_t)OPOOL__NOBODY_LOOKS);
    for (unsigned figure = 0; figure < OPOOL__WATCH_FIGURES; figure++) {
        struct opool__watched *watched = &watches->figures[figure];
        watched->watch.event_fd = 0;
        if (watched->watch.high == 0 || watched->watch.crossed)
            continue;
        *watched = (struct opool__watched){.above = false};
        opool__store_relaxed(&watches->shared_count, opool__load_relaxed(&watches->shared_count) - 1);
    }
}

static void set_watch(struct opool__watches *watches, const struct opool_watch *watch)
{
    struct opool__watched *watched = &watches->figures[watch->figure];
    opool__lock_take(&watches->lock);
    uint32_t count = opool__load_relaxed(&watches->shared_count);
    count = count - (watched->watch.high != 0) + (watch->high != 0);
    *watched = (struct opool__watched){.watch = *watch};
    opool__store_relaxed(&watches->shared_count, count);
    opool__lock_drop(&watches->lock);
}

int opool__watch(struct opool *pool, const struct opool_watch *watch, size_t watch_size)
{
    struct opool_watch own = {0};
    if (!pool || !watch)
        return -EINVAL;
    memcpy(&own, watch, watch_size < sizeof own ? watch_size : sizeof own);
    int r = judge(&own);
    if (r != 0)
        return r;
    if (!opool__pin(pool))
        return -EINVAL;
    set_watch(&pool->watches, &own);
    if (!opool__in_callback())
        await_look(&pool->watches);
    opool__watch_look(pool); /* it may be above already */
    opool__unpin(pool);
    return 0;
}

/* For other languages: the size is that of this version. */
#undef opool_watch
int opool_watch(struct opool *pool, const struct opool_watch *watch)
{
    return opool__watch(pool, watch, sizeof *watch);
}
