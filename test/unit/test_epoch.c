/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "epoch/epoch.h"
#include "epoch/pace.h"

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

START_TEST(begin_counts)
{
    uint64_t first = opool__epoch_now();
    ck_assert_uint_eq(opool__epoch_begin(), first + 1);
    ck_assert_uint_eq(opool__epoch_now(), first + 1);
}
END_TEST

static int woken;

static void wake(void)
{
    woken++;
}

START_TEST(a_stir_wakes_a_doze_once)
{
    opool__epoch_stir();
    ck_assert_int_eq(woken, 0); /* nobody dozes */
    opool__epoch_doze(wake);
    opool__epoch_stir();
    opool__epoch_stir();
    ck_assert_int_eq(woken, 1);
}
END_TEST

/* ---- pace ---- */

#define PERIOD UINT64_C(1000000000)
#define LEAST OPOOL__PACE_LEAST_NS

static const struct opool__pace_tick quiet = {.idle_bytes = 100};
static const struct opool__pace_tick pressed = {.found = 1, .pressure = true};
static const struct opool__pace_tick over = {.found = 1, .idle_bytes = 101, .soft_limit = 100};
static const struct opool__pace_tick churning = {.torn_down = 100000, .rebuilt = 90000};

START_TEST(a_steady_pace_is_the_period)
{
    struct opool__pace pace;
    opool__pace_start(&pace, PERIOD);
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_eq(opool__pace_next(&pace, &quiet), PERIOD);
    opool__pace_start(&pace, 1);
    ck_assert_uint_eq(opool__pace_next(&pace, &quiet), LEAST);
}
END_TEST

START_TEST(pressure_is_at_once_and_recovers_smoothly)
{
    struct opool__pace pace;
    opool__pace_start(&pace, PERIOD);
    ck_assert_uint_eq(opool__pace_next(&pace, &pressed), LEAST);
    uint64_t last = LEAST, next;
    while ((next = opool__pace_next(&pace, &quiet)) < PERIOD) {
        ck_assert_uint_eq(next, 2 * last);
        last = next;
    }
    ck_assert_uint_eq(next, PERIOD);
}
END_TEST

START_TEST(over_the_limit_epochs_halve_to_the_least)
{
    struct opool__pace pace;
    opool__pace_start(&pace, PERIOD);
    uint64_t last = PERIOD;
    for (int i = 0; i < 20; i++) {
        uint64_t next = opool__pace_next(&pace, &over);
        ck_assert_uint_eq(next, last / 2 > LEAST ? last / 2 : LEAST);
        last = next;
    }
    ck_assert_uint_eq(last, LEAST);
}
END_TEST

START_TEST(limits_win_over_back_off)
{
    struct opool__pace pace;
    struct opool__pace_tick both = churning;
    both.pressure = true;
    both.found = 1;
    opool__pace_start(&pace, PERIOD);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(opool__pace_next(&pace, &both), LEAST);
    ck_assert_uint_eq(pace.factor, 1);
}
END_TEST

START_TEST(back_off_has_an_end)
{
    struct opool__pace pace;
    opool__pace_start(&pace, PERIOD);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_le(opool__pace_next(&pace, &churning), OPOOL__PACE_FACTOR_MOST * PERIOD);
    ck_assert_uint_eq(pace.last, OPOOL__PACE_FACTOR_MOST * PERIOD);
}
END_TEST

START_TEST(epochs_have_an_end_in_minutes)
{
    static const uint64_t periods[] = {30 * PERIOD, 1800 * PERIOD};
    struct opool__pace pace;
    opool__pace_start(&pace, periods[_i]);
    for (int i = 0; i < 100; i++)
        (void)opool__pace_next(&pace, &churning);
    ck_assert_uint_eq(pace.last, _i == 0 ? OPOOL__PACE_MOST_NS : periods[1]);
}
END_TEST

/* A small pool that comes and goes does not keep what a large one left. */
START_TEST(small_churn_changes_nothing)
{
    struct opool__pace pace;
    struct opool__pace_tick beside_much = churning, little = {.torn_down = 1000, .rebuilt = 1000};
    beside_much.idle_bytes = 60000000;
    opool__pace_start(&pace, PERIOD);
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(opool__pace_next(&pace, &beside_much), PERIOD);
        ck_assert_uint_eq(opool__pace_next(&pace, &little), PERIOD);
    }
}
END_TEST

/* Idle beyond the limit, but all of it used in each epoch: no tick helps. */
START_TEST(limits_that_do_not_help_are_not_heeded)
{
    struct opool__pace pace;
    struct opool__pace_tick vain = over;
    vain.found = 0;
    opool__pace_start(&pace, PERIOD);
    for (int i = 1; i < OPOOL__PACE_VAIN; i++)
        ck_assert_uint_lt(opool__pace_next(&pace, &vain), PERIOD);
    for (int i = 0; i < 10; i++)
        (void)opool__pace_next(&pace, &vain);
    ck_assert(!opool__pace_heeds_limits(&pace));
    ck_assert_uint_eq(pace.last, PERIOD);
    ck_assert_uint_eq(opool__pace_next(&pace, &over), PERIOD / 2); /* it found something */
    ck_assert(opool__pace_heeds_limits(&pace));
}
END_TEST

START_TEST(silence_brings_the_period_back)
{
    struct opool__pace pace;
    opool__pace_start(&pace, PERIOD);
    for (int i = 0; i <= 1000; i++)
        (void)opool__pace_next(&pace, i % 10 ? &quiet : &churning);
    ck_assert_uint_gt(pace.last, PERIOD);
    opool__pace_rest(&pace, PERIOD / 2); /* too short to say anything */
    ck_assert_uint_gt(pace.last, PERIOD);
    opool__pace_rest(&pace, 100000 * PERIOD);
    ck_assert_uint_eq(pace.last, PERIOD);
    ck_assert_uint_eq(pace.hold, OPOOL__PACE_HOLD_LEAST);
}
END_TEST

