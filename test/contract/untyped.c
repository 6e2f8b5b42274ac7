/* SPDX-License-Identifier: MIT */

/* Untyped pools: types filled by hand, every shape that create accepts, and everything that it refuses. */

#include "contract.h"

static struct opool_type type_of(size_t size, size_t align)
{
    struct opool_type type = {.name = "thing_pool",
                              .type = "struct thing",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = size,
                              .align = align};
    return type;
}

static struct opool *new_pool(size_t size, size_t align, const struct opool_options *options)
{
    struct opool_type type = type_of(size, align);
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, options), 0);
    ck_assert_ptr_nonnull(pool);
    return pool;
}

/* ---- shapes ---- */

static bool is_zero(const unsigned char *bytes, size_t n)
{
    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/* n objects at once: aligned, zero, apart from each other; and zero again where one was before. */
static void use_shape(size_t size, size_t align, size_t n)
{
    unsigned char *objects[300];
    struct opool *pool = new_pool(size, align, NULL);
    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_nonnull(objects[i] = opool_get(pool));
        ck_assert_uint_eq((uintptr_t)objects[i] % align, 0);
        ck_assert(is_zero(objects[i], size));
        memset(objects[i], (int)(i % 255 + 1), size);
    }
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(objects[i][0], i % 255 + 1);
        ck_assert(memcmp(objects[i], objects[i] + 1, size - 1) == 0);
        opool_discard(pool, objects[i]);
    }
    ck_assert_ptr_nonnull(objects[0] = opool_get(pool));
    ck_assert(is_zero(objects[0], size));
    opool_put(pool, objects[0]);
    check_equations(pool);
    opool_destroy(&pool);
}

START_TEST(every_alignment)
{
    for (size_t align = 1; align <= OPOOL_ALIGN_MAX; align *= 2) {
        use_shape(1, align, 20);
        use_shape(align, align, 20);
        use_shape(align + 1, align, 20);
        use_shape(3 * align, align, 20);
        use_shape(1000, align, 20);
    }
}
END_TEST

START_TEST(many_sizes)
{
    for (size_t size = 1; size < 300; size += 7)
        use_shape(size, 1, 300);
    for (size_t size = 300; size < 20000; size = size * 3 / 2 + 1)
        use_shape(size, 8, 30);
    for (size_t size = 65535; size <= 65544; size++)
        use_shape(size, 1, 5);
}
END_TEST

START_TEST(large_objects)
{
    use_shape((size_t)1 << 20, 4096, 3);
    use_shape(((size_t)1 << 20) + 1, 1, 3);
    use_shape(OPOOL_SIZE_MAX - 1, 64, 2);
    use_shape(OPOOL_SIZE_MAX, 4096, 2);
}
END_TEST

/* ---- the call ---- */

START_TEST(create_is_also_a_function)
{
    int (*create)(struct opool **, const struct opool_type *, const struct opool_options *) = opool_create;
    int (*read_stats)(struct opool *, struct opool_stats *) = opool_stats_read;
    struct opool_type type = type_of(24, 8);
    struct opool_options options = {.name = "by function"};
    struct opool_stats stats;
    struct opool *pool;
    ck_assert_int_eq((opool_create)(&pool, &type, NULL), 0);
    opool_destroy(&pool);
    ck_assert_int_eq(create(&pool, &type, &options), 0);
    ck_assert_str_eq(opool_name(pool), "by function");
    void *object = opool_get(pool);
    ck_assert_int_eq(read_stats(pool, &stats), 0);
    ck_assert_uint_eq(stats.live, 1);
    opool_put(pool, object);
    opool_destroy(&pool);
}
END_TEST

static int create_sized(struct opool **out, const struct opool_type *type, size_t type_size,
                        const struct opool_options *options, size_t options_size, unsigned abi)
{
    *out = (struct opool *)(void *)out;
    int r = opool__create(out, type, type_size, options, options_size, abi);
    ck_assert(r == 0 ? *out != NULL : *out == NULL);
    return r;
}

