/* SPDX-License-Identifier: MIT */

/*
 * Memory as the system sees it: a burst of 100,000 objects, all put back, then three ticks. Private dirty pages of
 * /proc/self/smaps_rollup: what this process alone keeps from others; resident pages would count the zero page and
 * code that was read for the first time.
 *
 * Slots that were never used come in random order (but with checks off): within pages, so that few objects are no more
 * pages than in ascending order.
 *
 * What is left is at most one slab a pool more than before; where each thread goes on to use one object, the slab of
 * all pools' magazines counts as well: pages of each thread's object and of its magazine stay.
 */

#include "contract.h"

enum {
    OBJECTS = 100000,
    POOLS = 2,
    SIZE = 256,
    SLAB_KIB = 16,
    MAGAZINES_KIB = 68,
    THREADS = 4,
    SHARE = OBJECTS / THREADS
};

#if defined(__SANITIZE_ADDRESS__) || THREAD_SANITIZER
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define WATCHED 1
#endif
#endif
#ifndef WATCHED
#define WATCHED 0
#endif

struct block {
    unsigned char bytes[SIZE];
};

OPOOL_DEFINE(block_pool, struct block);

static struct block_pool *pool, *other;
static pthread_barrier_t step, full;

static long dirty_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && kib < 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "Private_Dirty: %ld kB", &kib) != 1)
            kib = -1;
    if (file)
        fclose(file);
    return kib;
}

/* ---- what the bursting threads do afterwards ---- */

static void sleep_on(void)
{
}

static void use_another_pool(void)
{
    for (int i = 0; i < 1000; i++)
        block_pool_put(other, block_pool_get(other));
}

static void use_one(void)
{
    block_pool_put(pool, block_pool_get(pool));
}

static const struct afterwards {
    const char *name;
    void (*act)(void); /* NULL: the thread ends */
} afterwards[] = {
    {"asleep", sleep_on}, {"ended", NULL}, {"running other pools", use_another_pool}, {"using one object", use_one}};

static const struct afterwards *now;

enum { TICKS = 3, WARM = 300 };

static void use(struct block **blocks, int n)
{
    for (int i = 0; i < n; i++) {
        blocks[i] = block_pool_get(pool);
        if (!blocks[i])
            abort();
        memset(blocks[i], i, sizeof *blocks[i]);
    }
    pthread_barrier_wait(&full); /* all objects are out at once */
    for (int i = 0; i < n; i++)
        block_pool_put(pool, blocks[i]);
}

/* Before the burst each thread has used both pools: what the library needs for a thread is there. */
static void *burst(void *arg)
{
    struct block **blocks = arg;
    use(blocks, WARM);
    use_another_pool();
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    use(blocks, SHARE);
    pthread_barrier_wait(&step);
    if (!now->act)
        return NULL;
    for (int tick = 0; tick < TICKS; tick++) {
        now->act();
        pthread_barrier_wait(&step);
        pthread_barrier_wait(&step);
    }
    return NULL;
}

