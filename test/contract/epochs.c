/* SPDX-License-Identifier: MIT */

/* The promise of <opool/epoch.h>: the third tick tears down, and not before. */

#include "aging.h"

/* Idle objects that were unused during two whole epochs and are there all the same. */
static unsigned overdue(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < world.built; i++)
        n += world.alive[i] && !world.out[i] && world.used[i] + 3 <= opool_epoch_now();
    return n;
}

/* ---- the third tick, and not before ---- */

static const unsigned sizes[] = {1, 2, 8, 9, 127, 128, 129, 256, 257, 1000, 5000};

START_TEST(the_third_tick_tears_down)
{
    unsigned n = sizes[_i];
    open_pool();
    burst(n);
    ticks(2);
    ck_assert_uint_eq(alive(), n);
    ticks(1);
    ck_assert_uint_eq(alive(), 0);
    close_pool();
}
END_TEST

START_TEST(of_a_thread_that_sleeps)
{
    struct worker worker;
    hire(&worker);
    open_pool();
    bool before = is_locked();
    tell(&worker, burst_100, NULL);
    ticks(2);
    ck_assert_uint_eq(alive(), 100);
    ticks(1);
    if (before == is_locked())
        ck_assert_uint_eq(alive(), 0);
    tell(&worker, burst_100, NULL); /* it wakes up to an empty cache */
    dismiss(&worker);
    close_pool();
}
END_TEST

START_TEST(of_a_thread_that_ended)
{
    open_pool();
    run_thread(burst_100, NULL);
    ticks(2);
    ck_assert_uint_eq(alive(), 100);
    ticks(1);
    ck_assert_uint_eq(alive(), 0);
    close_pool();
}
END_TEST

static void *use_plain(void *unused)
{
    for (int i = 0; i < 1000; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    return unused;
}

START_TEST(of_a_thread_that_uses_other_pools)
{
    struct worker worker;
    hire(&worker);
    open_pool();
    ck_assert_int_eq(plain_pool_create(&plain, NULL), 0);
    tell(&worker, burst_100, NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(alive(), 100);
        tell(&worker, use_plain, NULL);
        ticks(1);
    }
    ck_assert_uint_eq(alive(), 0);
    dismiss(&worker);
    plain_pool_destroy(&plain);
    close_pool();
}
END_TEST

static void *use_one(void *unused)
{
    put(get());
    return unused;
}

START_TEST(of_a_thread_that_uses_one_each_epoch)
{
    struct worker worker;
    hire(&worker);
    open_pool();
    tell(&worker, burst_100, NULL);
    for (int i = 0; i < 10; i++) {
        tell(&worker, use_one, NULL);
        ticks(1);
        ck_assert_uint_le(overdue(), EXEMPT);
    }
    ck_assert_uint_ge(alive(), 1);
    ck_assert_uint_le(alive(), 1 + EXEMPT);
    ck_assert_uint_eq(world.built, 100); /* what it uses is not built again */
    dismiss(&worker);
    close_pool();
}
END_TEST

START_TEST(used_each_second_epoch_stays)
{
    open_pool();
    for (int i = 0; i < 100; i++) {
        if (i % 2)
            burst((unsigned)_i);
        ticks(1);
    }
    ck_assert_uint_eq(world.built, (unsigned)_i);
    close_pool();
}
END_TEST

START_TEST(a_victim_is_taken_back)
{
    open_pool();
    burst(300);
    ticks(2);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).idle_victim, 300);
    burst(200);
    ck_assert_uint_eq(world.built, 300);
    struct opool_stats stats = figures(thing_pool_base(pool));
    ck_assert_uint_le(stats.idle_victim, 100);
    ck_assert_uint_ge(stats.idle_victim, 100 - EXEMPT);
    ticks(1);
    ck_assert_uint_ge(alive(), 200);
    ck_assert_uint_le(alive(), 200 + EXEMPT);
    close_pool();
}
END_TEST

START_TEST(keep_stays_and_no_more)
{
    open_with((struct opool_options){.keep = 50});
    burst(500);
    ticks(3);
    ck_assert_uint_eq(alive(), 50);
    ticks(20);
    ck_assert_uint_eq(alive(), 50);
    burst(50);
    ck_assert_uint_eq(world.built, 500);
    world.early = 0;
    close_pool();
}
END_TEST

START_TEST(prefilled_objects_age_too)
{
    open_with((struct opool_options){.prefill = 300});
    for (unsigned i = 0; i < 300; i++)
        world.used[i] = opool_epoch_now();
    ticks(2);
    ck_assert_uint_eq(alive(), 300);
    ticks(1);
    ck_assert_uint_eq(alive(), 0);
    close_pool();
}
END_TEST

static char region[1 << 16];

static const struct opool_options kinds[] = {
    {.checks = OPOOL_CHECKS_FULL},
    {.checks = OPOOL_CHECKS_OFF},
    {.capacity = 100},
    {.magazine = 1},
    {.capacity = 100, .checks = OPOOL_CHECKS_FULL},
    {.region = region, .region_size = sizeof region},
};

