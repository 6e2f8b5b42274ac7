/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_FIGURES_H
#define OPOOL_TOOLS_BENCH_FIGURES_H

/* From the rounds of two rows to a ratio, its interval, and a verdict. */

#include <stdbool.h>
#include <stddef.h>

#include "bench.h"

struct ratio {
    double ratio;     /* theirs to ours, of medians */
    double low, high; /* its 95 % interval */
    bool known;       /* else there are too few rounds for an interval */
};

/* 0 of no values. */
double opool__bench_median(const double *values, unsigned n);

/* The i-th value of both is of the same round: what slowed the machine in it slowed both. */
struct ratio opool__bench_ratio(const double *theirs, const double *ours, unsigned n);

/* "2.1x less CPU", "4 % more CPU", "tie", "too few rounds". Returns `text`. */
char *opool__bench_verdict(const struct ratio *ratio, char *text, size_t size);

#endif