START_TEST(another_abi_is_refused)
{
    struct opool_type type = type_of(24, 8);
    struct opool *pool;
    ck_assert_int_eq(create_sized(&pool, &type, sizeof type, NULL, 0, OPOOL_ABI + 1), -ENOTSUP);
    ck_assert_int_eq(create_sized(&pool, &type, sizeof type, NULL, 0, 0), -ENOTSUP);
    type.abi = OPOOL_ABI + 1;
    ck_assert_int_eq(create_sized(&pool, &type, sizeof type, NULL, 0, OPOOL_ABI), -ENOTSUP);
    ck_assert_int_eq(opool_create(&pool, &type, NULL), -ENOTSUP);
    type.abi = OPOOL_ABI;
    ck_assert_int_eq(create_sized(&pool, &type, sizeof type, NULL, 0, OPOOL_ABI), 0);
    opool_destroy(&pool);
}
END_TEST

/* A program of an older header fills less: the rest is default. */
START_TEST(shorter_structs_are_filled_up)
{
    struct opool_type type = type_of(24, 8);
    struct opool_options options = {.name = "short", .capacity = 1};
    struct opool *pool;
    memset(&type.clear, 0xff, sizeof type - offsetof(struct opool_type, clear));
    memset(&options.prefill, 0xff, sizeof options - offsetof(struct opool_options, prefill));
    ck_assert_int_eq(create_sized(&pool, &type, offsetof(struct opool_type, clear), &options,
                                  offsetof(struct opool_options, prefill), OPOOL_ABI),
                     0);
    void *object = opool_get(pool);
    ck_assert_ptr_nonnull(object);
    ck_assert_ptr_null(opool_get(pool));
    opool_put(pool, object);
    ck_assert_str_eq(opool_name(pool), "short");
    opool_destroy(&pool);
}
END_TEST

/* One of a newer header may fill more: refused if it did, and fine if not. */
START_TEST(longer_structs_have_zero_tails)
{
    struct {
        struct opool_type type;
        char more[24];
    } type = {.type = type_of(24, 8)};
    struct {
        struct opool_options options;
        char more[24];
    } options = {.options = {.capacity = 1}};
    struct opool *pool;
    ck_assert_int_eq(create_sized(&pool, &type.type, sizeof type, &options.options, sizeof options, OPOOL_ABI), 0);
    opool_destroy(&pool);
    type.more[23] = 1;
    ck_assert_int_eq(create_sized(&pool, &type.type, sizeof type, &options.options, sizeof options, OPOOL_ABI),
                     -ENOTSUP);
    type.more[23] = 0;
    options.more[0] = 1;
    ck_assert_int_eq(create_sized(&pool, &type.type, sizeof type, &options.options, sizeof options, OPOOL_ABI),
                     -ENOTSUP);
}
END_TEST

START_TEST(stats_of_another_size)
{
    struct {
        struct opool_stats stats;
        char more[16];
    } longer;
    struct opool *pool = new_pool(24, 8, NULL);
    void *object = opool_get(pool);
    memset(&longer, 0xff, sizeof longer);
    ck_assert_int_eq(opool__stats_read(pool, &longer.stats, sizeof longer), 0);
    ck_assert_uint_eq(longer.stats.live, 1);
    ck_assert(is_zero((const unsigned char *)longer.more, sizeof longer.more));
    memset(&longer, 0xff, sizeof longer);
    ck_assert_int_eq(opool__stats_read(pool, &longer.stats, 2 * sizeof(uint64_t)), 0);
    ck_assert_uint_eq(longer.stats.gets, 1);
    ck_assert_uint_eq(longer.stats.puts, 0);
    ck_assert_uint_eq(longer.stats.hits, UINT64_MAX);
    opool_put(pool, object);
    opool_destroy(&pool);
}
END_TEST

/* ---- what create refuses ---- */

static char a_region[64 << 10];

struct refusal {
    const char *why; /* what the line says, as an expression */
    size_t size, align;
    bool no_shape;
    struct opool_options options;
};

