/* SPDX-License-Identifier: MIT */
#ifndef OPOOL_TOOLS_BENCH_OPTIONS_H
#define OPOOL_TOOLS_BENCH_OPTIONS_H

#include "bench.h"

/* Reads and checks the command line. false: a line on standard error has said what is wrong with it. */
bool opool__bench_options(int argc, char **argv, struct options *options);

/* Can the objects of this pattern be made here? false: a line on standard error has said why not. */
bool opool__bench_check(const struct load *load);

extern const char opool__bench_help[];

#endif
