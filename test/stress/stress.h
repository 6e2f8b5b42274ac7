/* SPDX-License-Identifier: MIT */
#ifndef STRESS_H
#define STRESS_H

/*
 * What the stress programs share: arguments, a scale that sanitizers lower, random numbers that follow from --seed,
 * counted checks, and objects that know when they are handed out twice or written to by others.
 *
 * Arguments: --seed N, --threads N, --rounds N (0: until the time is over), --seconds N, --scale PERCENT (of the work),
 * --ticks MICROSECONDS (between ticks, where a program has a thread for these; 0: none).
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define STRESS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRESS_SANITIZED 1
#endif
#ifndef STRESS_SANITIZED
#define STRESS_SANITIZED 0
#endif

enum { EXIT_BAD_USAGE = 2, REPORTS_MOST = 20 };

struct stress {
    uint64_t seed;
    unsigned threads, rounds, seconds, scale, ticks_us;
    uint64_t deadline;
};

static struct stress stress = {.seed = 1, .threads = 8, .scale = STRESS_SANITIZED ? 20 : 100};
static uint64_t shared_corrupt, shared_lost, shared_ops, shared_passed, shared_failed;

/* ---- counting ---- */

static inline uint64_t count(uint64_t *counter, uint64_t n)
{
    return __atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

static inline uint64_t read_count(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

__attribute__((format(printf, 2, 3))) static inline void report(uint64_t *counter, const char *format, ...)
{
    if (count(counter, 1) > REPORTS_MOST)
        return;
    char line[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s\n", line);
}

static inline bool check_that(bool holds, const char *what, const char *where)
{
    if (holds)
        count(&shared_passed, 1);
    else
        report(&shared_failed, "FAILED: %s (%s)", what, where);
    return holds;
}

/* ---- time, arguments, result ---- */

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void sleep_us(unsigned us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

/* Is there another round? */
static inline bool goes_on(unsigned round)
{
    return stress.rounds ? round < stress.rounds : now_ns() < stress.deadline;
}

static inline unsigned scaled(unsigned n)
{
    unsigned r = (unsigned)((uint64_t)n * stress.scale / 100);
    return r ? r : 1;
}

static inline void read_argument(const char *name, const char *text)
{
    char *end = NULL;
    uint64_t value = text ? strtoull(text, &end, 0) : 0;
    if (!text || end == text || *end) {
        fprintf(stderr, "%s wants a number\n", name);
        exit(EXIT_BAD_USAGE);
    }
    if (strcmp(name, "--seed") == 0)
        stress.seed = value;
    else if (strcmp(name, "--threads") == 0 && value > 0 && value <= 256)
        stress.threads = (unsigned)value;
    else if (strcmp(name, "--rounds") == 0)
        stress.rounds = (unsigned)value;
    else if (strcmp(name, "--seconds") == 0)
        stress.seconds = (unsigned)value;
    else if (strcmp(name, "--ticks") == 0)
        stress.ticks_us = (unsigned)value;
    else if (strcmp(name, "--scale") == 0 && value > 0)
        stress.scale = (unsigned)value;
    else {
        fprintf(stderr, "no such argument or out of range: %s %s\n", name, text);
        exit(EXIT_BAD_USAGE);
    }
}

static inline void start_stress(int argc, char **argv, unsigned seconds, unsigned threads)
{
    stress.seconds = STRESS_SANITIZED ? (seconds + 1) / 2 : seconds;
    stress.threads = STRESS_SANITIZED ? (threads + 1) / 2 : threads;
    for (int i = 1; i < argc; i += 2)
        read_argument(argv[i], argv[i + 1]);
    stress.deadline = now_ns() + (uint64_t)stress.seconds * 1000000000u;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("seed=%" PRIu64 " threads=%u scale=%u%%\n", stress.seed, stress.threads, stress.scale);
}

static inline int end_stress(void)
{
    uint64_t corrupt = read_count(&shared_corrupt), lost = read_count(&shared_lost),
             failed = read_count(&shared_failed);
    printf("corrupt=%" PRIu64 " lost=%" PRIu64 " ops=%" PRIu64 " threads=%u\n", corrupt, lost, read_count(&shared_ops),
           stress.threads);
    failed += (corrupt || lost) ? 1u : 0u;
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", read_count(&shared_passed), failed);
    return failed ? 1 : 0;
}

/* ---- random numbers ---- */

static inline uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t next_random(uint64_t *state)
{
    return mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

static inline unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(next_random(state) % n);
}

static inline bool one_in(uint64_t *state, unsigned n)
{
    return below(state, n) == 0;
}

/* ---- stamps ----
 *
 * The first eight bytes of every object: 0 while it is idle, else a value that only one get ever made. It is
 * exchanged at get and at put, so that an object that is handed out twice is noticed by the second get. Relaxed on
 * purpose: the stamps must not order anything, or ThreadSanitizer would not see that the library does not. The low 16
 * bits belong to the address and the rest, so that a stamp can be told from garbage.
 */

static uint64_t shared_serial;

static inline uint64_t sealed(uint64_t serial, const void *object)
{
    return serial << 16 | (mix(serial ^ (uintptr_t)object) & 0xffff);
}

static inline bool is_sealed(uint64_t stamp, const void *object)
{
    return stamp != 0 && stamp == sealed(stamp >> 16, object);
}

static inline uint64_t read_stamp(const void *object)
{
    return __atomic_load_n((const uint64_t *)object, __ATOMIC_RELAXED);
}

/* After a get. */
static inline uint64_t stamp_object(void *object, const char *pool)
{
    uint64_t stamp = sealed(count(&shared_serial, 1), object);
    uint64_t was = __atomic_exchange_n((uint64_t *)object, stamp, __ATOMIC_RELAXED);
    if (was != 0)
        report(&shared_corrupt, "%s: %p handed out with stamp %#" PRIx64 ": %s", pool, object, was,
               is_sealed(was, object) ? "somebody has it" : "overwritten while it was idle");
    return stamp;
}

/* Before a put or discard by the holder of `stamp`. */
static inline void unstamp_object(void *object, uint64_t stamp, const char *pool)
{
    uint64_t was = __atomic_exchange_n((uint64_t *)object, 0, __ATOMIC_RELAXED);
    if (was != stamp)
        report(&shared_corrupt, "%s: %p has stamp %#" PRIx64 " instead of %#" PRIx64, pool, object, was, stamp);
}

/* Words that follow from the stamp: every `step`th, and the last one. */
static inline void fill_words(uint64_t *words, size_t n, size_t step, uint64_t stamp)
{
    for (size_t i = 0; i < n; i += step)
        words[i] = stamp ^ i;
    if (n)
        words[n - 1] = ~stamp;
}

static inline bool are_filled(const uint64_t *words, size_t n, size_t step, uint64_t stamp)
{
    for (size_t i = 0; i + 1 < n; i += step)
        if (words[i] != (stamp ^ i))
            return false;
    return n == 0 || words[n - 1] == ~stamp;
}

#endif
