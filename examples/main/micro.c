/* SPDX-License-Identifier: MIT */
/*
 * Nanoseconds an operation of malloc and free, or of a pool: the same workloads, built as four programs.
 *
 *     micro-malloc      MICRO_MALLOC             the C library's, or what LD_PRELOAD puts in its place
 *     micro-basic                                a pool with basic checks, the default
 *     micro-unchecked   OPOOL_NO_CHECKS          a pool without
 *     micro-uncounted   OPOOL_BENCH_NO_COUNTER   a pool with basic checks that does not count its puts
 *
 * Usage: micro-... MILLISECONDS REPETITIONS; output, a line each:
 *
 *     source PATH-OF-THE-LIBRARY-THAT-SERVES
 *     micro WORKLOAD BYTES NANOSECONDS...        one figure a repetition, each of about MILLISECONDS
 *
 * Workloads of one thread are timed by that thread's processor time, which leaves out what other programs on the
 * machine took; the hand-over between two threads by the wall clock. Threads are not pinned: a pinned thread can not
 * step aside when something else wants its processor.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIVE_SET = 4096, QUEUE_SLOTS = 1024, QUEUE_STEP = 32 };

struct object_64 {
    unsigned char bytes[64];
};
struct object_256 {
    unsigned char bytes[256];
};
struct object_4096 {
    unsigned char bytes[4096];
};

#ifdef MICRO_MALLOC

/* The same names as a pool's, so that the workloads are the same text. Built with -fno-builtin: a compiler may remove
   a malloc whose free it sees. */
