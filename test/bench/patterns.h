/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PATTERNS_H
#define BENCH_PATTERNS_H

/* Patterns of use that mimalloc-bench collects, with objects of one size; written from their descriptions. */

#include "source.h"

struct pattern {
    const char *name, *what;
    size_t size;
    unsigned threads_least;
    uint64_t operations; /* a thread, for about a tenth of a second */
    /* Gets and puts about `operations` objects on each of `threads` threads; returns how many it got in all. */
    uint64_t (*run)(unsigned threads, uint64_t operations);
};

enum { PATTERNS = 7, PATTERN_THREADS_MOST = 256 };
extern const struct pattern patterns[PATTERNS];

/* Makes the sources, runs it, ends the sources; their figures. */
struct tally pattern_run(const struct pattern *pattern, unsigned threads, uint64_t operations, uint64_t *got);

#endif
