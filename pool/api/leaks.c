/* SPDX-License-Identifier: MIT */
#include "check/leaks.h"

#include "api/pool.h"
#include "check/life.h"
#include "check/suppress.h"
#include "os/lock.h"
#include "os/os.h"

/*
 * The leak report: what is out of pools under full checks when they are destroyed, or when the process ends. What was
 * out when a process was forked is its parent's to put, and not told by the child.
 */

/* Threads that run on while the process ends may get and put what is looked at: a report may then be out of date, no
   more. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define READS_RUNNING __attribute__((no_sanitize("thread"), noinline))
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define READS_RUNNING __attribute__((no_sanitize("thread"), noinline))
#endif
#ifndef READS_RUNNING
#define READS_RUNNING
#endif

static uint64_t forked_at;

void opool__leaks_forked(void)
{
    forked_at = opool__os.now();
}

READS_RUNNING static void look_at(const struct opool *pool, const struct opool__entry *entry,
                                  struct opool__leaks *leaks)
{
    /* A thread of 0: somebody is about to get it. */
    if (opool__load_acquire(&entry->shared_phase) == OPOOL__PHASE_OUT && entry->got.thread &&
        entry->got.at >= forked_at)
        opool__leaks_add(leaks, &pool->label, entry->got.stack, pool->type.size, entry->got.at);
}

static void gather(struct opool *pool, struct opool__leaks *leaks)
{
    if (pool->label.checks != OPOOL_CHECKS_FULL || !opool__life_known(&pool->life))
        return;
    opool__lock_take(&pool->slab.lock);
    uint32_t end = opool__slab_end(&pool->slab);
    opool__lock_drop(&pool->slab.lock);
    if (!pool->slab.extents[0].map)
        end = pool->slab.layout.slots; /* not the next power of two, which is large */
    for (uint32_t i = 0; i < end; i++) {
        const struct opool__entry *entry = opool__life_at(&pool->life, i);
        if (entry)
            look_at(pool, entry, leaks);
    }
}

void opool__leaks_of(struct opool *pool)
{
    struct opool__leaks leaks;
    if (pool->label.checks != OPOOL_CHECKS_FULL || opool__suppress_all())
        return;
    opool__leaks_begin(&leaks);
    gather(pool, &leaks);
    (void)opool__leaks_tell(&leaks, false);
}

static bool any_full(void)
{
    const struct opool *pool = NULL;
    while ((pool = opool__registry_next(pool)) != NULL && pool->label.checks != OPOOL_CHECKS_FULL)
        continue;
    return pool != NULL;
}

/* After the destructors of the program, and in a static program, where all are in one list, after those without a
   priority: they may still put. Labels are type-stable memory, so that a pool which another thread ends meanwhile
   has one, too. */
static __attribute__((destructor(101))) void tell_at_exit(void)
{
    struct opool__leaks leaks;
    if (!any_full() || opool__suppress_all())
        return;
    opool__leaks_begin(&leaks);
    for (struct opool *pool = NULL; (pool = opool__registry_walk(pool)) != NULL;)
        gather(pool, &leaks);
    if (opool__leaks_tell(&leaks, true) && opool__suppress_exit_code())
        opool__os.end_process(opool__suppress_exit_code());
}
