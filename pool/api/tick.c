/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "api/pool.h"
#include "cache/barrier.h"
#include "cache/reclaim.h"
#include "depot/magazine.h"
#include "epoch/epoch.h"
#include "os/lock.h"
#include "os/os.h"

/*
 * A tick, for all pools. The promise stands in <opool/epoch.h>; here is how its two sentences come true.
 *
 * 1. An idle object is in a head, in a magazine of a shard, or in the locked store, and each of these knows what was
 *    not used since the last tick looked at it: the store by a low-water mark of its list, a magazine by `low`.
 *    [test/unit/test_depot.c, test_cache.c]
 * 2. Under the reclaim lock, so one tick at a time: every store's victims are doomed, and what the store had unused
 *    are victims. Then all heads in use, then all shards: what they had unused are victims.
 * 3. So an object that was last used in epoch e, before tick e + 1, becomes a victim at tick e + 2 (at e + 1 its
 *    container only notes that it is there), is doomed by tick e + 3 and torn down before that tick is over: the one
 *    that ends its second whole epoch without use. [test/contract/epochs.c]
 * 4. Nothing is torn down that a tick did not see twice: once to note it, or as a victim of a head that made no
 *    operation between two ticks, and once as a victim. A use in between takes it out of the lists, under the store's
 *    lock. So no tick tears down what was used since the one before it began. [test/explorer/tick.c]
 * 5. A magazine that moves between cache and shard while a tick is on its way may be seen twice or not at all. Seen
 *    twice: `seen` says so. Not at all: `seen` is then two ticks old at the next, and what is unused is doomed at
 *    once. Heads come before shards: what a head gives to a shard during the tick is seen there.
 * 6. Tear-down runs outside all locks, one object at a time; the pool is pinned, so that destroy waits for it. An
 *    object leaves the list of the doomed before its fini runs: until then a get may still have it.
 */

/* Slow paths that tick tear down at most so many objects a call; the next ones go on. */
enum { SLOW_PATH_MOST = 32 };

/* Of so many slow puts one asks whether the tight mode can be left. */
enum { LOOSEN_EACH = 64 };

static uint64_t shared_last_tick;  /* os.now; 0: none yet */
static uint32_t shared_unfinished; /* a slow path left doomed objects behind */

/* ---- under the reclaim lock ---- */

static void doom_victims(void)
{
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;)
        opool__bounded_age(&pool->depot.store);
}

/* What `keep` does not cover stays doomed. Returns the idle objects. */
static uint64_t spare_kept(struct opool *pool, uint32_t tick)
{
    uint64_t idle = opool__depot_idle(&pool->depot).all + opool__cache_idle_at(&pool->cache, tick);
    if (pool->keep)
        opool__bounded_spare(&pool->depot.store, idle > pool->keep ? idle - pool->keep : 0);
    return idle;
}

/* Objects that the last tick tore down, and that were built again since. */
static uint64_t rebuilt(struct opool *pool)
{
    uint64_t built = opool__load_relaxed(&pool->shared_built);
    uint64_t torn_down = opool__load_relaxed(&pool->shared_torn_by_tick), since = built - pool->built_at_tick;
    pool->built_at_tick = built;
    opool__store_relaxed(&pool->shared_torn_by_tick, (uint64_t)0);
    return since < torn_down ? since : torn_down;
}

static void age_depots(struct opool__tick_report *report)
{
    uint32_t tick = (uint32_t)report->epoch;
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;) {
        if (pool->cached) {
            opool__depot_age(&pool->depot, tick);
            opool__reclaim_loosen_at_tick(&pool->cache, report->epoch);
        }
        opool__guarded_tick(pool);
        uint64_t idle = spare_kept(pool, tick), beyond = idle > pool->keep ? idle - pool->keep : 0;
        report->idle_bytes += beyond * pool->type.size;
        report->left_idle += beyond;
        report->rebuilt_bytes += rebuilt(pool) * pool->type.size;
    }
}

static struct opool__tick_report begin_epoch_locked(void)
{
    struct opool__tick_report report = {.epoch = opool__epoch_begin()};
    opool__store_relaxed(&shared_last_tick, opool__os.now());
    opool__guard_slots_look(report.epoch);
    doom_victims();
    report.heads = opool__reclaim_tick((uint32_t)report.epoch);
    age_depots(&report);
    return report;
}

/* ---- outside all locks ---- */

struct torn_down {
    uint64_t objects, bytes;
    bool untrimmed; /* memory of free slots was left for a later tick */
};

/* At most `most` objects; returns how many. */
static uint64_t tear_down_doomed(struct opool *pool, uint64_t most)
{
    uint64_t done = 0;
    for (void *object; done < most && (object = opool__bounded_pop_doomed(&pool->depot.store)) != NULL; done++)
        opool__tear_down_idle(pool, object);
    if (done)
        opool__add_relaxed(&pool->shared_torn_by_tick, done);
    return done;
}

