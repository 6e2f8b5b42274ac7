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
static uint32_t shared_may_have;
static bool all_may_be_out;
static bool exact; /* some thread asks for it: order matters, and is explored because the count is hooked */

static uint32_t may_have_more(uint32_t by)
{
    if (exact)
        return opool__add_relaxed(&shared_may_have, by) + by;
    return shared_may_have += by;
}

static void begin_get(bool forget)
{
    bool all = may_have_more(1) > most;
    all_may_be_out = all || (all_may_be_out && !forget);
}

static bool tighten(struct opool__cache *cache)
{
    bool all = opool__reclaim_tighten(cache);
    if (!all) {
        (void)may_have_more(0);
        may_hide = true;
    }
    return all;
}

static enum opool__bounded_result take(int timeout_ms, void **object)
{
    return opool__capacity_take(&pool.depot.store, &pool.cache, tighten, timeout_ms, object);
}

/* -1: refused. */
static int go_on_getting(int timeout_ms)
{
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
        (void)may_have_more(-1u);
        return -1;
    }
}

static int get(int timeout_ms)
{
    begin_get(false);
    return go_on_getting(timeout_ms);
}

static void put(int object)
{
    harness_put(&pool, object);
    if (object >= 0)
        (void)may_have_more(-1u);
}

/* ---- what threads do ---- */

static void get_put(void)
{
    put(get(0));
}

static void get_one(void)
{
    (void)get(0);
}

static void wait_one(void)
{
    (void)get(-1);
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
    put(get(10));
}

static void wait_discard(void)
{
    harness_discard(&pool, get(-1));
    (void)may_have_more(-1u);
}

