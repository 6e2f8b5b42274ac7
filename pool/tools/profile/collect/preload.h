/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_PRELOAD_H
#define OPOOL_TOOLS_PROFILE_COLLECT_PRELOAD_H

/* What the wrappers of an allocator's functions have in common: is this call to be recorded? */

#include "book.h"

#define OPOOL__EXPORTED __attribute__((visibility("default")))

/* In a forked child: from here on it has its own books. False: not now, or never. */
OPOOL__HIDDEN bool opool__renew(void);

/* Is there an image of this process? Another one's is left behind first. */
static inline bool opool__has_image(void)
{
    return OPOOL__LIKELY(*opool__image_own) || (opool__image_is_foreign() && opool__renew());
}

/* Sampled: is this allocation one that is not looked at? In other modes, and before there is a worker, none is. */
static inline bool opool__skips(void)
{
    struct opool__thread *thread = &opool__thread;
    if (thread->skip <= 1)
        return false;
    thread->skip--;
    thread->totals->allocations++;
    return true;
}

/* A worker where this allocation is to be recorded. */
static inline struct opool__worker *opool__enter(void)
{
    if (!opool__has_image() || OPOOL__UNLIKELY(opool__image_is_paused()))
        return NULL;
    struct opool__worker *worker = opool__thread_enter();
    /* A thread's first one is as likely to be looked at as any other. */
    if (!worker || !opool__skips())
        return worker;
    opool__thread_leave();
    return NULL;
}

/* The same for a free. While recording is paused, too: what is known must be right. */
static inline struct opool__worker *opool__enter_free(void)
{
    return opool__has_image() ? opool__thread_enter() : NULL;
}

/* The block is freed by what follows, whose doings are not looked at. */
OPOOL__HIDDEN void opool__forget(const void *at);

/* Sampled: is nothing known of this block? It is counted. */
static inline bool opool__is_skipped(const void *at)
{
    struct opool__profile_thread *totals = opool__thread.totals;
    if (!opool__sampling || !totals || !opool__sample_excludes(at))
        return false;
    totals->frees += !opool__image_is_paused();
    return true;
}

#endif
