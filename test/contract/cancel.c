/* SPDX-License-Identifier: MIT */

/* Threads that are cancelled: while they wait, in every call, in a stop that waits, in a callback. */

#include "contract.h"

struct thing {
    unsigned char bytes[64];
};

OPOOL_DEFINE(thing_pool, struct thing);

static struct thing_pool *new_pool(struct opool_options options)
{
    struct thing_pool *pool;
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
    return pool;
}

static void *use_some(void *arg)
{
    struct thing *things[100];
    for (int i = 0; i < 100; i++)
        things[i] = thing_pool_get(arg);
    for (int i = 0; i < 100; i++)
        thing_pool_put(arg, things[i]);
    return NULL;
}

/* ---- a waiter ---- */

struct cancelled {
    struct thing_pool *pool;
    struct thing *thing;
    pid_t id;
    sem_t called;
    int got_past;
};

static void put_at_cancellation(void *arg)
{
    struct cancelled *cancelled = arg;
    thing_pool_put(cancelled->pool, cancelled->thing);
}

static void *wait_to_be_cancelled(void *arg)
{
    struct cancelled *cancelled = arg;
    pthread_cleanup_push(put_at_cancellation, cancelled);
    cancelled->id = thread_id();
    sem_post(&cancelled->called);
    cancelled->thing = thing_pool_get_wait(cancelled->pool, -1);
    pthread_testcancel();
    cancelled->got_past = 1;
    pthread_cleanup_pop(1);
    return NULL;
}

START_TEST(a_cancelled_waiter_loses_nothing)
{
    struct cancelled cancelled = {.pool = new_pool((struct opool_options){.capacity = 1})};
    sem_init(&cancelled.called, 0, 0);
    for (int i = 0; i < 20; i++) {
        struct thing *thing = thing_pool_get(cancelled.pool);
        void *result;
        ck_assert_ptr_nonnull(thing);
        pthread_t thread = start_thread(wait_to_be_cancelled, &cancelled);
        wait_for(&cancelled.called);
        until_asleep(cancelled.id);
        pthread_cancel(thread);
        thing_pool_put(cancelled.pool, thing);
        pthread_join(thread, &result);
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
        ck_assert_int_eq(cancelled.got_past, 0);
        ck_assert_uint_eq(idle_objects(thing_pool_base(cancelled.pool)), 1);
    }
    thing_pool_destroy(&cancelled.pool);
}
END_TEST

/* ---- any call ---- */

/*
 * With a cancellation pending, no call of the library ends the thread, not even one that writes a line, tells an
 * eventfd, sleeps or joins. Only opool_stats_write may, in the calls of the user's FILE.
 */

static void crossed(struct opool *of, enum opool_watch_figure figure, bool above, uint64_t value, void *arg)
{
    (void)of, (void)figure, (void)above, (void)value;
    ++*(int *)arg;
}

/* Returns how many crossings were told. */
static int watch_and_cross(struct thing_pool *pool, int event_fd)
{
    int told = 0;
    struct opool_watch watch = {
        .figure = OPOOL_WATCH_LIVE, .high = 50, .low = 10, .crossed = crossed, .event_fd = event_fd, .arg = &told};
    if (opool_watch(thing_pool_base(pool), &watch) != 0)
        abort();
    struct thing *things[60] = {NULL};
    if (thing_pool_get_batch(pool, things, 60) != 60)
        abort();
    opool_epoch_advance();
    thing_pool_put_batch(pool, things, 60);
    opool_epoch_advance();
    watch.high = 0;
    return opool_watch(thing_pool_base(pool), &watch) == 0 ? told : -1;
}

static bool wait_at_capacity(void)
{
    struct thing_pool *full;
    if (thing_pool_create(&full, &(struct opool_options){.capacity = 1}) != 0)
        return false;
    struct thing *thing = thing_pool_get_wait(full, -1);
    bool waited = !thing_pool_get_wait(full, 30) && errno == ETIMEDOUT && !thing_pool_get(full);
    thing_pool_discard(full, thing);
    struct thing *things[2] = {NULL};
    size_t got = thing_pool_get_batch(full, things, 2);
    thing_pool_put_batch(full, things, 2);
    thing_pool_close(&full);
    return waited && got == 1;
}

static bool tick_for_a_while(struct thing_pool *pool)
{
    struct opool_epoch_options options = {.period_ms = 10, .use_pressure = true};
    uint64_t epoch = opool_epoch_now();
    if (opool_epoch_start(&options) != 0)
        return false;
    while (opool_epoch_now() == epoch)
        use_some(pool);
    opool_epoch_stop();
    return opool_epoch_start(NULL) == 0 && (opool_epoch_stop(), true);
}

