/* SPDX-License-Identifier: MIT */
/* What `opool profile report` reckons with, against known answers: partitions, intervals, figures added up. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "tools/profile/collect/block.h"
#include "tools/profile/report/gain.h"
#include "tools/profile/report/known.h"
#include "tools/profile/report/model.h"
#include "tools/profile/report/partition.h"

/* ---- partitions ---- */

START_TEST(one_size_wastes_nothing)
{
    const struct size_count sizes[] = {{100, 5}};
    struct partition of[CLASSES_MOST];
    ck_assert_uint_eq(opool__profile_partition(sizes, 1, of), 1);
    ck_assert_uint_eq(of[0].classes, 1);
    ck_assert_uint_eq(of[0].bytes[0], 100);
    ck_assert_double_eq(of[0].waste, 0);
}
END_TEST

/* One class: 10 objects of 100 bytes hold 5 * 60 + 5 * 100 = 800. */
START_TEST(waste_is_padding_over_what_is_handed_out)
{
    const struct size_count sizes[] = {{60, 5}, {100, 5}};
    struct partition of[CLASSES_MOST];
    ck_assert_uint_eq(opool__profile_partition(sizes, 2, of), 2);
    ck_assert_double_eq_tol(of[0].waste, 0.2, 1e-12);
    ck_assert_double_eq(of[1].waste, 0);
    ck_assert_uint_eq(of[1].bytes[0], 60);
    ck_assert_uint_eq(of[1].bytes[1], 100);
}
END_TEST

/* Two classes of 10, 20, 100: {10, 20} {100} pads 10 a piece of the tens, {10} {20, 100} 80 a piece of the twenties. */
START_TEST(two_classes_part_where_it_is_cheapest)
{
    const struct size_count sizes[] = {{10, 100}, {20, 1}, {100, 1}};
    const struct size_count many[] = {{10, 100}, {20, 1000}, {100, 1}};
    struct partition of[CLASSES_MOST];
    opool__profile_partition(sizes, 3, of);
    ck_assert_uint_eq(of[1].bytes[0], 10);
    opool__profile_partition(many, 3, of);
    ck_assert_uint_eq(of[1].bytes[0], 20);
    ck_assert_uint_eq(of[1].bytes[1], 100);
}
END_TEST

static double cost_of(const struct size_count *sizes, size_t count, const uint64_t *classes, unsigned k)
{
    double cost = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned c = 0;
        while (c < k && classes[c] < sizes[i].bytes)
            c++;
        cost += c == k ? INFINITY : (double)classes[c] * (double)sizes[i].count;
    }
    return cost;
}

/* The best of all choices of at most three classes, one after the other. */
static double best_of_three(const struct size_count *sizes, size_t count)
{
    double best = INFINITY;
    for (size_t a = 0; a < count; a++)
        for (size_t b = a; b < count; b++) {
            const uint64_t classes[] = {sizes[a].bytes, sizes[b].bytes, sizes[count - 1].bytes};
            best = fmin(best, cost_of(sizes, count, classes, 3));
        }
    return best;
}

START_TEST(it_is_as_good_as_trying_all)
{
    unsigned seed = 7;
    for (int round = 0; round < 300; round++) {
        struct size_count sizes[12];
        struct partition of[CLASSES_MOST];
        uint64_t bytes = 0;
        for (int i = 0; i < 12; i++) {
            bytes += 1 + (unsigned)rand_r(&seed) % 100;
            sizes[i] = (struct size_count){bytes, 1 + (unsigned)rand_r(&seed) % 1000};
        }
        ck_assert_uint_eq(opool__profile_partition(sizes, 12, of), CLASSES_MOST);
        ck_assert_double_eq_tol(cost_of(sizes, 12, of[2].bytes, 3), best_of_three(sizes, 12), 1e-6);
        for (unsigned k = 1; k < CLASSES_MOST; k++)
            ck_assert_double_le(of[k].waste, of[k - 1].waste);
    }
}
END_TEST

