/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "shape/fit.h"

enum { KB = 1000, LARGE = 100 * KB, PERCENT = OPOOL__FIT_WINDOW / 100 };

static struct opool__fit fit;

static void start_calibrated(void)
{
    opool__fit_start(&fit, 0);
}

/* One put of an object that used and holds so much; a refused one is built again when `again`. */
static bool put(size_t used, size_t held, bool again)
{
    bool kept = opool__fit_keep(&fit, (struct opool_footprint){.used = used, .held = held});
    if (!kept && again)
        opool__fit_built(&fit);
    return kept;
}

/* A window in which `large` puts are large ones; how many were kept. */
static unsigned window(unsigned large, size_t large_size, size_t size)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++) {
        size_t bytes = i < large ? large_size : size;
        kept += put(bytes, bytes, true);
    }
    return kept;
}

static void expect_quiet(void)
{
    ck_assert(!opool__fit_churns(&fit));
    ck_assert(!opool__fit_bloats(&fit));
}

START_TEST(fixed_cap_is_exact_and_stays)
{
    opool__fit_start(&fit, 5000);
    for (int i = 0; i < 3 * OPOOL__FIT_WINDOW; i++) {
        EXPECT(put(100, 5000, false));
        EXPECT(!put(100, 5001, false));
    }
    ck_assert_uint_eq(fit.cap, 5000);
}
END_TEST

START_TEST(all_is_kept_until_calibrated)
{
    ck_assert_uint_eq(fit.cap, 0);
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW - 1; i++)
        EXPECT(put(10, i % 2 ? SIZE_MAX / 2 : 10, false));
    ck_assert_uint_eq(fit.cap, 0);
    put(10, 10, false);
    ck_assert_uint_eq(fit.cap, 32); /* 10 is of the class up to 16 */
    EXPECT(put(10, 32, false));
    EXPECT(!put(10, 33, false));
}
END_TEST

START_TEST(cap_is_twice_the_class_of_the_use)
{
    static const struct {
        size_t used, cap;
    } cases[] = {{0, 2}, {1, 2}, {2, 4}, {3, 8}, {4, 8}, {5, 16}, {1024, 2048}, {1025, 4096}, {LARGE, 2u << 17}};
    for (size_t i = 0; i < UNIT_LENGTH(cases); i++) {
        start_calibrated();
        window(0, 0, cases[i].used);
        ck_assert_uint_eq(fit.cap, cases[i].cap);
    }
}
END_TEST

START_TEST(huge_uses_end_in_the_last_class)
{
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++)
        EXPECT(put(SIZE_MAX, SIZE_MAX, false));
    ck_assert_uint_eq(fit.cap, (size_t)2 << (OPOOL__FIT_CLASSES - 1));
}
END_TEST

START_TEST(one_in_a_hundred_does_not_raise_the_cap)
{
    window(PERCENT, LARGE, KB);
    ck_assert_uint_eq(fit.cap, 2048);
    start_calibrated();
    window(PERCENT + 1, LARGE, KB);
    ck_assert_uint_eq(fit.cap, 2u << 17);
}
END_TEST

START_TEST(cap_follows_the_load)
{
    window(0, 0, KB);
    ck_assert_uint_eq(window(0, 0, LARGE), 0); /* refused by the old cap */
    ck_assert_uint_eq(fit.cap, 2u << 17);
    ck_assert_uint_eq(window(0, 0, LARGE), OPOOL__FIT_WINDOW);
    for (int i = 0; i < 16; i++) /* halved each window: what was large is forgotten */
        window(0, 0, KB);
    ck_assert_uint_eq(fit.cap, 2048);
}
END_TEST

START_TEST(steady_load_is_never_flagged)
{
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(window(0, 0, KB), OPOOL__FIT_WINDOW);
        expect_quiet();
    }
}
END_TEST

/* Both sizes are normal here: a cap that refused one half would churn for ever. */
START_TEST(half_and_half_is_never_flagged)
{
    for (int i = 0; i < 100; i++) {
        for (unsigned k = 0; k < OPOOL__FIT_WINDOW; k++)
            EXPECT(put(k % 2 ? 1000 * KB : KB, k % 2 ? 1000 * KB : KB, true));
        expect_quiet();
    }
}
END_TEST

/* Puts of one window above a fixed cap, `refused` of them, `rebuilt` of which are built again. */
static void churn_window(unsigned refused, unsigned rebuilt)
{
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++)
        put(KB, i < refused ? 2 * KB : KB, i < rebuilt);
}

