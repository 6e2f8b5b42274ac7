/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_COMPARE_H
#define OPOOL_TOOLS_TRY_COMPARE_H

/* Runs with and without, in turn. */

#include <stdio.h>

#include "options.h"
#include "run.h"

struct opool__try_rounds {
    uint32_t count;            /* whole rounds */
    bool has[OPOOL__TRY_ARMS]; /* an arm that could be run */
    bool interrupted;
    struct opool__try_cost *of[OPOOL__TRY_ARMS]; /* by round */
    struct opool__try_file *file;                /* of the last run with pools */
};

/* 0, or an exit status. */
int opool__try_compare(const struct opool__try_options *options, const char *path, struct opool__try_rounds *rounds);
void opool__try_drop(struct opool__try_rounds *rounds);

/* What rounds say of one arm: the medians, and the ratio to the same round's run of another arm, with an interval that
   holds its median with a probability of `confidence`. */
struct opool__try_verdict {
    double cpu, faults, peak_mib; /* microseconds and faults a unit of work, where units are known */
    double ratio, least, most;    /* of CPU */
    double faults_ratio;
    double confidence;
};

struct opool__try_verdict opool__try_judge(const struct opool__try_rounds *rounds, enum opool__try_arm arm,
                                           enum opool__try_arm against);

/* The table and what it means. An exit status: the runs did not do the same. */
int opool__try_write_comparison(FILE *out, const struct opool__try_options *options,
                                const struct opool__try_rounds *rounds);

#endif
