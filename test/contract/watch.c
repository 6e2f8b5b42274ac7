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

/* ---- a callback that takes its time ---- */

static struct {
    sem_t in, leave;
    bool above, done; /* atomic */
    unsigned calls;   /* atomic */
} slow;

static void crossed_slowly(struct opool *of, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    (void)of, (void)figure, (void)value, (void)arg;
    __atomic_store_n(&slow.above, above, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&slow.calls, 1, __ATOMIC_RELAXED) > 1)
        return;
    sem_post(&slow.in);
    wait_for(&slow.leave);
    __atomic_store_n(&slow.done, true, __ATOMIC_RELEASE);
}

static struct opool_watch watch_slowly(void)
{
    struct opool_watch watch = {.figure = OPOOL_WATCH_LIVE, .high = 100, .low = 50, .crossed = crossed_slowly};
    sem_init(&slow.in, 0, 0);
    sem_init(&slow.leave, 0, 0);
    open_pool();
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    return watch;
}

static struct thing *slow_things[100];

static void *get_100(void *unused)
{
    for (int i = 0; i < 100; i++)
        slow_things[i] = get();
    return unused;
}

/* Inside the callback the hundredth is still on its way. */
static void discard(int n)
{
    for (int i = 0; i < n; i++) {
        world.used[slow_things[i]->number] = 0;
        thing_pool_discard(pool, slow_things[i]);
    }
}

static void *leave_later(void *unused)
{
    sleep_ms(50);
    sem_post(&slow.leave);
    return unused;
}

/* Nobody else looks afterwards: what was crossed meanwhile is told by whoever told the crossing before. */
START_TEST(a_crossing_during_a_callback_is_told)
{
    watch_slowly();
    pthread_t getter = start_thread(get_100, NULL);
    wait_for(&slow.in);
    discard(99);
    ck_assert_uint_eq(__atomic_load_n(&slow.calls, __ATOMIC_RELAXED), 1);
    sem_post(&slow.leave);
    join_thread(getter);
    ck_assert_uint_eq(slow.calls, 2);
    ck_assert(!slow.above);
}
END_TEST

START_TEST(a_watch_that_ended_calls_nobody)
{
    struct opool_watch watch = watch_slowly();
    pthread_t getter = start_thread(get_100, NULL);
    wait_for(&slow.in);
    pthread_t leaver = start_thread(leave_later, NULL);
    watch.high = 0;
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    ck_assert(__atomic_load_n(&slow.done, __ATOMIC_ACQUIRE)); /* what the callback uses may go now */
    join_thread(leaver);
    join_thread(getter);
    discard(100);
    ticks(1);
    get_100(NULL);
    ticks(1);
    ck_assert_uint_eq(slow.calls, 1);
}
END_TEST

static void crossed_once(struct opool *of, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    (void)above, (void)value;
    struct opool_watch watch = {.figure = figure};
    ck_assert_int_eq(opool_watch(of, &watch), 0); /* waits for nobody: that would be itself */
    ++*(unsigned *)arg;
}

START_TEST(a_watch_may_end_itself)
{
    unsigned calls = 0;
    struct opool_watch watch = {
        .figure = OPOOL_WATCH_LIVE, .high = 100, .low = 50, .crossed = crossed_once, .arg = &calls};
    open_pool();
    ck_assert_int_eq(opool_watch(thing_pool_base(pool), &watch), 0);
    for (int i = 0; i < 3; i++) {
        get_100(NULL);
        ticks(1);
        discard(100);
        ticks(1);
    }
    ck_assert_uint_eq(calls, 1);
}
END_TEST

/* The thread that was about to tell does not exist there. */
static void cross_in_the_child(void)
{
    CHILD_ASSERT(slow.calls == 1 && slow.above);
    discard(99);
    opool_epoch_advance();
    CHILD_ASSERT(slow.calls == 2 && !slow.above);
}

START_TEST(a_child_tells_although_its_parent_was_telling)
{
    watch_slowly();
    pthread_t getter = start_thread(get_100, NULL);
    wait_for(&slow.in);
    struct outcome outcome = in_child(cross_in_the_child);
    sem_post(&slow.leave);
    join_thread(getter);
    expect_success(&outcome);
    ck_assert_uint_eq(slow.calls, 1);
}
END_TEST

/* ---- while a tick moves what is idle ---- */

enum { IDLE = 200000, ROUNDS = 5 };

static bool ticked; /* atomic */

static void *tick_twice(void *unused)
{
    ticks(2);
    __atomic_store_n(&ticked, true, __ATOMIC_RELEASE);
    return unused;
}

static void crossed_falsely(struct opool *of, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    (void)of, (void)figure, (void)value, (void)arg;
    __atomic_fetch_add(&told.above, above, __ATOMIC_RELAXED);
}

START_TEST(idle_objects_on_their_way_are_not_out)
{
    struct opool_options options = {.prefill = IDLE};
    struct opool_watch watch = watch_of(OPOOL_WATCH_LIVE, 1000, 10);
    watch.crossed = crossed_falsely;
    for (int round = 0; round < ROUNDS; round++) {
        ck_assert_int_eq(plain_pool_create(&plain, &options), 0);
        ck_assert_int_eq(opool_watch(plain_pool_base(plain), &watch), 0);
        __atomic_store_n(&ticked, false, __ATOMIC_RELAXED);
        pthread_t ticking = start_thread(tick_twice, NULL);
        while (!__atomic_load_n(&ticked, __ATOMIC_ACQUIRE))
            plain_pool_discard(plain, plain_pool_get(plain)); /* never more than one out, and each is a look */
        join_thread(ticking);
        ck_assert_uint_le(figures(plain_pool_base(plain)).live_peak, 10);
        plain_pool_destroy(&plain);
    }
    ck_assert_uint_eq(told.above, 0);
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
    TCase *telling = new_case(suite, "telling");
    tcase_add_test(telling, a_crossing_during_a_callback_is_told);
    tcase_add_test(telling, a_watch_that_ended_calls_nobody);
    tcase_add_test(telling, a_watch_may_end_itself);
    tcase_add_test(telling, a_child_tells_although_its_parent_was_telling);
    tcase_add_test(telling, idle_objects_on_their_way_are_not_out);
    return run_suite_as(suite, CK_FORK);
}
