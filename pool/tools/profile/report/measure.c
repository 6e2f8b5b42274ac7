/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "gain.h"
#include "opool.h"
#include "opool/atomic.h"

/*
 * What things cost on this machine. Each is timed some times over; the ends of its interval are the quartiles, so
 * that a neighbour's burst counts for nothing. What other processors have to be told (changes of the address space)
 * is timed alone and with a second thread busy: low and high.
 */

enum { ROUNDS = 9, PAIRS = 2000, LIVE = 64, BRK_BYTES = 132 << 10, MAP_BYTES = 256 << 10, CALLS = 24, FILL_KIB = 64 };

struct object {
    unsigned char bytes[256];
};
OPOOL_DEFINE(measured_pool, struct object);

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* `work` does its thing so many times as it returns. */
static struct cost time_it(double (*work)(void *arg), void *arg)
{
    double each[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double from = now_ns(), times = work(arg);
        each[i] = (now_ns() - from) / times;
    }
    qsort(each, ROUNDS, sizeof *each, by_value);
    return (struct cost){each[ROUNDS / 4], each[ROUNDS - 1 - ROUNDS / 4]};
}

/* ---- pairs ---- */

/* Blocks come and go among others, as in a program. */
static double allocate(void *arg)
{
    size_t bytes = *(const uint64_t *)arg, live = bytes > 65536 ? 4 : LIVE, pairs = bytes > 65536 ? PAIRS / 10 : PAIRS;
    void *blocks[LIVE] = {NULL};
    for (size_t i = 0; i < pairs; i++) {
        free(blocks[i % live]);
        unsigned char *block = malloc(bytes);
        if (block)
            *(volatile unsigned char *)block = 1;
        blocks[i % live] = block;
    }
    for (size_t i = 0; i < live; i++)
        free(blocks[i]);
    return (double)pairs;
}

static double pool(void *arg)
{
    struct measured_pool *pool = arg;
    struct object *objects[LIVE] = {NULL};
    for (size_t i = 0; i < PAIRS; i++) {
        measured_pool_put(pool, objects[i % LIVE]);
        objects[i % LIVE] = measured_pool_get(pool);
        if (objects[i % LIVE])
            *(volatile unsigned char *)objects[i % LIVE]->bytes = 1;
    }
    for (size_t i = 0; i < LIVE; i++)
        measured_pool_put(pool, objects[i]);
    return PAIRS;
}

/* ---- the system ---- */

/* As what a profile counts: one for each page of this machine. */
static size_t pages_of(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page;
}

static void touch(volatile unsigned char *at, size_t pages)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < pages; i++)
        at[i * page] = 1;
}

static double fault(void *arg)
{
    (void)arg;
    unsigned char *memory = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    touch(memory, pages_of(MAP_BYTES));
    munmap(memory, MAP_BYTES);
    return (double)pages_of(MAP_BYTES);
}

/* Grown, touched and given back, as the allocator does at the top of its heap: two calls. */
static double move_break(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS / 2; i++) {
        unsigned char *from = sbrk(BRK_BYTES);
        if ((intptr_t)from == -1)
            return 1;
        touch(from, pages_of(BRK_BYTES));
        if ((intptr_t)sbrk(-(intptr_t)BRK_BYTES) == -1)
            return 1;
    }
    return CALLS;
}

static double map(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS / 2; i++) {
        unsigned char *memory = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return 1;
        touch(memory, 1);
        munmap(memory, MAP_BYTES);
    }
    return CALLS;
}

static double fill(void *arg)
{
    memset(arg, 1, FILL_KIB << 10);
    *(volatile unsigned char *)arg = 2;
    return FILL_KIB;
}

static double ask_processor(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS; i++) {
#if defined(__x86_64__) || defined(__i386__)
        unsigned a, b, c, d;
        __cpuid(0, a, b, c, d);
#endif
    }
    return CALLS;
}

/* As the collector reads it. */
static double read_clock(void *arg)
{
    uint64_t *sum = arg;
    for (int i = 0; i < PAIRS; i++) {
#if defined(__x86_64__) || defined(__i386__)
        *sum += __builtin_ia32_rdtsc();
#else
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        *sum += (uint64_t)now.tv_nsec;
#endif
    }
    return PAIRS;
}

/* Keeps a second processor in this address space. */
static void *be_busy(void *arg)
{
    volatile unsigned *stop = arg;
    while (!opool__load_acquire(stop))
        (void)0;
    return NULL;
}

static void time_alone_and_not(struct cost *cost, double (*work)(void *arg))
{
    pthread_t thread;
    unsigned stop = 0;
    *cost = time_it(work, NULL);
    if (pthread_create(&thread, NULL, be_busy, &stop) != 0)
        return;
    struct cost with = time_it(work, NULL);
    opool__store_release(&stop, 1);
    pthread_join(thread, NULL);
    if (with.high > cost->high)
        cost->high = with.high;
}

/* Those of the pages that were touched between two calls. */
static void leave_out_faults(struct cost *cost, const struct cost *fault)
{
    const double pages = (double)pages_of(BRK_BYTES) / 2;
    double low = cost->low - pages * fault->high, high = cost->high - pages * fault->low;
    cost->high = high > 0 ? high : cost->high;
    cost->low = low > cost->high / 10 ? low : cost->high / 10;
}

bool opool__profile_measure(struct costs *costs)
{
    /* Whatever the environment says of programs that are looked for faults. */
    const struct opool_options usual = {.checks = OPOOL_CHECKS_BASIC};
    struct measured_pool *measured = NULL;
    unsigned char *filled = malloc(FILL_KIB << 10);
    uint64_t clock = 0;
    if (!filled || measured_pool_create(&measured, &usual) != 0) {
        free(filled);
        return false;
    }
    for (int i = 0; i < COST_SIZES; i++) {
        uint64_t bytes = opool__profile_cost_sizes[i];
        costs->allocation[i] = time_it(allocate, &bytes);
    }
    costs->pool = time_it(pool, measured);
    costs->fill = time_it(fill, filled);
    costs->clock = time_it(read_clock, &clock);
    costs->fault = time_it(fault, NULL);
    costs->cpuid = time_it(ask_processor, NULL);
    time_alone_and_not(&costs->brk, move_break);
    leave_out_faults(&costs->brk, &costs->fault);
    time_alone_and_not(&costs->map, map);
    measured_pool_destroy(&measured);
    free(filled);
    return true;
}
