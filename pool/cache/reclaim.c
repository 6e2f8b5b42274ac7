/* SPDX-License-Identifier: MIT */
#include "cache/reclaim.h"

#include "cache/barrier.h"
#include "epoch/epoch.h"
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
 * 7. busy 0 does not mean that the thread is idle, and nothing here takes it so. A tick arms each head that it finds
 *    disarmed, with one membarrier for all of them, and takes what it finds still armed: since the tick before, its
 *    owner made no operation but those that were in their section at that time. A tick never waits for busy 1: the
 *    next tick looks again, and the head counts as steal_timeouts. Only close, release and the tight mode take at
 *    once, and close and the tight mode wait, WAIT_NS in all.
 * 8. A refused membarrier is an answer, not an error: nothing is taken (but see `settled`), and from then on every
 *    slow path leaves floor == top == limit == NULL, so that all operations come out of line, under the lock
 *    alone. Such heads a tick reads, ages and empties like a shard's magazine.
 * 9. Two reclaimers would break 1 (armed by one, not yet behind the barrier of the other): there is one reclaim
 *    lock.
 *
 * And why a tick may take from the cache of a thread that runs, without a barrier: what its owner does not need.
 *
 * 10. The floor stands at slots + low, and the fast path pops only above it, and pushes above top: it does not touch
 *     the `low` lowest slots. `low` goes down in slow paths only (a get that finds top at the floor), in steps of 1, 2,
 *     4, 8, 8, ...: so what is taken as used and was not is at most 8 objects, those of the promise.
 * 11. In a slow path the owner wrote those slots before, or under, the head's lock, or before the slow path that raised
 *     `low`, so a tick that holds the lock sees them. It copies them out, notes the gap (`vacant`) and arms the head;
 *     the owner's next slow path closes the gap and raises low to its count: what is there then has not been used since
 *     that tick.
 * 12. Armed by somebody else than a tick (a tight mode that timed out), low stays: it must not count as unused what was
 *     used before. OPOOL__LOW_ALL tells the two apart.
 *
 * test/explorer/protocol.c, tick.c and tight.c assert these on this very code: no object is handed out twice or
 * lost, no plain access races; each order above, weakened alone, makes one of them fail (test/explorer: --mutants).
 */

OPOOL__STATE uint32_t opool__reclaim_lock;

/* Meanwhile the reclaim and threads locks are held: attaching, ending threads, figures and fork wait too. */
enum { WAIT_NS = 10000000 };

/* Heads that a tick looks at without letting other users of the threads lock in. */
enum { HEADS_AT_ONCE = 64 };

enum { LOOSEN_TICKS = 2, LOOSEN_NS = 1000000000 };

void opool__reclaim_begin(void)
{
    opool__lock_take(&opool__reclaim_lock);
}

bool opool__reclaim_try_begin(void)
{
    return opool__lock_try(&opool__reclaim_lock);
}

void opool__reclaim_end(void)
{
    opool__lock_drop(&opool__reclaim_lock);
}

/* ---- a head, under its lock ---- */

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

/* Armed before a barrier that came already, and the owner is not inside its section: the magazines are quiet. */
static bool is_quiet(const struct opool_head *head)
{
    return is_armed(head) && opool__load_acquire(&head->busy) == 0;
}

/* ---- ticks ---- */

struct tick {
    uint32_t number;
    bool armed; /* some head: a barrier has to follow */
    uint64_t heads;
};

/* Armed by an earlier reclaimer, who was not done before its barrier: `usable` says that none was refused. */
static bool retires(const struct opool_head *head)
{
    return opool__barrier_usable() && is_quiet(head);
}

static void tick_head_locked(struct tick *tick, struct opool__thread *thread, uint32_t number)
{
    struct opool__cache *cache = opool__cache_of(number);
    struct opool_head *head = &thread->heads[number];
    if (is_locked_mode(head)) {
        cache->stolen += opool__head_age(thread, number, tick->number, false);
        if (opool__head_objects(head) == 0)
            (void)opool__head_give_up(thread, number);
    } else if (!is_armed(head)) {
        cache->stolen += opool__head_age(thread, number, tick->number, true);
        tick->armed = true;
    } else if (retires(head)) {
        cache->stolen += opool__head_retire(thread, number, tick->number);
    } else {
        cache->steal_timeouts++;
    }
    if (cache->idle_tick != tick->number)
        cache->idle_at_tick = 0;
    cache->idle_tick = tick->number;
    cache->idle_at_tick += opool__head_objects(head);
}

