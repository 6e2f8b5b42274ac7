/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_PATTERNS_H
#define OPOOL_TOOLS_BENCH_PATTERNS_H

#include "bench.h"

struct pattern_text {
    const char *name;
    const char *what; /* in a heading */
    size_t live;      /* objects that a thread holds at once, of its own accord */
};

extern const struct pattern_text opool__bench_patterns[PATTERNS];

/* The objects that a thread holds at once: as asked, else the pattern's number, or fewer where they are large. */
size_t opool__bench_live(const struct load *load);

#endif
