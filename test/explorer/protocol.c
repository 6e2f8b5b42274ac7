/* SPDX-License-Identifier: MIT */
/*
 * The protocol of pool/cache/reclaim.c, on the library's own code: owners on their fast and slow paths, reclaimers,
 * threads that end, numbers that are used again. In all of them no object may be handed out twice or lost, and no plain
 * access race.
 */
#include "harness.h"
#include "os/lock.h"

static struct opool pool, other;

static void only_get(void)
{
    (void)harness_get(&pool);
}

static void put_0(void)
{
    harness_put(&pool, 0);
}

static void put_1(void)
{
    harness_put(&pool, 1);
}

static void get_and_put(void)
{
    int object = harness_get(&pool);
    harness_put(&pool, object);
}

static void close_pool(void)
{
    harness_close(&pool);
}

static void close_once(void)
{
    (void)opool__reclaim_close(&pool.cache, false);
}

static void leave_thread(void)
{
    struct opool__thread *thread = opool__thread_known();
    if (thread)
        opool__cache_leave(thread);
}

/* ---- one owner, one reclaimer ---- */

/* The owner's magazine holds two objects: all its operations are hits until the head is armed. */
static void start_hot(void)
{
    harness_reset(1);
    harness_open(&pool, 2);
    harness_attach(1);
    harness_attach(2);
    harness_run_as(1, put_0);
    harness_run_as(1, put_1);
}

static void owner_hot(void)
{
    int object = harness_get(&pool);
    harness_put(&pool, object);
    (void)harness_get(&pool);
}

static void owner_runs(void)
{
    int objects[2];
    harness_get_two(&pool, objects);
    harness_put_two(&pool, objects);
}

static void account_two(void)
{
    harness_account(&pool, 0, 2);
}

/* Magazines of one: every second operation swaps or goes to the depot, under the head's lock. */
static void start_slow(void)
{
    harness_reset(1);
    harness_open(&pool, 1);
    harness_attach(1);
    harness_attach(2);
    harness_run_as(1, put_0);
    harness_run_as(1, put_1);
}

static void owner_slow(void)
{
    int a = harness_get(&pool), b = harness_get(&pool);
    harness_put(&pool, a);
    harness_put(&pool, b);
}

/* The head is not in use yet when the reclaimer starts. */
static void start_cold(void)
{
    harness_reset(1);
    harness_open(&pool, 1);
    harness_attach(1);
    harness_attach(2);
    harness_stock(&pool, 0, 2);
}

static void owner_cold(void)
{
    int a = harness_get(&pool);
    harness_put(&pool, a);
    (void)harness_get(&pool);
}

/* One of the two is out. */
static void start_one_out(void)
{
    harness_reset(1);
    harness_open(&pool, 2);
    harness_attach(1);
    harness_attach(2);
    harness_run_as(1, put_0);
}

static void only_get_two(void)
{
    only_get();
    only_get();
}

static void only_get_run(void)
{
    int objects[2];
    harness_get_two(&pool, objects);
}

/* ---- barriers refused ---- */

static void start_refused(void)
{
    harness_reset(1);
    harness_refuse_barrier(1);
    harness_open(&pool, 2);
    harness_attach(1);
    harness_attach(2);
    harness_run_as(1, put_0);
    harness_run_as(1, put_1);
}

/* The first close finds no barrier any more: heads that work without their lock must be left alone. */
static void start_refused_later(void)
{
    start_hot();
    harness_refuse_barrier(2);
}

/* One reclaimer that gets a barrier, another one that does not. */
static void start_refused_third(void)
{
    start_hot();
    harness_refuse_barrier(3);
}

/* ---- number reuse ---- */

static uint32_t shared_new_pool; /* 1: `other` is open and may be used */

static void start_reuse(void)
{
    start_hot();
    opool__store_relaxed(&shared_new_pool, 0u);
}

/* close does not ask what other threads do; the new pool gets the lowest number, the old one's. */
static void close_and_reopen(void)
{
    harness_close(&pool);
    harness_open(&other, 2);
    explorer_check(other.cache.shared_number == 1, "the lowest free number was not taken");
    opool__store_release(&shared_new_pool, 1u);
}