START_TEST(the_period_comes_back_when_the_load_is_gone)
{
    struct opool__pace pace;
    opool__pace_start(&pace, PERIOD);
    for (int i = 0; i < 10000; i++)
        (void)opool__pace_next(&pace, i % 100 ? &quiet : &churning);
    int epochs = 0;
    while (opool__pace_next(&pace, &quiet) > PERIOD)
        ck_assert_int_lt(++epochs, 4 * OPOOL__PACE_HOLD_MOST);
}
END_TEST

/*
 * A load under the real rule: BURST bytes are used at once, every `interval`; the third tick after their last use
 * tears them down. Time in thousandths of a period.
 */
enum { BURST = 100000, MILLI = 1000 };

struct load {
    struct opool__pace pace;
    uint64_t next_tick, next_burst, interval;
    uint64_t torn_down, rebuilt; /* by the last tick; since */
    int ticks_since_use;
    bool built;
    uint64_t bursts, rebuilds; /* rebuilds: within the epoch after the tear-down */
};

static void burst(struct load *load)
{
    load->bursts++;
    load->rebuilds += !load->built && load->torn_down;
    load->rebuilt += load->built ? 0 : BURST;
    load->built = true;
    load->ticks_since_use = 0;
    load->next_burst += load->interval;
}

static void tick(struct load *load)
{
    struct opool__pace_tick report = {.torn_down = load->torn_down, .rebuilt = load->rebuilt};
    load->torn_down = load->rebuilt = 0;
    if (load->built && ++load->ticks_since_use == 3) {
        load->built = false;
        load->torn_down = BURST;
    }
    load->next_tick += opool__pace_next(&load->pace, &report) / (PERIOD / MILLI);
}

static void run_until(struct load *load, uint64_t end)
{
    while (load->next_tick < end || load->next_burst < end)
        if (load->next_burst <= load->next_tick)
            burst(load);
        else
            tick(load);
}

START_TEST(no_oscillation_stays)
{
    for (uint64_t interval = MILLI / 2; interval <= 40 * MILLI; interval += MILLI / 4) {
        for (uint64_t phase = 1; phase <= 4; phase++) {
            struct load load = {.interval = interval, .next_burst = phase * 219, .next_tick = MILLI};
            opool__pace_start(&load.pace, PERIOD);
            run_until(&load, 40000 * (uint64_t)MILLI);
            load.bursts = load.rebuilds = 0;
            run_until(&load, 80000 * (uint64_t)MILLI);
            ck_assert_msg(load.rebuilds * 100 <= load.bursts + 100, "interval %lu: %lu of %lu bursts were built again",
                          (unsigned long)interval, (unsigned long)load.rebuilds, (unsigned long)load.bursts);
        }
    }
}
END_TEST

START_TEST(a_load_that_changes_settles_again)
{
    struct load load = {.interval = 3 * MILLI + MILLI / 2, .next_tick = MILLI};
    opool__pace_start(&load.pace, PERIOD);
    for (int change = 0; change < 6; change++) {
        load.interval = (uint64_t)(3 + 5 * (change % 3)) * MILLI + MILLI / 2;
        uint64_t start = load.next_tick;
        run_until(&load, start + 20000 * (uint64_t)MILLI);
        load.bursts = load.rebuilds = 0;
        run_until(&load, start + 40000 * (uint64_t)MILLI);
        ck_assert_uint_le(load.rebuilds * 100, load.bursts + 100);
    }
}
END_TEST

START_TEST(memory_goes_when_the_load_stops)
{
    struct load load = {.interval = 11 * MILLI, .next_tick = MILLI};
    opool__pace_start(&load.pace, PERIOD);
    run_until(&load, 10000 * (uint64_t)MILLI);
    uint64_t stop = load.next_tick;
    load.next_burst = UINT64_MAX;
    while (load.built)
        tick(&load);
    ck_assert_uint_le(load.next_tick - stop, 4 * 8 * MILLI); /* 11 periods need epochs of 8 */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("epoch");
    TCase *tests = unit_case(suite, "clock");
    tcase_add_test(tests, no_tick_no_epoch);
    tcase_add_test(tests, never_goes_back_for_any_thread);
    tcase_add_test(tests, begin_counts);
    tcase_add_test(tests, a_stir_wakes_a_doze_once);
    tests = unit_case(suite, "pace");
    tcase_add_test(tests, a_steady_pace_is_the_period);
    tcase_add_test(tests, pressure_is_at_once_and_recovers_smoothly);
    tcase_add_test(tests, over_the_limit_epochs_halve_to_the_least);
    tcase_add_test(tests, limits_win_over_back_off);
    tcase_add_test(tests, back_off_has_an_end);
    tcase_add_loop_test(tests, epochs_have_an_end_in_minutes, 0, 2);
    tcase_add_test(tests, small_churn_changes_nothing);
    tcase_add_test(tests, limits_that_do_not_help_are_not_heeded);
    tcase_add_test(tests, silence_brings_the_period_back);
    tcase_add_test(tests, the_period_comes_back_when_the_load_is_gone);
    tcase_add_test(tests, no_oscillation_stays);
    tcase_add_test(tests, a_load_that_changes_settles_again);
    tcase_add_test(tests, memory_goes_when_the_load_stops);
    return unit_main(suite);
}
