/* SPDX-License-Identifier: MIT */
#include "api/footprint.h"

#include <stdio.h>
#include <string.h>

#include "api/pool.h"
#include "os/lock.h"
#include "os/report.h"

/* ---- what there is to tell ---- */

static void tell_churn(const struct opool *pool, const struct opool__fit_advice *advice)
{
    char share[120];
    snprintf(share, sizeof share,
             "%u.%u %% of puts are refused (more than %zu bytes held), %u %% of that is made again",
             advice->refused_per_mille / 10, advice->refused_per_mille % 10, advice->cap, advice->remade_per_cent);
    if (advice->raise)
        opool__report(&pool->label,
                      "churn: %s: footprint_max is below what uses need: raise it to %zu (%uth percentile), "
                      "or 0 calibrates it",
                      share, advice->keep, advice->percentile);
    else
        opool__report(&pool->label,
                      "churn: %s: keep %zu bytes in the object (%uth percentile), allocate the rest a use", share,
                      advice->keep, advice->percentile);
}

static void tell(const struct opool *pool, const struct opool__fit_advice *advice)
{
    if (pool->label.checks == OPOOL_CHECKS_OFF)
        return;
    if (advice->finding == OPOOL__FIT_CHURN)
        tell_churn(pool, advice);
    else
        opool__report(&pool->label,
                      "bloat: objects hold %llu times what is used: keep %zu bytes in the object (%uth "
                      "percentile), allocate the rest a use",
                      advice->held_fold, advice->keep, advice->percentile);
}

/* ---- notes ---- */

/* The windows have seen them; true: and have found something. */
static bool add_all(struct opool__guard *guard, struct opool__notes *notes, struct opool__fit_advice *advice)
{
    opool__lock_take(&guard->lock);
    for (uint32_t i = 0; i < notes->count; i++)
        opool__fit_add(&guard->fit, &notes->at[i]);
    if (guard->fit.cap != opool__load_relaxed(&guard->shared_cap))
        opool__store_relaxed(&guard->shared_cap, guard->fit.cap);
    bool news = opool__fit_news(&guard->fit, advice);
    opool__lock_drop(&guard->lock);
    notes->count = 0;
    return news;
}

static void note(struct opool *pool, const struct opool__fit_note *new_one)
{
    const struct opool__thread *thread = opool__thread_known();
    struct opool__notes *notes = &pool->guard.notes[(thread ? thread->shard : 0) % OPOOL__NOTE_SHARDS];
    struct opool__fit_advice advice;
    opool__lock_take(&notes->lock);
    notes->at[notes->count++] = *new_one;
    bool news = notes->count == OPOOL__NOTES && add_all(&pool->guard, notes, &advice);
    opool__lock_drop(&notes->lock);
    if (news)
        tell(pool, &advice);
}

/* Since the object was put last; a new one, and its memory is zero, held nothing. */
static size_t grown(const struct opool *pool, void *slot, size_t held)
{
    size_t before;
    void *behind = opool__trace_held(pool, slot);
    memcpy(&before, behind, sizeof before);
    memcpy(behind, &held, sizeof held);
    return held > before ? held - before : 0;
}

/* ---- calls ---- */

void opool__footprint_start(struct opool__guard *guard, size_t footprint_max)
{
    opool__fit_start(&guard->fit, footprint_max);
    opool__store_relaxed(&guard->shared_cap, footprint_max);
}

static struct opool_footprint ask(struct opool *pool, const void *object)
{
    int state = opool__callback_begin();
    struct opool_footprint footprint = pool->type.footprint(object, pool->arg);
    opool__callback_end(state);
    return footprint;
}

bool opool__footprint_fits(struct opool *pool, const void *object, void *slot)
{
    struct opool__fit_note new_one = {.footprint = ask(pool, object)};
    new_one.kept = opool__fit_allows(opool__load_relaxed(&pool->guard.shared_cap), new_one.footprint.held);
    new_one.grown = grown(pool, slot, new_one.footprint.held);
    note(pool, &new_one);
    return new_one.kept;
}

struct opool__verdict opool__footprint_verdict(struct opool *pool)
{
    opool__lock_take(&pool->guard.lock);
    struct opool__verdict verdict = {opool__fit_churns(&pool->guard.fit), opool__fit_bloats(&pool->guard.fit)};
    opool__lock_drop(&pool->guard.lock);
    return verdict;
}

/* ---- fork ---- */

void opool__footprint_lock(struct opool *pool)
{
    for (int i = 0; i < OPOOL__NOTE_SHARDS; i++)
        opool__lock_take(&pool->guard.notes[i].lock);
    opool__lock_take(&pool->guard.lock);
}

void opool__footprint_unlock(struct opool *pool)
{
    opool__lock_drop(&pool->guard.lock);
    for (int i = 0; i < OPOOL__NOTE_SHARDS; i++)
        opool__lock_drop(&pool->guard.notes[i].lock);
}

void opool__footprint_reset_locks(struct opool *pool)
{
    opool__lock_reset(&pool->guard.lock);
    for (int i = 0; i < OPOOL__NOTE_SHARDS; i++)
        opool__lock_reset(&pool->guard.notes[i].lock);
}
