/* SPDX-License-Identifier: MIT */

/* opool_slots_of: every object of a pool with a capacity or a region has a number, and the number its object. */

#include "contract.h"

enum { CAPACITY = 300, SIZE = 200 };

static struct opool *new_pool(const struct opool_options *options)
{
    struct opool_type type = {
        .name = "slots_pool", .type = "thing", .shape = OPOOL_SHAPE_TRUSTED("a test"), .size = SIZE, .align = 8};
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, options), 0);
    return pool;
}

static void expect_none(const struct opool_slots *slots, const char *object)
{
    ck_assert_uint_eq(opool_slot_index(slots, object + 1), SIZE_MAX);
    ck_assert_uint_eq(opool_slot_index(slots, object + slots->stride - 1), SIZE_MAX);
    ck_assert_uint_eq(opool_slot_index(slots, NULL), SIZE_MAX);
    ck_assert_uint_eq(opool_slot_index(slots, (char *)slots->base - slots->stride), SIZE_MAX);
    ck_assert_uint_eq(opool_slot_index(slots, (char *)slots->base + slots->slots * slots->stride), SIZE_MAX);
    ck_assert_ptr_null(opool_slot_at(slots, slots->slots));
    ck_assert_ptr_null(opool_slot_at(slots, SIZE_MAX));
}

/* All objects out at once: as many numbers, none twice. */
static void expect_numbers(struct opool *pool, size_t most)
{
    static void *objects[CAPACITY];
    static bool seen[2 * CAPACITY];
    struct opool_slots slots;
    memset(seen, 0, sizeof seen);
    ck_assert_int_eq(opool_slots_of(pool, &slots), 0);
    size_t n = opool_get_batch(pool, objects, CAPACITY);
    ck_assert_uint_ge(n, most);
    ck_assert_uint_le(slots.slots, 2 * CAPACITY);
    ck_assert_uint_ge(slots.stride, SIZE);
    for (size_t i = 0; i < n; i++) {
        size_t index = opool_slot_index(&slots, objects[i]);
        ck_assert_uint_lt(index, slots.slots);
        ck_assert(!seen[index]);
        seen[index] = true;
        ck_assert_ptr_eq(opool_slot_at(&slots, index), objects[i]);
    }
    expect_none(&slots, objects[0]);
    opool_put_batch(pool, objects, n);
}

START_TEST(of_a_capacity)
{
    struct opool *pool = new_pool(&(struct opool_options){.capacity = CAPACITY});
    struct opool_slots before, after;
    ck_assert_int_eq(opool_slots_of(pool, &before), 0);
    for (int round = 0; round < 3; round++) {
        expect_numbers(pool, CAPACITY);
        opool_release();
    }
    ck_assert_int_eq(opool_slots_of(pool, &after), 0);
    ck_assert_mem_eq(&before, &after, sizeof before);
    opool_destroy(&pool);
}
END_TEST

START_TEST(of_a_region)
{
    static _Alignas(4096) char region[CAPACITY * SIZE];
    struct opool *pool = new_pool(&(struct opool_options){.region = region, .region_size = sizeof region});
    struct opool_slots slots;
    ck_assert_int_eq(opool_slots_of(pool, &slots), 0);
    ck_assert((char *)slots.base >= region);
    ck_assert((char *)slots.base + slots.slots * slots.stride <= region + sizeof region);
    expect_numbers(pool, CAPACITY / 2);
    opool_destroy(&pool);
}
END_TEST

START_TEST(of_checks_off)
{
    struct opool *pool = new_pool(&(struct opool_options){.capacity = CAPACITY, .checks = OPOOL_CHECKS_OFF});
    expect_numbers(pool, CAPACITY);
    opool_destroy(&pool);
}
END_TEST

START_TEST(of_what_has_none)
{
    struct opool *pool = new_pool(NULL), *gone;
    struct opool_slots slots = {.slots = 5};
    ck_assert_int_eq(opool_slots_of(pool, &slots), -ENOTSUP);
    ck_assert_ptr_null(slots.base);
    ck_assert_uint_eq(slots.slots, 0);
    ck_assert_uint_eq(opool_slot_index(&slots, NULL), SIZE_MAX);
    ck_assert_ptr_null(opool_slot_at(&slots, 0));
    ck_assert_int_eq(opool_slots_of(NULL, &slots), -EINVAL);
    ck_assert_int_eq(opool_slots_of(pool, NULL), -EINVAL);
    gone = pool;
    opool_destroy(&pool);
    ck_assert_int_eq(opool_slots_of(gone, &slots), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slots");
    TCase *slots = new_case(suite, "slots");
    tcase_add_test(slots, of_a_capacity);
    tcase_add_test(slots, of_a_region);
    tcase_add_test(slots, of_checks_off);
    tcase_add_test(slots, of_what_has_none);
    return run_suite(suite);
}
