/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_CONTRACT_H
#define TEST_SUPPORT_CONTRACT_H

/* What the contract tests share: figures and their equations, standard error as text, children, threads. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <opool.h>

#define SHARED_INLINE static inline __attribute__((unused))

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif
#ifndef THREAD_SANITIZER
#define THREAD_SANITIZER 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if THREAD_SANITIZER
/* It ends children of threaded processes that start threads, unless told not to. */
const char *__tsan_default_options(void);
__attribute__((used, visibility("default"))) const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}
#endif

/* ---- figures ---- */

SHARED_INLINE struct opool_stats figures(struct opool *pool)
{
    struct opool_stats stats;
    ck_assert_int_eq(opool_stats_read(pool, &stats), 0);
    return stats;
}

/* Three equations that hold whenever no call is in progress. */
SHARED_INLINE void check_equations(struct opool *pool)
{
    struct opool_stats s = figures(pool);
    uint64_t idle = s.idle_thread + s.idle_depot + s.idle_victim;
    ck_assert_uint_eq(s.slots, s.live + idle + s.slots_free);
    ck_assert_uint_eq(s.built, s.torn_down + s.live + idle);
    ck_assert_uint_eq(s.gets, s.puts + s.live);
    ck_assert_uint_ge(s.live_peak, s.live);
    ck_assert_uint_le(s.hits, s.gets);
}

SHARED_INLINE uint64_t idle_objects(struct opool *pool)
{
    struct opool_stats s = figures(pool);
    return s.idle_thread + s.idle_depot + s.idle_victim;
}

/* Does a walk of all pools come by this one? */
SHARED_INLINE bool is_listed(const struct opool *wanted)
{
    for (struct opool *pool = NULL; (pool = opool_next(pool)) != NULL;)
        if (pool == wanted)
            return true;
    return false;
}

/* ---- time ---- */

SHARED_INLINE int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

SHARED_INLINE void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0)
        continue;
}

/* ---- text ---- */

SHARED_INLINE bool matches(const char *text, const char *pattern)
{
    regex_t compiled;
    ck_assert_int_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    bool matched = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return matched;
}

/* Without the lines that tell an object's story, which is long and another one on each machine. */
SHARED_INLINE void leave_story_out(const char *text, char *to, size_t room)
{
    size_t length = 0;
    while (*text) {
        size_t line = strcspn(text, "\n") + (strchr(text, '\n') ? 1 : 0);
        if (strncmp(text, "opool:   ", strlen("opool:   ")) != 0 && length + line < room) {
            memcpy(to + length, text, line);
            length += line;
        }
        text += line;
    }
    to[length] = 0;
}

SHARED_INLINE void expect_match(const char *text, const char *pattern)
{
    char told[16384];
    leave_story_out(text, told, sizeof told);
    ck_assert_msg(matches(told, pattern), "'%s' does not match '%s'", text, pattern);
}

/* Standard error from capture_start to capture_stop, in this process. */
struct capture {
    int saved, from;
};

SHARED_INLINE struct capture capture_start(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    struct capture capture = {dup(STDERR_FILENO), ends[0]};
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return capture;
}

SHARED_INLINE void capture_stop(struct capture capture, char *text, size_t room)
{
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
    ssize_t n = read(capture.from, text, room - 1);
    text[n > 0 ? n : 0] = '\0';
    close(capture.from);
}

/* ---- children ---- */

struct outcome {
    int status;      /* of waitpid */
    char text[8192]; /* what the child wrote to standard error */
};

SHARED_INLINE void drain(int from, char *text, size_t room)
{
    size_t length = 0;
    for (ssize_t n; (n = read(from, text + length, room - 1 - length)) != 0;) {
        if (n < 0 && errno != EINTR)
            break;
        length += n > 0 ? (size_t)n : 0;
    }
    text[length] = '\0';
}

/* Run act in a child, which ends by itself or after act; it does not report to the test runner. */
SHARED_INLINE struct outcome in_child(void (*act)(void))
{
    struct outcome outcome;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(30);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        act();
        _exit(EXIT_SUCCESS);
    }
    close(ends[1]);
    drain(ends[0], outcome.text, sizeof outcome.text);
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &outcome.status, 0), child);
    return outcome;
}

SHARED_INLINE void expect_success(const struct outcome *outcome)
{
    ck_assert_msg(WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == 0, "status %#x: %s",
                  (unsigned)outcome->status, outcome->text);
}

/* The child said exactly one line and aborted. */
SHARED_INLINE void expect_abort(const struct outcome *outcome, const char *pattern)
{
    ck_assert_msg(WIFSIGNALED(outcome->status) && WTERMSIG(outcome->status) == SIGABRT, "status %#x: %s",
                  (unsigned)outcome->status, outcome->text);
    expect_match(outcome->text, pattern);
    char told[sizeof outcome->text];
    leave_story_out(outcome->text, told, sizeof told);
    ck_assert_ptr_eq(strchr(told, '\n'), told + strlen(told) - 1);
}

/* In a child, where a failed ck_assert would be lost. */
#define CHILD_ASSERT(condition) \
    do { \
        if (!(condition)) { \
            dprintf(STDERR_FILENO, "%s:%d: %s: errno %d\n", __FILE__, __LINE__, #condition, errno); \
            _exit(EXIT_FAILURE); \
        } \
    } while (0)

/* ---- threads ---- */

SHARED_INLINE pthread_t start_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, run, arg);
    if (r != 0)
        abort();
    return thread;
}

SHARED_INLINE void join_thread(pthread_t thread)
{
    if (pthread_join(thread, NULL) != 0)
        abort();
}

/* A thread of its own, start to end. */
SHARED_INLINE void run_thread(void *(*run)(void *), void *arg)
{
    join_thread(start_thread(run, arg));
}

SHARED_INLINE void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        continue;
}

SHARED_INLINE pid_t thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

SHARED_INLINE char thread_state(pid_t id)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)id);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    if (file)
        fclose(file);
    return state;
}

/* Until a thread that is about to wait does so: asleep each time that it is looked at. */
SHARED_INLINE void until_asleep(pid_t id)
{
    for (int asleep = 0, looks = 0; asleep < 5 && looks < 2000; looks++) {
        asleep = thread_state(id) == 'S' ? asleep + 1 : 0;
        sleep_ms(1);
    }
}

/* ---- running ---- */

SHARED_INLINE TCase *new_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return tcase;
}

/* CK_FORK: each test in a process of its own, where the library is fresh; CK_NOFORK: the tests see to that. */
SHARED_INLINE int run_suite_as(Suite *suite, enum fork_status status)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, status);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

SHARED_INLINE int run_suite(Suite *suite)
{
    return run_suite_as(suite, CK_FORK_GETENV);
}

#ifdef __cplusplus
}
#endif
#endif