START_TEST(no_sizes_no_classes)
{
    struct partition of[CLASSES_MOST];
    ck_assert_uint_eq(opool__profile_partition(NULL, 0, of), 0);
}
END_TEST

/* ---- intervals ---- */

static struct costs known_costs(void)
{
    struct costs costs = {.pool = {3, 4}, .fault = {200, 300}, .brk = {1000, 2000}, .map = {10, 20}};
    for (int i = 0; i < COST_SIZES; i++)
        costs.allocation[i] = (struct cost){20, 30};
    costs.cpuid = (struct cost){100, 5000};
    costs.fill = (struct cost){10, 10};
    costs.clock = (struct cost){10, 10};
    return costs;
}

static struct gain gain_of(const struct spent *spent)
{
    const struct costs costs = known_costs();
    return opool__profile_gain(&costs, spent, 10, (struct cost){0.5e9, 1e9});
}

/* 1e6 pairs: 20 - 4 = 16 ns at least, 30 - 3 = 27 ns at most; over 10 s, and 1 s or 0.5 s of processor time. */
START_TEST(pairs_cost_the_difference)
{
    struct gain gain = gain_of(&(struct spent){.pairs = 1e6, .bytes_each = 64});
    ck_assert_double_eq_tol(gain.low, 16e6, 1);
    ck_assert_double_eq_tol(gain.high, 27e6, 1);
    ck_assert_double_eq_tol(gain.low_a_second, 1600, 1e-6);
    ck_assert_double_eq_tol(gain.high_a_second, 2700, 1e-6);
    ck_assert_double_eq_tol(gain.low_share, 0.016, 1e-9);
    ck_assert_double_eq_tol(gain.high_share, 0.054, 1e-9);
    ck_assert_double_eq(gain.system, 0);
}
END_TEST

START_TEST(the_system_adds_to_it)
{
    struct gain gain = gain_of(&(struct spent){.faults = 10, .faults_most = 100, .breaks = 5, .maps = 2});
    ck_assert_double_eq_tol(gain.low, 10 * 200 + 5 * 1000 + 2 * 10, 1e-6);
    ck_assert_double_eq_tol(gain.high, 100 * 300 + 5 * 2000 + 2 * 20, 1e-6);
    ck_assert_double_eq_tol(gain.system, gain.high, 1e-6);
}
END_TEST

/* A pair of 320 ns with two readings of 10: 300, ten times the measured 30; a pool's 4 would be 40 there. */
START_TEST(timed_calls_raise_the_upper_end)
{
    struct gain gain = gain_of(&(struct spent){.pairs = 1000, .timed_pair = 320});
    ck_assert_double_eq_tol(gain.low, 16e3, 1e-6);
    ck_assert_double_eq_tol(gain.high, 1000 * (300 - 40), 1e-6);
    gain = gain_of(&(struct spent){.pairs = 1000, .timed_pair = 1e6}); /* an interruption */
    ck_assert_double_eq_tol(gain.high, 10 * 30e3, 1e-6);
    gain = gain_of(&(struct spent){.pairs = 1000, .timed_pair = 25}); /* faster than measured: no lower */
    ck_assert_double_eq_tol(gain.high, 27e3, 1e-6);
}
END_TEST

START_TEST(creation_costs_instructions_and_writing)
{
    struct gain gain = gain_of(&(struct spent){.pairs = 10, .cpuids = 30, .filled_kib = 7});
    ck_assert_double_eq_tol(gain.low, 160 + 30 * 100, 1e-6);
    ck_assert_double_eq_tol(gain.high, 270 + 30 * 5000 + 70, 1e-6);
}
END_TEST

START_TEST(shares_end_at_the_whole)
{
    struct gain gain = gain_of(&(struct spent){.breaks = 1e9});
    ck_assert_double_eq(gain.high_share, 1);
    ck_assert_double_le(gain.low_share, 1);
    const struct costs costs = known_costs();
    gain = opool__profile_gain(&costs, &(struct spent){.pairs = 1}, 0, (struct cost){0, 0});
    ck_assert(!gain.has_share);
    ck_assert_double_eq(gain.high_a_second, 0);
}
END_TEST

