/* SPDX-License-Identifier: MIT */

/* The footprint guard of owning pools: what it keeps, when it says churn and bloat, and what it says. The bytes that an
   object owns are a number here; the guard knows only what the callback tells. */

#include "contract.h"

enum { WINDOW = 8192, OUT = 16, LINES = 4 };

struct buffer {
    size_t used, held;
};

static struct opool_footprint buffer_footprint(const struct buffer *buffer, void *arg)
{
    (void)arg;
    return (struct opool_footprint){buffer->used, buffer->held};
}

static int allocate(struct buffer *buffer, void *arg)
{
    (void)arg;
    buffer->held = 2048;
    return 0;
}

OPOOL_DEFINE_OWNING(allocating_pool, struct buffer, buffer_footprint, "a buffer from the start", .init = allocate);
OPOOL_DEFINE_OWNING(buffer_pool, struct buffer, buffer_footprint, "a buffer that grows");

static struct {
    unsigned count;
    char text[LINES][512];
} lines;

static void note(const char *line, void *arg)
{
    (void)arg;
    if (lines.count < LINES)
        snprintf(lines.text[lines.count], sizeof lines.text[0], "%s", line);
    lines.count++;
}

static struct buffer_pool *open_pool(size_t footprint_max, enum opool_checks checks)
{
    struct opool_options options = {.footprint_max = footprint_max, .checks = checks};
    struct buffer_pool *pool;
    ck_assert_int_eq(buffer_pool_create(&pool, &options), 0);
    opool_log_set(note, NULL);
    return pool;
}

static size_t power_of_two(size_t n)
{
    size_t power = 64;
    while (power < n)
        power *= 2;
    return power;
}

/* One use: the buffer grows if it has to. */
static void use(struct buffer *buffer, size_t bytes)
{
    buffer->used = bytes;
    if (buffer->held < bytes)
        buffer->held = power_of_two(bytes);
}

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % n;
}

/* One put, of an object that is replaced among others that are out. */
static void turn_over(struct buffer_pool *pool, struct buffer *out[OUT], size_t bytes)
{
    struct buffer **place = &out[random_below(OUT)];
    if (*place)
        buffer_pool_put(pool, *place);
    ck_assert_ptr_nonnull(*place = buffer_pool_get(pool));
    use(*place, bytes);
}

static void put_one(struct buffer_pool *pool, size_t used, size_t held)
{
    struct buffer *buffer = buffer_pool_get(pool);
    buffer->used = used;
    buffer->held = held;
    buffer_pool_put(pool, buffer);
}

/* Puts of sizes that `bytes` gives, until the pool is flagged, at most `most`; how many there were. */
static unsigned until_flagged(struct buffer_pool *pool, size_t (*bytes)(unsigned), unsigned most)
{
    struct buffer *out[OUT] = {NULL};
    unsigned puts = 0;
    for (; puts < most; puts++) {
        turn_over(pool, out, bytes(puts));
        struct opool_stats s = {0};
        if (puts % 256 == 255)
            s = figures(buffer_pool_base(pool));
        if (s.churn || s.bloat)
            break;
    }
    for (int i = 0; i < OUT; i++)
        buffer_pool_put(pool, out[i]);
    return puts;
}

/* ---- loads ---- */

static size_t steady(unsigned i)
{
    (void)i;
    return 2000 + random_below(4000) + random_below(4000);
}

static size_t half_and_half(unsigned i)
{
    return i % 2 ? 1 << 10 : 1 << 16;
}

static size_t half_and_half_far_apart(unsigned i)
{
    (void)i;
    return random_below(2) ? 100 : 1 << 20;
}

static size_t one_in_150(unsigned i)
{
    (void)i;
    return random_below(150) ? 1 << 10 : 1 << 20;
}

/* A burst of huge requests, and then small ones for ever. */
static size_t burst(unsigned i)
{
    return i < 10 ? 256 << 20 : 1 << 10;
}

static size_t above_the_cap(unsigned i)
{
    (void)i;
    return 200000 + random_below(60000);
}

/* ---- never flagged ---- */

START_TEST(steady_loads_are_never_flagged)
{
    static size_t (*const loads[])(unsigned) = {steady, half_and_half, half_and_half_far_apart};
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        struct buffer_pool *pool = open_pool(0, OPOOL_CHECKS_DEFAULT);
        ck_assert_uint_eq(until_flagged(pool, loads[i], 40 * WINDOW), 40 * WINDOW);
        ck_assert_uint_eq(figures(buffer_pool_base(pool)).bloated, 0);
        buffer_pool_destroy(&pool);
    }
    ck_assert_uint_eq(lines.count, 0);
}
END_TEST

