/* SPDX-License-Identifier: MIT */

/* Pools in memory of the caller: capacity is what fits, nothing else is taken, the caller gets it back by destroy. */

#include <sys/mman.h>
#include <sys/resource.h>

#include "contract.h"

enum { REGION = 64 << 10, OBJECT = 96 };

static _Alignas(4096) char region[REGION];

static struct opool *new_pool(void *at, size_t bytes, struct opool_options options, size_t align)
{
    struct opool_type type = {
        .name = "region_pool", .type = "thing", .shape = OPOOL_SHAPE_TRUSTED("a test"), .size = OBJECT, .align = align};
    struct opool *pool;
    options.region = at;
    options.region_size = bytes;
    ck_assert_int_eq(opool_create(&pool, &type, &options), 0);
    return pool;
}

static size_t take_all(struct opool *pool, void **objects)
{
    size_t n = opool_get_batch(pool, objects, REGION);
    ck_assert_int_eq(errno, EAGAIN);
    return n;
}

static void *objects[REGION];

static void expect_bytes(const char *bytes, size_t n, unsigned char value)
{
    size_t i = 0;
    while (i < n && (unsigned char)bytes[i] == value)
        i++;
    ck_assert_msg(i == n, "byte %zu is %#x", i, (unsigned char)bytes[i]);
}

/* Inside bytes[0, n), and aligned. */
static bool is_well_placed(const char *object, const char *bytes, size_t n, size_t align)
{
    return object >= bytes && object + OBJECT <= bytes + n && (uintptr_t)object % align == 0;
}

START_TEST(capacity_is_what_fits)
{
    memset(region, 0xee, sizeof region);
    struct opool *pool = new_pool(region, sizeof region, (struct opool_options){.name = NULL}, 32);
    size_t n = take_all(pool, objects);
    /* A few bytes of metadata an object, no more. */
    ck_assert_uint_ge(n, REGION / OBJECT * 9 / 10);
    ck_assert_uint_le(n, REGION / OBJECT);
    for (size_t i = 0; i < n; i++) {
        static const char zeros[OBJECT];
        char *object = objects[i];
        /* Zero, whatever was in the region before. */
        if (!is_well_placed(object, region, REGION, 32) || memcmp(object, zeros, OBJECT) != 0)
            ck_abort_msg("object %zu at %p", i, objects[i]);
        memset(object, (int)(i % 251 + 1), OBJECT);
    }
    for (size_t i = 0; i < n; i++)
        expect_bytes(objects[i], OBJECT, (unsigned char)(i % 251 + 1));
    opool_put_batch(pool, objects, n);
    for (int round = 0; round < 10; round++) { /* exactly as many, again and again */
        ck_assert_uint_eq(take_all(pool, objects), n);
        for (size_t i = 0; i < n; i++)
            if (round % 2)
                opool_discard(pool, objects[i]);
            else
                opool_put(pool, objects[i]);
        check_equations(pool);
    }
    opool_destroy(&pool);
}
END_TEST

START_TEST(the_smaller_capacity_counts)
{
    struct opool *pool = new_pool(region, sizeof region, (struct opool_options){.capacity = 7, .prefill = 7}, 8);
    ck_assert_uint_eq(idle_objects(pool), 7);
    ck_assert_uint_eq(take_all(pool, objects), 7);
    errno = 0;
    ck_assert_ptr_null(opool_get_wait(pool, 10));
    ck_assert_int_eq(errno, ETIMEDOUT);
    opool_put_batch(pool, objects, 7);
    opool_destroy(&pool);
    pool = new_pool(region, sizeof region, (struct opool_options){.capacity = 1 << 20}, 8);
    ck_assert_uint_le(take_all(pool, objects), REGION / OBJECT);
    opool_put_batch(pool, objects, figures(pool).live);
    opool_destroy(&pool);
}
END_TEST

START_TEST(any_start_and_alignment)
{
    for (size_t start = 0; start < 70; start += 3)
        for (size_t align = 1; align <= 4096; align *= 4) {
            memset(region, 0xee, sizeof region);
            struct opool *pool = new_pool(region + start, 20000, (struct opool_options){.name = NULL}, align);
            size_t n = take_all(pool, objects);
            ck_assert_uint_gt(n, 0);
            for (size_t i = 0; i < n; i++) {
                char *object = objects[i];
                if (!is_well_placed(object, region + start, 20000, align))
                    ck_abort_msg("object %zu at %p", i, objects[i]);
                memset(object, 1, OBJECT);
            }
            opool_put_batch(pool, objects, n);
            opool_destroy(&pool);
            expect_bytes(region, start, 0xee);
            expect_bytes(region + start + 20000, sizeof region - start - 20000, 0xee);
        }
}
END_TEST