START_TEST(a_burst_goes_back)
{
    static struct block *blocks[THREADS][SHARE];
    pthread_t threads[THREADS];
    now = &afterwards[_i];
    ck_assert_int_eq(block_pool_create(&pool, NULL), 0);
    ck_assert_int_eq(block_pool_create(&other, NULL), 0);
    memset(blocks, 1, sizeof blocks);
    pthread_barrier_init(&step, NULL, THREADS + 1);
    pthread_barrier_init(&full, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(burst, blocks[i]);
    pthread_barrier_wait(&step);
    for (int tick = 0; tick < TICKS; tick++)
        opool_epoch_advance();
    long before = dirty_kib();
    ck_assert_int_gt(before, 0);
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    long peak = dirty_kib();
    for (int i = 0; i < THREADS && !now->act; i++)
        join_thread(threads[i]);
    for (int tick = 0; tick < TICKS; tick++) {
        if (now->act)
            pthread_barrier_wait(&step);
        opool_epoch_advance();
        if (tick < TICKS - 1 && now->act)
            pthread_barrier_wait(&step);
    }
    long after = dirty_kib();
    bool locked = figures(block_pool_base(pool)).locked;
    printf("threads %s: %ld KiB before, %ld at the peak, %ld after three ticks\n", now->name, before, peak, after);
    ck_assert_int_gt(peak - before, OBJECTS / 1024 * SIZE * 9 / 10);
    if (!locked)
        ck_assert_int_le(after - before, POOLS * SLAB_KIB + (now->act == use_one ? MAGAZINES_KIB : 0));
    if (now->act)
        pthread_barrier_wait(&step);
    for (int i = 0; i < THREADS && now->act; i++)
        join_thread(threads[i]);
    block_pool_destroy(&pool);
    block_pool_destroy(&other);
}
END_TEST

/* ---- next to what stays ---- */

/* One in so many objects stays out: one in each slab, on one of its four pages. */
enum { APART = SLAB_KIB * 1024 / SIZE };

static struct block *many[OBJECTS];

static void get_many(void)
{
    for (int i = 0; i < OBJECTS; i++) {
        ck_assert_ptr_nonnull(many[i] = block_pool_get(pool));
        memset(many[i], i, sizeof *many[i]);
    }
}

static void put_but(int apart)
{
    for (int i = 0; i < OBJECTS; i++)
        if (!apart || i % apart)
            block_pool_put(pool, many[i]);
}

static void tick_often(int ticks)
{
    for (; ticks > 0; ticks--)
        opool_epoch_advance();
}

START_TEST(one_object_holds_one_page)
{
    memset(many, 1, sizeof many);
    ck_assert_int_eq(block_pool_create(&pool, NULL), 0);
    long before = dirty_kib();
    get_many();
    long peak = dirty_kib() - before;
    uint64_t resident_peak = figures(block_pool_base(pool)).resident_bytes;
    put_but(APART);
    tick_often(TICKS + 1);
    struct opool_stats stats = figures(block_pool_base(pool));
    long after = dirty_kib() - before;
    printf("one object in %d stays: %ld KiB at the peak, %ld after %d ticks\n", APART, peak, after, TICKS + 1);
    ck_assert_uint_eq(stats.live, (OBJECTS + APART - 1) / APART);
    ck_assert_int_gt(peak, OBJECTS / 1024 * SIZE * 9 / 10);
    ck_assert_int_lt(after, peak * 2 / 5); /* a quarter, and what it takes to know about slabs */
    ck_assert_uint_lt(stats.resident_bytes, resident_peak * 2 / 5);
    for (int i = 0; i < OBJECTS; i += APART) {
        for (int at = 0; at < SIZE; at++) /* what stayed is whole */
            ck_assert_msg(many[i]->bytes[at] == (unsigned char)i, "object %d", i);
        block_pool_put(pool, many[i]);
    }
    get_many(); /* and what went is there again, zeroed or not */
    put_but(0);
    block_pool_destroy(&pool);
}
END_TEST

START_TEST(a_quiet_pool_keeps_no_slab)
{
    ck_assert_int_eq(block_pool_create(&pool, NULL), 0);
    for (int round = 0; round < 3; round++) {
        uint64_t locked = figures(block_pool_base(pool)).locked;
        get_many();
        put_but(0);
        tick_often(TICKS + 1);
        struct opool_stats stats = figures(block_pool_base(pool));
        if (stats.locked != locked) /* refused membarrier just now: what this thread caches is left alone */
            continue;
        ck_assert_uint_eq(stats.slots, 0);
        ck_assert_uint_eq(stats.resident_bytes, 0);
    }
    block_pool_destroy(&pool);
}
END_TEST

/* ---- few objects ---- */

enum { SMALL_POOLS = 64, FEW = 20 };

static long few_of_each(enum opool_checks checks, int n)
{
    static struct block_pool *pools[SMALL_POOLS];
    static struct block *blocks[SMALL_POOLS][FEW];
    const struct opool_options options = {.checks = checks};
    memset(blocks, 0, sizeof blocks);
    for (int i = 0; i < SMALL_POOLS; i++)
        ck_assert_int_eq(block_pool_create(&pools[i], &options), 0);
    long before = dirty_kib();
    for (int i = 0; i < SMALL_POOLS; i++)
        for (int k = 0; k < n; k++) {
            ck_assert_ptr_nonnull(blocks[i][k] = block_pool_get(pools[i]));
            memset(blocks[i][k], i, sizeof *blocks[i][k]);
        }
    long after = dirty_kib();
    for (int i = 0; i < SMALL_POOLS; i++) {
        block_pool_put_batch(pools[i], blocks[i], (size_t)n);
        block_pool_destroy(&pools[i]);
    }
    return after - before;
}

START_TEST(few_objects_are_few_pages)
{
    int n = _i ? FEW : 1;
    (void)few_of_each(OPOOL_CHECKS_OFF, n); /* what the library needs for so many pools is there afterwards */
    long ascending = few_of_each(OPOOL_CHECKS_OFF, n), shuffled = few_of_each(OPOOL_CHECKS_BASIC, n);
    printf("%d pools, %d objects each: %ld KiB in ascending order, %ld in random order\n", SMALL_POOLS, n, ascending,
           shuffled);
    ck_assert_int_ge(ascending, SMALL_POOLS * 4);
    ck_assert_int_le(shuffled, ascending + SMALL_POOLS / 4); /* a page in 16 pools: noise */
}
END_TEST

int main(void)
{
    if (WATCHED) {
        puts("skipped: under a sanitizer the process's memory is mostly the sanitizer's");
        return 77;
    }
    Suite *suite = suite_create("memory");
    TCase *tests = new_case(suite, "from outside");
    tcase_add_loop_test(tests, a_burst_goes_back, 0, (int)(sizeof afterwards / sizeof *afterwards));
    tcase_add_test(tests, one_object_holds_one_page);
    tcase_add_test(tests, a_quiet_pool_keeps_no_slab);
    tcase_add_loop_test(tests, few_objects_are_few_pages, 0, 2);
    return run_suite_as(suite, CK_FORK);
}
