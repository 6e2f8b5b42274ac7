/* SPDX-License-Identifier: MIT */

/* Calls of epochs: ticks inside callbacks, from many threads, in children, over many pools; flush and release. */

#include "aging.h"

/* ---- callbacks ---- */

static uint64_t seen_in_callback;
static bool callback_ticks;

static void call_all(void)
{
    if (!callback_ticks)
        return;
    seen_in_callback = opool_epoch_advance();
    ck_assert_uint_eq(opool_release(), 0);
    opool_epoch_stop();
}

static int calling_init(struct thing *thing, void *arg)
{
    (void)thing;
    if (arg == (void *)1)
        call_all();
    return 0;
}

static bool calling_reset(struct thing *thing, void *arg)
{
    (void)thing;
    if (arg == (void *)2)
        call_all();
    return true;
}

static void calling_fini(struct thing *thing, void *arg)
{
    (void)thing;
    if (arg == (void *)3)
        call_all();
}

OPOOL_DEFINE(calling_pool, struct thing, .init = calling_init, .reset = calling_reset, .fini = calling_fini);

START_TEST(refused_inside_callbacks)
{
    struct opool_options options = {.arg = (void *)(intptr_t)(_i + 1)};
    struct calling_pool *calling;
    char text[4096];
    ck_assert_int_eq(calling_pool_create(&calling, &options), 0);
    ck_assert_int_eq(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 1000000}), 0);
    struct capture capture = capture_start();
    callback_ticks = true;
    calling_pool_put(calling, calling_pool_get(calling));
    callback_ticks = false;
    calling_pool_put(calling, calling_pool_get(calling)); /* a cache hit, inlined */
    callback_ticks = _i != 0;
    calling_pool_put(calling, calling_pool_get(calling));
    ticks(3);
    callback_ticks = false;
    capture_stop(capture, text, sizeof text);
    expect_match(text, "^opool: opool_epoch_advance: refused: called from inside a callback\n");
    expect_match(text, "opool: opool_release: refused: called from inside a callback\n");
    expect_match(text, "opool: opool_epoch_stop: refused: called from inside a callback\n");
    ck_assert_uint_eq(seen_in_callback, _i == 2 ? opool_epoch_now() : 0);
    ck_assert_int_eq(opool_epoch_start(NULL), -EALREADY); /* it was not stopped */
    opool_epoch_stop();
    calling_pool_destroy(&calling);
}
END_TEST

static void plain_fini(struct thing *thing, void *arg)
{
    (void)thing;
    struct opool *const *own = arg;
    void *other = plain_pool_get(plain), *same = opool_get(*own); /* no lock is held */
    ck_assert_ptr_nonnull(other);
    ck_assert_ptr_nonnull(same);
    plain_pool_put(plain, other);
    opool_put(*own, same);
}

OPOOL_DEFINE(using_pool, struct thing, .fini = plain_fini);

START_TEST(fini_may_use_pools)
{
    struct opool *base = NULL;
    struct opool_options options = {.arg = &base};
    struct using_pool *using;
    ck_assert_int_eq(plain_pool_create(&plain, NULL), 0);
    ck_assert_int_eq(using_pool_create(&using, &options), 0);
    base = using_pool_base(using);
    struct thing *a = using_pool_get(using), *b = using_pool_get(using);
    using_pool_put(using, a);
    using_pool_put(using, b);
    ticks(10);
    check_equations(base);
    check_equations(plain_pool_base(plain));
}
END_TEST

/* ---- from many threads, in children, with many pools ---- */

enum { ADVANCES = 2000 };

static void *advance_often(void *arg)
{
    uint64_t *epochs = arg;
    for (int i = 0; i < ADVANCES; i++)
        epochs[i] = opool_epoch_advance();
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

START_TEST(two_threads_tick_at_once)
{
    static uint64_t epochs[2 * ADVANCES];
    open_pool();
    burst(1000);
    pthread_t other = start_thread(advance_often, epochs);
    advance_often(epochs + ADVANCES);
    join_thread(other);
    qsort(epochs, 2 * ADVANCES, sizeof *epochs, compare);
    for (uint64_t i = 0; i < 2 * ADVANCES; i++)
        ck_assert_uint_eq(epochs[i], i + 1);
    ck_assert_uint_eq(opool_epoch_now(), 2 * ADVANCES);
    ck_assert_uint_eq(alive(), 0);
    check_equations(thing_pool_base(pool));
}
END_TEST

static void child_ticks(void)
{
    CHILD_ASSERT(alive() == 200);
    opool_epoch_advance();
    opool_epoch_advance();
    opool_epoch_advance();
    opool_epoch_advance();
    CHILD_ASSERT(alive() == 0);
    struct opool_stats stats;
    CHILD_ASSERT(opool_stats_read(thing_pool_base(pool), &stats) == 0);
    CHILD_ASSERT(stats.built == stats.torn_down && stats.gets == stats.puts);
    CHILD_ASSERT(opool_epoch_start(NULL) == 0);
    opool_epoch_stop();
}

START_TEST(a_forked_child_ticks)
{
    struct worker worker;
    hire(&worker);
    open_pool();
    tell(&worker, burst_100, NULL);
    struct thing *held[100];
    for (int i = 0; i < 100; i++) /* other objects than the worker's */
        held[i] = get();
    for (int i = 0; i < 100; i++)
        put(held[i]);
    ck_assert_int_eq(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 1000000}), 0);
    ticks(1);
    struct outcome outcome = in_child(child_ticks);
    expect_success(&outcome);
    ck_assert_uint_eq(alive(), 200);
    opool_epoch_stop();
    dismiss(&worker);
    ticks(3);
    close_pool();
}
END_TEST