/* 1000 s of breaks in 10 s with half a second of processor time: the 0.5 s, in the rate, too. */
START_TEST(no_more_is_gained_than_was_used)
{
    struct gain gain = gain_of(&(struct spent){.breaks = 1e9});
    ck_assert_double_eq_tol(gain.high, 0.5e9, 1e-6);
    ck_assert_double_eq_tol(gain.high_a_second, 50000, 1e-6);
    ck_assert_double_le(gain.low, gain.high);
}
END_TEST

/* 1e6 pairs: 2 - 6 = -4 ns at the worst, of the 0.5 s; 3 - 5 = -2 ns at best, of the whole second. */
START_TEST(a_dearer_pool_is_a_loss)
{
    struct costs costs = known_costs();
    costs.pool = (struct cost){5, 6};
    for (int i = 0; i < COST_SIZES; i++)
        costs.allocation[i] = (struct cost){2, 3};
    struct gain gain = opool__profile_gain(&costs, &(struct spent){.pairs = 1e6}, 10, (struct cost){0.5e9, 1e9});
    ck_assert(gain.has_share);
    ck_assert_double_eq_tol(gain.low_share, -0.008, 1e-9);
    ck_assert_double_eq_tol(gain.high_share, -0.002, 1e-9);
    ck_assert_double_eq_tol(gain.high_a_second, -200, 1e-6);
}
END_TEST

/* Half way between two sizes, by their logarithms. */
START_TEST(sizes_between_are_between)
{
    struct costs costs = known_costs();
    costs.pool = (struct cost){0, 0};
    costs.allocation[1] = (struct cost){100, 100};
    double middle = sqrt((double)opool__profile_cost_sizes[0] * (double)opool__profile_cost_sizes[1]);
    struct gain gain =
        opool__profile_gain(&costs, &(struct spent){.pairs = 1, .bytes_each = middle}, 1, (struct cost){0, 0});
    ck_assert_double_eq_tol(gain.low, 60, 1e-6);
    ck_assert_double_eq_tol(gain.high, 65, 1e-6);
}
END_TEST

/* ---- costs ---- */

START_TEST(costs_are_read)
{
    struct costs costs = known_costs();
    const char *why = NULL;
    bool are_all = true;
    ck_assert(opool__profile_read_costs(&costs, "malloc=7:9,pool=2", &are_all, &why));
    ck_assert(!are_all);
    ck_assert_double_eq(costs.allocation[COST_SIZES - 1].high, 9);
    ck_assert_double_eq(costs.pool.low, 2);
    ck_assert_double_eq(costs.pool.high, 2);
    ck_assert_double_eq(costs.fault.low, 200);
    ck_assert(opool__profile_read_costs(&costs, "malloc=1,pool=1,fault=1,brk=1,map=1,cpuid=1,fill=1,clock=1", &are_all,
                                        &why));
    ck_assert(are_all);
}
END_TEST

START_TEST(wrong_costs_are_refused)
{
    static const char *const wrong[] = {"",           "x=1",     "malloc",   "malloc=",  "malloc=-1",
                                        "malloc=2:1", "pool=1,", "pool=1;2", "pool=nan", "pool=1e99",
                                        "pool=1:",    "=1",      "pool=1 2", ",pool=1",  "pool=1,,x=2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct costs costs = known_costs();
        const char *why = NULL;
        bool are_all;
        ck_assert_msg(!opool__profile_read_costs(&costs, wrong[i], &are_all, &why), "%s", wrong[i]);
        ck_assert_ptr_nonnull(why);
    }
}
END_TEST