static void *work_on(void *arg)
{
    struct cancelled *cancelled = arg;
    int event_fd = (int)syscall(SYS_eventfd2, 0, O_NONBLOCK | O_CLOEXEC);
    pthread_cancel(pthread_self());
    struct thing_pool *other, *refused;
    if (thing_pool_create(&other, NULL) != 0 ||
        thing_pool_create(&refused, &(struct opool_options){.magazine = 1000}) != -EINVAL)
        abort();
    use_some(cancelled->pool);
    use_some(other);
    struct opool_stats stats;
    cancelled->got_past = opool_stats_read(thing_pool_base(other), &stats) == 0;
    cancelled->got_past += watch_and_cross(other, event_fd) == 2;
    cancelled->got_past += wait_at_capacity();
    cancelled->got_past += tick_for_a_while(other);
    opool_thread_flush();
    cancelled->got_past += opool_release() > 0;
    cancelled->got_past += opool_next(NULL) != NULL && opool_version() != NULL;
    thing_pool_destroy(&other);
    cancelled->got_past += other == NULL;
    pthread_testcancel();
    cancelled->got_past = 100;
    return NULL;
}

START_TEST(no_call_is_a_cancellation_point)
{
    struct cancelled cancelled = {.pool = new_pool((struct opool_options){.name = NULL})};
    void *result;
    char text[1024];
    struct capture capture = capture_start();
    pthread_join(start_thread(work_on, &cancelled), &result);
    capture_stop(capture, text, sizeof text);
    expect_match(text, "^opool: [^\n]*magazine[^\n]*\n(opool: opool_epoch_start: use_pressure: [^\n]*\n)?$");
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    ck_assert_int_eq(cancelled.got_past, 7);
    thing_pool_destroy(&cancelled.pool);
    /* What it started and stopped can be started by others. */
    ck_assert_int_eq(opool_epoch_start(NULL), 0);
    opool_epoch_stop();
}
END_TEST

/* ---- a stop that is cancelled while it waits ---- */

static struct {
    sem_t in, leave;
    bool once;
    pid_t id; /* atomic */
} stopped;

static void block_once(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    if (stopped.once)
        return;
    stopped.once = true;
    sem_post(&stopped.in);
    wait_for(&stopped.leave);
}

OPOOL_DEFINE(blocking_pool, struct thing, .fini = block_once);

static void *stop_ticks(void *unused)
{
    __atomic_store_n(&stopped.id, thread_id(), __ATOMIC_RELEASE);
    opool_epoch_stop();
    pthread_testcancel();
    return unused;
}

START_TEST(a_cancelled_stop_stops)
{
    struct blocking_pool *pool;
    struct opool_epoch_options options = {.period_ms = 10};
    void *result;
    sem_init(&stopped.in, 0, 0);
    sem_init(&stopped.leave, 0, 0);
    ck_assert_int_eq(blocking_pool_create(&pool, NULL), 0);
    blocking_pool_put(pool, blocking_pool_get(pool));
    ck_assert_int_eq(opool_epoch_start(&options), 0);
    wait_for(&stopped.in); /* the last tick takes its time */
    pthread_t stopper = start_thread(stop_ticks, NULL);
    pid_t id;
    while ((id = __atomic_load_n(&stopped.id, __ATOMIC_ACQUIRE)) == 0)
        sleep_ms(1);
    until_asleep(id);
    pthread_cancel(stopper);
    sem_post(&stopped.leave);
    pthread_join(stopper, &result);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    ck_assert_int_eq(opool_epoch_start(&options), 0);
    opool_epoch_stop();
    blocking_pool_destroy(&pool);
}
END_TEST

/* ---- a callback that is cancelled ---- */

static bool cancelled_reset(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return true;
}

OPOOL_DEFINE(cancelled_pool, struct thing, .reset = cancelled_reset);

static void *put_and_end(void *arg)
{
    struct cancelled_pool *pool = arg;
    cancelled_pool_put(pool, cancelled_pool_get(pool));
    return NULL;
}

static void *destroy_and_tick(void *arg)
{
    struct thing_pool *pool = arg;
    use_some(pool);
    opool_epoch_advance();
    thing_pool_destroy(&pool);
    return pool;
}

/* Its object is out for ever; but the next thread, which takes over its place in the library, is in no callback. */
START_TEST(a_cancelled_callback_is_over)
{
    struct cancelled_pool *pool;
    void *result;
    ck_assert_int_eq(cancelled_pool_create(&pool, NULL), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(start_thread(put_and_end, pool), &result);
        ck_assert_ptr_eq(result, PTHREAD_CANCELED);
        uint64_t epoch = opool_epoch_now();
        pthread_join(start_thread(destroy_and_tick, new_pool((struct opool_options){.name = NULL})), &result);
        ck_assert_ptr_null(result); /* it was not refused */
        ck_assert_uint_eq(opool_epoch_now(), epoch + 1);
    }
    ck_assert_uint_eq(figures(cancelled_pool_base(pool)).live, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cancel");
    TCase *cancellation = new_case(suite, "cancellation");
    tcase_add_test(cancellation, a_cancelled_waiter_loses_nothing);
    tcase_add_test(cancellation, no_call_is_a_cancellation_point);
    tcase_add_test(cancellation, a_cancelled_stop_stops);
    tcase_add_test(cancellation, a_cancelled_callback_is_over);
    return run_suite(suite);
}
