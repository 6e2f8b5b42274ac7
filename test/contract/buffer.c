/* SPDX-License-Identifier: MIT */

/* Buffers of opool/buffer.h next to plain models: random calls, and what each of them promises. Chains: chain.c. */

#include <opool/buffer.h>

#include "contract.h"

enum { CAPACITY = 61, STEPS = THREAD_SANITIZER ? 100000 : 1000000, BYTES_MOST = 4 * CAPACITY };

OPOOL_BUFFER_DEFINE(small, CAPACITY);
OPOOL_BUFFER_DEFINE(secret, 512 - OPOOL_BUFFER_HEADER, .wipe = true);
OPOOL_BUFFER_DEFINE(page, 4096 - OPOOL_BUFFER_HEADER);
OPOOL_BUFFER_LADDER_DEFINE(body, 100, 1024, 16384);
OPOOL_BUFFER_LADDER_DEFINE(single, 1);

/* As a member: the definition takes it, so it holds no pointer. */
struct conn {
    small_ref in;
    struct small_chain out;
};
OPOOL_DEFINE(conn_pool, struct conn);

/* ---- random calls, next to a plain array ---- */

/* A ck_assert that passes costs a system call. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("%s", #condition); \
    } while (0)

struct model {
    unsigned char bytes[CAPACITY];
    size_t length;
};

static uint64_t state = 88172645463325252u;

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 11) % n;
}

static const unsigned char *noise(void)
{
    static unsigned char bytes[BYTES_MOST];
    for (size_t i = 0; i < 8; i++)
        bytes[below(sizeof bytes)] = (unsigned char)below(256);
    return bytes;
}

static void model_append(struct model *model, const void *data, size_t n)
{
    memcpy(model->bytes + model->length, data, n);
    model->length += n;
}

static void try_append(struct small *buffer, struct model *model)
{
    const unsigned char *data = noise();
    size_t n = below(2 * CAPACITY), room = CAPACITY - model->length, fits = n < room ? n : room;
    EXPECT(small_append(buffer, data, n) == fits);
    model_append(model, data, fits);
}

static void try_consume(struct small *buffer, struct model *model)
{
    size_t n = below(CAPACITY + 10), gone = n < model->length ? n : model->length;
    EXPECT(small_consume(buffer, n) == gone);
    model->length -= gone;
    memmove(model->bytes, model->bytes + gone, model->length);
}

/* Now and then with a consume before the commit, and with more than was offered. */
static void try_reserve(struct small *buffer, struct model *model)
{
    const unsigned char *data = noise();
    size_t n = below(CAPACITY + 10), room = CAPACITY - model->length;
    struct opool_view view = small_reserve(buffer, n);
    if (n > room) {
        EXPECT(!view.data);
        EXPECT(view.length == 0);
        return;
    }
    EXPECT(view.data);
    EXPECT(view.length >= n);
    EXPECT(view.length <= room);
    memcpy(view.data, data, view.length);
    if (below(4) == 0)
        try_consume(buffer, model);
    size_t written = below(view.length + 5), added = written < view.length ? written : view.length;
    EXPECT(small_commit(buffer, written) == added);
    model_append(model, data, added);
}

static void try_printf(struct small *buffer, struct model *model)
{
    static const char text[] = "a line of text that is longer than any buffer of this test can ever hold, as it is";
    int n = (int)below(CAPACITY + 10);
    size_t room = CAPACITY - model->length;
    int added = small_printf(buffer, "%.*s", n, text);
    if (n >= CAPACITY) {
        EXPECT(added == -EMSGSIZE);
    } else if ((size_t)n >= room) {
        EXPECT(added == -ENOBUFS);
    } else {
        EXPECT(added == n);
        model_append(model, text, (size_t)n);
    }
}

static void expect_same(struct small *buffer, const struct model *model)
{
    struct opool_view view = small_view(buffer);
    EXPECT(view.length == model->length);
    EXPECT(small_length(buffer) == model->length);
    EXPECT(small_room(buffer) == CAPACITY - model->length);
    EXPECT(memcmp(view.data, model->bytes, model->length) == 0);
}

START_TEST(random_calls)
{
    static void (*const calls[])(struct small *, struct model *) = {try_append, try_consume, try_reserve, try_printf};
    struct small_pool *pool;
    struct model model = {.length = 0};
    ck_assert_int_eq(small_pool_create(&pool, NULL), 0);
    struct small *buffer = small_pool_get(pool);
    for (int step = 0; step < STEPS; step++) {
        calls[below(4)](buffer, &model);
        if (below(200) == 0) {
            small_clear(buffer);
            model.length = 0;
        }
        expect_same(buffer, &model);
        if (below(1000) == 0) {
            small_pool_put(pool, buffer);
            buffer = small_pool_get(pool);
            model.length = 0;
        }
    }
    small_pool_put(pool, buffer);
    small_pool_destroy(&pool);
}
END_TEST

