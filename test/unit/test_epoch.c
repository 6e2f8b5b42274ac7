/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "epoch/epoch.h"

enum { READERS = 3, READS = 10000 };

START_TEST(no_tick_no_epoch)
{
    uint64_t first = opool__epoch_now();
    unit_nap(20);
    ck_assert_uint_eq(opool__epoch_now(), first); /* time alone moves nothing */
}
END_TEST

static void *read_often(void *latest)
{
    for (int i = 0; i < READS; i++) {
        uint64_t now = opool__epoch_now();
        EXPECT(now >= *(uint64_t *)latest);
        *(uint64_t *)latest = now;
    }
    return NULL;
}

START_TEST(never_goes_back_for_any_thread)
{
    pthread_t threads[READERS];
    uint64_t latest[READERS] = {0};
    for (int i = 0; i < READERS; i++)
        threads[i] = unit_thread(read_often, &latest[i]);
    for (int i = 0; i < READERS; i++)
        unit_join(threads[i]);
    for (int i = 0; i < READERS; i++)
        ck_assert_uint_eq(latest[i], opool__epoch_now());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("epoch");
    TCase *tests = unit_case(suite, "clock");
    tcase_add_test(tests, no_tick_no_epoch);
    tcase_add_test(tests, never_goes_back_for_any_thread);
    return unit_main(suite);
}
