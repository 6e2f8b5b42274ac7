/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "check/fill.h"
#include "check/life.h"
#include "check/settings.h"
#include "fault.h"
#include "os/os.h"

/* ---- what the environment says ---- */

/* Asks in a child, because the environment is read once a process: "pool:level" lines, then what was said. */
struct asked {
    const char *checks, *fail;
};

static const char *const pool_names[] = {"conn", "conn_tls", "job"};

static void ask(void *arg)
{
    const struct asked *asked = arg;
    setenv("OPOOL_CHECKS", asked->checks, 1);
    if (asked->fail)
        setenv("OPOOL_FAIL", asked->fail, 1);
    char answer[256];
    int n = snprintf(answer, sizeof answer, "%d", (int)opool__settings_level(NULL));
    for (size_t i = 0; i < UNIT_LENGTH(pool_names); i++)
        n += snprintf(answer + n, sizeof answer - (size_t)n, " %d", (int)opool__settings_level(pool_names[i]));
    dprintf(STDERR_FILENO, "%s %u", answer, (unsigned)opool__settings_fail());
    _exit(0);
}

static const struct {
    struct asked asked;
    const char *said; /* complaints, levels of no pool and of pool_names, OPOOL_FAIL */
} settings[] = {
    {{"", NULL}, "2 2 2 2 0"},
    {{"off", NULL}, "1 1 1 1 0"},
    {{"full", "7"}, "3 3 3 3 7"},
    {{"job=full", NULL}, "2 2 2 3 0"},
    {{"off,conn*=full,*_tls=basic", NULL}, "1 3 2 1 0"},
    {{"conn*=full,off", NULL}, "1 3 3 1 0"}, /* a name goes before the level of all */
    {{"full,,basic,", NULL}, "2 2 2 2 0"},
    {{"fulll", NULL}, "opool: OPOOL_CHECKS: 'fulll' is none of off, basic, full, help: ignored\n2 2 2 2 0"},
    {{"job=,full", NULL}, "opool: OPOOL_CHECKS: '' is none of off, basic, full, help: ignored\n3 3 3 3 0"},
    {{"=full", NULL}, "opool: OPOOL_CHECKS: '=full' has no pattern: ignored\n2 2 2 2 0"},
    {{"FULL,job=full", NULL}, "opool: OPOOL_CHECKS: 'FULL' is none of off, basic, full, help: ignored\n2 2 2 3 0"},
    {{"", "0"}, "opool: OPOOL_FAIL: '0' is no number from 1 to 4294967295: ignored\n2 2 2 2 0"},
    {{"", "4294967296"}, "opool: OPOOL_FAIL: '4294967296' is no number from 1 to 4294967295: ignored\n2 2 2 2 0"},
    {{"", "1e3"}, "opool: OPOOL_FAIL: '1e3' is no number from 1 to 4294967295: ignored\n2 2 2 2 0"},
    {{"", "18446744073709551617"},
     "opool: OPOOL_FAIL: '18446744073709551617' is no number from 1 to 4294967295: ignored\n2 2 2 2 0"},
};

START_TEST(the_environment_sets_levels)
{
    struct asked asked = settings[_i].asked;
    struct unit_child child = unit_in_child(ask, &asked);
    ck_assert_str_eq(child.said, settings[_i].said);
}
END_TEST

START_TEST(help_names_every_word)
{
    struct asked asked = {"help", NULL};
    struct unit_child child = unit_in_child(ask, &asked);
#define OPOOL_LEVEL(word, level, help) \
    ck_assert_ptr_nonnull(strstr(child.said, "  " word " ")); \
    ck_assert_ptr_nonnull(strstr(child.said, help "\n"));
#define OPOOL_VARIABLE(name, values, help) ck_assert_ptr_nonnull(strstr(child.said, "  " name "=" values "\n"));
#include "check/words.def"
#undef OPOOL_LEVEL
#undef OPOOL_VARIABLE
    ck_assert_str_eq(strrchr(child.said, '\n'), "\n2 2 2 2 0");
}
END_TEST

static void ask_too_much(void *unused UNIT_UNUSED)
{
    char items[100 * 10 + 1] = "";
    for (unsigned i = 0; i < 100; i++)
        snprintf(items + i * 10, sizeof items - i * 10, "a%03u=full,", i % 1000);
    setenv("OPOOL_CHECKS", items, 1);
    bool known =
        opool__settings_level("a063") == OPOOL_CHECKS_FULL && opool__settings_level("a064") == OPOOL_CHECKS_BASIC;
    _exit(known ? 0 : 1);
}

START_TEST(items_are_bounded)
{
    struct unit_child child = unit_in_child(ask_too_much, NULL);
    ck_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
    ck_assert_ptr_nonnull(strstr(child.said, "is one item too many: ignored"));
}
END_TEST

