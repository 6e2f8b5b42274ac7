/* SPDX-License-Identifier: MIT */

/*
 * A pool that silently does not pool is the fault that users found in other libraries: loads of many shapes under
 * ticks, and how many gets found an object built.
 */

#include "contract.h"

struct thing {
    unsigned char bytes[64];
};

OPOOL_DEFINE(thing_pool, struct thing);

enum { LIVE = 1000, TICKS = 100, ROUNDS = 20 };

static struct thing_pool *pool;

static void open_pool(void)
{
    ck_assert_int_eq(thing_pool_create(&pool, NULL), 0);
}

static uint64_t built(void)
{
    return figures(thing_pool_base(pool)).built;
}

/* n objects out at once, and back, some times. */
static void load(unsigned n, unsigned rounds)
{
    static __thread struct thing *things[LIVE];
    for (; rounds > 0; rounds--) {
        for (unsigned i = 0; i < n; i++)
            ck_assert_ptr_nonnull(things[i] = thing_pool_get(pool));
        for (unsigned i = 0; i < n; i++)
            thing_pool_put(pool, things[i]);
    }
}

/* Of the gets since `before`, how many built nothing; in percent. */
static double reused_since(const struct opool_stats *before)
{
    struct opool_stats after = figures(thing_pool_base(pool));
    return 100.0 - 100.0 * (double)(after.built - before->built) / (double)(after.gets - before->gets);
}

START_TEST(steady)
{
    open_pool();
    load(LIVE, 1);
    struct opool_stats before = figures(thing_pool_base(pool));
    for (int tick = 0; tick < TICKS; tick++) {
        load(LIVE, ROUNDS);
        opool_epoch_advance();
    }
    printf("steady: %.3f %% reused\n", reused_since(&before));
    ck_assert(reused_since(&before) >= 99.9);
}
END_TEST

static void *steadily(void *unused)
{
    for (int i = 0; i < 300; i++)
        load(LIVE / 4, ROUNDS);
    return unused;
}

START_TEST(steady_in_four_threads_under_ticks)
{
    pthread_t threads[4];
    open_pool();
    for (int i = 0; i < 4; i++)
        threads[i] = start_thread(steadily, NULL);
    for (int tick = 0; tick < TICKS; tick++) {
        opool_epoch_advance();
        sleep_ms(1);
    }
    for (int i = 0; i < 4; i++)
        join_thread(threads[i]);
    struct opool_stats nothing = {0};
    printf("four threads: %.3f %% reused, %.3f %% hits\n", reused_since(&nothing),
           100.0 * (double)figures(thing_pool_base(pool)).hits / (double)figures(thing_pool_base(pool)).gets);
    check_equations(thing_pool_base(pool));
    /* How often a thread is kept off its processor for two ticks of a millisecond is the scheduler's affair: each time
       costs its quarter. */
    ck_assert(reused_since(&nothing) >= 90);
}
END_TEST

/* What is unused for two whole epochs of the five at 10 % has to go, and is built again once a swing. */
START_TEST(swings)
{
    open_pool();
    load(LIVE, 1);
    struct opool_stats before = figures(thing_pool_base(pool));
    for (int tick = 0; tick < TICKS; tick++) {
        load(tick / 5 % 2 ? LIVE : LIVE / 10, ROUNDS);
        opool_epoch_advance();
    }
    struct opool_stats after = figures(thing_pool_base(pool));
    printf("swings: %.3f %% reused\n", reused_since(&before));
    ck_assert_uint_le(after.built - before.built, TICKS / 10 * LIVE * 9 / 10);
    ck_assert(reused_since(&before) >= 99);
}
END_TEST

START_TEST(one_operation_each_second_epoch)
{
    open_pool();
    for (int tick = 0; tick < TICKS; tick++) {
        if (tick % 2)
            load(1, 1);
        opool_epoch_advance();
    }
    ck_assert_uint_eq(built(), 1);
}
END_TEST

/* ---- one gets, the other puts ---- */

enum { QUEUE = 256, HANDED = 200000 };

static struct {
    struct thing *things[QUEUE];
    sem_t filled, empty;
} queue;

static void *consume(void *unused)
{
    for (unsigned i = 0; i < HANDED; i++) {
        wait_for(&queue.filled);
        struct thing *thing = queue.things[i % QUEUE];
        sem_post(&queue.empty);
        thing_pool_put(pool, thing);
    }
    return unused;
}

START_TEST(producer_to_consumer)
{
    open_pool();
    sem_init(&queue.filled, 0, 0);
    sem_init(&queue.empty, 0, QUEUE);
    pthread_t consumer = start_thread(consume, NULL);
    for (unsigned i = 0; i < HANDED; i++) {
        wait_for(&queue.empty);
        ck_assert_ptr_nonnull(queue.things[i % QUEUE] = thing_pool_get(pool));
        sem_post(&queue.filled);
        if (i % (HANDED / TICKS) == 0)
            opool_epoch_advance();
    }
    join_thread(consumer);
    struct opool_stats nothing = {0};
    printf("producer to consumer: %.3f %% reused\n", reused_since(&nothing));
    ck_assert(reused_since(&nothing) >= 99);
}
END_TEST

static void *come_and_go(void *unused)
{
    load(50, 4);
    return unused;
}

START_TEST(a_thousand_threads_come_and_go)
{
    open_pool();
    for (int i = 0; i < 1000; i++) {
        run_thread(come_and_go, NULL);
        if (i % 10 == 0)
            opool_epoch_advance();
    }
    ck_assert_uint_le(built(), 50 + 128);
}
END_TEST

START_TEST(keep_is_there_after_a_pause)
{
    struct opool_options options = {.keep = LIVE};
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
    load(LIVE, 1);
    for (int tick = 0; tick < 10; tick++)
        opool_epoch_advance();
    load(LIVE, 1);
    ck_assert_uint_eq(built(), LIVE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hit rates");
    TCase *tests = new_case(suite, "loads");
    tcase_add_test(tests, steady);
    tcase_add_test(tests, steady_in_four_threads_under_ticks);
    tcase_add_test(tests, swings);
    tcase_add_test(tests, one_operation_each_second_epoch);
    tcase_add_test(tests, producer_to_consumer);
    tcase_add_test(tests, a_thousand_threads_come_and_go);
    tcase_add_test(tests, keep_is_there_after_a_pause);
    return run_suite_as(suite, CK_FORK);
}
