/* SPDX-License-Identifier: MIT */
#include "cache/reclaim.h"

#include "cache/barrier.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/state.h"

/*
 * Why a reclaimer may take what another thread caches, without stopping it and without an atomic read-modify-write or a
 * fence on that thread's fast path.
 *
 *     owner, get (put: limit for floor)         reclaimer, under the reclaim lock
 *     O1  busy = 1           (relaxed)          R1  for each head it wants: lock it, arm it, drop the lock
 *         compiler barrier                      R2  membarrier, once for all of them
 *     O2  read floor, top    (relaxed)          R3  for each: lock it; if armed still and busy 0 (acquire): take
 *     O3  top not above floor:                  R4  drop the lock
 *             busy = 0, slow path
 *     O4  pop or push        (plain)            slow path: lock; disarm; work on the head; unlock
 *     O5  busy = 0           (release)
 *
 *     armed: floor is the highest address and limit the lowest, so that every operation misses; `top` stays
 *
 * 1. The membarrier R2 lies, for each running thread, at one point of its program, and is a full barrier there.
 * 2. O2 after that point: the floor it reads is OPOOL_ARMED, or what its own thread wrote later (4): the operation
 *    goes to the slow path and does not touch the magazines inside its section.
 * 3. O2 before that point: so is O1, and the reclaimer sees busy 1 unless O5 came already. It sees 0 only if O5 of
 *    every such operation came, and by release and acquire sees all of their O4. So in R3 the magazines are quiet,
 *    and their contents are seen. [without the compiler barrier O2 could come before O1; with a fence on the
 *    reclaimer's side alone, O1 could still wait in the owner's store buffer while O2 reads an old floor: both are
 *    mutants that test/explorer kills]
 * 4. Only the owner disarms, and both arm and disarm under the head's lock. A head that is not armed in R3 was
 *    disarmed after R1, so 2 does not hold any more, and nothing may be taken: arm and barrier again.
 * 5. The owner's slow path and the reclaimer exclude each other by the head's lock.
 * 6. What the reclaimer takes it leaves empty and armed, so every operation misses until the owner's next slow
 *    path, whichever of the head's words it reads from before and which from after: also an operation that was
 *    about to start when its pool was closed, on a head whose number serves another pool by then. Floors that an
 *    operation can pass were written by its own thread. [the first version of this file disarmed what it had
 *    emptied: the explorer read the new floor and the old top, and had an object handed out twice in its 34th
 *    execution]
 * 7. busy 0 does not mean that the thread is idle, and nothing here takes it so. A busy 1 is waited for at most
 *    WAIT_NS in all, and only here: a thread can be stopped inside its section for as long as the scheduler likes.
 * 8. A refused membarrier is an answer, not an error: nothing is taken (but see `settled`), and from then on every
 *    slow path leaves floor == top == limit == NULL, so that all operations come out of line, under the lock
 *    alone.
 * 9. Two reclaimers would break 1 (armed by one, not yet behind the barrier of the other): there is one reclaim
 *    lock.
 *
 * test/explorer/protocol.c asserts these on this very code: no object is handed out twice or lost, no plain access
 * races; each order above, weakened alone, makes it fail (test/explorer: --mutants).
 */

OPOOL__STATE uint32_t opool__reclaim_lock;

/* Meanwhile the reclaim and threads locks are held: attaching, ending threads, figures and fork wait too. */
enum { WAIT_NS = 10000000 };

/* ---- close ---- */

struct closing {
    struct opool__cache *cache;
    uint32_t number;
    bool quiet, barrier;
};

/* All operations on this head come out of line: then its lock alone orders them, and no barrier is needed. Under the
   lock: the owner set it so itself. */
static bool is_locked_mode(const struct opool_head *head)
{
    return opool__load_relaxed(&head->floor) == NULL;
}

static bool is_armed(const struct opool_head *head)
{
    return opool__load_relaxed(&head->floor) == OPOOL_ARMED;
}

/* Under the head's lock: may its magazines be touched? The calling thread is outside its own section. */
static bool settled(const struct closing *closing, const struct opool__thread *thread, const struct opool_head *head)
{
    if (closing->quiet || is_locked_mode(head) || thread == opool__thread_known())
        return true;
    return closing->barrier && is_armed(head) && opool__load_acquire(&head->busy) == 0;
}

static bool take(const struct closing *closing, struct opool__thread *thread)
{
    struct opool__cache *cache = closing->cache;
    struct opool_head *head = &thread->heads[closing->number];
    if (!opool__lock_try(&head->shared_lock))
        return false;
    bool taken = settled(closing, thread, head);
    if (taken) {
        cache->retired_puts += opool__load_relaxed(&head->puts);
        cache->stolen += opool__head_empty(cache->depot, thread->shard, head);
        opool__thread_mark(thread, closing->number, false);
    }
    opool__lock_drop(&head->shared_lock);
    return taken;
}

/* A head whose lock is held is in use right now: the next round arms it. In the locked mode there is nothing to arm. */
static void arm(struct opool_head *head)
{
    if (!opool__lock_try(&head->shared_lock))
        return;
    if (!is_locked_mode(head))
        opool__head_arm(head);
    opool__lock_drop(&head->shared_lock);
}

static void arm_all(const struct closing *closing)
{
    for (struct opool__thread *thread = opool__threads; thread; thread = thread->next)
        if (opool__thread_uses(thread, closing->number))
            arm(&thread->heads[closing->number]);
}

/* Heads that could not be taken. */
static unsigned take_all(const struct closing *closing)
{
    unsigned left = 0;
    for (struct opool__thread *thread = opool__threads; thread; thread = thread->next)
        if (opool__thread_uses(thread, closing->number) && !take(closing, thread))
            left++;
    return left;
}

/* Rounds of arm, barrier, take, until nothing is left or the time is over. */
static unsigned take_rounds(struct closing *closing)
{
    uint64_t deadline = opool__os.now() + WAIT_NS;
    unsigned left;
    do {
        arm_all(closing);
        closing->barrier = !closing->quiet && opool__barrier();
        left = take_all(closing);
        if (left)
            opool__spin_hint();
    } while (left && (closing->quiet || closing->barrier) && opool__os.now() < deadline);
    return left;
}

bool opool__reclaim_close(struct opool__cache *cache, bool quiet)
{
    opool__lock_take(&opool__reclaim_lock);
    opool__lock_take(&opool__threads_lock);
    struct closing closing = {.cache = cache, .number = cache->shared_number, .quiet = quiet};
    unsigned left = 0;
    /* Relaxed: who takes a head into use or works on one looks at it under a lock that is taken here later. */
    opool__store_relaxed(&cache->shared_closing, 1u);
    if (closing.number) {
        left = take_rounds(&closing);
        cache->steal_timeouts += left;
        if (!left)
            opool__cache_free_number(cache);
    }
    opool__lock_drop(&opool__threads_lock);
    opool__lock_drop(&opool__reclaim_lock);
    return left == 0;
}