/* Metadata behind the last object, or before the first, would be overwritten here. */
START_TEST(the_smallest_region)
{
    size_t least = 0;
    struct opool *pool = NULL;
    struct capture capture = capture_start();
    char text[8192];
    for (size_t bytes = 1; bytes < 4096 && !pool; bytes++) {
        struct opool_type type = {.shape = OPOOL_SHAPE_TRUSTED("a test"), .size = OBJECT, .align = 8};
        struct opool_options options = {.region = region, .region_size = bytes, .checks = OPOOL_CHECKS_OFF};
        if (opool_create(&pool, &type, &options) == 0)
            least = bytes;
    }
    capture_stop(capture, text, sizeof text);
    ck_assert_str_eq(text, "");
    ck_assert_uint_gt(least, OBJECT);
    ck_assert_uint_lt(least, OBJECT + 512);
    memset(region + least, 0xee, sizeof region - least);
    void *object = opool_get(pool);
    memset(object, 1, OBJECT);
    ck_assert_ptr_null(opool_get(pool));
    opool_put(pool, object);
    ck_assert_ptr_eq(opool_get(pool), object);
    opool_put(pool, object);
    opool_destroy(&pool);
    expect_bytes(region + least, sizeof region - least, 0xee);
}
END_TEST

/* ---- nothing else ---- */

static void use_without_more_address_space(void)
{
    struct opool *pool = new_pool(region, sizeof region, (struct opool_options){.name = NULL}, 8);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    CHILD_ASSERT(setrlimit(RLIMIT_AS, &none) == 0);
    CHILD_ASSERT(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    for (int round = 0; round < 3; round++) {
        size_t n = opool_get_batch(pool, objects, REGION);
        CHILD_ASSERT(n >= REGION / OBJECT * 9 / 10);
        opool_put_batch(pool, objects, n - 1);
        opool_discard(pool, objects[n - 1]);
    }
    opool_destroy(&pool);
    CHILD_ASSERT(pool == NULL);
}

START_TEST(nothing_is_taken_after_create)
{
    struct outcome outcome = in_child(use_without_more_address_space);
    expect_success(&outcome);
    ck_assert_str_eq(outcome.text, "");
}
END_TEST

/* ---- afterwards ---- */

/* Things that walk pools and take memory: none of them may go by the old region. */
static void stir(void)
{
    for (int i = 0; i < 100; i++) {
        struct opool_type type = {.shape = OPOOL_SHAPE_TRUSTED("a test"), .size = OBJECT, .align = 8};
        struct opool *pool;
        ck_assert_int_eq(opool_create(&pool, &type, NULL), 0);
        opool_put(pool, opool_get(pool));
        check_equations(pool);
        opool_destroy(&pool);
    }
}

START_TEST(the_region_is_the_caller_s_again)
{
    struct opool *pool = new_pool(region, sizeof region, (struct opool_options){.prefill = 10}, 8);
    void *left_out = _i ? opool_get(pool) : NULL;
    struct capture capture = capture_start();
    char text[1024];
    opool_destroy(&pool);
    capture_stop(capture, text, sizeof text);
    ck_assert_int_eq(text[0] != '\0', left_out != NULL);
    memset(region, 0x77, sizeof region);
    stir();
    expect_bytes(region, sizeof region, 0x77);
}
END_TEST

static void put_late(void)
{
    struct opool *pool = new_pool(region, sizeof region, (struct opool_options){.name = "gone"}, 8), *handle = pool;
    void *object = opool_get(pool);
    int saved = dup(STDERR_FILENO);
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
    opool_destroy(&handle);
    dup2(saved, STDERR_FILENO);
    memset(region, 0xff, sizeof region);
    opool_put(pool, object);
}

START_TEST(a_late_put_is_named)
{
    struct outcome outcome = in_child(put_late);
    expect_abort(&outcome,
                 "^opool: pool 'gone' \\(thing\\): put of 0x[0-9a-f]+ by thread [0-9]+: the pool was destroyed\n$");
}
END_TEST

START_TEST(a_region_serves_many_pools)
{
    struct opool *pools[8];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            pools[i] = new_pool(region + i * (REGION / 8), REGION / 8, (struct opool_options){.prefill = 3}, 16);
        for (int i = 0; i < 8; i++)
            memset(objects[i] = opool_get(pools[i]), i, OBJECT);
        for (int i = 0; i < 8; i++) {
            ck_assert_int_eq(*(char *)objects[i], i);
            opool_put(pools[i], objects[i]);
            opool_destroy(&pools[i]);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("region");
    TCase *tcase = new_case(suite, "region");
    tcase_add_test(tcase, capacity_is_what_fits);
    tcase_add_test(tcase, the_smaller_capacity_counts);
    tcase_add_test(tcase, any_start_and_alignment);
    tcase_add_test(tcase, the_smallest_region);
    if (!THREAD_SANITIZER) /* which needs address space itself */
        tcase_add_test(tcase, nothing_is_taken_after_create);
    tcase_add_loop_test(tcase, the_region_is_the_caller_s_again, 0, 2);
    tcase_add_test(tcase, a_late_put_is_named);
    tcase_add_test(tcase, a_region_serves_many_pools);
    return run_suite(suite);
}
