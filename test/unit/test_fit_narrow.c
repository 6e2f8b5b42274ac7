/* SPDX-License-Identifier: MIT */

/* The footprint guard as a 32-bit system compiles it, where sizes of more than 2 GiB have no power of 2 above them. */
#include <opool/types.h>

#include "unit.h"

#define size_t uint32_t
#undef SIZE_MAX
#define SIZE_MAX UINT32_MAX
#define opool_footprint narrow_footprint
struct narrow_footprint {
    size_t used, held;
};
#include "shape/fit.c"

enum { GIB = 1 << 30 };

static void put(struct opool__fit *fit, uint32_t used, uint32_t held, uint32_t grown)
{
    struct opool__fit_note note = {.footprint = {used, held}, .grown = grown, .kept = true};
    opool__fit_add(fit, &note);
}

START_TEST(what_nearly_all_uses_need_is_kept)
{
    static const uint32_t used[] = {100, GIB / 2, GIB, 2u * GIB, 3u * GIB, UINT32_MAX};
    struct opool__fit fit;
    opool__fit_start(&fit, 0);
    for (int i = 0; i < OPOOL__FIT_CALIBRATION; i++)
        put(&fit, used[_i], used[_i], 0);
    EXPECT(fit.cap && opool__fit_allows(fit.cap, used[_i]));
    EXPECT(used[_i] >= GIB || !opool__fit_allows(fit.cap, 4 * used[_i]));
}
END_TEST

/* Half of the memory is in use: no new object came with more than that. */
START_TEST(what_is_used_is_no_floor)
{
    struct opool__fit fit;
    opool__fit_start(&fit, 0);
    put(&fit, 3u * GIB, UINT32_MAX, UINT32_MAX);
    EXPECT(fit.least_new == 0);
    put(&fit, 100, 1000, 1000);
    EXPECT(fit.least_new == 1000);
}
END_TEST

START_TEST(advice_is_a_size)
{
    struct opool__fit fit;
    struct opool__fit_advice advice;
    opool__fit_start(&fit, 1000);
    for (int i = 0; i < 3 * OPOOL__FIT_WINDOW; i++) {
        struct opool__fit_note note = {.footprint = {3u * GIB, 3u * GIB}, .grown = 3u * GIB, .kept = false};
        opool__fit_add(&fit, &note);
    }
    EXPECT(opool__fit_news(&fit, &advice) && advice.finding == OPOOL__FIT_CHURN && advice.raise);
    EXPECT(advice.keep == UINT32_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fit, 32-bit sizes");
    TCase *sizes = unit_case(suite, "sizes");
    tcase_add_loop_test(sizes, what_nearly_all_uses_need_is_kept, 0, 6);
    tcase_add_test(sizes, what_is_used_is_no_floor);
    tcase_add_test(sizes, advice_is_a_size);
    return unit_main(suite);
}
