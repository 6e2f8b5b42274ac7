/* SPDX-License-Identifier: MIT */

/* Reset verification where debug information and the helper that asks for it are there: members of types without a list
   are told by name, once, as a whole. */

#include "contract.h"

enum { LINES = 8 };

static struct {
    unsigned count;
    char text[LINES][512];
} lines;

static void note(const char *line, void *arg)
{
    (void)arg;
    if (lines.count < LINES)
        snprintf(lines.text[lines.count], sizeof lines.text[0], "%s", line);
    lines.count++;
}

struct conn {
    char kind;
    long serial;
    struct {
        char method[8];
        short lengths[2][3];
    } request;
    unsigned char input[4000];
    unsigned closing : 1, error : 9;
};

static bool conn_reset(struct conn *conn, void *arg)
{
    (void)arg;
    conn->kind = 0;
    return true;
}

OPOOL_DEFINE(conn_pool, struct conn, .reset = conn_reset);

static struct conn_pool *pool;

static void start(void)
{
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL};
    ck_assert_int_eq(conn_pool_create(&pool, &options), 0);
    opool_log_set(note, NULL);
}

static void stop(void)
{
    conn_pool_destroy(&pool);
}

#define CONN "opool: pool 'conn_pool' (struct conn): reset leaves "
#define OR_KEPT(member) ": reset it, or declare it kept: .kept = OPOOL_MEMBERS(" member ")"

START_TEST(members_are_told_by_name)
{
    struct conn *conn = conn_pool_get(pool);
    conn->serial = 0x1234;
    memcpy(conn->request.method, "GET", 4);
    conn->request.lengths[1][2] = 7;
    conn->error = 256;
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 4);
    ck_assert_str_eq(lines.text[0],
                     CONN "'serial' to the next user: 34 12 at offset 8, 00 00 in a new object" OR_KEPT("serial"));
    ck_assert_str_eq(lines.text[1], CONN "'request.method' to the next user: 47 45 54 at offset 16, 00 00 00 in a new "
                                         "object" OR_KEPT("request.method"));
    ck_assert_str_eq(
        lines.text[2],
        CONN "'request.lengths' to the next user: 07 at offset 34, 00 in a new object" OR_KEPT("request.lengths"));
    expect_match(lines.text[3], "'error' to the next user: 02 at offset 4037, 00 in a new object");
}
END_TEST

START_TEST(an_array_is_told_once_wherever_it_is_written)
{
    for (size_t i = 0; i < sizeof((struct conn *)0)->input; i += 97) {
        struct conn *conn = conn_pool_get(pool);
        conn->input[(i + 2000) % sizeof conn->input] = 1;
        conn_pool_put(pool, conn);
    }
    ck_assert_uint_eq(lines.count, 1);
    ck_assert_str_eq(lines.text[0],
                     CONN "'input' to the next user: 01 at offset 2036, 00 in a new object" OR_KEPT("input"));
    struct conn *conn = conn_pool_get(pool);
    conn->request.lengths[1][2] = 1; /* its neighbours are others */
    conn->closing = 1;
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 3);
}
END_TEST

START_TEST(padding_is_not_told)
{
    struct conn *conn = conn_pool_get(pool);
    memset((char *)conn + 1, 0xee, offsetof(struct conn, serial) - 1);
    conn_pool_put(pool, conn);
    ck_assert_uint_eq(lines.count, 0);
}
END_TEST

static bool keep(void *object, void *arg)
{
    (void)arg;
    return object != NULL;
}

/* As where the compiler does not tell the padding. */
START_TEST(padding_is_found_by_name)
{
    struct opool_type type = {.name = "raw_pool",
                              .type = "struct conn",
                              .shape = OPOOL_SHAPE_TRUSTED("a test"),
                              .size = sizeof(struct conn),
                              .align = _Alignof(struct conn),
                              .reset = keep};
    struct opool_options options = {.checks = OPOOL_CHECKS_FULL};
    struct opool *raw;
    ck_assert_int_eq(opool_create(&raw, &type, &options), 0);
    struct conn *conn = opool_get(raw);
    memset((char *)conn + 1, 0xee, offsetof(struct conn, serial) - 1);
    opool_put(raw, conn);
    ck_assert_uint_eq(lines.count, 0);
    conn = opool_get(raw);
    conn->kind = 1;
    opool_put(raw, conn);
    ck_assert_uint_eq(lines.count, 1);
    opool_destroy(&raw);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names");
    TCase *tcase = new_case(suite, "names");
    tcase_add_checked_fixture(tcase, start, stop);
    tcase_add_test(tcase, members_are_told_by_name);
    tcase_add_test(tcase, an_array_is_told_once_wherever_it_is_written);
    tcase_add_test(tcase, padding_is_not_told);
    tcase_add_test(tcase, padding_is_found_by_name);
    return run_suite(suite);
}
