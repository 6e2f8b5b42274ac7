/* SPDX-License-Identifier: MIT */

/* What `opool bench` makes of its figures: medians, the interval of a ratio, and the words for it. */
#include "contract.h"

#include <math.h>

#include "bench/figures.h"

static uint64_t state = 88172645463325252u;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / (double)(1ull << 53);
}

/* About a normal distribution. */
static double noise(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum - 6;
}

static const char *verdict(double ratio, double low, double high, bool known)
{
    static char text[32];
    const struct ratio of = {.ratio = ratio, .low = low, .high = high, .known = known};
    return opool__bench_verdict(&of, text, sizeof text);
}

START_TEST(medians)
{
    const double values[] = {5, 1, 4, 2, 3, 100};
    ck_assert_double_eq(opool__bench_median(values, 5), 3);
    ck_assert_double_eq(opool__bench_median(values, 6), 3.5);
    ck_assert_double_eq(opool__bench_median(values, 1), 5);
    ck_assert_double_eq(opool__bench_median(values, 0), 0);
    ck_assert_double_eq(values[0], 5); /* as it was */
}
END_TEST

START_TEST(words)
{
    ck_assert_str_eq(verdict(2.13, 2.0, 2.3, true), "2.1x less CPU");
    ck_assert_str_eq(verdict(21.6, 20, 23, true), "22x less CPU");
    ck_assert_str_eq(verdict(1.04, 1.02, 1.06, true), "4 % less CPU");
    ck_assert_str_eq(verdict(1.3, 0.99, 1.6, true), "tie");
    ck_assert_str_eq(verdict(1.004, 1.003, 1.0045, true), "tie"); /* less than half a percent is none */
    ck_assert_str_eq(verdict(0.7, 0.6, 1.01, true), "tie");
    ck_assert_str_eq(verdict(0.95, 0.93, 0.97, true), "5 % more CPU");
    ck_assert_str_eq(verdict(0.25, 0.2, 0.3, true), "4.0x more CPU");
    ck_assert_str_eq(verdict(2, 0, 0, false), "too few rounds");
}
END_TEST

START_TEST(few_rounds)
{
    const double theirs[] = {2, 4, 6, 8, 10, 12}, ours[] = {1, 2, 3, 4, 5, 6}, nothing[6] = {0};
    struct ratio ratio = opool__bench_ratio(theirs, ours, 5);
    ck_assert(!ratio.known);
    ck_assert_double_eq(ratio.ratio, 2);
    ratio = opool__bench_ratio(theirs, ours, 6);
    ck_assert(ratio.known);
    /* Round by round it is 2, however the rounds differ. */
    ck_assert_double_eq(ratio.low, 2);
    ck_assert_double_eq(ratio.high, 2);
    ck_assert(!opool__bench_ratio(theirs, nothing, 6).known);
}
END_TEST

/* Of many sets of rounds whose true ratio is 1.5, how many intervals hold it: about 95 %, rather more for so few. The
   numbers are the same in each run. */
static void hold_the_truth(unsigned rounds)
{
    enum { SETS = 400, ROUNDS = 9 };
    int held = 0, one_sided = 0;
    ck_assert_uint_le(rounds, ROUNDS);
    for (int set = 0; set < SETS; set++) {
        double theirs[ROUNDS], ours[ROUNDS];
        for (unsigned i = 0; i < rounds; i++) {
            double machine = exp(0.2 * noise()); /* both have it */
            theirs[i] = 15 * machine * exp(0.05 * noise());
            ours[i] = 10 * machine * exp(0.05 * noise());
        }
        const struct ratio ratio = opool__bench_ratio(theirs, ours, rounds);
        held += ratio.low <= 1.5 && ratio.high >= 1.5;
        one_sided += ratio.low > 1.5;
        ck_assert_double_le(ratio.low, ratio.ratio);
        ck_assert_double_ge(ratio.high, ratio.ratio);
    }
    ck_assert_int_ge(held, SETS * 94 / 100);
    ck_assert_int_le(one_sided, SETS * 5 / 100);
}

START_TEST(interval_holds_the_truth)
{
    hold_the_truth(ROUNDS_FEWEST);
    hold_the_truth(7);
    hold_the_truth(9);
}
END_TEST

START_TEST(most_rounds)
{
    static double theirs[ROUNDS_MOST], ours[ROUNDS_MOST];
    for (int i = 0; i < ROUNDS_MOST; i++) {
        theirs[i] = 3 * exp(0.1 * noise());
        ours[i] = exp(0.1 * noise());
    }
    const struct ratio ratio = opool__bench_ratio(theirs, ours, ROUNDS_MOST);
    ck_assert_double_le(ratio.high - ratio.low, 0.15);
    ck_assert_double_le(fabs(ratio.ratio - 3), 0.1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("figures");
    TCase *figures_case = new_case(suite, "figures");
    tcase_add_test(figures_case, medians);
    tcase_add_test(figures_case, words);
    tcase_add_test(figures_case, few_rounds);
    tcase_add_test(figures_case, interval_holds_the_truth);
    tcase_add_test(figures_case, most_rounds);
    return run_suite(suite);
}
