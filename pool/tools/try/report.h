/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_REPORT_H
#define OPOOL_TOOLS_TRY_REPORT_H

/* What the processes of a run counted, added up by programs. */

#include <stdbool.h>
#include <stdio.h>

#include "compare.h"
#include "run.h"

/* One kind, in all processes of one program. */
struct opool__try_sum {
    struct opool__try_count count;
    uint64_t most;      /* objects at once, in one process */
    uint64_t prefilled; /* of those that were built */
    uint64_t refused;   /* an errno value: there was no pool */
};

struct opool__try_program {
    char path[OPOOL__TRY_PATH + 1];
    uint32_t processes, own_malloc, sanitized;
    bool no_zstd, no_thread;
    uint64_t others; /* allocations that are of no pool */
    struct opool__try_sum of[OPOOL__TRY_KINDS];
};

struct opool__try_totals {
    struct opool__try_config config;
    struct opool__try_program *programs;
    size_t count;
    uint32_t without_area; /* processes that are not in it */
};

/* NULL: no memory for it. */
struct opool__try_totals *opool__try_read(struct opool__try_file *file, const struct opool__try_config *config);
void opool__try_forget(struct opool__try_totals *totals);

/* Gets that needed no building; blocks from pools of sizes. */
uint64_t opool__try_hits(const struct opool__try_sum *sum);
uint64_t opool__try_gets(const struct opool__try_program *program);

void opool__try_write_counts(FILE *out, const struct opool__try_totals *totals);
void opool__try_write_cost(FILE *out, const struct opool__try_cost *cost, const char *unit);

/* The same and more, for programs: one object. `rounds`: those that were made, at least one of an arm. */
void opool__try_write_json(FILE *out, const struct opool__try_options *options, const struct opool__try_totals *totals,
                           const struct opool__try_rounds *rounds);

#endif
