/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_RIVALS_H
#define OPOOL_TOOLS_BENCH_RIVALS_H

/* Which mallocs there are, and how a child gets each. */

#include "bench.h"
#include "run.h"

enum { CONFIGURATIONS_MOST = 8 };

struct configuration {
    char name[64];
    const char *measure;
    struct surroundings surroundings;
    char source[TEXT_MOST];  /* the file that serves malloc; of pools, the library's version */
    char missing[TEXT_MOST]; /* why it can not be measured; empty: it can */
};

struct rivals {
    struct configuration all[CONFIGURATIONS_MOST]; /* the first one is what the others are compared with */
    unsigned count;
};

void opool__bench_rivals(struct rivals *rivals);

#endif
