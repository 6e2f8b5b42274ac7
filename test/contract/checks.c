/* SPDX-License-Identifier: MIT */
#include "contract.h"

/* Full checks where nothing is wrong: objects come back as reset left them whatever hides them meanwhile, callbacks may
   do all that they may do else, and gets fail on request. For what is wrong see test/faults. */

struct thing {
    char bytes[201]; /* no multiple of anything: the zone begins at an odd address */
    uint32_t number;
};

static const struct opool_options full = {.checks = OPOOL_CHECKS_FULL};

OPOOL_DEFINE(plain_pool, struct thing, .kept = OPOOL_MEMBERS(bytes, number));

/* As ck_assert, for loops and threads. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("'%s' does not hold", #condition); \
    } while (0)

struct odd { /* 72 bytes from one to the next: some zones lie on two pages */
    uint64_t words[5];
};
OPOOL_DEFINE(odd_pool, struct odd);

/* ---- contents ---- */

/* Every byte of an object says whose it is. */
static void mark(struct thing *thing, uint32_t number)
{
    memset(thing->bytes, (int)(number * 7 + 1), sizeof thing->bytes);
    thing->number = number;
}

static bool is_marked(const struct thing *thing)
{
    for (size_t i = 0; i < sizeof thing->bytes; i++)
        if (thing->bytes[i] != (char)(thing->number * 7 + 1))
            return false;
    return true;
}

static unsigned torn_down;

/* What is torn down is as it was put. */
static void see_mark(struct thing *thing, void *arg)
{
    (void)arg;
    EXPECT(is_marked(thing));
    torn_down++;
}

static int init_mark(struct thing *thing, void *arg)
{
    static const struct thing zero;
    (void)arg;
    EXPECT(memcmp(thing, &zero, sizeof zero) == 0);
    mark(thing, 4711);
    return 0;
}

static bool keep_odd(struct thing *thing, void *arg)
{
    (void)arg;
    return thing->number % 2;
}

OPOOL_DEFINE(marked_pool, struct thing, .init = init_mark, .reset = keep_odd, .fini = see_mark,
             .kept = OPOOL_MEMBERS(bytes, number));

enum { OBJECTS = 3000 };
static struct thing *things[OBJECTS];

/* Many objects, of which some are put, some discarded, some refused by reset, some torn down by ticks while their
   neighbours are out, with pages that go back to the system and come again. */
START_TEST(contents_stay)
{
    static char region[1 << 20];
    struct marked_pool *pool;
    struct opool_options options = full;
    if (_i == 1) {
        options.region = region;
        options.region_size = sizeof region;
    }
    options.prefill = 100;
    ck_assert_int_eq(marked_pool_create(&pool, &options), 0);
    srand(1);
    for (int round = 0; round < 12; round++) {
        size_t n = marked_pool_get_batch(pool, things, OBJECTS);
        EXPECT(n > 1000);
        for (size_t i = 0; i < n; i++) {
            EXPECT(is_marked(things[i]));
            mark(things[i], (uint32_t)rand());
        }
        for (size_t i = 0; i < n; i++)
            if (rand() % 3 == 0) {
                marked_pool_discard(pool, things[i]);
                things[i] = NULL;
            }
        for (int k = round % 3; k > 0; k--)
            opool_epoch_advance();
        for (size_t i = 0; i < n; i += 8)
            marked_pool_put_batch(pool, things + i, n - i < 8 ? n - i : 8);
        for (int k = round % 4; k > 0; k--)
            opool_epoch_advance();
        (void)opool_release();
    }
    ck_assert_uint_gt(torn_down, 10000);
    marked_pool_destroy(&pool);
    ck_assert_ptr_null(pool);
}
END_TEST

