/* SPDX-License-Identifier: MIT */

/* Watermarks. */

#include "aging.h"

/* ---- watermarks ---- */

static struct {
    unsigned above, below;
    uint64_t value;
    enum opool_watch_figure figure;
} told;

static void crossed(struct opool *of, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    ck_assert_ptr_eq(of, thing_pool_base(pool));
    ck_assert_ptr_eq(arg, &told);
    told.above += above;
    told.below += !above;
    told.value = value;
    told.figure = figure;
    put(get()); /* it may use the pool */
}

static struct opool_watch watch_of(enum opool_watch_figure figure, uint64_t high, uint64_t low)
{
    return (struct opool_watch){.figure = figure, .high = high, .low = low, .crossed = crossed, .arg = &told};
}

START_TEST(live_objects_are_watched)
{
    struct thing *things[200];
    open_pool();
    struct opool_watch watch = watch_of(OPOOL_WATCH_LIVE, 100, 50);
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    for (int round = 0; round < 3; round++) {
        memset(&told, 0, sizeof told);
        for (int i = 0; i < 200; i++)
            things[i] = get();
        if (round == 0) /* each get is a slow path */
            ck_assert_uint_eq(told.value, 100);
        ticks(1);
        ck_assert_uint_eq(told.above, 1);
        ck_assert_uint_eq(told.below, 0);
        for (int i = 0; i < 149; i++)
            put(things[i]);
        ticks(1);
        ck_assert_uint_eq(told.below, 0);
        for (int i = 149; i < 200; i++)
            put(things[i]);
        ticks(1);
        ck_assert_uint_eq(told.above, 1);
        ck_assert_uint_eq(told.below, 1);
    }
    close_pool();
}
END_TEST

START_TEST(idle_and_resident_bytes_are_watched)
{
    enum opool_watch_figure figure = _i ? OPOOL_WATCH_RESIDENT_BYTES : OPOOL_WATCH_IDLE_BYTES;
    open_pool();
    struct opool_watch watch = watch_of(figure, 1000 * sizeof(struct thing), 600 * sizeof(struct thing));
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    burst(2000);
    ticks(3);
    ck_assert_uint_eq(told.above, 1);
    ck_assert_uint_eq(told.below, 1);
    ck_assert_int_eq(told.figure, figure);
    watch.high = 0;
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    burst(2000);
    ticks(3);
    ck_assert_uint_eq(told.above, 1);
    close_pool();
}
END_TEST

START_TEST(an_eventfd_is_told)
{
    open_pool();
    struct opool_watch watch = watch_of(OPOOL_WATCH_LIVE, 10, 1);
    watch.crossed = NULL;
    watch.event_fd = (int)syscall(SYS_eventfd2, 0, O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_gt(watch.event_fd, 0);
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    uint64_t count = 0;
    ck_assert_int_eq(read(watch.event_fd, &count, sizeof count), -1);
    burst(20);
    ticks(1);
    ck_assert_int_eq(read(watch.event_fd, &count, sizeof count), sizeof count);
    ck_assert_uint_eq(count, 2);
    close(watch.event_fd);
    watch.high = 0;
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    close_pool();
}
END_TEST

START_TEST(wrong_watches_are_refused)
{
    struct opool_watch watch = watch_of(OPOOL_WATCH_LIVE, 10, 10);
    open_pool();
    struct opool *base = thing_pool_base(pool);
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.low = 5;
    ck_assert_int_eq(opool_watch(NULL, &watch), -EINVAL);
    ck_assert_int_eq(opool_watch(base, NULL), -EINVAL);
    watch.event_fd = -1;
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.event_fd = 0;
    watch.crossed = NULL; /* whom to tell? */
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.event_fd = 999;
    ck_assert_int_eq(opool_watch(base, &watch), -EBADF);
    watch.event_fd = STDERR_FILENO;
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.event_fd = (int)syscall(SYS_epoll_create1, O_CLOEXEC);
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.event_fd = (int)syscall(SYS_eventfd2, 0, O_CLOEXEC); /* it could block whoever tells */
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.event_fd = 0;
    watch.crossed = crossed;
    watch.figure = (enum opool_watch_figure)3;
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
    watch.figure = OPOOL_WATCH_LIVE;
    thing_pool_destroy(&pool);
    ck_assert_int_eq(opool_watch(base, &watch), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *watches = new_case(suite, "watermarks");
    tcase_add_test(watches, live_objects_are_watched);
    tcase_add_loop_test(watches, idle_and_resident_bytes_are_watched, 0, 2);
    tcase_add_test(watches, an_eventfd_is_told);
    tcase_add_test(watches, wrong_watches_are_refused);
    return run_suite_as(suite, CK_FORK);
}
