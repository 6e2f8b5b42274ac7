/* SPDX-License-Identifier: MIT */

/* Pools with a capacity: exact, first come first served, and what wakes a waiter. region.c has those in the caller's
   memory. */

#include "contract.h"

struct thing {
    unsigned n;
    unsigned char more[60];
};

/* What callbacks do, and how often they ran; the arg of the pools here. */
struct script {
    int init_fails; /* errno of the next inits */
    bool refuse;
    sem_t *in_init, *init_goes_on;
    sem_t *in_fini; /* said before a fini that takes a millisecond */
};

static int thing_init(struct thing *thing, void *arg)
{
    struct script *script = arg;
    (void)thing;
    if (!script)
        return 0;
    int result = script->init_fails;
    if (script->in_init) {
        sem_t *goes_on = script->init_goes_on, *in_init = script->in_init;
        script->in_init = NULL;
        script->init_fails = 0;
        sem_post(in_init);
        wait_for(goes_on);
    }
    return result;
}

static bool thing_reset(struct thing *thing, void *arg)
{
    struct script *script = arg;
    thing->n = 0;
    return !script || !script->refuse;
}

static void thing_fini(struct thing *thing, void *arg)
{
    const struct script *script = arg;
    (void)thing;
    if (script && script->in_fini) {
        sem_post(script->in_fini);
        usleep(1000);
    }
}

OPOOL_DEFINE(thing_pool, struct thing, .init = thing_init, .reset = thing_reset, .fini = thing_fini);

static struct thing_pool *new_pool(size_t capacity, struct script *script)
{
    struct opool_options options = {.arg = script, .capacity = capacity};
    struct thing_pool *pool;
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
    return pool;
}

/* ---- how many ---- */

START_TEST(no_more_than_capacity)
{
    static const size_t capacities[] = {1, 2, 63, 64, 65, 300};
    struct thing *things[301];
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        size_t n = capacities[i];
        struct thing_pool *pool = new_pool(n, NULL);
        for (int round = 0; round < 3; round++) {
            for (size_t k = 0; k < n; k++)
                ck_assert_ptr_nonnull(things[k] = thing_pool_get(pool));
            errno = 0;
            ck_assert_ptr_null(thing_pool_get(pool));
            ck_assert_int_eq(errno, EAGAIN);
            thing_pool_put(pool, things[n / 2]);
            ck_assert_ptr_nonnull(things[n / 2] = thing_pool_get(pool));
            ck_assert_ptr_null(thing_pool_get(pool));
            thing_pool_discard(pool, things[0]);
            ck_assert_ptr_nonnull(things[0] = thing_pool_get(pool));
            ck_assert_ptr_null(thing_pool_get(pool));
            thing_pool_put_batch(pool, things, n);
        }
        ck_assert_uint_eq(figures(thing_pool_base(pool)).capacity_fails, 9);
        check_equations(thing_pool_base(pool));
        thing_pool_destroy(&pool);
    }
}
END_TEST

START_TEST(a_batch_stops_at_capacity)
{
    struct thing_pool *pool = new_pool(5, NULL);
    struct thing mark, *things[8];
    for (int i = 0; i < 8; i++)
        things[i] = &mark;
    errno = 0;
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 8), 5);
    ck_assert_int_eq(errno, EAGAIN);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(things[i] == &mark, i >= 5);
    thing_pool_put_batch(pool, things, 5);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(a_failed_init_does_not_use_up_capacity)
{
    struct script script = {.init_fails = EIO};
    struct thing_pool *pool = new_pool(2, &script);
    for (int i = 0; i < 10; i++) {
        ck_assert_ptr_null(thing_pool_get(pool));
        ck_assert_int_eq(errno, EIO);
    }
    script.init_fails = 0;
    struct thing *things[3];
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 3), 2);
    script.refuse = true;
    thing_pool_put_batch(pool, things, 2);
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 3), 2);
    thing_pool_put_batch(pool, things, 2);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}
END_TEST

/* ---- many threads ---- */

enum { THREADS = 4, CROWD_ROUNDS = 4000, CROWD_CAPACITY = 3 };

struct crowd {
    struct thing_pool *pool;
    int out, most;        /* atomic */
    unsigned got, missed; /* atomic */
};

