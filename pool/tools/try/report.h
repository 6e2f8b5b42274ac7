/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_REPORT_H
#define OPOOL_TOOLS_TRY_REPORT_H

#include <stdio.h>

#include "run.h"

/* What the processes of a run counted, added up by programs. False: no memory for it. */
struct opool__try_totals;
struct opool__try_totals *opool__try_read(struct opool__try_file *file, const struct opool__try_config *config);
void opool__try_forget(struct opool__try_totals *totals);

void opool__try_write_counts(FILE *out, const struct opool__try_totals *totals);
void opool__try_write_cost(FILE *out, const struct opool__try_cost *cost, const char *unit);

#endif
