/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_REPORT_REPORT_H
#define OPOOL_TOOLS_PROFILE_REPORT_REPORT_H

#include <stdio.h>

/** `opool profile report`: argv[0] is "report", the result the exit status. */
int opool__profile_report(int argc, char **argv);

/** What it does in a process of its own (guarded.h); `work` is a struct work of report.c. */
int opool__profile_work(void *work, FILE *out);

#endif