static const struct refusal refusals[] = {
    {.why = "shape", .size = 8, .align = 8, .no_shape = true},
    {.why = "16 MiB", .size = 0, .align = 8},
    {.why = "16 MiB", .size = OPOOL_SIZE_MAX + 1, .align = 8},
    {.why = "16 MiB", .size = SIZE_MAX, .align = 8},
    {.why = "16 MiB", .size = SIZE_MAX - 4095, .align = 4096},
    {.why = "alignment", .size = 8, .align = 0},
    {.why = "alignment", .size = 8, .align = 3},
    {.why = "alignment", .size = 8, .align = 24},
    {.why = "alignment", .size = 8, .align = 8192},
    {.why = "alignment", .size = 8, .align = SIZE_MAX},
    {.why = "region", .size = 8, .align = 8, .options = {.region = a_region, .region_size = 1}},
    {.why = "region", .size = 4096, .align = 8, .options = {.region = a_region, .region_size = 4096}},
    {.why = "region", .size = 8, .align = 8, .options = {.region = a_region}},
    {.why = "region", .size = 8, .align = 8, .options = {.region_size = 4096}},
    {.why = "region", .size = 8, .align = 8, .options = {.region = a_region, .region_size = SIZE_MAX}},
    {.why = "prefill", .size = 4096, .align = 8, .options = {.region = a_region, .region_size = 16384, .prefill = 5}},
    {.why = "capacity", .size = 8, .align = 8, .options = {.capacity = SIZE_MAX}},
    {.why = "capacity", .size = 4096, .align = 8, .options = {.capacity = SIZE_MAX / 4096}},
    {.why = "capacity", .size = OPOOL_SIZE_MAX, .align = 8, .options = {.capacity = (size_t)1 << 40}},
    {.why = "capacity", .size = 8, .align = 8, .options = {.capacity = 2147483647}},
    {.why = "prefill", .size = 8, .align = 8, .options = {.prefill = SIZE_MAX}},
    {.why = "prefill", .size = 8, .align = 8, .options = {.prefill = 2147483647}},
    {.why = "owning", .size = 8, .align = 8, .options = {.footprint_max = 4096}},
    {.why = "prefill", .size = 8, .align = 8, .options = {.capacity = 4, .prefill = 5}},
    {.why = "keep", .size = 8, .align = 8, .options = {.capacity = 4, .keep = 5}},
    {.why = "magazine", .size = 8, .align = 8, .options = {.magazine = 129}},
    {.why = "magazine", .size = 8, .align = 8, .options = {.magazine = UINT32_MAX}},
    {.why = "checks", .size = 8, .align = 8, .options = {.checks = (enum opool_checks)99}},
};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

static void expect_refusal(const struct refusal *refusal, enum opool_checks checks, char *text, size_t room)
{
    struct opool_type type = type_of(refusal->size, refusal->align);
    struct opool_options options = refusal->options;
    struct opool *pool = (struct opool *)(void *)&type;
    if (refusal->no_shape)
        type.shape = NULL;
    if (!options.checks)
        options.checks = checks;
    struct capture capture = capture_start();
    int r = opool_create(&pool, &type, &options);
    capture_stop(capture, text, room);
    ck_assert_int_eq(r, -EINVAL);
    ck_assert_ptr_null(pool);
    ck_assert_ptr_null(opool_next(NULL));
}

START_TEST(create_refuses_and_says_why)
{
    char text[1024], pattern[128];
    snprintf(pattern, sizeof pattern, "^opool: pool 'thing_pool' \\(struct thing\\): create: [^\n]*%s[^\n]*\n$",
             refusals[_i].why);
    expect_refusal(&refusals[_i], OPOOL_CHECKS_DEFAULT, text, sizeof text);
    expect_match(text, pattern);
    expect_refusal(&refusals[_i], OPOOL_CHECKS_BASIC, text, sizeof text);
    expect_match(text, pattern);
}
END_TEST