static void tick_head(struct tick *tick, struct opool__thread *thread, uint32_t number)
{
    struct opool_head *head = &thread->heads[number];
    if (opool__lock_try(&head->shared_lock)) {
        tick_head_locked(tick, thread, number);
        opool__lock_drop(&head->shared_lock);
    } else {
        /* Its owner is changing magazines right now, or was stopped there. What this tick does not see the next one
           sees, and knows its age by `seen`. */
        opool__cache_of(number)->steal_timeouts++;
    }
    if (++tick->heads % HEADS_AT_ONCE == 0) {
        opool__lock_drop(&opool__threads_lock);
        opool__lock_take(&opool__threads_lock);
    }
}

static uint64_t count_heads(const struct opool__thread *thread)
{
    uint64_t heads = 0;
    for (uint32_t number = 0; (number = opool__thread_next_used(thread, number)) != 0;)
        heads++;
    return heads;
}

/* Threads without a head in use leave the list. Returns the heads of the others. */
static uint64_t unlist_unused(void)
{
    uint64_t left = 0;
    for (struct opool__thread **link = &opool__threads_listed, *thread; (thread = *link) != NULL;) {
        uint64_t heads = count_heads(thread);
        left += heads;
        if (heads) {
            link = &thread->next_listed;
            continue;
        }
        *link = thread->next_listed;
        thread->listed = false;
    }
    return left;
}

uint64_t opool__reclaim_tick(uint32_t number)
{
    struct tick tick = {.number = number};
    opool__lock_take(&opool__threads_lock);
    /* The lock may be dropped on the way: records stay in the list, new ones come in front. */
    for (struct opool__thread *thread = opool__threads_listed; thread; thread = thread->next_listed)
        for (uint32_t head = 0; (head = opool__thread_next_used(thread, head)) != 0;)
            tick_head(&tick, thread, head);
    uint64_t left = unlist_unused();
    opool__lock_drop(&opool__threads_lock);
    if (tick.armed)
        (void)opool__barrier();
    return left;
}

/* ---- sweeps: emptying heads now ---- */

struct sweep {
    uint32_t number; /* of the pool; 0: of all pools */
    bool quiet, barrier;
};

/* Under the head's lock: may its magazines be touched? The calling thread is outside its own section. */
static bool settled(const struct sweep *sweep, const struct opool__thread *thread, const struct opool_head *head)
{
    if (sweep->quiet || is_locked_mode(head) || thread == opool__thread_known())
        return true;
    return sweep->barrier && is_quiet(head);
}

static bool take(const struct sweep *sweep, struct opool__thread *thread, uint32_t number)
{
    struct opool_head *head = &thread->heads[number];
    if (!opool__lock_try(&head->shared_lock))
        return false;
    bool taken = settled(sweep, thread, head);
    if (taken)
        opool__cache_of(number)->stolen += opool__head_give_up(thread, number);
    opool__lock_drop(&head->shared_lock);
    return taken;
}

/* A head whose lock is held is in use right now: the next round arms it. In the locked mode there is nothing to arm. */
static bool arm(const struct sweep *sweep, struct opool__thread *thread, uint32_t number)
{
    (void)sweep;
    struct opool_head *head = &thread->heads[number];
    if (!opool__lock_try(&head->shared_lock))
        return true;
    if (!is_locked_mode(head))
        opool__head_arm(head);
    opool__lock_drop(&head->shared_lock);
    return true;
}

/* Under opool__threads_lock. Returns for how many heads `act` said no. */
static unsigned each_head(const struct sweep *sweep,
                          bool (*act)(const struct sweep *, struct opool__thread *, uint32_t number))
{
    unsigned refused = 0;
    for (struct opool__thread *thread = opool__threads_listed; thread; thread = thread->next_listed) {
        if (sweep->number && opool__thread_uses(thread, sweep->number))
            refused += !act(sweep, thread, sweep->number);
        for (uint32_t n = 0; !sweep->number && (n = opool__thread_next_used(thread, n)) != 0;)
            refused += !act(sweep, thread, n);
    }
    return refused;
}

static unsigned take_round(struct sweep *sweep)
{
    (void)each_head(sweep, arm);
    sweep->barrier = !sweep->quiet && opool__barrier();
    return each_head(sweep, take);
}

