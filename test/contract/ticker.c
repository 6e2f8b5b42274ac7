/* SPDX-License-Identifier: MIT */

/* Ticks that nobody calls for: the thread that ticks, and slow paths that do. */

#include "aging.h"

/* ---- the thread that ticks, and slow paths that do ---- */

/* Where membarrier is refused from some moment on, what a thread cached before it, and never looks at again, stays:
   then a test that it happens to proves nothing. */
static uint64_t locked_at_first;

static void note_lock(void)
{
    ck_assert_int_eq(plain_pool_create(&plain, NULL), 0);
    locked_at_first = figures(plain_pool_base(plain)).locked;
    plain_pool_destroy(&plain);
}

static bool refused_meanwhile(struct opool *of)
{
    return figures(of).locked != locked_at_first;
}

/* It has far more time than it takes, so that a busy machine decides nothing. */
static void expect_torn_down(struct opool *of, uint64_t n)
{
    int64_t start = now_ms();
    while (figures(of).torn_down < n && !refused_meanwhile(of) && now_ms() - start < 20000)
        sleep_ms(1);
    ck_assert(figures(of).torn_down >= n || refused_meanwhile(of));
}

START_TEST(the_thread_ticks)
{
    open_pool();
    struct opool *base = thing_pool_base(pool);
    burst(1000);
    int64_t start = now_ms();
    ck_assert_int_eq(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 20}), 0);
    ck_assert_int_eq(opool_epoch_start(NULL), -EALREADY);
    expect_torn_down(base, 1000);
    ck_assert(refused_meanwhile(base) || now_ms() - start >= 40);
    sleep_ms(60); /* it dozes now */
    uint64_t dozing = opool_epoch_now();
    sleep_ms(300);
    ck_assert(refused_meanwhile(base) || opool_epoch_now() - dozing <= 1);
    burst(1000); /* and wakes up */
    expect_torn_down(base, 2000);
    opool_epoch_stop();
    opool_epoch_stop();
    ck_assert(refused_meanwhile(base) || alive() == 0);
    uint64_t stopped = opool_epoch_now();
    sleep_ms(60);
    ck_assert_uint_eq(opool_epoch_now(), stopped);
    close_pool();
}
END_TEST

/* Longer than any test: what comes meanwhile has another reason. */
enum { NEVER_MS = 1000000 };

static void start_ticking(unsigned period_ms, size_t soft_limit_bytes)
{
    struct opool_epoch_options options = {.period_ms = period_ms, .soft_limit_bytes = soft_limit_bytes};
    ck_assert_int_eq(opool_epoch_start(&options), 0);
}

START_TEST(a_soft_limit_makes_epochs_short)
{
    open_pool();
    burst(_i ? 1 : 5000);
    start_ticking(NEVER_MS, 1000);
    if (_i) {
        sleep_ms(20);
        burst(5000); /* between two ticks */
    }
    expect_torn_down(thing_pool_base(pool), 5000);
    opool_epoch_stop();
    close_pool();
}
END_TEST

START_TEST(what_is_kept_is_below_every_limit)
{
    open_with((struct opool_options){.keep = 1000, .prefill = 1000});
    ck_assert_int_eq(plain_pool_create(&plain, NULL), 0);
    plain_pool_put(plain, plain_pool_get(plain)); /* so that it does not doze */
    start_ticking(NEVER_MS, 500 * sizeof(struct thing));
    sleep_ms(500); /* five looks */
    ck_assert_uint_eq(opool_epoch_now(), 0);
    opool_epoch_stop();
    world.early = 0;
}
END_TEST

/* ---- back-off ---- */

struct block {
    unsigned char bytes[4096];
};
OPOOL_DEFINE(block_pool, struct block);

enum { BLOCKS = 2000 };

static void use_blocks(struct block_pool *of)
{
    static struct block *blocks[BLOCKS];
    ck_assert_uint_eq(block_pool_get_batch(of, blocks, BLOCKS), BLOCKS);
    block_pool_put_batch(of, blocks, BLOCKS);
}

/* A few small objects that are torn down and built again all the time hold no large idle pool back. Three periods are
   30 ms; were each of these rounds a reason to double them, it would be two seconds. */
