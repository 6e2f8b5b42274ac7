/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_PROFILE_PROFILE_H
#define OPOOL_TOOLS_PROFILE_PROFILE_H

/* The parts of `opool profile`. Results are exit statuses; what went wrong was said on standard error. */

#include <stdbool.h>

struct opool__profile_wish {
    const char *output, *only; /* may be NULL */
    unsigned mode, every, frames;
    unsigned long seconds; /* 0: no limit */
    bool paused, quiet;    /* quiet: no report at the end */
    char **command;
};

/* Runs the command and saves its profile. */
int opool__profile_record(const struct opool__profile_wish *wish);

/* `whom`: a process or a profile in the making. `what`: "on", "off" or "snapshot". */
int opool__profile_attach(const char *whom, const char *what, const char *output);

/* "opool profile: WHAT: WHY", and the status of a tool that failed. */
int opool__profile_fail(const char *what, const char *why);

#endif
