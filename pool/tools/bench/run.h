/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_RUN_H
#define OPOOL_TOOLS_BENCH_RUN_H

/* Runs this program again as a child that measures one figure. */

#include "bench.h"

/* What a configuration changes in the environment of its children. */
struct surroundings {
    bool kept;            /* all of it as it is; else without what changes how memory is got */
    const char *preload;  /* NULL: nothing */
    const char *tunables; /* of glibc; NULL: none */
};

void opool__bench_run(const struct load *load, const char *measure, const struct surroundings *surroundings,
                      struct figure *figure);

#endif
