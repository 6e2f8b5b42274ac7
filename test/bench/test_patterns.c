/* SPDX-License-Identifier: MIT */

/* The patterns of test/bench, briefly: each object is as its holder left it, in no other hand, and put in the end. */
#include "contract.h"
#include "patterns.h"

enum { OPERATIONS = 20000, SLOW = 200 }; /* threads that end, thousands of writes: fewer of them */

static const unsigned thread_counts[] = {1, 2, 5};
enum { THREAD_COUNTS = sizeof thread_counts / sizeof *thread_counts };

static uint64_t operations_of(const struct pattern *pattern)
{
    return pattern->operations < 100000 ? SLOW : OPERATIONS;
}

static void run_one(const struct pattern *pattern, unsigned threads)
{
    uint64_t got = 0, operations = operations_of(pattern);
    if (threads < pattern->threads_least)
        return;
    const struct tally tally = pattern_run(pattern, threads, operations, &got);
    ck_assert_uint_eq(source_faults, 0);
    ck_assert_uint_eq(tally.live, 0);
    ck_assert_uint_eq(tally.gets, tally.puts);
    /* With odd numbers of threads not all of xmalloc-test's come in pairs. */
    ck_assert_uint_ge(got, operations / 2 * threads);
#ifndef SOURCE_MALLOC
    ck_assert_uint_eq(tally.gets, got);
#endif
}

START_TEST(patterns_keep_contents)
{
    const struct pattern *pattern = &patterns[_i / THREAD_COUNTS];
    run_one(pattern, thread_counts[_i % THREAD_COUNTS]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patterns");
    tcase_add_loop_test(new_case(suite, "patterns"), patterns_keep_contents, 0, PATTERNS * THREAD_COUNTS);
    return run_suite(suite);
}