static bool is_held_back(struct opool *small, struct block_pool *blocks)
{
    uint64_t before = figures(small).torn_down, blocks_before = figures(block_pool_base(blocks)).torn_down;
    for (unsigned round = 1; round <= 8; round++) {
        burst(16);
        expect_torn_down(small, before + 16 * round);
    }
    burst(16);
    use_blocks(blocks);
    int64_t start = now_ms();
    expect_torn_down(block_pool_base(blocks), blocks_before + BLOCKS);
    return now_ms() - start >= 1000 && !refused_meanwhile(small);
}

/* A busy machine may hold it back for once. */
START_TEST(small_churn_holds_nothing_back)
{
    struct block_pool *blocks;
    int tries = 0;
    ck_assert_int_eq(block_pool_create(&blocks, NULL), 0);
    open_pool();
    start_ticking(10, 0);
    while (is_held_back(thing_pool_base(pool), blocks))
        ck_assert_int_lt(++tries, 5);
    opool_epoch_stop();
    block_pool_destroy(&blocks);
    close_pool();
}
END_TEST

/* ---- what is idle when the last tick found nothing ---- */

static void use_other_pool(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    plain_pool_put(plain, plain_pool_get(plain));
}

OPOOL_DEFINE(giving_pool, struct thing, .fini = use_other_pool);

/* By the tick itself, behind its look at that pool. */
START_TEST(what_a_fini_puts_goes_too)
{
    struct giving_pool *giving;
    ck_assert_int_eq(plain_pool_create(&plain, NULL), 0);
    ck_assert_int_eq(giving_pool_create(&giving, NULL), 0);
    giving_pool_put(giving, giving_pool_get(giving));
    start_ticking(10, 0);
    expect_torn_down(plain_pool_base(plain), 1);
    opool_epoch_stop();
    plain_pool_destroy(&plain);
    giving_pool_destroy(&giving);
}
END_TEST

/* A cache that a thread took into use may get something by a put that nobody sees. */
START_TEST(what_was_out_goes_too)
{
    open_pool();
    start_ticking(10, 0);
    for (unsigned round = 1; round <= 20; round++) {
        struct thing *thing = get();
        uint64_t epoch = opool_epoch_now();
        for (unsigned i = 0; i < 200 && opool_epoch_now() < epoch + round % 4; i++)
            sleep_ms(1);
        put(thing);
        expect_torn_down(thing_pool_base(pool), round);
    }
    opool_epoch_stop();
    close_pool();
}
END_TEST

/* ---- its end ---- */

static struct {
    sem_t in, leave;
    bool done; /* atomic */
    pid_t stopper;
} last;

static void block_once(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    if (last.done)
        return;
    sem_post(&last.in);
    wait_for(&last.leave);
    sleep_ms(20); /* whoever does not wait for the end is past it by then */
    __atomic_store_n(&last.done, true, __ATOMIC_RELEASE);
}

OPOOL_DEFINE(blocking_pool, struct thing, .fini = block_once);

/* Its thread is inside a fini until last.leave. */
static void block_the_thread(void)
{
    static struct blocking_pool *blocking;
    sem_init(&last.in, 0, 0);
    sem_init(&last.leave, 0, 0);
    CHILD_ASSERT(blocking_pool_create(&blocking, NULL) == 0);
    blocking_pool_put(blocking, blocking_pool_get(blocking));
    CHILD_ASSERT(opool_epoch_start(&(struct opool_epoch_options){.period_ms = 10, .use_pressure = true}) == 0);
    wait_for(&last.in);
}

static void *leave_soon(void *unused)
{
    sleep_ms(30);
    sem_post(&last.leave);
    return unused;
}

static void *stop_it(void *unused)
{
    __atomic_store_n(&last.stopper, thread_id(), __ATOMIC_RELEASE);
    opool_epoch_stop();
    return unused;
}

static pthread_t start_to_stop(void)
{
    pthread_t thread = start_thread(stop_it, NULL);
    pid_t id;
    while ((id = __atomic_load_n(&last.stopper, __ATOMIC_ACQUIRE)) == 0)
        sleep_ms(1);
    until_asleep(id);
    return thread;
}

/* Registered before the thread was started, so it runs when the library is done: what a fini uses may go here. */
static void end_the_program(void)
{
    if (!__atomic_load_n(&last.done, __ATOMIC_ACQUIRE))
        _exit(EXIT_FAILURE);
}

