/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_TRY_OPTIONS_H
#define OPOOL_TOOLS_TRY_OPTIONS_H

/* What `opool try` was asked for. */

#include <stdbool.h>

#include "area.h"

struct opool__try_options {
    struct opool__try_config config;
    bool help, compare;
    uint32_t rounds;
    const char *load, *units, *output, *json;
    char **command;
};

/* 0, or an exit status after a line on standard error. */
int opool__try_parse(char **argv, struct opool__try_options *options);

/* A line on standard error; the exit status of a tool that failed. */
int opool__try_fail(const char *what, const char *why);

#endif