/* ---- lives ---- */

START_TEST(entries_are_found_again)
{
    static const size_t copies[] = {0, 1, 64, 5000, (size_t)16 << 20};
    struct opool__life life;
    ck_assert_int_eq(opool__life_start(&life, copies[_i], INT32_MAX, 0), 0);
    uint32_t index = 1;
    ck_assert_ptr_null(opool__life_at(&life, 0));
    for (; index < INT32_MAX / 3; index *= 3) {
        struct opool__entry *entry = opool__life_make(&life, index);
        ck_assert_ptr_nonnull(entry);
        ck_assert_ptr_eq(opool__life_make(&life, index), entry);
        ck_assert_uint_eq(entry->shared_phase, OPOOL__PHASE_GONE);
        entry->shared_phase = index;
        memset(opool__life_copy(entry), 0xff, copies[_i] < 4096 ? copies[_i] : 4096);
    }
    for (uint32_t i = 1; i < INT32_MAX / 3; i *= 3)
        ck_assert_uint_eq(opool__life_at(&life, i)->shared_phase, i);
    ck_assert_ptr_null(opool__life_make(&life, UINT32_MAX));
    opool__life_end(&life);
    ck_assert(!opool__life_known(&life));
    ck_assert_ptr_null(opool__life_at(&life, 1));
}
END_TEST

START_TEST(entries_do_not_overlap)
{
    struct opool__life life;
    ck_assert_int_eq(opool__life_start(&life, 24, 100000, 0), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        struct opool__entry *entry = opool__life_make(&life, i);
        entry->shared_phase = i;
        memset(opool__life_copy(entry), (int)i, 24);
    }
    for (uint32_t i = 0; i < 10000; i++) {
        struct opool__entry *entry = opool__life_at(&life, i);
        EXPECT(entry->shared_phase == i);
        EXPECT(opool__fill_check(opool__life_copy(entry), 24, (unsigned char)i).count == 0);
    }
    opool__life_end(&life);
}
END_TEST

/* Each call of the system refused in turn: no entry, and nothing stays. */
START_TEST(lives_without_memory)
{
    struct opool__life life;
    fault_install();
    for (unsigned first = 1; first <= 8; first++) {
        uint64_t reservations = fault.reservations;
        fault_plan(first, true, 1u << FAULT_RESERVE | 1u << FAULT_COMMIT);
        if (opool__life_start(&life, 24, 100000, 9000) == 0) {
            struct opool__entry *entry = opool__life_make(&life, 5);
            EXPECT(entry == opool__life_at(&life, 5));
            fault_heal();
            EXPECT(opool__life_make(&life, 5) != NULL);
            opool__life_end(&life);
        }
        fault_heal();
        EXPECT(fault.reservations == reservations);
    }
}
END_TEST

/* ---- fills ---- */

START_TEST(damage_is_told_from_first_to_last_byte)
{
    unsigned char bytes[64];
    for (size_t length = 0; length < sizeof bytes; length++)
        for (size_t first = 0; first < length; first++)
            for (size_t last = first; last < length; last++) {
                opool__fill(bytes, length, OPOOL__FILL_ZONE);
                EXPECT(opool__fill_check(bytes, length, OPOOL__FILL_ZONE).count == 0);
                bytes[first] = bytes[last] = 0;
                struct opool__damage damage = opool__fill_check(bytes, length, OPOOL__FILL_ZONE);
                EXPECT(damage.offset == first && damage.count == last - first + 1);
            }
}
END_TEST

START_TEST(hidden_objects_come_back)
{
    char object[] = "as it was", copy[sizeof object];
    opool__fill_hide(object, copy, sizeof object);
    EXPECT(opool__fill_check(object, sizeof object, OPOOL__FILL_IDLE).count == 0);
    opool__fill_show(object, copy, sizeof object);
    ck_assert_str_eq(object, "as it was");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *tests = tcase_create("check");
    tcase_set_timeout(tests, 60);
#ifndef OPOOL_NO_CHECKS /* which has one level */
    tcase_add_loop_test(tests, the_environment_sets_levels, 0, UNIT_LENGTH(settings));
    tcase_add_test(tests, help_names_every_word);
    tcase_add_test(tests, items_are_bounded);
#endif
    tcase_add_loop_test(tests, entries_are_found_again, 0, 5);
    tcase_add_test(tests, entries_do_not_overlap);
    tcase_add_test(tests, lives_without_memory);
    tcase_add_test(tests, damage_is_told_from_first_to_last_byte);
    tcase_add_test(tests, hidden_objects_come_back);
    suite_add_tcase(suite, tests);
    return unit_main(suite);
}
