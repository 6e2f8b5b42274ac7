/* SPDX-License-Identifier: MIT */
#include "cache/reclaim.h"

#include "os/lock.h"
#include "os/os.h"
#include "os/state.h"

/*
 * Why a reclaimer may take what another thread caches, without stopping it and without an atomic read-modify-write or a
 * fence on that thread's fast path.
 *
 *     owner, get or put                         reclaimer, under the reclaim lock
 *     O1  busy = 1           (relaxed)          R1  armed = 1 on each head it wants     (relaxed)
 *         compiler barrier                      R2  membarrier, once for all of them
 *     O2  read armed         (acquire)          R3  for each: take the head's lock,
 *     O3  read top; armed, or nothing there:        if armed still 1 and busy 0 (acquire): take
 *             busy = 0, slow path               R4  drop the lock
 *     O4  pop or push        (plain)
 *     O5  busy = 0           (release)          slow path: lock; armed = 0; work on the head; unlock
 *
 * 1. The membarrier R2 lies, for each running thread, at one point of its program, and is a full barrier there.
 * 2. O2 after that point: it sees armed 1, or what was written later (4 and 6): the operation goes to the slow path and does not
 *    touch the magazines inside its section.
 * 3. O2 before that point: so is O1, and the reclaimer sees busy 1 unless O5 came already. It sees 0 only if O5 of every such
 *    operation came, and by release and acquire sees all of their O4. So in R3 the magazines are quiet, and their contents
 *    are seen.
 *    [without the compiler barrier O2 could come before O1; with a fence on the reclaimer's side alone, O1 could still wait
 *     in the owner's store buffer while O2 reads 0: both are mutants that test/explorer kills]
 * 4. Only the owner clears armed, under the head's lock, and the reclaimer looks at armed under that lock. Armed 0 there means
 *    that the owner disarmed after R1, so 2 does not hold any more, and nothing may be taken: arm and barrier again.
 * 5. The owner's slow path and the reclaimer exclude each other by the head's lock. What the reclaimer left in the head
 *    (nothing: top == floor == limit) is seen by the owner's next slow path through the lock, and the fast path can not
 *    pass before that: armed is 1, or, once the head serves another pool (6), all three are NULL.
 * 6. An emptied head is disarmed, for the next pool with its number, by a release store after top, floor and limit; the
 *    acquire of O2 pairs with it, and top is read after it: who sees that 0 sees an empty head. An operation that was about
 *    to start when its pool was closed misses then, and no object of the old pool comes out of the new one. [O2 and O3 the
 *    other way round was the first version of this file: the explorer had it hand out an object twice in its 34th execution]
 * 7. busy 0 does not mean that the thread is idle, and nothing here takes it so. A busy 1 is waited for at most WAIT_NS in
 *    all, and only here: a thread can be stopped inside its section for as long as the scheduler likes.
 * 8. A refused membarrier is an answer, not an error: nothing is taken (but see `settled`), and from then on every
 *    slow path leaves floor == top == limit == NULL, so that all operations come out of line, under the lock alone.
 * 9. Two reclaimers would break 1 (armed by one, not yet behind the barrier of the other): there is one reclaim lock.
 *
 * test/explorer/protocol.c asserts these on this very code: no object is handed out twice or lost, no plain access races; each
 * order above, weakened alone, makes it fail (test/explorer: --mutants).
 */

OPOOL__STATE uint32_t opool__reclaim_lock;

enum { WAIT_NS = 10000000 };

/* ---- barriers ---- */

enum { UNKNOWN, USABLE, REFUSED };
static OPOOL__STATE uint32_t shared_barrier_state;

void opool__barrier_init(void)
{
    if (opool__load_relaxed(&shared_barrier_state) != UNKNOWN)
        return;
    uint32_t unknown = UNKNOWN, answer = opool__os.barrier_register() == 0 ? USABLE : REFUSED;
    opool__cas_relaxed(&shared_barrier_state, &unknown, answer);
}

bool opool__barrier_usable(void)
{
    return opool__load_relaxed(&shared_barrier_state) == USABLE;
}

bool opool__barrier(void)
{
    if (opool__barrier_usable() && opool__os.barrier() != 0)
        opool__store_relaxed(&shared_barrier_state, (uint32_t)REFUSED);
    return opool__barrier_usable();
}

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
    return opool__load_relaxed(&head->limit) == NULL;
}

/* Under the head's lock: may its magazines be touched? */
static bool settled(const struct closing *closing, const struct opool_head *head)
{
    if (closing->quiet || is_locked_mode(head))
        return true;
    return closing->barrier && opool__load_relaxed(&head->armed) && opool__load_acquire(&head->busy) == 0;
}

static bool take(const struct closing *closing, struct opool__thread *thread)
{
    struct opool__cache *cache = closing->cache;
    struct opool_head *head = &thread->heads[closing->number];
    if (!opool__lock_try(&head->shared_lock))
        return false;
    bool taken = settled(closing, head);
    if (taken) {
        cache->retired_puts += opool__load_relaxed(&head->puts);
        cache->stolen += opool__head_empty(cache->depot, thread->shard, head);
        opool__thread_mark(thread, closing->number, false);
    }
    opool__lock_drop(&head->shared_lock);
    return taken;
}

static void arm_all(const struct closing *closing)
{
    for (struct opool__thread *thread = opool__threads; thread; thread = thread->next)
        if (opool__thread_uses(thread, closing->number))
            opool__store_relaxed(&thread->heads[closing->number].armed, 1u);
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