static void exit_beside_a_fini(void)
{
    CHILD_ASSERT(atexit(end_the_program) == 0);
    block_the_thread();
    pthread_detach(start_thread(leave_soon, NULL));
    exit(EXIT_SUCCESS);
}

static void exit_beside_a_stop(void)
{
    CHILD_ASSERT(atexit(end_the_program) == 0);
    block_the_thread();
    pthread_detach(start_to_stop());
    pthread_detach(start_thread(leave_soon, NULL));
    exit(EXIT_SUCCESS);
}

START_TEST(exit_waits_for_its_end)
{
    struct outcome outcome = in_child(_i ? exit_beside_a_stop : exit_beside_a_fini);
    expect_success(&outcome);
}
END_TEST

START_TEST(start_waits_for_the_end_of_a_stop)
{
    block_the_thread();
    pthread_t stopper = start_to_stop();
    pthread_t leaver = start_thread(leave_soon, NULL);
    start_ticking(10, 0);
    ck_assert(__atomic_load_n(&last.done, __ATOMIC_ACQUIRE));
    join_thread(stopper);
    join_thread(leaver);
    ck_assert_int_eq(opool_epoch_start(NULL), -EALREADY); /* what was started is not what was stopped */
    opool_epoch_stop();
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

/* ---- slow paths ---- */

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

static struct {
    bool inside;
    unsigned nested;
    uint64_t ticks;
} nesting;

static void count_nested(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    nesting.nested += nesting.inside;
}

OPOOL_DEFINE(inner_pool, struct thing, .fini = count_nested);
static struct inner_pool *inner;

static void use_inner(void)
{
    static struct thing *things[200];
    for (int i = 0; i < 200; i++)
        ck_assert_ptr_nonnull(things[i] = inner_pool_get(inner));
    for (int i = 0; i < 200; i++)
        inner_pool_put(inner, things[i]);
}

static bool reset_using_inner(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    uint64_t epoch = opool_epoch_now();
    nesting.inside = true; /* as with a mutex of the program's that fini takes too */
    use_inner();
    nesting.inside = false;
    nesting.ticks += opool_epoch_now() - epoch;
    return true;
}

OPOOL_DEFINE(outer_pool, struct thing, .reset = reset_using_inner);

START_TEST(slow_paths_inside_a_reset_do_not_tick)
{
    struct outer_pool *outer;
    struct opool_options options = {.epoch_ms = 1, .prefill = 1000};
    ck_assert_int_eq(outer_pool_create(&outer, NULL), 0);
    ck_assert_int_eq(inner_pool_create(&inner, &options), 0);
    int64_t start = now_ms();
    for (int i = 0; (i < 20 || figures(inner_pool_base(inner)).torn_down < 700) && now_ms() - start < 20000; i++) {
        use_inner(); /* ticks, and leaves some to be torn down */
        sleep_ms(2);
        outer_pool_put(outer, outer_pool_get(outer));
    }
    ck_assert_uint_ge(figures(inner_pool_base(inner)).torn_down, 700);
    ck_assert_uint_eq(nesting.nested, 0);
    ck_assert_uint_eq(nesting.ticks, 0);
    outer_pool_destroy(&outer);
    inner_pool_destroy(&inner);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ticker");
    TCase *unasked = new_case(suite, "without calls");
    tcase_add_checked_fixture(unasked, note_lock, NULL);
    tcase_add_test(unasked, the_thread_ticks);
    tcase_add_loop_test(unasked, a_soft_limit_makes_epochs_short, 0, 2);
    tcase_add_test(unasked, what_is_kept_is_below_every_limit);
    tcase_add_test(unasked, small_churn_holds_nothing_back);
    tcase_add_test(unasked, what_a_fini_puts_goes_too);
    tcase_add_test(unasked, what_was_out_goes_too);
    tcase_add_test(unasked, slow_paths_tick);
    tcase_add_test(unasked, slow_paths_inside_a_reset_do_not_tick);
    TCase *end = new_case(suite, "end");
    tcase_add_test(end, exit_while_it_runs);
    tcase_add_loop_test(end, exit_waits_for_its_end, 0, 2);
    tcase_add_test(end, start_waits_for_the_end_of_a_stop);
    return run_suite_as(suite, CK_FORK);
}
