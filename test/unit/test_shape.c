/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "shape/fit.h"

enum { KB = 1000, LARGE = 100 * KB, PERCENT = OPOOL__FIT_WINDOW / 100 };

static struct opool__fit fit;

static void start_calibrated(void)
{
    opool__fit_start(&fit, 0);
}

/* One put of an object that used and holds so much, and grew so far. */
static bool put(size_t used, size_t held, size_t grown)
{
    struct opool__fit_note note = {{used, held}, grown, opool__fit_allows(fit.cap, held)};
    opool__fit_add(&fit, &note);
    return note.kept;
}

/* A window in which `large` puts are large ones, each made anew; how many were kept. */
static unsigned window(unsigned large, size_t large_size, size_t size)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++) {
        size_t bytes = i < large ? large_size : size;
        kept += put(bytes, bytes, bytes);
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
        EXPECT(put(100, 5000, 0));
        EXPECT(!put(100, 5001, 0));
    }
    ck_assert_uint_eq(fit.cap, 5000);
}
END_TEST

START_TEST(all_is_kept_until_calibrated)
{
    ck_assert_uint_eq(fit.cap, 0);
    for (unsigned i = 0; i < OPOOL__FIT_CALIBRATION - 1; i++)
        EXPECT(put(10, i % 2 ? SIZE_MAX / 2 : 10, 0));
    ck_assert_uint_eq(fit.cap, 0);
    put(10, 10, 0);
    ck_assert_uint_eq(fit.cap, 32); /* 10 is of the class up to 16 */
    EXPECT(put(10, 32, 0));
    EXPECT(!put(10, 33, 0));
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
        put(SIZE_MAX, SIZE_MAX, 0);
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
    /* Refused by the old cap. */
    ck_assert_uint_eq(window(0, 0, LARGE), OPOOL__FIT_WINDOW - OPOOL__FIT_CALIBRATION);
    ck_assert_uint_eq(fit.cap, 2u << 17);
    ck_assert_uint_eq(window(0, 0, LARGE), OPOOL__FIT_WINDOW);
    for (int i = 0; i < 16; i++) /* halved each window: what was large is forgotten */
        window(0, 0, KB);
    ck_assert_uint_eq(fit.cap, 2048);
}
END_TEST

/* It is what init allocates: a new one would hold as much. */
START_TEST(what_new_objects_hold_is_kept)
{
    put(10, 4000, 4000);
    put(10, 5000, 5000);
    put(10, 3000, 1000); /* not new */
    for (unsigned i = 0; i < 3 * OPOOL__FIT_WINDOW; i++)
        EXPECT(put(10, 4000, 0));
    ck_assert_uint_eq(fit.cap, 4000);
    EXPECT(!put(10, 4001, 0));
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++) /* they hold less from now on */
        put(10, 2000, 2000);
    ck_assert_uint_eq(fit.cap, 2000);
}
END_TEST

/* A new object that its first use made grow tells nothing of others. */
START_TEST(first_uses_that_need_much_are_no_floor)
{
    for (unsigned i = 0; i < 8; i++)
        put(LARGE, 2 * LARGE, 2 * LARGE);
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
            EXPECT(put(k % 2 ? 1000 * KB : KB, k % 2 ? 1000 * KB : KB, 1000 * KB));
        expect_quiet();
    }
}
END_TEST

/* Puts of one window above a fixed cap, `refused` of them, then growth by the bytes of `remade` of these. */
static void churn_window(unsigned refused, unsigned remade)
{
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++)
        put(KB, i < refused ? 2 * KB : KB, i >= refused && i < refused + remade ? 2 * KB : 0);
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

START_TEST(churn_needs_refusals_and_growth)
{
    static const struct {
        unsigned refused, remade;
        bool churns;
    } cases[] = {{OPOOL__FIT_WINDOW / 200, OPOOL__FIT_WINDOW / 200, true},
                 {OPOOL__FIT_WINDOW / 200 - 1, OPOOL__FIT_WINDOW / 200 - 1, false},
                 {100, 50, true},
                 {100, 49, false},
                 {OPOOL__FIT_WINDOW, 0, false}};
    for (size_t i = 0; i < UNIT_LENGTH(cases); i++) {
        opool__fit_start(&fit, KB);
        churn_window(cases[i].refused, cases[i].remade);
        churn_window(cases[i].refused, cases[i].remade);
        ck_assert_msg(opool__fit_churns(&fit) == cases[i].churns, "%u refused, %u remade", cases[i].refused,
                      cases[i].remade);
    }
}
END_TEST

/* A growing pool makes bytes all the time; only what was refused before can be made again. */
START_TEST(growing_alone_is_no_churn)
{
    opool__fit_start(&fit, 100 * KB);
    for (unsigned i = 0; i < 3 * OPOOL__FIT_WINDOW; i++)
        put(KB, i % 100 ? KB : 101 * KB, i % 100 == 1 ? KB : 0); /* one in a hundred is refused, a hundredth is made */
    expect_quiet();
    opool__fit_start(&fit, KB);
    for (unsigned i = 0; i < 3 * OPOOL__FIT_WINDOW; i++)
        EXPECT(put(KB, KB, KB));
    expect_quiet();
    ck_assert_uint_eq(fit.remade_bytes, 0);
}
END_TEST

/* What is refused at the end of one window is made again in the next. */
START_TEST(bytes_are_owed_beyond_a_window)
{
    opool__fit_start(&fit, KB);
    churn_window(PERCENT, 0);
    for (int i = 0; i < 2; i++) /* each window's growth comes before what it refuses */
        for (unsigned k = 0; k < OPOOL__FIT_WINDOW; k++)
            put(KB, k < OPOOL__FIT_WINDOW - PERCENT ? KB : 2 * KB, k < PERCENT ? 2 * KB : 0);
    ck_assert(opool__fit_churns(&fit));
}
END_TEST

