/* SPDX-License-Identifier: MIT */

/* Where the library's lines go: the user's callback, or standard error. */

#include "contract.h"

struct thing {
    int n;
};
OPOOL_DEFINE(thing_pool, struct thing);

static struct {
    unsigned lines;
    char text[512];
    pid_t thread;
    void (*act)(void); /* inside the callback */
} seen;

static void note(const char *line, void *arg)
{
    ck_assert_ptr_eq(arg, &seen);
    seen.lines++;
    seen.thread = thread_id();
    snprintf(seen.text, sizeof seen.text, "%s", line);
    if (seen.act)
        seen.act();
}

/* Something that the library says a line about. */
static void refuse(void)
{
    struct thing_pool *pool;
    ck_assert_int_eq(thing_pool_create(&pool, &(struct opool_options){.capacity = 1, .keep = 2}), -EINVAL);
}

#define REFUSED "opool: pool 'thing_pool' (struct thing): create: keep is above the capacity"

/* What standard error gets meanwhile. */
static void expect_on_stderr(const char *expected)
{
    char text[512];
    struct capture capture = capture_start();
    refuse();
    capture_stop(capture, text, sizeof text);
    ck_assert_str_eq(text, expected);
}

START_TEST(lines_go_to_the_callback)
{
    opool_log_set(note, &seen);
    expect_on_stderr("");
    ck_assert_uint_eq(seen.lines, 1);
    ck_assert_str_eq(seen.text, REFUSED);
    ck_assert_int_eq(seen.thread, thread_id());
    opool_log_set(NULL, NULL);
    expect_on_stderr(REFUSED "\n");
    ck_assert_uint_eq(seen.lines, 1);
}
END_TEST

START_TEST(a_line_about_no_pool_too)
{
    opool_log_set(note, &seen);
    ck_assert_int_eq(thing_pool_create(NULL, NULL), -EINVAL);
    ck_assert_str_eq(seen.text, "opool: create: out is NULL");
}
END_TEST

static int at_log(void)
{
    errno = EDOM;
    refuse();
    return errno;
}

static void spoil_errno(void)
{
    errno = ENOSPC;
}

START_TEST(errno_stays)
{
    seen.act = spoil_errno;
    opool_log_set(note, &seen);
    ck_assert_int_eq(at_log(), EDOM);
    ck_assert_uint_eq(seen.lines, 1);
}
END_TEST

START_TEST(what_the_callback_makes_it_say_goes_to_standard_error)
{
    seen.act = refuse;
    opool_log_set(note, &seen);
    expect_on_stderr(REFUSED "\n");
    ck_assert_uint_eq(seen.lines, 1);
}
END_TEST

static struct thing_pool *used;

static void use(void)
{
    struct thing_pool *alias = used;
    thing_pool_put(used, thing_pool_get(used));
    thing_pool_destroy(&alias);
    ck_assert_ptr_eq(alias, used);
    uint64_t epoch = opool_epoch_now();
    ck_assert_uint_eq(opool_epoch_advance(), epoch);
}

START_TEST(the_callback_may_use_pools_but_not_end_them)
{
    ck_assert_int_eq(thing_pool_create(&used, NULL), 0);
    seen.act = use;
    opool_log_set(note, &seen);
    expect_on_stderr("opool: pool 'thing_pool' (struct thing): destroy: refused: called from inside a callback\n"
                     "opool: opool_epoch_advance: refused: called from inside a callback\n");
    ck_assert_uint_eq(figures(thing_pool_base(used)).gets, 1);
    thing_pool_destroy(&used);
}
END_TEST

/* An abort must leave a trace even where nobody reads the log any more. */
static void fault(void)
{
    struct thing_pool *pool;
    struct thing thing;
    struct thing *volatile foreign = &thing; /* volatile: compilers would say it */
    opool_log_set(note, &seen);
    CHILD_ASSERT(thing_pool_create(&pool, NULL) == 0);
    thing_pool_put(pool, foreign);
}

START_TEST(faults_go_to_standard_error)
{
    struct outcome outcome = in_child(fault);
    expect_abort(&outcome, "^opool: pool 'thing_pool' \\(struct thing\\): put of 0x[0-9a-f]+ by thread [0-9]+: not an "
                           "object of any pool\n$");
}
END_TEST

static void *refuse_often(void *unused)
{
    for (int i = 0; i < 1000; i++)
        refuse();
    return unused;
}

static unsigned counted[2];

static void count(const char *line, void *arg)
{
    (void)line;
    __atomic_fetch_add((unsigned *)arg, 1u, __ATOMIC_RELAXED);
}

/* Function and argument are one thing: no call sees one of each. */
static void count_other(const char *line, void *arg)
{
    ck_assert_ptr_eq(arg, &counted[1]);
    count(line, arg);
}

START_TEST(set_while_others_log)
{
    pthread_t threads[3];
    opool_log_set(count, &counted[0]);
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(refuse_often, NULL);
    for (int i = 0; i < 1000; i++) {
        opool_log_set(count_other, &counted[1]);
        opool_log_set(count, &counted[0]);
    }
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    ck_assert_uint_eq(counted[0] + counted[1], 3000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = new_case(suite, "log");
    tcase_add_test(tcase, lines_go_to_the_callback);
    tcase_add_test(tcase, a_line_about_no_pool_too);
    tcase_add_test(tcase, errno_stays);
    tcase_add_test(tcase, what_the_callback_makes_it_say_goes_to_standard_error);
    tcase_add_test(tcase, the_callback_may_use_pools_but_not_end_them);
    tcase_add_test(tcase, faults_go_to_standard_error);
    tcase_add_test(tcase, set_while_others_log);
    return run_suite(suite);
}