static void count_out(struct crowd *crowd)
{
    int out = __atomic_add_fetch(&crowd->out, 1, __ATOMIC_RELAXED);
    int most = __atomic_load_n(&crowd->most, __ATOMIC_RELAXED);
    while (out > most && !__atomic_compare_exchange_n(&crowd->most, &most, out, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    __atomic_fetch_add(&crowd->got, 1u, __ATOMIC_RELAXED);
}

static void give_back(struct crowd *crowd, struct thing *thing, unsigned how)
{
    /* Before the object is back: the count never exceeds what is out. */
    __atomic_fetch_sub(&crowd->out, 1, __ATOMIC_RELAXED);
    if (how % 8 == 0)
        thing_pool_discard(crowd->pool, thing);
    else
        thing_pool_put(crowd->pool, thing);
}

static void *join_crowd(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < CROWD_ROUNDS; i++) {
        struct thing *thing =
            i % 3 == 0 ? thing_pool_get_wait(crowd->pool, i % 2 ? 1 : -1) : thing_pool_get(crowd->pool);
        if (!thing) {
            __atomic_fetch_add(&crowd->missed, 1u, __ATOMIC_RELAXED);
            continue;
        }
        count_out(crowd);
        thing->n++; /* exclusive: ThreadSanitizer looks */
        if (i % 16 == 0)
            sched_yield();
        give_back(crowd, thing, i);
    }
    return NULL;
}

START_TEST(threads_never_hold_more_than_capacity)
{
    struct crowd crowd = {.pool = new_pool(CROWD_CAPACITY, NULL)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(join_crowd, &crowd);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    ck_assert_int_le(crowd.most, CROWD_CAPACITY);
    ck_assert_uint_eq(crowd.got + crowd.missed, THREADS * CROWD_ROUNDS);
    ck_assert_uint_ge(crowd.got, THREADS * CROWD_ROUNDS / 6); /* those that wait without limit */
    check_equations(thing_pool_base(crowd.pool));
    ck_assert_uint_eq(figures(thing_pool_base(crowd.pool)).gets, crowd.got);
    ck_assert_uint_eq(figures(thing_pool_base(crowd.pool)).capacity_fails, crowd.missed);
    struct thing *things[CROWD_CAPACITY + 1];
    ck_assert_uint_eq(thing_pool_get_batch(crowd.pool, things, CROWD_CAPACITY + 1), CROWD_CAPACITY);
    thing_pool_put_batch(crowd.pool, things, CROWD_CAPACITY);
    thing_pool_destroy(&crowd.pool);
}
END_TEST

struct holder {
    struct thing_pool *pool;
    sem_t ready, leave;
};

/* Uses all objects, puts them, and sleeps on. */
static void *use_all_and_sleep(void *arg)
{
    struct holder *holder = arg;
    struct thing *things[40];
    size_t n = thing_pool_get_batch(holder->pool, things, 40);
    thing_pool_put_batch(holder->pool, things, n);
    sem_post(&holder->ready);
    wait_for(&holder->leave);
    return NULL;
}

START_TEST(sleeping_threads_hide_nothing)
{
    struct holder holder = {.pool = new_pool(40, NULL)};
    pthread_t threads[THREADS];
    sem_init(&holder.ready, 0, 0);
    sem_init(&holder.leave, 0, 0);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = start_thread(use_all_and_sleep, &holder);
        wait_for(&holder.ready);
    }
    struct thing *things[41];
    ck_assert_uint_eq(thing_pool_get_batch(holder.pool, things, 41), 40);
    thing_pool_put_batch(holder.pool, things, 40);
    for (int i = 0; i < THREADS; i++)
        sem_post(&holder.leave);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    thing_pool_destroy(&holder.pool);
}
END_TEST

/* ---- waiting ---- */

struct waiter {
    struct thing_pool *pool;
    int timeout_ms;
    struct thing *thing;
    int error;
    pid_t id;
    sem_t called;
    unsigned *turn, place; /* atomic: the order of returns */
    pthread_t thread;
};

static void *wait_for_thing(void *arg)
{
    struct waiter *waiter = arg;
    waiter->id = thread_id();
    sem_post(&waiter->called);
    errno = 0;
    waiter->thing = thing_pool_get_wait(waiter->pool, waiter->timeout_ms);
    waiter->error = errno;
    if (waiter->turn)
        waiter->place = __atomic_fetch_add(waiter->turn, 1u, __ATOMIC_RELAXED);
    return NULL;
}

/* Returns when the thread waits. */
static void start_waiter(struct waiter *waiter, struct thing_pool *pool, int timeout_ms)
{
    waiter->pool = pool;
    waiter->timeout_ms = timeout_ms;
    sem_init(&waiter->called, 0, 0);
    waiter->thread = start_thread(wait_for_thing, waiter);
    wait_for(&waiter->called);
    until_asleep(waiter->id);
}

static void expect_thing(struct waiter *waiter)
{
    join_thread(waiter->thread);
    ck_assert_msg(waiter->thing != NULL, "errno %d", waiter->error);
}

static void *tick_thrice(void *unused)
{
    for (int i = 0; i < 3; i++)
        (void)opool_epoch_advance();
    return unused;
}

static void *release_all(void *unused)
{
    (void)opool_release();
    return unused;
}

/* What a tick or release tears down just now is not out: a get does not fail for it, but for a fini of 10 ms or more,
   which a busy machine makes of any. */
START_TEST(what_is_torn_down_is_not_out)
{
    enum { ROUNDS = 20 };
    int got = 0;
    for (int round = 0; round < ROUNDS && !got; round++) {
        pthread_t thread;
        sem_t in_fini;
        struct script script = {.in_fini = &in_fini};
        struct thing_pool *pool = new_pool(1, &script);
        sem_init(&in_fini, 0, 0);
        thing_pool_put(pool, thing_pool_get(pool));
        pthread_create(&thread, NULL, _i ? release_all : tick_thrice, NULL);
        wait_for(&in_fini);
        struct thing *thing = thing_pool_get(pool);
        got += thing != NULL;
        pthread_join(thread, NULL);
        script.in_fini = NULL;
        thing_pool_put(pool, thing);
        check_equations(thing_pool_base(pool));
        thing_pool_destroy(&pool);
    }
    ck_assert_int_eq(got, 1);
}
END_TEST

START_TEST(a_wait_of_zero_does_not_wait)
{
    struct thing_pool *pool = new_pool(1, NULL);
    struct thing *thing = thing_pool_get_wait(pool, 0);
    ck_assert_ptr_nonnull(thing);
    int64_t start = now_ms();
    errno = 0;
    ck_assert_ptr_null(thing_pool_get_wait(pool, 0));
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_lt(now_ms() - start, 20000);
    thing_pool_put(pool, thing);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(a_wait_lasts_as_long_as_it_says)
{
    static const int timeouts[] = {1, 20, 150};
    struct thing_pool *pool = new_pool(1, NULL);
    struct thing *thing = thing_pool_get(pool);
    for (int i = 0; i < 3; i++) {
        int64_t start = now_ms();
        errno = 0;
        ck_assert_ptr_null(thing_pool_get_wait(pool, timeouts[i]));
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_ge(now_ms() - start, timeouts[i] - 1); /* both ends are rounded down */
        ck_assert_int_lt(now_ms() - start, timeouts[i] + 20000);
    }
    thing_pool_put(pool, thing);
    struct thing *again = thing_pool_get_wait(pool, 1000000);
    ck_assert_ptr_eq(again, thing);
    thing_pool_put(pool, again);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(without_capacity_nothing_waits)
{
    struct thing_pool *pool = new_pool(0, NULL);
    struct thing *things[300];
    int64_t start = now_ms();
    for (int i = 0; i < 300; i++)
        ck_assert_ptr_nonnull(things[i] = thing_pool_get_wait(pool, i % 3 - 1));
    ck_assert_int_lt(now_ms() - start, 20000);
    thing_pool_put_batch(pool, things, 300);
    thing_pool_destroy(&pool);
}
END_TEST

/* ---- what wakes ---- */

static void wake_by_put(struct thing_pool *pool, struct thing *thing)
{
    thing_pool_put(pool, thing);
}

static void wake_by_untyped_put(struct thing_pool *pool, struct thing *thing)
{
    opool_put(thing_pool_base(pool), thing);
}

static void wake_by_batch(struct thing_pool *pool, struct thing *thing)
{
    thing_pool_put_batch(pool, &thing, 1);
}

static void wake_by_discard(struct thing_pool *pool, struct thing *thing)
{
    thing_pool_discard(pool, thing);
}

static void (*const wakers[])(struct thing_pool *, struct thing *) = {wake_by_put, wake_by_untyped_put, wake_by_batch,
                                                                      wake_by_discard};
enum { WAKERS = sizeof wakers / sizeof *wakers };

/* Each wakes the waiter, with a reset that keeps and with one that refuses. */
START_TEST(what_comes_back_wakes)
{
    struct script script = {.refuse = _i >= WAKERS};
    struct thing_pool *pool = new_pool(1, &script);
    for (int round = 0; round < 5; round++) {
        struct waiter waiter = {.pool = NULL};
        struct thing *thing = thing_pool_get(pool);
        start_waiter(&waiter, pool, -1);
        wakers[_i % WAKERS](pool, thing);
        expect_thing(&waiter);
        ck_assert_ptr_null(thing_pool_get(pool));
        thing_pool_put(pool, waiter.thing);
    }
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}
END_TEST

static void *get_and_fail(void *arg)
{
    errno = 0;
    struct thing *thing = thing_pool_get(arg);
    return thing || errno != EIO ? arg : NULL;
}

START_TEST(a_failed_init_wakes)
{
    sem_t in_init, goes_on;
    struct script script = {.init_fails = EIO, .in_init = &in_init, .init_goes_on = &goes_on};
    struct waiter waiter = {.pool = NULL};
    void *wrong;
    sem_init(&in_init, 0, 0);
    sem_init(&goes_on, 0, 0);
    struct thing_pool *pool = new_pool(1, &script);
    pthread_t builder = start_thread(get_and_fail, pool);
    wait_for(&in_init);
    start_waiter(&waiter, pool, -1);
    sem_post(&goes_on);
    expect_thing(&waiter);
    pthread_join(builder, &wrong);
    ck_assert_ptr_null(wrong);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).init_fails, 1);
    thing_pool_put(pool, waiter.thing);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}
END_TEST

/* The waiter is handed the right to build, and its own init fails: the next waiter gets that right. */
START_TEST(a_failed_init_of_a_waiter_wakes_the_next)
{
    struct script script = {.init_fails = 0};
    struct thing_pool *pool = new_pool(1, &script);
    struct thing *thing = thing_pool_get(pool);
    sem_t in_init, goes_on;
    struct waiter first = {.pool = NULL}, second = {.pool = NULL};
    sem_init(&in_init, 0, 0);
    sem_init(&goes_on, 0, 0);
    start_waiter(&first, pool, -1);
    start_waiter(&second, pool, -1);
    script = (struct script){.init_fails = EIO, .in_init = &in_init, .init_goes_on = &goes_on};
    thing_pool_discard(pool, thing);
    wait_for(&in_init);
    sem_post(&goes_on);
    join_thread(first.thread);
    ck_assert_ptr_null(first.thing);
    ck_assert_int_eq(first.error, EIO);
    expect_thing(&second);
    thing_pool_put(pool, second.thing);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(close_wakes_all)
{
    struct waiter waiters[3] = {{.pool = NULL}};
    struct thing_pool *pool = new_pool(1, NULL), *handle = pool;
    struct thing *thing = thing_pool_get(pool);
    struct opool *base = thing_pool_base(pool);
    for (int i = 0; i < 3; i++)
        start_waiter(&waiters[i], pool, i == 1 ? 100000 : -1);
    thing_pool_close(&handle);
    for (int i = 0; i < 3; i++) {
        join_thread(waiters[i].thread);
        ck_assert_ptr_null(waiters[i].thing);
        ck_assert_int_eq(waiters[i].error, ESHUTDOWN);
    }
    errno = 0;
    ck_assert_ptr_null(thing_pool_get_wait(pool, -1));
    ck_assert_int_eq(errno, ESHUTDOWN);
    ck_assert(is_listed(base));
    thing_pool_put(pool, thing);
    ck_assert(!is_listed(base));
}
END_TEST

enum { CLOSE_ROUNDS = 200 };

/* A discard hands the right to build to the waiter, which has not woken up yet when the pool is closed: it keeps the
   pool. */
START_TEST(close_behind_a_discard)
{
    for (int round = 0; round < CLOSE_ROUNDS; round++) {
        struct waiter waiter = {.pool = NULL};
        struct thing_pool *pool = new_pool(1, NULL), *handle = pool;
        struct opool *base = thing_pool_base(pool);
        struct thing *thing = thing_pool_get(pool);
        start_waiter(&waiter, pool, -1);
        thing_pool_discard(pool, thing);
        thing_pool_close(&handle);
        expect_thing(&waiter);
        waiter.thing->n = 1;
        thing_pool_put(pool, waiter.thing);
        ck_assert(!is_listed(base));
    }
}
END_TEST

/* What init says is not taken for a pool that is full. */
START_TEST(errors_of_init_are_passed_on)
{
    struct script script = {.init_fails = EAGAIN};
    struct thing_pool *pool = new_pool(1, &script);
    for (int timeout_ms = -1; timeout_ms <= 1; timeout_ms++) {
        errno = 0;
        ck_assert_ptr_null(thing_pool_get_wait(pool, timeout_ms));
        ck_assert_int_eq(errno, EAGAIN);
    }
    thing_pool_destroy(&pool);
}
END_TEST

/* ---- whose turn ---- */

enum { QUEUE = 5 };

START_TEST(first_come_first_served)
{
    struct script script = {.refuse = _i};
    struct waiter waiters[QUEUE] = {{.pool = NULL}};
    struct thing_pool *pool = new_pool(1, &script);
    struct thing *thing = thing_pool_get(pool);
    unsigned turn = 0;
    for (int i = 0; i < QUEUE; i++) {
        waiters[i].turn = &turn;
        start_waiter(&waiters[i], pool, -1);
    }
    for (unsigned i = 0; i < QUEUE; i++) {
        thing_pool_put(pool, thing);
        expect_thing(&waiters[i]);
        ck_assert_uint_eq(waiters[i].place, i);
        thing = waiters[i].thing;
    }
    thing_pool_put(pool, thing);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(nobody_barges)
{
    struct script script = {.refuse = _i};
    struct thing_pool *pool = new_pool(2, &script);
    struct thing *other = thing_pool_get(pool);
    for (int round = 0; round < 20; round++) {
        struct waiter waiter = {.pool = NULL};
        struct thing *thing = thing_pool_get(pool), *barged[2];
        start_waiter(&waiter, pool, -1);
        thing_pool_put(pool, thing);
        ck_assert_ptr_null(thing_pool_get(pool)); /* the one that was put, it is the waiter's already */
        ck_assert_ptr_null(thing_pool_get_wait(pool, 0));
        ck_assert_uint_eq(thing_pool_get_batch(pool, barged, 2), 0);
        expect_thing(&waiter);
        thing_pool_put(pool, waiter.thing);
    }
    thing_pool_put(pool, other);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(who_gives_up_leaves_the_queue)
{
    struct waiter waiters[3] = {{.pool = NULL}};
    struct thing_pool *pool = new_pool(2, NULL);
    struct thing *things[2];
    ck_assert_uint_eq(thing_pool_get_batch(pool, things, 2), 2);
    for (int i = 0; i < 3; i++)
        start_waiter(&waiters[i], pool, i == _i ? 100 : -1);
    join_thread(waiters[_i].thread);
    ck_assert_ptr_null(waiters[_i].thing);
    ck_assert_int_eq(waiters[_i].error, ETIMEDOUT);
    thing_pool_put_batch(pool, things, 2);
    for (int i = 0; i < 3; i++)
        if (i != _i)
            expect_thing(&waiters[i]);
    ck_assert_ptr_null(thing_pool_get(pool));
    for (int i = 0; i < 3; i++)
        thing_pool_put(pool, waiters[i].thing);
    ck_assert_uint_eq(idle_objects(thing_pool_base(pool)), 2);
    thing_pool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("capacity");
    TCase *amount = new_case(suite, "amount");
    tcase_add_test(amount, no_more_than_capacity);
    tcase_add_test(amount, a_batch_stops_at_capacity);
    tcase_add_test(amount, a_failed_init_does_not_use_up_capacity);
    tcase_add_test(amount, threads_never_hold_more_than_capacity);
    tcase_add_test(amount, sleeping_threads_hide_nothing);
    TCase *waiting = new_case(suite, "waiting");
    tcase_add_loop_test(waiting, what_is_torn_down_is_not_out, 0, 2);
    tcase_add_test(waiting, a_wait_of_zero_does_not_wait);
    tcase_add_test(waiting, a_wait_lasts_as_long_as_it_says);
    tcase_add_test(waiting, without_capacity_nothing_waits);
    tcase_add_loop_test(waiting, what_comes_back_wakes, 0, 2 * WAKERS);
    tcase_add_test(waiting, a_failed_init_wakes);
    tcase_add_test(waiting, a_failed_init_of_a_waiter_wakes_the_next);
    tcase_add_test(waiting, close_wakes_all);
    tcase_add_test(waiting, close_behind_a_discard);
    tcase_add_test(waiting, errors_of_init_are_passed_on);
    tcase_add_loop_test(waiting, first_come_first_served, 0, 2);
    tcase_add_loop_test(waiting, nobody_barges, 0, 2);
    tcase_add_loop_test(waiting, who_gives_up_leaves_the_queue, 0, 3);
    return run_suite(suite);
}