/* Sizes around what the copy and the zone are rounded to, and alignments. */
START_TEST(every_byte_is_the_users)
{
    static const size_t sizes[] = {1,  2,  7,  8,  15,   16,   17,   31,     32,
                                   33, 63, 64, 65, 4095, 4096, 4097, 100000, OPOOL_SIZE_MAX};
    static const size_t aligns[] = {1, 2, 8, 16, 64, 4096};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t a = 0; a < sizeof aligns / sizeof *aligns; a++) {
            struct opool_type type = {
                .name = "sized", .shape = OPOOL_SHAPE_TRUSTED("a test"), .size = sizes[s], .align = aligns[a]};
            struct opool *pool;
            unsigned char *objects[3];
            EXPECT(opool_create(&pool, &type, &full) == 0);
            for (int round = 0; round < 2; round++) {
                EXPECT(opool_get_batch(pool, (void **)objects, 3) == 3);
                for (int i = 0; i < 3; i++) {
                    EXPECT((uintptr_t)objects[i] % aligns[a] == 0);
                    EXPECT(objects[i][0] == objects[i][sizes[s] - 1]);
                    memset(objects[i], 0xff, sizes[s]);
                }
                opool_put_batch(pool, (void *const *)objects, 3);
            }
            opool_destroy(&pool);
        }
}
END_TEST

/* ---- callbacks ---- */

static struct plain_pool *plain;
static unsigned in_callbacks;

static void use_others(void)
{
    struct thing *one = plain_pool_get(plain), *two = plain_pool_get(plain);
    EXPECT(one && two);
    plain_pool_put(plain, two);
    plain_pool_discard(plain, one);
    in_callbacks++;
}

static int using_init(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    use_others();
    return 0;
}

static bool using_reset(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    use_others();
    return true;
}

static void using_fini(struct thing *thing, void *arg)
{
    (void)thing, (void)arg;
    use_others();
}

OPOOL_DEFINE(using_pool, struct thing, .init = using_init, .reset = using_reset, .fini = using_fini);

static void using_log(const char *line, void *arg)
{
    (void)line, (void)arg;
    use_others();
}

START_TEST(callbacks_use_other_pools)
{
    struct using_pool *pool;
    ck_assert_int_eq(plain_pool_create(&plain, &full), 0);
    ck_assert_int_eq(using_pool_create(&pool, &full), 0);
    opool_log_set(using_log, NULL);
    struct thing *thing = using_pool_get(pool);
    thing->number = 1; /* which reset forgets: the log is told */
    using_pool_put(pool, thing);
    using_pool_destroy(&pool);
    ck_assert_uint_eq(in_callbacks, 4);
    opool_log_set(NULL, NULL);
    plain_pool_destroy(&plain);
}
END_TEST

/* ---- failing on request ---- */

static void gets_fail(void)
{
    struct plain_pool *pool;
    struct thing *batch[10];
    setenv("OPOOL_FAIL", "7", 1);
    CHILD_ASSERT(plain_pool_create(&pool, &full) == 0);
    unsigned failed = 0;
    for (int i = 0; i < 700; i++) {
        errno = 0;
        struct thing *thing = plain_pool_get(pool);
        CHILD_ASSERT(thing || errno == ENOMEM);
        failed += !thing;
        plain_pool_put(pool, thing);
    }
    CHILD_ASSERT(failed == 100);
    CHILD_ASSERT(plain_pool_get_batch(pool, batch, 10) == 6 && errno == ENOMEM);
    struct opool_stats stats;
    CHILD_ASSERT(opool_stats_read(plain_pool_base(pool), &stats) == 0);
    CHILD_ASSERT(stats.memory_fails == 101 && stats.gets == 606);
    /* Pools under other checks are not concerned. */
    struct plain_pool *basic;
    CHILD_ASSERT(plain_pool_create(&basic, &(struct opool_options){.checks = OPOOL_CHECKS_BASIC}) == 0);
    for (int i = 0; i < 20; i++)
        CHILD_ASSERT(plain_pool_get(basic));
}