/* Rounds of arm, barrier, take, until nothing is left or the time is over. */
static unsigned take_rounds(struct sweep *sweep)
{
    uint64_t deadline = opool__os.now() + WAIT_NS;
    unsigned left;
    while ((left = take_round(sweep)) != 0 && (sweep->quiet || sweep->barrier) && opool__os.now() < deadline)
        opool__spin_hint();
    return left;
}

void opool__reclaim_all(void)
{
    struct sweep sweep = {0};
    opool__lock_take(&opool__threads_lock);
    (void)take_round(&sweep);
    opool__lock_drop(&opool__threads_lock);
}

bool opool__reclaim_close(struct opool__cache *cache, bool quiet)
{
    opool__lock_take(&opool__reclaim_lock);
    opool__lock_take(&opool__threads_lock);
    struct sweep sweep = {.number = cache->shared_number, .quiet = quiet};
    unsigned left = 0;
    /* Relaxed: who takes a head into use or works on one looks at it under a lock that is taken here later. */
    opool__store_relaxed(&cache->shared_closing, 1u);
    if (sweep.number) {
        left = take_rounds(&sweep);
        cache->steal_timeouts += left;
        if (!left)
            opool__cache_free_number(cache);
    }
    opool__lock_drop(&opool__threads_lock);
    opool__lock_drop(&opool__reclaim_lock);
    return left == 0;
}

/* ---- the tight mode of a pool at its capacity ---- */

/*
 * 13. As long as the cache is tight every operation of the pool works on the locked store: owners look at shared_tight
 *     under their head's lock (4, 5), and an owner that was inside its section when the mode began is armed, so comes
 *     out of line at its next operation and hands in what it has.
 * 14. TIGHT is written after each head was taken by the rules above, and the shards, which only owners fill, behind
 *     them. So a take that finds nothing in the store then is right. Until then (TIGHTENING) an owner may hide
 *     objects, and whoever needs one looks again.
 * 15. Who waits has queued first, under the store's lock. Leaving the mode holds that lock, and no one may wait: either
 *     it sees the waiter, or the waiter sees LOOSE, and tightens again. So no object goes into a head while somebody
 *     waits, but to owners that 14 looks for.
 * 16. Who does not wait is refused only by a look that found nothing and TIGHT under that same lock. [to tighten, and
 *     then to look, is not enough: between the two the mode can be left, and others cache what is idle; found by a
 *     Spin model, test/spin/refusal.pml]
 */

bool opool__reclaim_tighten(struct opool__cache *cache)
{
    uint32_t *shared_tight = opool__cache_tight(cache);
    opool__lock_take(&opool__reclaim_lock);
    opool__lock_take(&opool__threads_lock);
    struct sweep sweep = {.number = cache->shared_number};
    unsigned left = 0;
    if (opool__load_relaxed(shared_tight) == OPOOL__LOOSE) {
        cache->tightened++;
        cache->tight_tick = opool__epoch_now();
        cache->tight_ns = opool__os.now();
        opool__store_relaxed(shared_tight, (uint32_t)OPOOL__TIGHTENING);
    }
    if (sweep.number && opool__load_relaxed(shared_tight) == OPOOL__TIGHTENING) {
        left = take_rounds(&sweep);
        cache->steal_timeouts += left;
        opool__depot_drain(cache->depot);
    }
    if (!left)
        opool__store_relaxed(shared_tight, (uint32_t)OPOOL__TIGHT); /* the lock of the drain orders it */
    opool__lock_drop(&opool__threads_lock);
    opool__lock_drop(&opool__reclaim_lock);
    return left == 0;
}

void opool__reclaim_loosen_at_tick(struct opool__cache *cache, uint64_t tick)
{
    if (opool__load_relaxed(opool__cache_tight(cache)) && tick - cache->tight_tick >= LOOSEN_TICKS)
        (void)opool__bounded_loosen(&cache->depot->store);
}

void opool__reclaim_loosen(struct opool__cache *cache)
{
    if (!opool__load_relaxed(opool__cache_tight(cache)) || !opool__lock_try(&opool__reclaim_lock))
        return;
    if (opool__os.now() - cache->tight_ns >= LOOSEN_NS)
        (void)opool__bounded_loosen(&cache->depot->store);
    opool__lock_drop(&opool__reclaim_lock);
}
