/* SPDX-License-Identifier: MIT */
/* The reader from inside: the child process that keeps crashes away, and members by offset in this very program. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/shapes/guarded.h"
#include "tools/shapes/member.h"

/* ---- the child process ---- */

static int answer(void *arg, FILE *out)
{
    fprintf(out, "%s", (const char *)arg);
    return 7;
}

static int say_much(void *arg, FILE *out)
{
    for (int i = 0; i < 1000000; i++)
        fputs("0123456789", out);
    return *(int *)arg;
}

static int crash(void *arg, FILE *out)
{
    fputs("half an answer", out);
    fflush(out);
    raise(*(int *)arg);
    return 0;
}

static int leave(void *arg, FILE *out)
{
    (void)out;
    exit(*(int *)arg);
}

static int give_up(void *arg, FILE *out)
{
    (void)arg;
    (void)out;
    _exit(GUARDED_NO_MEMORY);
}

static int spin(void *arg, FILE *out)
{
    (void)out;
    for (volatile uint64_t *n = arg; *n < UINT64_MAX; ++*n)
        ;
    return 0;
}

static void expect_failure(int (*work)(void *, FILE *), void *arg, const char *text)
{
    struct guarded result;
    const char *why = "";
    ck_assert_int_eq(opool__shapes_guarded(work, arg, 0, &result, &why), -EBADMSG);
    ck_assert_msg(strstr(why, text) != NULL, "said: %s", why);
    ck_assert_ptr_null(result.text);
}

START_TEST(guarded_gives_the_answer)
{
    struct guarded result;
    const char *why;
    int status = 3;
    ck_assert_int_eq(opool__shapes_guarded(answer, "yes", 0, &result, &why), 0);
    ck_assert_int_eq(result.result, 7);
    ck_assert_str_eq(result.text, "yes");
    ck_assert_uint_eq(result.length, 3);
    free(result.text);
    ck_assert_int_eq(opool__shapes_guarded(say_much, &status, 0, &result, &why), 0);
    ck_assert_int_eq(result.result, 3);
    ck_assert_uint_eq(result.length, 10000000);
    free(result.text);
}
END_TEST

START_TEST(guarded_survives_crashes)
{
    int signals[] = {SIGABRT, SIGBUS, SIGKILL}, statuses[] = {0, 1, GUARDED_NO_MEMORY};
    expect_failure(crash, &signals[0], "malformed: reading it crashed");
    expect_failure(crash, &signals[1], "malformed: reading it crashed");
    expect_failure(crash, &signals[2], "stopped from outside");
    /* Only the work's own end is an answer: libdw ends the process when it has no memory. */
    expect_failure(leave, &statuses[0], "malformed");
    expect_failure(leave, &statuses[1], "malformed");
    expect_failure(give_up, NULL, "too much memory");
}
END_TEST

/* What the program set itself must not keep the child from ending. */
START_TEST(guarded_is_not_stopped_by_handlers)
{
    int abort_signal = SIGABRT;
    sigset_t all;
    signal(SIGABRT, SIG_IGN);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    expect_failure(crash, &abort_signal, "malformed");
}
END_TEST