START_TEST(one_get_in_so_many_fails)
{
    struct outcome outcome = in_child(gets_fail);
    expect_success(&outcome);
}
END_TEST

/* ---- threads and fork ---- */

enum { THREADS = 4, SWAPS = 20000, SHARED = 64 };
static void *shared_things[SHARED];

/* Each takes what another got, looks at it and puts it. */
static void *swap(void *arg)
{
    struct marked_pool *pool = arg;
    for (unsigned i = 0; i < SWAPS; i++) {
        struct thing *mine = marked_pool_get(pool);
        EXPECT(mine && is_marked(mine));
        mark(mine, 2 * i + 1);
        mine = __atomic_exchange_n(&shared_things[i * 7 % SHARED], mine, __ATOMIC_ACQ_REL);
        EXPECT(!mine || is_marked(mine));
        marked_pool_put(pool, mine);
        if (i % 5000 == 0)
            opool_epoch_advance();
    }
    return NULL;
}

START_TEST(objects_change_hands)
{
    struct marked_pool *pool;
    pthread_t threads[THREADS];
    ck_assert_int_eq(marked_pool_create(&pool, &full), 0);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(swap, pool);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    marked_pool_put_batch(pool, (struct thing **)shared_things, SHARED);
    struct opool_stats stats = {0};
    ck_assert_int_eq(opool_stats_read(marked_pool_base(pool), &stats), 0);
    ck_assert_uint_eq(stats.live, 0);
    ck_assert_uint_gt(stats.overhead_bytes, 65536); /* what is known of objects counts */
    marked_pool_destroy(&pool);
}
END_TEST

/* Of a zone on two pages the first may go back to the system with the slot that it belongs to. */
START_TEST(pages_go_beside_objects)
{
    enum { ODDS = 8192 };
    static struct odd *odds[ODDS];
    struct odd_pool *pool;
    unsigned stay = 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    ck_assert_int_eq(odd_pool_create(&pool, &full), 0);
    ck_assert_uint_eq(odd_pool_get_batch(pool, odds, ODDS), ODDS);
    for (int i = 0; i < ODDS; i++)
        if ((uintptr_t)odds[i] % page == 8)
            odds[stay++] = odds[i];
        else
            odd_pool_put(pool, odds[i]);
    ck_assert_uint_gt(stay, 4);
    for (int i = 0; i < 3; i++)
        opool_epoch_advance();
    for (unsigned i = 0; i < stay; i++)
        odd_pool_put(pool, odds[i]);
    odd_pool_destroy(&pool);
}
END_TEST

static struct marked_pool *forked;

static void child_goes_on(void)
{
    for (int i = 0; i < 100; i++)
        marked_pool_put(forked, things[i]);
    for (int i = 0; i < 300; i++)
        CHILD_ASSERT((things[i] = marked_pool_get(forked)) && is_marked(things[i]));
    for (int i = 0; i < 300; i++)
        marked_pool_put(forked, things[i]);
    marked_pool_destroy(&forked);
}

START_TEST(a_child_has_the_same_objects)
{
    ck_assert_int_eq(marked_pool_create(&forked, &full), 0);
    ck_assert_uint_eq(marked_pool_get_batch(forked, things, 200), 200);
    marked_pool_put_batch(forked, things + 100, 100);
    struct outcome outcome = in_child(child_goes_on);
    expect_success(&outcome);
    marked_pool_put_batch(forked, things, 100);
    marked_pool_destroy(&forked);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checks");
    TCase *tests = tcase_create("full");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, contents_stay, 0, 2);
    tcase_add_test(tests, every_byte_is_the_users);
    tcase_add_test(tests, callbacks_use_other_pools);
    tcase_add_test(tests, one_get_in_so_many_fails);
    tcase_add_test(tests, objects_change_hands);
    tcase_add_test(tests, pages_go_beside_objects);
    tcase_add_test(tests, a_child_has_the_same_objects);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