/* In the middle of using the old pool the new one appears. */
static void owner_of_both(void)
{
    int old = harness_get(&pool);
    harness_put(&pool, old);
    if (opool__load_acquire(&shared_new_pool)) {
        int object = harness_get(&other);
        harness_check_range(object, 2, 1);
        if (object < 0) {
            harness_put(&other, 2);
            harness_check_range(harness_get(&other), 2, 1);
        }
    }
}

static void account_reuse(void)
{
    if (opool__load_relaxed(&shared_new_pool))
        (void)opool__reclaim_close(&other.cache, true);
    harness_account(&pool, 0, 2);
}

/* destroy: the caller promises that the owner is outside, and orders itself behind it. */
static uint32_t shared_owner_done;

static void start_destroy(void)
{
    start_reuse();
    opool__store_relaxed(&shared_owner_done, 0u);
}

static void owner_then_new(void)
{
    int old = harness_get(&pool);
    harness_put(&pool, old);
    opool__store_release(&shared_owner_done, 1u);
    if (opool__load_acquire(&shared_new_pool)) {
        harness_check_range(harness_get(&other), 2, 1);
        harness_put(&other, 2);
        harness_check_range(harness_get(&other), 2, 1);
    }
}

static void destroy_and_reopen(void)
{
    if (!opool__load_acquire(&shared_owner_done))
        return;
    opool__store_release(&pool.front.offset, 0u);
    explorer_check(opool__reclaim_close(&pool.cache, true), "destroy left a head behind");
    harness_open(&other, 2);
    opool__store_release(&shared_new_pool, 1u);
}

/* ---- thread exit ---- */

static void owner_leaves(void)
{
    (void)harness_get(&pool);
    leave_thread();
}

static void owner_leaves_and_puts(void)
{
    int object = harness_get(&pool);
    leave_thread();
    harness_put(&pool, object);
}

/* What an ended thread cached, another one gets; the record is used again by a third thread's attach. */
static void start_exit(void)
{
    harness_reset(1);
    harness_open(&pool, 1);
    harness_attach(1);
    harness_attach(2);
    harness_run_as(1, put_0);
    harness_run_as(2, put_1);
}

static void newcomer(void)
{
    int a = harness_get(&pool), b = harness_get(&pool);
    harness_put(&pool, a);
    harness_put(&pool, b);
}

static void start_newcomer(void)
{
    harness_reset(1);
    harness_open(&pool, 1);
    harness_attach(1);
    harness_run_as(1, put_0);
    harness_run_as(1, put_1);
}

/* ---- depot exchange ---- */

static void start_exchange(void)
{
    harness_reset(2);
    harness_open(&pool, 1);
    harness_attach(1);
    harness_attach(2);
    harness_stock(&pool, 0, 2);
}

static void two_gets_two_puts(void)
{
    int a = harness_get(&pool), b = harness_get(&pool);
    harness_put(&pool, a);
    harness_put(&pool, b);
}

/* A thread without a cache takes single objects out of magazines. */
static void pop_one(void)
{
    harness_pop(&pool);
}

/* ---- runs ---- */

static uint32_t lock;
static uint64_t guarded;

static void start_lock(void)
{
    harness_reset(1);
    lock = 0;
    guarded = 0;
}

static void add_under_lock(void)
{
    opool__lock_take(&lock);
    opool__write_plain(&guarded, opool__read_plain(&guarded) + 1);
    opool__lock_drop(&lock);
}

static void account_lock(void)
{
    explorer_check(guarded == 3 && lock == 0, "the lock let two in");
}

static void add_if_free(void)
{
    if (!opool__lock_try(&lock))
        opool__lock_take(&lock);
    opool__write_plain(&guarded, opool__read_plain(&guarded) + 1);
    opool__lock_drop(&lock);
}

static void start_real_lock(void)
{
    start_lock();
    harness_real_locks();
}

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

