/* SPDX-License-Identifier: MIT */
#ifndef TEST_UNIT_UNIT_H
#define TEST_UNIT_UNIT_H

/* What all unit programs share: the runner, children with a captured standard error, time, a probe for access. */

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNIT_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNIT_SANITIZED 1
#endif
#ifndef UNIT_SANITIZED
#define UNIT_SANITIZED 0
#endif

/* ThreadSanitizer does not follow threads that a child starts after a fork of a threaded process. */
#if defined(__SANITIZE_THREAD__)
#define UNIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNIT_TSAN 1
#endif
#endif
#ifndef UNIT_TSAN
#define UNIT_TSAN 0
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

/* As ck_assert, for loops and threads: a ck_assert that holds writes to a file, which is a cancellation point too. */
#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("'%s' does not hold", #condition); \
    } while (0)

#define UNIT_UNUSED __attribute__((unused))
#define UNIT_LENGTH(array) (sizeof(array) / sizeof *(array))

/* Sanitizers and valgrind reserve terabytes, keep shadow memory and are slow: no address limits, no resident sizes, and
   samples instead of all there. */
static inline bool unit_watched(void)
{
    return UNIT_SANITIZED || RUNNING_ON_VALGRIND;
}

static inline int unit_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A case of one group of tests, with the time it may take on a slow machine. */
static UNIT_UNUSED TCase *unit_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, unit_watched() ? 600 : 100);
    suite_add_tcase(suite, tests);
    return tests;
}

static UNIT_UNUSED uint64_t unit_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static UNIT_UNUSED void unit_nap(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Until *word is at least `value`; other threads add to it. */
static UNIT_UNUSED void unit_await(const uint32_t *word, uint32_t value)
{
    uint64_t until = unit_ms() + 30000;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
        ck_assert_msg(unit_ms() < until, "waited 30 s for %u", value);
        unit_nap(1);
    }
}

static UNIT_UNUSED pthread_t unit_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run, argument), 0);
    return thread;
}

static UNIT_UNUSED void unit_join(pthread_t thread)
{
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* The kernel reads from the address, so that a wrong one is an error and no signal; nor one of valgrind's. */
static UNIT_UNUSED bool unit_readable(const void *address)
{
    char byte;
    struct iovec to = {.iov_base = &byte, .iov_len = 1}, from = {.iov_base = (void *)(uintptr_t)address, .iov_len = 1};
    ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    ck_assert_msg(n == 1 || errno == EFAULT, "process_vm_readv: %s", strerror(errno));
    return n == 1;
}

static UNIT_UNUSED bool unit_is_filled(const void *memory, unsigned char byte, size_t size)
{
    const unsigned char *bytes = memory;
    return size == 0 || (bytes[0] == byte && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* ---- children ---- */

struct unit_child {
    int status;       /* of waitpid */
    char said[32768]; /* on standard error, NUL at the end */
};

static inline void unit_read_all(int from, char *text, size_t size)
{
    size_t length = 0;
    for (ssize_t n; length < size - 1 && (n = read(from, text + length, size - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = '\0';
    close(from);
}

/* Runs in a child of this process; what it says on standard error and how it ends. */
static UNIT_UNUSED struct unit_child unit_in_child(void (*run)(void *), void *argument)
{
    struct unit_child child;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        run(argument);
        _exit(0);
    }
    close(ends[1]);
    unit_read_all(ends[0], child.said, sizeof child.said);
    ck_assert_int_eq(waitpid(pid, &child.status, 0), pid);
    return child;
}

static UNIT_UNUSED bool unit_aborted(const struct unit_child *child)
{
    return WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGABRT;
}

static UNIT_UNUSED bool unit_succeeded(const struct unit_child *child)
{
    return WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
}

#endif
