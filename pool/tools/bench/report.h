/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_REPORT_H
#define OPOOL_TOOLS_BENCH_REPORT_H

/* The figures as text and as JSON. */

#include <stdio.h>

#include "bench.h"
#include "machine.h"
#include "rivals.h"

struct result {
    struct load load;                     /* of this pattern */
    struct row rows[CONFIGURATIONS_MOST]; /* as the configurations */
};

struct report {
    const struct options *options;
    const struct machine *machine;
    const struct rivals *rivals;
};

void opool__bench_write_head(FILE *out, const struct report *report);
void opool__bench_write_result(FILE *out, const struct report *report, const struct result *result);
void opool__bench_write_json(FILE *out, const struct report *report, const struct result *results, unsigned count);

#endif
