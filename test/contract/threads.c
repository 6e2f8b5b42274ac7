/* SPDX-License-Identifier: MIT */

/* Threads that come and go: hand objects on, end, use pools from destructors, and outlive pools. */

#include <threads.h>

#include "contract.h"

struct thing {
    unsigned n, generation;
    unsigned char more[56];
};

static int thing_init(struct thing *thing, void *arg)
{
    thing->generation = arg ? *(unsigned *)arg : 1;
    return 0;
}

static bool thing_reset(struct thing *thing, void *arg)
{
    (void)arg;
    thing->n = 0;
    return true;
}

OPOOL_DEFINE(thing_pool, struct thing, .init = thing_init, .reset = thing_reset);

static struct thing_pool *new_pool(struct opool_options options)
{
    struct thing_pool *pool;
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
    return pool;
}

/* ---- producer and consumer ---- */

enum { RING = 64, HANDED = 60000 };

struct ring {
    struct thing_pool *pool;
    struct thing *things[RING];
    sem_t filled, empty;
    unsigned wrong;
};

static void *consume(void *arg)
{
    struct ring *ring = arg;
    for (unsigned i = 0; i < HANDED; i++) {
        wait_for(&ring->filled);
        struct thing *thing = ring->things[i % RING];
        sem_post(&ring->empty);
        ring->wrong += thing->n != i + 1;
        thing_pool_put(ring->pool, thing);
    }
    return NULL;
}

START_TEST(one_gets_the_other_puts)
{
    struct ring ring = {.pool = new_pool((struct opool_options){.capacity = _i ? 500 : 0})};
    sem_init(&ring.filled, 0, 0);
    sem_init(&ring.empty, 0, RING);
    pthread_t consumer = start_thread(consume, &ring);
    for (unsigned i = 0; i < HANDED; i++) {
        struct thing *thing = thing_pool_get(ring.pool);
        ck_assert_msg(thing && thing->n == 0, "object %u: %p", i, (void *)thing);
        thing->n = i + 1;
        wait_for(&ring.empty);
        ring.things[i % RING] = thing;
        sem_post(&ring.filled);
    }
    join_thread(consumer);
    ck_assert_uint_eq(ring.wrong, 0);
    check_equations(thing_pool_base(ring.pool));
    struct opool_stats stats = figures(thing_pool_base(ring.pool));
    ck_assert_uint_eq(stats.gets, HANDED);
    ck_assert_uint_eq(stats.puts, HANDED);
    /* What is on its way, and two magazines a thread: what one thread puts, the other does get. */
    ck_assert_uint_le(stats.built, RING + 2 + 6 * 128);
    thing_pool_destroy(&ring.pool);
}
END_TEST

/* ---- the end of a thread ---- */

static void *use_some(void *arg)
{
    struct thing *things[100];
    for (int i = 0; i < 100; i++)
        things[i] = thing_pool_get(arg);
    for (int i = 0; i < 100; i++)
        thing_pool_put(arg, things[i]);
    return NULL;
}

START_TEST(an_ended_thread_strands_nothing)
{
    struct thing_pool *pool = new_pool((struct opool_options){.name = NULL});
    struct opool *base = thing_pool_base(pool);
    run_thread(use_some, pool);
    ck_assert_uint_eq(figures(base).idle_thread, 0);
    ck_assert_uint_eq(figures(base).idle_depot, 100);
    check_equations(base);
    run_thread(use_some, pool);
    ck_assert_uint_eq(figures(base).built, 100);
    use_some(pool);
    ck_assert_uint_eq(figures(base).built, 100);
    check_equations(base);
    thing_pool_destroy(&pool);
}
END_TEST

START_TEST(a_thousand_short_threads)
{
    enum { POOLS = 3 };
    struct thing_pool *pools[POOLS];
    for (int i = 0; i < POOLS; i++)
        pools[i] = new_pool((struct opool_options){.magazine = i == 1 ? 3 : 0});
    for (int i = 0; i < 1000; i++)
        run_thread(use_some, pools[i % POOLS]);
    for (int i = 0; i < POOLS; i++) {
        ck_assert_uint_eq(figures(thing_pool_base(pools[i])).built, 100);
        check_equations(thing_pool_base(pools[i]));
        thing_pool_destroy(&pools[i]);
    }
}
END_TEST

static void *exit_thread(void *arg)
{
    use_some(arg);
    pthread_exit(NULL);
}

START_TEST(pthread_exit_is_an_end_too)
{
    struct thing_pool *pool = new_pool((struct opool_options){.name = NULL});
    run_thread(exit_thread, pool);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).idle_thread, 0);
    run_thread(exit_thread, pool);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).built, 100);
    thing_pool_destroy(&pool);
}
END_TEST

static void *take_one(void *arg)
{
    return thing_pool_get(arg);
}

START_TEST(objects_outlive_their_thread)
{
    struct thing_pool *pool = new_pool((struct opool_options){.name = NULL});
    void *thing;
    pthread_join(start_thread(take_one, pool), &thing);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).live, 1);
    thing_pool_put(pool, thing);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}
END_TEST

/* ---- destructors of thread-specific data ---- */

enum { AGAIN = 3 }; /* rounds of destructors that ask for another */

struct late {
    struct thing_pool *pool, *bounded;
    struct thing *thing;
    int rounds, done;
    pthread_key_t key;
    tss_t tss;
    bool by_tss;
};

/* At the end of the thread, before or after the library's own destructor, and once more: put what the thread held, and
   use both pools. */