START_TEST(churn_is_told_in_the_second_window_and_taken_back)
{
    opool__fit_start(&fit, KB);
    for (int round = 0; round < 3; round++) {
        churn_window(PERCENT, PERCENT);
        expect_quiet(); /* one window may be chance */
        churn_window(PERCENT, PERCENT);
        ck_assert(opool__fit_churns(&fit));
        ck_assert(!opool__fit_bloats(&fit));
        churn_window(0, 0);
        expect_quiet();
    }
}
END_TEST

START_TEST(churn_needs_refusals_and_rebuilds)
{
    static const struct {
        unsigned refused, rebuilt;
        bool churns;
    } cases[] = {{OPOOL__FIT_WINDOW / 200, OPOOL__FIT_WINDOW / 200, true},
                 {OPOOL__FIT_WINDOW / 200 - 1, OPOOL__FIT_WINDOW / 200 - 1, false},
                 {100, 50, true},
                 {100, 49, false},
                 {OPOOL__FIT_WINDOW, 0, false}};
    for (size_t i = 0; i < UNIT_LENGTH(cases); i++) {
        opool__fit_start(&fit, KB);
        churn_window(cases[i].refused, cases[i].rebuilt);
        churn_window(cases[i].refused, cases[i].rebuilt);
        ck_assert_msg(opool__fit_churns(&fit) == cases[i].churns, "%u refused, %u rebuilt", cases[i].refused,
                      cases[i].rebuilt);
    }
}
END_TEST

/* A growing pool builds all the time; only what was refused before can be built again. */
START_TEST(building_alone_is_no_churn)
{
    opool__fit_start(&fit, KB);
    for (int i = 0; i < 3 * OPOOL__FIT_WINDOW; i++) {
        opool__fit_built(&fit);
        opool__fit_built(&fit);
        EXPECT(put(KB, KB, false));
    }
    expect_quiet();
    ck_assert_uint_eq(fit.rebuilt, 0);
}
END_TEST

static void held_window(size_t used, size_t held)
{
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++)
        put(used, held, true);
}

START_TEST(bloat_is_told_in_the_second_window_and_taken_back)
{
    opool__fit_start(&fit, 1000 * KB);
    for (int round = 0; round < 3; round++) {
        held_window(KB, 9 * KB);
        expect_quiet();
        held_window(KB, 9 * KB);
        ck_assert(opool__fit_bloats(&fit));
        ck_assert(!opool__fit_churns(&fit));
        held_window(KB, 8 * KB); /* eight times is the border */
        expect_quiet();
    }
}
END_TEST

/* The trap of one number: every object grew, all footprints look alike. */
START_TEST(few_large_uses_that_all_objects_keep_are_bloat)
{
    opool__fit_start(&fit, 1000 * KB);
    for (unsigned i = 0; i < 2 * OPOOL__FIT_WINDOW; i++)
        put(i % 1000 ? KB : 500 * KB, 500 * KB, true);
    ck_assert(opool__fit_bloats(&fit));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shape");
    TCase *cap = unit_case(suite, "cap"), *flags = unit_case(suite, "flags");
    tcase_add_checked_fixture(cap, start_calibrated, NULL);
    tcase_add_test(cap, fixed_cap_is_exact_and_stays);
    tcase_add_test(cap, all_is_kept_until_calibrated);
    tcase_add_test(cap, cap_is_twice_the_class_of_the_use);
    tcase_add_test(cap, huge_uses_end_in_the_last_class);
    tcase_add_test(cap, one_in_a_hundred_does_not_raise_the_cap);
    tcase_add_test(cap, cap_follows_the_load);
    tcase_add_checked_fixture(flags, start_calibrated, NULL);
    tcase_add_test(flags, steady_load_is_never_flagged);
    tcase_add_test(flags, half_and_half_is_never_flagged);
    tcase_add_test(flags, churn_is_told_in_the_second_window_and_taken_back);
    tcase_add_test(flags, churn_needs_refusals_and_rebuilds);
    tcase_add_test(flags, building_alone_is_no_churn);
    tcase_add_test(flags, bloat_is_told_in_the_second_window_and_taken_back);
    tcase_add_test(flags, few_large_uses_that_all_objects_keep_are_bloat);
    return unit_main(suite);
}
