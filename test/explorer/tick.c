/* SPDX-License-Identifier: MIT */
/*
 * Ticks (pool/cache/reclaim.c, pool/depot, as pool/api/tick.c calls them) against owners, ended threads, other
 * reclaimers, destroy and fork. In all of them: no object is handed out twice, lost, or torn down while somebody has
 * it; no tick tears down what was used since the one before it began; and when all threads are done three ticks leave
 * nothing idle.
 */
#include "harness.h"
#include "os/lock.h"

static struct opool pool, other;

static void put_0(void)
{
    harness_put(&pool, 0);
}

static void put_1(void)
{
    harness_put(&pool, 1);
}

static void put_all(void)
{
    for (int i = 0; i < 4; i++)
        harness_put(&pool, i);
}

static void tick(void)
{
    (void)harness_tick();
}

static void only_get(void)
{
    (void)harness_get(&pool);
}

static void only_put(void)
{
    put_1();
}

static void two_ticks(void)
{
    tick();
    tick();
}

static void three_ticks(void)
{
    two_ticks();
    tick();
}

static void get_and_put(void)
{
    harness_put(&pool, harness_get(&pool));
}

static void get_two(void)
{
    int a = harness_get(&pool), b = harness_get(&pool);
    harness_put(&pool, a);
    harness_put(&pool, b);
}

/* The second may miss between the arming and the tick that takes: its busy 0 has to say what the first one did. */
static void only_get_two(void)
{
    (void)harness_get(&pool);
    (void)harness_get(&pool);
}

static void get_three(void)
{
    int a = harness_get(&pool);
    get_two();
    harness_put(&pool, a);
}

static void only_get_run(void)
{
    int objects[2];
    harness_get_two(&pool, objects);
}

static void runs(void)
{
    int objects[2];
    harness_get_two(&pool, objects);
    harness_put_two(&pool, objects);
}

static void leave_thread(void)
{
    struct opool__thread *thread = opool__thread_known();
    if (thread)
        opool__cache_leave(thread);
}

static void use_and_leave(void)
{
    get_and_put();
    leave_thread();
}

static void flush(void)
{
    opool__cache_flush();
}

static void use_and_flush(void)
{
    get_and_put();
    opool__cache_flush();
    get_and_put();
}

static void release(void)
{
    opool__reclaim_begin();
    opool__reclaim_all();
    opool__reclaim_end();
}

static void close_once(void)
{
    (void)opool__reclaim_close(&pool.cache, false);
}

static void start(unsigned shards, uint32_t capacity)
{
    harness_reset(shards);
    harness_open(&pool, capacity);
    harness_attach(1);
    harness_attach(2);
}

/* The owner's magazine holds two objects of this epoch. */
static void start_hot(void)
{
    start(1, 2);
    harness_run_as(1, put_0);
    harness_run_as(1, put_1);
}

/* A tick has seen them already: the head is armed, and the next tick takes them if the owner makes no operation. */
static void start_armed(void)
{
    start_hot();
    tick();
}

/* Two objects below the floor, none above: each get goes the slow way. */
static void start_floor(void)
{
    start(1, 4);
    harness_run_as(1, put_all);
    tick();
    harness_run_as(1, get_and_put);
}

/* Magazines of one: every second operation exchanges with the depot. */
static void start_slow(void)
{
    start(1, 1);
    harness_run_as(1, put_0);
    harness_run_as(1, put_1);
}

static void start_slow_armed(void)
{
    start_slow();
    tick();
}

/* In the depot's shards; a tick has seen them. */
static void start_depot(void)
{
    start(2, 1);
    harness_stock(&pool, 0, 2);
    tick();
}

/* Thread 1 has one of two out. */
static void start_one_out(void)
{
    start(1, 2);
    harness_run_as(1, put_0);
    tick();
}

/* They are victims: the next tick dooms them. */
static void start_victims(void)
{
    start(1, 2);
    harness_stock(&pool, 0, 2);
    two_ticks();
}

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

/* The nth barrier is refused, and all that follow. */
static void start_refused_first_tick(void)
{
    start_hot();
    harness_refuse_barrier(2);
}

static void start_refused_second_tick(void)
{
    start_hot();
    harness_refuse_barrier(3);
}

