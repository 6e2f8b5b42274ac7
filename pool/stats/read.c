/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "api/pool.h"
#include "cache/barrier.h"
#include "epoch/epoch.h"
#include "opool/stats.h"
#include "os/lock.h"
#include "stats/collect.h"

/* Every figure from the counters of the layer that owns it. What the fast path does not count follows from the rest: a
   head's objects came by refills and puts, and went by gets and flushes. */

struct sources {
    struct opool__cache_figures cache;
    struct opool__flows flows;
    struct opool__depot_idle idle;
    uint64_t slots, used, metadata_bytes;
};

static struct sources collect(struct opool *pool)
{
    struct sources from = {.cache = opool__cache_read(&pool->cache),
                           .flows = opool__depot_flows(&pool->depot),
                           .idle = opool__depot_idle(&pool->depot)};
    opool__lock_take(&pool->slab.lock);
    from.slots = pool->slab.slots;
    from.used = pool->slab.used;
    from.metadata_bytes = pool->slab.metadata_bytes;
    opool__lock_drop(&pool->slab.lock);
    return from;
}

/* a - b, and 0 when a call in progress moved one of them only. */
static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void count_events(struct opool *pool, const struct sources *from, struct opool_stats *out)
{
    uint64_t through_heads =
        minus(from->flows.to_caches + from->cache.puts, from->flows.from_caches + from->cache.idle);
    out->gets = through_heads + opool__load_relaxed(&pool->shared_gets);
    out->puts = from->cache.puts + opool__load_relaxed(&pool->shared_puts);
    out->hits = minus(through_heads, from->flows.refills);
    out->refills = from->flows.refills;
    out->flushes = from->flows.flushes;
    out->built = opool__load_relaxed(&pool->shared_built);
    out->torn_down = opool__load_relaxed(&pool->shared_torn_down);
    out->discarded = opool__load_relaxed(&pool->shared_discarded);
    out->bloated = opool__load_relaxed(&pool->shared_bloated);
    out->capacity_fails = opool__load_relaxed(&pool->shared_capacity_fails);
    out->memory_fails = opool__load_relaxed(&pool->shared_memory_fails);
    out->init_fails = opool__load_relaxed(&pool->shared_init_fails);
    out->stolen = from->cache.stolen;
    out->steal_timeouts = from->cache.steal_timeouts;
    out->abandoned = from->cache.abandoned;
    out->tightened = from->cache.tightened;
    out->tight = pool->cached && opool__load_relaxed(&pool->depot.store.shared_tight) != OPOOL__LOOSE;
    out->locked = !opool__barrier_usable();
    out->guarded = opool__load_relaxed(&pool->shared_guarded);
}

static void count_objects(struct opool *pool, const struct sources *from, struct opool_stats *out)
{
    out->live = minus(out->gets, out->puts);
    out->idle_thread = from->cache.idle;
    out->idle_depot = from->idle.all - from->idle.victims;
    out->idle_victim = from->idle.victims;
    out->slots = from->slots;
    out->slots_free = minus(from->slots, from->used);
    uint64_t peak = opool__load_relaxed(&pool->shared_live_peak);
    while (out->live > peak && !opool__cas_relaxed(&pool->shared_live_peak, &peak, out->live))
        continue;
    out->live_peak = out->live > peak ? out->live : peak;
}

static void count_bytes(struct opool *pool, const struct sources *from, struct opool_stats *out)
{
    uint64_t size = pool->type.size, magazines = opool__load_relaxed(&pool->depot.shared_magazines);
    uint64_t idle = out->idle_thread + out->idle_depot + out->idle_victim;
    out->live_bytes = out->live * size;
    out->idle_bytes = idle * size;
    out->slack_bytes = minus(out->slots * pool->slab.layout.stride, out->live_bytes + out->idle_bytes);
    out->overhead_bytes = sizeof *pool + pool->fresh.map_bytes + opool__load_relaxed(&pool->life.shared_bytes) +
                          from->metadata_bytes + from->cache.heads * sizeof(struct opool_head) +
                          magazines * opool__magazine_bytes(pool->depot.magazine_capacity);
    out->resident_bytes = from->slots * pool->slab.layout.stride + from->metadata_bytes;
}

static void read_verdict(struct opool *pool, struct opool_stats *out)
{
    struct opool__verdict verdict = opool__footprint_verdict(pool);
    out->churn = verdict.churn;
    out->bloat = verdict.bloat;
}

struct opool_stats opool__stats_collect(struct opool *pool)
{
    struct opool_stats all = {0};
    struct sources from = collect(pool);
    count_events(pool, &from, &all);
    count_objects(pool, &from, &all);
    count_bytes(pool, &from, &all);
    read_verdict(pool, &all);
    all.epoch = opool__epoch_now();
    return all;
}

int opool__stats_read(struct opool *pool, struct opool_stats *out, size_t out_size)
{
    if (!pool || !out || !opool__pin(pool))
        return -EINVAL;
    struct opool_stats all = opool__stats_collect(pool);
    opool__unpin(pool);
    memset(out, 0, out_size);
    memcpy(out, &all, out_size < sizeof all ? out_size : sizeof all);
    return 0;
}

/* For other languages: the size is that of this version. */
#undef opool_stats_read
int opool_stats_read(struct opool *pool, struct opool_stats *out)
{
    return opool__stats_read(pool, out, sizeof *out);
}

struct opool *opool_next(struct opool *previous)
{
    return opool__registry_next(previous);
}

const char *opool_name(const struct opool *pool)
{
    return pool ? pool->label.name : "NULL";
}