START_TEST(this_machine_can_be_measured)
{
    struct costs costs;
    ck_assert(opool__profile_measure(&costs));
    for (int i = 0; i < COST_SIZES; i++)
        ck_assert(costs.allocation[i].low > 0 && costs.allocation[i].low <= costs.allocation[i].high);
    ck_assert(costs.pool.low > 0 && costs.fault.low > 0 && costs.brk.low > 0 && costs.map.low > 0);
    ck_assert(costs.brk.low <= costs.brk.high && costs.map.low <= costs.map.high);
}
END_TEST

/* ---- figures ---- */

START_TEST(figures_add_up)
{
    struct memory memory = {0};
    struct figures sum = {.allocations = 0};
    struct size_count first[] = {{16, 2}, {64, 3}}, second[] = {{8, 1}, {64, 4}};
    const struct figures a = {
        .allocations = 5, .least = 16, .most = 64, .sizes = first, .size_count = 2, .burst = 9, .live_peak = 3};
    const struct figures b = {
        .allocations = 5, .least = 8, .most = 64, .sizes = second, .size_count = 2, .burst = 4, .live_peak = 7};
    opool__profile_add(&memory, &sum, &a);
    opool__profile_add(&memory, &sum, &b);
    ck_assert_uint_eq(sum.allocations, 10);
    ck_assert_uint_eq(sum.least, 8);
    ck_assert_uint_eq(sum.burst, 9);
    ck_assert_uint_eq(sum.live_peak, 10);
    ck_assert_uint_eq(sum.size_count, 3);
    ck_assert_uint_eq(sum.sizes[0].bytes, 8);
    ck_assert_uint_eq(sum.sizes[2].count, 7);
    ck_assert_uint_eq(opool__profile_main_size(&sum).bytes, 64);
    opool__shapes_give(&memory);
}
END_TEST

START_TEST(sums_do_not_wrap)
{
    struct memory memory = {0};
    struct figures sum = {.allocations = UINT64_MAX - 1};
    const struct figures more = {.allocations = 5};
    opool__profile_add(&memory, &sum, &more);
    ck_assert_uint_eq(sum.allocations, UINT64_MAX);
    ck_assert_uint_eq(opool__profile_product(UINT64_MAX / 2, 3), UINT64_MAX);
    opool__shapes_give(&memory);
}
END_TEST

START_TEST(lifetimes_are_those_of_their_class)
{
    struct figures figures = {.allocations = 100};
    ck_assert_uint_eq(opool__profile_lifetime(&figures, 0.5), 0);
    figures.lifetimes[opool__profile_lifetime_class(1000)] = 98;
    figures.lifetimes[opool__profile_lifetime_class(1000000)] = 2;
    uint64_t p50 = opool__profile_lifetime(&figures, 0.5), p99 = opool__profile_lifetime(&figures, 0.99);
    ck_assert_uint_eq(opool__profile_lifetime_class(p50), opool__profile_lifetime_class(1000));
    ck_assert_uint_eq(opool__profile_lifetime_class(p99), opool__profile_lifetime_class(1000000));
}
END_TEST

/* 10 of 64 were counted; of [64, 128) there are 15 in all, so 5 are between, at most 100. */
/* The words of a small block have the lower 41 bits of its birth. */
START_TEST(small_blocks_outlive_a_turn_of_the_clock)
{
    const uint64_t turn = UINT64_C(1) << OPOOL__BIRTH_BITS;
    ck_assert_uint_eq(opool__birth_before(1000, 900), 900);
    ck_assert_uint_eq(opool__birth_before(turn + 5, turn - 7), turn - 7);
    ck_assert_uint_eq(opool__birth_before(5 * turn + 5, 3), 5 * turn + 3);
    ck_assert_uint_eq(opool__birth_before(5 * turn + 5, 5), 5 * turn + 5);
    ck_assert_uint_eq(opool__birth_before(5 * turn + 5, 6), 5 * turn + 5); /* another processor's clock */
    ck_assert_uint_eq(opool__birth_before(turn + turn / 2, turn / 4), turn + turn / 4);
}
END_TEST

