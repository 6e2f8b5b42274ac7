/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>

#include "api/pool.h"
#include "check/settings.h"
#include "os/report.h"
#include "os/tools.h"

/* Callbacks that run inside each other, out of line, on this thread. */
static __thread unsigned callbacks __attribute__((tls_model(OPOOL_TLS_MODEL)));
static __thread unsigned crossings __attribute__((tls_model(OPOOL_TLS_MODEL))); /* those of watches */
/* The user's call for a traced pool that this thread is inside: below so many callbacks less one; 0: it is in none. */
static __thread struct opool__call current __attribute__((tls_model(OPOOL_TLS_MODEL)));

/* A thread that is cancelled inside a callback would leave its pool pinned: it is cancelled afterwards. */
int opool__callback_begin(void)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    callbacks++;
    opool__tools_calling();
    return state;
}

void opool__callback_end(int state)
{
    callbacks--;
    pthread_setcancelstate(state, NULL);
}

bool opool__in_callback(void)
{
    return callbacks != 0 || opool__logging();
}

int opool__crossing_begin(void)
{
    crossings++;
    return opool__callback_begin();
}

void opool__crossing_end(int state)
{
    opool__callback_end(state);
    crossings--;
}

bool opool__refused_in_callback(const char *call, bool crossing_may)
{
    bool inside = opool__logging() || (crossing_may ? callbacks > crossings : callbacks != 0);
    if (!inside && !opool__cache_calling())
        return false;
    if (opool__settings_level(NULL) != OPOOL_CHECKS_OFF)
        opool__say("%s: refused: called from inside a callback", call);
    return true;
}

struct opool__call opool__call_begin(const struct opool *pool, const char *call, const void *object, const void *caller)
{
    struct opool__call before = current;
    if (!pool || (!pool->traced && !opool__guarded_some(pool)))
        return before;
    if (before.inside == callbacks + 1 && pool->label.checks == OPOOL_CHECKS_FULL && !opool__logging())
        opool__fault(&pool->label, OPOOL__FAULT_REENTERED, call, object, NULL);
    current = (struct opool__call){callbacks + 1, caller};
    return before;
}

void opool__call_end(struct opool__call before)
{
    current = before;
}

const void *opool__caller(void)
{
    return current.caller;
}

int opool__call_init(struct opool *pool, void *object)
{
    if (!pool->type.init)
        return 0;
    int state = opool__callback_begin(), r = pool->type.init(object, pool->arg);
    opool__callback_end(state);
    return r < 0 ? -r : r;
}

void opool__call_fini(struct opool *pool, void *object)
{
    if (!pool->type.fini)
        return;
    int state = opool__callback_begin();
    pool->type.fini(object, pool->arg);
    opool__callback_end(state);
}

bool opool__reset(struct opool *pool, void *object)
{
    bool keep = true;
    if (pool->type.reset) {
        callbacks++;
        opool__tools_calling();
        keep = pool->type.reset(object, pool->arg);
        callbacks--;
    }
    if (pool->type.clear)
        pool->type.clear(object);
    return keep;
}

/*
 * live_peak counts what is out, but a thread's cache knows only itself: summing up all of them at each build would
 * make a burst of builds quadratic. Nothing can be above the peak before more objects exist than that, and a peak
 * that is looked at each 1/64 higher is right to 2 %.
 */
static void note_peak(struct opool *pool)
{
    uint64_t exist = opool__load_relaxed(&pool->shared_built) - opool__load_relaxed(&pool->shared_torn_down);
    uint64_t peak = opool__load_relaxed(&pool->shared_live_peak);
    if (exist <= peak + peak / 64)
        return;
    uint64_t idle = opool__depot_idle(&pool->depot).all + (pool->cached ? opool__cache_read(&pool->cache).idle : 0);
    uint64_t live = exist > idle ? exist - idle : 0;
    while (live > peak && !opool__cas_relaxed(&pool->shared_live_peak, &peak, live))
        continue;
}

void opool__note_built(struct opool *pool)
{
    opool__count(&pool->shared_built);
    note_peak(pool);
}

static void *refuse(uint64_t *counter, int error)
{
    opool__count(counter);
    errno = error;
    return NULL;
}

void *opool__build(struct opool *pool)
{
    void *slot = opool__slab_take(&pool->slab);
    if (!slot)
        return refuse(&pool->shared_memory_fails, ENOMEM);
    if (pool->traced && !opool__trace_built(pool, slot)) {
        opool__slab_give(&pool->slab, slot);
        return refuse(&pool->shared_memory_fails, ENOMEM);
    }
    int r = opool__call_init(pool, slot);
    if (r != 0) {
        if (pool->traced)
            opool__trace_gone(pool, slot);
        opool__slab_give(&pool->slab, slot);
        return refuse(&pool->shared_init_fails, r);
    }
    opool__fresh_learn(pool, slot);
    opool__note_built(pool);
    return slot;
}

static void end_object(struct opool *pool, void *object)
{
    if (pool->traced)
        opool__trace_ending(pool, object);
    if (pool->type.clear)
        pool->type.clear(object);
    opool__call_fini(pool, object);
    if (pool->traced)
        opool__trace_gone(pool, object);
    opool__count(&pool->shared_torn_down);
    opool__slab_give(&pool->slab, object);
}

void opool__tear_down(struct opool *pool, void *object)
{
    end_object(pool, object);
    if (opool__by_permit(pool))
        opool__bounded_return(&pool->depot.store);
}

void opool__tear_down_idle(struct opool *pool, void *object)
{
    end_object(pool, object);
    if (opool__by_permit(pool))
        opool__bounded_bury(&pool->depot.store);
}