START_TEST(every_kind_of_pool_ages)
{
    open_with(kinds[_i]);
    burst(100);
    if (kinds[_i].capacity)
        ck_assert_ptr_nonnull(thing_pool_get(pool)); /* leaves one out */
    ticks(2);
    ck_assert_uint_eq(alive(), 100);
    ticks(1);
    ck_assert_uint_eq(alive(), kinds[_i].capacity != 0);
    burst(50);
    ticks(3);
    ck_assert_uint_eq(alive(), kinds[_i].capacity != 0);
    check_equations(thing_pool_base(pool));
    ck_assert_uint_eq(world.early, 0);
}
END_TEST

/* Meeting the capacity a pool takes back what sleeping threads cache, between ticks: that makes nothing older. */

static void *burst_32(void *unused)
{
    burst(32);
    return unused;
}

START_TEST(what_a_full_pool_takes_back_keeps_its_age)
{
    struct worker worker;
    hire(&worker);
    open_with((struct opool_options){.capacity = 32, .magazine = 128});
    bool before = is_locked();
    ticks(1);
    tell(&worker, burst_32, NULL); /* used in epoch 1 */
    ticks(1);
    struct thing *thing = get();
    if (before == is_locked()) {
        ck_assert_ptr_nonnull(thing);
        ck_assert_uint_eq(figures(thing_pool_base(pool)).tightened, 1);
        ticks(1);
        ck_assert_uint_eq(alive(), 32);
        ticks(1);
        ck_assert_uint_eq(alive(), 1);
    }
    put(thing);
    dismiss(&worker);
    close_pool();
}
END_TEST

/* ---- at random, against the two sentences ---- */

enum { WORKERS = 4, HELD_MOST = 400 };

struct holder {
    struct thing *held[HELD_MOST];
    unsigned count, seed;
};

static unsigned below(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

static void *use_at_random(void *arg)
{
    struct holder *holder = arg;
    unsigned target = below(&holder->seed, below(&holder->seed, 4) ? 20 : HELD_MOST);
    for (unsigned steps = below(&holder->seed, 200); steps > 0; steps--) {
        bool more = holder->count < target ? below(&holder->seed, 4) > 0 : below(&holder->seed, 4) == 0;
        if (more && holder->count < HELD_MOST)
            ck_assert_ptr_nonnull(holder->held[holder->count++] = get());
        else if (holder->count)
            put(holder->held[--holder->count]);
    }
    return NULL;
}

static void *give_all(void *arg)
{
    struct holder *holder = arg;
    while (holder->count)
        put(holder->held[--holder->count]);
    return NULL;
}

START_TEST(at_random)
{
    static struct worker workers[WORKERS];
    static struct holder holders[WORKERS];
    unsigned seed = (unsigned)_i + 1;
    open_with((struct opool_options){.magazine = _i % 3 == 0 ? 0u : _i % 3 == 1 ? 3u : 16u});
    for (unsigned i = 0; i < WORKERS; i++) {
        holders[i].seed = seed * 100 + i;
        hire(&workers[i]);
    }
    for (int epoch = 0; epoch < 150 && world.built < MOST - WORKERS * HELD_MOST; epoch++) {
        for (unsigned i = 0; i < WORKERS; i++)
            if (below(&seed, 3))
                tell(&workers[i], use_at_random, &holders[i]);
        if (below(&seed, 10) == 0) {
            dismiss(&workers[0]); /* its objects stay out; its cache does not */
            hire(&workers[0]);
        }
        ticks(1);
        ck_assert_uint_eq(world.early, 0);
        ck_assert_uint_le(overdue(), WORKERS * EXEMPT);
        check_equations(thing_pool_base(pool));
    }
    for (unsigned i = 0; i < WORKERS; i++)
        tell(&workers[i], give_all, &holders[i]);
    ticks(3);
    ck_assert_uint_eq(alive(), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        dismiss(&workers[i]);
    close_pool();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("epochs");
    TCase *promise = new_case(suite, "promise");
    tcase_add_loop_test(promise, the_third_tick_tears_down, 0, (int)(sizeof sizes / sizeof *sizes));
    tcase_add_test(promise, of_a_thread_that_sleeps);
    tcase_add_test(promise, of_a_thread_that_ended);
    tcase_add_test(promise, of_a_thread_that_uses_other_pools);
    tcase_add_test(promise, of_a_thread_that_uses_one_each_epoch);
    tcase_add_loop_test(promise, used_each_second_epoch_stays, 1, 4);
    tcase_add_test(promise, a_victim_is_taken_back);
    tcase_add_test(promise, keep_stays_and_no_more);
    tcase_add_test(promise, prefilled_objects_age_too);
    tcase_add_loop_test(promise, every_kind_of_pool_ages, 0, (int)(sizeof kinds / sizeof *kinds));
    tcase_add_test(promise, what_a_full_pool_takes_back_keeps_its_age);
    tcase_add_loop_test(promise, at_random, 0, 6);
    return run_suite_as(suite, CK_FORK);
}