/* An object that comes with a buffer, and hardly uses it, is not torn down for that at each put. */
START_TEST(what_init_allocates_is_kept)
{
    struct allocating_pool *pool;
    ck_assert_int_eq(allocating_pool_create(&pool, NULL), 0);
    for (int i = 0; i < 3 * WINDOW; i++) {
        struct buffer *buffer = allocating_pool_get(pool);
        buffer->used = 32;
        allocating_pool_put(pool, buffer);
    }
    struct opool_stats s = figures(allocating_pool_base(pool));
    ck_assert_uint_eq(s.built, 1);
    ck_assert_uint_eq(s.bloated, 0);
    ck_assert_uint_eq(s.churn, 0);
    allocating_pool_destroy(&pool);
}
END_TEST

/* What the burst left is refused as soon as there is a cap. */
START_TEST(a_burst_is_forgotten)
{
    struct buffer_pool *pool = open_pool(0, OPOOL_CHECKS_DEFAULT);
    ck_assert_uint_eq(until_flagged(pool, burst, 40 * WINDOW), 40 * WINDOW);
    ck_assert_uint_gt(figures(buffer_pool_base(pool)).bloated, 0);
    ck_assert_uint_eq(lines.count, 0);
    buffer_pool_destroy(&pool);
}
END_TEST

/* From small to large and back, as often as it likes: only what was large at each turn is refused. */
START_TEST(phases_are_no_churn)
{
    struct buffer_pool *pool = open_pool(0, OPOOL_CHECKS_DEFAULT);
    for (int phase = 0; phase < 10; phase++) {
        struct buffer *out[OUT] = {NULL};
        for (int i = 0; i < 5 * WINDOW; i++) {
            turn_over(pool, out, phase % 2 ? 1 << 18 : 1 << 12);
            if (i % 256 == 0)
                ck_assert_uint_eq(figures(buffer_pool_base(pool)).churn, 0);
        }
        for (int i = 0; i < OUT; i++)
            buffer_pool_put(pool, out[i]);
    }
    ck_assert_uint_lt(figures(buffer_pool_base(pool)).bloated, 10 * 400);
    buffer_pool_destroy(&pool);
}
END_TEST

/* ---- flagged ---- */

START_TEST(churn_is_flagged_within_four_windows)
{
    struct buffer_pool *pool = open_pool(0, OPOOL_CHECKS_DEFAULT);
    ck_assert_uint_lt(until_flagged(pool, one_in_150, 40 * WINDOW), 4 * WINDOW);
    struct opool_stats s = figures(buffer_pool_base(pool));
    ck_assert_uint_eq(s.churn + s.bloat, 1);
    buffer_pool_destroy(&pool);
}
END_TEST

START_TEST(growing_is_flagged_within_three_windows)
{
    struct buffer_pool *pool = open_pool(SIZE_MAX, OPOOL_CHECKS_DEFAULT);
    ck_assert_uint_lt(until_flagged(pool, one_in_150, 40 * WINDOW), 3 * WINDOW);
    struct opool_stats s = figures(buffer_pool_base(pool));
    ck_assert_uint_eq(s.bloat, 1);
    ck_assert_uint_eq(s.churn, 0);
    ck_assert_uint_eq(s.bloated, 0);
    ck_assert_uint_eq(lines.count, 1);
    expect_match(lines.text[0], "^opool: pool 'buffer_pool' \\(struct buffer\\): bloat: objects hold [0-9]+ times what "
                                "is used: keep 1024 bytes in the object \\(99th percentile\\), allocate the rest a "
                                "use$");
    buffer_pool_destroy(&pool);
}
END_TEST

/* Two windows in which one put in 150 is above a fixed cap, and is made again by the next object that grows. */
static void churn(struct buffer_pool *pool)
{
    for (int i = 0; i < 2 * WINDOW; i++)
        put_one(pool, i % 150 ? 1000 : 60000, i % 150 ? 1000 : 60000);
}

START_TEST(churn_is_told_once_with_the_cure)
{
    struct buffer_pool *pool = open_pool(4096, OPOOL_CHECKS_DEFAULT);
    churn(pool);
    ck_assert_uint_eq(lines.count, 1);
    ck_assert_str_eq(lines.text[0], "opool: pool 'buffer_pool' (struct buffer): churn: 0.6 % of puts are refused (more "
                                    "than 4096 bytes held), 100 % of that is made again: keep 1024 bytes in the object "
                                    "(99th percentile), allocate the rest a use");
    churn(pool);
    ck_assert_uint_eq(lines.count, 1);
    buffer_pool_destroy(&pool);
}
END_TEST