static const struct explorer_test tests[] = {
    SMALL3("lock: three threads, its own code", start_real_lock, add_under_lock, add_if_free, add_under_lock,
           account_lock, 3631),
    SMALL("a get against a close", start_hot, only_get, close_once, account_two, 6137),
    SMALL("a put against a close", start_one_out, put_1, close_once, account_two, 6392),
    SMALL("a slow get against a close", start_slow, only_get_two, close_once, account_two, 440529),
    SMALL("a first get against a close", start_cold, only_get, close_once, account_two, 1663),
    SMALL("a run against a close", start_hot, only_get_run, close_once, account_two, 7763),
    SMALL("a thread's end against a close", start_hot, leave_thread, close_once, account_two, 71),
    SMALL("a get against a close whose barrier is refused", start_refused_later, only_get, close_once, account_two,
          1762),
    SMALL("a get from the depot against a close", start_exchange, only_get, close_once, account_two, 1663),
    SMALL3("a get and two closes", start_hot, only_get, close_once, close_once, account_two, 243944),
    STALE1("a get, one without a cache, and a close", start_exchange, only_get, pop_one, close_once, account_two,
           171013),
    STALE1("two gets and a close", start_exit, only_get, only_get, close_once, account_two, 0),
    {.name = "lock: three threads",
     .init = start_lock,
     .body = {add_under_lock, add_if_free, add_under_lock},
     .fini = account_lock,
     .preemptions = 3,
     .stale = 2},
    {.name = "owner's hits against a reclaimer",
     .init = start_hot,
     .body = {owner_hot, close_pool},
     .fini = account_two,
     .reduce = true},
    {.name = "owner's slow paths against a reclaimer",
     .init = start_slow,
     .body = {owner_slow, close_pool},
     .fini = account_two,
     .preemptions = 4,
     .stale = 2},
    {.name = "owner's first use against a reclaimer",
     .init = start_cold,
     .body = {owner_cold, close_pool},
     .fini = account_two,
     .preemptions = 4,
     .stale = 2},
    {.name = "owner's runs against a reclaimer",
     .init = start_hot,
     .body = {owner_runs, close_pool},
     .fini = account_two,
     .preemptions = 3,
     .stale = 2},
    {.name = "two reclaimers",
     .init = start_hot,
     .body = {owner_hot, close_once, close_once},
     .fini = account_two,
     .preemptions = 3,
     .stale = 1},
    {.name = "no barrier from the start",
     .init = start_refused,
     .body = {owner_hot, close_once},
     .fini = account_two,
     .reduce = true},
    {.name = "barrier refused at the first close",
     .init = start_refused_later,
     .body = {owner_hot, close_once},
     .fini = account_two,
     .reduce = true},
    {.name = "barrier refused between two closes",
     .init = start_refused_third,
     .body = {owner_hot, close_once, close_once},
     .fini = account_two,
     .preemptions = 3,
     .stale = 1},
    {.name = "close, number used again",
     .init = start_reuse,
     .body = {owner_of_both, close_and_reopen},
     .fini = account_reuse,
     .preemptions = 4,
     .stale = 2},
    {.name = "destroy, number used again",
     .init = start_destroy,
     .body = {owner_then_new, destroy_and_reopen},
     .fini = account_reuse,
     .reduce = true},
    {.name = "thread ends against a reclaimer",
     .init = start_hot,
     .body = {owner_leaves, close_pool},
     .fini = account_two,
     .preemptions = 4,
     .stale = 2},
    {.name = "thread ends, then puts",
     .init = start_hot,
     .body = {owner_leaves_and_puts, close_once},
     .fini = account_two,
     .preemptions = 4,
     .stale = 2},
    {.name = "thread ends against gets of another",
     .init = start_exit,
     .body = {leave_thread, newcomer},
     .fini = account_two,
     .reduce = true,
     .must = 72},
    {.name = "record used again",
     .init = start_newcomer,
     .body = {owner_leaves, newcomer},
     .fini = account_two,
     .reduce = true,
     .must = 99},
    {.name = "depot exchange",
     .init = start_exchange,
     .body = {two_gets_two_puts, two_gets_two_puts},
     .fini = account_two,
     .reduce = true,
     .must = 425},
    {.name = "depot exchange against a reclaimer",
     .init = start_exchange,
     .body = {get_and_put, pop_one, close_once},
     .fini = account_two,
     .preemptions = 2,
     .stale = 1},
};

int main(int argc, char **argv)
{
    static const struct explorer_program program = {
        .tests = tests, .count = sizeof tests / sizeof *tests, .files = "pool/"};
    return explorer_main(&program, argc, argv);
}
