/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_THREAD_H
#define OPOOL_TOOLS_PROFILE_COLLECT_THREAD_H

/*
 * What a thread has of its own. It begins at its first recorded call and is left to the next thread when its own ends,
 * after all other destructors of the thread as far as they can be outlived. A thread does not record what comes from
 * inside its own recording, and nothing when there is no room for it.
 */

#include "image.h"

struct opool__worker {
    uint32_t number;
    uint32_t until_timed; /* calls */
    uintptr_t top;        /* see opool__stack_site */
    struct opool__profile_thread *totals;
    uint32_t *record_of; /* index + 1, by site */
    uint64_t random;
    struct opool__worker *next, *next_free;
};

struct shard;

struct opool__thread {
    struct opool__worker *worker;
    struct opool__profile_thread *totals; /* the worker's; NULL: none */
    uint64_t skip;             /* sampled: allocations until the next one that is looked at, that one counted; else 0 */
    const struct shard *shard; /* of sample.c, whose lock it holds */
    uint32_t inside, rounds;
    bool gone; /* the last destructor ran, or there is no room */
};

extern OPOOL__HIDDEN __thread struct opool__thread opool__thread __attribute__((tls_model("initial-exec")));

OPOOL__HIDDEN void opool__threads_start(void);

/* A worker for this thread; NULL: there is none. `inside` is set. */
OPOOL__HIDDEN struct opool__worker *opool__thread_begin(void);

/* In a forked child that has a new image: all workers but this thread's are free, and none has records. */
OPOOL__HIDDEN void opool__threads_renew(void);

/* For fork. */
OPOOL__HIDDEN void opool__threads_lock(void);
OPOOL__HIDDEN void opool__threads_unlock(void);
OPOOL__HIDDEN void opool__threads_reset_lock(void);

/* NULL: nothing is to be recorded. Else leave follows. */
static inline struct opool__worker *opool__thread_enter(void)
{
    if (OPOOL__UNLIKELY(opool__thread.inside))
        return NULL;
    opool__thread.inside = 1;
    opool__light_barrier(); /* a signal handler of this thread sees it */
    struct opool__worker *worker = opool__thread.worker;
    if (OPOOL__UNLIKELY(!worker) && (opool__thread.gone || !(worker = opool__thread_begin()))) {
        opool__thread.inside = 0;
        return NULL;
    }
    return worker;
}

static inline void opool__thread_leave(void)
{
    opool__light_barrier();
    opool__thread.inside = 0;
}

/* The worker's record of a site; NULL: no room. */
OPOOL__HIDDEN struct opool__profile_record *opool__thread_new_record(struct opool__worker *worker, uint32_t site);

static inline struct opool__profile_record *opool__thread_record(struct opool__worker *worker, uint32_t site)
{
    uint32_t number = worker->record_of[site];
    return OPOOL__LIKELY(number != 0) ? &opool__image.records[number - 1] : opool__thread_new_record(worker, site);
}

#endif
