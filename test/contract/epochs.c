/* SPDX-License-Identifier: MIT */

/*
 * The promise of <opool/epoch.h>, by objects that know when they were used: each one has a number, and the test notes
 * the epoch of its last get or put. What fini says then is whether a tick came too early, and what is still there
 * whether it came too late.
 */

#include "contract.h"

enum { MOST = 20000, EXEMPT = 8 };

struct thing {
    unsigned number;
    unsigned char more[60];
};

/* Of all things of a test, by number. */
static struct {
    unsigned built;
    uint64_t used[MOST];
    bool alive[MOST], out[MOST];
    unsigned early; /* torn down although used since the tick before the last */
} world;

static int thing_init(struct thing *thing, void *arg)
{
    (void)arg;
    thing->number = world.built++;
    world.alive[thing->number] = true;
    return 0;
}

static void thing_fini(struct thing *thing, void *arg)
{
    (void)arg;
    /* By whoever ticks, maybe two at once. */
    __atomic_store_n(&world.alive[thing->number], false, __ATOMIC_RELAXED);
    if (world.used[thing->number] + 2 > opool_epoch_now())
        __atomic_fetch_add(&world.early, 1, __ATOMIC_RELAXED);
}

OPOOL_DEFINE(thing_pool, struct thing, .init = thing_init, .fini = thing_fini);

static struct thing_pool *pool;

static void open_with(struct opool_options options)
{
    ck_assert_int_eq(thing_pool_create(&pool, &options), 0);
}

static void open_pool(void)
{
    open_with((struct opool_options){0});
}

static void close_pool(void)
{
    ck_assert_uint_eq(world.early, 0);
    check_equations(thing_pool_base(pool));
    thing_pool_destroy(&pool);
}

static struct thing *get(void)
{
    struct thing *thing = thing_pool_get(pool);
    if (thing) {
        world.used[thing->number] = opool_epoch_now();
        world.out[thing->number] = true;
    }
    return thing;
}

static void put(struct thing *thing)
{
    world.used[thing->number] = opool_epoch_now();
    world.out[thing->number] = false;
    thing_pool_put(pool, thing);
}

static unsigned alive(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < world.built; i++)
        n += __atomic_load_n(&world.alive[i], __ATOMIC_RELAXED);
    return n;
}

/* Idle objects that were unused during two whole epochs and are there all the same. */
static unsigned overdue(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < world.built; i++)
        n += world.alive[i] && !world.out[i] && world.used[i] + 3 <= opool_epoch_now();
    return n;
}

static void ticks(int n)
{
    for (; n > 0; n--)
        opool_epoch_advance();
}

/* n objects out at once, and back. */
static void burst(unsigned n)
{
    static __thread struct thing *things[MOST];
    for (unsigned i = 0; i < n; i++)
        ck_assert_ptr_nonnull(things[i] = get());
    for (unsigned i = 0; i < n; i++)
        put(things[i]);
}

static void *burst_100(void *unused)
{
    burst(100);
    return unused;
}

/* ---- another thread, that does what it is told and sleeps in between ---- */

struct worker {
    pthread_t thread;
    sem_t told, done;
    void *(*act)(void *);
    void *arg;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (;;) {
        wait_for(&worker->told);
        if (!worker->act)
            return NULL;
        worker->act(worker->arg);
        sem_post(&worker->done);
    }
}

static void hire(struct worker *worker)
{
    sem_init(&worker->told, 0, 0);
    sem_init(&worker->done, 0, 0);
    worker->thread = start_thread(work, worker);
}

static void tell(struct worker *worker, void *(*act)(void *), void *arg)
{
    worker->act = act;
    worker->arg = arg;
    sem_post(&worker->told);
    if (act)
        wait_for(&worker->done);
}

static void dismiss(struct worker *worker)
{
    tell(worker, NULL, NULL);
    join_thread(worker->thread);
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
    tell(&worker, burst_100, NULL);
    ticks(2);
    ck_assert_uint_eq(alive(), 100);
    ticks(1);
    ck_assert_uint_eq(alive(), figures(thing_pool_base(pool)).locked && !world.early ? alive() : 0);
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

OPOOL_DEFINE(plain_pool, struct thing);
static struct plain_pool *plain;

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
    tell(&worker, burst_100, NULL);
    burst(5000);
    struct thing *held = get();
    struct opool_stats before = figures(thing_pool_base(pool));
    world.early = 0;
    size_t bytes = opool_release();
    struct opool_stats after = figures(thing_pool_base(pool));
    ck_assert_uint_eq(alive(), before.locked ? alive() : 1);
    ck_assert_uint_ge(bytes, 5000 * sizeof(struct thing) / 2);
    ck_assert_uint_ge(before.resident_bytes - after.resident_bytes, bytes);
    ck_assert_uint_eq(opool_release(), 0);
    put(held);
    ck_assert_uint_gt(opool_release(), 0);
    ck_assert_uint_eq(figures(thing_pool_base(pool)).slots, before.locked ? figures(thing_pool_base(pool)).slots : 0);
    dismiss(&worker);
    world.early = 0; /* release looks at no epoch */
    close_pool();
}
END_TEST

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
    tcase_add_loop_test(promise, at_random, 0, 6);
    TCase *calls = new_case(suite, "calls");
    tcase_add_loop_test(calls, refused_inside_callbacks, 0, 3);
    tcase_add_test(calls, fini_may_use_pools);
    tcase_add_test(calls, two_threads_tick_at_once);
    tcase_add_test(calls, a_forked_child_ticks);
    tcase_add_test(calls, a_thousand_pools);
    tcase_add_test(calls, pools_come_and_go_under_ticks);
    tcase_add_test(calls, flush_gives_to_others);
    tcase_add_test(calls, release_takes_all_that_is_idle);
    TCase *unasked = new_case(suite, "without calls");
    tcase_add_test(unasked, the_thread_ticks);
    tcase_add_test(unasked, a_soft_limit_makes_epochs_short);
    tcase_add_test(unasked, exit_while_it_runs);
    tcase_add_test(unasked, slow_paths_tick);
    TCase *watches = new_case(suite, "watermarks");
    tcase_add_test(watches, live_objects_are_watched);
    tcase_add_loop_test(watches, idle_and_resident_bytes_are_watched, 0, 2);
    tcase_add_test(watches, an_eventfd_is_told);
    tcase_add_test(watches, wrong_watches_are_refused);
    return run_suite_as(suite, CK_FORK);
}