/* ---- one by one ---- */

START_TEST(nothing_is_empty)
{
    ck_assert_uint_eq(small_append(NULL, "x", 1), 0);
    ck_assert_uint_eq(small_consume(NULL, 1), 0);
    ck_assert_uint_eq(small_commit(NULL, 1), 0);
    ck_assert_uint_eq(small_room(NULL), 0);
    ck_assert_uint_eq(small_length(NULL), 0);
    ck_assert_ptr_null(small_view(NULL).data);
    ck_assert_ptr_null(small_reserve(NULL, 0).data);
    ck_assert_int_eq(small_printf(NULL, "x"), -EINVAL);
    small_clear(NULL);
    struct small buffer;
    memset(&buffer, 0, sizeof buffer);
    ck_assert_uint_eq(small_append(&buffer, NULL, 5), 0);
    ck_assert_uint_eq(small_append(&buffer, "abc", 3), 3);
    ck_assert_uint_eq(small_commit(&buffer, SIZE_MAX), CAPACITY - 3);
    ck_assert_uint_eq(small_consume(&buffer, SIZE_MAX), CAPACITY);
    ck_assert_ptr_null(small_reserve(&buffer, SIZE_MAX).data);
}
END_TEST

START_TEST(sizes_are_those_of_the_type)
{
    ck_assert_uint_eq(small_capacity(), CAPACITY);
    ck_assert_uint_eq(sizeof(struct page), 4096);
    ck_assert_uint_eq(sizeof(struct secret), 512);
}
END_TEST

/* All but one byte, for the NUL. */
START_TEST(text_fills_all_but_a_byte)
{
    struct small buffer;
    memset(&buffer, 0, sizeof buffer);
    ck_assert_int_eq(small_printf(&buffer, "%*d", CAPACITY, 1), -EMSGSIZE);
    ck_assert_int_eq(small_printf(&buffer, "%*d", CAPACITY - 1, 1), CAPACITY - 1);
    ck_assert_int_eq(small_printf(&buffer, "%d", 1), -ENOBUFS);
    ck_assert_int_eq(small_printf(&buffer, "%s", ""), 0);
    ck_assert_uint_eq(small_append(&buffer, "x", 1), 1);
    ck_assert_int_eq(small_printf(&buffer, "%s", ""), -ENOBUFS);
    ck_assert_uint_eq(small_consume(&buffer, 11), 11);
    ck_assert_int_eq(small_printf(&buffer, "%010d", 7), 10);
    ck_assert_mem_eq(small_view(&buffer).data + CAPACITY - 11, "0000000007", 10);
}
END_TEST

static size_t non_zero(const unsigned char *bytes, size_t n)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += bytes[i] != 0;
    return found;
}

/* Without full checks a thread's last put is its next get: of the same bytes. */
START_TEST(bytes_stay_unless_wiped)
{
    struct small_pool *plain;
    struct secret_pool *wiped;
    const struct opool_options basic = {.checks = OPOOL_CHECKS_BASIC};
    ck_assert_int_eq(small_pool_create(&plain, &basic), 0);
    ck_assert_int_eq(secret_pool_create(&wiped, &basic), 0);
    struct small *small = small_pool_get(plain);
    struct secret *secret = secret_pool_get(wiped);
    memset(small_reserve(small, 1).data, 'x', CAPACITY);
    struct opool_view room = secret_reserve(secret, 1);
    memset(room.data, 'x', room.length);
    secret_commit(secret, 3);
    small_pool_put(plain, small);
    secret_pool_put(wiped, secret);
    small = small_pool_get(plain);
    secret = secret_pool_get(wiped);
    ck_assert_uint_eq(non_zero(small->bytes, CAPACITY), CAPACITY);
    ck_assert_uint_eq(non_zero(secret->bytes, secret_capacity()), 0);
    ck_assert_uint_eq(small_length(small) + secret_length(secret), 0);
    small_pool_put(plain, small);
    secret_pool_put(wiped, secret);
    small_pool_destroy(&plain);
    secret_pool_destroy(&wiped);
}
END_TEST