START_TEST(guarded_bounds_time)
{
    uint64_t n = 0;
    const struct rlimit second = {1, 1};
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CPU, &second);
        struct guarded result;
        const char *why = "";
        int error = opool__shapes_guarded(spin, &n, 0, &result, &why);
        _exit(error == -EBADMSG && (strstr(why, "too much processor time") || strstr(why, "stopped")) ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
END_TEST

static int tell_limit(void *arg, FILE *out)
{
    struct rlimit limit;
    (void)arg;
    if (getrlimit(RLIMIT_CPU, &limit) != 0)
        return 1;
    fprintf(out, "%llu", (unsigned long long)limit.rlim_cur);
    return 0;
}

/* The bound that the child sets itself grows with the file. */
START_TEST(guarded_bounds_by_size)
{
    const unsigned long long sizes[] = {0, 1000000000};
    const char *seconds[] = {"20", "120"};
    for (int i = 0; i < 2; i++) {
        struct guarded result;
        const char *why;
        ck_assert_int_eq(opool__shapes_guarded(tell_limit, NULL, sizes[i], &result, &why), 0);
        ck_assert_str_eq(result.text, seconds[i]);
        free(result.text);
    }
}
END_TEST

/* Many readings leave no descriptor and no child behind. */
START_TEST(guarded_leaves_nothing)
{
    int before = dup(STDIN_FILENO);
    close(before);
    for (int i = 0; i < 50; i++) {
        struct guarded result;
        const char *why;
        ck_assert_int_eq(opool__shapes_guarded(answer, "", 0, &result, &why), 0);
        free(result.text);
    }
    int after = dup(STDIN_FILENO);
    close(after);
    ck_assert_int_eq(after, before);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

/* ---- members ---- */

struct element {
    char key;
    long value;
};
struct watched {
    char first;
    int n;
    struct element e[2][3];
    unsigned low : 3, high : 4;
    union {
        long number;
        void *pointer;
    };
    char text[10];
};
typedef struct watched watched_t;
watched_t watched_used; /* else it is not in the debug information */

static const char *member(const char *type, size_t offset)
{
    static char name[128];
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", type, offset, name, sizeof name), 0);
    return name;
}

START_TEST(member_names)
{
    ck_assert_str_eq(member("struct watched", 0), "first");
    ck_assert_str_eq(member("struct watched", 1), "padding behind first");
    ck_assert_str_eq(member("watched_t", offsetof(struct watched, n) + 3), "n");
    ck_assert_str_eq(member("watched", offsetof(struct watched, e[1][2].value)), "e[1][2].value");
    ck_assert_str_eq(member("struct watched", offsetof(struct watched, e[0][1]) + 1), "padding behind e[0][1].key");
    ck_assert_str_eq(member("struct watched", offsetof(struct watched, e) + sizeof watched_used.e), "low, high");
    ck_assert_str_eq(member("struct watched", offsetof(struct watched, pointer)), "pointer");
    ck_assert_str_eq(member("struct watched", offsetof(struct watched, text) + 9), "text[9]");
    ck_assert_str_eq(member("struct watched", sizeof(struct watched) - 1), "padding behind text");
    ck_assert_str_eq(member("int", 2), "int");
}
END_TEST

START_TEST(member_errors)
{
    char name[8] = "old";
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", "struct nope", 0, name, sizeof name), -ENOENT);
    ck_assert_str_eq(name, "");
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", "", 0, name, sizeof name), -ENOENT);
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", "struct", 0, name, sizeof name), -ENOENT);
    ck_assert_int_eq(
        opool__shapes_member("/proc/self/exe", "struct watched", sizeof(struct watched), name, sizeof name), -EINVAL);
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", "struct watched", SIZE_MAX, name, sizeof name), -EINVAL);
    ck_assert_int_eq(opool__shapes_member("/nowhere", "struct watched", 0, name, sizeof name), -ENOENT);
    ck_assert_int_eq(opool__shapes_member("/etc/passwd", "struct watched", 0, name, sizeof name), -ENOEXEC);
    ck_assert_int_eq(opool__shapes_member("/", "struct watched", 0, name, sizeof name), -ENOEXEC);
    ck_assert_int_eq(opool__shapes_member(NULL, "struct watched", 0, name, sizeof name), -EINVAL);
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", NULL, 0, name, sizeof name), -EINVAL);
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", "struct watched", 0, NULL, 0), -EINVAL);
}
END_TEST

START_TEST(member_is_cut)
{
    char name[8];
    ck_assert_int_eq(opool__shapes_member("/proc/self/exe", "struct watched", 1, name, sizeof name), 0);
    ck_assert_str_eq(name, "padding");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shapes");
    TCase *guarded = tcase_create("guarded"), *members = tcase_create("members");
    tcase_set_timeout(guarded, 60);
    tcase_set_timeout(members, 60);
    tcase_add_test(guarded, guarded_gives_the_answer);
    tcase_add_test(guarded, guarded_survives_crashes);
    tcase_add_test(guarded, guarded_is_not_stopped_by_handlers);
    tcase_add_test(guarded, guarded_bounds_time);
    tcase_add_test(guarded, guarded_bounds_by_size);
    tcase_add_test(guarded, guarded_leaves_nothing);
    tcase_add_test(members, member_names);
    tcase_add_test(members, member_errors);
    tcase_add_test(members, member_is_cut);
    suite_add_tcase(suite, guarded);
    suite_add_tcase(suite, members);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