static void use_late(void *arg)
{
    struct late *late = arg;
    if (late->thing)
        thing_pool_put(late->pool, late->thing);
    late->thing = NULL;
    use_some(late->pool);
    struct thing *thing = thing_pool_get_wait(late->bounded, -1);
    thing_pool_put(late->bounded, thing);
    late->done += thing != NULL;
    if (late->done >= late->rounds)
        return;
    if (late->by_tss)
        tss_set(late->tss, late);
    else
        pthread_setspecific(late->key, late);
}

static void *hold_one(void *arg)
{
    struct late *late = arg;
    if (late->by_tss)
        tss_set(late->tss, late);
    late->thing = thing_pool_get(late->pool);
    late->thing->n = 5;
    if (!late->by_tss)
        pthread_setspecific(late->key, late);
    use_some(late->pool);
    return NULL;
}

static void make_key(struct late *late)
{
    if (late->by_tss)
        ck_assert_int_eq(tss_create(&late->tss, use_late), thrd_success);
    else
        ck_assert_int_eq(pthread_key_create(&late->key, use_late), 0);
}

/* Bit 0: C11's destructor; bit 1: made after the library's own; bit 2: once or several rounds. */
START_TEST(destructors_may_use_pools)
{
    struct late late = {.by_tss = _i & 1, .rounds = _i & 4 ? AGAIN : 1};
    if (!(_i & 2))
        make_key(&late);
    late.pool = new_pool((struct opool_options){.name = NULL});
    late.bounded = new_pool((struct opool_options){.capacity = 1});
    if (_i & 2)
        make_key(&late);
    for (int i = 0; i < 20; i++) {
        late.done = 0;
        run_thread(hold_one, &late);
        ck_assert_int_eq(late.done, late.rounds);
        ck_assert_ptr_null(late.thing);
        struct opool_stats stats = figures(thing_pool_base(late.pool));
        ck_assert_uint_eq(stats.live, 0);
        ck_assert_uint_eq(stats.idle_thread, 0);
        ck_assert_uint_le(stats.built, 101);
        check_equations(thing_pool_base(late.pool));
    }
    thing_pool_destroy(&late.pool);
    thing_pool_destroy(&late.bounded);
}
END_TEST

/* A thread that meets the library in its destructor for the first time. */
static void *only_late(void *arg)
{
    struct late *late = arg;
    pthread_setspecific(late->key, late);
    return NULL;
}

START_TEST(first_use_in_a_destructor)
{
    struct late late = {.rounds = AGAIN};
    late.pool = new_pool((struct opool_options){.name = NULL});
    late.bounded = new_pool((struct opool_options){.capacity = 1});
    make_key(&late);
    for (int i = 0; i < 20; i++) {
        late.done = 0;
        run_thread(only_late, &late);
        ck_assert_int_eq(late.done, AGAIN);
        ck_assert_uint_eq(figures(thing_pool_base(late.pool)).idle_thread, 0);
        ck_assert_uint_eq(figures(thing_pool_base(late.pool)).built, 100);
    }
    thing_pool_destroy(&late.pool);
    thing_pool_destroy(&late.bounded);
}
END_TEST

/* ---- pools that come and go under a thread that stays ---- */

enum { GENERATIONS = 1500 };

struct stayer {
    struct thing_pool *pool;
    unsigned generation, wrong;
    sem_t go, done;
};

static void *stay(void *arg)
{
    struct stayer *stayer = arg;
    for (unsigned i = 0; i < GENERATIONS; i++) {
        struct thing *things[8];
        wait_for(&stayer->go);
        for (int k = 0; k < 8; k++) {
            things[k] = thing_pool_get(stayer->pool);
            stayer->wrong += things[k]->generation != stayer->generation;
        }
        thing_pool_put_batch(stayer->pool, things, 8);
        sem_post(&stayer->done);
    }
    return NULL;
}

/* The new pool takes over the number, and with it the heads, of the one before: an object of that one would carry an
   old generation. */
START_TEST(a_new_pool_has_no_old_objects)
{
    struct stayer stayers[2] = {{.pool = NULL}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        sem_init(&stayers[i].go, 0, 0);
        sem_init(&stayers[i].done, 0, 0);
        threads[i] = start_thread(stay, &stayers[i]);
    }
    for (unsigned generation = 1; generation <= GENERATIONS; generation++) {
        struct thing_pool *pool = new_pool((struct opool_options){.arg = &generation});
        for (int i = 0; i < 2; i++) {
            stayers[i].pool = pool;
            stayers[i].generation = generation;
            sem_post(&stayers[i].go);
        }
        for (int i = 0; i < 2; i++)
            wait_for(&stayers[i].done);
        if (idle_objects(thing_pool_base(pool)) < 8)
            ck_abort_msg("generation %u: fewer objects than were put", generation);
        if (generation % 3)
            thing_pool_destroy(&pool);
        else
            thing_pool_close(&pool);
    }
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        ck_assert_uint_eq(stayers[i].wrong, 0);
    }
    ck_assert_ptr_null(opool_next(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *ends = new_case(suite, "ends");
    tcase_add_loop_test(ends, one_gets_the_other_puts, 0, 2);
    tcase_add_test(ends, an_ended_thread_strands_nothing);
    tcase_add_test(ends, a_thousand_short_threads);
    tcase_add_test(ends, pthread_exit_is_an_end_too);
    tcase_add_test(ends, objects_outlive_their_thread);
    tcase_add_loop_test(ends, destructors_may_use_pools, 0, 8);
    tcase_add_test(ends, first_use_in_a_destructor);
    TCase *numbers = new_case(suite, "numbers");
    tcase_add_test(numbers, a_new_pool_has_no_old_objects);
    return run_suite(suite);
}
