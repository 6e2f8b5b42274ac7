/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_COLLECT_CLOCK_H
#define OPOOL_TOOLS_PROFILE_COLLECT_CLOCK_H

/*
 * Time in the collector: lifetimes need two readings an allocation, and clock_gettime would be the dearest part of it.
 * Where the processor's counter runs at one rate on all processors and the kernel keeps time by it, it is read
 * directly.
 */

#include <opool/atomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define OPOOL__HAS_COUNTER 1
#endif

struct opool__clock {
    bool counts;            /* by the counter */
    uint64_t from, from_ns; /* the counter, and the time then */
    uint64_t scale;         /* ns a count, in 2^-32; less than 1 */
    uint64_t reading;       /* ns between two readings with nothing in between */
};

extern __attribute__((visibility("hidden"))) struct opool__clock opool__clock;

/* Once, before the first reading. Takes 100 us where the counter has to be measured. */
__attribute__((visibility("hidden"))) void opool__clock_start(void);

static inline uint64_t opool__clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Measures again where much more time has passed: the first measurement is good to a few parts in ten thousand. At the
   second one the clock may jump by some 10 us. One thread at a time. */
__attribute__((visibility("hidden"))) void opool__clock_refine(void);

/* Nanoseconds, close to CLOCK_MONOTONIC. Not monotonic between processors to the last few. */
static inline uint64_t opool__clock_now(void)
{
#ifdef OPOOL__HAS_COUNTER
    if (opool__clock.counts) {
        uint64_t counted = __builtin_ia32_rdtsc() - opool__clock.from, lower = counted & UINT32_MAX;
        uint64_t scale = opool__load_relaxed(&opool__clock.scale);
        return opool__clock.from_ns + (counted >> 32) * scale + (lower * scale >> 32);
    }
#endif
    return opool__clock_monotonic();
}

#endif
