/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_MEASURE_H
#define OPOOL_TOOLS_BENCH_MEASURE_H

/* A child's work: one figure of one kind of memory, or only which file serves malloc. */

#include "bench.h"

/* The words of --measure. A child's line on standard output, which opool__bench_run reads:
   bench NANOSECONDS PEAK-KIB AFTER-KIB TEXT */
#define BENCH_MEASURE_INLINED "inlined"
#define BENCH_MEASURE_CALLS "calls"
#define BENCH_MEASURE_MALLOC "malloc"
#define BENCH_MEASURE_SOURCE "source"

/* Is it one of these? */
bool opool__bench_can_measure(const char *what);

/* The exit status: 0, or 1 after a line on standard error. */
int opool__bench_measure(const struct load *load, const char *what);

#endif