START_TEST(a_thousand_pools)
{
    enum { POOLS = 1000 };
    static struct plain_pool *pools[POOLS];
    for (int i = 0; i < POOLS; i++) {
        ck_assert_int_eq(plain_pool_create(&pools[i], NULL), 0);
        plain_pool_put(pools[i], plain_pool_get(pools[i]));
    }
    ticks(3);
    for (int i = 0; i < POOLS; i++) {
        ck_assert_uint_eq(figures(plain_pool_base(pools[i])).torn_down, 1);
        plain_pool_destroy(&pools[i]);
    }
    ticks(1); /* without any pool */
}
END_TEST

START_TEST(pools_come_and_go_under_ticks)
{
    pthread_t other = start_thread(advance_often, (uint64_t[ADVANCES]){0});
    for (int i = 0; i < 2000; i++) {
        struct plain_pool *own;
        ck_assert_int_eq(plain_pool_create(&own, NULL), 0);
        plain_pool_put(own, plain_pool_get(own));
        struct thing *late = plain_pool_get(own);
        if (i % 2) {
            plain_pool_put(own, late);
            plain_pool_destroy(&own);
        } else {
            struct plain_pool *closed = own;
            plain_pool_close(&own);
            plain_pool_put(closed, late);
        }
    }
    join_thread(other);
}
END_TEST

/* ---- destroy beside a tick ---- */

static struct {
    sem_t in, leave;
    bool done; /* atomic */
} last;

static void block(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    sem_post(&last.in);
    wait_for(&last.leave);
    sleep_ms(20); /* whoever does not wait for it is past it by then */
    __atomic_store_n(&last.done, true, __ATOMIC_RELEASE);
}

OPOOL_DEFINE(blocking_pool, struct thing, .fini = block);

static void *tick_once(void *unused)
{
    opool_epoch_advance();
    return unused;
}

static void *leave_soon(void *unused)
{
    sleep_ms(30);
    sem_post(&last.leave);
    return unused;
}

START_TEST(destroy_waits_for_callbacks_of_a_tick)
{
    struct blocking_pool *blocking;
    sem_init(&last.in, 0, 0);
    sem_init(&last.leave, 0, 0);
    ck_assert_int_eq(blocking_pool_create(&blocking, NULL), 0);
    blocking_pool_put(blocking, blocking_pool_get(blocking));
    ticks(2);
    pthread_t ticking = start_thread(tick_once, NULL);
    wait_for(&last.in);
    pthread_t leaver = start_thread(leave_soon, NULL);
    blocking_pool_destroy(&blocking);
    ck_assert(__atomic_load_n(&last.done, __ATOMIC_ACQUIRE)); /* what fini uses may go now */
    join_thread(leaver);
    join_thread(ticking);
}
END_TEST

/* ---- flush and release ---- */

static void *get_100(void *unused)
{
    struct thing *things[100];
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(things[i] = get());
    for (int i = 0; i < 100; i++)
        put(things[i]);
    return unused;
}

START_TEST(flush_gives_to_others)
{
    open_pool();
    burst(100);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).idle_thread, 100);
    opool_thread_flush();
    ck_assert_uint_eq(figures(thing_pool_base(pool)).idle_thread, 0);
    opool_thread_flush();
    run_thread(get_100, NULL);
    ck_assert_uint_eq(world.built, 100);
    burst(10);
    ck_assert_uint_eq(world.built, 100);
    close_pool();
}
END_TEST

START_TEST(release_takes_all_that_is_idle)
{
    struct worker worker;
    hire(&worker);
    open_with((struct opool_options){.keep = 500});
    bool was_locked = is_locked();
    tell(&worker, burst_100, NULL);
    burst(5000);
    struct thing *held = get();
    struct opool_stats before = figures(thing_pool_base(pool));
    world.early = 0;
    size_t bytes = opool_release();
    struct opool_stats after = figures(thing_pool_base(pool));
    unsigned left = was_locked == is_locked() ? 0 : 100; /* else the worker's cache is left alone */
    ck_assert_uint_ge(alive(), 1);
    ck_assert_uint_le(alive(), 1 + left);
    ck_assert_uint_ge(bytes, 5000 * sizeof(struct thing) / 2);
    ck_assert_uint_ge(before.resident_bytes - after.resident_bytes, bytes);
    ck_assert_uint_eq(opool_release(), 0);
    put(held);
    ck_assert_uint_gt(opool_release(), 0);
    if (left == 0)
        ck_assert_uint_eq(figures(thing_pool_base(pool)).slots, 0);
    dismiss(&worker);
    world.early = 0; /* release looks at no epoch */
    close_pool();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ticks");
    TCase *calls = new_case(suite, "calls");
    tcase_add_loop_test(calls, refused_inside_callbacks, 0, 3);
    tcase_add_test(calls, fini_may_use_pools);
    tcase_add_test(calls, two_threads_tick_at_once);
    tcase_add_test(calls, a_forked_child_ticks);
    tcase_add_test(calls, a_thousand_pools);
    tcase_add_test(calls, pools_come_and_go_under_ticks);
    tcase_add_test(calls, destroy_waits_for_callbacks_of_a_tick);
    tcase_add_test(calls, flush_gives_to_others);
    tcase_add_test(calls, release_takes_all_that_is_idle);
    return run_suite_as(suite, CK_FORK);
}