/* At most `most` objects, and slabs to trim. */
static struct torn_down tear_down_all_doomed(uint64_t most)
{
    struct torn_down done = {0, 0, false};
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;) {
        uint64_t objects = tear_down_doomed(pool, most - done.objects);
        done.objects += objects;
        done.bytes += objects * pool->type.size;
        opool__slab_trim(&pool->slab, false, most < UINT32_MAX ? (uint32_t)most : UINT32_MAX);
        done.untrimmed = opool__load_relaxed(&pool->slab.shared_given) || done.untrimmed;
        opool__watch_look(pool);
    }
    opool__settle_all();
    return done;
}

struct opool__tick_report opool__tick(void)
{
    opool__reclaim_begin();
    struct opool__tick_report report = begin_epoch_locked();
    opool__reclaim_end();
    opool__magazine_trim(false);
    struct torn_down done = tear_down_all_doomed(UINT64_MAX);
    report.torn_down = done.objects;
    report.torn_down_bytes = done.bytes;
    report.untrimmed = done.untrimmed;
    report.left_idle -= report.torn_down < report.left_idle ? report.torn_down : report.left_idle;
    return report;
}

uint64_t opool_epoch_advance(void)
{
    return opool__refused_in_callback("opool_epoch_advance", true) ? opool__epoch_now() : opool__tick().epoch;
}

uint64_t opool_epoch_now(void)
{
    return opool__epoch_now();
}

/* ---- in slow paths ---- */

static bool may_tick(void)
{
    return !opool__in_callback() && !opool__cache_calling();
}

static void go_on_tearing_down(void)
{
    opool__store_relaxed(&shared_unfinished, 0u); /* before: a tick meanwhile says it again */
    if (tear_down_all_doomed(SLOW_PATH_MOST).objects == SLOW_PATH_MOST)
        opool__store_relaxed(&shared_unfinished, 1u);
}

static void tick_if_due(uint64_t period_ns)
{
    if (opool__load_relaxed(&shared_unfinished) && may_tick())
        go_on_tearing_down();
    uint64_t last = opool__load_relaxed(&shared_last_tick);
    if (opool__os.now() - last < period_ns || !may_tick() || !opool__reclaim_try_begin())
        return;
    bool due = opool__load_relaxed(&shared_last_tick) == last;
    if (due)
        (void)begin_epoch_locked();
    opool__reclaim_end();
    if (due)
        opool__store_relaxed(&shared_unfinished, 1u);
    opool__settle_all();
}

static void look_around_pinned(struct opool *pool)
{
    opool__watch_look(pool);
    if (pool->cached && opool__load_relaxed(&pool->shared_puts) % LOOSEN_EACH == 0)
        opool__reclaim_loosen(&pool->cache);
}

void opool__look_around(struct opool *pool)
{
    uint64_t period_ns = pool->epoch_ns;
    bool tight = pool->cached && opool__load_relaxed(&pool->depot.store.shared_tight) != OPOOL__LOOSE;
    bool look = tight || opool__load_relaxed(&pool->watches.shared_count);
    if (OPOOL__LIKELY(!look && !period_ns))
        return;
    int error = errno;
    /* What it put may have been all that kept the pool: from here on the pin does. */
    if (look && opool__pin(pool)) {
        look_around_pinned(pool);
        opool__unpin(pool);
    }
    if (period_ns)
        tick_if_due(period_ns);
    errno = error;
}

uint64_t opool__idle_bytes(void)
{
    uint64_t bytes = 0;
    opool__reclaim_begin();
    uint32_t tick = (uint32_t)opool__epoch_now();
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;) {
        uint64_t idle = opool__depot_idle(&pool->depot).all + opool__cache_idle_at(&pool->cache, tick);
        bytes += (idle > pool->keep ? idle - pool->keep : 0) * pool->type.size;
    }
    opool__reclaim_end();
    opool__settle_all();
    return bytes;
}

bool opool__anything_idle(void)
{
    bool idle = opool__cache_any_in_use();
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;)
        idle = opool__depot_idle(&pool->depot).all > pool->keep || idle;
    opool__settle_all();
    return idle;
}

/* ---- first aid ---- */

static size_t release_idle(struct opool *pool)
{
    uint64_t before = opool__slab_given_back(&pool->slab);
    for (void *object; (object = opool__depot_condemn(&pool->depot)) != NULL;)
        opool__tear_down_idle(pool, object);
    opool__slab_trim(&pool->slab, true, UINT32_MAX);
    return (size_t)(opool__slab_given_back(&pool->slab) - before);
}

size_t opool_release(void)
{
    if (opool__refused_in_callback("opool_release", true))
        return 0;
    opool__reclaim_begin();
    opool__reclaim_all();
    opool__reclaim_end();
    size_t bytes = 0;
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;) {
        bytes += release_idle(pool);
        opool__watch_look(pool);
    }
    opool__magazine_trim(true);
    opool__settle_all();
    return bytes;
}

void opool_thread_flush(void)
{
    opool__cache_flush();
}