START_TEST(create_refuses_in_silence)
{
    char text[1024];
    if (refusals[_i].options.checks)
        return;
    expect_refusal(&refusals[_i], OPOOL_CHECKS_OFF, text, sizeof text);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(create_refuses_no_type_and_no_out)
{
    struct opool_type type = type_of(8, 8);
    struct opool *pool = (struct opool *)(void *)&type;
    char text[1024];
    struct capture capture = capture_start();
    ck_assert_int_eq(opool_create(&pool, NULL, NULL), -EINVAL);
    capture_stop(capture, text, sizeof text);
    ck_assert_ptr_null(pool);
    expect_match(text, "^opool: [^\n]*create: [^\n]*\n$");
    capture = capture_start();
    ck_assert_int_eq(opool_create(NULL, &type, NULL), -EINVAL);
    capture_stop(capture, text, sizeof text);
    expect_match(text, "^opool: [^\n]*create: [^\n]*\n$");
}
END_TEST

/* The most that is accepted of each. */
START_TEST(create_accepts_the_limits)
{
    struct opool_options options[] = {
        {.magazine = 128},  {.magazine = 1},       {.capacity = 4, .prefill = 4, .keep = 4},
        {.keep = SIZE_MAX}, {.capacity = 1 << 30}, {.region = a_region, .region_size = sizeof a_region}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct opool *pool = new_pool(8, 8, &options[i]);
        opool_put(pool, opool_get(pool));
        opool_destroy(&pool);
    }
}
END_TEST

/* ---- calls without a pool ---- */

START_TEST(null_is_no_pool)
{
    struct opool *none = NULL;
    void *objects[2] = {a_region, a_region};
    struct opool_stats stats;
    opool_destroy(NULL);
    opool_destroy(&none);
    opool_close(NULL);
    opool_close(&none);
    errno = 0;
    ck_assert_ptr_null(opool_get(NULL));
    ck_assert_int_eq(errno, EINVAL);
    for (int timeout = -1; timeout <= 1; timeout++) {
        errno = 0;
        ck_assert_ptr_null(opool_get_wait(NULL, timeout));
        ck_assert_int_eq(errno, EINVAL);
    }
    errno = 0;
    ck_assert_uint_eq(opool_get_batch(NULL, objects, 2), 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_eq(objects[0], a_region);
    ck_assert_uint_eq(opool_get_batch(NULL, objects, 0), 0);
    opool_put(NULL, NULL);
    opool_discard(NULL, NULL);
    opool_put_batch(NULL, objects, 0);
    objects[0] = objects[1] = NULL;
    opool_put_batch(NULL, objects, 2);
    ck_assert_int_eq(opool_stats_read(NULL, &stats), -EINVAL);
    ck_assert_ptr_null(opool_next(NULL));
}
END_TEST

START_TEST(null_is_no_object)
{
    struct opool *pool = new_pool(24, 8, NULL);
    void *objects[3] = {NULL, opool_get(pool), NULL};
    opool_put(pool, NULL);
    opool_discard(pool, NULL);
    opool_put_batch(pool, objects, 3);
    ck_assert_uint_eq(figures(pool).puts, 1);
    ck_assert_int_eq(opool_stats_read(pool, NULL), -EINVAL);
    opool_destroy(&pool);
    opool_destroy(&pool);
}
END_TEST

START_TEST(version_is_the_header_s)
{
    ck_assert_str_eq(opool_version(), OPOOL_VERSION);
}
END_TEST

START_TEST(names_have_defaults)
{
    struct opool_type type = {.shape = OPOOL_SHAPE_TRUSTED("a test"), .size = 8, .align = 8};
    struct opool *pool;
    ck_assert_int_eq(opool_create(&pool, &type, NULL), 0);
    ck_assert_ptr_nonnull(opool_name(pool));
    ck_assert_str_ne(opool_name(pool), "");
    opool_destroy(&pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("untyped");
    TCase *shapes = new_case(suite, "shapes");
    tcase_add_test(shapes, every_alignment);
    tcase_add_test(shapes, many_sizes);
    tcase_add_test(shapes, large_objects);
    TCase *abi = new_case(suite, "abi");
    tcase_add_test(abi, create_is_also_a_function);
    tcase_add_test(abi, another_abi_is_refused);
    tcase_add_test(abi, shorter_structs_are_filled_up);
    tcase_add_test(abi, longer_structs_have_zero_tails);
    tcase_add_test(abi, stats_of_another_size);
    tcase_add_test(abi, version_is_the_header_s);
    TCase *arguments = new_case(suite, "arguments");
    tcase_add_loop_test(arguments, create_refuses_and_says_why, 0, REFUSALS);
    tcase_add_loop_test(arguments, create_refuses_in_silence, 0, REFUSALS);
    tcase_add_test(arguments, create_refuses_no_type_and_no_out);
    tcase_add_test(arguments, create_accepts_the_limits);
    tcase_add_test(arguments, null_is_no_pool);
    tcase_add_test(arguments, null_is_no_object);
    tcase_add_test(arguments, names_have_defaults);
    return run_suite(suite);
}