static void use_under_full_checks(void)
{
    struct small_pool *pool;
    struct body_ladder ladder;
    const struct opool_options full = {.checks = OPOOL_CHECKS_FULL};
    CHILD_ASSERT(small_pool_create(&pool, &full) == 0 && body_ladder_create(&ladder, &full) == 0);
    for (int i = 0; i < 20; i++) {
        struct small *buffer = small_pool_get(pool);
        struct body *body = body_get(&ladder, 300);
        CHILD_ASSERT(small_append(buffer, "abcdef", 6) == 6 && small_consume(buffer, 2) == 2);
        CHILD_ASSERT(body_append(body, "abcdef", 6) == 6 && body_consume(body, 2) == 2);
        small_pool_put(pool, buffer);
        body_put(&ladder, body);
    }
    small_pool_destroy(&pool);
    body_ladder_destroy(&ladder);
}

START_TEST(reset_verification_finds_nothing)
{
    struct outcome outcome = in_child(use_under_full_checks);
    expect_success(&outcome);
    ck_assert_str_eq(outcome.text, "");
}
END_TEST

START_TEST(a_member_of_an_object)
{
    struct small_pool *pool;
    struct conn_pool *conns;
    ck_assert_int_eq(small_pool_create(&pool, NULL), 0);
    ck_assert_int_eq(conn_pool_create(&conns, NULL), 0);
    struct conn *conn = conn_pool_get(conns);
    conn->in = small_ref_of(small_pool_get(pool));
    ck_assert_uint_eq(small_append(small_ref_get(conn->in), "ab", 2), 2);
    small_chain_init(&conn->out, pool, 100, 2);
    ck_assert_int_eq(small_chain_push(&conn->out, small_ref_get(conn->in)), 0);
    ck_assert_uint_eq(small_chain_length(&conn->out), 2);
    small_chain_clear(&conn->out);
    conn_pool_put(conns, conn);
    conn_pool_destroy(&conns);
    ck_assert_uint_eq(figures(small_pool_base(pool)).live, 0);
    small_pool_destroy(&pool);
}
END_TEST

/* ---- ladders ---- */

START_TEST(the_smallest_that_fits)
{
    static const struct {
        size_t asked, capacity;
    } rows[] = {{0, 100}, {1, 100}, {100, 100}, {101, 1024}, {1024, 1024}, {1025, 16384}, {16384, 16384}};
    struct body_ladder ladder;
    ck_assert_int_eq(body_ladder_create(&ladder, NULL), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct body *body = body_get(&ladder, rows[i].asked);
        ck_assert_uint_eq(body_capacity(body), rows[i].capacity);
        ck_assert_uint_eq(body_room(body), rows[i].capacity);
        struct opool_view room = body_reserve(body, rows[i].asked);
        ck_assert_uint_eq(room.length, rows[i].capacity);
        memset(room.data, 'x', room.length);
        ck_assert_uint_eq(body_commit(body, SIZE_MAX), rows[i].capacity);
        body_put(&ladder, body);
    }
    errno = 0;
    ck_assert_ptr_null(body_get(&ladder, 16385));
    ck_assert_int_eq(errno, EMSGSIZE);
    ck_assert_ptr_null(body_get(&ladder, SIZE_MAX));
    body_ladder_destroy(&ladder);
    ck_assert_ptr_null(body_get(&ladder, 1));
    ck_assert_int_eq(errno, EINVAL);
    body_ladder_destroy(&ladder);
}
END_TEST

/* Next to sums of its own; from several threads. */
enum { THREADS = 4, ASKS = 5000 };

static void *ask(void *arg)
{
    struct body_ladder *ladder = arg;
    for (size_t i = 0; i < ASKS; i++) {
        struct body *body = body_get(ladder, i % 2000);
        if (!body || body_length(body) != 0)
            abort();
        body_append(body, &i, sizeof i);
        body_put(ladder, body);
    }
    return NULL;
}

static void expect_sums(struct body_ladder *ladder)
{
    static const size_t capacities[] = {100, 1024, 16384};
    struct opool_rung rungs[3];
    uint64_t gets[3] = {0}, asked[3] = {0};
    for (size_t i = 0; i < ASKS; i++) {
        size_t n = i % 2000, rung = n <= 100 ? 0 : n <= 1024 ? 1 : 2;
        gets[rung] += THREADS;
        asked[rung] += THREADS * n;
    }
    ck_assert_uint_eq(body_ladder_read(ladder, rungs, 3), 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(rungs[i].capacity, capacities[i]);
        ck_assert_uint_eq(rungs[i].gets, gets[i]);
        ck_assert_uint_eq(rungs[i].asked, asked[i]);
        ck_assert_uint_eq(rungs[i].given, gets[i] * capacities[i]);
        ck_assert_uint_eq(rungs[i].live, 0);
    }
}