/* Growth beyond what is owed is the load's own. */
START_TEST(bytes_are_made_again_once)
{
    opool__fit_start(&fit, KB);
    churn_window(PERCENT, PERCENT); /* all paid back */
    for (unsigned k = 0; k < OPOOL__FIT_WINDOW; k++)
        put(KB, k < OPOOL__FIT_WINDOW - PERCENT ? KB : 2 * KB, k < PERCENT ? 2 * KB : 0);
    expect_quiet();
}
END_TEST

/* Sums that a hostile callback would let overflow. */
START_TEST(absurd_sizes_are_bounded)
{
    opool__fit_start(&fit, KB);
    for (unsigned i = 0; i < 2 * OPOOL__FIT_WINDOW; i++)
        put(0, SIZE_MAX, SIZE_MAX);
    ck_assert(opool__fit_churns(&fit));
    ck_assert(opool__fit_bloats(&fit));
}
END_TEST

static void held_window(size_t used, size_t held)
{
    for (unsigned i = 0; i < OPOOL__FIT_WINDOW; i++)
        put(used, held, 0);
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
        put(i % 1000 ? KB : 500 * KB, 500 * KB, 0);
    ck_assert(opool__fit_bloats(&fit));
}
END_TEST

static struct opool__fit_advice advice;

START_TEST(a_finding_is_told_once)
{
    opool__fit_start(&fit, KB);
    churn_window(PERCENT, PERCENT);
    ck_assert(!opool__fit_news(&fit, &advice));
    churn_window(PERCENT, PERCENT);
    ck_assert(opool__fit_news(&fit, &advice));
    ck_assert(!opool__fit_news(&fit, &advice));
    held_window(KB, 100 * KB);
    held_window(KB, 100 * KB);
    churn_window(PERCENT, PERCENT);
    ck_assert(!opool__fit_news(&fit, &advice));
}
END_TEST

START_TEST(advice_for_churn)
{
    opool__fit_start(&fit, 2 * KB);
    for (int i = 0; i < 2; i++)
        for (unsigned k = 0; k < OPOOL__FIT_WINDOW; k++)
            put(k % 128 ? KB : 64 * KB, k % 128 ? KB : 64 * KB, k % 128 ? 0 : 48 * KB);
    ck_assert(opool__fit_news(&fit, &advice));
    ck_assert_int_eq(advice.finding, OPOOL__FIT_CHURN);
    ck_assert(!advice.raise);
    ck_assert_uint_eq(advice.cap, 2 * KB);
    ck_assert_uint_eq(advice.refused_per_mille, 7);
    ck_assert_uint_eq(advice.remade_per_cent, 75);
    ck_assert_uint_eq(advice.keep, 1024);
    ck_assert_uint_eq(advice.percentile, 99);
}
END_TEST

/* Nearly all uses need more than the cap: it is the cap that is wrong. */
START_TEST(advice_for_a_cap_that_is_too_low)
{
    opool__fit_start(&fit, KB);
    for (int i = 0; i < 2; i++)
        window(0, 0, 3 * KB);
    ck_assert(opool__fit_news(&fit, &advice));
    ck_assert(advice.raise);
    ck_assert_uint_eq(advice.keep, 4096);
    ck_assert_uint_eq(advice.refused_per_mille, 1000);
    ck_assert_uint_eq(advice.remade_per_cent, 100);
}
END_TEST

START_TEST(advice_for_bloat)
{
    static const struct {
        unsigned one_in, keep, percentile;
    } cases[] = {{1000, 1024, 99}, {50, 1024, 95}, {15, 1024, 90}};
    for (size_t i = 0; i < UNIT_LENGTH(cases); i++) {
        opool__fit_start(&fit, SIZE_MAX);
        for (unsigned k = 0; k < 2 * OPOOL__FIT_WINDOW; k++)
            put(k % cases[i].one_in ? KB : 500 * KB, 500 * KB, 0);
        ck_assert(opool__fit_news(&fit, &advice));
        ck_assert_int_eq(advice.finding, OPOOL__FIT_BLOAT);
        ck_assert_uint_eq(advice.keep, cases[i].keep);
        ck_assert_uint_eq(advice.percentile, cases[i].percentile);
        ck_assert_uint_ge(advice.held_fold, 8);
    }
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
    tcase_add_test(cap, what_new_objects_hold_is_kept);
    tcase_add_test(cap, first_uses_that_need_much_are_no_floor);
    tcase_add_checked_fixture(flags, start_calibrated, NULL);
    tcase_add_test(flags, steady_load_is_never_flagged);
    tcase_add_test(flags, half_and_half_is_never_flagged);
    tcase_add_test(flags, churn_is_told_in_the_second_window_and_taken_back);
    tcase_add_test(flags, churn_needs_refusals_and_growth);
    tcase_add_test(flags, growing_alone_is_no_churn);
    tcase_add_test(flags, bloat_is_told_in_the_second_window_and_taken_back);
    tcase_add_test(flags, few_large_uses_that_all_objects_keep_are_bloat);
    tcase_add_test(flags, bytes_are_owed_beyond_a_window);
    tcase_add_test(flags, bytes_are_made_again_once);
    tcase_add_test(flags, absurd_sizes_are_bounded);
    tcase_add_test(flags, a_finding_is_told_once);
    tcase_add_test(flags, advice_for_churn);
    tcase_add_test(flags, advice_for_a_cap_that_is_too_low);
    tcase_add_test(flags, advice_for_bloat);
    return unit_main(suite);
}
