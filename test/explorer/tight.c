/* SPDX-License-Identifier: MIT */
/*
 * Pools at their capacity: the tight mode of pool/cache/reclaim.c, and waiters, with thread caches on. Never more
 * objects than the capacity; a get fails only when all are out, or an owner hides some in the middle of an operation;
 * nobody sleeps while something is idle (to the explorer that is a livelock); the oldest waiter is served first.
 */
#include "cache/capacity.h"
#include "harness.h"

static struct opool pool;
static unsigned most;        /* of the pool */
static unsigned failed;      /* gets that the capacity refused */
static bool may_hide;        /* some refusal came while an owner could hide objects */
static uint32_t shared_step; /* lets one thread wait for another */

/* ---- gets ---- */

/* Threads that hold an object or are inside a get. As long as these are not more than there are objects, with the one
   that asks, somebody's get may not fail. */
static unsigned may_have;
static bool all_may_be_out;

static void begin_get(void)
{
    if (++may_have > most)
        all_may_be_out = true;
}

static bool tighten(struct opool__cache *cache)
{
    bool all = opool__reclaim_tighten(cache);
    may_hide = !all || may_hide;
    return all;
}

static enum opool__bounded_result take(int timeout_ms, void **object)
{
    return opool__capacity_take(&pool.depot.store, &pool.cache, tighten, timeout_ms, object);
}

/* -1: refused. */
static int get(int timeout_ms)
{
    begin_get();
    int number = harness_get(&pool);
    void *object;
    if (number >= 0)
        return number;
    switch (take(timeout_ms, &object)) {
    case OPOOL__BOUNDED_OBJECT:
        return harness_hold(object);
    case OPOOL__BOUNDED_PERMIT:
        return harness_build(&pool);
    default:
        failed++;
        may_have--;
        return -1;
    }
}

static void put(int object)
{
    harness_put(&pool, object);
    may_have -= object >= 0;
}

/* ---- what threads do ---- */

static void get_put(void)
{
    put(get(0));
}

static void get_put_twice(void)
{
    get_put();
    get_put();
}

static void wait_put(void)
{
    put(get(-1));
}

static void wait_put_twice(void)
{
    wait_put();
    wait_put();
}

static void wait_shortly(void)
{
    put(get(5));
}

static void wait_discard(void)
{
    harness_discard(&pool, get(-1));
    may_have--;
}

/* A permit whose init fails, or an object that goes straight back. */
static void wait_fail(void)
{
    void *object;
    begin_get();
    switch (take(-1, &object)) {
    case OPOOL__BOUNDED_PERMIT:
        opool__bounded_return(&pool.depot.store);
        may_have--;
        break;
    case OPOOL__BOUNDED_OBJECT:
        put(harness_hold(object));
        break;
    default:
        break;
    }
}

static void tick(void)
{
    (void)harness_tick();
}

static void tick_thrice(void)
{
    tick();
    tick();
    tick();
}

static void tick_get_tick(void)
{
    tick();
    (void)get(0);
    tick();
}

static void loosen(void)
{
    harness_later(2000);
    opool__reclaim_loosen(&pool.cache);
}

static void loosen_and_use(void)
{
    loosen();
    get_put();
}

/* The exactness of a get that does not wait. */
static void get_beside_others(void)
{
    all_may_be_out = false;
    int object = get(0);
    explorer_check(object >= 0 || all_may_be_out || may_hide, "a get was refused, and never all were out");
    put(object);
}

static void tear_down(void)
{
    harness_tear_down();
}

static void release(void)
{
    opool__reclaim_begin();
    opool__reclaim_all();
    opool__reclaim_end();
    harness_release(&pool);
}

static void leave_thread(void)
{
    struct opool__thread *thread = opool__thread_known();
    if (thread)
        opool__cache_leave(thread);
}

static void put_and_leave(void)
{
    put(0);
    leave_thread();
}

static void put_the_first(void)
{
    put(0);
}

static void put_both(void)
{
    put(0);
    put(1);
}

static void use_both(void)
{
    int a = get(0), b = get(0);
    put(a);
    put(b);
}

static void close_store(void)
{
    opool__bounded_close(&pool.depot.store);
}

static void closed_or_put(void)
{
    put(get(-1));
}

/* ---- beginnings ---- */

static void start(unsigned capacity, uint32_t magazine)
{
    harness_reset(1);
    most = capacity;
    failed = 0;
    may_hide = false;
    may_have = 0;
    opool__store_relaxed(&shared_step, 0u);
    harness_open_bounded(&pool, magazine, capacity);
    for (unsigned t = 1; t <= 3; t++)
        harness_attach(t);
}

static void start_one(void)
{
    start(1, 1);
}

/* Thread 1 caches all there is. */
static void start_cached_one(void)
{
    start(1, 2);
    harness_run_as(1, get_put);
}

static void start_cached_two(void)
{
    start(2, 2);
    harness_run_as(1, use_both);
}

/* All there is, is due to be torn down. A get may wait for that, so time stands still. */
static void start_doomed(void)
{
    start_cached_one();
    for (int i = 0; i < 3; i++)
        (void)harness_age();
    harness_stop_clock();
}

static void start_cached_one_timeless(void)
{
    start_cached_one();
    harness_stop_clock();
}

/* Thread 1 has one, and a head in use: its put is a hit. */
static void hold_one(void)
{
    get_put();
    (void)get(0);
}

static void start_held(void)
{
    start(1, 2);
    harness_run_as(1, hold_one);
}

/* Both are out, in thread 1's hands. */
static void hold_two(void)
{
    use_both();
    (void)get(0);
    (void)get(0);
}

