/* SPDX-License-Identifier: MIT */

/* Ticks that nobody calls for: the thread that ticks, and slow paths that do. */

#include "aging.h"

/* ---- the thread that ticks, and slow paths that do ---- */

START_TEST(the_thread_ticks)
{
    open_pool();
    burst(1000);
    ck_assert_int_eq(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 20}), 0);
    ck_assert_int_eq(opool_epoch_start(NULL), -EALREADY);
    int64_t start = now_ms();
    while (figures(thing_pool_base(pool)).torn_down < 1000 && now_ms() - start < 10000)
        sleep_ms(5);
    ck_assert_int_ge(now_ms() - start, 40);
    ck_assert_uint_eq(alive(), 0);
    sleep_ms(60); /* it dozes now */
    uint64_t dozing = opool_epoch_now();
    sleep_ms(300);
    ck_assert_uint_le(opool_epoch_now() - dozing, 1);
    burst(1000); /* and wakes up */
    start = now_ms();
    while (figures(thing_pool_base(pool)).torn_down < 2000 && now_ms() - start < 10000)
        sleep_ms(5);
    ck_assert_uint_eq(alive(), 0);
    opool_epoch_stop();
    opool_epoch_stop();
    uint64_t stopped = opool_epoch_now();
    sleep_ms(60);
    ck_assert_uint_eq(opool_epoch_now(), stopped);
    close_pool();
}
END_TEST

START_TEST(a_soft_limit_makes_epochs_short)
{
    open_pool();
    burst(5000);
    ck_assert_int_eq(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 3000, .soft_limit_bytes = 1000}), 0);
    int64_t start = now_ms();
    while (figures(thing_pool_base(pool)).torn_down < 5000 && now_ms() - start < 10000)
        sleep_ms(5);
    /* Three looks, 100 ms each, instead of three times 3 s. */
    ck_assert_int_lt(now_ms() - start, 2500);
    opool_epoch_stop();
    close_pool();
}
END_TEST

static void start_and_exit(void)
{
    burst(10);
    CHILD_ASSERT(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 10, .use_pressure = true}) == 0);
    sleep_ms(25);
    exit(EXIT_SUCCESS);
}

START_TEST(exit_while_it_runs)
{
    open_pool();
    struct outcome outcome = in_child(start_and_exit);
    expect_success(&outcome);
}
END_TEST

START_TEST(slow_paths_tick)
{
    open_with((struct opool_options){.epoch_ms = 10});
    ck_assert_int_eq(plain_pool_create(&plain, NULL), 0);
    for (int i = 0; i < 100; i++)
        plain_pool_put(plain, plain_pool_get(plain));
    int64_t start = now_ms();
    while (figures(plain_pool_base(plain)).torn_down == 0 && now_ms() - start < 10000) {
        burst(300);
        sleep_ms(1);
    }
    ck_assert_uint_eq(figures(plain_pool_base(plain)).torn_down, 1);
    ck_assert_int_ge(now_ms() - start, 20);
    ck_assert_uint_eq(world.built, 300);
    close_pool();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ticker");
    TCase *unasked = new_case(suite, "without calls");
    tcase_add_test(unasked, the_thread_ticks);
    tcase_add_test(unasked, a_soft_limit_makes_epochs_short);
    tcase_add_test(unasked, exit_while_it_runs);
    tcase_add_test(unasked, slow_paths_tick);
    return run_suite_as(suite, CK_FORK);
}