static void account_two(void)
{
    harness_ticks_leave_nothing();
    harness_account(&pool, 0, 2);
}

/* Where barriers are refused what sleeps stays. */
static void account_refused(void)
{
    harness_account(&pool, 0, 2);
}

static void account_four(void)
{
    harness_ticks_leave_nothing();
    harness_account(&pool, 0, 4);
}

/* ---- destroy: the number serves another pool while a tick is on its way ---- */

static void destroy_reopen(void)
{
    opool__store_release(&pool.front.offset, 0u);
    harness_hide(&pool);
    explorer_check(opool__reclaim_close(&pool.cache, true), "destroy left a head behind");
    harness_open(&other, 2);
    explorer_check(other.cache.shared_number == 1, "the lowest free number was not taken");
    harness_put(&other, 2);
    harness_check_range(harness_get(&other), 2, 1);
}

static void use_destroy_reopen(void)
{
    get_and_put();
    destroy_reopen();
}

/* Nobody uses the new pool: what a tick that is on its way finds there is its number. */
static void only_destroy(void)
{
    opool__store_release(&pool.front.offset, 0u);
    harness_hide(&pool);
    explorer_check(opool__reclaim_close(&pool.cache, true), "destroy left a head behind");
}

static void account_destroyed(void)
{
    harness_account(&pool, 0, 2);
}

/* ---- fork: thread 2 forks while thread 1 is anywhere; fini goes on as the child ---- */

/* Another thread's looks make each access to the head a point where the fork may come. */
static void watch_head(const struct opool_head *head)
{
    (void)opool__load_relaxed(&head->busy);
    (void)opool__load_relaxed(&head->top);
    (void)opool__load_relaxed(&head->floor);
    (void)opool__load_relaxed(&head->limit);
    (void)opool__load_relaxed(&head->shared_lock);
}

static void fork_now(void)
{
    for (const struct opool__thread *thread = opool__threads; thread; thread = thread->next)
        watch_head(&thread->heads[1]);
    opool__lock_take(&opool__reclaim_lock);
    opool__lock_take(&opool__threads_lock);
    opool__depot_lock_all(&pool.depot);
    explorer_end_others();
}

static void child(void)
{
    opool__depot_reset_locks(&pool.depot);
    opool__lock_reset(&opool__threads_lock);
    opool__lock_reset(&opool__reclaim_lock);
    opool__cache_adopt();
    harness_ticks_leave_nothing();
    harness_account_forked(&pool, 0, 2, pool.cache.abandoned ? 2 : 1);
}

static void tick_and_fork(void)
{
    tick();
    fork_now();
}

#define PAIR(title, first, owner, reclaimer, end) \
    { \
        .name = title, .init = first, .body = {owner, reclaimer}, .fini = end, .preemptions = 4, .stale = 2 \
    }