#define DEFINE_SOURCE(size) \
    struct pool_##size; \
    static struct pool_##size *const source_##size = NULL; \
    static void open_##size(void) \
    { \
    } \
    static void close_##size(void) \
    { \
    } \
    static inline struct object_##size *get_##size(struct pool_##size *pool) \
    { \
        (void)pool; \
        return malloc(sizeof(struct object_##size)); \
    } \
    static inline void put_##size(struct pool_##size *pool, struct object_##size *object) \
    { \
        (void)pool; \
        free(object); \
    } \
    _Static_assert(sizeof(struct object_##size) == (size), "no padding")

#define SOURCE_FUNCTION "malloc"

#else

#include <opool.h>

#ifdef OPOOL_NO_CHECKS
#define MICRO_CHECKS OPOOL_CHECKS_OFF
#else
#define MICRO_CHECKS OPOOL_CHECKS_BASIC
#endif

static void check_created(int error, size_t size)
{
    if (error == 0)
        return;
    fprintf(stderr, "micro: a pool of %zu byte objects: %s\n", size, strerror(-error));
    exit(1);
}

#define DEFINE_SOURCE(size) \
    OPOOL_DEFINE(pool_##size, struct object_##size); \
    static struct pool_##size *source_##size; \
    static void open_##size(void) \
    { \
        struct opool_options options = {.checks = MICRO_CHECKS}; \
        check_created(pool_##size##_create(&source_##size, &options), sizeof(struct object_##size)); \
    } \
    static void close_##size(void) \
    { \
        pool_##size##_destroy(&source_##size); \
    } \
    static inline struct object_##size *get_##size(struct pool_##size *pool) \
    { \
        return pool_##size##_get(pool); \
    } \
    static inline void put_##size(struct pool_##size *pool, struct object_##size *object) \
    { \
        pool_##size##_put(pool, object); \
    } \
    _Static_assert(sizeof(struct object_##size) == (size), "no padding")

#define SOURCE_FUNCTION "opool_get"

#endif

DEFINE_SOURCE(64);
DEFINE_SOURCE(256);
DEFINE_SOURCE(4096);

struct workload {
    const char *name;
    double (*run)(uint64_t count); /* nanoseconds that `count` operations took */
};

static double nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double thread_nanoseconds(void)
{
    return nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}

static double wall_nanoseconds(void)
{
    return nanoseconds(CLOCK_MONOTONIC);
}

static __attribute__((noreturn, noinline, cold)) void out_of_memory(void)
{
    fputs("micro: out of memory\n", stderr);
    exit(1);
}

/* Writes to the object, as its user would, and hides it from the optimiser. */
static inline void touch(void *object)
{
    if (__builtin_expect(!object, 0))
        out_of_memory();
    *(volatile unsigned char *)object = 1;
    __asm__ __volatile__("" : : "r"(object) : "memory");
}

static inline uint64_t next_random(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

/* Bounded queue of one producer and one consumer; each index on a cache line of its own. */
static struct {
    _Alignas(64) uint64_t filled;
    _Alignas(64) uint64_t taken;
    _Alignas(64) void *slots[QUEUE_SLOTS];
} queue;

struct handoff {
    uint64_t count;
    pthread_t consumer;
    unsigned ready;
    double end;
};

struct waiting {
    unsigned rounds;
};

/* On a machine with one processor, or a busy one, the other thread can only go on when this one lets it. */
static void wait_a_little(struct waiting *waiting)
{
    if (++waiting->rounds % 256 == 0)
        sched_yield();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* The clock starts when the consumer is there: starting a thread is not what is measured. */
static void handoff_start(struct handoff *handoff, void *(*consume)(void *))
{
    queue.filled = queue.taken = 0;
    if (pthread_create(&handoff->consumer, NULL, consume, handoff) != 0) {
        fputs("micro: no second thread\n", stderr);
        exit(1);
    }
    struct waiting waiting = {0};
    while (!__atomic_load_n(&handoff->ready, __ATOMIC_ACQUIRE))
        wait_a_little(&waiting);
}

static double handoff_finish(struct handoff *handoff)
{
    pthread_join(handoff->consumer, NULL);
    return handoff->end;
}

/* The number of operations that takes about `budget` nanoseconds. Finding it warms up caches and free lists. */
static uint64_t calibrate(const struct workload *workload, double budget)
{
    uint64_t count = 4096;
    double elapsed = workload->run(count);
    while (elapsed < budget / 8) {
        count *= 2;
        elapsed = workload->run(count);
    }
    uint64_t fitting = (uint64_t)((double)count * budget / elapsed);
    return fitting < 4096 ? 4096 : fitting / 256 * 256; /* whole groups only */
}

static void measure(const struct workload *workload, unsigned bytes, double budget, unsigned repetitions)
{
    uint64_t count = calibrate(workload, budget);
    printf("micro %s %u", workload->name, bytes);
    for (unsigned i = 0; i < repetitions; i++)
        printf(" %.4f", workload->run(count) / (double)count);
    putchar('\n');
}

#define JOIN_(name, bytes) name##_##bytes
#define JOIN(name, bytes) JOIN_(name, bytes)
#define NAME(name) JOIN(name, BYTES)

#define BYTES 64
#include "workloads.h"
#define BYTES 256
#include "workloads.h"
#define BYTES 4096
#include "workloads.h"

/* LD_PRELOAD only warns about a library that it can not load: the driver checks this line. */
static void print_source(void)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, SOURCE_FUNCTION);
    printf("source %s\n", function && dladdr(function, &info) && info.dli_fname ? info.dli_fname : "unknown");
}

int main(int argc, char **argv)
{
    double milliseconds = argc == 3 ? strtod(argv[1], NULL) : 0;
    unsigned long repetitions = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (!(milliseconds > 0 && milliseconds < 1e5) || repetitions < 1 || repetitions > 1000) {
        fputs("usage: micro-... MILLISECONDS REPETITIONS\n", stderr);
        return 2;
    }
    print_source();
    run_64(milliseconds * 1e6, (unsigned)repetitions);
    run_256(milliseconds * 1e6, (unsigned)repetitions);
    run_4096(milliseconds * 1e6, (unsigned)repetitions);
    return fflush(stdout) == 0 ? 0 : 1;
}
