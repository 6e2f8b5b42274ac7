/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SOURCE_H
#define BENCH_SOURCE_H

/*
 * Where the objects of a pattern come from: SOURCE(NAME, TYPE) defines
 *
 *     void NAME_open(void)           before the first get
 *     TYPE *NAME_get(void)           never NULL: the program ends when there is no memory
 *     void NAME_put(TYPE *)
 *     void NAME_close(struct tally *)  after the last put; adds its figures
 *
 * either by a typed pool, inlined, with basic checks, or, with SOURCE_MALLOC, by malloc and free, which LD_PRELOAD may
 * replace. Both write the first byte and the last, as a user would.
 *
 * With SOURCE_VERIFIED an object is filled when it is got, and looked at when it is put: its first byte says that it is
 * out, so that one which is in two hands is seen. Without happens-before: that is the source's business, and
 * ThreadSanitizer looks for it.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <opool.h>

struct tally {
    uint64_t gets, puts, live; /* as the pool counts; 0 of malloc */
};

/* Objects that were not as their holder left them, or in two hands. */
extern uint64_t source_faults;

static _Noreturn __attribute__((noinline, cold, unused)) void source_fail(const char *what)
{
    fprintf(stderr, "patterns: %s\n", what);
    exit(1);
}

enum { SOURCE_OUT = 0xa5 };

static inline __attribute__((unused)) unsigned char source_filling(const void *object)
{
    return (unsigned char)((uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

#ifdef SOURCE_VERIFIED

static inline void source_verify(bool good)
{
    if (!good)
        __atomic_fetch_add(&source_faults, 1, __ATOMIC_RELAXED);
}

static inline bool source_is_filled(const unsigned char *object, size_t size, unsigned char filling)
{
    bool filled = true;
    for (size_t i = 1; i < size; i++)
        filled = filled && object[i] == filling;
    return filled;
}

static inline void source_take(unsigned char *object, size_t size)
{
    unsigned char filling = source_filling(object), before = __atomic_exchange_n(object, SOURCE_OUT, __ATOMIC_RELAXED);
#ifdef SOURCE_MALLOC
    (void)before; /* malloc may write there */
#else
    /* A new object is zero; nobody writes to one that was put. */
    source_verify(before == 0);
    source_verify(source_is_filled(object, size, 0) || source_is_filled(object, size, filling));
#endif
    memset(object + 1, filling, size - 1);
}

static inline void source_give(unsigned char *object, size_t size)
{
    source_verify(source_is_filled(object, size, source_filling(object)));
    source_verify(__atomic_exchange_n(object, 0, __ATOMIC_RELAXED) == SOURCE_OUT);
}

#else

static inline void source_take(unsigned char *object, size_t size)
{
    *(volatile unsigned char *)object = SOURCE_OUT;
    *(volatile unsigned char *)(object + size - 1) = SOURCE_OUT;
}

static inline void source_give(unsigned char *object, size_t size)
{
    (void)object;
    (void)size;
}

#endif

#define SOURCE_CALLS(NAME, TYPE) \
    static inline TYPE *NAME##_get(void) \
    { \
        TYPE *object = NAME##_raw_get(); \
        if (__builtin_expect(!object, 0)) \
            source_fail("out of memory"); \
        source_take((unsigned char *)object, sizeof *object); \
        return object; \
    } \
    static inline void NAME##_put(TYPE *object) \
    { \
        source_give((unsigned char *)object, sizeof *object); \
        NAME##_raw_put(object); \
    } \
    _Static_assert(sizeof(TYPE) >= 2, "a first byte and another")

/* Containers of the patterns, which hold something of their own between get and put. */
#define SOURCE_RAW_CALLS(NAME, TYPE) \
    static inline TYPE *NAME##_get(void) \
    { \
        TYPE *object = NAME##_raw_get(); \
        if (__builtin_expect(!object, 0)) \
            source_fail("out of memory"); \
        return object; \
    } \
    static inline void NAME##_put(TYPE *object) \
    { \
        NAME##_raw_put(object); \
    } \
    _Static_assert(sizeof(TYPE) > 0, "a type")

#ifdef SOURCE_MALLOC

/* Built with -fno-builtin-malloc: a compiler may remove a malloc whose free it sees. */
#define SOURCE_OF(NAME, TYPE) \
    static void NAME##_open(void) \
    { \
    } \
    static void NAME##_close(struct tally *tally) \
    { \
        (void)tally; \
    } \
    static inline TYPE *NAME##_raw_get(void) \
    { \
        return malloc(sizeof(TYPE)); \
    } \
    static inline void NAME##_raw_put(TYPE *object) \
    { \
        free(object); \
    }

#else

#define SOURCE_OF(NAME, TYPE) \
    OPOOL_DEFINE(NAME##_pool, TYPE); \
    static struct NAME##_pool *NAME##_source; \
    static void NAME##_open(void) \
    { \
        if (NAME##_pool_create(&NAME##_source, NULL) != 0) \
            source_fail("no pool"); \
    } \
    static void NAME##_close(struct tally *tally) \
    { \
        struct opool_stats stats; \
        if (opool_stats_read(NAME##_pool_base(NAME##_source), &stats) != 0) \
            source_fail("no figures"); \
        tally->gets += stats.gets; \
        tally->puts += stats.puts; \
        tally->live += stats.live; \
        NAME##_pool_destroy(&NAME##_source); \
    } \
    static inline TYPE *NAME##_raw_get(void) \
    { \
        return NAME##_pool_get(NAME##_source); \
    } \
    static inline void NAME##_raw_put(TYPE *object) \
    { \
        NAME##_pool_put(NAME##_source, object); \
    }

#endif

#define SOURCE(NAME, TYPE) \
    SOURCE_OF(NAME, TYPE) \
    SOURCE_CALLS(NAME, TYPE)
#define SOURCE_RAW(NAME, TYPE) \
    SOURCE_OF(NAME, TYPE) \
    SOURCE_RAW_CALLS(NAME, TYPE)

#endif