/* Small enough to be run without bounds, which took `need` executions; 0: it may be too much for the time there is. */
#define SMALL(title, first, owner, reclaimer, end, need) \
    { \
        .name = title, .init = first, .body = {owner, reclaimer}, .fini = end, .reduce = true, .must = need \
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
    SMALL("a get against a tick", start_hot, only_get, tick, account_two, 315),
    SMALL("a get against a tick that takes", start_armed, only_get, tick, account_two, 1430),
    SMALL("a put against a tick", start_one_out, only_put, tick, account_two, 1059),
    SMALL("a get below the floor against a tick", start_floor, only_get, tick, account_four, 324),
    SMALL("a get of a victim against a tick", start_victims, only_get, tick, account_two, 7306),
    SMALL("a thread's end against a tick", start_armed, leave_thread, tick, account_two, 72),
    SMALL("a get and a put against a tick", start_hot, get_and_put, tick, account_two, 2852),
    SMALL("a get and a put against a tick that takes", start_armed, get_and_put, tick, account_two, 3315),
    SMALL("a slow get against a tick", start_slow, only_get_two, tick, account_two, 3417),
    SMALL("a slow get against a tick that takes", start_slow_armed, only_get_two, tick, account_two, 6510),
    SMALL("a run against a tick that takes", start_armed, only_get_run, tick, account_two, 3083),
    SMALL("a get from the depot against a tick", start_depot, only_get, tick, account_two, 14981),
    SMALL("a flush against a tick that takes", start_armed, flush, tick, account_two, 72),
    SMALL("a get against a release", start_armed, only_get, release, account_two, 1026),
    SMALL("a get against a tick without barriers", start_refused, only_get, tick, account_refused, 65),
    SMALL("a get against a tick whose barrier is refused", start_refused_first_tick, only_get, tick, account_refused,
          315),
    SMALL("destroy against a tick", start_armed, only_destroy, tick, account_destroyed, 118),
    SMALL("destroy, number used again, against a tick", start_armed, destroy_reopen, tick, account_destroyed, 3935),
    SMALL("fork in a get", start_armed, only_get, fork_now, child, 1270),
    SMALL("fork after a tick, in a get", start_armed, only_get, tick_and_fork, child, 2250),
    SMALL3("a get and two ticks", start_hot, only_get, tick, tick, account_two, 28558),
    STALE1("a get and two ticks, armed", start_armed, only_get, tick, tick, account_two, 1265022),
    STALE1("a get, a tick and a close", start_armed, only_get, tick, close_once, account_two, 1336664),
    SMALL3("a get, a tick and a release", start_armed, only_get, tick, release, account_two, 466162),
    STALE1("two gets and a tick, depot", start_depot, only_get, only_get, tick, account_two, 0),
    STALE1("two gets and a tick, victims", start_victims, only_get, only_get, tick, account_two, 0),
    SMALL3("a thread's end, a get, a tick", start_armed, leave_thread, only_get, tick, account_two, 10911),
    PAIR("hits against two ticks", start_hot, get_two, two_ticks, account_two),
    PAIR("a hit in its section at the barrier, then a miss", start_hot, only_get_two, two_ticks, account_two),
    PAIR("armed: an operation against the tick that takes", start_armed, get_and_put, two_ticks, account_two),
    PAIR("slow paths against two ticks", start_slow, get_two, two_ticks, account_two),
    PAIR("slow paths, armed, against ticks", start_slow_armed, get_two, two_ticks, account_two),
    PAIR("floors", start_floor, get_three, two_ticks, account_four),
    PAIR("runs", start_armed, runs, two_ticks, account_two),
    PAIR("depot", start_depot, get_two, two_ticks, account_two),
    PAIR("victims: a get against the tick that dooms", start_victims, get_and_put, three_ticks, account_two),
    PAIR("victims: two gets against a tick", start_victims, get_two, tick, account_two),
    PAIR("a thread ends", start_armed, use_and_leave, two_ticks, account_two),
    SMALL("a thread flushes", start_armed, use_and_flush, tick, account_two, 55960),
    SMALL("release and a tick", start_armed, get_and_put, release, account_two, 2204),
    PAIR("no barrier from the start", start_refused, get_two, two_ticks, account_refused),
    PAIR("barrier refused at the first tick", start_refused_first_tick, get_two, two_ticks, account_refused),
    PAIR("barrier refused at the second tick", start_refused_second_tick, get_two, two_ticks, account_refused),
    PAIR("destroy, number used again", start_armed, use_destroy_reopen, two_ticks, account_destroyed),
    SMALL("fork in the middle", start_armed, get_two, fork_now, child, 77293),
    SMALL("fork after a tick", start_hot, get_two, tick_and_fork, child, 819),
    THREE("two tickers and an owner", start_hot, get_two, tick, tick, account_two),
    THREE("two tickers and an owner, armed", start_armed, get_and_put, tick, tick, account_two),
    THREE("a tick, a close and an owner", start_armed, get_and_put, tick, close_once, account_two),
    THREE("a tick, a release and an owner", start_armed, get_and_put, tick, release, account_two),
    THREE("two owners and a tick, depot", start_depot, get_and_put, get_and_put, tick, account_two),
    THREE("two owners and a tick, victims", start_victims, get_and_put, get_and_put, tick, account_two),
    STALE1("a thread ends, another goes on, a tick", start_armed, leave_thread, get_and_put, tick, account_two, 9660),
};

int main(int argc, char **argv)
{
    static const struct explorer_program program = {
        .tests = tests, .count = sizeof tests / sizeof *tests, .files = "pool/"};
    return explorer_main(&program, argc, argv);
}