START_TEST(a_cap_below_every_use_is_told)
{
    struct buffer_pool *pool = open_pool(1 << 16, OPOOL_CHECKS_DEFAULT);
    ck_assert_uint_lt(until_flagged(pool, above_the_cap, 40 * WINDOW), 3 * WINDOW);
    ck_assert_uint_eq(lines.count, 1);
    ck_assert_str_eq(lines.text[0],
                     "opool: pool 'buffer_pool' (struct buffer): churn: 100.0 % of puts are refused (more than 65536 "
                     "bytes held), 100 % of that is made again: footprint_max is below what uses need: raise it to "
                     "262144 (99th percentile), or 0 calibrates it");
    buffer_pool_destroy(&pool);
}
END_TEST

START_TEST(without_checks_it_is_counted_and_not_told)
{
    struct buffer_pool *pool = open_pool(4096, OPOOL_CHECKS_OFF);
    churn(pool);
    ck_assert_uint_eq(figures(buffer_pool_base(pool)).churn, 1);
    ck_assert_uint_eq(lines.count, 0);
    buffer_pool_destroy(&pool);
}
END_TEST

/* ---- what is refused ---- */

enum { THREADS = 3, PUTS = 20000, CAP = 5000 };

static void *put_many(void *pool)
{
    uintptr_t refused = 0;
    for (unsigned i = 0; i < PUTS; i++) {
        size_t held = CAP - 10 + i % 20;
        refused += held > CAP;
        put_one(pool, 100, held);
    }
    return (void *)refused; /* NOLINT: a number */
}

START_TEST(bloated_is_exact_with_several_threads)
{
    struct buffer_pool *pool = open_pool(CAP, OPOOL_CHECKS_DEFAULT);
    pthread_t threads[THREADS];
    uintptr_t refused = 0;
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(put_many, pool);
    for (int i = 0; i < THREADS; i++) {
        void *count;
        ck_assert_int_eq(pthread_join(threads[i], &count), 0);
        refused += (uintptr_t)count;
    }
    struct opool_stats s = figures(buffer_pool_base(pool));
    ck_assert_uint_eq(s.bloated, refused);
    ck_assert_uint_eq(s.bloat, 1); /* the windows see the puts of all threads */
    ck_assert_uint_eq(lines.count, 1);
    check_equations(buffer_pool_base(pool));
    buffer_pool_destroy(&pool);
}
END_TEST

/* Behind the object stands what the guard notes: it neither overlaps the object nor the next slot. */
struct odd {
    char bytes[13];
};

static struct opool_footprint odd_footprint(const struct odd *odd, void *arg)
{
    (void)odd;
    (void)arg;
    return (struct opool_footprint){1000, SIZE_MAX - 1};
}

OPOOL_DEFINE_OWNING(odd_pool, struct odd, odd_footprint, "a test");

START_TEST(what_the_guard_notes_stands_behind_the_object)
{
    enum { N = 100 };
    struct odd *odds[N], whole;
    struct odd_pool *pool;
    struct opool_options options = {.footprint_max = SIZE_MAX};
    memset(&whole, 0x5a, sizeof whole);
    ck_assert_int_eq(odd_pool_create(&pool, &options), 0);
    ck_assert_uint_eq(odd_pool_get_batch(pool, odds, N), N);
    for (int i = 0; i < N; i++)
        *odds[i] = whole;
    for (int i = 0; i < N; i += 2)
        odd_pool_put(pool, odds[i]);
    for (int i = 0; i < N; i++)
        ck_assert_mem_eq(odds[i], &whole, sizeof whole);
    for (int i = 1; i < N; i += 2)
        odd_pool_put(pool, odds[i]);
    odd_pool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("footprint");
    TCase *quiet = new_case(suite, "quiet"), *flagged = new_case(suite, "flagged"), *kept = new_case(suite, "kept");
    tcase_add_test(quiet, steady_loads_are_never_flagged);
    tcase_add_test(quiet, a_burst_is_forgotten);
    tcase_add_test(quiet, what_init_allocates_is_kept);
    tcase_add_test(quiet, phases_are_no_churn);
    tcase_add_test(flagged, churn_is_flagged_within_four_windows);
    tcase_add_test(flagged, growing_is_flagged_within_three_windows);
    tcase_add_test(flagged, churn_is_told_once_with_the_cure);
    tcase_add_test(flagged, a_cap_below_every_use_is_told);
    tcase_add_test(flagged, without_checks_it_is_counted_and_not_told);
    tcase_add_test(kept, bloated_is_exact_with_several_threads);
    tcase_add_test(kept, what_the_guard_notes_stands_behind_the_object);
    return run_suite(suite);
}
