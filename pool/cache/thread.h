/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_CACHE_THREAD_H
#define OPOOL_CACHE_THREAD_H

/*
 * Threads and their arrays of heads. A record and its array are one reservation; both live for ever: an ended thread's
 * are used again by the next one. So a reclaimer may look at any record at any time, and heads never move.
 */

#include <opool/inline.h>

enum {
#ifdef OPOOL_EXPLORE
    OPOOL__HEADS = 64,
#else
    OPOOL__HEADS = 16384, /* 1 MiB of address space a thread; number 0 serves no pool */
#endif
    OPOOL__HEAD_WORDS = OPOOL__HEADS / 64,
    OPOOL__HEAD_GROUPS = (OPOOL__HEAD_WORDS + 63) / 64
};

struct opool__thread {
    struct opool_head *heads;
    struct opool__thread *next;        /* of all records, used or not */
    struct opool__thread *next_listed; /* of those that had heads in use at the last tick, or since */
    struct opool__thread *next_free;   /* of those that serve no thread */
    uint32_t shard;                    /* of depots: spreads threads over them */
    bool in_use, listed;               /* under opool__threads_lock */
    /* Heads in use, a bit each. Written under opool__threads_lock, set by the owner only; the owner reads its own
       without: a bit that was just cleared is found out under the head's lock. */
    uint64_t shared_used[OPOOL__HEAD_WORDS];
    uint64_t groups[OPOOL__HEAD_GROUPS]; /* which words of shared_used are not 0; under opool__threads_lock */
    uint64_t touched[OPOOL__HEAD_WORDS]; /* heads that were ever in use; the owner's */
};

/* Guards the lists of records, their bits, and who owns which pool number. Only ticks take records out of the list of
   those with heads in use, under the reclaim lock too: they may drop the lock in the middle of a walk. */
extern uint32_t opool__threads_lock;
extern struct opool__thread *opool__threads, *opool__threads_listed;

/* The calling thread's record; makes or recycles one. NULL: the thread has ended, or the system refuses: no caches. */
struct opool__thread *opool__thread_self(void);

/* The same without making one. */
struct opool__thread *opool__thread_known(void);

/* The record serves no thread any more; its heads were given up. Under opool__threads_lock. */
void opool__thread_free(struct opool__thread *thread);

/* The calling thread has no record from now on, for ever: it ends. Its heads must be given up before its record is
   freed. */
void opool__thread_leave(void);

static inline bool opool__thread_uses(const struct opool__thread *thread, uint32_t number)
{
    return opool__load_relaxed(&thread->shared_used[number / 64]) >> number % 64 & 1;
}

/* Under opool__threads_lock. */
void opool__thread_mark(struct opool__thread *thread, uint32_t number, bool used);

/* The lowest number of a head in use above `after`; 0: none. Under opool__threads_lock. */
uint32_t opool__thread_next_used(const struct opool__thread *thread, uint32_t after);

#endif