static void start_two_held(void)
{
    start(2, 2);
    harness_run_as(1, hold_two);
}

/* Tight already, and everything idle. */
static void fail_once(void)
{
    int a = get(0), b = get(0);
    (void)get(0);
    put(a);
    put(b);
}

static void start_tight(void)
{
    start(2, 2);
    harness_run_as(1, fail_once);
    failed = 0;
}

static void start_refused(void)
{
    harness_reset(1);
    harness_refuse_barrier(1);
    most = 1;
    failed = 0;
    harness_open_bounded(&pool, 2, 1);
    harness_attach(1);
    harness_attach(2);
    harness_run_as(1, hold_one);
}

/* ---- ends ---- */

static void account(void)
{
    explorer_check(pool.depot.store.oldest == NULL, "a waiter was left");
    explorer_check(pool.depot.store.held <= most, "more objects than the capacity");
    harness_account_built(&pool);
}

/* Somebody used at most one of two at a time, so that the others' gets had to succeed. */
static void account_none_failed(void)
{
    explorer_check(failed == 0 || may_hide, "a get failed with an object idle");
    account();
}

static void account_all(void)
{
    harness_ticks_leave_nothing();
    explorer_check(pool.depot.store.held == 0, "a permit was lost");
    account();
}

/* ---- first come, first served ---- */

static bool waits(void)
{
    return pool.depot.store.oldest != NULL;
}

/* Once the mode is tight he who waits gets the object, not he who comes now. (Before, the owner of a cache may take
   what it has just put: the waiter's call is only beginning.) */
static void put_when_waiting_and_get(void)
{
    while (opool__load_relaxed(&pool.depot.store.shared_tight) != OPOOL__TIGHT &&
           opool__load_relaxed(&shared_step) == 0)
        explorer_yield();
    put(0);
    int mine = get(0);
    explorer_check(mine < 0 || !waits(), "a get overtook a waiter");
    put(mine);
}

static void wait_and_say(void)
{
    int mine = get(-1);
    opool__store_relaxed(&shared_step, 1u);
    put(mine);
}

#define PAIR(title, first, one, two, end) \
    { \
        .name = title, .init = first, .body = {one, two}, .fini = end, .preemptions = 4, .stale = 2 \
    }
/* Small enough to be run without bounds. */
#define SMALL(title, first, one, two, end) \
    { \
        .name = title, .init = first, .body = {one, two}, .fini = end, .reduce = true \
    }
#define THREE(title, first, one, two, three, end) \
    { \
        .name = title, .init = first, .body = {one, two, three}, .fini = end, .preemptions = 3, .stale = 1 \
    }

static const struct explorer_test tests[] = {
    SMALL("a put against a waiter, small", start_held, put_the_first, wait_put, account),
    SMALL("a get against an owner's put, small", start_held, put_the_first, get_put, account),
    SMALL("close against a waiter, small", start_held, close_store, closed_or_put, account),
    PAIR("a get against an owner that caches one of two", start_cached_two, get_put_twice, get_put,
         account_none_failed),
    PAIR("a waiter, and a put that is a hit", start_held, put_the_first, wait_put, account),
    PAIR("a waiter, and a put before the thread ends", start_held, put_and_leave, wait_put, account),
    PAIR("a waiter against gets and puts", start_cached_one, get_put_twice, wait_put_twice, account),
    PAIR("two waiters in turn", start_one, wait_put_twice, wait_put_twice, account),
    PAIR("a waiter whose time is over", start_held, put_the_first, wait_shortly, account),
    PAIR("discard wakes", start_cached_one, wait_discard, wait_put, account),
    PAIR("a failed init wakes", start_one, wait_fail, wait_put, account),
    PAIR("close wakes", start_held, close_store, closed_or_put, account),
    PAIR("leaving the tight mode, and a waiter", start_tight, use_both, loosen, account),
    PAIR("a waiter while the mode is left", start_two_held, put_both, wait_put, account),
    PAIR("no barrier: a waiter, and a put", start_refused, put_the_first, wait_put, account),
    PAIR("ticks in the tight mode", start_tight, use_both, tick_thrice, account_all),
    PAIR("puts against a tick, a get at the capacity, a tick", start_two_held, put_both, tick_get_tick, account),
    PAIR("ticks and a waiter", start_held, put_the_first, wait_put, account_all),
    PAIR("a get beside a tick's tear-down", start_doomed, tear_down, get_beside_others, account),
    PAIR("a get beside release", start_cached_one_timeless, release, get_beside_others, account),
    PAIR("nobody overtakes", start_held, put_when_waiting_and_get, wait_and_say, account),
    THREE("two waiters and a put", start_held, put_the_first, wait_put, wait_put, account),
    THREE("a waiter, an owner, and leaving the mode", start_cached_one, get_put_twice, wait_put, loosen, account),
    THREE("a waiter, an owner, and a tick", start_cached_one, get_put, wait_put, tick, account),
    THREE("a get while the mode is left", start_cached_two, loosen_and_use, get_put, get_beside_others, account),
    THREE("two gets against an owner", start_cached_two, get_put, get_put, tick, account_none_failed),
};

static const struct explorer_unneeded unneeded[] = {
    {"add_extent: store_release(&slab->shared_extents)", EXPLORER_DROP_RELEASE,
     "pairs with opool__slab_find, which judges pointers without a lock: not in these tests"},
};

int main(int argc, char **argv)
{
    static const struct explorer_program program = {tests, sizeof tests / sizeof *tests, unneeded,
                                                    sizeof unneeded / sizeof *unneeded, "pool/"};
    return explorer_main(&program, argc, argv);
}
