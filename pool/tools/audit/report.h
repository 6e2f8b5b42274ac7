/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_AUDIT_REPORT_H
#define OPOOL_TOOLS_AUDIT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "area.h"

/* A line for each pool and offset that was not told of yet and grew in some process. While the command runs, and
   after. */
void opool__report_growth(FILE *out, struct opool__area_file *file);

/* What all processes found, those of one program together. False: no memory; a line on standard error says so. */
bool opool__report_all(FILE *out, struct opool__area_file *file);

#endif