START_TEST(waste_is_counted)
{
    struct body_ladder ladder;
    pthread_t threads[THREADS];
    ck_assert_int_eq(body_ladder_create(&ladder, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(ask, &ladder);
    for (int i = 0; i < THREADS; i++)
        join_thread(threads[i]);
    expect_sums(&ladder);
    body_ladder_destroy(&ladder);
}
END_TEST

START_TEST(waste_is_written)
{
    struct body_ladder ladder;
    char *text = NULL;
    size_t size = 0;
    ck_assert_int_eq(body_ladder_create(&ladder, NULL), 0);
    struct body *kept = body_get(&ladder, 75), *put = body_get(&ladder, 512);
    body_put(&ladder, put);
    FILE *out = open_memstream(&text, &size);
    ck_assert_int_eq(body_ladder_write(&ladder, out), 0);
    fclose(out);
    expect_match(text, "^capacity +gets +live +asked_bytes +given_bytes +waste_%\n"
                       "100 +1 +1 +75 +100 +25\\.0\n"
                       "1024 +1 +0 +512 +1024 +50\\.0\n"
                       "16384 +0 +0 +0 +0 +0\\.0\n"
                       "all +2 +1 +587 +1124 +47\\.8\n$");
    free(text);
    body_put(&ladder, kept);
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        ck_assert_int_eq(body_ladder_write(&ladder, full), -ENOSPC);
        fclose(full);
    }
    ck_assert_int_eq(body_ladder_write(&ladder, NULL), -EINVAL);
    ck_assert_int_eq(body_ladder_write(NULL, stdout), -EINVAL);
    ck_assert_uint_eq(body_ladder_read(NULL, NULL, 1), 0);
    body_ladder_destroy(&ladder);
}
END_TEST

START_TEST(options_are_of_each_pool)
{
    static char region[4096];
    struct body_ladder ladder;
    struct single_ladder single;
    const struct opool_options in_region = {.region = region, .region_size = sizeof region};
    const struct opool_options two = {.name = "bodies", .capacity = 2};
    ck_assert_int_eq(body_ladder_create(NULL, NULL), -EINVAL);
    ck_assert_int_eq(body_ladder_create(&ladder, &in_region), -EINVAL);
    ck_assert_int_eq(body_ladder_create(&ladder, &two), 0);
    ck_assert_str_eq(opool_name(body_ladder_base(&ladder, 1)), "bodies.1024");
    ck_assert_ptr_null(body_ladder_base(&ladder, 3));
    struct body *bodies[3];
    for (int i = 0; i < 2; i++)
        bodies[i] = body_get(&ladder, 1);
    ck_assert_ptr_null(body_get(&ladder, 1));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_ptr_nonnull(bodies[2] = body_get(&ladder, 101));
    for (int i = 0; i < 3; i++)
        body_put(&ladder, bodies[i]);
    body_put(&ladder, NULL);
    body_ladder_destroy(&ladder);
    ck_assert_int_eq(single_ladder_create(&single, NULL), 0);
    ck_assert_str_eq(opool_name(single_ladder_base(&single, 0)), "single.1");
    single_ladder_destroy(&single);
}
END_TEST

static void put_what_is_none(void)
{
    struct body_ladder ladder;
    static uint64_t other[64] = {0, 0, UINT64_MAX};
    const struct opool_options basic = {.checks = OPOOL_CHECKS_BASIC};
    CHILD_ASSERT(body_ladder_create(&ladder, &basic) == 0);
    body_put(&ladder, (struct body *)(void *)other);
}

START_TEST(a_foreign_buffer_is_named)
{
    struct outcome outcome = in_child(put_what_is_none);
    expect_abort(&outcome, "not an object of any pool");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buffer");
    TCase *buffers = new_case(suite, "buffers");
    tcase_add_test(buffers, random_calls);
    tcase_add_test(buffers, nothing_is_empty);
    tcase_add_test(buffers, sizes_are_those_of_the_type);
    tcase_add_test(buffers, text_fills_all_but_a_byte);
    tcase_add_test(buffers, bytes_stay_unless_wiped);
    tcase_add_test(buffers, reset_verification_finds_nothing);
    tcase_add_test(buffers, a_member_of_an_object);
    TCase *ladders = new_case(suite, "ladders");
    tcase_add_test(ladders, the_smallest_that_fits);
    tcase_add_test(ladders, waste_is_counted);
    tcase_add_test(ladders, waste_is_written);
    tcase_add_test(ladders, options_are_of_each_pool);
    tcase_add_test(ladders, a_foreign_buffer_is_named);
    return run_suite(suite);
}