/* A permit whose init fails, or an object that goes straight back. */
static void wait_fail(void)
{
    void *object;
    begin_get(false);
    switch (take(-1, &object)) {
    case OPOOL__BOUNDED_PERMIT:
        opool__bounded_return(&pool.depot.store);
        (void)may_have_more(-1u);
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
    begin_get(true);
    int object = go_on_getting(0);
    if (object < 0)
        (void)may_have_more(0); /* whoever begins a get comes before this look, or behind it */
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
    exact = false;
    opool__store_relaxed(&shared_may_have, 0u);
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
    exact = true;
}

static void start_cached_one_timeless(void)
{
    start_cached_one();
    harness_stop_clock();
    exact = true;
}

static void start_cached_two_exact(void)
{
    start_cached_two();
    exact = true;
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

/* Tight already, and all there is in thread 1's hands. */
static void hold_and_fail(void)
{
    hold_one();
    (void)get(0);
}

static void start_held_tight(void)
{
    start(1, 2);
    harness_run_as(1, hold_and_fail);
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
/* Small enough to be run without bounds, which took `need` executions; 0: it may be too much for the time there is. */
#define SMALL(title, first, one, two, end, need) \
    { \
        .name = title, .init = first, .body = {one, two}, .fini = end, .reduce = true, .must = need \
    }
#define SMALL3(title, first, one, two, three, end, need) \
    { \
        .name = title, .init = first, .body = {one, two, three}, .fini = end, .reduce = true, .must = need \
    }
/* Without a bound on preemptions, but with one on stale reads. */
#define STALE1(title, first, one, two, three, end, need) \
    { \
        .name = title, .init = first, .body = {one, two, three}, .fini = end, .reduce = true, .stale = 1, .must = need \
    }
#define THREE(title, first, one, two, three, end) \
    { \
        .name = title, .init = first, .body = {one, two, three}, .fini = end, .preemptions = 3, .stale = 1 \
    }

static const struct explorer_test tests[] = {
    SMALL("a put against a waiter, small", start_held, put_the_first, wait_put, account, 0),
    SMALL("a get against an owner's put, small", start_held, put_the_first, get_put, account, 50160),
    SMALL("close against a waiter, small", start_held, close_store, closed_or_put, account, 59),
    SMALL("a put against one who waits", start_held, put_the_first, wait_one, account, 0),
    SMALL("a put in the tight mode against one who waits", start_held_tight, put_the_first, wait_one, account, 62),
    SMALL("a put in the tight mode against a waiter", start_held_tight, put_the_first, wait_put, account, 71),
    SMALL3("a put, two who wait, in the tight mode", start_held_tight, put_the_first, wait_put, wait_put, account,
           9971),
    SMALL3("a put, one who waits, a tick, in the tight mode", start_held_tight, put_the_first, wait_one, tick, account,
           2105),
    SMALL("a put against a get", start_held, put_the_first, get_one, account, 50160),
    SMALL("a get against a get of the last one", start_cached_one, get_one, get_one, account, 854601),
    SMALL("a thread's end against one who waits", start_cached_one, leave_thread, wait_one, account, 173),
    SMALL("a get in the tight mode against leaving it", start_tight, get_one, loosen, account, 30),
    SMALL("a put in the tight mode against leaving it", start_held_tight, put_the_first, loosen, account, 24),
    SMALL("a get in the tight mode against a tick", start_tight, get_one, tick, account, 72),
    SMALL("a put at the capacity against a tick", start_two_held, put_the_first, tick, account, 348),
    SMALL("a put in the tight mode against a tick", start_held_tight, put_the_first, tick, account, 81),
    SMALL("a failed init against one who waits", start_one, wait_fail, wait_put, account, 0),
    SMALL("no barrier: a put against one who waits", start_refused, put_the_first, wait_one, account, 64791),
    STALE1("a put, one who waits, a tick", start_held, put_the_first, wait_one, tick, account, 0),
    STALE1("a put, one who waits, leaving the mode", start_held, put_the_first, wait_one, loosen, account, 0),
    STALE1("a put, one who waits, one who does not", start_held, put_the_first, wait_put, get_put, account, 0),
    STALE1("two gets against a put", start_held, put_the_first, get_one, get_one, account, 0),
    SMALL3("a get in the tight mode, a tick, leaving it", start_tight, get_one, tick, loosen, account, 3921),
    PAIR("a get against an owner that caches one of two", start_cached_two, get_put_twice, get_put,
         account_none_failed),
    PAIR("a waiter, and a put that is a hit", start_held, put_the_first, wait_put, account),
    PAIR("a waiter, and a put before the thread ends", start_held, put_and_leave, wait_put, account),
    PAIR("a waiter against gets and puts", start_cached_one, get_put_twice, wait_put_twice, account),
    PAIR("two waiters in turn", start_one, wait_put_twice, wait_put_twice, account),
    PAIR("a waiter whose time is over", start_held, put_the_first, wait_shortly, account),
    PAIR("discard wakes", start_cached_one, wait_discard, wait_put, account),
    PAIR("a failed init wakes", start_one, wait_fail, wait_put, account),
    SMALL("close wakes", start_held, close_store, closed_or_put, account, 59),
    SMALL("leaving the tight mode, and a waiter", start_tight, use_both, loosen, account, 98),
    PAIR("a waiter while the mode is left", start_two_held, put_both, wait_put, account),
    SMALL("no barrier: a waiter, and a put", start_refused, put_the_first, wait_put, account, 64836),
    PAIR("ticks in the tight mode", start_tight, use_both, tick_thrice, account_all),
    PAIR("puts against a tick, a get at the capacity, a tick", start_two_held, put_both, tick_get_tick, account),
    PAIR("ticks and a waiter", start_held, put_the_first, wait_put, account_all),
    SMALL("a get beside a tick's tear-down", start_doomed, tear_down, get_beside_others, account, 89817),
    PAIR("a get beside release", start_cached_one_timeless, release, get_beside_others, account),
    PAIR("nobody overtakes", start_held, put_when_waiting_and_get, wait_and_say, account),
    THREE("two waiters and a put", start_held, put_the_first, wait_put, wait_put, account),
    THREE("a waiter, an owner, and leaving the mode", start_cached_one, get_put_twice, wait_put, loosen, account),
    THREE("a waiter, an owner, and a tick", start_cached_one, get_put, wait_put, tick, account),
    THREE("a get while the mode is left", start_cached_two_exact, loosen_and_use, get_put, get_beside_others, account),
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