START_TEST(other_sizes_are_by_their_class)
{
    struct memory memory = {0};
    struct size_count counted[] = {{64, 10}}, *all;
    struct figures figures = {
        .allocations = 15, .least = 64, .most = 100, .sizes = counted, .size_count = 1, .other_sizes = 5};
    figures.size_classes[6] = 15;
    ck_assert_uint_eq(opool__profile_all_sizes(&memory, &figures, &all), 2);
    ck_assert_uint_eq(all[0].bytes, 64);
    ck_assert_uint_eq(all[0].count, 10);
    ck_assert_uint_eq(all[1].bytes, 100);
    ck_assert_uint_eq(all[1].count, 5);
    opool__shapes_give(&memory);
}
END_TEST

/* ---- names ---- */

START_TEST(wrappers_are_known)
{
    char *more[] = {"our_*"};
    ck_assert(opool__profile_is_wrapper("xmalloc", NULL, 0));
    ck_assert(opool__profile_is_wrapper("operator new(unsigned long)", NULL, 0));
    ck_assert(opool__profile_is_wrapper("pool_get_from_os_noinc", NULL, 0));
    ck_assert(!opool__profile_is_wrapper("conn_new", NULL, 0));
    ck_assert(!opool__profile_is_wrapper("our_alloc", NULL, 0));
    ck_assert(opool__profile_is_wrapper("our_alloc", more, 1));
}
END_TEST

START_TEST(creations_sound_like_it)
{
    static const char *const yes[] = {"conn_new",      "NewParser",     "decoderInit2",
                                      "inflateInit2_", "widget_create", "openFile"};
    static const char *const no[] = {"renew", "initial", "parse", "news", "reopened", "malloced"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        ck_assert_msg(opool__profile_is_creation(yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        ck_assert_msg(!opool__profile_is_creation(no[i]), "%s", no[i]);
    ck_assert_str_eq(opool__profile_known("ZSTD_createDCtx")->free, "ZSTD_freeDCtx");
    ck_assert_ptr_null(opool__profile_known("ZSTD_decompress"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile report");
    TCase *partition = tcase_create("partition"), *gain = tcase_create("gain"), *costs = tcase_create("costs"),
          *figures = tcase_create("figures"), *names = tcase_create("names");
    tcase_set_timeout(partition, 60); /* else 4 seconds, which a busy machine may take */
    tcase_set_timeout(costs, 60);
    tcase_add_test(partition, one_size_wastes_nothing);
    tcase_add_test(partition, waste_is_padding_over_what_is_handed_out);
    tcase_add_test(partition, two_classes_part_where_it_is_cheapest);
    tcase_add_test(partition, it_is_as_good_as_trying_all);
    tcase_add_test(partition, no_sizes_no_classes);
    tcase_add_test(gain, pairs_cost_the_difference);
    tcase_add_test(gain, the_system_adds_to_it);
    tcase_add_test(gain, timed_calls_raise_the_upper_end);
    tcase_add_test(gain, creation_costs_instructions_and_writing);
    tcase_add_test(gain, shares_end_at_the_whole);
    tcase_add_test(gain, no_more_is_gained_than_was_used);
    tcase_add_test(gain, a_dearer_pool_is_a_loss);
    tcase_add_test(gain, sizes_between_are_between);
    tcase_add_test(costs, costs_are_read);
    tcase_add_test(costs, wrong_costs_are_refused);
    tcase_add_test(costs, this_machine_can_be_measured);
    tcase_add_test(figures, figures_add_up);
    tcase_add_test(figures, sums_do_not_wrap);
    tcase_add_test(figures, lifetimes_are_those_of_their_class);
    tcase_add_test(figures, small_blocks_outlive_a_turn_of_the_clock);
    tcase_add_test(figures, other_sizes_are_by_their_class);
    tcase_add_test(names, wrappers_are_known);
    tcase_add_test(names, creations_sound_like_it);
    suite_add_tcase(suite, partition);
    suite_add_tcase(suite, gain);
    suite_add_tcase(suite, costs);
    suite_add_tcase(suite, figures);
    suite_add_tcase(suite, names);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
